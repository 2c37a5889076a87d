from __future__ import annotations

from pathlib import Path

import pytest

from model_server.errors import FailedPrecondition, InvalidArgument, ModelServerError
from model_server.models.config_file import read_models
from model_server.models.versions import All, Latest, ModelConfig, RequestLogging, Specific
from model_server.protos import read_message


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "models.config"
    path.write_text(text)
    return path


def one(fields: str) -> str:
    return f"model_config_list {{ config {{ {fields} }} }}"


GOOD = "name: 'm' base_path: '/m' model_platform: 'tensorflow'"


def test_every_field_of_a_model_config_is_read(tmp_path: Path) -> None:
    text = """
    # two models
    model_config_list: {
      config: { name: "a", base_path: "/models/a"; model_platform: 'tensorflow'
        model_version_policy { specific { versions: 1 versions: 2 } }
        version_labels { key: 'stable' value: 1 } version_labels { key: 'canary' value: 2 } }
      config { name: "b" base_path: "file:///models/b" model_type: TENSORFLOW
        model_version_policy { all {} } logging_config { log_collector_config { type: "x" } } }
      config { name: "c" base_path: "/c" model_platform: "tensorflow"
        model_version_policy { latest { num_versions: 3 } } }
    }"""

    assert read_models(config(tmp_path, text)) == [
        ModelConfig(
            "a",
            Path("/models/a"),
            Specific(frozenset({1, 2})),
            {"stable": 1, "canary": 2},
        ),
        ModelConfig("b", Path("/models/b"), All(), {}),
        ModelConfig("c", Path("/c"), Latest(3), {}),
    ]


def logging(rate: float, prefix: str, kind: str = "file") -> str:
    return one(
        f"{GOOD} logging_config {{ sampling_config {{ sampling_rate: {rate} }}"
        f" log_collector_config {{ type: '{kind}' filename_prefix: '{prefix}' }} }}"
    )


@pytest.mark.parametrize("kind", ["", "file"])
def test_request_logging_is_read(tmp_path: Path, kind: str) -> None:
    [logged] = read_models(config(tmp_path, logging(0.25, "/logs/m", kind)))
    [not_logged] = read_models(config(tmp_path, logging(0, "", kind)))

    assert logged.logging == RequestLogging(0.25, "/logs/m")
    assert not_logged.logging is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (logging(1.5, "/logs/m"), "has the sampling_rate 1.5; allowed are numbers from 0 to 1"),
        (logging(-1, "/logs/m"), "has the sampling_rate -1; allowed are numbers from 0 to 1"),
        (logging(1, "/l", "x"), "has the log_collector_config type x; the only one is file"),
        (logging(1, "logs/m"), "has the filename_prefix 'logs/m'; an absolute path is needed"),
        (logging(1, ""), "has the filename_prefix ''; an absolute path is needed"),
    ],
)
def test_request_logging_that_cannot_work_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_models(config(tmp_path, text))

    assert caught.value.message == f"logging_config of model m {message}"


@pytest.mark.parametrize("text", ["\n", "model_config_list {}", "# nothing"])
def test_a_config_may_name_no_models(tmp_path: Path, text: str) -> None:
    assert read_models(config(tmp_path, text)) == []


def test_a_file_that_is_read_again_needs_a_list(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="Cannot transition to requested config. "):
        read_models(config(tmp_path, "# nothing"), ["m"])
    assert read_models(config(tmp_path, "model_config_list {}"), ["m"]) == []


def test_a_file_that_is_read_again_cannot_change_a_platform(tmp_path: Path) -> None:
    changed = one("name: 'm' base_path: '/m' model_platform: 'caffe'")

    with pytest.raises(InvalidArgument, match="Illegal to change a model's platform. "):
        read_models(config(tmp_path, changed), ["m"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            one(f"{GOOD} }} config {{ {GOOD}"),
            "Illegal to list model m multiple times in config list",
        ),
        (
            one("name: 'm' base_path: 'rel' model_platform: 'tensorflow'"),
            "Expected model m to have an absolute path or URI; got base_path()=rel",
        ),
        (
            one(r"name: 'm' base_path: '/a\000b' model_platform: 'tensorflow'"),
            "Model m has a null character in its base path",
        ),
        (
            one("name: 'm' base_path: '/m'"),
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor"
            " ModelServerConfig::model_platform, model name is m",
        ),
        (
            one(GOOD + " model_type: TENSORFLOW"),
            "Illegal setting both ModelServerConfig::model_type (deprecated) and"
            " ModelServerConfig::model_platform, model name is m",
        ),
        (
            one("name: 'm' base_path: '/m' model_platform: 'caffe'"),
            "Model m requests unsupported platform caffe",
        ),
        (
            one("name: 'm' base_path: 'gs://m' model_platform: 'tensorflow'"),
            "Model m has the base path gs://m; only folders of this machine can be read",
        ),
    ],
)
def test_invalid_configs_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ModelServerError) as caught:
        read_models(config(tmp_path, text))

    assert caught.value.message == message


@pytest.mark.parametrize("text", ["model_config_list {", one("nonsense: 1"), one("name: 1")])
def test_files_that_do_not_parse(tmp_path: Path, text: str) -> None:
    path = config(tmp_path, text)

    with pytest.raises(InvalidArgument) as caught:
        read_models(path)

    assert caught.value.message.startswith(f"Invalid protobuf file: '{path}'")


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    empty, missing = config(tmp_path, ""), tmp_path / "missing"

    with pytest.raises(InvalidArgument, match="; Invalid argument$"):
        read_models(empty)
    with pytest.raises(InvalidArgument, match="; No such file or directory$"):
        read_models(missing)


def test_files_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(InvalidArgument, match="Invalid protobuf file"):
        read_message(path, "MonitoringConfig")

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from orchestrator.check import Check
from orchestrator.child_specs import gateway_child
from orchestrator.errors import UsageError
from orchestrator.problem import Problem
from orchestrator.resolved_options import ResolvedOptions, resolve
from orchestrator.run_dir import RunDir
from orchestrator.start_options import add_start_options

ROOT = Path(__file__).parents[2]


def resolved(folder: Path, *words: str) -> ResolvedOptions:
    parser = argparse.ArgumentParser()
    add_start_options(parser)
    return resolve(parser.parse_args(words), RunDir(folder), folder)


def test_no_engine_flags_without_engine_options(tmp_path: Path) -> None:
    assert resolved(tmp_path, "--serving", "embedded").engine_flags == []


def test_engine_options_become_flags(tmp_path: Path) -> None:
    words = ["--engine", "openvino", "--precision", "auto", "--streams", "2"]
    options = resolved(tmp_path, "--serving", "embedded", *words)

    assert options.engine_flags == ["--engine=openvino", "--precision=auto", "--streams=2"]


def test_an_address_of_serving_may_end_in_a_slash(tmp_path: Path) -> None:
    options = resolved(tmp_path, "--serving", "none", "--serving-url", "http://far:1/")

    assert options.serving_url == options.env["GATEWAY_SERVING_URL"] == "http://far:1"


@pytest.mark.parametrize("text", ["10", "0.00001", "1234.5678", "1000000", "2147483"])
def test_both_servers_get_the_whole_deadline(text: str, tmp_path: Path) -> None:
    options = resolved(tmp_path, "--serving", "embedded", "--deadline", text)

    assert options.env["GATEWAY_DEADLINE_S"] == text
    assert options.deadline_s == float(text)


@pytest.mark.parametrize(("words", "calls"), [([], "2"), (["--streams", "2"], "3")])
def test_the_gateway_keeps_all_streams_busy(
    words: list[str], calls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY_MAX_INFLIGHT_CALLS", raising=False)
    options = resolved(tmp_path, "--serving", "embedded", *words)

    assert options.env["GATEWAY_MAX_INFLIGHT_CALLS"] == calls


def test_the_callers_old_name_of_a_setting_is_the_only_one_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_CALLS_UNDER_WAY", "5")

    env = resolved(tmp_path, "--serving", "embedded").env

    assert env["GATEWAY_CALLS_UNDER_WAY"] == "5"
    assert "GATEWAY_MAX_INFLIGHT_CALLS" not in env


@pytest.mark.parametrize(
    ("words", "resize"),
    [
        pytest.param([], "false", id="default"),
        pytest.param(["--precision", "f32"], "false", id="f32"),
        pytest.param(["--precision", "bf16"], "auto", id="bf16"),
        pytest.param(["--precision", "int8"], "auto", id="int8"),
        pytest.param(["--precision", "auto"], "auto", id="auto"),
    ],
)
def test_lower_precision_allows_fast_resizing(
    words: list[str], resize: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY_FAST_RESIZE", raising=False)
    words = ["--serving", "embedded", *words]
    assert resolved(tmp_path, *words).env["GATEWAY_FAST_RESIZE"] == resize

    monkeypatch.setenv("GATEWAY_FAST_RESIZE", "no")
    assert resolved(tmp_path, *words).env["GATEWAY_FAST_RESIZE"] == "no"


def test_another_kind_of_serving_refuses_engine_options(tmp_path: Path) -> None:
    words = ["--serving", "none", "--serving-url", "http://far:1", "--precision", "bf16"]

    with pytest.raises(UsageError, match="--precision=bf16: only the embedded Serving takes this"):
        resolved(tmp_path, *words)


def gateway_check(folder: Path, models: str) -> Problem | None:
    """Return what the real gateway's check says about a models file."""
    pytest.importorskip("gunicorn")
    (folder / "models.toml").write_text(models)
    parser = argparse.ArgumentParser()
    add_start_options(parser)
    words = ["--serving", "none", "--serving-url", "http://127.0.0.1:1"]
    words += ["--models-file", str(folder / "models.toml")]
    options = resolve(parser.parse_args(words), RunDir(folder), ROOT)
    return Check(gateway_child(options, lambda: None)).wait()


def test_the_gateways_check_finds_nothing_where_it_would_start(tmp_path: Path) -> None:
    assert gateway_check(tmp_path, '[models.m]\nbase_path = "."\n') is None


def test_the_gateways_check_says_why_it_would_not_start(tmp_path: Path) -> None:
    said = str(gateway_check(tmp_path, '[models.m]\nbase_path = "."\ntypo = 1\n'))

    assert "models.m.typo" in said
    assert "\n" not in said


def test_two_listeners_cannot_have_one_port(tmp_path: Path) -> None:
    words = ["--serving", "embedded", "--port", "5001", "--serving-port", "5001"]

    with pytest.raises(UsageError, match="^--serving-port and --port are both 5001; choose two"):
        resolved(tmp_path, *words)


def test_the_embedded_serving_listens_on_the_grpc_port(tmp_path: Path) -> None:
    words = ["--serving", "embedded", "--grpc-port", "9000"]

    with pytest.raises(UsageError, match="^--serving-port and --grpc-port are both 9000"):
        resolved(tmp_path, *words)


def test_one_port_on_two_addresses_is_fine(tmp_path: Path) -> None:
    words = ["--serving", "embedded", "--port", "5001", "--serving-port", "5001"]

    assert resolved(tmp_path, *words, "--host", "127.0.0.2").arguments.port == 5001

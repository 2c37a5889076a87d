from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.genuine_server import NATIVE
from orchestrator.serving_command import ServingOptions, resolve_kind, serving_command

OPTIONS = ServingOptions(
    rest_port=9000,
    grpc_port=8500,
    timeout_s=10,
    threads=4,
    folder=Path("/project/.run"),
    python="/project/.venv/bin/python",
    volumes={Path("/project/my model"): "/models/m"},
)
FLAGS = [
    "--rest_api_port=9000",
    "--port=8500",
    "--model_config_file=/project/.run/models.config",
    "--model_config_file_poll_wait_seconds=2",
    "--allow_version_labels_for_unavailable_models=true",
    "--file_system_poll_wait_seconds=1",
    "--rest_api_timeout_in_ms=10000",
    "--monitoring_config_file=/project/.run/monitoring.config",
    "--load_retry_interval_micros=5000000",
    "--tensorflow_intra_op_parallelism=4",
    "--tensorflow_inter_op_parallelism=4",
]


def machine(*programs: str) -> dict[str, str]:
    return {program: f"/usr/bin/{program}" for program in programs}


@pytest.mark.parametrize(
    ("wanted", "programs", "kind"),
    [
        ("auto", [], "embedded"),
        ("auto", ["docker"], "embedded"),
        ("auto", [NATIVE], "native"),
        ("native", [NATIVE], "native"),
        ("embedded", [NATIVE], "embedded"),
        ("docker", ["docker"], "docker"),
        ("none", [], "none"),
    ],
)
def test_which_serving_is_chosen(wanted: str, programs: list[str], kind: str) -> None:
    assert resolve_kind(wanted, machine(*programs).get) == kind


@pytest.mark.parametrize(("wanted", "program"), [("native", NATIVE), ("docker", "docker")])
def test_a_serving_that_is_not_installed_is_refused(wanted: str, program: str) -> None:
    with pytest.raises(UsageError, match=f"--serving {wanted} needs {program} on PATH"):
        resolve_kind(wanted, machine().get)


def test_native_command() -> None:
    command = serving_command("native", OPTIONS, machine(NATIVE).get)

    assert command.argv == [f"/usr/bin/{NATIVE}", *FLAGS]
    assert "listens on all addresses" in command.warnings[0]


def test_embedded_command() -> None:
    command = serving_command("embedded", OPTIONS, machine().get)

    start = ["/project/.venv/bin/python", "-m", "model_server"]
    cache = "--openvino_cache_dir=/project/.run/openvino"
    hosts = ["--rest_api_host=127.0.0.1", "--grpc_host=127.0.0.1"]
    ending = ["--allow_unavailable_models=true", "--shutdown_grace_seconds=10"]
    assert command.argv == [*start, *FLAGS, cache, *hosts, *ending]
    assert command.description == f"embedded, as no {NATIVE} is on PATH"
    assert command.warnings == ()


def test_embedded_server_gets_the_engine_flags() -> None:
    options = replace(OPTIONS, engine_flags=["--engine=openvino", "--precision=bf16"])

    argv = serving_command("embedded", options, machine().get).argv

    assert {"--engine=openvino", "--precision=bf16"} <= set(argv)


def test_docker_command() -> None:
    command = serving_command("docker", OPTIONS, machine("docker").get)

    assert command.argv == [
        "/usr/bin/docker",
        *["run", "--rm", "--init", "--name", "auto_cmd-serving-9000"],
        *["--entrypoint", "tensorflow_model_server"],
        *["--publish", "127.0.0.1:9000:8501", "--publish", "127.0.0.1:8500:8500"],
        *["--volume", "/project/.run:/config:ro", "--volume", "/project/my model:/models/m:ro"],
        "tensorflow/serving:latest",
        *["--rest_api_port=8501", "--port=8500", "--model_config_file=/config/models.config"],
        *(flag.replace("/project/.run", "/config") for flag in FLAGS[3:]),
    ]
    assert command.cleanup == ["/usr/bin/docker", "rm", "--force", "auto_cmd-serving-9000"]


@pytest.mark.parametrize("kind", ["native", "embedded"])
def test_batching_needs_its_option(kind: str) -> None:
    wanted = {
        "--enable_batching=true",
        "--batching_parameters_file=/project/.run/batching.config",
    }
    full = replace(OPTIONS, batching=True)

    plain_argv = serving_command(kind, OPTIONS, machine(NATIVE).get).argv
    full_argv = serving_command(kind, full, machine(NATIVE).get).argv

    assert wanted <= set(full_argv) - set(plain_argv)

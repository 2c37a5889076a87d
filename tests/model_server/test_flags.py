from __future__ import annotations

import re
from pathlib import Path

import pytest

from model_server.errors import InvalidArgument
from model_server.flag_checks import check
from model_server.flag_table import FLAGS, HOST_VARIABLE, with_defaults
from model_server.flags import UsageError, parse, usage

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "model_server_flags.md"


def flags(*argv: str) -> dict[str, object]:
    return dict(parse(argv, FLAGS).values)


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--port=1", "port", 1),
        ("--port=-1", "port", -1),
        ("--model_name=a=b", "model_name", "a=b"),
        ("--model_name=", "model_name", ""),
        ("--per_process_gpu_memory_fraction=0.5", "per_process_gpu_memory_fraction", 0.5),
        ("--enable_batching", "enable_batching", True),
        ("--enable_batching=TRUE", "enable_batching", True),
        ("--enable_batching=1", "enable_batching", True),
        ("--enable_model_warmup=False", "enable_model_warmup", False),
        ("--enable_model_warmup=0", "enable_model_warmup", False),
        ("--load_retry_interval_micros=5000000000", "load_retry_interval_micros", 5_000_000_000),
    ],
)
def test_values(argument: str, name: str, value: object) -> None:
    assert flags(argument)[name] == value


def test_the_last_of_equal_flags_counts_and_two_dashes_end_them() -> None:
    assert flags("--port=1", "--port=2", "--", "--port=3")["port"] == 2


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--no_such_flag=1", "unknown argument: --no_such_flag=1"),
        ("port=1", "unknown argument: port=1"),
        ("-port=1", "unknown argument: -port=1"),
        ("--port", "unknown argument: --port (write --port=VALUE)"),
        ("--port=abc", "Couldn't interpret value abc for flag port."),
        ("--port=1.0", "Couldn't interpret value 1.0 for flag port."),
        ("--port=", "Couldn't interpret value  for flag port."),
        (f"--port={2**31}", f"Couldn't interpret value {2**31} for flag port."),
        ("--enable_batching=yes", "Couldn't interpret value yes for flag enable_batching."),
        ("--enable_batching=", "Couldn't interpret value  for flag enable_batching."),
    ],
)
def test_invalid_arguments(argument: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse([argument], FLAGS)

    assert str(caught.value) == message


def test_flags_that_do_nothing_are_reported_when_given() -> None:
    command_line = parse(["--enable_profiler=false", "--port=1"], FLAGS)

    assert [flag.name for flag in command_line.ignored] == ["enable_profiler"]


@pytest.mark.parametrize(
    ("environ", "argv", "hosts"),
    [
        ({}, (), ("127.0.0.1", "127.0.0.1")),
        ({HOST_VARIABLE: ""}, (), ("127.0.0.1", "127.0.0.1")),
        ({HOST_VARIABLE: "0.0.0.0"}, (), ("0.0.0.0", "0.0.0.0")),
        ({HOST_VARIABLE: "::"}, ("--grpc_host=127.0.0.1",), ("::", "127.0.0.1")),
    ],
)
def test_a_variable_sets_the_default_address_of_both_ports(
    environ: dict[str, str], argv: tuple[str, ...], hosts: tuple[str, str]
) -> None:
    values = parse(argv, with_defaults(FLAGS, environ)).values

    assert (values["rest_api_host"], values["grpc_host"]) == hosts


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_the_usage_shows_every_flag(flag: object) -> None:
    name = getattr(flag, "name", "")

    assert re.search(rf"\t--{name}=\S*\s*\t(bool|int32|int64|float|string)\t\S", usage("x", FLAGS))


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_the_documentation_names_every_flag(flag: object) -> None:
    assert f"`{getattr(flag, 'name', '')}`" in DOCUMENT.read_text(encoding="utf-8")


GOOD = ("--rest_api_port=8501", "--model_base_path=/m")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ("--port=0", *GOOD),
            "At least one of server_options.grpc_port or server_options.grpc_socket_path"
            " must be set.",
        ),
        (
            ("--rest_api_port=8501",),
            "Both server_options.model_base_path and server_options.model_config_file are empty!",
        ),
        (
            (*GOOD, "--batching_parameters_file=/f"),
            "server_options.batching_parameters_file is set without setting"
            " server_options.enable_batching to true.",
        ),
        (
            (*GOOD, "--port=8501"),
            "server_options.http_port cannot be same as grpc_port."
            " Please use a different port for HTTP/REST API.",
        ),
        (
            ("--model_base_path=/m", "--rest_api_port=65536"),
            "--rest_api_port is 65536; allowed are ports from 0 to 65535.",
        ),
        (
            (*GOOD, "--port=-1"),
            "--port is -1; allowed are ports from 0 to 65535.",
        ),
        (
            (*GOOD, "--grpc_max_threads=0"),
            "--grpc_max_threads is 0; at least 1 is needed.",
        ),
        (
            (*GOOD, "--ssl_config_file=/f", "--use_alts_credentials"),
            "--ssl_config_file and --use_alts_credentials exclude each other.",
        ),
        (
            (*GOOD, "--rest_api_num_threads=0"),
            "--rest_api_num_threads is 0; at least 1 is needed.",
        ),
        *(
            (
                (*GOOD, f"--shutdown_grace_seconds={value}"),
                f"--shutdown_grace_seconds is {value}; allowed are 0 to 1000000000.",
            )
            for value in ("inf", "nan", "1e+10", "-1")
        ),
        (
            (*GOOD, "--num_load_threads=-1"),
            "--num_load_threads is -1; at least 0 is needed.",
        ),
        (
            (*GOOD, "--rest_api_max_body_bytes=0"),
            "--rest_api_max_body_bytes is 0; at least 1 is needed.",
        ),
        (
            (*GOOD, "--rest_api_max_body_bytes=20", "--rest_api_max_total_bytes=19"),
            "--rest_api_max_total_bytes is 19; at least 20, the value of"
            " --rest_api_max_body_bytes, is needed.",
        ),
        (
            (*GOOD, "--request_log_max_file_bytes=0"),
            "--request_log_max_file_bytes is 0; at least 1 is needed.",
        ),
        (
            (*GOOD, "--request_log_max_queued_bytes=0"),
            "--request_log_max_queued_bytes is 0; at least 1 is needed.",
        ),
        (
            (*GOOD, "--request_log_max_file_bytes=20", "--request_log_max_total_bytes=19"),
            "--request_log_max_total_bytes is 19; at least 20, the value of"
            " --request_log_max_file_bytes, is needed.",
        ),
        (
            (
                *GOOD,
                *(f"--tensorflow_{p}_parallelism=1" for p in ("session", "intra_op", "inter_op")),
            ),
            "--tensorflow_session_parallelism sets --tensorflow_intra_op_parallelism and"
            " --tensorflow_inter_op_parallelism; they cannot be given together.",
        ),
    ],
)
def test_flags_that_contradict_each_other(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(flags(*argv))

    assert caught.value.message == message


@pytest.mark.parametrize(
    "argv",
    [
        GOOD,
        (*GOOD, "--port=0", "--grpc_socket_path=/s"),
        (*GOOD, "--rest_api_num_threads=1"),
        (*GOOD, "--shutdown_grace_seconds=0"),
        (*GOOD, "--shutdown_grace_seconds=1e9"),
        ("--model_base_path=/m",),
    ],
)
def test_flags_that_fit_together(argv: tuple[str, ...]) -> None:
    check(flags(*argv))

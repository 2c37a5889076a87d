"""The whole server as a process, with the toy engine: start, command line, signals, end."""

from __future__ import annotations

import gzip
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.model_server.grpc_api.calls import CHECK, RawClient
from tests.model_server.harness import (
    ROOT,
    TOY_SERVER,
    Client,
    Process,
    Reply,
    in_threads,
    server_process,
)
from tests.model_server.request_log.logged import read_logs
from tests.model_server.toy import write_version
from tests.running import free_port
from tests.waiting import eventually


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run the server until it ends by itself."""
    return ended([*TOY_SERVER, *argv])


def ended(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program of the project to its end."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def model_flags(base: Path, *more: str) -> tuple[str, ...]:
    return ("--model_name=m", f"--model_base_path={base}", *more)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_version(tmp_path / "m", 1, plus=2)
    return tmp_path / "m"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


def config_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "models.config"
    path.write_text(text)
    return f"--model_config_file={path}"


def entry(name: str, base: Path, more: str = "") -> str:
    return f'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" {more} }}'


def test_the_port_opens_once_the_model_is_available(base: Path, log: Path) -> None:
    with server_process(TOY_SERVER, log, *model_flags(base)) as process:
        reply = process.client.predict("m", {"instances": [1.0]})
        text = log.read_text()

    assert (reply.status, reply.json) == (200, {"predictions": [2.5]})
    assert f"Exporting HTTP/REST API at:localhost:{process.port} ..." in text
    assert f"Running gRPC ModelServer at 127.0.0.1:{process.grpc_port} ..." in text


def test_the_default_address_is_the_loopback_one(base: Path, log: Path) -> None:
    with server_process(TOY_SERVER, log, *model_flags(base)) as process:
        listening = Path("/proc/net/tcp").read_text().split()

    address = f"0100007F:{process.port:04X}"
    assert [entry for entry in listening if entry.endswith(f":{process.port:04X}")][0] == address


def test_a_variable_sets_another_default_address(base: Path, log: Path) -> None:
    environment = os.environ | {"TENSORFLOW_MODEL_SERVER_HOST": "127.0.0.2"}
    with server_process(TOY_SERVER, log, *model_flags(base), env=environment) as process:
        for port in (process.port, process.grpc_port):
            with socket.create_connection(("127.0.0.2", port), 60):
                pass
        assert not process.is_open


def test_the_version_is_printed() -> None:
    result = run("--version")

    first, second = result.stdout.splitlines()
    assert result.returncode == 0
    assert first.startswith("TensorFlow ModelServer: ")
    assert second.startswith("TensorFlow Library: ")


def test_the_exit_flushes_output_and_skips_the_shutdown_of_python() -> None:
    script = (
        "import atexit, runpy, sys; atexit.register(print, 'taken down');"
        " sys.argv[1:] = ['--help']; runpy.run_module('model_server', run_name='__main__')"
    )

    result = ended([sys.executable, "-c", script])

    assert result.returncode == 255
    assert result.stdout.startswith("usage: python -m model_server\n")
    assert "taken down" not in result.stdout


@pytest.mark.parametrize(
    ("argv", "out"),
    [
        (
            ["--port=8500"],
            "Failed to start server. Error: INVALID_ARGUMENT: Both"
            " server_options.model_base_path and server_options.model_config_file are empty!",
        ),
        (["--port=abc"], "Couldn't interpret value abc for flag port.\nusage: "),
        (["--no_such_flag=1"], "unknown argument: --no_such_flag=1\nusage: "),
        (["--help"], "usage: python -m model_server\nFlags:\n\t--port=8500 "),
        (
            ["--rest_api_port=1", "--model_base_path=m"],
            "Failed to start server. Error: INVALID_ARGUMENT: Expected model default to have an"
            " absolute path or URI; got base_path()=m",
        ),
        (
            ["--rest_api_port=1", "--model_config_file=/nowhere/models.config"],
            "Failed to start server. Error: INVALID_ARGUMENT: /nowhere/models.config;"
            " No such file or directory",
        ),
    ],
)
def test_a_failed_start_prints_the_reason_and_exits_with_255(argv: list[str], out: str) -> None:
    result = run(*argv)

    assert result.returncode == 255
    assert out in result.stdout


def test_a_taken_port_ends_the_start(base: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        result = run(f"--rest_api_port={port}", f"--port={free_port()}", *model_flags(base))

    assert result.returncode == 255
    assert (
        f"UNAVAILABLE: Failed to start HTTP Server at 127.0.0.1:{port}: Address already in use."
        in result.stdout
    )


def test_a_taken_grpc_port_ends_the_start(base: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        result = run(f"--rest_api_port={free_port()}", f"--port={port}", *model_flags(base))

    assert result.returncode == 255
    assert (
        f"UNAVAILABLE: Failed to BuildAndStart gRPC server at 127.0.0.1:{port}."
        " Choose another --port" in result.stdout
    )


def test_without_a_rest_port_there_is_grpc_only(base: Path, log: Path) -> None:
    flags = ("--rest_api_port=0", "--enable_grpc_healthcheck_service")
    with server_process(TOY_SERVER, log, *flags, *model_flags(base), opens=False) as process:
        assert eventually(lambda: "Running gRPC ModelServer" in log.read_text())
        client = RawClient(f"127.0.0.1:{process.grpc_port}")
        health = client.call(CHECK, b"")
        answer = client.predict("m", x=np.ones(1, np.float32))
        client.close()
        code = process.stop()

    assert (health.code, answer.code, code) == ("OK", "OK", 0)
    assert "Exporting HTTP/REST" not in log.read_text()


def test_without_grpcio_there_is_rest_and_a_warning(base: Path, tmp_path: Path, log: Path) -> None:
    script = tmp_path / "without.py"
    script.write_text(
        "import importlib.util as util, sys; found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'grpc' else found(name, *rest)\n"
        "from tests.model_server.toy import ToyEngine, main; sys.exit(main(engine=ToyEngine()))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with server_process(
        (sys.executable, str(script)), log, *model_flags(base), env=environment
    ) as process:
        reply = process.client.predict("m", {"instances": [1.0]})
        with socket.socket() as caller:
            is_open = caller.connect_ex(("127.0.0.1", process.grpc_port)) == 0

    assert reply.status == 200
    assert not is_open
    assert log.read_text().count("There is no gRPC API, only REST: grpcio is not installed") == 1


def test_grpcio_is_imported_only_when_a_port_is_open() -> None:
    script = "import sys, model_server.server; sys.exit('grpc' in sys.modules)"

    assert ended([sys.executable, "-c", script]).returncode == 0


def test_a_model_that_cannot_be_loaded_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)

    result = run(
        f"--rest_api_port={free_port()}",
        f"--port={free_port()}",
        *model_flags(tmp_path / "m", "--max_num_load_retries=0"),
    )

    assert result.returncode == 255
    assert (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available:"
        " {{{name: m version: 1} due to error: NOT_FOUND: " in result.stdout
    )


def test_a_label_on_a_version_that_is_not_loaded_ends_the_start(tmp_path: Path, base: Path) -> None:
    label = 'version_labels { key: "stable" value: 1 }'
    config = config_file(tmp_path, f"model_config_list {{ {entry('m', base, label)} }}")

    result = run(f"--rest_api_port={free_port()}", f"--port={free_port()}", config)

    assert result.returncode == 255
    assert (
        "FAILED_PRECONDITION: Request to assign label to version 1 of model m,"
        " which is not currently available for inference" in result.stdout
    )


def test_with_the_flag_the_first_configuration_may_have_labels(
    tmp_path: Path, base: Path, log: Path
) -> None:
    label = 'version_labels { key: "stable" value: 1 }'
    config = config_file(tmp_path, f"model_config_list {{ {entry('m', base, label)} }}")
    flags = (config, "--allow_version_labels_for_unavailable_models")

    with server_process(TOY_SERVER, log, *flags) as process:
        reply = process.client.predict("m/labels/stable", {"instances": [1]})

    assert reply.json == {"predictions": [2.5]}


def test_a_config_without_models_serves_nothing(tmp_path: Path, log: Path) -> None:
    with server_process(TOY_SERVER, log, config_file(tmp_path, "\n")) as process:
        status = process.client.get("/v1/models/m")
        predict = process.client.predict("m/labels/x", {"instances": [1]})

    assert (status.status, status.error) == (404, "Could not find any versions of model m")
    assert (predict.status, predict.error) == (503, "Model labels does not init yet.x")


def test_ignored_flags_are_named_once(base: Path, log: Path) -> None:
    flags = model_flags(base, "--enable_profiler=true", "--mixed_precision=bfloat16")

    with server_process(TOY_SERVER, log, *flags):
        text = log.read_text()

    assert text.count("--enable_profiler is accepted and ignored.") == 1
    assert text.count("--mixed_precision is accepted and ignored.") == 1


def test_one_missing_base_path_does_not_delay_the_other_models(
    tmp_path: Path, base: Path, log: Path
) -> None:
    late = tmp_path / "late"
    config = config_file(
        tmp_path, f"model_config_list {{ {entry('m', base)} {entry('late', late)} }}"
    )

    with server_process(TOY_SERVER, log, config) as process:
        before = process.client.get("/v1/models/late")
        write_version(late, 1)
        came = eventually(lambda: process.client.get("/v1/models/late").status == 200)

    assert (before.status, came) == (404, True)


def test_without_any_version_the_port_stays_closed_until_there_is_one(
    tmp_path: Path, log: Path
) -> None:
    flags = model_flags(tmp_path / "m")

    with server_process(TOY_SERVER, log, *flags, opens=False) as process:
        assert eventually(lambda: "cannot be read" in log.read_text())
        assert not process.is_open
        write_version(tmp_path / "m", 1)
        process.wait_until_open()


def test_no_request_fails_while_a_new_version_takes_over(base: Path, log: Path) -> None:
    replies: list[Reply] = []
    done = threading.Event()

    def ask(process: Process) -> None:
        while not done.is_set():
            replies.append(process.client.predict("m", {"instances": [1.0]}))

    with (
        server_process(TOY_SERVER, log, *model_flags(base)) as process,
        in_threads(2, lambda _: ask(process)),
    ):
        began = eventually(lambda: replies)
        write_version(base, 2, plus=3)
        swapped = eventually(lambda: process.client.states("m") == {2: "AVAILABLE", 1: "END"})
        went_on = eventually(lambda: replies[-1].json == {"predictions": [3.5]})
        done.set()

    assert (began, swapped, went_on) == (True, True, True)
    assert {reply.status for reply in replies} == {200}
    assert {tuple(reply.json["predictions"]) for reply in replies} == {(2.5,), (3.5,)}


def test_a_changed_config_file_is_applied(tmp_path: Path, base: Path, log: Path) -> None:
    config = config_file(tmp_path, f"model_config_list {{ {entry('m', base)} }}")
    flags = (config, "--model_config_file_poll_wait_seconds=1")

    with server_process(TOY_SERVER, log, *flags) as process:
        config_file(tmp_path, f"model_config_list {{ {entry('other', base)} }}")
        came = eventually(lambda: process.client.get("/v1/models/other").status == 200)
        went = eventually(lambda: process.client.states("m") == {1: "END"})

    assert (came, went) == (True, True)


def test_requests_are_logged_as_the_configuration_says_and_written_before_the_end(
    tmp_path: Path, base: Path, log: Path
) -> None:
    prefix = str(tmp_path / "logs" / "m")
    logging = (
        f'logging_config {{ log_collector_config {{ filename_prefix: "{prefix}" }}'
        " sampling_config { sampling_rate: 1 } }"
    )
    config = config_file(tmp_path, f"model_config_list {{ {entry('m', base, logging)} }}")

    with server_process(TOY_SERVER, log, config) as process:
        process.client.predict("m", {"instances": [1]})
        process.client.predict("m", {"instances": ["not a number"]})
        client = RawClient(f"127.0.0.1:{process.grpc_port}")
        client.predict("m", x=np.ones(2, np.float32))
        client.close()
        code = process.stop()

    assert code == 0
    [rest, grpc] = [logged.predict_log.request for logged in read_logs(prefix)]
    assert rest.inputs[0].value.tensor_content == np.float32(1).tobytes()
    assert grpc.inputs[0].key == "x"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_on_a_signal_the_running_request_is_completed(
    tmp_path: Path, log: Path, number: signal.Signals
) -> None:
    write_version(tmp_path / "m", 1, delay_s=0.7)
    replies: list[Reply] = []

    with server_process(TOY_SERVER, log, *model_flags(tmp_path / "m")) as process:
        client = process.client
        with in_threads(1, lambda _: replies.append(client.predict("m", {"instances": [1]}))):
            assert eventually(lambda: "toy: running" in log.read_text())
            process.child.send_signal(number)
        code = process.child.wait(60)

    assert (replies[0].status, code) == (200, 0)


def test_after_the_grace_time_running_requests_are_aborted(tmp_path: Path, log: Path) -> None:
    write_version(tmp_path / "m", 1, delay_s=60)
    flags = model_flags(tmp_path / "m", "--shutdown_grace_seconds=0.2")

    with server_process(TOY_SERVER, log, *flags) as process:
        client = process.client
        with in_threads(1, lambda _: _broken_off(client)):
            assert eventually(lambda: "toy: running" in log.read_text())
            code = process.stop()

    assert code == 0
    assert "grace time is over" in log.read_text()


def _broken_off(client: Client) -> None:
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        client.predict("m", {"instances": [1]})


def test_a_signal_stops_a_server_that_is_still_loading(tmp_path: Path, log: Path) -> None:
    write_version(tmp_path / "m", 1, load_s=60)

    with server_process(TOY_SERVER, log, *model_flags(tmp_path / "m"), opens=False) as process:
        assert eventually(lambda: "toy: loading" in log.read_text())
        code = process.stop()

    assert code == 0


def test_many_idle_connections_do_not_exhaust_the_file_descriptors(base: Path, log: Path) -> None:
    limited = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *TOY_SERVER)

    with server_process(limited, log, *model_flags(base)) as process, ExitStack() as stack:
        for _ in range(150):
            address = ("127.0.0.1", process.port)
            stack.enter_context(socket.create_connection(address, timeout=60))
        for _ in range(10):
            assert process.client.predict("m", {"instances": [1.0]}).json == {"predictions": [2.5]}
        write_version(base, 2, plus=3)
        assert eventually(lambda: process.client.states("m") == {2: "AVAILABLE", 1: "END"})


def test_the_flags_bound_the_bodies(base: Path, log: Path) -> None:
    flags = model_flags(base, "--rest_api_max_body_bytes=2000", "--rest_api_max_total_bytes=10000")
    zipped = {"Content-Encoding": "gzip"}
    small, large = b'{"instances":[1]}', b'{"instances":[1]}' + b" " * 2000

    with server_process(TOY_SERVER, log, *flags) as process:

        def post(body: bytes, headers: dict[str, str]) -> int:
            return process.client.call("POST", "/v1/models/m:predict", body, headers).status

        assert (post(small, {}), post(large, {})) == (200, 413)
        assert post(gzip.compress(small), zipped) == 200
        assert post(gzip.compress(large), zipped) == 400


BAD_BODIES = [
    pytest.param(b'{"instances": [' + b"1.5," * 25_000_000 + b"x]}", id="100 MB of numbers"),
    pytest.param(b'{"instances": "' + b"x" * 100_000_000 + b'"}', id="100 MB of text"),
    pytest.param(b"[" * 1_000_000, id="a million brackets"),
]


@pytest.mark.slow
@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_hostile_body_does_not_end_the_server(base: Path, log: Path, body: bytes) -> None:
    with server_process(TOY_SERVER, log, *model_flags(base)) as process:
        process.client.call("POST", "/v1/models/m:predict", body)
        reply = process.client.predict("m", {"instances": [1.0]})

    assert reply.json == {"predictions": [2.5]}

"""The whole command line with fake servers: real processes and ports, no model."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.ports import port_problem
from orchestrator.probe import ask
from orchestrator.processes import identity
from tests.graphs import random_saved_model
from tests.orchestrator.conftest import gone
from tests.orchestrator.project_sandbox import FAKE_SERVER, ProjectSandbox, executable
from tests.waiting import eventually


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[ProjectSandbox]:
    sandbox = ProjectSandbox(tmp_path).build()
    yield sandbox
    sandbox.tear_down()


def assert_nothing_left(sandbox: ProjectSandbox) -> None:
    assert sandbox.call("status").returncode == 3
    assert not port_problem("127.0.0.1", sandbox.port)
    assert not port_problem("127.0.0.1", sandbox.serving_port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_both(sandbox: ProjectSandbox, number: signal.Signals) -> None:
    with sandbox.foreground() as auto_cmd:
        sandbox.await_ready()

        auto_cmd.send_signal(number)

        assert auto_cmd.wait(timeout=60) == 0
    assert_nothing_left(sandbox)


def test_the_start_prints_its_choices_and_commands_to_try(sandbox: ProjectSandbox) -> None:
    with sandbox.foreground("start") as auto_cmd:
        sandbox.await_ready()
        auto_cmd.terminate()

    said = sandbox.output
    url = f"http://127.0.0.1:{sandbox.port}"
    sample = f"{sandbox.root}/.venv/bin/python {sandbox.root}/flask_server/flask_sample_request.py"
    assert "serving: embedded, as no tensorflow_model_server is on PATH" in said
    assert f"ready: {url}" in said
    assert "digits" not in said
    assert f"{sample} -i {sandbox.root}/test_images/cat.jpg --url {url}" in said
    assert f"curl {url}/models" in said


def test_the_start_names_the_digits_where_they_are_served_and_the_key_where_one_is_asked_for(
    sandbox: ProjectSandbox,
) -> None:
    (sandbox.root / "models.toml").write_text('[models.digits]\nbase_path = "my_model"\n')
    sandbox.env["GATEWAY_API_KEYS_FILE"] = "keys.json"

    said = sandbox.call("start", "--detach").stdout

    asked = f"--url http://127.0.0.1:{sandbox.port} --api-key KEY\n"
    assert f"/test_images/digit_3.png --model digits {asked}" in said
    assert f"/test_images/cat.jpg {asked}" in said
    assert f"  curl -H 'X-API-Key: KEY' http://127.0.0.1:{sandbox.port}/models\n" in said


def test_paths_are_short_in_the_project_itself(sandbox: ProjectSandbox) -> None:
    with sandbox.foreground("start", cwd=sandbox.root) as auto_cmd:
        sandbox.await_ready()
        auto_cmd.terminate()

    assert "  .venv/bin/python flask_server/flask_sample_request.py -i test_" in sandbox.output


@pytest.mark.parametrize("word", ["exit", "q", "  EXIT ", "what?\nexit"])
def test_typing_a_word_stops_both(sandbox: ProjectSandbox, word: str) -> None:
    with sandbox.foreground(stdin=subprocess.PIPE) as auto_cmd:
        assert auto_cmd.stdin is not None
        sandbox.await_ready()

        auto_cmd.stdin.write(f"{word}\n")
        auto_cmd.stdin.flush()

        assert auto_cmd.wait(timeout=60) == 0


def test_other_words_and_the_end_of_a_pipe_do_not_stop(sandbox: ProjectSandbox) -> None:
    with sandbox.foreground(stdin=subprocess.PIPE) as auto_cmd:
        sandbox.await_ready()
        assert auto_cmd.stdin is not None
        auto_cmd.stdin.write("quiet\n")
        auto_cmd.stdin.close()

        with pytest.raises(subprocess.TimeoutExpired):
            auto_cmd.wait(timeout=0.5)
        auto_cmd.stdin = None
        auto_cmd.terminate()


def test_a_terminal_gets_a_prompt_and_its_end_stops_both(sandbox: ProjectSandbox) -> None:
    terminal, child_end = pty.openpty()
    auto_cmd = subprocess.Popen(
        sandbox.argv(),
        stdin=child_end,
        stdout=child_end,
        stderr=child_end,
        env=sandbox.env,
        cwd="/",
    )
    os.close(child_end)
    said = b""
    while b"Type exit" not in said:
        said += os.read(terminal, 4096)

    os.write(terminal, b"\x04")

    assert auto_cmd.wait(timeout=60) == 0
    os.close(terminal)
    assert b"try next" in said


def test_a_job_in_the_background_of_a_shell_goes_on(sandbox: ProjectSandbox) -> None:
    terminal, child_end = pty.openpty()
    # A session leader that opens a terminal gets it; set -m puts the job into the background.
    script = 'exec <"$0"; set -m; "$@" & wait $!'
    shell = subprocess.Popen(
        ["/bin/sh", "-c", script, os.ttyname(child_end), *sandbox.argv()],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=sandbox.env,
    )
    sandbox.await_ready()

    state = Path(f"/proc/{sandbox.status()['pid']}/stat").read_text().rpartition(")")[2].split()[0]

    assert state in "RSD"  # and not stopped, as a job that reads from its terminal would be
    sandbox.call("stop")
    shell.wait(timeout=60)
    os.close(terminal)
    os.close(child_end)


def test_start_detach_status_stop(sandbox: ProjectSandbox) -> None:
    started = sandbox.call("start", "--detach")
    assert started.returncode == 0
    assert "try next" in started.stdout
    status = sandbox.call("status")
    assert status.returncode == 0
    assert "serving  READY" in status.stdout

    stopped = sandbox.call("stop")

    assert stopped.returncode == 0
    assert_nothing_left(sandbox)
    assert sandbox.call("stop").stdout == "nothing is running\n"


@pytest.mark.parametrize("words", [["start"], ["start", "--detach"], []])
def test_a_second_start_reports_the_running_instance(
    sandbox: ProjectSandbox, words: list[str]
) -> None:
    sandbox.call("start", "--detach")
    before = sandbox.status()

    second = sandbox.call(*words)

    assert second.returncode == 0
    assert f"already running: PID {before['pid']}" in second.stdout
    assert f"http://127.0.0.1:{sandbox.port}" in second.stdout
    assert sandbox.status() == before


def test_status_for_programs(sandbox: ProjectSandbox) -> None:
    assert sandbox.status() == {"running": False}
    sandbox.call("start", "--detach")

    status = sandbox.status()

    assert status["running"] is True
    assert status["ready"] is True
    assert status["serving"]["kind"] == "embedded"
    assert status["children"]["gateway"]["url"] == f"http://127.0.0.1:{sandbox.port}"


def test_the_native_server_is_used_when_it_is_on_path(sandbox: ProjectSandbox) -> None:
    bin_folder = sandbox.root / "bin"
    script = f'#!/bin/sh\nexec {sys.executable} -E -S {FAKE_SERVER} "$@"\n'
    executable(bin_folder / "tensorflow_model_server", script)
    sandbox.env["PATH"] = f"{bin_folder}:/usr/bin:/bin"

    started = sandbox.call("start", "--detach")

    assert f"serving: native, {bin_folder}/tensorflow_model_server" in started.stdout
    assert "listens on all addresses" in started.stdout
    assert "--model_config_file=" in sandbox.log("serving")


def test_a_taken_port_is_reported_with_its_process(sandbox: ProjectSandbox) -> None:
    other = [sys.executable, "-E", "-S", str(FAKE_SERVER), "--bind", f"127.0.0.1:{sandbox.port}"]
    with subprocess.Popen(other, cwd="/", stderr=subprocess.DEVNULL) as process:
        assert eventually(lambda: port_problem("127.0.0.1", sandbox.port))

        refused = sandbox.call("start")
        process.kill()

    assert refused.returncode == 1
    assert f"port {sandbox.port} on 127.0.0.1 is taken by PID {process.pid} (" in refused.stderr
    assert "--port" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("words", [["start"], ["start", "--detach"]])
def test_a_missing_model_folder_is_wrong_usage(sandbox: ProjectSandbox, words: list[str]) -> None:
    (sandbox.root / "models.toml").write_text('[models.m]\nbase_path = "nowhere"\n')

    refused = sandbox.call(*words)

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "models.m.base_path" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["start", "--serving", "none"], "--serving-url"),
        (["start", "--serving-url", "http://h:1"], "--serving none"),
        (["start", "--serving", "none", "--serving-url", "grpc://h:1"], "of the REST API"),
        (["start", "--serving", "none", "--serving-url", "http://h:1,http://i:1"], "one address"),
        (["start", "--serving", "native"], "needs tensorflow_model_server on PATH"),
        (["start", "--serving", "docker"], "needs docker on PATH"),
        (["start", "--deadline", "0"], "argument --deadline: '0' is not allowed"),
        (["start", "--deadline", "nan"], "allowed is a number of seconds above 0"),
        (["start", "--gateway-workers", "0"], "a whole number from 1"),
        (["start", "--det"], "unrecognized arguments: --det"),
        (["start", "--models-file", "/no/file"], "cannot be read"),
        (["sing"], "invalid choice"),
    ],
)
def test_wrong_usage_is_explained(sandbox: ProjectSandbox, words: list[str], message: str) -> None:
    refused = sandbox.call(*words)

    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_genuine_server_is_not_started_with_request_logging(sandbox: ProjectSandbox) -> None:
    sandbox.install_native()
    sandbox.add_model("logged", 'logging = { rate = 1, prefix = "logs/m" }')

    refused = sandbox.call("start")

    assert refused.returncode == 2
    assert "models.logged.logging: only the embedded server logs requests" in refused.stderr


def test_a_deadline_of_the_environment_is_checked(sandbox: ProjectSandbox) -> None:
    sandbox.env["GATEWAY_DEADLINE_S"] = "soon"

    refused = sandbox.call("start")

    assert refused.returncode == 2
    assert "GATEWAY_DEADLINE_S: 'soon' is not allowed" in refused.stderr


def test_a_model_without_a_version_does_not_keep_the_start_waiting(sandbox: ProjectSandbox) -> None:
    (sandbox.root / "empty").mkdir()
    with (sandbox.root / "models.toml").open("a") as models:
        models.write('[models.later]\nbase_path = "empty"\n')

    started = sandbox.call("start", "--detach")

    assert started.returncode == 0
    assert started.stdout.count("later") == 1
    assert "model later has no version yet" in started.stdout


def test_a_broken_model_is_named_and_does_not_keep_the_others_down(sandbox: ProjectSandbox) -> None:
    (sandbox.root / "good" / "1").mkdir(parents=True)
    with (sandbox.root / "models.toml").open("a") as models:
        models.write('[models.good]\nbase_path = "good"\n')
    sandbox.behave(serving="broken")

    started = sandbox.call("start", "--detach")

    assert started.returncode == 0
    assert "warning: model m cannot be loaded: cannot be parsed" in started.stdout


def test_a_start_without_any_model_that_loads_fails(sandbox: ProjectSandbox) -> None:
    sandbox.behave(serving="broken")

    failed = sandbox.failed_start("no model can be loaded", 1)

    assert failed.returncode == 1
    assert "no model can be loaded: cannot be parsed" in failed.stdout


def test_a_listed_version_that_is_not_there_is_not_waited_for(sandbox: ProjectSandbox) -> None:
    models = '[models.m]\nbase_path = "my_model"\nversions = [7]\n'
    (sandbox.root / "models.toml").write_text(models)

    started = sandbox.call("start", "--detach")

    assert "model m has no version yet" in started.stdout


def test_a_serving_elsewhere_is_not_started(sandbox: ProjectSandbox) -> None:
    words = ["start", "--detach", "--serving", "none", "--serving-url", "http://127.0.0.1:1"]

    started = sandbox.call(*words)

    assert started.returncode == 0
    assert list(sandbox.status()["children"]) == ["gateway"]


@pytest.mark.parametrize("child", ["serving", "gateway"])
def test_a_killed_child_comes_back_and_the_other_stays(sandbox: ProjectSandbox, child: str) -> None:
    sandbox.call("start", "--detach")
    other = {"serving": "gateway", "gateway": "serving"}[child]
    before, others = sandbox.pid(child), sandbox.pid(other)

    sandbox.kill(child)
    assert eventually(lambda: sandbox.pid(child) not in {0, before} and sandbox.is_ready())

    assert sandbox.pid(other) == others
    assert "exit code 137, SIGKILL; restart 1 in 0.5 s" in sandbox.log("auto_cmd")


def test_nothing_outlives_a_killed_auto_cmd_and_the_next_start_reports_it(
    sandbox: ProjectSandbox,
) -> None:
    sandbox.call("start", "--detach")
    status = sandbox.status()
    children = [sandbox.pid("serving"), sandbox.pid("gateway")]

    os.kill(status["pid"], signal.SIGKILL)

    assert eventually(lambda: all(map(gone, children)))
    assert sandbox.call("status").returncode == 3
    again = sandbox.call("start", "--detach")
    assert again.returncode == 0
    assert f"PID {status['pid']} is gone" in again.stdout


def test_stop_ends_a_start_that_waits_for_leftovers(sandbox: ProjectSandbox) -> None:
    sandbox.behave(serving="ignore_term")
    sandbox.call("start", "--detach")
    status, serving = sandbox.status(), sandbox.pid("serving")
    os.kill(status["pid"], signal.SIGKILL)
    with sandbox.foreground("start", "--detach") as auto_cmd:
        assert eventually(lambda: "is still ending" in sandbox.output)

        stopped = sandbox.call("stop")

        assert auto_cmd.wait(timeout=60) == 1
    assert stopped.returncode == 0
    assert stopped.stdout.startswith("stopped PID ")
    assert "ended by SIGTERM before it was ready" in sandbox.output
    os.kill(serving, signal.SIGKILL)
    assert eventually(lambda: gone(serving))
    assert_nothing_left(sandbox)


def test_a_reused_pid_is_recognized_and_not_signalled(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    state = sandbox.root / ".run" / "auto_cmd.json"
    old = state.read_text()
    pid = sandbox.status()["pid"]
    sandbox.call("stop")
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        state.write_text(old.replace(f'"pid": {pid},', f'"pid": {other.pid},'))

        stopped = sandbox.call("stop")

        assert identity(other.pid) is not None
        other.kill()
    assert f"PID {other.pid} is another program now: /bin/sleep 60" in stopped.stdout


def test_a_child_that_exits_at_once_ends_the_start_with_its_last_lines(
    sandbox: ProjectSandbox,
) -> None:
    sandbox.behave(gateway="exit")

    failed = sandbox.call("start")

    assert failed.returncode == 1
    assert "gateway: STARTING -> FAILED (exit code 1 before it was ever ready)" in failed.stdout
    assert "  gateway does not like its flags" in failed.stdout
    assert_nothing_left(sandbox)


def test_a_failed_start_shows_no_lines_of_earlier_runs(sandbox: ProjectSandbox) -> None:
    log = sandbox.root / ".run" / "logs" / "gateway.log"
    log.parent.mkdir(parents=True)
    log.write_text("the reason of yesterday\n")
    sandbox.behave(gateway="exit")

    failed = sandbox.call("start")

    assert failed.returncode == 1
    assert "  gateway does not like its flags" in failed.stdout
    assert "yesterday" not in failed.stdout
    assert "yesterday" in sandbox.log("gateway")


def test_a_child_that_is_never_ready_ends_the_start(sandbox: ProjectSandbox) -> None:
    sandbox.behave(serving="unready", gateway="unready")

    failed = sandbox.call("start", "--detach", "--start-timeout", "1")

    assert failed.returncode == 1
    # On a busy machine, the supervisor looks some seconds later.
    assert re.search(r"not ready after [1-9]\d* s", failed.stdout)
    assert_nothing_left(sandbox)


def test_a_child_that_ignores_term_is_killed_after_the_grace_time(sandbox: ProjectSandbox) -> None:
    sandbox.behave(serving="ignore_term")
    sandbox.call("start", "--detach", "--grace", "0.3")
    pid = sandbox.pid("serving")

    stopped = sandbox.call("stop")

    assert stopped.returncode == 0
    assert gone(pid)
    assert "serving: STOPPING -> STOPPED (exit code 137, SIGKILL)" in sandbox.log("auto_cmd")


def test_the_gateway_is_stopped_before_serving(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")

    sandbox.call("stop")

    log = sandbox.log("auto_cmd")
    assert log.index("gateway: STOPPING -> STOPPED") < log.index("serving: READY -> STOPPING")


def test_restart_serving_leaves_the_gateway_alone(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    serving, gateway = sandbox.pid("serving"), sandbox.pid("gateway")

    done = sandbox.call("restart", "serving")

    assert done.returncode == 0
    assert sandbox.is_ready()
    assert sandbox.pid("serving") != serving
    assert sandbox.pid("gateway") == gateway


def test_a_stopped_supervisor_goes_on_to_restart_a_child(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    serving = sandbox.pid("serving")
    os.kill(sandbox.status()["pid"], signal.SIGSTOP)

    done = sandbox.call("restart", "serving")

    assert done.returncode == 0
    assert sandbox.pid("serving") != serving


def test_restart_without_a_name_restarts_both(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    before = {sandbox.pid("serving"), sandbox.pid("gateway")}

    done = sandbox.call("restart")

    assert done.returncode == 0
    assert sandbox.is_ready()
    assert not before & {sandbox.pid("serving"), sandbox.pid("gateway")}


def test_a_failed_restart_is_reported(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    sandbox.behave(serving="exit")

    done = sandbox.call("restart", "serving")

    assert done.returncode == 1
    assert "serving did not become ready again" in done.stderr


def test_a_restart_that_would_end_the_gateway_is_refused_and_it_goes_on(
    sandbox: ProjectSandbox,
) -> None:
    sandbox.call("start", "--detach")
    gateway = sandbox.pid("gateway")
    sandbox.behave(gateway="exit")

    refused = sandbox.call("restart", "gateway")

    assert refused.returncode == 1
    assert "gateway was not restarted and runs on unchanged: gateway with" in refused.stderr
    assert refused.stderr.endswith("gateway does not like its flags\n")
    assert sandbox.is_ready()
    assert sandbox.pid("gateway") == gateway


def test_restart_needs_something_that_runs(sandbox: ProjectSandbox) -> None:
    assert sandbox.call("restart", "gateway").returncode == 3


def test_logs_of_both_and_of_one(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")

    both = sandbox.call("logs").stdout
    one = sandbox.call("logs", "gateway").stdout

    assert "serving | serving with PID" in both
    assert "gateway | gateway with PID" in both
    assert one.startswith("gateway with PID")


def test_logs_follow_until_interrupted(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    with sandbox.foreground("logs", "-f", "serving") as logs:
        assert eventually(lambda: "serving with PID" in sandbox.output)
        pid = sandbox.pid("serving")

        sandbox.call("restart", "serving")

        assert eventually(lambda: sandbox.output.count("serving with PID") == 2)
        logs.send_signal(signal.SIGINT)
        assert logs.wait(timeout=60) == 0
    assert str(pid) in sandbox.output


def test_the_callers_settings_reach_the_gateway_unless_an_option_is_given(
    sandbox: ProjectSandbox,
) -> None:
    sandbox.env |= {"GATEWAY_DEADLINE_S": "3", "GATEWAY_WORKERS": "5"}

    sandbox.call("start", "--detach", "--gateway-workers", "2")

    assert "--rest_api_timeout_in_ms=3000" in sandbox.log("serving")
    environ = Path(f"/proc/{sandbox.pid('gateway')}/environ").read_bytes().split(b"\0")
    assert b"GATEWAY_DEADLINE_S=3" in environ
    assert b"GATEWAY_WORKERS=2" in environ
    assert f"GATEWAY_SERVING_URL=http://127.0.0.1:{sandbox.serving_port}".encode() in environ


def test_doctor_names_each_fault_with_its_fix(sandbox: ProjectSandbox) -> None:
    (sandbox.root / "my_model" / "1" / "model.h5").touch()

    found = sandbox.call("doctor", "--serving", "none", "--serving-url", "http://h:1")
    with_models = sandbox.call("doctor")

    assert "my_model/1/model.h5" not in found.stdout
    assert with_models.returncode == 1
    assert "WRONG" in with_models.stdout
    assert "model.h5 is a Keras file, not a SavedModel" in with_models.stdout
    assert f"scripts/export_saved_model.py --model {sandbox.root}" in with_models.stdout


def test_start_and_doctor_name_a_version_that_answers_at_random(sandbox: ProjectSandbox) -> None:
    (sandbox.root / "my_model" / "1" / "saved_model.pb").write_bytes(random_saved_model())

    started = sandbox.call("start", "--detach")
    found = sandbox.call("doctor")

    told = "version 1 answers the same image differently each time"
    assert f"note: model m: {told}" in started.stdout
    assert f"note  {told}" in found.stdout
    assert found.stdout.count("with the original Keras file") == 1


def test_doctor_asks_whether_the_gateway_would_start(sandbox: ProjectSandbox) -> None:
    well = sandbox.call("doctor")
    sandbox.behave(gateway="exit")

    found = sandbox.call("doctor")

    assert "ok    gateway would start" in well.stdout
    assert found.returncode == 1
    assert "WRONG gateway would not start: " in found.stdout
    assert "gateway does not like its flags" in found.stdout


def test_doctor_knows_the_ports_of_the_running_instance(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")

    found = sandbox.call("doctor")

    assert f"port {sandbox.port} on 127.0.0.1 is used by the running instance" in found.stdout


def test_a_model_that_gets_its_first_version_is_added_to_the_native_servers_config(
    sandbox: ProjectSandbox,
) -> None:
    script = f'#!/bin/sh\nexec {sys.executable} -E -S {FAKE_SERVER} "$@"\n'
    executable(sandbox.root / "bin" / "tensorflow_model_server", script)
    sandbox.env["PATH"] = f"{sandbox.root / 'bin'}:/usr/bin:/bin"
    (sandbox.root / "later").mkdir()
    with (sandbox.root / "models.toml").open("a") as models:
        models.write('[models.later]\nbase_path = "later"\n')
    sandbox.call("start", "--detach")
    config = sandbox.root / ".run" / "models.config"
    assert '"later"' not in config.read_text()

    (sandbox.root / "later" / "1").mkdir()

    assert eventually(lambda: 'name: "later"' in config.read_text())


def test_a_full_disk_ends_nothing(sandbox: ProjectSandbox) -> None:
    logs = sandbox.root / ".run" / "logs"
    logs.mkdir(parents=True)
    for full in (logs / "serving.log", logs / "gateway.log", sandbox.root / ".run/auto_cmd.draft"):
        full.symlink_to("/dev/full")

    with sandbox.foreground("start") as auto_cmd:
        assert eventually(lambda: "ready: " in sandbox.output)
        assert ask(f"http://127.0.0.1:{sandbox.port}/").status == 200
        auto_cmd.terminate()

    assert auto_cmd.returncode == 0
    assert "auto_cmd.json cannot be written: [Errno 28] No space left on device" in sandbox.output

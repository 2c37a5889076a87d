"""A model that cannot be used is named and does not keep the others down."""

from __future__ import annotations

import json

import pytest

from tests.orchestrator.fake_server import REASON
from tests.orchestrator.project_sandbox import ProjectSandbox
from tests.waiting import eventually


@pytest.fixture
def sandbox(sandbox: ProjectSandbox) -> ProjectSandbox:
    sandbox.add_model("good")
    return sandbox


@pytest.mark.parametrize("gateway", ["undescribed", "secret"])
def test_the_start_names_it_with_the_gateways_reason(sandbox: ProjectSandbox, gateway: str) -> None:
    sandbox.behave(gateway=gateway)

    started = sandbox.call("start", "--detach", "--start-timeout", "60")

    assert started.returncode == 0
    assert f"warning: model m cannot be used: {REASON}" in started.stdout
    assert "model good" not in started.stdout.partition("warning")[2]


def test_status_names_it_for_people_and_programs(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    assert sandbox.status()["unusable_models"] == {}
    sandbox.behave(gateway="undescribed")

    said = sandbox.call("status")

    assert said.returncode == 0
    assert f"warning: model m is not ready: {REASON}" in said.stdout
    assert sandbox.status()["unusable_models"] == {"m": REASON}


def test_doctor_names_it_while_the_instance_runs(sandbox: ProjectSandbox) -> None:
    sandbox.behave(gateway="undescribed")
    sandbox.call("start", "--detach")

    found = sandbox.call("doctor")

    assert found.returncode == 1
    assert f"WRONG model m is not ready: {REASON}" in found.stdout


def test_a_restart_of_the_gateway_ends_nothing_and_names_it(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    serving = sandbox.pid("serving")
    sandbox.behave(gateway="undescribed")

    done = sandbox.call("restart", "gateway")

    assert done.returncode == 0
    assert f"warning: model m is not ready: {REASON}" in done.stdout
    assert sandbox.is_ready()
    assert sandbox.pid("serving") == serving


def test_a_restart_ends_nothing_where_no_model_can_be_used_any_more(
    sandbox: ProjectSandbox,
) -> None:
    (sandbox.root / "models.toml").write_text('[models.m]\nbase_path = "my_model"\n')
    sandbox.call("start", "--detach")
    sandbox.behave(gateway="undescribed", serving="broken")

    assert sandbox.call("restart").returncode == 0

    assert sandbox.is_ready()


def test_a_start_in_which_no_model_can_be_used_fails(sandbox: ProjectSandbox) -> None:
    (sandbox.root / "models.toml").write_text('[models.m]\nbase_path = "my_model"\n')
    sandbox.behave(gateway="undescribed")

    failed = sandbox.failed_start(f"no model can be used: {REASON}", 4)

    assert failed.returncode == 1
    assert f"no model can be used: {REASON}" in failed.stdout


def test_the_native_servers_first_list_is_empty_at_each_start(sandbox: ProjectSandbox) -> None:
    sandbox.install_native()
    sandbox.behave(serving="strict")
    config = sandbox.root / ".run" / "models.config"

    started = sandbox.call("start", "--detach")

    assert started.returncode == 0, started.stdout
    assert 'name: "good"' in config.read_text()
    assert sandbox.call("restart", "serving").returncode == 0
    serving = sandbox.pid("serving")
    sandbox.kill("serving")
    assert eventually(lambda: sandbox.pid("serving") not in {0, serving} and sandbox.is_ready())
    assert eventually(lambda: 'name: "good"' in config.read_text())


def test_a_gateway_that_fails_again_and_again_ends_nothing(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    serving = sandbox.pid("serving")
    sandbox.behave(gateway="exit")

    sandbox.kill("gateway")

    assert eventually(lambda: sandbox.status()["children"]["gateway"]["failures"] > 2)
    said = sandbox.call("status")
    assert said.returncode == 1
    assert "failures in a row; it is started again for ever" in said.stdout
    assert sandbox.pid("serving") == serving
    sandbox.behave()
    assert eventually(sandbox.is_ready)


def test_a_restart_takes_up_the_models_file(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    config = sandbox.root / ".run" / "models.config"

    for words in (["restart"], ["restart", "serving"], ["restart", "gateway"]):
        name = "-".join(words)
        sandbox.add_model(name, "version_labels = {stable = 1}")
        assert f'name: "{name}"' not in config.read_text()
        assert sandbox.call(*words).returncode == 0

        assert f'name: "{name}"' in config.read_text()
    assert json.dumps("stable") in config.read_text()


def test_a_restart_with_a_wrong_models_file_is_refused(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    serving = sandbox.pid("serving")
    sandbox.add_model("late", "typo = 1")

    refused = sandbox.call("restart", "serving")

    assert refused.returncode == 1
    assert "serving was not restarted and runs on unchanged" in refused.stderr
    assert "models.late.typo" in refused.stderr
    assert sandbox.pid("serving") == serving
    sandbox.kill("serving")
    assert eventually(lambda: sandbox.pid("serving") not in {0, serving} and sandbox.is_ready())
    assert 'name: "good"' in (sandbox.root / ".run" / "models.config").read_text()

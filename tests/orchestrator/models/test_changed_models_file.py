"""auto_cmd takes up a changed models file while it runs, without a restart of a child."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_catalog.models_file import load_models_file
from model_server.protos import read_message
from orchestrator.models import model_health
from orchestrator.models.config_file import GATEWAY_POLLS_S
from orchestrator.models.served_models import ServedModels
from orchestrator.probe import Answer, ask
from orchestrator.resolved_options import resolve
from orchestrator.run_dir import RunDir
from orchestrator.start_options import add_start_options
from tests.flask_server.stub_serving import Servable, StubServing

M = '[models.m]\nbase_path = "m"\n'
N = '[models.n]\nbase_path = "n"\n'


class Setup:
    """The models of a folder, served by a stub, with a clock of its own."""

    def __init__(self, folder: Path, serving: StubServing) -> None:
        self.folder, self.serving, self.now = folder, serving, 0.0
        for base_path in ("m", "n", "moved"):
            (folder / base_path / "1").mkdir(parents=True)
        self.write(M)
        parser = argparse.ArgumentParser()
        add_start_options(parser)
        words = ["--serving", "embedded", "--deadline", "3", "--batching"]
        words += ["--serving-port", str(serving.server.server_port)]
        run_dir = RunDir(folder / ".run")
        options = resolve(parser.parse_args(words), run_dir, folder)
        models = load_models_file(folder / "models.toml")
        self.served = ServedModels(options, models, clock=lambda: self.now)
        self.served.prepare_serving()
        self.settle()

    def write(self, text: str) -> None:
        (self.folder / "models.toml").write_text(text)

    def settle(self) -> list[str]:
        """Let housekeeping run until a change has settled; return its messages."""
        return [message for _ in range(3) for message in self.served.housekeep()]

    @property
    def config(self) -> str:
        return (self.folder / ".run" / "models.config").read_text()


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    with StubServing().running() as serving:
        serving.models = {"m": {1: Servable()}}
        yield Setup(tmp_path, serving)


def test_every_config_file_of_the_command_line_is_written(setup: Setup) -> None:
    named = [word for word in setup.served.command().argv if "_file=" in word]

    assert {Path(word.partition("=")[2]).name for word in named} == {
        "models.config",
        "monitoring.config",
        "batching.config",
    }
    assert all(Path(word.partition("=")[2]).exists() for word in named)


def test_serving_answers_metrics_at_the_path_of_tensorflow_serving(setup: Setup) -> None:
    message = read_message(setup.folder / ".run" / "monitoring.config", "MonitoringConfig")

    assert message.prometheus_config.enable
    assert message.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_a_model_is_added(setup: Setup) -> None:
    setup.write(M + N)

    assert setup.settle() == ["models file: model n added"]
    assert 'name: "n"' in setup.config
    assert setup.served.facts["models"] == ["m", "n"]
    assert setup.settle() == []


def test_serving_keeps_a_removed_model_until_no_request_is_in_flight(setup: Setup) -> None:
    setup.write(N)

    assert setup.settle() == ["models file: model m removed; model n added; n is the default model"]
    assert setup.served.facts["models"] == ["n"]
    assert 'name: "m"' in setup.config
    setup.now = 3 + GATEWAY_POLLS_S - 1
    setup.settle()
    assert 'name: "m"' in setup.config

    setup.now += 1
    setup.settle()

    assert 'name: "m"' not in setup.config
    assert 'name: "n"' in setup.config


def test_a_removed_model_that_comes_back_stays_served(setup: Setup) -> None:
    before = setup.config
    setup.write(N)
    setup.settle()

    setup.write(M)
    setup.settle()
    setup.now = 3600

    setup.settle()
    assert setup.config == before


def test_a_serving_that_starts_gets_no_removed_model(setup: Setup) -> None:
    setup.write(N)
    setup.settle()

    setup.served.prepare_serving()

    assert 'name: "m"' not in setup.config


def test_another_base_path_leaves_the_model_out_until_serving_has_unloaded_it(
    setup: Setup,
) -> None:
    setup.write(M.replace('"m"', '"moved"'))

    setup.settle()
    assert 'name: "m"' not in setup.config

    setup.serving.models["m"][1].state = "END"
    setup.settle()
    assert str(setup.folder / "moved") in setup.config


def test_a_serving_that_does_not_answer_is_asked_once_in_a_round(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.write(M + N)
    setup.settle()
    setup.write(M.replace('"m"', '"n"') + N.replace('"n"', '"m"'))
    asked: list[str] = []

    def noted(url: str) -> Answer:
        asked.append(url)
        return ask(url)

    monkeypatch.setattr(model_health, "ask", noted)
    with setup.serving.stopped():
        setup.settle()
        asked.clear()
        setup.served.housekeep()

        assert len(asked) == 1
        assert "name:" not in setup.config  # what is loaded is not known

    del setup.serving.models["m"]
    setup.settle()
    assert setup.config.count("base_path:") == 2


def test_a_serving_that_starts_gets_a_moved_model_at_once(setup: Setup) -> None:
    setup.write(M.replace('"m"', '"moved"'))
    setup.settle()

    with setup.serving.stopped():
        setup.served.prepare_serving()

    assert str(setup.folder / "moved") in setup.config


def test_a_label_moves_once_the_version_is_available(setup: Setup) -> None:
    (setup.folder / "m" / "2").mkdir()
    setup.write(M + "versions = [1]\nversion_labels = { stable = 1 }\n")
    setup.settle()

    setup.write(M + "versions = [2]\nversion_labels = { stable = 2 }\n")
    messages = setup.settle()
    assert "label stable of model m waits for version 2 to be available" in messages
    assert "versions: 1 versions: 2" in setup.config
    assert 'key: "stable" value: 1' in setup.config

    setup.serving.models["m"][2] = Servable()
    setup.settle()
    assert "versions: 1" not in setup.config
    assert 'key: "stable" value: 2' in setup.config


@pytest.mark.parametrize("text", ["[models.m", M + "typo = 1\n", M + "[models.x]\nbase_path = 'x'"])
def test_a_broken_file_changes_nothing_and_is_told_once(setup: Setup, text: str) -> None:
    before = setup.config
    setup.write(text)

    (told,) = setup.settle()

    assert told.startswith("the changed models file is not used: ")
    assert setup.served.facts["models_file_problem"] in told
    assert setup.settle() == []
    assert setup.config == before
    setup.write(M)
    assert setup.settle() == ["models file: no difference to the one in use"]
    assert setup.served.facts["models_file_problem"] == ""

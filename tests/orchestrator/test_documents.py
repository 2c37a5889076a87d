"""The manual and the systemd unit are under test too: they name what there is, and fit together."""

from __future__ import annotations

import argparse
import shlex
from configparser import ConfigParser
from pathlib import Path

import pytest

import auto_cmd
from orchestrator.command_line import parser
from orchestrator.run_dir import RunDir
from orchestrator.serving_command import KINDS

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs" / "auto_cmd.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
UNIT = ROOT / "deploy" / "image-classification-gateway.service"
PARSER = parser(auto_cmd.program())


def verbs() -> dict[str, argparse.ArgumentParser]:
    action = next(a for a in PARSER._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def options() -> list[str]:
    found = {
        option
        for verb in verbs().values()
        for action in verb._actions
        if action.help is not argparse.SUPPRESS
        for option in action.option_strings
    }
    return sorted(found - {"-h", "--help"})


@pytest.mark.parametrize("option", options())
def test_the_reference_names_every_option(option: str) -> None:
    assert f"`{option}`" in REFERENCE


@pytest.mark.parametrize("verb", verbs())
def test_the_manual_names_every_command(verb: str) -> None:
    assert f"`{verb}" in MANUAL


@pytest.mark.parametrize("kind", KINDS)
def test_the_manual_names_every_kind_of_serving(kind: str) -> None:
    assert f"`{kind}`" in MANUAL


def service() -> dict[str, str]:
    # A key may occur several times; the last value is the one that is kept.
    unit = ConfigParser(interpolation=None, delimiters=["="], strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    unit.read(UNIT)
    return dict(unit["Service"])


@pytest.mark.parametrize("key", ["ExecStart", "ExecReload"])
def test_the_units_commands_are_ours(key: str) -> None:
    program, script, *words = shlex.split(service()[key])

    options = PARSER.parse_args(words)

    assert program.endswith("/.venv/bin/python")
    assert script == "auto_cmd.py"
    assert options.command == {"ExecStart": "start", "ExecReload": "restart"}[key]
    assert options.run_dir == Path("/var/lib", service()["StateDirectory"])


def test_the_unit_waits_longer_than_we_do(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    models = tmp_path / "models.toml"
    models.write_text('[models.m]\nbase_path = "models"\n')
    options = PARSER.parse_args(["start", "--models-file", str(models)])

    plan = auto_cmd.plan(options, RunDir(tmp_path / "run"))

    assert float(service()["TimeoutStopSec"]) > plan.stop_s
    assert float(service()["TimeoutStartSec"]) > plan.policy.start_timeout_s

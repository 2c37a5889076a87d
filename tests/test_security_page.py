"""docs/security.md names limits that exist, with the values that the code has."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

import pytest

from flask_server.errors import kinds
from flask_server.settings import PREFIX, Settings
from model_server.cpus import CPUS
from model_server.flag_table import FLAGS
from orchestrator.start_options import add_start_options

PAGE = (Path(__file__).parent.parent / "docs/security.md").read_text(encoding="utf-8")
#: Limit, default, setting, and what the client sees.
ROW = re.compile(r"^\| ([^|`]+) \| ([^|`]+) \| (`[^|]+) \| ([^|]+) \|$", re.MULTILINE)
UNITS = {"": 1, "s": 1, "MiB": 1024 * 1024, "per CPU": CPUS}
RUN_DIR = "--run-dir"


def flags() -> set[str]:
    parser = argparse.ArgumentParser(add_help=False)
    add_start_options(parser)
    ours = {option for action in parser._actions for option in action.option_strings}
    return ours | {f"--{flag.name}" for flag in FLAGS} | {RUN_DIR}


def value_in_code(setting: str) -> object:
    """The default of a setting, a flag, or a constant and its file."""
    name, *file = re.findall(r"`([^`]+)`", setting)
    if file:
        module = importlib.import_module(file[0].removesuffix(".py").replace("/", "."))
        return getattr(module, name)
    if name.startswith("--"):
        return next(flag.default for flag in FLAGS if f"--{flag.name}" == name)
    return getattr(Settings(), name.removeprefix(PREFIX).lower())


def value_in_text(text: str) -> object:
    """A number times its unit; another text stays as it is."""
    number, _, unit = text.partition(" ")
    return float(number) * UNITS[unit] if unit in UNITS else text


ROWS: list[tuple[str, str, str, str]] = ROW.findall(PAGE)


@pytest.mark.parametrize(("limit", "default", "setting", "seen"), ROWS)
def test_every_limit_has_the_default_that_the_page_says(
    limit: str, default: str, setting: str, seen: str
) -> None:
    assert value_in_text(default) == value_in_code(setting), limit


@pytest.mark.parametrize(("limit", "default", "setting", "seen"), ROWS)
def test_every_refusal_is_one_that_exists(
    limit: str, default: str, setting: str, seen: str
) -> None:
    known = {(f"{kind.status:d}", kind.code) for kind in kinds()}

    assert set(re.findall(r"(\d{3}) `(\w+)`", seen)) <= known


def test_every_setting_and_flag_that_is_named_exists() -> None:
    settings = {PREFIX + name.upper() for name in Settings.__dataclass_fields__}

    assert set(re.findall(r"GATEWAY_[A-Z_]+", PAGE)) <= settings
    assert set(re.findall(r"`(--[\w-]+)`", PAGE)) <= flags()
    assert len(ROWS) >= 18

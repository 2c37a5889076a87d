"""The commands with their options, from their argparse parsers and the Makefile."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import auto_cmd
from docs.generator.markdown import ROOT, one_line, table
from flask_server import keys
from orchestrator import command_line as supervisor
from scripts import (
    classify,
    doctor_model,
    export_detector,
    export_saved_model,
    quantize_model,
    warmup_from_log,
)
from serving_gateway import demo, models
from serving_gateway.command_line import PROGRAM, SUBCOMMANDS

_TARGET = re.compile(r"^([a-z]+):.*?## (.*)$", re.MULTILINE)


def overview() -> str:
    """Return the table of the subcommands."""
    rows = ((f"`{PROGRAM} {name}`", _sentence(row.help)) for name, row in SUBCOMMANDS.items())
    return table("command", "what it does", rows=rows)


def options() -> str:
    """Return a section for each command that has options or arguments."""
    parsers = (
        demo.parser(PROGRAM),
        supervisor.parser(auto_cmd.program(PROGRAM)),
        models.parser(f"{PROGRAM} models"),
        export_saved_model.parser(f"{PROGRAM} export"),
        export_detector.parser(f"{PROGRAM} export-detector"),
        quantize_model.parser(f"{PROGRAM} quantize"),
        classify.parser(f"{PROGRAM} classify"),
        keys.parser(f"{PROGRAM} keys"),
    )
    return _sections(*parsers)


def scripts() -> str:
    """Return a section for each script of a checkout that is no subcommand."""
    return _sections(
        _named(doctor_model.parser(), "scripts/doctor_model.py"),
        _named(warmup_from_log.parser(), "scripts/warmup_from_log.py"),
    )


def targets() -> str:
    """Return the table of the targets of make."""
    makefile = Path(ROOT, "Makefile").read_text(encoding="utf-8")
    rows = ((f"`make {name}`", _sentence(text)) for name, text in _TARGET.findall(makefile))
    return table("target", "what it does", rows=rows)


def _named(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    parser.prog = name
    return parser


def _sections(*parsers: argparse.ArgumentParser) -> str:
    parts = (part for parser in parsers for part in _section(parser))
    return "\n\n".join(part for part in parts if part)


def _section(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield title, text and options of a command, or those of its subcommands."""
    nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    rows = [
        row for action in parser._actions if action not in nested for row in _rows(parser, action)
    ]
    if rows or not nested:
        yield f"### `{parser.prog}`"
        yield _sentence(one_line(parser.description or ""))
        yield table("option", "what", rows=rows) if rows else "No options."
        yield _sentence(one_line(parser.epilog or ""))
    for action in nested:
        helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, child in action.choices.items():
            child.description = child.description or helps.get(name)
            yield from _section(child)


def _rows(parser: argparse.ArgumentParser, action: argparse.Action) -> Iterator[tuple[str, str]]:
    usual = isinstance(action, argparse._HelpAction | argparse._VersionAction)
    if usual or action.help == argparse.SUPPRESS:
        return
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{_value(action)}`"
    if action.option_strings and action.nargs != 0:
        names += f" `{_value(action)}`"
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    yield names, _sentence(one_line(text))


def _value(action: argparse.Action) -> str:
    """Return what stands for the value of an option, or for an argument."""
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    if isinstance(action.metavar, str):
        return action.metavar
    return action.dest.upper() if action.option_strings else action.dest


def _sentence(text: str) -> str:
    """Return a text as a sentence; a first word with a capital or an underscore stays as it is."""
    text = text.strip()
    if not text:
        return ""
    first = text.split()[0]
    begins = text[0].upper() + text[1:] if first.islower() and "_" not in first else text
    return begins if begins.endswith(".") else f"{begins}."

"""Read command lines as tensorflow_model_server does: ``--name=value``, nothing else. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from model_server.flag_table import FLAGS, Flag, Value

_TRUE: Final = frozenset({"true", "1"})
_FALSE: Final = frozenset({"false", "0"})
_LIMITS: Final = {"int32": 2**31, "int64": 2**63}
_COLUMN: Final = 33


class UsageError(Exception):
    """The command line cannot be followed; the message is one sentence for the person."""


def parse(argv: Sequence[str]) -> tuple[Mapping[str, Value], list[Flag]]:
    """Return the value of every flag, and the flags that were given but do nothing."""
    values = {flag.name: flag.default for flag in FLAGS}
    known = {flag.name: flag for flag in FLAGS}
    given: dict[str, Flag] = {}
    for argument in argv:
        if argument == "--":
            break
        name, equals, text = argument.removeprefix("--").partition("=")
        flag = known.get(name) if argument.startswith("--") else None
        if flag is None:
            raise UsageError(f"unknown argument: {argument}")
        values[name] = _value(flag, text if equals else None)
        given[name] = flag
    return values, [flag for flag in given.values() if flag.ignored]


def _value(flag: Flag, text: str | None) -> Value:
    if isinstance(flag.default, bool):
        return _boolean(flag, "true" if text is None else text)
    if text is None:
        raise UsageError(f"unknown argument: --{flag.name} (write --{flag.name}=VALUE)")
    if isinstance(flag.default, str):
        return text
    try:
        number = type(flag.default)(text)
    except ValueError as error:
        raise _uninterpretable(flag, text) from error
    limit = _LIMITS.get(flag.type_name)
    if limit and not -limit <= number < limit:
        raise _uninterpretable(flag, text)
    return number


def _boolean(flag: Flag, text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise _uninterpretable(flag, text)
    return text.lower() in _TRUE


def _uninterpretable(flag: Flag, text: str) -> UsageError:
    return UsageError(f"Couldn't interpret value {text} for flag {flag.name}.")


def usage(program: str) -> str:
    """Return the list of all flags with types, defaults and meanings."""
    lines = "".join(
        f"\t{f'--{flag.name}={_shown(flag.default)}'.ljust(_COLUMN)}\t{flag.type_name}\t{flag.help}\n"
        for flag in FLAGS
    )
    return f"usage: {program}\nFlags:\n{lines}"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)

"""Parse command lines as tensorflow_model_server does: only ``--name=value``. Pure.

The table of flags is an argument of every function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Value = bool | int | float | str

_TRUE: Final = frozenset({"true", "1"})
_FALSE: Final = frozenset({"false", "0"})
_LIMITS: Final = {"int32": 2**31, "int64": 2**63}
_COLUMN: Final = 33


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; its type is the type of its default."""

    name: str
    default: Value
    help: str

    ignored: bool = False
    """True if the flag is accepted without effect; a warning says so when it is given."""

    wide: bool = False
    """True if an integer has 64 bits, false if it has 32."""

    @property
    def type_name(self) -> str:
        """The name of the type in the usage text."""
        if isinstance(self.default, bool):
            return "bool"
        if isinstance(self.default, int):
            return "int64" if self.wide else "int32"
        return "float" if isinstance(self.default, float) else "string"


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A parsed command line."""

    values: Mapping[str, Value]
    """The value of every flag, given or default."""

    ignored: Sequence[Flag]
    """The flags that were given but have no effect."""


class UsageError(Exception):
    """The command line is wrong; the message is one line for the person who wrote it."""


def parse(argv: Sequence[str], flags: Sequence[Flag]) -> CommandLine:
    """Return the value of every flag, or raise UsageError."""
    values = {flag.name: flag.default for flag in flags}
    known = {flag.name: flag for flag in flags}
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
    return CommandLine(values, [flag for flag in given.values() if flag.ignored])


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


def usage(program: str, flags: Sequence[Flag]) -> str:
    """Return the usage text: every flag with its default, type and help."""
    lines = "".join(
        f"\t{f'--{flag.name}={_shown(flag.default)}'.ljust(_COLUMN)}\t{flag.type_name}\t{flag.help}\n"
        for flag in flags
    )
    return f"usage: {program}\nFlags:\n{lines}"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)

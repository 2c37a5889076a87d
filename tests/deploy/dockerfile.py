"""Read the Dockerfiles of ``deploy/``, as far as they use the language.

Supported are the instructions that the two files have; any other one is an error.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Instructions whose text is taken as it is.
_PLAIN = ("ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE")
#: Instructions with a command in JSON.
_EXEC = ("CMD", "ENTRYPOINT", "HEALTHCHECK")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name, its flags such as ``--from=build``, and the rest of its text."""

    name: str
    flags: dict[str, str]
    text: str

    @property
    def command(self) -> list[str]:
        """The command in JSON (exec form) of CMD, ENTRYPOINT or HEALTHCHECK."""
        words = json.loads(self.text)
        assert isinstance(words, list)
        assert all(isinstance(word, str) for word in words)
        return words


@dataclass
class Stage:
    """One stage: its base image, its name, which may be empty, and its instructions."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def of(self, name: str) -> list[Instruction]:
        """Return the instructions of one name, in their order."""
        return [instruction for instruction in self.instructions if instruction.name == name]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that ENV sets."""
        pairs = [pair for row in self.of("ENV") for pair in shlex.split(row.text)]
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def command(self) -> list[str]:
        """What a container runs without arguments."""
        return [
            word for name in ("ENTRYPOINT", "CMD") for row in self.of(name) for word in row.command
        ]


def read(path: Path) -> list[Stage]:
    """Return the stages of a Dockerfile; the arguments before the first one keep their defaults."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for instruction in _instructions(path.read_text(encoding="utf-8")):
        if instruction.name == "FROM":
            base, _, name = instruction.text.partition(" AS ")
            stages.append(Stage(_filled(base, arguments), name))
        elif not stages:
            assert instruction.name == "ARG"
            name, _, default = instruction.text.partition("=")
            arguments[name] = default
        else:
            stages[-1].instructions.append(instruction)
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            yield _instruction(line)


def _instruction(line: str) -> Instruction:
    name, _, rest = line.partition(" ")
    assert name in (*_PLAIN, *_EXEC, "FROM"), f"{name} is not supported"
    flags = {}
    while found := re.match(r"\s*--([\w-]+)=(\S+)\s+", rest):
        flags[found[1]] = found[2]
        rest = rest[found.end() :]
    if name == "HEALTHCHECK":
        rest = re.sub(r"^\s*CMD\s+", "", rest)
    return Instruction(name, flags, rest.strip())


def _filled(text: str, arguments: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], text)


def ignored(path: str, rules: list[str]) -> bool:
    """Return whether ``.dockerignore`` keeps a path out of the build, by rules as ours has them."""
    parts = path.split("/")
    is_out = False
    for rule in rules:
        if rule == "*":
            is_out = True
        elif rule.startswith("!"):
            is_out &= not (path + "/").startswith(rule[1:] + "/")
        else:
            assert rule.startswith("**/"), f"the rule {rule} is not supported"
            is_out |= rule[3:] in parts
    return is_out


def ignore_rules(path: Path) -> list[str]:
    """Return the rules of a ``.dockerignore`` without comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]

"""The commands in the manuals exist as they are written there.

The options of this project's commands are read by their own parsers, targets of make and modules
exist, and requests go to routes of the API. That holds for commands in the text of a page and in
comments below ``deploy``, too, which often leave arguments out. ``test_commands_run`` runs the
commands of blocks. ``FOREIGN`` names all other programs, and why no test runs them in a text.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

import pytest

import auto_cmd
from deploy.ray.flags import read_options
from docs.generator.commands import targets
from docs.generator.markdown import ROOT
from flask_server import keys
from flask_server.openapi.document import document
from flask_server.settings import Settings
from model_server.flag_table import FLAGS
from model_server.flags import UsageError, parse
from orchestrator import command_line as supervisor
from scripts import classify, doctor_model, export_detector, export_saved_model, quantize_model
from serving_gateway import demo, models
from serving_gateway.command_line import PROGRAM, SUBCOMMANDS
from tests.docs.shell_blocks import PAGES, all_commands

HERE_DOCUMENT = re.compile(r"<<'EOF'(.*?)\n.*?^EOF$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
IN_BACKQUOTES = re.compile(r"(?<!`)`([^`]+)`(?!`)")
COMMENT = re.compile(r"^\s*#\s*(.*)$", re.MULTILINE)
ASSIGNMENT = re.compile(r"[A-Z_]+=")
ROUTES = [
    re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in document(Settings(), "m")["paths"]
]
#: Programs that are not this project's, and why no test of the manuals runs their commands.
FOREIGN = {
    "docker": "there is no container engine where the tests run",
    "kubectl": "there is no cluster",
    **dict.fromkeys(("git", "pip", "npm", "ray"), "they download from the internet"),
    **dict.fromkeys(
        ("apt-get", "sudo", "systemctl", "systemd-sysusers", "certbot", "cp", "ln"),
        "they change the system of the reader",
    ),
    "nginx": "tests/deploy/test_nginx.py does",
    **dict.fromkeys(("haproxy_command", "haproxy_command()"), "tests/deploy/test_haproxy.py does"),
    **dict.fromkeys(("cd", "mkdir", "ls", "export", "echo", "printf"), "they belong to the shell"),
    "saved_model_cli": "it belongs to TensorFlow",
    "tensorflow_model_server": "TensorFlow Serving cannot be installed everywhere",
    **dict.fromkeys(("flask", "gunicorn"), "tests/flask_server/runtime starts the app with them"),
    **dict.fromkeys(("promtool", "haproxy"), "tests of deploy and telemetry run them"),
    **dict.fromkeys(("node", "npx"), "tests/browser and tests/clients run them"),
}


PROGRAMS = {"python", "python3", "make", "curl", PROGRAM, "auto_cmd.py", *FOREIGN}


def commands() -> Iterator[tuple[str, str]]:
    for command in all_commands():
        yield command.page, HERE_DOCUMENT.sub(r"\1", command.text).replace("\\\n", " ")


def mentioned() -> Iterator[tuple[str, str]]:
    """Yield the commands in the texts of pages, and in comments of the files below ``deploy``."""
    for page in PAGES:
        for text in IN_BACKQUOTES.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
            yield page.relative_to(ROOT).as_posix(), " ".join(text.split())
    for file in (*sorted((ROOT / "deploy").rglob("*")), ROOT / "compose.yaml"):
        if file.is_file() and file.suffix not in {".json", ".pyc"}:
            for text in COMMENT.findall(file.read_text(encoding="utf-8")):
                for part in (*IN_BACKQUOTES.findall(text), text.rpartition(": ")[2]):
                    yield file.relative_to(ROOT).as_posix(), part


def is_command(text: str) -> bool:
    """Tell whether a text begins as a command does, with a word after the program."""
    words = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", text).split(" ")
    return len(words) > 1 and words[0].removeprefix(".venv/bin/") in PROGRAMS


def words_of(line: str) -> list[str]:
    """The words of a command without variables before it and without other commands after it."""
    words = shlex.split(line.partition(" | ")[0].partition(" && ")[0], comments=True)
    while words and ASSIGNMENT.match(words[0]):
        words = words[1:]
    if words and "=$(" in words[0]:  # a variable that gets the output of a command
        return []
    return [word for word in words if word not in {">", "floats.json", "models.toml"}]


def check_subcommand(words: Sequence[str]) -> None:
    name, *rest = words
    parsers: dict[str, Callable[[Sequence[str]], object]] = {
        "demo": demo.parser(PROGRAM).parse_known_args,
        "models": models.parser(PROGRAM).parse_args,
        "export": export_saved_model.parser().parse_args,
        "export-detector": export_detector.parser().parse_args,
        "quantize": quantize_model.parser().parse_args,
        "classify": classify.parser().parse_args,
        "keys": keys.parser(PROGRAM).parse_args,
    }
    assert name in SUBCOMMANDS
    read = parsers.get(name)
    if read is None:
        supervisor.parser(auto_cmd.program()).parse_args(words)
    else:
        read(rest)


def check_script(path: str, words: Sequence[str]) -> None:
    assert (ROOT / path).is_file()
    if path == "scripts/models.py":
        models.parser(path).parse_args(words)
    elif path == "scripts/doctor_model.py" and words[0].endswith(".keras"):
        doctor_model.parser().parse_known_args(words)  # the rest are options of the export
    elif path == "scripts/doctor_model.py":
        doctor_model.saved_model_parser().parse_args(words)
    elif path.startswith("scripts/"):
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        if hasattr(module, "parser"):
            module.parser().parse_args(words)


def check_module(name: str, words: Sequence[str]) -> None:
    assert importlib.util.find_spec(name) is not None
    if name == "model_server":
        parse(words, FLAGS)
    elif name == "deploy.ray":
        read_options(words)
    elif name == "flask_server.keys":
        keys.parser(name).parse_args(words)


def check_request(words: Sequence[str]) -> None:
    (url,) = [word for word in words if re.match(r"https?://|localhost:", word)]
    path = urlsplit(url if "://" in url else f"http://{url}").path
    known = any(re.fullmatch(route, path) for route in ROUTES)
    assert known or path.startswith(("/v1/models", "/v1/config")) or "storage.googleapis.com" in url


def check_python(words: Sequence[str]) -> None:
    first, *rest = words
    if first == "-m":
        check_module(rest[0], rest[1:])
    elif first == "auto_cmd.py":
        check_subcommand(rest)
    elif first != "-":
        check_script(first, rest)


def check_mentioned(line: str) -> None:
    """Check what a text says of a command: program, target, script, module or subcommand."""
    for part in line.split(" && "):
        first, *words = words_of(part.removesuffix("\\"))
        program = first.removeprefix(".venv/bin/")
        if program in {"python", "python3"} and words[0] == "auto_cmd.py":
            program, *words = words
        if program in {PROGRAM, "auto_cmd.py"}:
            assert not words or words[0] in SUBCOMMANDS or words[0].startswith("--"), line
        elif program in {"python", "python3"}:
            check_place(words)
        elif program == "make":
            check(["make", *(word for word in words if "=" not in word)])
        else:
            assert program in {"curl", *FOREIGN}, line


def check_place(words: Sequence[str]) -> None:
    """Check that the module or script after ``python`` exists."""
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1]) is not None
    else:
        assert (ROOT / words[0]).is_file()


def check(words: Sequence[str]) -> None:
    program, rest = words[0].removeprefix(".venv/bin/"), words[1:]
    if program in {"python", "python3"}:
        check_python(rest)
    elif program == PROGRAM:
        check_subcommand(rest)
    elif program == "make":
        assert f"`make {rest[0]}`" in targets()
    elif program == "curl":
        check_request(rest)
    else:
        assert program in FOREIGN, f"no test knows the program {program}"


CASES = sorted({(page, line) for page, line in commands()})
MENTIONED = sorted({(page, line) for page, line in mentioned() if is_command(line)})


@pytest.mark.parametrize(
    ("page", "line"), CASES, ids=[f"{page}-{line[:60]}" for page, line in CASES]
)
def test_a_command_exists_as_it_is_written(page: str, line: str) -> None:
    words = words_of(line)

    if words:
        check(words)


@pytest.mark.parametrize(
    ("file", "line"), MENTIONED, ids=[f"{file}-{line[:60]}" for file, line in MENTIONED]
)
def test_a_command_that_a_text_mentions_exists(file: str, line: str) -> None:
    check_mentioned(line)


@pytest.mark.parametrize(
    "line",
    [
        "serving-gateway begin",
        "python auto_cmd.py begin",
        "make no-such-target WORKERS=4",
        "make fast && make no-such-target",
        ".venv/bin/python -m benchmarks.no_such_module",
        "python scripts/no_such_script.py",
    ],
)
def test_a_mentioned_command_that_does_not_exist_is_found(line: str) -> None:
    assert is_command(line)
    with pytest.raises(AssertionError):
        check_mentioned(line)


@pytest.mark.parametrize(
    "line",
    [
        "serving-gateway start --no-such-option",
        "make no-such-target",
        "curl http://127.0.0.1:5000/no/such/route",
        ".venv/bin/python scripts/no_such_script.py",
        ".venv/bin/python -m model_server --no_such_flag=1",
        ".venv/bin/python -m deploy.ray --no_such_flag=1",
        "serving-gateway quantize --no-such-option",
        "no-such-program",
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    with pytest.raises((AssertionError, SystemExit, UsageError)):
        check(words_of(line))

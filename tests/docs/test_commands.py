"""The commands in the manuals exist as they are written there.

The options of this project's commands are read by their own parsers, targets of make and modules
exist, and requests go to routes of the API. ``FOREIGN`` names all other programs and why these
tests do not run them. Other tests run the commands of some pages: those of docs/models.md
(``tests/scripts/test_manual.py``), and the first request of README.md.
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
from docs.generator.markdown import DOCS, ROOT
from flask_server import keys
from flask_server.openapi.document import document
from flask_server.settings import Settings
from model_server.flag_table import FLAGS
from model_server.flags import UsageError, parse
from orchestrator import command_line as supervisor
from scripts import classify, doctor_model, export_detector, export_saved_model, quantize_model
from serving_gateway import demo, models
from serving_gateway.command_line import PROGRAM, SUBCOMMANDS

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HERE_DOCUMENT = re.compile(r"<<'EOF'(.*?)\n.*?^EOF$", re.MULTILINE | re.DOTALL)
ASSIGNMENT = re.compile(r"[A-Z_]+=")
ROUTES = [
    re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in document(Settings(), "m")["paths"]
]
#: Sample output that stands in blocks of commands.
OUTPUT = {"icg_…", "NAME", "web", "batch"}

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
}


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
            text = HERE_DOCUMENT.sub(r"\1", block).replace("\\\n", " ")
            for line in text.splitlines():
                if line.strip() and (kind == "sh" or line.startswith("$ ")):
                    yield page.name, line.removeprefix("$ ")


def words_of(line: str) -> list[str]:
    """The words of a command without variables before it and without other commands after it."""
    words = shlex.split(line.partition(" | ")[0].partition(" && ")[0], comments=True)
    while words and ASSIGNMENT.match(words[0]):
        words = words[1:]
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
    assert known or path.startswith("/v1/models/") or "storage.googleapis.com" in url


def check_python(words: Sequence[str]) -> None:
    first, *rest = words
    if first == "-m":
        check_module(rest[0], rest[1:])
    elif first == "auto_cmd.py":
        check_subcommand(rest)
    elif first != "-":
        check_script(first, rest)


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


@pytest.mark.parametrize(
    ("page", "line"), CASES, ids=[f"{page}-{line[:60]}" for page, line in CASES]
)
def test_a_command_exists_as_it_is_written(page: str, line: str) -> None:
    words = words_of(line)

    if words and words[0] not in OUTPUT:
        check(words)


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

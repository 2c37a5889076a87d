"""``make smoke``: install the wheel of ``dist`` into new environments and classify an image.

For each Python there are two passes. The split one has the gateway alone in one environment and the
model server with OpenVINO alone in another; they talk over HTTP. The full one has all of it, with
TensorFlow as the engine.
"""

from __future__ import annotations

import argparse
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from model_catalog.version import VERSION
from release.__main__ import DIST
from release.commands import ROOT, ReleaseError, output, run
from release.packages import extras

PYTHONS: Final = ("python3.11", "python3.12", "python3.13")
#: What docs/install.md names beside the packages of the extra, for a host of the gateway alone.
_FOR_COMMANDS: Final = ("platformdirs",)
_MODELS: Final = f'[models.digits]\nbase_path = "{ROOT / "my_digit_classifier"}"\n'
_PICTURE: Final = ROOT / "test_images" / "digit_3.png"
_LABEL: Final = '"label":"3"'
_START_S: Final = 180.0
#: Below the ports that a system gives out by itself, so that nothing takes one before the server.
_PORTS: Final = range(10_000, 20_000)


@dataclass(frozen=True)
class Environment:
    """A new virtual environment, and a folder for what its programs write."""

    folder: Path

    def path(self, command: str) -> Path:
        """Return the path of a command."""
        return self.folder / "venv" / "bin" / command

    def run(self, command: str, *words: str | Path) -> str:
        """Run a command and return its output; raise ReleaseError."""
        return output([self.path(command), *words], self.folder, self.variables())

    def variables(self) -> dict[str, str]:
        """Return an environment of a user who has nothing yet."""
        folder = str(self.folder)
        return {"HOME": folder, "PATH": f"{self.path('x').parent}:/usr/bin:/bin"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the passes for each Python; return 1 if one fails."""
    options = parser().parse_args(argv)
    try:
        wheel = _wheel()
        for python in options.python or _found():
            for name in options.only:
                began = time.monotonic()
                with tempfile.TemporaryDirectory() as folder:
                    PASSES[name](python, wheel, Path(folder))
                _tell(f"{_version(python)}, {name}: classified ({time.monotonic() - began:.0f} s)")
    except ReleaseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = argparse.ArgumentParser(prog="python -m release.smoke", description=__doc__)
    made.add_argument("--only", choices=PASSES, nargs="+", default=list(PASSES), help="passes")
    made.add_argument("--python", nargs="+", help="interpreters (all that are installed)")
    return made


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _wheel() -> Path:
    found = list(DIST.glob(f"*-{VERSION}-*.whl"))
    if len(found) != 1:
        raise ReleaseError(
            f"There is no wheel of version {VERSION} in dist; make release builds it."
        )
    return found[0]


def _found() -> list[str]:
    """Return the interpreters on PATH that the package supports, or else the running one."""
    there = [name for name in PYTHONS if _starts(name)]
    for name in PYTHONS:
        if name not in there:
            _tell(f"{name} is not installed, so it is not tested")
    return there or [sys.executable]


def _starts(python: str) -> bool:
    """Tell whether an interpreter starts: the commands of a version manager may lead nowhere."""
    return shutil.which(python) is not None and run([python, "--version"]).returncode == 0


def _version(python: str) -> str:
    return output([python, "--version"]).strip()


def _environment(python: str, folder: Path) -> Environment:
    folder.mkdir()
    made = Environment(folder)
    output([python, "-m", "venv", folder / "venv"])
    return made


def _install(environment: Environment, *words: str | Path) -> None:
    pip = [str(environment.path("python")), "-m", "pip", "install", "--quiet"]
    output([*pip, "--disable-pip-version-check", "-c", ROOT / "constraints.txt", *words])


def _install_part(environment: Environment, wheel: Path, extra: str, *more: str) -> None:
    """Install the wheel with what one extra names, and without its own dependencies."""
    _install(environment, "--no-deps", wheel)
    _install(environment, *more, *(str(line) for line in extras()[extra]))


def _refuse(environment: Environment, *modules: str) -> None:
    """Raise ReleaseError if a module is installed that the environment must not need."""
    program = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m)])"
    found = environment.run("python", "-c", program, *modules).strip()
    if found:
        raise ReleaseError(f"{environment.folder.name}: {found} is installed.")


def split(python: str, wheel: Path, folder: Path) -> None:
    """Let the gateway of one environment ask the model server of another."""
    gateway = _environment(python, folder / "gateway")
    server = _environment(python, folder / "openvino")
    _install_part(gateway, wheel, "gateway", *_FOR_COMMANDS)
    _install_part(server, wheel, "openvino")
    _refuse(gateway, "tensorflow", "openvino", "grpc")
    _refuse(server, "tensorflow", "flask", "gunicorn")
    ports = _ports(3)
    with _model_server(server, *ports[:2]) as url:
        with _started(gateway, ports[2], "--serving", "none", "--serving-url", url):
            _classify(ports[2])


def full(python: str, wheel: Path, folder: Path) -> None:
    """Let one environment serve with TensorFlow."""
    environment = _environment(python, folder / "full")
    _install(environment, f"{wheel}[tensorflow,export]")
    ports = _ports(3)
    options = ["--serving", "embedded", "--engine", "tensorflow"]
    options += ["--serving-port", str(ports[0]), "--grpc-port", str(ports[1])]
    with _started(environment, ports[2], *options):
        _classify(ports[2])


PASSES: Final[Mapping[str, Callable[[str, Path, Path], None]]] = {"split": split, "full": full}


def _ports(count: int) -> list[int]:
    free = filter(_is_free, random.sample(_PORTS, len(_PORTS)))
    return list(islice(free, count))


def _is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


@contextmanager
def _started(environment: Environment, port: int, *options: str) -> Iterator[None]:
    """Start the servers with ``serving-gateway`` and stop them in the end."""
    (environment.folder / "models.toml").write_text(_MODELS, encoding="utf-8")
    try:
        environment.run("serving-gateway", "start", "--detach", "--port", str(port), *options)
        yield
    finally:
        environment.run("serving-gateway", "stop")


@contextmanager
def _model_server(environment: Environment, port: int, grpc_port: int) -> Iterator[str]:
    """Start the model server alone; yield its URL once it serves the model."""
    url, log = f"http://127.0.0.1:{port}", environment.folder / "log"
    words = [f"--rest_api_port={port}", f"--port={grpc_port}", "--model_name=digits"]
    words.append(f"--model_base_path={ROOT / 'my_digit_classifier'}")
    command = [str(environment.path("tensorflow_model_server")), *words]
    with (
        log.open("wb") as file,
        subprocess.Popen(  # noqa: S603 - the command of the wheel
            command, cwd=environment.folder, env=environment.variables(), stderr=file
        ) as process,
    ):
        try:
            _wait(f"{url}/v1/models/digits", "AVAILABLE", log)
            yield url
        finally:
            process.terminate()


def _wait(url: str, text: str, log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        with suppress(OSError):
            if text in _answer(url):
                return
        time.sleep(0.2)
    raise ReleaseError(f"{url} does not answer {text}:\n{log.read_text()[-2000:]}")


def _classify(port: int) -> None:
    url = f"http://127.0.0.1:{port}/models/digits/predict"
    answer = _answer(url, _PICTURE.read_bytes()).replace(" ", "")
    if _LABEL not in answer.partition("}")[0]:
        raise ReleaseError(f"The first label of {_PICTURE.name} is wrong: {answer}")


def _answer(url: str, body: bytes | None = None) -> str:
    request = urllib.request.Request(url, body, {"Content-Type": "image/png"})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # nosec B310
        return str(answer.read().decode("utf-8"))


if __name__ == "__main__":
    sys.exit(main())

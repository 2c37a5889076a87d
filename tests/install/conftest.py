"""One wheel per session, built from the sdist, and virtual environments that have it installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from release import archives

ROOT = Path(__file__).parents[2]
#: The time of all files in the archives.
EPOCH = 1_790_000_000
PACKAGE = "image-classification-gateway"
FILES = (
    "auto_cmd.py",
    "constraints.txt",
    "pyproject.toml",
    "LICENSE",
    "MANIFEST.in",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "compose.yaml",
)
PACKAGES = (
    "flask_server",
    "model_catalog",
    "model_server",
    "orchestrator",
    "scripts",
    "serving_api",
    "serving_gateway",
    "serving_tracing",
)
FOLDERS = (
    "docs",
    *PACKAGES,
    "deploy",
    # These two are copied in order to see that neither archive contains them.
    "benchmarks",
    "tests/install",
)
NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.keras", "*.h5")


@dataclass(frozen=True)
class Built:
    """The two archives of the project."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel, and folders of a user who has nothing yet."""

    bin: Path
    home: Path

    def run(
        self, command: str, *words: str | Path, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, by default in an empty folder."""
        empty = self.home / "empty"
        empty.mkdir(parents=True, exist_ok=True)
        folders = {"HOME": str(self.home), "XDG_DATA_HOME": str(self.home / "data")}
        folders |= {"XDG_STATE_HOME": str(self.home / "state"), "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            [self.bin / command, *words],
            cwd=cwd or empty,
            env=folders | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The archives; the wheel is built from the sdist alone."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    copy_source(source)
    return Built(*archives.build(source, folder, EPOCH))


def copy_source(folder: Path) -> None:
    """Copy what a build may read, and what it must leave out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=NOT_COPIED)


@pytest.fixture(scope="session")
def bare(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and none of its dependencies."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python, options = str(folder / "bin" / "python"), ["--no-deps", "--no-index", "--no-compile"]
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", *options, str(built.wheel)], check=True)
    return folder


def with_packages(bare: Path, folder: Path, packages: Path) -> Path:
    """Return a copy of the environment that finds further packages in a folder."""
    shutil.copytree(bare, folder, symlinks=True)
    for script in (folder / "bin").iterdir():
        if not script.is_symlink() and script.read_bytes().startswith(b"#!"):
            script.write_text(script.read_text().replace(str(bare), str(folder)))
    (site_packages(folder) / "more.pth").write_text(f"{packages}\n")
    return folder


def site_packages(environment: Path) -> Path:
    return next(environment.glob("lib/python3*/site-packages"))


def closure(requirements: Iterable[str]) -> Iterator[metadata.Distribution]:
    """Yield the distributions that the requirements need, with what these need in turn."""
    waiting, seen = list(requirements), set[str]()
    while waiting:
        wanted = Requirement(waiting.pop())
        if wanted.name in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        seen.add(wanted.name)
        found = metadata.distribution(wanted.name)
        waiting += found.requires or []
        yield found


def link_packages(requirements: Iterable[str], folder: Path) -> Path:
    """Fill a folder with links to what the requirements need, and to nothing else."""
    for distribution in closure(requirements):
        for name in {file.parts[0] for file in distribution.files or [] if file.parts[0] != ".."}:
            link = folder / name
            if name != "__pycache__" and not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(name))))
    return folder


def requirements_of(built: Built, extra: str = "") -> list[str]:
    """Return what the wheel needs on this machine, or what one of its extras adds."""
    (wheel,) = metadata.Distribution.discover(name=PACKAGE, path=[str(built.wheel)])
    lines = [Requirement(line) for line in wheel.requires or []]
    return [
        line.name
        for line in lines
        if ("extra ==" in str(line)) == bool(extra)
        and (line.marker is None or line.marker.evaluate({"extra": extra}))
    ]


@pytest.fixture(scope="session")
def plain_environment(built: Built, bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``pip install image-classification-gateway`` gives: no TensorFlow."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "packages").mkdir()
    packages = link_packages(requirements_of(built), folder / "packages")
    return with_packages(bare, folder / "venv", packages)


@pytest.fixture(scope="session")
def gateway_environment(built: Built, bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host of the gateway alone, installed as ``docs/install.md`` says."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "packages").mkdir()
    wanted = ["platformdirs", *requirements_of(built, "gateway")]
    return with_packages(bare, folder / "venv", link_packages(wanted, folder / "packages"))


@pytest.fixture
def plain(plain_environment: Path, tmp_path: Path) -> Environment:
    return Environment(plain_environment / "bin", tmp_path)


@pytest.fixture
def gateway_only(gateway_environment: Path, tmp_path: Path) -> Environment:
    return Environment(gateway_environment / "bin", tmp_path)


@pytest.fixture
def without_packages(bare: Path, tmp_path: Path) -> Environment:
    return Environment(bare / "bin", tmp_path)

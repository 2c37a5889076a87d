"""Carry out a Dockerfile without a container engine, in folders that ``chroot`` enters.

A bare Debian (debootstrap) stands in for the base image, whose Python has the same minor version.
Packages come from a folder of wheels that was filled before. A command of the built root runs as
its user, in namespaces of its own: the root is read-only, ``/tmp`` and ``/dev/shm`` are in memory.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.dockerfile import Instruction, Stage, ignore_rules, ignored, read

ROOT = Path(__file__).parents[2]
#: Debian's release with the Python of the base image.
RELEASE = "bookworm"
PYTHON = "3.11"
_WHEELS = "/tmp/wheels"  # as the build sees it
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def debian(folder: Path) -> None:
    """Install a bare Debian with Python, under the names that the base image has."""
    packages = "python3,python3-venv"
    run(["debootstrap", "--variant=minbase", f"--include={packages}", RELEASE, str(folder)])
    (folder / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    shutil.rmtree(folder / "var/cache/apt", ignore_errors=True)


def download(extras: Sequence[str], wheels: Path) -> None:
    """Fill the folder with the wheels that an image with these extras installs."""
    script = [sys.executable, "deploy/requirements.py", *extras]
    wanted = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wheels.mkdir(exist_ok=True)
    # redis needs async-timeout on Debian's Python 3.11.2, not on the 3.11.3 and later of the image.
    text = f"{wanted}setuptools\nasync-timeout\n"
    (wheels / "requirements.txt").write_text(text, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"]
    options = ["--python-version", PYTHON, "--constraint", str(ROOT / "constraints.txt")]
    run([*pip, *options, "--dest", str(wheels), "--requirement", str(wheels / "requirements.txt")])


@dataclass
class Image:
    """The root that the last stage of a Dockerfile made, and how its containers start."""

    root: Path
    stage: Stage
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def workdir(self) -> str:
        """The folder in which its commands run."""
        return next((row.text for row in reversed(self.stage.of("WORKDIR"))), "/")

    @property
    def user(self) -> str:
        """User and group of its commands, by number."""
        return self.stage.of("USER")[-1].text


def build(
    dockerfile: Path, base: Path, wheels: Path, folder: Path, arguments: Mapping[str, str]
) -> Image:
    """Carry out the instructions of all stages, each in a copy of the bare Debian."""
    roots: dict[str, Path] = {}
    for number, stage in enumerate(read(dockerfile)):
        root = folder / f"{dockerfile.suffix[1:]}-{number}"
        run(["cp", "-a", "--reflink=auto", str(base), str(root)])
        roots[stage.name] = root
        image = Image(root, stage, arguments)
        for instruction in stage.instructions:
            _carry_out(instruction, image, roots, wheels)
    return image


def _carry_out(
    instruction: Instruction, image: Image, roots: Mapping[str, Path], wheels: Path
) -> None:
    if instruction.name == "COPY":
        _copy(instruction, image, roots)
    elif instruction.name == "WORKDIR":
        _inside(image.root, instruction.text).mkdir(parents=True, exist_ok=True)
    elif instruction.name == "RUN":
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": _WHEELS, "PATH": _PATH}
        environ = _arguments(image) | offline | image.stage.environment
        mount = [f"mkdir -p {image.root}{_WHEELS}", _bind(wheels, image.root, _WHEELS)]
        shell = ["/bin/sh", "-c", f"cd {image.workdir} && {instruction.text}"]
        run(_chroot(image.root, mount, "0:0", environ, shell))


def _arguments(image: Image) -> dict[str, str]:
    defaults = dict(row.text.split("=", 1) for row in image.stage.of("ARG"))
    return defaults | {name: image.arguments.get(name, defaults[name]) for name in defaults}


def _copy(instruction: Instruction, image: Image, roots: Mapping[str, Path]) -> None:
    *sources, target = instruction.text.split()
    begin = roots[instruction.flags["from"]] if "from" in instruction.flags else ROOT
    goal = _inside(image.root, os.path.join(image.workdir, target))
    for name in sources:
        source = _inside(begin, name)
        place = goal / source.name if target.endswith("/") else goal
        if source.is_dir():
            shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True, ignore=_left_out)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place)
            if "chmod" in instruction.flags:
                place.chmod(int(instruction.flags["chmod"], 8))


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Return what ``.dockerignore`` keeps out of a folder of the project."""
    if not Path(folder).is_relative_to(ROOT):
        return set()
    rules, within = ignore_rules(ROOT / ".dockerignore"), Path(folder).relative_to(ROOT)
    return {name for name in names if ignored(str(within / name), rules)}


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


@dataclass(frozen=True)
class Network:
    """A network of its own, with a loopback interface only, that containers share."""

    holder: int

    def command(
        self,
        image: Image,
        command: Sequence[str],
        environ: Mapping[str, str],
        volumes: Mapping[Path, str],
    ) -> list[str]:
        """Return a command that runs in the image as in a container with a read-only root."""
        for target in volumes.values():
            _inside(image.root, target).mkdir(parents=True, exist_ok=True)
        mounts = [
            f"mount --bind {image.root} {image.root}",
            *(_bind(source, image.root, target) for source, target in volumes.items()),
            f"mount -o remount,bind,ro {image.root}",
            *(f"mount -t tmpfs tmpfs {image.root}{path}" for path in ("/tmp", "/dev/shm")),
            f"mount -t proc proc {image.root}/proc",
        ]
        inside = ["/bin/sh", "-c", f"cd {image.workdir} && exec {shlex.join(command)}"]
        chroot = _chroot(
            image.root, mounts, image.user, image.stage.environment | dict(environ), inside
        )
        return [*self.enter, *chroot]

    @property
    def enter(self) -> list[str]:
        """What a command is preceded by in order to run in this network."""
        return ["nsenter", "--net", f"--target={self.holder}"]


@contextmanager
def network() -> Iterator[Network]:
    """Make a network, and remove it."""
    words = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 900"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "up\n"
            yield Network(holder.pid)
        finally:
            holder.kill()


def _bind(source: Path, root: Path, target: str) -> str:
    place = f"{root}{target}"
    return f"mount --bind {source} {place} && mount -o remount,bind,ro {place}"


def _chroot(
    root: Path, mounts: Sequence[str], user: str, environ: Mapping[str, str], command: Sequence[str]
) -> list[str]:
    """Return a command that mounts and enters the root; the mounts end with it."""
    pairs = [f"{name}={value}" for name, value in environ.items()]
    enter = ["chroot", f"--userspec={user}", "--groups=", str(root), "/usr/bin/env", "-i"]
    steps = " && ".join([*mounts, f"exec {shlex.join([*enter, *pairs, *command])}"])
    return ["unshare", "--mount", "sh", "-c", steps]


def run(command: Sequence[str]) -> str:
    """Run a command and return its output; its failure is an error with the last lines of both."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, re.sub(r"\n+", "\n", f"{done.stdout}{done.stderr}")[-3000:]
    return done.stdout

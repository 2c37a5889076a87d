"""A fresh checkout after ``make run`` has installed its packages, in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tests.running import ROOT

#: What a checkout does not have, and what no command that is run needs.
_LEFT_OUT = shutil.ignore_patterns(
    *(".*", "__pycache__", "build", "node_modules", "*.egg-info", "*.keras", "*.h5"),
    *("tests", "benchmarks", "images", "my_image_classifier"),
)
_WITH_COMMANDS = {
    "gunicorn",
    "flask",
    "image-classification-gateway",
    "tensorflow",
    "tensorflow-cpu",
}


def make_checkout(folder: Path, demo: Path) -> Path:
    """Copy the project, with the packages of this Python and the demo model; return the folder."""
    project = folder / "image-classification-gateway"
    shutil.copytree(ROOT, project, ignore=_LEFT_OUT)
    shutil.copytree(demo, project / "my_image_classifier" / "1")
    environment = project / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    paths = [str(project), *(path for path in sys.path if path.endswith("site-packages"))]
    packages = next(environment.glob("lib/python3*/site-packages"))
    (packages / "checkout.pth").write_text("\n".join(paths))
    _write_commands(environment / "bin")
    (environment / "run.stamp").touch()
    return project


def _write_commands(folder: Path) -> None:
    """Write the commands of the packages, as pip does."""
    for entry in metadata.entry_points(group="console_scripts"):
        package = "" if entry.dist is None else entry.dist.name
        if package.lower().replace("_", "-") in _WITH_COMMANDS:
            call = f"from {entry.module} import {entry.attr}\nsys.exit({entry.attr}())"
            (folder / entry.name).write_text(f"#!{folder}/python\nimport sys\n{call}\n")
            (folder / entry.name).chmod(0o755)

"""Commands that install extras name the interpreter, whether from a checkout or from a wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model_catalog import installation
from model_catalog.installation import install_command, require

ROOT = Path(__file__).parents[2]
ROOMS = ("flask_server", "model_catalog", "model_server", "orchestrator")


def test_a_checkout_names_its_own_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(ROOT / ".venv"))

    assert install_command("redis") == (
        ".venv/bin/python -m pip install -c constraints.txt -e '.[redis]'"
    )


def test_another_python_is_named_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")

    assert install_command("gpu").startswith("/usr/bin/python3 -m pip install ")


def test_another_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert install_command("redis").startswith(f"cd {ROOT} && ")


def test_without_a_checkout_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installation, "CODE", tmp_path)
    monkeypatch.setattr(sys, "executable", "/opt/my tools/bin/python")

    assert install_command("gateway", "openvino") == (
        "'/opt/my tools/bin/python' -m pip install 'image-classification-gateway[gateway,openvino]'"
    )
    assert install_command().endswith("pip install 'image-classification-gateway'")
    assert installation.export_command() == "serving-gateway export"
    assert installation.quantize_command() == "serving-gateway quantize"
    assert installation.supervisor_command(tmp_path) == "serving-gateway"


def test_a_pyproject_of_another_project_makes_no_checkout(tmp_path: Path) -> None:
    assert installation.is_checkout(ROOT)
    assert installation.supervisor_command(ROOT) == "auto_cmd.py"
    assert not installation.is_checkout(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')
    assert not installation.is_checkout(tmp_path)


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.inside"])
def test_a_missing_module_ends_the_program_with_one_sentence(module: str) -> None:
    require("embedded", "json", "importlib.metadata")

    with pytest.raises(SystemExit, match=rf"^{module} is not installed; run .*\[embedded\]'$"):
        require("embedded", "json", module)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modules as a wheel without any extra installs them, and no other packages."""
    folder = tmp_path_factory.mktemp("site-packages")
    shutil.copy(ROOT / "auto_cmd.py", folder)
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room)
    return folder


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(installed), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_embedded_server_without_its_packages_says_so(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-m", "model_server", "--version")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "numpy is not installed; run " in done.stderr


def test_an_installed_auto_cmd_uses_the_project_of_the_current_folder(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "models.toml").write_text('[models.m]\nbase_path = "m"\n')
    (tmp_path / "below").mkdir()

    done = run(installed, tmp_path / "below", "-m", "auto_cmd", "doctor", "--port", "1")

    assert done.stderr == ""
    assert f"{tmp_path / 'm'} is not a folder" in done.stdout
    assert not (installed / ".run").exists()

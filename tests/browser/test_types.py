"""classifier.d.ts agrees with the code of classifier.js."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.browser import node
from tests.running import ROOT

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
STATIC = ROOT / "flask_server" / "static"

OPTIONS = "--noEmit --strict --checkJs --target es2022 --module es2022 --moduleResolution bundler"
LIBRARIES = "--lib es2022,dom,dom.iterable"


@pytest.fixture(scope="module")
def compiler() -> Path:
    return node.install(HERE) / "typescript" / "bin" / "tsc"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The declarations under their own name, the module beside them under another."""
    for name in ("classifier.d.ts", "checks.js", "http.js", "shrink.js"):
        shutil.copy(STATIC / name, tmp_path)
    shutil.copy(STATIC / "classifier.js", tmp_path / "written.js")
    for file in (HERE / "types").glob("*.ts"):
        shutil.copy(file, tmp_path)
    return tmp_path


def complaints(compiler: Path, folder: Path) -> str:
    files = ("uses.ts", "same.ts", "written.js")
    return node.run(folder, compiler, *OPTIONS.split(), *LIBRARIES.split(), *files).stdout


def test_module_keeps_what_its_declarations_promise(compiler: Path, folder: Path) -> None:
    assert complaints(compiler, folder) == ""


def test_broken_promise_is_found(compiler: Path, folder: Path) -> None:
    promises = folder / "classifier.d.ts"
    promises.write_text(promises.read_text().replace("elapsedMs: number", "elapsedMs: string"))

    assert "Type 'number' is not assignable" in complaints(compiler, folder)

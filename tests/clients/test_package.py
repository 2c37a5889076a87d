"""classifier.js as an npm package: its contents, in Node, with TypeScript and in a bundle."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser import node
from tests.browser.sites import gateway
from tests.flask_server.conftest import flat
from tests.flask_server.stub_serving import StubServing
from tests.flask_server.task_models import serve
from tests.running import ROOT

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PACKAGE = ROOT / "flask_server" / "static"
NAME = "image-classification-gateway"

ANSWER = {
    "models": ["toy"],
    "labels": ["light", "middle"],
    "heat": "image/png",
    "again": 1,
    "refused": "invalid_base64",
    "nowhere": "invalid_url",
}
#: What tasks.mjs prints.
TASKS: dict[str, Any] = {
    "tasks": ["classification", "multilabel", "regression", "detection", "tensor", "embedding"]
    + ["segmentation", "tensor"],
    "classify": ["0", "1"],
    "tensor": ["0", "1"],
    "detect": [{"classId": "1", "label": "1", "score": 0.9, "box": [0, 0, 4, 4]}, [8, 8]],
    "segment": [{"classId": "0", "label": "0", "pixels": 48, "share": 0.75}, [8, 8]],
    "label map": "image/png",
    "embed": [[0.6, 0.8], 2, True],
    "run": {"y": [0.5, None]},
    "npy": "application/x-npy",
    "file": {"y": [0.5, None]},
    "rows": "it has several results, which only npy() reads",
    "another task": "it has no embedding",
    "not acceptable": "not_acceptable",
}
OPTIONS = "--noEmit --strict --target es2022 --lib es2023 --types node --module nodenext"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of somebody who has installed the package and the types of Node."""
    folder = tmp_path_factory.mktemp("package")
    packages = node.install(HERE)
    done = node.npm(folder, "pack", str(PACKAGE), "--json")
    assert done.returncode == 0, done.stdout
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    (folder / "node_modules").mkdir()
    (folder / "package").rename(folder / "node_modules" / NAME)
    (folder / "node_modules" / "@types").symlink_to(packages / "@types")
    (folder / "node_modules" / "undici-types").symlink_to(packages / "undici-types")
    shutil.copy(HERE / "package" / "sample.ts", folder / "sample.mts")
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    with StubServing().running() as stub, gateway(stub.url, {"toy": "toy"}, folder) as url:
        yield url


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "white.png"
    file.write_bytes(flat("white"))
    return file


def test_package_has_every_module_that_it_imports_and_nothing_else(installed: Path) -> None:
    packed = installed / "node_modules" / NAME
    names = {file.name for file in packed.iterdir()}
    modules = {name for name in names if name.endswith(".js")}
    imported = {
        name
        for module in modules
        for name in re.findall(
            r'from "\./(.+?\.js)"', (packed / module).read_text(encoding="utf-8")
        )
    }

    assert imported == modules - {"classifier.js"}
    assert names - modules == {"package.json", "README.md", "classifier.d.ts"}
    for name in names:
        assert (packed / name).read_bytes() == (PACKAGE / name).read_bytes()


def test_types_are_found(installed: Path) -> None:
    compiler = HERE / "node_modules" / "typescript" / "bin" / "tsc"

    assert node.run(installed, compiler, *OPTIONS.split(), "sample.mts").stdout == ""


def test_node_imports_the_package(installed: Path, site: str, picture: Path) -> None:
    assert answered(installed, "sample.mts", site, picture) == ANSWER


def test_every_task_has_its_method(tmp_path: Path, picture: Path) -> None:
    shutil.copy(HERE / "package" / "tasks.mjs", tmp_path)
    file = tmp_path / "zeros.npy"
    np.save(file, np.zeros((4, 4, 3), np.float32))
    only_numbers = '[models.numbers]\nbase_path = "toy"\ntask = "tensor"\n'
    with StubServing().running() as stub:
        models = serve(stub) + only_numbers
        stub.models["numbers"] = stub.models["tensor"]
        with gateway(stub.url, models, tmp_path) as url:
            found = answered(tmp_path, "tasks.mjs", PACKAGE / "classifier.js", url, picture, file)

    assert found == TASKS


def test_code_of_the_readme_works(installed: Path, site: str, picture: Path) -> None:
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    code = readme.partition("```js\n")[2].partition("```")[0]
    head = (
        'import { openAsBlob } from "node:fs";\nconst file = await openAsBlob(process.argv[2]);\n'
    )
    code = code.replace("http://127.0.0.1:5000", site).replace("digits", "toy")
    (installed / "readme.mjs").write_text(head + code)

    done = node.run(installed, "readme.mjs", picture)

    printed = [line.split()[0] for line in done.stdout.splitlines()]
    assert printed == ["light", "middle", "dark"], done.stdout


def test_node_requires_the_package(installed: Path) -> None:
    (installed / "names.cjs").write_text(f'console.log(Object.keys(require("{NAME}")).join())')

    assert node.run(installed, "names.cjs").stdout == "Classifier,ClassifierError,classify\n"


@pytest.mark.parametrize("form", ["esm", "iife"])
def test_bundle_works(installed: Path, site: str, picture: Path, form: str) -> None:
    (installed / "entry.js").write_text(
        f'import {{ classify }} from "{NAME}";\n'
        "const [, , url] = process.argv;\n"
        "classify('no base64!', { url }).catch(({ code }) => console.log(JSON.stringify(code)));\n"
    )
    options = ["--format", form, "--file", f"{form}.mjs"]
    bundler = HERE / "node_modules" / "rolldown" / "bin" / "cli.mjs"
    done = node.run(installed, bundler, "entry.js", *options)
    assert done.returncode == 0, done.stdout

    assert answered(installed, f"{form}.mjs", site, picture) == "invalid_base64"


def answered(folder: Path, program: str, *arguments: str | Path) -> Any:
    done = node.run(folder, program, *arguments)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)

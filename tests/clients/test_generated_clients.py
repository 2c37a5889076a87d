"""Clients that code generators write from the OpenAPI document compile, and work with a gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.browser import node
from tests.browser.sites import gateway
from tests.flask_server.conftest import flat
from tests.flask_server.stub_serving import StubServing
from tests.running import ROOT

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
EXAMPLES = ROOT / "examples" / "clients"
ADDRESS = "http://127.0.0.1:5000"

#: The command of each generator, as in its example; the first word is a script in node_modules.
COMMANDS = {
    "openapi-fetch": "openapi-typescript/bin/cli.js {document} --output gateway.ts",
    "hey-api": "@hey-api/openapi-ts/bin/run.js --input {document} --output gateway",
    "orval": "orval/dist/bin/orval.mjs --config orval.config.mjs",
}

#: What the programs print.
ANSWERS: dict[str, Any] = {
    "models": ["toy"],
    "json": ["light", "middle"],
    "several": [["predictions"], ["error"]],
    "raw": ["light", "middle", "dark"],
    "query": ["dark", "light"],
    "heat": 2,
    "original": "light",
    "refused": ["unknown_model", 404],
    "example": ["light", "middle", "dark"],
    "said": "There is no model 'none'; known are toy. (unknown_model)",
}
EVERY_LABEL = ["light", "middle", "dark"]
#: What only some of them print.
MORE: dict[str, dict[str, Any]] = {
    "openapi-fetch": {"files": EVERY_LABEL, "drawn": "image/png"},
    "hey-api": {"files": EVERY_LABEL, "drawn": "image/png"},
    "orval": {"files": ["light", "middle"], "drawn": "image/png"},
    "python": {"files": EVERY_LABEL, "form": EVERY_LABEL, "two files": 2},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    with StubServing().running() as stub, gateway(stub.url, {"toy": "toy"}, folder) as url:
        yield url


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("picture") / "white.png"
    file.write_bytes(flat("white"))
    return file


@pytest.fixture(scope="module")
def clients(site: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per generator with its client, the example and the program that uses both."""
    packages = node.install(HERE)
    root = tmp_path_factory.mktemp("clients")
    (root / "node_modules").symlink_to(packages)
    shutil.copy(HERE / "programs" / "tsconfig.json", root)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: generate(root, name, site), COMMANDS))
    return root


def generate(root: Path, name: str, site: str) -> None:
    folder = root / name
    folder.mkdir()
    shutil.copy(HERE / "programs" / f"{name}.ts", folder / "program.ts")
    copy_example(f"{name}.ts", folder / "example.ts", site)
    copy_example("orval.config.mjs", folder / "orval.config.mjs", site)
    script, *arguments = COMMANDS[name].format(document=f"{site}/openapi.json").split()
    done = node.run(folder, root / "node_modules" / script, *arguments)
    assert done.returncode == 0, done.stdout


def copy_example(name: str, copy: Path, site: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert ADDRESS in text
    copy.write_text(text.replace(ADDRESS, site), encoding="utf-8")


def test_clients_examples_and_programs_compile(clients: Path) -> None:
    compiler = clients / "node_modules" / "typescript" / "bin" / "tsc"

    assert node.run(clients, compiler, "-p", ".").stdout == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_client_gets_the_answers_of_a_gateway(
    clients: Path, name: str, site: str, picture: Path
) -> None:
    bundler = clients / "node_modules" / "rolldown" / "bin" / "cli.mjs"
    folder = clients / name
    options = ["--platform", "node", "--format", "esm", "--file", "bundle.mjs"]
    bundled = node.run(folder, bundler, "program.ts", *options)
    assert bundled.returncode == 0, bundled.stdout

    done = node.run(folder, "bundle.mjs", site, picture)

    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout) == ANSWERS | MORE[name]


def test_python_client_gets_the_answers_of_a_gateway(
    site: str, picture: Path, tmp_path: Path
) -> None:
    command = ["-m", "openapi_python_client", "generate", "--url", f"{site}/openapi.json"]
    said = run_python(tmp_path, *command, "--meta", "none", "--output-path", "gateway")
    copy_example("openapi_python_client.py", tmp_path / "example.py", site)
    shutil.copy(HERE / "programs" / "openapi_python_client.py", tmp_path / "program.py")

    printed = run_python(tmp_path, "program.py", site, picture)

    assert json.loads(printed) == ANSWERS | MORE["python"]
    warnings = [line for line in said.splitlines() if line.startswith("Unsupported")]
    files = ["image/*", "application/x-npy", "image/*"]
    assert warnings == [f"Unsupported content type {kind}" for kind in files]
    assert said.count("WARNING") == len(files)


def run_python(folder: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["openapi-fetch.ts", "hey-api.ts", "orval.ts"])
def test_example_names_the_command_that_was_run(name: str) -> None:
    first = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()[0]
    _, *arguments = COMMANDS[name.removesuffix(".ts")].split()

    assert first.endswith(" ".join(arguments).format(document=f"{ADDRESS}/openapi.json"))

"""The commands of the manuals do what they say: each is typed on a machine of its own.

``FOLLOWED`` has the pages whose commands are run here, from the first to the last, and their output
compared. A command that no test runs is marked on its page, with the reason.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_catalog.spec import SPEC_FILE
from tests.docs.reader import Reader, reader
from tests.docs.shell_blocks import commands_of
from tests.docs.stub_models import models_file
from tests.running import ROOT

pytestmark = pytest.mark.slow

#: Pages that are followed in a terminal in which `make run` has started both servers.
WITH_BOTH_SERVERS = ["README.md", "docs/tutorials/first_answer.md", "docs/explain.md"]
#: Other pages that are followed here.
ALONE = [
    *("docs/access.md", "docs/auto_cmd.md", "docs/detection.md", "docs/gateway.md"),
    *("docs/migrate.md", "docs/model_server.md", "docs/reference/rest_api.md"),
    *("docs/serving.md", "docs/tasks.md"),
]
#: Pages whose commands other tests take from the page and run.
ELSEWHERE = {
    "docs/models.md": "tests/scripts/test_manual.py",
    "docs/tutorials/emotion.md": "tests/scripts/test_emotion_tutorial.py",
}
MODEL_SERVER = (ROOT / "docs" / "model_server.md").read_text(encoding="utf-8")
FOLLOWED = [*WITH_BOTH_SERVERS, *ALONE]


@pytest.fixture(scope="module")
def beside_both(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A terminal in which `make run` serves both models."""
    with reader(demo, tmp_path_factory.mktemp("both")) as somebody:
        yield somebody


@pytest.fixture
def somebody(demo: Path, tmp_path: Path) -> Iterator[Reader]:
    with reader(demo, tmp_path) as someone:
        yield someone


@pytest.mark.parametrize("page", WITH_BOTH_SERVERS)
def test_a_page_about_both_servers_is_right(page: str, beside_both: Reader) -> None:
    beside_both.check("make run")

    beside_both.follow(page)


def test_the_page_about_tensorflow_serving_is_right(beside_both: Reader) -> None:
    beside_both.check("make run")

    beside_both.follow("docs/serving.md", refused='\\"image\\"')


def test_the_page_about_keys_is_right(somebody: Reader) -> None:
    def take_the_key() -> None:
        printed = "".join(file.read_text() for file in somebody.files.glob("*.txt"))
        somebody.terminal.run(f"KEY={re.findall('icg_.*', printed)[-1]}")

    somebody.follow("docs/access.md", {"curl": take_the_key})


def test_the_page_about_auto_cmd_is_right(somebody: Reader) -> None:
    def stop() -> None:
        somebody.terminal.run("python auto_cmd.py stop")

    somebody.follow("docs/auto_cmd.md", {".venv/bin/python -m model_server": stop})


def test_the_pages_about_the_model_server_and_tasks_are_right(somebody: Reader) -> None:
    somebody.follow("docs/model_server.md")
    (client,) = re.findall(r"^```python\n(.*?)^```$", MODEL_SERVER, re.MULTILINE | re.DOTALL)
    assert somebody.terminal.run(f"python - <<'EOF'\n{client}EOF").startswith("3 ")
    somebody.follow("docs/reference/rest_api.md", refused="letters")
    _move_into(somebody, "shop", "")
    somebody.follow("docs/migrate.md")
    somebody.stop("auto_cmd.py start")
    somebody.terminal.run("cd ..")
    _start_gateway_for_tasks(somebody)

    somebody.follow("docs/tasks.md")
    somebody.follow("docs/detection.md")


def _start_gateway_for_tasks(somebody: Reader) -> None:
    """Serve the digits of the model server and a model of each task, and make the files to send."""
    stub = somebody.terminal.start(f"PYTHONPATH={ROOT} python -m tests.docs.stub_models")
    somebody.terminal.wait_until(stub, "test -s $OUTPUT")
    digits = '[models.digits]\nbase_path = "my_digit_classifier"\n'
    digits += 'serving_url = "http://127.0.0.1:8501"\n'
    (somebody.project / "tasks.toml").write_text(digits + models_file(stub.output.strip()))
    (somebody.project / "streets.txt").write_text("road\nsky\n")
    (somebody.project / "coco.pbtxt").write_text("item { id: 3 name: 'car' }")
    np.save(somebody.project / "digit.npy", np.zeros((32, 32, 1), np.float32))
    Image.new("RGB", (640, 480)).save(somebody.project / "street.jpg")
    shutil.copy(ROOT / "test_images" / "face.jpg", somebody.project)
    somebody.start(
        "GATEWAY_MODELS_FILE=tasks.toml gunicorn -c flask_server/gunicorn.conf.py",
        "curl http://127.0.0.1:5000/readyz",
    )


def test_the_page_about_the_gateway_is_right(somebody: Reader) -> None:
    """It starts both servers with gRPC between them. The page about versions needs such servers."""
    _move_into(somebody, "shop", "versions = [1]\nversion_labels = { stable = 1 }\n")

    somebody.follow("docs/gateway.md")

    for command in commands_of("docs/models.md"):
        if command.output is not None:
            somebody.check(command.text, command.output)


def _move_into(somebody: Reader, folder: str, keys: str) -> None:
    """Make a project of two versions, of which the second one resizes pictures in another way."""
    shop = somebody.project / folder
    (shop / "photos").mkdir(parents=True)
    for name in (".venv", "scripts", "auto_cmd.py"):
        (shop / name).symlink_to(somebody.project / name)
    for version in "12":
        shutil.copytree(ROOT / "my_digit_classifier" / "1", shop / "digits" / version)
    spec = shop / "digits" / "2" / SPEC_FILE
    spec.write_text(spec.read_text().replace('"bilinear"', '"nearest"'))
    for picture in (ROOT / "test_images").glob("*.*g"):
        shutil.copy(picture, shop / "photos")
    (shop / "models.toml").write_text(f'[models.digits]\nbase_path = "digits"\n{keys}')
    somebody.terminal.run(f"cd {folder}")

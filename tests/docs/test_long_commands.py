"""The commands of the manuals that take long, as they import TensorFlow: ``make commands``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reader import Reader, reader
from tests.docs.shell_blocks import LONG, Command, all_commands

#: Writes the file of a model that classifies pictures of 32 x 32 pixels.
_FLOWERS = """python - <<'EOF'
import keras

layers = keras.layers
model = keras.Sequential(
    [
        keras.Input((32, 32, 3)),
        layers.Conv2D(4, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5, activation="softmax"),
    ]
)
model.save("flowers.keras")
EOF"""
#: What a reader has done before.
PREPARED = {
    "docs/serving.md": "export TF_CPP_MIN_LOG_LEVEL=3",  # fewer messages of TensorFlow
    "docs/install.md": f"cd ~ && {_FLOWERS}",
}


def long_commands(page: str) -> list[Command]:
    return [
        command
        for command in all_commands()
        if command.page == page and command.mark.startswith(LONG)
    ]


@pytest.fixture
def somebody(demo: Path, tmp_path: Path) -> Iterator[Reader]:
    with reader(demo, tmp_path) as someone:
        someone.terminal.limit_s = 600
        yield someone


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.environ.get("COMMANDS") != "long", reason="needs COMMANDS=long")
@pytest.mark.parametrize("page", PREPARED)
def test_the_long_commands_of_a_page_do_what_it_says(page: str, somebody: Reader) -> None:
    somebody.terminal.run(PREPARED[page])

    for command in long_commands(page):
        somebody.check(command.text, command.output)


def test_each_long_command_is_on_a_page_that_is_followed() -> None:
    pages = {command.page for command in all_commands() if command.mark.startswith(LONG)}

    assert pages == set(PREPARED)

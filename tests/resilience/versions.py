"""Versions of a model whose scores and labels name the version."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_catalog.spec import InputSpec, ModelSpec, OutputSpec


def numbered_model(version: int) -> tuple[Any, ModelSpec]:
    """Return a Keras model whose scores are its version number, and labels that name it."""
    import keras

    inputs = keras.Input((4, 4, 3))
    flat = keras.layers.GlobalAveragePooling2D()(inputs)
    dense = keras.layers.Dense(
        2, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(version)
    )
    spec = ModelSpec(
        name="numbered",
        input=InputSpec(height=4, width=4),
        output=OutputSpec(classes=2, activation="sigmoid"),
        labels=tuple((f"v{version}{x}", f"{x} of {version}") for x in "ab"),
    )
    return keras.Model(inputs, dense(flat)), spec


def export_versions(folder: Path, count: int) -> None:
    """Write the versions 1 to ``count``."""
    from scripts.export_saved_model import export
    from tests.exporting import verified_here

    with verified_here():
        for version in range(1, count + 1):
            model, spec = numbered_model(version)
            export(model, folder, spec)


def is_of_one_version(body: dict[str, Any]) -> bool:
    """Tell whether version, labels and scores of a predict response belong together."""
    version = body["version"]
    found = {(each["label"], each["score"]) for each in body["predictions"]}
    return found == {(f"a of {version}", version), (f"b of {version}", version)}


def swaps(count: int) -> Iterator[int]:
    """Yield the version to serve after each swap, from version 1 on; each third is a rollback."""
    version = 1
    for swap in range(1, count + 1):
        version += -1 if swap % 3 == 0 else 1
        yield version


@dataclass(frozen=True)
class Publisher:
    """Puts versions into the folder of a model, and takes them out."""

    exports: Path
    base: Path

    def publish(self, version: int) -> None:
        """Make a version appear whole."""
        draft = self.base / f".draft-{version}"
        shutil.copytree(self.exports / str(version), draft)
        draft.rename(self.base / str(version))

    def withdraw(self, version: int) -> None:
        """Make a version disappear at once."""
        grave = self.base / f".withdrawn-{version}"
        (self.base / str(version)).rename(grave)
        shutil.rmtree(grave)

    def newest(self, version: int) -> None:
        """Make a version the newest one: publish it, or roll back to it."""
        for other in self.published:
            if other > version:
                self.withdraw(other)
        if version not in self.published:
            self.publish(version)

    @property
    def published(self) -> list[int]:
        return sorted(int(each.name) for each in self.base.iterdir() if each.name.isdigit())

    def reset(self) -> None:
        """Keep only version 1, as exported."""
        for each in self.base.iterdir():
            if each.name != "1":
                shutil.rmtree(each)
        self.newest(1)

"""Fixtures: an imported TensorFlow, a small model, its spec and its export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from scripts import quiet_tensorflow
from scripts.export_saved_model import export
from tests.exporting import verified_here
from tests.scripts.models import CLASSES, classifier

if TYPE_CHECKING:
    import keras

LABELS = (("n1", "äpfel"), ("n2", "pear"), ("n3", "plum"), ("n4", "fig"))


@pytest.fixture(scope="session")
def tensorflow() -> Iterator[None]:
    """Import TensorFlow, and verify exports in this process, which saves seconds per export."""
    quiet_tensorflow.start()
    with verified_here():
        yield


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    return ModelSpec(
        name="fruit",
        input=InputSpec(height=6, width=5, scale="caffe"),
        output=OutputSpec(classes=CLASSES),
        labels=LABELS,
        source="a test",
    )


@pytest.fixture(scope="session")
def model(tensorflow: None) -> keras.Model:
    return classifier()


@pytest.fixture(scope="session")
def exported(model: keras.Model, spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the exported version."""
    return export(model, tmp_path_factory.mktemp("fruit"), spec)

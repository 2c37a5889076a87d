"""TensorFlow is imported without Keras where nothing needs Keras, and Keras can still be used."""

from __future__ import annotations

import importlib
import sys

import pytest

from model_catalog import lean_import
from model_catalog.lean_import import without_keras


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean_import, "KERAS", ("colorsys",))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)


def test_it_cannot_be_imported_in_the_block_and_can_after_it() -> None:
    with without_keras(), pytest.raises(ImportError):
        importlib.import_module("colorsys")

    assert importlib.import_module("colorsys").__name__ == "colorsys"


def test_one_that_was_imported_before_stays() -> None:
    before = importlib.import_module("colorsys")

    with without_keras():
        assert importlib.import_module("colorsys") is before

    assert sys.modules["colorsys"] is before


def test_it_can_be_imported_after_an_error_in_the_block() -> None:
    with pytest.raises(ZeroDivisionError), without_keras():
        raise ZeroDivisionError

    assert "colorsys" not in sys.modules

"""Fixtures: ``.tflite`` and frozen ``.pb`` files, made by TensorFlow's converter once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts.graph_files.files import GraphFiles, write_files


@pytest.fixture(scope="session")
def files(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> GraphFiles:
    """Two networks as float and quantised ``.tflite`` and as ``.pb`` files."""
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    return write_files(tmp_path_factory.mktemp("graph_files"))


@pytest.fixture(scope="session")
def folder(files: GraphFiles) -> Path:
    return files.folder

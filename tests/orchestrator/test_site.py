from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from orchestrator.errors import Misused
from orchestrator.run_dir import RunDir
from orchestrator.site import Site, settle, start_options


def settled(folder: Path, *words: str) -> Site:
    parser = argparse.ArgumentParser()
    start_options(parser)
    return settle(parser.parse_args(words), RunDir(folder), folder)


def test_nothing_is_said_about_computing_unless_asked_for(tmp_path: Path) -> None:
    assert settled(tmp_path, "--serving", "embedded").computing == []


def test_engine_and_precision_become_flags(tmp_path: Path) -> None:
    site = settled(tmp_path, "--serving", "embedded", "--engine", "openvino", "--precision", "auto")

    assert site.computing == ["--engine=openvino", "--precision=auto"]


def test_another_serving_cannot_be_told_how_to_compute(tmp_path: Path) -> None:
    words = ["--serving", "none", "--serving-url", "http://far:1", "--precision", "bf16"]

    with pytest.raises(Misused, match="--precision=bf16: only the embedded Serving has it"):
        settled(tmp_path, *words)

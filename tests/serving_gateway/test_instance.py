"""Which running instance the options of a subcommand mean."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from orchestrator.processes import identity
from orchestrator.run_dir import RunDir
from serving_gateway.instance import Instance, instance_of


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """The folder of an instance, this process, that serves the models of ``models/models.toml``."""
    (tmp_path / "models").mkdir()
    (tmp_path / "link").symlink_to("models")
    run_dir = RunDir(tmp_path / "run")
    run_dir.write(
        {
            "pid": os.getpid(),
            "identity": identity(os.getpid()),
            "children": {},
            "models_file": str(tmp_path / "models" / "models.toml"),
        }
    )
    return run_dir


def found(run_dir: RunDir, models_file: Path | None) -> Instance:
    return instance_of(argparse.Namespace(run_dir=run_dir.path, models_file=models_file))


@pytest.mark.parametrize("folder", ["models", "link", "run/../models"])
def test_the_instance_is_found_by_every_path_of_its_models_file(
    run_dir: RunDir, folder: str
) -> None:
    assert found(run_dir, run_dir.path.parent / folder / "models.toml").running is not None


def test_without_a_models_file_it_is_that_of_the_instance(run_dir: RunDir) -> None:
    instance = found(run_dir, None)

    assert instance.running is not None
    assert instance.models_file == run_dir.path.parent / "models" / "models.toml"


def test_an_instance_with_other_models_does_not_count(run_dir: RunDir) -> None:
    assert found(run_dir, run_dir.path.parent / "models.toml").running is None

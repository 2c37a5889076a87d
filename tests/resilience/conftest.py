"""The servers, shared by the tests of this folder, one set per engine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resilience.form import FORM
from tests.resilience.stand import NO_DEADLINE, Stand, running_stand
from tests.resilience.supervised import Instance, running_instance
from tests.resilience.versions import export_versions, swaps

if not sys.platform.startswith("linux"):
    pytest.skip("/proc is needed", allow_module_level=True)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of versions."""
    folder = tmp_path_factory.mktemp("exports")
    export_versions(folder, max(swaps(FORM.swaps)))
    return folder


@pytest.fixture(scope="session", params=FORM.engines)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "openvino":
        pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    return str(request.param)


@pytest.fixture(scope="session")
def stand(engine: str, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with running_stand(engine, exports, tmp_path_factory.mktemp("stand")) as stand:
        yield stand


@pytest.fixture
def calm(stand: Stand) -> Iterator[Stand]:
    """The servers, restored after the test."""
    yield stand
    stand.restore()


@pytest.fixture(scope="session")
def patient_stand(
    engine: str, exports: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("patient")
    with running_stand(engine, exports, folder, None, **NO_DEADLINE) as stand:
        yield stand


@pytest.fixture
def patient(patient_stand: Stand) -> Iterator[Stand]:
    """Servers for a test in which no request may fail, restored after it."""
    yield patient_stand
    patient_stand.restore()


@pytest.fixture(scope="session")
def supervised(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    with running_instance(exports, tmp_path_factory.mktemp("instance")) as instance:
        yield instance


@pytest.fixture
def instance(supervised: Instance) -> Instance:
    """Gateway and model server under auto_cmd.py; started again if a test has ended them."""
    if supervised.sandbox.call("status").returncode:
        supervised.start()
    return supervised

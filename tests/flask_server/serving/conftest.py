"""A module that sets ``PROTOCOLS`` runs its tests with a stub Serving of each protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flask_server.stub_grpc_serving import StubGrpcServing
from tests.flask_server.stub_serving import StubServing

STUBS = {"rest": StubServing, "grpc": StubGrpcServing}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    protocols = getattr(metafunc.module, "PROTOCOLS", None)
    if protocols and "serving" in metafunc.fixturenames:
        metafunc.parametrize("serving", protocols, indirect=True)


@pytest.fixture
def serving(request: pytest.FixtureRequest) -> Iterator[StubServing]:
    with STUBS[getattr(request, "param", "rest")]().running() as stub:
        yield stub


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for all addresses of a model, also where a busy machine delays one of them."""
    monkeypatch.setattr("flask_server.serving.replica_polls.POLL_WAIT_S", 60.0)

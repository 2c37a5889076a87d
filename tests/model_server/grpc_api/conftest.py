from __future__ import annotations

from collections.abc import Iterator

import pytest

from model_server.metrics import Metrics
from model_server.models.registry import Registry
from tests.model_server.grpc_api.calls import RawClient, grpc_server, registry_of
from tests.model_server.grpc_api.models import models


@pytest.fixture(scope="package")
def registry() -> Registry:
    return registry_of(models())


@pytest.fixture(scope="package")
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture(scope="package")
def client(registry: Registry, metrics: Metrics) -> Iterator[RawClient]:
    with grpc_server(registry, metrics=metrics) as client:
        yield client

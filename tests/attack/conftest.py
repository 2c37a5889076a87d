"""Both servers, for the tests of this folder together."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.attack.catalogue import Target

if not sys.platform.startswith("linux"):
    collect_ignore = ["test_idle_connections.py"]

#: Those of 10,000 connections, and others.
WANTED_DESCRIPTORS = 10_500


@pytest.fixture(scope="package")
def descriptors() -> Iterator[int]:
    """How many descriptors this process and the servers that it starts may have.

    The limit is raised as far as possible; root may go beyond its own.
    """
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    for hard in (max(before[1], WANTED_DESCRIPTORS), before[1]):
        with suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, WANTED_DESCRIPTORS), hard))
            break
    yield resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="package")
def gateway_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the log of the gateway."""
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="package")
def gateway(gateway_folder: Path, descriptors: int) -> Iterator[Target]:
    from tests.attack import targets

    with targets.gateway(gateway_folder) as target:
        yield target


@pytest.fixture(scope="package")
def model_server(tmp_path_factory: pytest.TempPathFactory, descriptors: int) -> Iterator[Target]:
    from tests.attack import targets

    with targets.model_server(tmp_path_factory.mktemp("model_server")) as target:
        yield target

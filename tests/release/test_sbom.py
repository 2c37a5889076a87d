"""The SBOM is valid CycloneDX, names what the extras bring, and is the same each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from model_catalog.installation import PACKAGE
from model_catalog.version import VERSION
from release.licences import lists
from release.packages import FOR_DEVELOPERS, PLAIN, read
from release.sbom import EXTRA, sbom
from tests.running import ROOT

EPOCH = 1_790_000_000
SCHEMAS = files("cyclonedx.schema._res")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(sbom(read(), EPOCH))
    return made


def schema(name: str) -> dict[str, Any]:
    read_schema: dict[str, Any] = json.loads(SCHEMAS.joinpath(name).read_text(encoding="utf-8"))
    return read_schema


def test_it_is_valid(document: dict[str, Any]) -> None:
    parts = [schema(f"{name}.SNAPSHOT.schema.json") for name in ("spdx", "jsf-0.82")]
    registry: Registry[Any] = Registry().with_resources(
        (part["$id"], Resource.from_contents(part)) for part in parts
    )
    validator = Draft7Validator(schema("bom-1.6.SNAPSHOT.schema.json"), registry=registry)

    assert list(validator.iter_errors(document)) == []


def test_it_is_the_same_each_time() -> None:
    """Also in a process whose sets have another order."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    program = (
        "from release.packages import read\nfrom release.sbom import sbom\n"
        f"print(sbom(read(), {EPOCH}), end='')"
    )
    environ = os.environ | {"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}

    made = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, stdout=subprocess.PIPE, check=True
    )

    assert made.stdout.decode() == sbom(read(), EPOCH)


def test_it_names_what_the_extras_bring_with_licences(document: dict[str, Any]) -> None:
    packages = read()
    wanted = {
        name
        for extra, names in lists(packages).items()
        if extra not in FOR_DEVELOPERS
        for name in names
    }

    found = {row["name"]: row for row in document["components"]}
    assert set(found) == wanted
    for name, row in found.items():
        assert row["version"] == packages[name].version
        assert row["licenses"] == [{"expression": packages[name].licence}], name


def test_it_describes_this_version_and_who_needs_what(document: dict[str, Any]) -> None:
    own = document["metadata"]["component"]
    needs = {row["ref"]: row.get("dependsOn", []) for row in document["dependencies"]}
    flask = f"pkg:pypi/flask@{read()['flask'].version}"

    assert (own["name"], own["version"]) == (PACKAGE, VERSION)
    assert flask in needs[own["bom-ref"]]
    assert f"pkg:pypi/werkzeug@{read()['werkzeug'].version}" in needs[flask]
    assert document["metadata"]["timestamp"].startswith("2026-")


def test_it_says_which_extra_brings_a_package(document: dict[str, Any]) -> None:
    row = next(row for row in document["components"] if row["name"] == "redis")

    assert [p["value"] for p in row["properties"] if p["name"] == EXTRA] == ["redis"]
    assert "redis" not in lists(read())[PLAIN]

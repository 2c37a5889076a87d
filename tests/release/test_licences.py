"""Every package that an extra can bring is pinned and has a known licence."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import pytest
from license_expression import get_spdx_licensing

from release import collect
from release.licences import REVIEWED, licence, lists, text
from release.packages import FOR_DEVELOPERS, Package, closure, normalized, pins, read, written

PACKAGES = read()


def installed() -> Mapping[str, metadata.Distribution]:
    found = metadata.distributions()
    return {normalized(d.metadata["Name"]): d for d in found if d.metadata["Name"]}


def test_each_extra_can_be_listed_with_the_pinned_versions() -> None:
    pinned = pins()
    listed = {name for names in lists(PACKAGES).values() for name in names}

    assert {n: PACKAGES[n].version for n in listed} == {n: pinned.get(n) for n in listed}, (
        "release/packages.json is out of date: make licences"
    )


def test_each_licence_is_an_spdx_expression() -> None:
    spdx = get_spdx_licensing()
    wrong = {n: p.licence for n, p in PACKAGES.items() if spdx.validate(p.licence).errors}

    assert {n: text for n, text in wrong.items() if not text.startswith("LicenseRef-")} == {}


def test_the_installed_packages_say_the_same() -> None:
    """The licences in the file are those of the installed packages of the same version."""
    compared = set()
    for name, distribution in installed().items():
        known = PACKAGES.get(name)
        if known is None or known.version != distribution.version:
            continue
        document: dict[str, Any] = distribution.metadata.json
        assert licence(name, document) == known.licence, name
        compared.add(name)
    assert "flask" in compared


def test_no_licence_is_reviewed_in_vain() -> None:
    assert set(REVIEWED) <= set(PACKAGES)


def test_the_list_has_a_table_for_each_extra() -> None:
    written_list = text(PACKAGES)

    assert written_list.count("\n## ") == len(lists(PACKAGES))
    assert f"| flask | {PACKAGES['flask'].version} | BSD-3-Clause |" in written_list
    assert set(FOR_DEVELOPERS) <= set(lists(PACKAGES))


@pytest.mark.parametrize(
    ("document", "spdx"),
    [
        ({"license_expression": "MIT OR Apache-2.0", "license": "x"}, "MIT OR Apache-2.0"),
        ({"license": "Apache License 2.0"}, "Apache-2.0"),
        ({"classifier": ["License :: OSI Approved :: MIT License"]}, "MIT"),
        ({"license": "see the file", "classifier": ["License :: OSI Approved :: X"]}, None),
        ({}, None),
    ],
)
def test_the_licence_is_read_from_the_metadata(document: dict[str, Any], spdx: str | None) -> None:
    assert licence("some-package", document) == spdx


def test_the_file_is_read_as_it_was_written() -> None:
    assert read(written(PACKAGES)) == PACKAGES


def test_a_closure_follows_the_needs() -> None:
    packages = {
        "a": Package("1", "MIT", ("b",)),
        "b": Package("1", "MIT", ("a", "c")),
        "c": Package("1", "MIT", (), {"x": ("d",)}),
        "d": Package("1", "MIT", ()),
    }

    assert closure(["a"], packages) == ["a", "b", "c"]
    assert closure(["c[x]"], packages) == ["c", "d"]


def test_a_report_of_pip_becomes_packages() -> None:
    report = {
        "environment": {"python_version": "3.11", "sys_platform": "linux"},
        "install": [
            {
                "metadata": {
                    "name": "A.b",
                    "version": "1",
                    "license_expression": "MIT",
                    "requires_dist": [
                        "C_d[z]>=1",
                        "e; extra == 'x'",
                        "f; extra == 'y'",
                        "g; sys_platform == 'win32'",
                    ],
                },
                "requested_extras": ["x"],
            },
            {
                "metadata": {
                    "name": "c-d",
                    "version": "2",
                    "license": "MIT",
                    "requires_dist": ["f; extra == 'z'"],
                }
            },
            *({"metadata": {"name": name, "version": "2"}} for name in ("e", "f", "g")),
        ],
    }

    assert collect.packages(report) == {
        "a-b": Package("1", "MIT", ("c-d[z]",), {"x": ("e",)}),
        "c-d": Package("2", "MIT", (), {"z": ("f",)}),
        **dict.fromkeys(("e", "f", "g")),
    }

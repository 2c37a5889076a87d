"""Make the software bill of materials (SBOM), in the format CycloneDX 1.6.

It names the package and all that its extras bring, but for those of developers. The same packages
give the same bytes.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from model_catalog.installation import PACKAGE
from model_catalog.version import VERSION
from release.licences import lists
from release.packages import FOR_DEVELOPERS, PLAIN, Package, direct, extras, plain

_LICENCE: Final = "Apache-2.0"
#: The property that names an extra which brings a package.
EXTRA: Final = f"{PACKAGE}:extra"


def sbom(packages: Mapping[str, Package], epoch: int) -> str:
    """Return the document as JSON; ``epoch`` is its date in Unix time."""
    bringing = _extras_by_package(packages)
    known = {name: _component(name, packages[name], bringing[name]) for name in sorted(bringing)}
    own = _described(PACKAGE, VERSION, _LICENCE, ComponentType.APPLICATION)
    made = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{own.purl}#{epoch}"),
        metadata=BomMetaData(component=own, timestamp=datetime.fromtimestamp(epoch, UTC)),
        components=known.values(),
    )
    made.register_dependency(own, [known[name] for name in sorted(_direct())])
    for name, component in known.items():
        package = packages[name]
        needed = {*package.requires, *(other for more in package.extras.values() for other in more)}
        shown = sorted({plain(other) for other in needed} & known.keys())
        made.register_dependency(component, [known[other] for other in shown])
    return JsonV1Dot6(made).output_as_string(indent=2) + "\n"


def _extras_by_package(packages: Mapping[str, Package]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for extra, names in lists(packages).items():
        if extra not in FOR_DEVELOPERS:
            for name in names:
                found.setdefault(name, []).append(extra)
    return found


def _direct() -> set[str]:
    known = extras()
    return {
        plain(name)
        for extra in known
        if extra not in FOR_DEVELOPERS
        for name in direct(extra, known, PACKAGE)
    }


def _component(name: str, package: Package, bringing: list[str]) -> Component:
    component = _described(name, package.version, package.licence, ComponentType.LIBRARY)
    for extra in bringing:
        if extra != PLAIN:
            component.properties.add(Property(name=EXTRA, value=extra))
    return component


def _described(name: str, version: str, licence: str, kind: ComponentType) -> Component:
    purl = PackageURL("pypi", None, name, version)
    return Component(
        name=name,
        version=version,
        type=kind,
        purl=purl,
        bom_ref=str(purl),
        licenses=[LicenseExpression(licence)],
    )

"""Find the licence of a package in its metadata, and list those of all packages by extra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from license_expression import ExpressionError, get_spdx_licensing

from model_catalog.installation import PACKAGE
from model_catalog.version import VERSION
from release.packages import PLAIN, Package, closure, direct, extras

#: SPDX expressions of texts in use that are none themselves, in lower case.
_SPDX: Final = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "gplv2": "GPL-2.0-only",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "licenseref-nvidia-proprietary": "LicenseRef-NVIDIA-Proprietary",
    "nvidia proprietary software": "LicenseRef-NVIDIA-Proprietary",
    "python software foundation license": "PSF-2.0",
}
#: Packages whose metadata leave the licence open, as their files of licences say.
REVIEWED: Final[Mapping[str, str]] = {
    "atheris": "Apache-2.0",
    **dict.fromkeys(
        (
            "alabaster",
            "astunparse",
            "contourpy",
            "cycler",
            "itsdangerous",
            "jinja2",
            "kiwisolver",
            "scipy",
        ),
        "BSD-3-Clause",
    ),
    **dict.fromkeys(
        (f"sphinxcontrib-{name}help" for name in ("apple", "dev", "html", "qt")), "BSD-2-Clause"
    ),
    "cykooz-resizer": "MIT OR Apache-2.0",
    "docutils": "LicenseRef-Public-Domain AND BSD-2-Clause AND PSF-2.0 AND GPL-3.0-or-later",
    "namex": "Apache-2.0",
    "pyasn1-modules": "BSD-2-Clause",
    "sphinxcontrib-jsmath": "BSD-2-Clause",
    "sphinxcontrib-serializinghtml": "BSD-2-Clause",
    "uvloop": "MIT OR Apache-2.0",
}
_LICENSING: Final = get_spdx_licensing()
_CLASSIFIER: Final = "License :: "
#: Longer texts are whole licences.
_LONGEST: Final = 100


def licence(name: str, metadata: Mapping[str, Any]) -> str | None:
    """Return the SPDX expression of a package from its core metadata; None if they lack one.

    ``name`` is normalized; the keys of the metadata are those of pip's reports.
    """
    if name in REVIEWED:
        return REVIEWED[name]
    if metadata.get("license_expression"):
        return str(metadata["license_expression"])
    found = _of_text(str(metadata.get("license") or ""))
    classifiers = [c for c in metadata.get("classifier", ()) if c.startswith(_CLASSIFIER)]
    if found is None and len(classifiers) == 1:  # several may mean "and" or "or"
        return _of_text(classifiers[0].rpartition(" :: ")[2])
    return found


def _of_text(text: str) -> str | None:
    """Return the SPDX expression that a text is or stands for."""
    short = " ".join(text.split())
    if short.lower() in _SPDX:
        return _SPDX[short.lower()]
    if not short or len(short) > _LONGEST:
        return None
    try:
        return str(_LICENSING.parse(short, validate=True))
    except ExpressionError:
        return None


def lists(packages: Mapping[str, Package]) -> dict[str, list[str]]:
    """Return the packages that each extra brings, with all that these need."""
    known = extras()
    return {extra: closure(direct(extra, known, PACKAGE), packages) for extra in known}


def text(packages: Mapping[str, Package]) -> str:
    """Return the list of the licences: a table for each extra."""
    parts = [f"# Licences of the dependencies of {PACKAGE} {VERSION}\n"]
    for extra, names in lists(packages).items():
        title = "A plain installation" if extra == PLAIN else f"The extra {extra}"
        rows = (f"| {n} | {packages[n].version} | {packages[n].licence} |\n" for n in names)
        parts.append(
            f"## {title}\n\n| package | version | licence |\n| --- | --- | --- |\n{''.join(rows)}"
        )
    return "\n".join(parts)

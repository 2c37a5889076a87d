"""There is one version number, and every file that has to repeat it has the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from model_catalog.version import VERSION

ROOT = Path(__file__).parents[2]
#: The names of the images and of the npm package, each with a version.
NAMED = re.compile(r"image-classification-(?:gateway|model-server)[:-](\d+\.\d+\.\d+)")
FILES = sorted(
    path
    for pattern in ("compose.yaml", "deploy/Dockerfile.*", "deploy/**/*.yaml", "docs/**/*.md")
    for path in ROOT.glob(pattern)
    if NAMED.search(path.read_text(encoding="utf-8"))
)


def test_the_client_for_browsers_has_the_version_of_the_packages() -> None:
    package = json.loads((ROOT / "flask_server/static/package.json").read_text(encoding="utf-8"))

    assert package["version"] == VERSION


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_image_is_named_with_the_version(path: Path) -> None:
    assert set(NAMED.findall(path.read_text(encoding="utf-8"))) == {VERSION}


def test_the_manifests_and_manuals_name_images() -> None:
    assert len(FILES) >= 7

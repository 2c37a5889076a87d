"""Write the spec of a model into a version folder."""

from __future__ import annotations

from pathlib import Path

from model_catalog.spec import SPEC_FILE, ModelSpec


def write_spec(folder: Path, spec: ModelSpec) -> None:
    """Write the spec file into a version folder that has no ``assets.extra`` yet."""
    file = folder / SPEC_FILE
    file.parent.mkdir()
    file.write_text(spec.to_json() + "\n", encoding="utf-8")

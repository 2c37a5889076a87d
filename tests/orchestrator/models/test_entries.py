from __future__ import annotations

from pathlib import Path

import pytest

from model_catalog.errors import CatalogError
from model_catalog.installation import CODE
from model_catalog.models_file import load_models_file
from orchestrator.models.entries import explained


@pytest.mark.parametrize(
    ("is_installed", "words"),
    [(False, "docs/models_file.md"), (True, "serving-gateway models add NAME FOLDER")],
)
def test_a_missing_models_file_names_what_the_installation_has(
    tmp_path: Path, is_installed: bool, words: str
) -> None:
    path = tmp_path / "models.toml"
    with pytest.raises(CatalogError) as raised:
        load_models_file(path)

    text = explained(raised.value, path, tmp_path if is_installed else CODE)

    assert f"{path} cannot be read, as it does not exist: write one " in text
    assert words in text
    assert ("docs/" in text) is not is_installed

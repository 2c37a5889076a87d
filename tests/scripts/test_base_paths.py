"""Each model gets a folder of its own, and models.toml's lines for it."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest

from model_catalog.errors import CatalogError
from model_catalog.labels import numbered_labels
from model_catalog.models_file import parse_models_file
from model_catalog.spec import SPEC_FILE, InputSpec, ModelSpec, OutputSpec
from scripts.base_paths import (
    add_to_models_file,
    base_path_of,
    how_to_serve,
    how_to_try,
    require_same_model,
)
from scripts.errors import ScriptError
from tests.model_catalog.test_folders import saved_model

INPUT = InputSpec(height=8, width=8)


def spec_of(classes: int = 3, view: InputSpec = INPUT) -> ModelSpec:
    labels = tuple((str(index), f"label {index}") for index in range(classes))
    return ModelSpec(name="m", input=view, output=OutputSpec(classes=classes), labels=labels)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("flowers.keras", "flowers"),
        ("My Flowers (1).h5", "My_Flowers_1"),
        ("…/v1.2.keras", "v1.2"),
        (".keras", "keras"),
        ("ä.keras", "model"),
    ],
)
def test_the_folder_is_named_after_the_model_file(tmp_path: Path, file: str, name: str) -> None:
    assert base_path_of(Path(file), tmp_path) == tmp_path / name


def test_a_folder_of_something_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert base_path_of(Path("docs.keras"), tmp_path) == tmp_path / "docs"

    (tmp_path / "docs" / "page.md").touch()

    with pytest.raises(ScriptError, match="name another with --base-path"):
        base_path_of(Path("docs.keras"), tmp_path)


def test_versions_of_the_same_model_follow_each_other(tmp_path: Path) -> None:
    saved_model(tmp_path / "2", labels=3)
    rescaled = InputSpec(height=8, width=8, scale="unit", fit="crop", interpolation="box")

    require_same_model(tmp_path / "missing", spec_of())
    require_same_model(tmp_path, spec_of(view=rescaled))


@pytest.mark.parametrize(
    ("spec", "difference"),
    [
        (spec_of(classes=4), "it has 3 labels, the new one 4"),
        (spec_of(view=InputSpec(height=8, width=9)), "of 8x8 rgb, the new one 8x9 rgb"),
        (
            spec_of(view=InputSpec(height=8, width=8, color="grayscale")),
            "of 8x8 rgb, the new one 8x8 grayscale",
        ),
        (
            dataclasses.replace(spec_of(), labels=numbered_labels(3)),
            "its label 0 is 'label 0', that of the new one '0'",
        ),
    ],
)
def test_another_model_is_refused(tmp_path: Path, spec: ModelSpec, difference: str) -> None:
    saved_model(tmp_path / "1", labels=4)
    saved_model(tmp_path / "2", labels=3)

    with pytest.raises(ScriptError, match=f"{tmp_path / '2'} is another model") as refused:
        require_same_model(tmp_path, spec)

    assert difference in str(refused.value)
    assert "--replace" in str(refused.value)


def test_a_version_without_spec_is_compared_by_its_scores(tmp_path: Path) -> None:
    saved_model(tmp_path / "1", classes=3, labels=None)

    require_same_model(tmp_path, spec_of(3))
    with pytest.raises(ScriptError, match="it returns 3 scores, the new one 4"):
        require_same_model(tmp_path, spec_of(4))
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"\xff")
    require_same_model(tmp_path, spec_of(4))


def test_an_unreadable_spec_does_not_hinder(tmp_path: Path) -> None:
    saved_model(tmp_path / "1", labels=3)
    (tmp_path / "1" / SPEC_FILE).write_bytes(b"\xff{")

    require_same_model(tmp_path, spec_of(3))


@pytest.mark.parametrize("folder", ["flowers", "Flowers", "v1.2", 'a "b"', "ä"])
def test_the_printed_lines_serve_the_model(tmp_path: Path, folder: str) -> None:
    before = '[models.flowers]\nbase_path = "elsewhere"\n'
    (tmp_path / "models.toml").write_text(before, encoding="utf-8")
    (tmp_path / folder).mkdir()

    text = how_to_serve(tmp_path / folder / "1", tmp_path)

    lines = text.partition("\n\n")[2]
    assert len(tomllib.loads(lines)["models"]) == 1
    models = parse_models_file(f"{before}\n{lines}\n", tmp_path / "models.toml")
    assert models.entries[1].base_path == tmp_path / folder


def test_a_folder_outside_the_project_is_named_in_full(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()

    text = how_to_serve(tmp_path / "models" / "1", tmp_path / "project")

    assert f'base_path = "{tmp_path / "models"}"' in text


def test_the_lines_are_added_once_and_nothing_else_changes(tmp_path: Path) -> None:
    before = "# my models\n[models.cats]  # the first\nbase_path = 'cats'"
    (tmp_path / "models.toml").write_text(before, encoding="utf-8")

    said = add_to_models_file(tmp_path / "dogs" / "1", tmp_path)
    again = add_to_models_file(tmp_path / "dogs" / "2", tmp_path)

    text = (tmp_path / "models.toml").read_text(encoding="utf-8")
    assert text == f'{before}\n\n[models.dogs]\nbase_path = "dogs"\n'
    assert "which running servers take up" in said
    assert again == "models.toml serves it as dogs"
    assert "/models/dogs/predict" in how_to_try(tmp_path / "dogs" / "2", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["models.toml"]


def test_a_broken_models_file_is_not_added_to(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text("models = 3", encoding="utf-8")

    with pytest.raises(CatalogError, match=r"models\.toml: "):
        add_to_models_file(tmp_path / "dogs" / "1", tmp_path)

    assert (tmp_path / "models.toml").read_text(encoding="utf-8") == "models = 3"


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ("", "models.toml serves it as pets"),
        ("versions = [1, 2]", "models.toml serves it as pets"),
        ("versions = [1]", "models.toml serves other versions as pets: add 2 to its versions"),
    ],
)
def test_a_folder_that_is_served_needs_no_lines(tmp_path: Path, versions: str, said: str) -> None:
    text = f'[models.pets]\nbase_path = "./animals"\n{versions}\n'
    (tmp_path / "models.toml").write_text(text, encoding="utf-8")

    assert how_to_serve(tmp_path / "animals" / "2", tmp_path) == said

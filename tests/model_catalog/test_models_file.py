from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_catalog.errors import ModelsFileError
from model_catalog.models_file import load_models_file, parse_models_file
from tests.model_catalog.test_model_table import PATH

ROOT = Path(__file__).parents[2]


def test_the_project_s_own_file_serves_both_models() -> None:
    models = load_models_file(ROOT / "models.toml")

    assert [e.name for e in models.entries] == ["ImageClassifier", "digits"]
    assert models.default.base_path == ROOT / "my_image_classifier"
    models.require_folders()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one"),
        ("[models]", "at least one"),
        ("models = 3", "at least one"),
        ("[models.m]", "models.m.base_path: None"),
        ("[models]\nm = 1", "models.m: 1"),
        ('[models."a/b"]\nbase_path = "m"', "letters, digits"),
        ("[servers]\n[models.m]", "only the table models"),
        ("[models.m", "not TOML"),
        pytest.param("a = " + "[" * 3000, "not TOML", id="endless nesting"),
        pytest.param("a = " + "9" * 5000, "not TOML", id="endless digits"),
        ('[models.m]\nbase_path = "~no-such-user/m"', "base_path: .*known user"),
        ('[models.m]\nbase_path="a"\n[models.m]\nbase_path="b"', "not TOML"),
        ('[models.m]\nbase_path="a"\n[models.M]\nbase_path="b"', "differs from models.m"),
    ],
)
def test_unusable_file_says_why(text: str, said: str) -> None:
    with pytest.raises(ModelsFileError, match=said):
        parse_models_file(text, PATH)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    (tmp_path / "models.toml").write_text('[models.m]\nbase_path = "m"\n', encoding="utf-8-sig")

    assert load_models_file(tmp_path / "models.toml").default.name == "m"


def test_a_folder_whose_name_is_not_utf8_is_refused() -> None:
    """Archives of old systems unpack to such names."""
    path = Path(os.fsdecode(b"/etc/caf\xe9/models.toml"))

    with pytest.raises(ModelsFileError, match="base_path: 'm' is not allowed; .*UTF-8 text"):
        parse_models_file('[models.m]\nbase_path = "m"\n', path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelsFileError, match="nothing.toml cannot be read"):
        load_models_file(tmp_path / "nothing.toml")


def test_missing_folder_is_named_unless_it_is_elsewhere(tmp_path: Path) -> None:
    elsewhere = '[models.far]\nbase_path = "far"\nserving_url = "http://far:1"\n'
    here = f'[models.near]\nbase_path = "{tmp_path}"\n'

    parse_models_file(elsewhere + here, PATH).require_folders()
    missing = parse_models_file(elsewhere + '[models.near]\nbase_path = "no"\n', PATH)
    with pytest.raises(ModelsFileError, match="models.near.base_path: /etc/gateway/no is not a f"):
        missing.require_folders()


def test_a_server_that_does_not_log_requests_is_refused() -> None:
    logging = 'logging = { rate = 1, prefix = "l" }\n'
    elsewhere = f'[models.far]\nbase_path = "far"\nserving_url = "http://far:1"\n{logging}'

    parse_models_file(elsewhere, PATH).refuse_logging()
    with pytest.raises(ModelsFileError, match="models.near.logging: only the embedded server"):
        parse_models_file(
            f'{elsewhere}[models.near]\nbase_path = "m"\n{logging}', PATH
        ).refuse_logging()


@pytest.mark.parametrize(
    "line",
    [
        'base_path = ["/srv/secret"]',
        'base_path = "/srv/secret\\u0000"',
        'base_path = "~no-such-user/secret"',
        'base_path = "m"\nlabels = ["/srv/secret"]',
        'base_path = "m"\nlabels = "~no-such-user/secret"',
        'base_path = "m"\nlogging = "/srv/secret"',
        'base_path = "m"\nlogging = { rate = 1, prefix = ["/srv/secret"] }',
    ],
)
def test_clients_are_not_told_a_path_that_is_refused(line: str) -> None:
    with pytest.raises(ModelsFileError, match="secret") as caught:
        parse_models_file(f"[models.toy]\n{line}\n", PATH)

    assert "secret" not in caught.value.for_clients
    assert "the value is not allowed" in caught.value.for_clients


def test_clients_are_not_told_where_label_files_and_models_are(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    outside = tmp_path.parent / "outside"
    text = f'[models.toy]\nbase_path = "{outside}"\n'

    with pytest.raises(ModelsFileError) as labels:
        parse_models_file(text + f'labels = "{outside}/names.txt"\n', path)
    with pytest.raises(ModelsFileError) as folder:
        parse_models_file(text, path).require_folders()

    for error, name in ((labels.value, "names.txt"), (folder.value, "outside")):
        assert str(outside) in str(error)
        assert str(outside) not in error.for_clients
        assert name in error.for_clients

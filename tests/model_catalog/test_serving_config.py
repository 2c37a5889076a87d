from __future__ import annotations

import json

import pytest

from model_catalog.models_file import parse_models_file
from model_catalog.serving_config import next_step, serving_config
from tests.model_catalog.test_model_table import PATH, entry


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("logs/m", "/etc/gateway/logs/m"), ("/logs/m", "/logs/m"), ("logs/", "/etc/gateway/logs/")],
)
def test_request_logging_is_part_of_the_serving_config(prefix: str, expected: str) -> None:
    models = parse_models_file(
        f'[models.m]\nbase_path = "m"\nlogging = {{ rate = 0.01, prefix = "{prefix}" }}', PATH
    )

    assert (
        f'    logging_config {{ log_collector_config {{ filename_prefix: "{expected}" }}'
        " sampling_config { sampling_rate: 0.01 } }\n"
    ) in serving_config(models)


def test_serving_config_of_all_local_models() -> None:
    models = parse_models_file(
        """
        [models.a]
        base_path = "plain"
        [models.b]
        base_path = '/with "quotes" und Käse'
        versions = [1, 7]
        version_labels = { stable = 1 }
        [models.c]
        base_path = "/c"
        versions = "all"
        [models.far]
        base_path = "/far"
        serving_url = "http://far:1"
        """,
        PATH,
    )

    assert serving_config(models) == (
        "model_config_list {\n"
        '  config {\n    name: "a"\n    base_path: "/etc/gateway/plain"\n'
        '    model_platform: "tensorflow"\n  }\n'
        '  config {\n    name: "b"\n    base_path: "/with \\042quotes\\042 und K\\303\\244se"\n'
        '    model_platform: "tensorflow"\n'
        "    model_version_policy { specific { versions: 1 versions: 7 } }\n"
        '    version_labels { key: "stable" value: 1 }\n  }\n'
        '  config {\n    name: "c"\n    base_path: "/c"\n    model_platform: "tensorflow"\n'
        "    model_version_policy { all {} }\n  }\n"
        "}\n"
    )


def test_a_new_label_is_configured_at_once() -> None:
    wanted = entry("version_labels = {stable = 2}")

    assert next_step(wanted, {}, available=(), newest=1) == wanted


def test_a_label_moves_once_its_new_version_is_available() -> None:
    wanted = entry("versions = [2]\nversion_labels = {stable = 2, canary = 3}")
    labelled = {"stable": 1, "canary": 3}

    first = next_step(wanted, labelled, available={1}, newest=2)
    second = next_step(wanted, first.version_labels, available={1, 2}, newest=2)

    assert first.versions == (1, 2)
    assert first.version_labels == {"stable": 1, "canary": 3}
    assert second == wanted


@pytest.mark.parametrize(
    ("versions", "meanwhile"), [("latest", (1, 2, 5)), ("all", "all"), ([3], (1, 2, 3))]
)
def test_both_versions_of_a_moving_label_are_served(versions: object, meanwhile: object) -> None:
    wanted = entry(f"versions = {json.dumps(versions)}\nversion_labels = {{stable = 2}}")

    step = next_step(wanted, {"stable": 1}, available={1}, newest=5)

    assert step.versions == meanwhile

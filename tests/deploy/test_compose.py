"""``compose.yaml`` follows the Compose Specification, and its files and flags are valid.

There is no Docker Compose here: the package compose-spec reads the file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from flask_server.settings import Settings
from model_catalog.models_file import load_models_file
from model_server.flag_table import FLAGS
from model_server.flags import parse
from model_server.models.config_file import read_models
from model_server.protos import read_message

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
MONITORING = ROOT / "deploy" / "monitoring"
PROFILES = {"embedded", "redis", "monitoring"}


def compose(**environ: str) -> dict[str, Any]:
    """Return the file with the variables of an environment filled in, as Compose does."""

    def filled(found: re.Match[str]) -> str:
        return environ.get(found[1]) or found[2]

    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+):-(.*?)\}", filled, text))
    return document


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
every_service = pytest.mark.parametrize("name", SERVICES)


@pytest.mark.parametrize("environ", [{}, {"PORT": "80", "SERVING": "embedded", "ENGINE": "gpu"}])
def test_the_file_follows_the_specification(environ: dict[str, str]) -> None:
    read = PyCompose.from_json(json.dumps(compose(**environ)))

    assert set(read.service_names()) == set(SERVICES)


def test_by_default_the_gateway_asks_the_official_server() -> None:
    default = {name for name, service in SERVICES.items() if "profiles" not in service}
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}

    assert default == {"gateway", "serving"}
    assert SERVICES["serving"]["image"].startswith("tensorflow/serving:")
    assert SERVICES["gateway"]["environment"]["GATEWAY_SERVING_URL"] == "http://serving:8501"
    assert profiles == PROFILES


@every_service
def test_services_are_pinned_and_unprivileged(name: str) -> None:
    service = SERVICES[name]

    assert re.search(r":\d+\.\d+|:v\d+\.\d+", service["image"])
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@every_service
def test_files_that_are_mounted_or_built_exist(name: str) -> None:
    service, volumes = SERVICES[name], compose()["volumes"]
    sources = [volume.split(":")[0] for volume in service.get("volumes", [])]
    build = service.get("build", {})

    assert [source for source in sources if source[0] != "." and source not in volumes] == []
    assert [source for source in sources if source[0] == "." and not (ROOT / source).exists()] == []
    assert (ROOT / build.get("dockerfile", "README.md")).is_file()


def test_the_settings_of_the_gateway_are_valid() -> None:
    environ = SERVICES["gateway"]["environment"]
    passed_on = {name for name, value in environ.items() if value is None}
    settings = Settings.from_env({name: value for name, value in environ.items() if value})

    assert settings.serving_url == "http://serving:8501"
    assert passed_on == {"GATEWAY_API_KEYS_FILE", "GATEWAY_LIMITS_URL", "GATEWAY_CORS_ORIGINS"}


def test_both_model_servers_get_the_flags_that_they_know() -> None:
    assert SERVICES["serving"]["command"] == SERVICES["embedded"]["command"]

    values = parse(SERVICES["serving"]["command"], FLAGS).values

    assert values["model_config_file"] == "/etc/serving/models.config"
    config = read_message(FOLDER / "monitoring.config", "MonitoringConfig").prometheus_config
    assert (config.enable, config.path) == (True, "/metrics")


def test_the_gateway_and_serving_have_the_same_models() -> None:
    served = {model.name: str(model.base_path) for model in read_models(FOLDER / "models.config")}
    known = {
        model.name: str(model.base_path)
        for model in load_models_file(FOLDER / "models.toml").entries
    }
    mounted = {volume.split(":")[1] for volume in SERVICES["serving"]["volumes"]}

    assert served == known
    assert set(served.values()) <= mounted


def test_prometheus_asks_the_services_that_have_metrics() -> None:
    jobs = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
    rows = [row for job in jobs["scrape_configs"] for row in job["dns_sd_configs"]]

    assert {name: row["port"] for row in rows for name in row["names"]} == {
        "gateway": 5000,
        "serving": 8501,
        "embedded": 8501,
    }


def test_a_wrong_file_is_refused() -> None:
    wrong = compose()
    wrong["services"]["gateway"]["portz"] = ["5000:5000"]

    with pytest.raises(ValueError, match="portz"):
        PyCompose.from_json(json.dumps(wrong))

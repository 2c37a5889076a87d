"""The manifests of ``deploy/kubernetes`` are valid, and fit each other and the programs."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from flask_server.settings import Settings
from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import parse_models_file
from model_server.flag_table import FLAGS
from model_server.flags import parse
from model_server.models.config_file import read_models
from model_server.models.versions import ModelConfig, Specific
from tests.deploy.kustomize import Manifest, documents, identity, render

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
#: The oldest version that the manifests need, and the newest one that has schemas here.
VERSIONS = ("1.30", "1.37")
APPS = ("base", "overlays/canary", "overlays/embedded")
every_app = pytest.mark.parametrize("name", APPS)


@cache
def rendered(name: str) -> list[Manifest]:
    return render(FOLDER / name)


def of_kind(name: str, kind: str) -> dict[str, Manifest]:
    return {row["metadata"]["name"]: row for row in rendered(name) if row["kind"] == kind}


def pod(name: str, deployment: str) -> dict[str, Any]:
    spec: dict[str, Any] = of_kind(name, "Deployment")[deployment]["spec"]["template"]["spec"]
    return spec


def container(name: str, deployment: str) -> dict[str, Any]:
    (only,) = pod(name, deployment)["containers"]
    assert isinstance(only, dict)
    return only


def distinct() -> Iterator[Any]:
    """Yield each manifest of all kustomizations once, unless it belongs to KServe."""
    seen = set()
    for name in APPS:
        for manifest in rendered(name):
            text = json.dumps(manifest, sort_keys=True)
            if text not in seen:
                seen.add(text)
                yield pytest.param(
                    manifest, id=f"{name}-{manifest['kind']}-{identity(manifest)[2]}"
                )


@pytest.mark.parametrize("manifest", list(distinct()))
def test_manifests_follow_the_schemas_of_the_api(manifest: Manifest) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_is_found() -> None:
    manifest = json.loads(json.dumps(of_kind("base", "Deployment")["gateway"]))
    manifest["spec"]["template"]["spec"]["terminationGracePeriod"] = 35

    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("name", [*APPS, "kserve"])
def test_kubectl_renders_the_same(name: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", FOLDER / name], capture_output=True, text=True, check=True
    )

    found = {identity(manifest): manifest for manifest in yaml.safe_load_all(done.stdout)}
    assert found == {identity(manifest): manifest for manifest in rendered(name)}


@every_app
def test_selectors_find_the_pods_that_they_mean(name: str) -> None:
    for deployment, manifest in of_kind(name, "Deployment").items():
        labels = manifest["spec"]["template"]["metadata"]["labels"]
        selectors = [
            manifest["spec"]["selector"]["matchLabels"],
            of_kind(name, "Service")[deployment]["spec"]["selector"],
            of_kind(name, "PodDisruptionBudget")[deployment]["spec"]["selector"]["matchLabels"],
            of_kind(name, "NetworkPolicy")[deployment]["spec"]["podSelector"]["matchLabels"],
        ]
        assert selectors == [labels] * 4
        target = of_kind(name, "HorizontalPodAutoscaler")[deployment]["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == ("Deployment", deployment)


def test_serving_is_reached_by_the_gateway_only() -> None:
    policies = of_kind("base", "NetworkPolicy")
    (to_serving, to_dns) = policies["gateway"]["spec"]["egress"]
    serving = policies["serving"]["spec"]

    assert to_serving["to"] == [{"podSelector": serving["podSelector"]}]
    assert serving["ingress"][0]["from"] == [
        {"podSelector": policies["gateway"]["spec"]["podSelector"]}
    ]
    assert {row["port"] for row in to_dns["ports"]} == {53}
    assert "egress" not in serving


@every_app
def test_names_of_ports_and_volumes_are_declared(name: str) -> None:
    for deployment, service in of_kind(name, "Service").items():
        box = container(name, deployment)
        ports = {port["name"] for port in box["ports"]}
        probes = [box[f"{probe}Probe"] for probe in ("startup", "readiness", "liveness")]
        used = {
            next(v for k, v in p.items() if k in {"httpGet", "tcpSocket"})["port"] for p in probes
        }
        used |= {row["targetPort"] for row in service["spec"]["ports"]}
        volumes = {volume["name"] for volume in pod(name, deployment)["volumes"]}

        assert used <= ports
        assert {mount["name"] for mount in box["volumeMounts"]} == volumes


@every_app
@pytest.mark.parametrize("deployment", ["gateway", "serving"])
def test_pods_are_unprivileged_and_pinned(name: str, deployment: str) -> None:
    spec, box = pod(name, deployment), container(name, deployment)

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert box["securityContext"]["readOnlyRootFilesystem"] is True
    assert box["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert re.search(r":\d+\.\d+\.\d+", box["image"])
    assert {"cpu", "memory"} <= set(box["resources"]["requests"])


@every_app
def test_the_settings_of_the_gateway_are_valid(name: str) -> None:
    environ = {row["name"]: row["value"] for row in container(name, "gateway")["env"]}
    settings = Settings.from_env(environ)
    ports = {
        row["name"]: row["port"] for row in of_kind(name, "Service")["serving"]["spec"]["ports"]
    }

    assert settings.serving_url == f"http://serving:{ports['rest']}"


@every_app
def test_the_flags_of_serving_are_valid(name: str) -> None:
    box = container(name, "serving")
    values = parse(box["args"], FLAGS).values
    ports = {row["name"]: row["containerPort"] for row in box["ports"]}

    assert (values["port"], values["rest_api_port"]) == (ports["grpc"], ports["rest"])
    assert set(container("base", "serving")["args"]) <= set(box["args"])
    data = of_kind(name, "ConfigMap")["models"]["data"]
    for flag in ("model_config_file", "monitoring_config_file"):
        assert str(values[flag]).removeprefix("/etc/serving/") in data


@every_app
def test_both_servers_have_the_same_models_and_labels(name: str, tmp_path: Path) -> None:
    data = of_kind(name, "ConfigMap")["models"]["data"]
    config = tmp_path / "models.config"
    config.write_text(data["models.config"])

    known = parse_models_file(data["models.toml"], tmp_path / "models.toml").entries
    served = read_models(config)

    assert [_of_gateway(entry) for entry in known] == [_of_serving(model) for model in served]
    mounted = [mount["mountPath"] for mount in container(name, "serving")["volumeMounts"]]
    assert {str(model.base_path.parent) for model in served} <= set(mounted)


def _of_gateway(entry: ModelEntry) -> tuple[Any, ...]:
    versions = frozenset(entry.versions) if not isinstance(entry.versions, str) else None
    return entry.name, entry.base_path, versions, dict(entry.version_labels)


def _of_serving(model: ModelConfig) -> tuple[Any, ...]:
    versions = frozenset(model.policy.versions) if isinstance(model.policy, Specific) else None
    return model.name, model.base_path, versions, dict(model.labels or {})


def test_the_canary_has_two_labels() -> None:
    data = of_kind("overlays/canary", "ConfigMap")["models"]["data"]

    (entry,) = parse_models_file(data["models.toml"], Path("models.toml")).entries

    assert entry.version_labels == {"stable": 1, "canary": 2}


def test_a_pod_is_killed_only_after_its_requests_had_time_to_end() -> None:
    source = (ROOT / "flask_server" / "gunicorn.conf.py").read_text(encoding="utf-8")
    spare = re.search(r"graceful_timeout = math\.ceil\(_settings\.deadline_s\) \+ (\d+)", source)
    assert spare is not None
    drain_s = {
        "gateway": math.ceil(Settings().deadline_s) + int(spare[1]),
        "serving": parse([], FLAGS).values["shutdown_grace_seconds"],
    }
    for deployment, seconds in drain_s.items():
        pause_s = container("base", deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace_s = pod("base", deployment)["terminationGracePeriodSeconds"]

        assert pause_s + seconds < grace_s


@pytest.mark.parametrize("deployment", ["gateway", "serving"])
def test_an_old_pod_leaves_after_a_new_one_is_ready(deployment: str) -> None:
    strategy = of_kind("base", "Deployment")[deployment]["spec"]["strategy"]

    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_gateway_is_scaled_by_a_metric_that_it_has() -> None:
    (metric,) = of_kind("base", "HorizontalPodAutoscaler")["gateway"]["spec"]["metrics"]
    (adapter,) = documents(FOLDER / "monitoring" / "adapter.yaml")
    (rule,) = adapter["rules"]["custom"]
    manual = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")

    name = metric["pods"]["metric"]["name"]
    assert rule["name"]["as"] == name
    assert rule["seriesQuery"].startswith(f"{name}{{")
    assert f"| `{name}` |" in manual
    assert int(metric["pods"]["target"]["averageValue"]) < Settings().max_in_flight


def kserve(kind: str) -> dict[str, Any]:
    (spec,) = [row["spec"] for row in rendered("kserve") if row["kind"] == kind]
    assert isinstance(spec, dict)
    return spec


def test_the_container_of_kserve_follows_the_schema_of_a_pod() -> None:
    runtime = kserve("ClusterServingRuntime")
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "runtime"},
        "spec": {"containers": runtime["containers"]},
    }

    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_kserve_starts_the_server_with_flags_that_it_knows() -> None:
    (box,) = kserve("ClusterServingRuntime")["containers"]
    values = parse([word.replace("{{.Name}}", "digits") for word in box["args"]], FLAGS).values
    environ = {row["name"]: row["value"] for row in box["env"]}

    assert (values["model_name"], values["model_base_path"]) == ("digits", "/mnt/models")
    assert values["rest_api_port"] == box["ports"][0]["containerPort"] == 8080
    assert environ == {"TENSORFLOW_MODEL_SERVER_HOST": "0.0.0.0"}
    assert box["name"] == "kserve-container"


def test_the_model_names_the_runtime_and_needs_no_knative() -> None:
    (service,) = [row for row in rendered("kserve") if row["kind"] == "InferenceService"]
    model = service["spec"]["predictor"]["model"]
    runtime = kserve("ClusterServingRuntime")
    (runtime_name,) = [
        row["metadata"]["name"] for row in rendered("kserve") if row["kind"] != "InferenceService"
    ]

    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert model["runtime"] == runtime_name
    assert model["protocolVersion"] in runtime["protocolVersions"]
    formats = [
        {key: row[key] for key in ("name", "version")} for row in runtime["supportedModelFormats"]
    ]
    assert model["modelFormat"] in formats

"""The alert rules and the dashboard name metrics that exist, and fire when they should.

``promtool`` and ``prometheus`` are in Debian's package ``prometheus``. ``make monitoring`` also
runs a real Prometheus that scrapes a gateway.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from flask_server.access.key_file import ApiKey, format_keys, hash_of
from model_server import metrics as model_server_metrics
from tests.flask_server.conftest import MakeApp, b64, flat
from tests.flask_server.stub_serving import Servable, StubServing
from tests.listening import app_site
from tests.running import free_port
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "monitoring"
ALERTS = FOLDER / "alerts.yml"
TESTS = FOLDER / "alerts_test.yml"
DASHBOARD = FOLDER / "grafana" / "dashboards" / "gateway.json"
MANUAL = ROOT / "docs" / "monitoring.md"

#: A metric, with its matchers if it has some. Label names do not begin like this.
SELECTOR = re.compile(r"((?:gateway_|:tensorflow:serving:)\w+|\bup\b)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*[=!]")
GROUPING = re.compile(r"\bby \(([^)]*)\)")
SHADOW = '[models.toy]\nbase_path = "toy"\nsplit = { a = 1 }\nshadow = { b = 100 }\n'

KEY = "icg_key"

#: What queries ask for that the gateway with the stub has not counted.
NOT_MEASURED = (":tensorflow:", "score_drift", 'status="429"')

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def queries() -> list[str]:
    """The queries of the dashboard, with its variables filled in."""
    written = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    return [text.replace("$__rate_interval", "1m").replace("$model", ".*") for text in written]


EXPRESSIONS = [*queries(), *(rule["expr"] for rule in alerts().values())]


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def predict(client: FlaskClient, image: str) -> None:
    client.post("/models/toy/predict", json={"image": image}, headers={"X-API-Key": KEY})


def app_with_traffic(make_app: MakeApp, serving: StubServing, folder: Path) -> Flask:
    serving.models["toy"] = {1: Servable(), 2: Servable()}
    serving.labels = {"a": 1, "b": 2}
    keys = folder / "keys.json"
    keys.write_text(format_keys((ApiKey("web", hash_of(KEY), "today"),)))
    app = make_app(SHADOW, api_keys_file=keys)
    client = app.test_client()
    for image in (b64(flat("white")), "!", "!"):
        predict(client, image)
    assert eventually(lambda: 'outcome="compared"' in client.get("/metrics").text)
    return app


@pytest.fixture
def known(make_app: MakeApp, serving: StubServing, tmp_path: Path) -> dict[str, set[str]]:
    """The labels of every metric by its name, as Prometheus stores it."""
    text = app_with_traffic(make_app, serving, tmp_path).test_client().get("/metrics").text
    found: dict[str, set[str]] = {"up": {"job", "instance"}}
    for family in text_string_to_metric_families(text):
        if not family.samples:  # such as drift, which was not measured
            found[family.name] = {"model", "job", "instance"}
        for sample in family.samples:
            found.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    for name, metric in model_server_metrics.METRICS.items():
        ends = ("_bucket", "_sum", "_count") if metric.limits else ("",)
        for end in ends:
            found[model_server_metrics.PREFIX + name + end] = {
                *metric.labels,
                "le",
                "job",
                "instance",
            }
    return found


def unknown(expression: str, known: dict[str, set[str]]) -> list[str]:
    """The metrics and labels of an expression that do not exist."""
    found = [(name, matchers) for name, matchers in SELECTOR.findall(expression)]
    missing = [name for name, _ in found if name not in known]
    labels = set().union(*(known.get(name, set()) for name, _ in found))
    for grouping in GROUPING.findall(expression):
        missing += [label for label in re.split(r",\s*", grouping) if label not in labels]
    for name, matchers in found:
        missing += [m for m in MATCHER.findall(matchers) if m not in known.get(name, set())]
    return missing


def test_every_metric_and_label_exists(known: dict[str, set[str]]) -> None:
    assert {text: unknown(text, known) for text in EXPRESSIONS if unknown(text, known)} == {}
    assert unknown('sum by (x) (rate(gateway_no{a="b"}[5m])) / up{c="d"}', known) == [
        "gateway_no",
        "x",
        "a",
        "c",
    ]


def test_every_panel_has_its_place_and_a_query() -> None:
    shown = [panel for panel in panels() if panel["type"] != "row"]
    places = [tuple(panel["gridPos"].values()) for panel in panels()]

    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert all(panel["targets"] and panel["title"] for panel in shown)


def test_the_manual_lists_every_alert_with_its_severity() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)

    assert dict(rows) == {name: rule["labels"]["severity"] for name, rule in alerts().items()}


def test_every_alert_is_tested_to_fire_and_not_to() -> None:
    tests = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]

    for fires in (True, False):
        assert {case["alertname"] for case in cases if bool(case["exp_alerts"]) is fires} >= set(
            alerts()
        )


@needs_promtool
def test_the_rules_fire_as_their_tests_say() -> None:
    promtool("check", "rules", ALERTS)
    promtool("test", "rules", TESTS)
    promtool("check", "config", FOLDER / "prometheus.yml")


@needs_promtool
def test_the_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    rules = [{"record": f"query:{n}", "expr": text} for n, text in enumerate(queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


class Prometheus:
    """A real Prometheus with the alert rules, which scrapes one gateway."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str) -> Any:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=60) as response:
            return json.load(response)["data"]

    def values(self, query: str) -> list[Any]:
        found: list[Any] = self.get("query", query=query)["result"]
        return found

    def answers(self) -> bool:
        try:
            return bool(self.values('up{job="gateway"} == 1'))
        except OSError:
            return False

    def active(self) -> set[str]:
        """The alerts that fire, or will after their time."""
        return {alert["labels"]["alertname"] for alert in self.get("alerts")["alerts"]}

    def unhealthy(self) -> dict[str, str]:
        groups = self.get("rules")["groups"]
        return {
            rule["name"]: rule["health"]
            for group in groups
            for rule in group["rules"]
            if rule["health"] != "ok"
        }


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "gateway", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    try:
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.skipif(os.environ.get("MONITORING") != "long", reason="make monitoring runs it")
def test_a_real_prometheus_evaluates_all_of_it(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    app = app_with_traffic(make_app, serving, tmp_path)
    client = app.test_client()
    with app_site(app) as url, prometheus(tmp_path, url.removeprefix("http://")) as server:
        assert eventually(server.answers)
        assert eventually(lambda: not server.unhealthy())
        assert eventually(lambda: server.active() == set())
        for _ in range(3):
            predict(client, b64(flat("white")))
        same = 'sum(rate(gateway_shadow_images_total{same_class="yes"}[1m])) > 0'
        assert eventually(lambda: server.values(same))
        empty = [text for text in queries() if not server.values(text)]
        assert [text for text in empty if not any(name in text for name in NOT_MEASURED)] == []

        serving.labels.pop("b")
        serving.answer = (500, {"error": "no"})
        wanted = {"LabelNotUsable", "PredictionsFail", "VersionFails"}

        def alerts_after_another_failure() -> bool:
            # A counter that Prometheus sees for the first time has not grown.
            predict(client, b64(flat("white")))
            return server.active() >= wanted

        assert eventually(alerts_after_another_failure)

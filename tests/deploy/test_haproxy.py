"""The configuration of HAProxy: valid, and under load without a failed request.

``make haproxy`` runs the long tests, with real gateways, model servers and Redis.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from flask_server.access import key_writer
from tests.deploy import haproxy
from tests.deploy.haproxy import HAProxy, Process
from tests.flask_server.access.test_quotas import Redis
from tests.load import Load
from tests.running import ROOT, free_port

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
long = pytest.mark.skipif(
    os.environ.get("HAPROXY") != "long" or shutil.which("redis-server") is None,
    reason="make haproxy runs it, with redis-server installed",
)

FEW = 40
CLIENTS = 4
DIGIT = (ROOT / "test_images" / "digit_3.png").read_bytes()


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    assert haproxy.fault(haproxy.written_config(tmp_path, {})) == ""


def test_a_wrong_configuration_is_told(tmp_path: Path) -> None:
    config = haproxy.written_config(tmp_path, {"balance leastconn": "balance fewest"})

    assert "balance" in haproxy.fault(config)


@dataclass
class Site:
    """Two gateways and two model servers behind HAProxy."""

    proxy: HAProxy
    address: str
    serving_address: str
    gateways: dict[str, Process]
    servings: dict[str, Process]
    key: str
    few: str
    """A key with a quota of ``FEW``."""

    def load(self, key: str) -> Load:
        """Return clients that send a picture with a key."""
        port, path = int(self.address.rpartition(":")[2]), "/models/digits/predict"
        headers = {"X-API-Key": key}
        return Load(port, path, DIGIT, "image/png", clients=CLIENTS, headers=headers)


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    ports = [free_port() for _ in range(5)]
    addresses = {
        ":80\n": f"127.0.0.1:{ports[0]}\n",
        "127.0.0.1:8501": f"127.0.0.1:{ports[1]}",
        "127.0.0.1:8404": f"127.0.0.1:{ports[2]}",
        "10.0.0.21:5000": f"127.0.0.21:{ports[3]}",
        "10.0.0.22:5000": f"127.0.0.22:{ports[3]}",
        "10.0.0.11:8501": f"127.0.0.11:{ports[4]}",
        "10.0.0.12:8501": f"127.0.0.12:{ports[4]}",
    }
    digits = ROOT / "my_digit_classifier"
    urls = [f"http://127.0.0.{n}:{ports[4]}" for n in (11, 12)]
    models_file = folder / "models.toml"
    models_file.write_text(
        f'[models.digits]\nbase_path = "{digits}"\nserving_url = {json.dumps(urls)}\n'
    )
    keys = folder / "keys.json"
    key = key_writer.create(keys, "web", "1000000 per hour")
    few = key_writer.create(keys, "few", f"{FEW} per hour")
    with ExitStack() as stack:
        redis = Redis(folder)
        stack.callback(redis.stop)
        servings = {
            f"serving{n}": haproxy.model_server(
                f"127.0.0.1{n}:{ports[4]}", {"digits": digits}, folder
            )
            for n in (1, 2)
        }
        settings = {
            "GATEWAY_MODELS_FILE": str(models_file),
            "GATEWAY_API_KEYS_FILE": str(keys),
            "GATEWAY_LIMITS_URL": redis.url,
        }
        gateways = {
            f"gateway{n}": haproxy.gateway(f"127.0.0.2{n}:{ports[3]}", folder, **settings)
            for n in (1, 2)
        }
        for process in (*gateways.values(), *servings.values()):
            stack.callback(process.end)
        for process in (*servings.values(), *gateways.values()):
            process.wait_until_ready()
        proxy = stack.enter_context(haproxy.running(folder, addresses))
        for backend, names in (("gateways", gateways), ("model_servers", servings)):
            for name in names:
                proxy.wait_until(backend, name, "UP")
        yield Site(
            proxy,
            f"127.0.0.1:{ports[0]}",
            f"127.0.0.1:{ports[1]}",
            gateways,
            servings,
            key,
            few,
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """For a test that starts processes again, which have to end with it."""
    with running_site(tmp_path) as site:
        yield site


@long
def test_no_request_fails_while_each_part_is_restarted(own_site: Site) -> None:
    load = own_site.load(own_site.key)
    with load.running():
        load.wait_for(100)
        for name, process in own_site.gateways.items():
            own_site.proxy.drain("gateways", name)
            process.restart()
            own_site.proxy.undrain("gateways", name)
            load.wait_for(100)
        for process in own_site.servings.values():
            process.restart()
            load.wait_for(100)

    assert load.failures() == []
    assert best_labels(load) == {"3"}
    assert all(answers > 100 for _, _, answers in own_site.proxy.servers("gateways").values())


@long
def test_a_gateway_that_is_not_drained_breaks_only_connections(own_site: Site) -> None:
    load = own_site.load(own_site.key)
    with load.running():
        load.wait_for(100)
        own_site.gateways["gateway1"].restart()
        own_site.proxy.wait_until("gateways", "gateway1", "UP")
        load.wait_for(100)

    assert {response.status for response in load.responses} == {200}
    assert len(load.errors) <= CLIENTS


@long
def test_no_request_fails_when_a_model_server_is_killed(own_site: Site) -> None:
    killed = own_site.servings["serving1"]
    load = own_site.load(own_site.key)
    with load.running():
        load.wait_for(100)
        killed.end(signal.SIGKILL)
        load.wait_for(200)
        killed.restart()
        load.wait_for(200)

    assert load.failures() == []
    assert best_labels(load) == {"3"}


def best_labels(load: Load) -> set[str]:
    """Return the first label of each response."""
    bodies = [json.loads(response.body) for response in load.responses]
    return {body["predictions"][0]["label"] for body in bodies}


@long
def test_the_gateways_share_the_quota_of_a_key(site: Site) -> None:
    before = site.proxy.servers("gateways")
    load = site.load(site.few)
    with load.running():
        load.wait_for(200)

    statuses = [response.status for response in load.responses]
    assert (statuses.count(200), set(statuses)) == (FEW, {200, 429})
    after = site.proxy.servers("gateways")
    assert all(after[name][2] > before[name][2] for name in after)


@long
def test_clients_of_the_model_servers_are_shared_out_too(site: Site) -> None:
    path = "/v1/models/digits/metadata"
    statuses = [haproxy.status_of(f"http://{site.serving_address}{path}") for _ in range(10)]

    assert set(statuses) == {200}
    assert all(answers for _, _, answers in site.proxy.servers("model_servers").values())


@long
@pytest.mark.parametrize("path", ["/metrics", "/%6detrics"])
def test_metrics_stay_inside(site: Site, path: str) -> None:
    assert haproxy.status_of(f"http://{site.address}{path}") == 404


@long
def test_without_a_gateway_the_answer_is_a_problem_document(site: Site) -> None:
    for name in site.gateways:
        site.proxy.command(f"set server gateways/{name} state maint")
    connection = HTTPConnection(site.address, timeout=60)
    connection.request("GET", "/models")
    response = connection.getresponse()
    problem = json.loads(response.read())
    connection.close()
    for name in site.gateways:
        site.proxy.undrain("gateways", name)

    assert (response.status, problem["code"]) == (503, "overloaded")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"] == "1"

"""A gateway is replaced under load, in the order in which Kubernetes does so with our manifests.

The new process passes the startup probe, then the old one gets no new connections, then (after
``preStop``) SIGTERM. Connections that clients keep open are not moved: the gateway ends them.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.test_kubernetes import container
from tests.flask_server.conftest import draw
from tests.flask_server.gunicorn_process import start
from tests.flask_server.stub_serving import StubServing
from tests.load import Load
from tests.running import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.slow
CLIENTS = 4
#: Responses that show that each client goes on: to requests that begin after the wait for them.
MORE = 5 * CLIENTS
PICTURE = draw()
#: Stands in for the 10 s of preStop: here no load balancer has to learn of the change.
PAUSE_S = 0.3


def test_no_request_fails_while_a_gateway_is_replaced(
    tmp_path: Path,
) -> None:
    with (
        StubServing().running() as serving,
        _pod(serving, tmp_path) as (old, old_port),
        _pod(serving, tmp_path) as (new, new_port),
    ):
        serving.delay_s = 0.02
        assert eventually(lambda: _passes("startupProbe", old_port))
        load = Load(old_port, "/models/toy/predict", PICTURE, "image/png", clients=CLIENTS)
        with load.running():
            load.wait_for(MORE)
            assert eventually(lambda: _passes("startupProbe", new_port))
            load.port = new_port
            time.sleep(PAUSE_S)
            load.wait_for(MORE)
            old.send_signal(signal.SIGTERM)
            code = old.wait(60)
            load.wait_for(MORE)

        assert code == 0
        assert load.failures() == []
        assert _passes("readinessProbe", new_port)
        assert new.poll() is None


@contextmanager
def _pod(serving: StubServing, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a gateway with the environment of the manifest; yield its process and port."""
    (folder / "models.toml").write_text('[models.toy]\nbase_path = "toy"\n')
    environ = {row["name"]: row["value"] for row in container("base", "gateway")["env"]}
    environ |= {
        "GATEWAY_SERVING_URL": serving.url,
        "GATEWAY_MODELS_FILE": str(folder / "models.toml"),
    }
    port = free_port()
    with Path(os.devnull).open("wb") as log, start(port, environ, log) as process:
        try:
            yield process, port
        finally:
            process.terminate()


def _passes(probe: str, port: int) -> bool:
    """Return what a probe of the manifest says about a gateway on a port."""
    path = container("base", "gateway")[probe]["httpGet"]["path"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()

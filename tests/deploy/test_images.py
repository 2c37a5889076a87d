"""The Dockerfiles are carried out, and the two images answer: ``make containers``, as root.

There is no container engine: ``roots.py`` says what takes its place. ``CONTAINERS`` names the
engines of the model server, such as ``openvino`` or ``openvino,tensorflow``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from model_catalog.version import VERSION
from tests.deploy.roots import ROOT, Image, Network, build, debian, download, network
from tests.waiting import eventually

ENGINES = [name for name in os.environ.get("CONTAINERS", "").split(",") if name]
pytestmark = [
    pytest.mark.skipif(not ENGINES, reason="minutes, and needs root: make containers"),
    pytest.mark.timeout(1800),
]
GATEWAY_EXTRAS = ("gateway", "fast", "grpc", "heif", "otel", "redis")
_START_S = 90
_ASK = """
import sys, urllib.request
body = open(sys.argv[2], "rb").read() if sys.argv[2:] else None
request = urllib.request.Request(sys.argv[1], body)
request.add_header("Content-Type", "image/png")
print(urllib.request.urlopen(request, timeout=20).read().decode())
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    assert os.geteuid() == 0, "chroot and mount need root"
    assert shutil.which("debootstrap"), "apt-get install debootstrap"
    folder = tmp_path_factory.mktemp("roots")
    debian(folder / "debian")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def gateway(base: Path) -> Image:
    download(GATEWAY_EXTRAS, base / "wheels")
    file = ROOT / "deploy" / "Dockerfile.gateway"
    return build(file, base / "debian", base / "wheels", base, {})


@pytest.fixture(scope="module", params=ENGINES or ["none"])
def model_server(base: Path, request: pytest.FixtureRequest) -> Iterator[Image]:
    download([request.param, "otel"], base / "wheels")
    file, folder = ROOT / "deploy" / "Dockerfile.model_server", base / request.param
    folder.mkdir()
    yield build(file, base / "debian", base / "wheels", folder, {"ENGINE": request.param})
    shutil.rmtree(folder)


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as made:
        yield made


@contextmanager
def started(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; SIGTERM then ends it with exit code 0."""
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
    assert code == 0, log.read_text()[-3000:]


def ask(net: Network, url: str, *body: Path) -> str:
    words = [*net.enter, sys.executable, "-c", _ASK, url, *map(str, body)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def wait_until_healthy(net: Network, image: Image, log: Path) -> None:
    """Wait until the command of HEALTHCHECK succeeds, which runs as in a container."""
    check = net.command(image, image.stage.of("HEALTHCHECK")[0].command, {}, {})

    def is_healthy() -> bool:
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    assert eventually(is_healthy, _START_S), log.read_text()[-3000:]


def test_both_images_answer_as_an_unprivileged_user_on_a_read_only_root(
    gateway: Image, model_server: Image, net: Network, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "models.toml").write_text('[models.digits]\nbase_path = "/models/digits"\n')
    volumes = {ROOT / "my_digit_classifier": "/models/digits"}
    logs = {name: tmp_path / f"{name}.log" for name in ("model_server", "gateway")}
    with ExitStack() as stack:
        run = net.command(
            model_server, model_server.stage.command, {"MODEL_NAME": "digits"}, volumes
        )
        stack.enter_context(started(run, logs["model_server"]))
        wait_until_healthy(net, model_server, logs["model_server"])
        environ = {"GATEWAY_SERVING_URL": "http://127.0.0.1:8501"}
        run = net.command(gateway, gateway.stage.command, environ, {tmp_path: "/etc/gateway"})
        stack.enter_context(started(run, logs["gateway"]))
        wait_until_healthy(net, gateway, logs["gateway"])
        _wait_until_ready(net, logs["gateway"])

        picture = ROOT / "test_images" / "digit_3.png"
        answer = json.loads(ask(net, "http://127.0.0.1:5000/models/digits/predict", picture))
        metrics = ask(net, "http://127.0.0.1:5000/metrics")

    assert answer["predictions"][0]["label"] == "3"
    assert "gateway_predictions_in_flight " in metrics


def _wait_until_ready(net: Network, log: Path) -> None:
    def is_ready() -> bool:
        try:
            ask(net, "http://127.0.0.1:5000/readyz")
        except subprocess.CalledProcessError:
            return False
        return True

    assert eventually(is_ready, _START_S), log.read_text()[-3000:]


def test_the_root_is_read_only_and_the_user_has_no_rights(
    gateway: Image, net: Network, tmp_path: Path
) -> None:
    words = [
        "sh",
        "-c",
        "id -u; id -g; touch /app/x /opt/venv/x /var/lib/gateway/x; touch /tmp/x && echo w",
    ]

    done = subprocess.run(
        net.command(gateway, words, {}, {}), capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == ["10001", "10001", "w"]
    assert done.stderr.count("Read-only file system") == 3


def test_kserve_finds_the_server_by_its_path(model_server: Image, net: Network) -> None:
    words = ["/usr/bin/tensorflow_model_server", "--version"]

    done = subprocess.run(
        net.command(model_server, words, {}, {}), capture_output=True, text=True, check=False
    )

    assert done.stdout.startswith(f"TensorFlow ModelServer: {VERSION} (embedded)")


def test_the_folder_of_the_key_file_belongs_to_the_user(gateway: Image) -> None:
    """A new volume takes the owner of the folder that it is mounted on."""
    assert (gateway.root / "var/lib/gateway").stat().st_uid == 10001

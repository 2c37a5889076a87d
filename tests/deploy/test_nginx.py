"""The configuration of nginx with TLS: valid, and tried with a real nginx in front of a gateway."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.certificates import write_certificates
from tests.flask_server.conftest import flat
from tests.flask_server.gunicorn_process import running_gateway
from tests.flask_server.stub_serving import StubServing
from tests.running import ROOT, free_port
from tests.waiting import eventually

CONFIG = ROOT / "deploy" / "nginx" / "image-classification-gateway.conf"
#: An address of this machine that is not the one of nginx.
CLIENT = "127.0.0.2"
PREDICT = "/models/toy/predict"
PNG = {"Content-Type": "image/png"}

#: Warning of nginx 1.25 and newer; older ones have no other way to switch HTTP/2 on.
DEPRECATED = 'the "listen ... http2" directive is deprecated'

pytestmark = pytest.mark.skipif(
    shutil.which("nginx") is None, reason="nginx is not installed (Debian: nginx-light)"
)

Answer = tuple[HTTPResponse, bytes]

#: What Debian's /etc/nginx/nginx.conf says around a site, for a process in the foreground.
MAIN = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include /etc/nginx/mime.types;
    gzip on;
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    include {folder}/site.conf;
}}
"""


def written(folder: Path, replaced: dict[str, str]) -> list[str]:
    """Write the configuration with other addresses; return the command of nginx with it."""
    text = CONFIG.read_text()
    live = "/etc/letsencrypt/live/images.example.org"
    usual = {
        f"{live}/fullchain.pem": f"{folder}/server.crt",
        f"{live}/privkey.pem": f"{folder}/server.key",
        "/var/log/nginx": str(folder),
    }
    for old, new in (usual | replaced).items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    return ["nginx", "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


@dataclass
class Site:
    """nginx on two ports with a gateway behind it."""

    folder: Path
    tls: int
    plain: int

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "ca.crt"))

    def connect(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.tls), 60, (CLIENT, 0))
        return (context or self.context()).wrap_socket(plain, server_hostname="127.0.0.1")

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> Answer:
        """Return the answer over HTTPS, and its body."""
        connection = HTTPSConnection("127.0.0.1", self.tls, timeout=60)
        connection.sock = self.connect()
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response, content

    def ask_plain(self, method: str, path: str) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.plain, timeout=60)
        connection.request(method, path, headers={"Host": "images.example.org"})
        response = connection.getresponse()
        response.read()
        connection.close()
        return response

    def lines(self, name: str, **wanted: object) -> list[dict[str, Any]]:
        """Return the lines of a log with these values; they are written after the answer."""
        found: list[dict[str, Any]] = []

        def is_written() -> bool:
            text = (self.folder / name).read_text()
            whole = [line for line in text.splitlines(True) if line[0] == "{" and line[-1] == "\n"]
            found[:] = [line for line in map(json.loads, whole) if wanted.items() <= line.items()]
            return bool(found)

        assert eventually(is_written), (self.folder / name).read_text()
        return found


def addresses(tls: int, plain: int) -> dict[str, str]:
    """Return what to replace for ports that every user may open, on a machine without IPv6."""
    return {
        "listen 443": f"listen 127.0.0.1:{tls}",
        "listen [::]:443": f"listen 127.0.0.3:{tls}",
        "listen 80": f"listen 127.0.0.1:{plain}",
        "listen [::]:80": f"listen 127.0.0.3:{plain}",
    }


@contextmanager
def running_nginx(
    folder: Path, behind: int, replaced: dict[str, str] | None = None
) -> Iterator[Site]:
    """Run nginx in front of a port."""
    tls, plain = free_port(), free_port()
    changes = addresses(tls, plain) | {"127.0.0.1:5000": f"127.0.0.1:{behind}"}
    with subprocess.Popen(written(folder, changes | (replaced or {}))) as process:
        try:
            assert eventually(lambda: is_open(tls) or process.poll() is not None)
            assert process.poll() is None, (folder / "error.log").read_text()
            yield Site(folder, tls, plain)
        finally:
            process.terminate()
            process.wait(60)


def is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nginx")
    # The processes of a master that was started by root belong to nobody.
    folder.chmod(0o755)
    write_certificates(folder)
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    settings = {"GATEWAY_TRUSTED_PROXIES": "1"}
    with (
        StubServing().running() as serving,
        running_gateway(folder, serving.url, **settings) as url,
        running_nginx(folder, int(url.rpartition(":")[2])) as site,
    ):
        yield site


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose server accepts connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def check_problem(answer: Answer, status: int, code: str) -> None:
    response, body = answer
    problem = json.loads(body)
    assert (response.status, problem["status"], problem["code"]) == (status, status, code)
    assert set(problem) == {"type", "title", "status", "detail", "code", "request_id"}
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers.get_all("X-Request-ID") == [problem["request_id"]]
    assert response.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert "X-Request-ID" in response.headers["Access-Control-Expose-Headers"]
    assert "Strict-Transport-Security" in response.headers


def test_the_configuration_is_valid(folder: Path, tmp_path: Path) -> None:
    for name in ("server.crt", "server.key"):
        shutil.copy(folder / name, tmp_path)
    command = written(tmp_path, addresses(free_port(), free_port()))  # which -t binds, too

    done = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "[warn]" in line]
    assert [line for line in warnings if DEPRECATED not in line] == []


def test_a_picture_is_classified_over_https(site: Site) -> None:
    response, body = site.ask("POST", PREDICT, PNG | {"X-Request-ID": "call-1"}, flat("red"))

    assert response.status == 200
    assert json.loads(body)["model"] == "toy"
    assert response.headers.get_all("X-Request-ID") == ["call-1"]
    assert response.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert "Strict-Transport-Security" in response.headers


def test_both_logs_have_the_clients_address_and_one_request_id(site: Site) -> None:
    headers = {"X-Forwarded-For": "192.0.2.1", "X-Request-ID": "not a good one"}
    response, _ = site.ask("GET", "/models?secret=1", headers)

    request_id = response.headers["X-Request-ID"]
    (ours,) = site.lines("gateway.log", request_id=request_id)
    (theirs,) = site.lines("image-classification-gateway.log", request_id=request_id)
    assert ours["client"] == theirs["client"] == CLIENT
    assert (theirs["path"], theirs["status"]) == ("/models", 200)


def test_a_body_that_is_too_large_is_refused_in_the_gateways_form(site: Site) -> None:
    head = b"POST /models/toy/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n"
    with site.connect() as connection:
        connection.sendall(head + b"Content-Type: image/png\r\n\r\n" + bytes(100_000))
        response = HTTPResponse(connection)
        response.begin()
        answer = response, response.read()

    check_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        pytest.param(b"GET /models HTTP/1.1\r\nHost: a b\r\n", 400, "bad_request", id="host"),
        pytest.param(b"no request line\r\n", 400, "bad_request", id="no request line"),
        pytest.param(
            b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n",
            414,
            "bad_request",
            id="a long line",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 9000 + b"\r\n",
            *(431, "bad_request"),
            id="a large header",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"A: " + b"a" * 8000 + b"\r\n") * 5,
            *(431, "bad_request"),
            id="large headers",
        ),
        pytest.param(b"TRACE / HTTP/1.1\r\nHost: a\r\n", 405, "method_not_allowed", id="a method"),
    ],
)
def test_http_that_nginx_refuses_is_answered_in_the_gateways_form(
    site: Site, sent: bytes, status: int, code: str
) -> None:
    with site.connect() as connection:
        connection.sendall(sent + b"\r\n")
        response = HTTPResponse(connection)
        response.begin()

        check_problem((response, response.read()), status, code)

    assert (response.headers["Allow"] is not None) is (status == 405)


def test_the_pages_of_errors_are_no_paths_of_the_site(site: Site) -> None:
    check_problem(site.ask("GET", "/nginx-errors/bad_request", {}), 404, "not_found")


def test_errors_of_the_gateway_pass_as_they_are(site: Site) -> None:
    response, body = site.ask("POST", PREDICT, {"Content-Type": "application/json"}, b"{")

    assert (response.status, json.loads(body)["code"]) == (400, "invalid_json")
    assert len(response.headers.get_all("X-Request-ID") or ()) == 1
    assert "RateLimit" in response.headers["Access-Control-Expose-Headers"]


def test_metrics_stay_inside(site: Site) -> None:
    check_problem(site.ask("GET", "/metrics", {}), 404, "not_found")


def test_json_is_compressed_and_revalidated(site: Site) -> None:
    response, body = site.ask("GET", "/openapi.json", {"Accept-Encoding": "gzip"})
    tag = response.headers["ETag"]
    unchanged, _ = site.ask(
        "GET", "/openapi.json", {"Accept-Encoding": "gzip", "If-None-Match": tag}
    )

    assert response.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))["openapi"] == "3.1.0"
    assert unchanged.status == 304


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("size", "answer"), [(0, "2 200 application/json"), (33, "2 413 application/problem+json")]
)
def test_http2_is_spoken(site: Site, tmp_path: Path, size: int, answer: str) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(flat("red") + bytes(size * 1024 * 1024))
    command = ["curl", "-sS", "--http2", "--cacert", str(site.folder / "ca.crt"), "-o", "/dev/null"]
    command += ["-w", "%{http_version} %{http_code} %{content_type}", "-F", f"image=@{image}"]

    done = subprocess.run(
        [*command, f"https://127.0.0.1:{site.tls}{PREDICT}"], capture_output=True, text=True
    )

    assert done.stdout == answer, done.stderr


def test_plain_http_leads_to_https_except_for_health_checks(site: Site) -> None:
    moved = site.ask_plain("POST", "/models/toy/predict?top_k=1")

    assert moved.status == 308
    assert moved.headers["Location"] == "https://images.example.org/models/toy/predict?top_k=1"
    assert site.ask_plain("GET", "/healthz").status == 200
    assert site.ask_plain("GET", "/readyz").status == 200


def test_redirects_of_the_gateway_stay_on_https(site: Site) -> None:
    response, _ = site.ask("GET", "/hello", {"Host": "images.example.org"})

    assert response.status == 308
    place = urljoin("https://images.example.org/hello", response.headers["Location"])
    assert place == "https://images.example.org/hello/"


def test_a_gateway_that_is_stopped_is_answered_for(folder: Path) -> None:
    with running_nginx(folder, free_port()) as site:
        answer = site.ask("POST", PREDICT, PNG, flat("red"))

    check_problem(answer, 503, "overloaded")
    assert answer[0].headers["Retry-After"] == "1"


def test_a_gateway_that_hangs_is_answered_for(folder: Path, silent: int) -> None:
    short = {"proxy_read_timeout 20s": "proxy_read_timeout 200ms"}
    with running_nginx(folder, silent, short) as site:
        answer = site.ask("POST", PREDICT, PNG, flat("red"))

    check_problem(answer, 504, "serving_timeout")

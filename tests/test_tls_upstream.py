"""The gateway's connections to model servers with TLS: gRPC and REST, with client certificates."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flask_server.app import close_app, create_app
from flask_server.deadline import Deadline
from flask_server.errors import ServingFault, ServingUnavailable
from flask_server.runtime import preload
from flask_server.serving.connect import connect
from flask_server.serving.tls import SYSTEM_TLS, TlsFiles, check_files, trusted_certificates
from flask_server.serving.upstream import Serving
from flask_server.settings import Settings, SettingsError
from model_server.transport.grpc_options import Credentials
from orchestrator.models.model_health import ServedVersions, served_versions
from tests.certificates import write_certificates
from tests.listening import listening
from tests.model_server.grpc_api.calls import grpc_server, registry_of
from tests.model_server.grpc_api.models import models

STATUS = json.dumps(
    {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_message": ""}}
        ]
    }
).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    write_certificates(folder)
    return folder


@contextmanager
def grpc_address(folder: Path, *, verifies: bool) -> Iterator[str]:
    """Run the embedded server's gRPC port as ``--ssl_config_file`` does."""
    credentials = Credentials(
        key=(folder / "server.key").read_bytes(),
        certificate=(folder / "server.crt").read_bytes(),
        client_ca=(folder / "ca.crt").read_bytes(),
        verifies_client=verifies,
    )
    with grpc_server(registry_of(models()), credentials=credentials) as client:
        yield f"grpcs://{client.target}"


class _Status(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(STATUS)))
        self.end_headers()
        self.wfile.write(STATUS)

    def log_message(self, *_: object) -> None:
        pass


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Failed handshakes are what the tests are about."""


@contextmanager
def rest_address(folder: Path, *, verifies: bool) -> Iterator[str]:
    """Run a model server's REST API behind TLS, as a proxy in front of it does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    if verifies:
        context.load_verify_locations(folder / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
    server = _Quiet(("127.0.0.1", 0), _Status)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    with listening(server) as url:
        yield url.replace("http:", "https:")


ADDRESSES = {"grpc": grpc_address, "rest": rest_address}


def files(folder: Path, *, client: bool = False) -> TlsFiles:
    own = (folder / "client.crt", folder / "client.key") if client else (None, None)
    return TlsFiles(folder / "ca.crt", *own)


def states(serving: Serving) -> list[str]:
    try:
        return [found.state for found in serving.status("m", Deadline(60))]
    finally:
        serving.close()


@pytest.mark.parametrize("protocol", ADDRESSES)
@pytest.mark.parametrize("verifies", [False, True])
def test_the_certificates_of_the_settings_are_used(
    folder: Path, protocol: str, verifies: bool
) -> None:
    with ADDRESSES[protocol](folder, verifies=verifies) as address:
        assert "AVAILABLE" in states(connect(address, 1, files(folder, client=verifies)))
        if verifies:
            with pytest.raises(ServingFault):
                states(connect(address, 1, files(folder)))


@pytest.mark.parametrize("is_trusted", [True, False])
def test_commands_ask_a_rest_api_with_tls(
    folder: Path, is_trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / ("ca.crt" if is_trusted else "client.crt")))

    with rest_address(folder, verifies=False) as address:
        found = served_versions(address, "m")

    assert found == (ServedVersions({1: "AVAILABLE"}) if is_trusted else None)


@pytest.mark.parametrize("protocol", ADDRESSES)
def test_a_certificate_that_is_not_trusted_is_refused(folder: Path, protocol: str) -> None:
    with ADDRESSES[protocol](folder, verifies=False) as address:
        with pytest.raises(ServingUnavailable, match="The TLS connection to the model server of m"):
            states(connect(address, 1))


@pytest.mark.parametrize("protocol", ADDRESSES)
def test_without_a_file_the_certificates_of_the_system_are_trusted(
    folder: Path, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.crt"))

    with ADDRESSES[protocol](folder, verifies=False) as address:
        assert "AVAILABLE" in states(connect(address, 1))


def test_the_folder_of_the_system_counts_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0a1b2c3d.0").symlink_to(folder / "ca.crt")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    assert trusted_certificates(SYSTEM_TLS) == (folder / "ca.crt").read_bytes()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert trusted_certificates(SYSTEM_TLS) is None


def test_a_file_that_is_gone_fails_the_call(folder: Path, tmp_path: Path) -> None:
    with grpc_address(folder, verifies=False) as address:
        with pytest.raises(ServingUnavailable, match="TLS connection"):
            states(connect(address, 1, TlsFiles(tmp_path / "ca.crt")))


def test_the_gateway_takes_the_files_of_its_settings(folder: Path, tmp_path: Path) -> None:
    models_file = tmp_path / "models.toml"
    with grpc_address(folder, verifies=True) as address:
        models_file.write_text(f'[models.m]\nbase_path = "m"\nserving_url = "{address}"\n')
        settings = Settings.from_env(
            {
                "GATEWAY_MODELS_FILE": str(models_file),
                "GATEWAY_SERVING_CA": str(folder / "ca.crt"),
                "GATEWAY_SERVING_CERTIFICATE": str(folder / "client.crt"),
                "GATEWAY_SERVING_KEY": str(folder / "client.key"),
            }
        )
        app = create_app(settings)
        described = app.test_client().get("/models/m").json
        close_app(app)

    assert described is not None
    assert {version["state"] for version in described["versions"]} == {"AVAILABLE"}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((None, "client.crt", None), "are needed together"),
        ((None, None, "client.key"), "are needed together"),
        (("client.key", None, None), r"GATEWAY_SERVING_CA: .*client\.key cannot be used"),
        (("none", None, None), "No such file or directory"),
        ((None, "client.crt", "server.key"), r"GATEWAY_SERVING_KEY: .*client\.crt cannot be used"),
    ],
)
def test_files_that_cannot_be_used_end_the_start(
    folder: Path, tmp_path: Path, names: tuple[str | None, ...], told: str
) -> None:
    (tmp_path / "models.toml").write_text('[models.m]\nbase_path = "m"\n')
    ca, certificate, key = (None if name is None else folder / name for name in names)
    settings = Settings(
        models_file=tmp_path / "models.toml",
        serving_ca=ca,
        serving_certificate=certificate,
        serving_key=key,
    )

    with pytest.raises(SettingsError, match=told):
        check_files(TlsFiles.of(settings))
    with pytest.raises(SettingsError, match=told):
        preload.start(settings)

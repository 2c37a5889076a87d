"""Choose the client for the address of a model server: REST, or gRPC for ``grpc(s)://``."""

from __future__ import annotations

from collections.abc import Iterable

from flask_server.serving.client import RestServing
from flask_server.serving.tls import SYSTEM_TLS, TlsFiles
from flask_server.serving.upstream import Serving
from flask_server.settings import SettingsError
from model_catalog.installation import install_command, is_installed
from model_catalog.models_file import is_grpc_address

#: The packages of the extra ``grpc``, by their modules.
_PACKAGES = {"grpc": "grpcio", "google.protobuf": "protobuf", "ml_dtypes": "ml-dtypes"}


def connect(url: str, connections: int, tls: TlsFiles = SYSTEM_TLS) -> Serving:
    """Return the client; it opens its connections when they are needed.

    ``connections`` is the number of REST connections to keep open, ``tls`` the files for addresses
    with TLS. Raises SettingsError if the packages for gRPC are missing.
    """
    if not is_grpc_address(url):
        return RestServing(url, connections=connections, tls=tls)
    check_packages([url])
    # Imported here because grpcio is an optional package, and takes memory.
    from flask_server.serving.grpc_client import GrpcServing

    return GrpcServing(url, tls)


def check_packages(urls: Iterable[str | None]) -> None:
    """Raise SettingsError if an address needs gRPC and its packages are missing.

    Nothing is imported: gunicorn's parent process calls this before it forks.
    """
    missing = [name for module, name in _PACKAGES.items() if not is_installed(module)]
    needed = [url for url in urls if url is not None and is_grpc_address(url)]
    if needed and missing:
        raise SettingsError(
            f"{needed[0]} is asked over gRPC, but {missing[0]} is not installed; use the address of"
            f" its REST API, or run {install_command('grpc')}"
        )

"""Choose the client for the address of a model server: REST, or gRPC for ``grpc(s)://``.

Several addresses, separated by commas, are one Serving.
"""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakValueDictionary

from flask_server.serving.client import RestServing
from flask_server.serving.replicas import ReplicatedServing
from flask_server.serving.tls import SYSTEM_TLS, TlsFiles
from flask_server.serving.upstream import Serving, SingleServing
from flask_server.settings import SettingsError
from model_catalog.installation import install_command, is_installed
from model_catalog.serving_addresses import is_grpc_address, serving_addresses

#: The packages of the extra ``grpc``, by their modules.
_PACKAGES = {"grpc": "grpcio", "google.protobuf": "protobuf", "ml_dtypes": "ml-dtypes"}


class MissingPackage(SettingsError):
    """An address needs gRPC, and a package for it is not installed."""

    def __init__(self, address: str, package: str) -> None:
        reason = (
            f"is asked over gRPC, but {package} is not installed; use the address of"
            f" its REST API, or run {install_command('grpc')}"
        )
        super().__init__(f"{address} {reason}")
        self.for_clients = f"A model server {reason}"
        """The message without the address."""


class Connections:
    """The clients of all addresses in use; those that no model uses any more are forgotten."""

    def __init__(self, connections: int, tls: TlsFiles = SYSTEM_TLS) -> None:
        """Begin with none; ``connections`` is the number to keep open, as for ``connect``."""
        self._connections, self._tls = connections, tls
        # Requests in flight may outlive the model that they ask.
        self._servings: WeakValueDictionary[str, Serving] = WeakValueDictionary()
        self._servers: WeakValueDictionary[str, SingleServing] = WeakValueDictionary()

    def serving_at(self, url: str) -> Serving:
        """Return the client of one address or of several; addresses are shared."""
        serving = self._servings.get(url)
        if serving is None:
            servers = [self._server_at(address) for address in serving_addresses(url)]
            serving = servers[0] if len(servers) == 1 else ReplicatedServing(servers)
            self._servings[url] = serving
        return serving

    def _server_at(self, address: str) -> SingleServing:
        server = self._servers.get(address)
        if server is None:
            server = connect(address, self._connections, self._tls)
            self._servers[address] = server
        return server


def connect(url: str, connections: int, tls: TlsFiles = SYSTEM_TLS) -> SingleServing:
    """Return the client; it opens its connections when they are needed.

    ``connections`` is the number of REST connections to keep open, ``tls`` the files for addresses
    with TLS. Raises MissingPackage if the packages for gRPC are missing.
    """
    if not is_grpc_address(url):
        return RestServing(url, connections=connections, tls=tls)
    check_packages([url])
    # Imported here because grpcio is an optional package, and takes memory.
    from flask_server.serving.grpc_client import GrpcServing

    return GrpcServing(url, tls)


def check_packages(urls: Iterable[str | None]) -> None:
    """Raise MissingPackage if an address needs gRPC and its packages are missing.

    Nothing is imported: gunicorn's parent process calls this before it forks.
    """
    missing = [name for module, name in _PACKAGES.items() if not is_installed(module)]
    addresses = [address for url in urls if url for address in serving_addresses(url)]
    needed = [address for address in addresses if is_grpc_address(address)]
    if needed and missing:
        raise MissingPackage(needed[0], missing[0])

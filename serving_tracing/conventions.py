"""Name spans and their attributes as OpenTelemetry's conventions for HTTP and RPC do. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

Attributes = dict[str, str | int]

ERROR_TYPE: Final = "error.type"
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
RPC_STATUS: Final = "rpc.response.status_code"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# Attributes of our own.
MODEL: Final = "serving.model.name"
VERSION: Final = "serving.model.version"
BATCH_REQUESTS: Final = "serving.batch.requests"

OTHER_METHOD: Final = "_OTHER"
_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
#: HTTP statuses from this one on are errors of the server.
SERVER_ERROR: Final = 500
#: HTTP statuses from this one on are errors for the client.
CLIENT_ERROR: Final = 400
#: The gRPC codes that are errors of the server; the others are errors of its client.
SERVER_ERROR_CODES: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)

_SERVING_PATH: Final = re.compile(
    r"/v1/models/[^/:]+(?P<which>/versions/\d+|/labels/[^/:]+)?"
    r"(?P<verb>:predict|:classify|:regress|/metadata)?",
    re.ASCII,
)


def method_of(method: str) -> str:
    """Return an HTTP method, ``_OTHER`` for one that the conventions do not know."""
    return method if method in _METHODS else OTHER_METHOD


def http_name(method: str, route: str | None) -> str:
    """Return the name of a span for an HTTP method, as ``method_of`` returns it, and its route."""
    verb = "HTTP" if method == OTHER_METHOD else method
    return f"{verb} {route}" if route else verb


def serving_route(path: str) -> str | None:
    """Return the route of a path of TensorFlow Serving's REST API, None for another path.

    >>> serving_route("/v1/models/digits/versions/1:predict")
    '/v1/models/{model}/versions/{version}:predict'
    """
    found = _SERVING_PATH.fullmatch(path)
    if found is None:
        return None
    which = found["which"] or ""
    kind = "/versions/{version}" if which.startswith("/versions") else "/labels/{label}"
    return f"/v1/models/{{model}}{kind if which else ''}{found['verb'] or ''}"


def server_of(authority: str) -> Attributes:
    """Return the attributes for ``host:port``; those that it lacks or that are wrong are absent."""
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return {}
    if not host:
        return {}
    return {SERVER_ADDRESS: host} | ({} if port is None else {SERVER_PORT: port})


def http_server(method: str, scheme: str, path: str, authority: str) -> Attributes:
    """Return the attributes that a server span has from its start on."""
    known = method_of(method)
    return {HTTP_METHOD: known, "url.scheme": scheme, "url.path": path, **server_of(authority)}


def http_client(method: str, root: str, path: str) -> Attributes:
    """Return the attributes of a call to ``path`` at the server whose address is ``root``."""
    parts = urlsplit(root)
    server = server_of(parts.netloc.rpartition("@")[2])
    port: Attributes = {SERVER_PORT: 443 if parts.scheme == "https" else 80}
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"
    route = serving_route(path)
    template: Attributes = {"url.template": route} if route else {}
    return {HTTP_METHOD: method, "url.full": url, **port, **server, **template}


def rpc(path: str, authority: str) -> Attributes:
    """Return the attributes of a gRPC call by its path, ``/package.Service/Method``."""
    return {"rpc.system.name": "grpc", "rpc.method": path[1:], **server_of(authority)}

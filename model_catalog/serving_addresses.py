"""The addresses of model servers, as ``serving_url`` and ``GATEWAY_SERVING_URL`` give them."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

#: What ``serving_url`` and ``GATEWAY_SERVING_URL`` may be.
SERVING_URLS = (
    "a root URL such as http://host:8501, without /v1, or grpc://host:8500; or several different "
    "ones of the same kind"
)


def serving_addresses(url: str) -> tuple[str, ...]:
    """Return the addresses in a ``serving_url``, which separates several with commas."""
    return tuple(address.strip().rstrip("/") for address in url.split(","))


def is_serving_url(url: str) -> bool:
    """Tell whether the text has addresses of model servers: of REST APIs, or of gRPC ports."""
    addresses = serving_addresses(url)
    is_of_one_kind = all(map(is_server_root, addresses)) or all(map(is_grpc_address, addresses))
    return is_of_one_kind and len(set(addresses)) == len(addresses)


def is_grpc_address(url: str) -> bool:
    """Tell whether the text is ``grpc://host:port`` or, with TLS, ``grpcs://host:port``."""
    return _is_root(url, {"grpc", "grpcs"}) and urlsplit(url).port is not None


def is_server_root(url: str) -> bool:
    """Tell whether the text is an http(s) URL without user, path, query and fragment."""
    return _is_root(url, {"http", "https"})


def _is_root(url: str, schemes: Collection[str]) -> bool:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    rest = (parts.path.rstrip("/"), parts.query, parts.fragment)
    return (
        parts.scheme in schemes
        and bool(parts.hostname)
        and port_is_fine
        and rest == ("", "", "")
        and parts.username is None
    )

"""Names and attributes of spans."""

from __future__ import annotations

import pytest
from opentelemetry.semconv._incubating.attributes import rpc_attributes, url_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes

from serving_tracing import conventions


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/models/a:predict", "/v1/models/{model}:predict"),
        ("/v1/models/a/versions/12:classify", "/v1/models/{model}/versions/{version}:classify"),
        ("/v1/models/a/labels/stable/metadata", "/v1/models/{model}/labels/{label}/metadata"),
        ("/v1/models/a", "/v1/models/{model}"),
        ("/v1/models/a/versions/x:predict", None),
        ("/v1/models", None),
    ],
)
def test_a_route_has_no_value_of_a_caller(path: str, route: str | None) -> None:
    assert conventions.serving_route(path) == route


@pytest.mark.parametrize(
    ("authority", "attributes"),
    [
        ("host:81", {"server.address": "host", "server.port": 81}),
        ("host", {"server.address": "host"}),
        ("[::1]:8500", {"server.address": "::1", "server.port": 8500}),
        ("", {}),
        ("host:port", {}),
        ("[", {}),
    ],
)
def test_an_authority_may_be_anything(authority: str, attributes: dict[str, object]) -> None:
    assert conventions.server_of(authority) == attributes


def test_a_method_that_is_not_known_does_not_become_a_name() -> None:
    assert conventions.http_name(conventions.method_of("HACK"), "/x") == "HTTP /x"


def test_the_password_of_an_address_stays_secret() -> None:
    attributes = conventions.http_client("GET", "https://me:secret@host", "/v1/models/a")

    assert attributes["url.full"] == "https://host/v1/models/a"
    assert attributes["server.port"] == 443


def test_the_names_are_those_of_the_conventions() -> None:
    client = conventions.http_client("POST", "http://h:1", "/v1/models/a:predict")
    server = conventions.http_server("POST", "http", "/p", "h:1")
    http = {
        http_attributes.HTTP_REQUEST_METHOD,
        server_attributes.SERVER_ADDRESS,
        server_attributes.SERVER_PORT,
    }

    assert client.keys() == http | {url_attributes.URL_FULL, url_attributes.URL_TEMPLATE}
    assert server.keys() == http | {url_attributes.URL_PATH, url_attributes.URL_SCHEME}
    assert conventions.rpc("/p.S/M", "") == {
        rpc_attributes.RPC_SYSTEM_NAME: "grpc",
        rpc_attributes.RPC_METHOD: "p.S/M",
    }
    assert conventions.RPC_STATUS == rpc_attributes.RPC_RESPONSE_STATUS_CODE
    assert conventions.HTTP_STATUS == http_attributes.HTTP_RESPONSE_STATUS_CODE
    assert conventions.HTTP_ROUTE == http_attributes.HTTP_ROUTE
    assert conventions.ERROR_TYPE == error_attributes.ERROR_TYPE

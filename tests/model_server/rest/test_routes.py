from __future__ import annotations

import pytest

from model_server.errors import InvalidArgument
from model_server.models.registry import ModelRequest
from model_server.rest.routes import BadRequestWithoutBody, Route, Verb, is_api, read_route


@pytest.mark.parametrize(
    ("method", "target", "verb", "servable"),
    [
        ("POST", "/v1/models/m:predict", "predict", ModelRequest("m")),
        ("POST", "/V1/Models/m:classify", "classify", ModelRequest("m")),
        ("POST", "/v1/models/m/versions/007:regress", "regress", ModelRequest("m", 7)),
        ("POST", "/v1/models/m/labels/a%20b:predict", "predict", ModelRequest("m", None, "a b")),
        ("POST", "/v1/models/a%2Fb%3Ac+d:predict", "predict", ModelRequest("a/b:c+d")),
        ("GET", "/v1/models/m", "status", ModelRequest("m")),
        ("GET", "/v1/models/m?x=1", "status", ModelRequest("m?x=1")),
        ("GET", "/v1/models/m/versions/2", "status", ModelRequest("m", 2)),
        ("GET", "/v1/models/m/labels/x", "status", ModelRequest("m", None, "x")),
        ("GET", "/v1/models/m/metadata", "metadata", ModelRequest("m")),
        ("GET", "/v1/models/m/METADATA", "status", ModelRequest("m")),
        ("GET", "/v1/models/m/versions/2/metadata", "metadata", ModelRequest("m", 2)),
        ("GET", "/v1/models/metadata", "status", ModelRequest("metadata")),
        (
            "GET",
            f"/v1/models/m/versions/{2**63 - 1}",
            "status",
            ModelRequest("m", 2**63 - 1),
        ),
    ],
)
def test_routes(method: str, target: str, verb: str, servable: ModelRequest) -> None:
    assert read_route(method, target) == Route(Verb(verb), servable)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/"),
        ("POST", "/v1/models"),
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:predict?x=1"),
        ("POST", "/v1/models/m:explain"),
        ("POST", "/v1/models/m/versions/x:predict"),
        ("POST", "/v1/models/m/versions/1/labels/x:predict"),
        ("POST", "/v1/models/m/metadata"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/m/"),
        ("GET", "/v1/models/m:predict"),
        ("GET", "/v1/models/m/versions/-1"),
        ("GET", "/v1/models/a/b"),
        ("HEAD", "/v1/models/m"),
        ("DELETE", "/v1/models/m"),
    ],
)
def test_everything_else_is_malformed(method: str, target: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_route(method, target)

    assert caught.value.message == f"Malformed request: {method} {target}"


@pytest.mark.parametrize(
    "target", ["/v1/models", "/v1/models/versions/1", "/v1/models/versions/1/metadata"]
)
def test_the_model_name_is_missed(target: str) -> None:
    with pytest.raises(InvalidArgument, match="Missing model name in request."):
        read_route("GET", target)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_version_beyond_64_bits_gets_no_body(method: str) -> None:
    verb = ":predict" if method == "POST" else ""

    for version in (2**63, "9" * 5000):
        with pytest.raises(BadRequestWithoutBody):
            read_route(method, f"/v1/models/m/versions/{version}{verb}")


def test_zeros_in_front_of_a_version_mean_nothing() -> None:
    for digits, version in [("0" * 5000 + "1", 1), ("0" * 5000, 0)]:
        assert read_route("GET", f"/v1/models/m/versions/{digits}").servable.version == version


@pytest.mark.parametrize(
    ("target", "belongs"),
    [("/v1/", True), ("/V1/x", True), ("/v1", False), ("/", False), ("/v2/x", False)],
)
def test_what_belongs_to_the_api(target: str, belongs: bool) -> None:
    assert is_api(target) is belongs

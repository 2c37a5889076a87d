"""The document tells the truth: about routes, codes, parameters, and by example."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.test import TestResponse

from flask_server.access import authentication, key_writer
from flask_server.errors import kinds
from flask_server.imaging.reports import Report
from flask_server.openapi import problems
from flask_server.openapi.document import document as describe
from flask_server.openapi.operations import OF_MODEL
from flask_server.openapi.requests import (
    EXAMPLE_IMAGE,
    EXPLAIN_PARAMETERS,
    PREDICT_PARAMETERS,
)
from flask_server.openapi.schema_parts import ref
from flask_server.settings import Settings
from flask_server.views.explain import EXPLAIN_PARAMETERS as EXPLAINING
from flask_server.web import parameters
from model_catalog.spec import InputSpec
from model_catalog.version import VERSION
from tests.flask_server.conftest import MakeApp, draw, flat
from tests.flask_server.stub_serving import Servable, StubServing, make_spec

Schema = dict[str, Any]

URL = "/models/toy/predict"
AUTOMATIC = {"HEAD", "OPTIONS"}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def document(client: FlaskClient) -> Schema:
    answer = client.get("/openapi.json").json
    assert isinstance(answer, dict)
    return answer


@pytest.fixture
def guarded(make_app: MakeApp, tmp_path: Path) -> FlaskClient:
    key_writer.create(tmp_path / "keys.json", "web")
    return make_app(api_keys_file=tmp_path / "keys.json").test_client()


def operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def alternatives(document: Schema, schema: Schema) -> list[Schema]:
    """The schemas of which a body has one, by their names where they have some."""
    named = document["components"]["schemas"]
    choices = schema.get("oneOf", [schema])
    return [named[c["$ref"].rpartition("/")[2]] if "$ref" in c else c for c in choices]


def closed(schema: Any) -> Any:
    """The schema without room for properties that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    copied = {key: closed(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        copied["additionalProperties"] = False
    return copied


def violations(document: Schema, schema: Schema, value: object) -> list[str]:
    """What is wrong with the value, properties that nobody documented included."""
    whole = closed(schema) | {"components": closed(document["components"])}
    validator = OAS31Validator(whole)
    return [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(value)]


def check_answer(document: Schema, path: str, response: TestResponse) -> None:
    """The answer has a documented status and media type, and keeps to its schema."""
    operation = document["paths"][path][response.request.method.lower()]
    described = operation["responses"][str(response.status_code)]
    media = described["content"][response.mimetype]
    assert violations(document, media["schema"], response.json) == []
    if response.status_code >= 400:
        assert response.json is not None
        assert response.json["status"] == response.status_code
        assert response.json["code"] in described[problems.CODES]
    assert set(described["headers"]) - set(OF_MODEL) <= set(response.headers.keys())


def test_document_keeps_to_openapi_3_1(document: Schema) -> None:
    OpenAPIV31SpecValidator(document).validate()

    assert document["openapi"] == "3.1.0"


def test_version_is_that_of_the_package(document: Schema) -> None:
    assert document["info"]["version"] == VERSION


def test_every_route_is_described_and_nothing_else(app: Flask, document: Schema) -> None:
    # Files of pages are no API.
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in rules
        for method in (rule.methods or set()) - AUTOMATIC
    }

    assert {(path, method) for path, method, _ in operations(document)} == routes


def test_path_parameters_are_those_of_the_path(document: Schema) -> None:
    for path, _, operation in operations(document):
        described = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert described == set(re.findall(r"{(\w+)}", path))


def test_every_code_is_described_with_its_status(document: Schema) -> None:
    described = document["components"]["schemas"]["Problem"]["properties"]["code"]

    assert described["enum"] == [kind.code for kind in kinds()]
    for kind in kinds():
        assert f"- `{kind.code}` ({kind.status:d}): {kind.when}" in described["description"]


def test_every_code_is_an_answer_of_some_operation(guarded: FlaskClient) -> None:
    document = guarded.get("/openapi.json").json
    assert document is not None
    told = {
        code
        for _, _, operation in operations(document)
        for answer in operation["responses"].values()
        for code in problems._codes(answer)
    }

    # Documented operations know their methods.
    assert told == {kind.code for kind in kinds()} - {"method_not_allowed"}


def test_a_full_worker_may_refuse_every_operation(document: Schema) -> None:
    for path, _, operation in operations(document):
        assert "overloaded" in problems._codes(operation["responses"]["503"]), path


def test_parameters_without_effect_on_a_heat_map_say_so(document: Schema) -> None:
    described = document["paths"]["/models/{name}/explain"]["post"]["parameters"]
    texts = {p["name"]: p["schema"].get("description") for p in described}

    assert texts["top_k"] == texts["threshold"]
    assert "without effect" in texts["top_k"]


@pytest.mark.parametrize(
    ("path", "known", "described"),
    [
        ("/models/{name}/predict", parameters.PREDICT_PARAMETERS, PREDICT_PARAMETERS),
        ("/models/{name}/explain", EXPLAINING, EXPLAIN_PARAMETERS),
    ],
)
def test_every_parameter_is_described_wherever_it_may_stand(
    document: Schema, path: str, known: tuple[str, ...], described: Schema
) -> None:
    operation = document["paths"][path]["post"]

    assert set(described) == set(known)
    in_query = {p["name"] for p in operation["parameters"] if p["in"] == "query"}
    assert in_query == set(known)
    for kind in ("application/json", "multipart/form-data", "application/x-www-form-urlencoded"):
        body = operation["requestBody"]["content"][kind]["schema"]
        for schema in alternatives(document, body):
            assert set(schema["properties"]) - {"image", "images", "tensor"} == set(known)


@pytest.mark.parametrize("path", ["/models/{name}/predict", "/models/{name}/explain"])
def test_code_generators_find_a_type_for_every_body(document: Schema, path: str) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]

    for media in content.values():
        for schema in alternatives(document, media["schema"]):
            assert schema["type"] in {"object", "string"}
            assert not {"oneOf", "anyOf", "allOf"} & set(schema)


def test_code_generators_find_a_type_for_every_enumeration(document: Schema) -> None:
    def untyped(node: Any) -> list[Schema]:
        if isinstance(node, list):
            return [found for item in node for found in untyped(item)]
        if not isinstance(node, dict):
            return []
        here = [node] if {"enum", "const"} & set(node) and "type" not in node else []
        return here + [found for value in node.values() for found in untyped(value)]

    assert untyped(document["components"]["schemas"]) == []
    assert untyped(document["paths"]) == []


def test_code_generators_write_one_class_for_all_problems(document: Schema) -> None:
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            media = answer.get("content", {}).get("application/problem+json")
            assert media == ({"schema": ref("Problem")} if int(status) >= 400 else None)


def test_report_is_described_whole(document: Schema) -> None:
    described = document["components"]["schemas"]["Report"]

    assert described["required"] == list(Report.__annotations__)


def test_every_operation_has_a_name_of_its_own_and_a_summary(document: Schema) -> None:
    named = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(named) == len(set(named))
    assert all(operation["summary"] for _, _, operation in operations(document))


def examples(node: Any) -> Iterator[tuple[Schema, object]]:
    """Every example in the document with the schema it belongs to."""
    if isinstance(node, list):
        for item in node:
            yield from examples(item)
    if not isinstance(node, dict):
        return
    if "schema" in node:
        yield from ((node["schema"], e["value"]) for e in node.get("examples", {}).values())
        yield from [(node["schema"], node["example"])] if "example" in node else []
    elif isinstance(node.get("examples"), list):
        yield from ((node, example) for example in node["examples"])
    for value in node.values():
        yield from examples(value)


def test_examples_keep_to_their_schemas(document: Schema) -> None:
    found = list(examples(document))

    assert len(found) > 10
    for schema, example in found:
        assert violations(document, schema, example) == []


def bodies(document: Schema, path: str) -> list[tuple[str, Any]]:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    found = [(kind, media["example"]) for kind, media in content.items() if "example" in media]
    for kind, media in content.items():
        found += [(kind, example["value"]) for example in media.get("examples", {}).values()]
    return found


@pytest.mark.parametrize(
    "path", ["/models/{name}/predict", "/models/{name}/explain", "/imageclassifier/predict/"]
)
def test_example_bodies_are_answered_as_described(
    client: FlaskClient, document: Schema, path: str
) -> None:
    found = bodies(document, path)
    assert found

    for kind, body in found:
        sent = {"json": body} if kind == "application/json" else {"data": body}
        kept = sent if "json" in sent else sent | {"content_type": kind}
        headers = {"Accept": "application/json"}
        response = client.post(path.replace("{name}", "toy"), headers=headers, **kept)

        assert response.status_code == 200, response.text
        check_answer(document, path, response)


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream"])
def test_bare_file_with_every_parameter_is_answered_as_described(
    client: FlaskClient, document: Schema, serving: StubServing, kind: str
) -> None:
    serving.labels["canary"] = 1
    query: Schema = {"top_k": 2, "threshold": 0.1, "labels": "light,id0", "label": "canary"}
    query["report"] = "true"
    assert {*query, "version"} == set(parameters.PARAMETERS)

    response = client.post(URL, data=flat("white"), content_type=kind, query_string=query)

    assert response.status_code == 200, response.text
    check_answer(document, "/models/{name}/predict", response)
    assert response.json is not None
    assert response.json["report"]


@pytest.mark.parametrize("route", ["predict", "explain"])
@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
def test_drawn_answers_are_described(
    client: FlaskClient, document: Schema, route: str, kind: str
) -> None:
    response = client.post(f"/models/toy/{route}", data=flat("white"), headers={"Accept": kind})

    described = document["paths"][f"/models/{{name}}/{route}"]["post"]["responses"]["200"]
    assert response.status_code == 200
    assert response.mimetype == kind
    assert kind in described["content"]


def test_heat_map_of_a_padded_image_is_answered_as_described(
    make_app: MakeApp, serving: StubServing, document: Schema
) -> None:
    spec = make_spec(input=InputSpec(height=4, width=4, fit="pad"))
    serving.models["toy"] = {1: Servable(spec)}
    client, headers = make_app().test_client(), {"Accept": "application/json"}

    response = client.post("/models/toy/explain", data=draw(size=(8, 2)), headers=headers)

    assert response.json is not None
    assert response.json["box"] == [0, -2, 8, 6]
    check_answer(document, "/models/{name}/explain", response)


def test_answer_that_nobody_takes_is_answered_as_described(
    client: FlaskClient, document: Schema
) -> None:
    response = client.post(URL, data=flat("white"), headers={"Accept": "text/html"})

    assert response.status_code == 406
    check_answer(document, "/models/{name}/predict", response)


@pytest.mark.parametrize(
    "path",
    ["/models", "/models/{name}", "/healthz", "/readyz", "/openapi.json"],
)
def test_json_routes_are_answered_as_described(
    client: FlaskClient, document: Schema, path: str
) -> None:
    response = client.get(path.replace("{name}", "toy"))

    assert response.status_code == 200
    check_answer(document, path, response)


def test_models_in_trouble_are_answered_as_described(
    make_app: MakeApp, serving: StubServing, document: Schema
) -> None:
    serving.models = {"toy": {3: Servable(state="LOADING")}, "odd": {1: Servable(spec=None)}}
    models = '[models.toy]\nbase_path = "a"\n[models.odd]\nbase_path = "b"\n'
    client = make_app(models).test_client()

    for path in ("/models", "/models/toy", "/models/odd", "/readyz"):
        response = client.get(path)
        check_answer(document, re.sub("/(toy|odd)", "/{name}", path), response)


@pytest.mark.parametrize(
    ("path", "sent", "code"),
    [
        ("/models/{name}/predict", {"json": {"image": "!"}}, "invalid_base64"),
        ("/models/{name}/predict", {"json": {"images": [""] * 33}}, "too_many_images"),
        ("/models/{name}/predict", {"data": "{", "content_type": "text/plain"}, None),
        ("/imageclassifier/predict/", {"data": {"b64": "aGFsbG8="}}, "unsupported_image"),
    ],
)
def test_refusals_are_answered_as_described(
    client: FlaskClient, document: Schema, path: str, sent: Schema, code: str | None
) -> None:
    response = client.post(path.replace("{name}", "toy"), **sent)

    check_answer(document, path, response)
    assert response.json is not None
    assert response.json["code"] == (code or "unsupported_media_type")


def test_example_picture_is_a_picture(client: FlaskClient) -> None:
    response = client.post("/imageclassifier/predict/", data={"b64": EXAMPLE_IMAGE})

    assert response.status_code == 200


def test_keys_are_described_where_they_are_asked_for(guarded: FlaskClient) -> None:
    document = guarded.get("/openapi.json").json
    assert document is not None

    known = authentication.open_paths(guarded.application)
    for path, _, operation in operations(document):
        asked = not authentication.is_open(path, known)
        assert ("security" in operation) == asked
        assert {"401", "429"} <= set(operation["responses"]) or not asked
    assert set(document["components"]["securitySchemes"]) == {"apiKey", "bearer"}
    OpenAPIV31SpecValidator(document).validate()


def test_answers_to_requests_with_a_key_have_the_quotas(guarded: FlaskClient) -> None:
    paths = guarded.get("/openapi.json").get_json()["paths"]

    responses = paths["/models"]["get"]["responses"]
    with_quotas = {status for status, each in responses.items() if "RateLimit" in each["headers"]}

    assert with_quotas == set(responses) - {"401"}
    assert "RateLimit" not in paths["/healthz"]["get"]["responses"]["200"]["headers"]


def test_refusal_without_a_key_is_answered_as_described(guarded: FlaskClient) -> None:
    document = guarded.get("/openapi.json").json
    assert document is not None

    check_answer(document, "/models", guarded.get("/models"))


def test_limits_are_those_of_the_settings() -> None:
    described = describe(Settings(max_images=3), "toy")

    several = described["components"]["schemas"]["ImagesRequest"]["properties"]["images"]
    assert several["maxItems"] == 3


def test_document_is_data_that_nobody_shares() -> None:
    first = describe(Settings(), "toy")
    before = copy.deepcopy(first)

    describe(Settings(max_images=3), "toy")

    assert first == before

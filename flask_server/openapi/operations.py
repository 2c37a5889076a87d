"""Describe each operation for the OpenAPI document: purpose, parameters, body and responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flask_server.errors import InvalidTensor, ModelNotReady, PageNotFound, Scope, UnknownModel
from flask_server.openapi import problems as problems
from flask_server.openapi import requests as requests
from flask_server.openapi.answer_schemas import ANSWERS
from flask_server.openapi.schema_parts import Schema, ref
from flask_server.settings import Settings
from flask_server.web.negotiation import JPEG, NPY, PNG

#: Headers that a response of a model may have.
OF_MODEL = ("X-Model-Warning", "X-Model-Version", "X-Model-Version-Label")
_FILES: dict[str, Schema] = {
    PNG: requests.FILE,
    JPEG: requests.FILE,
    NPY: {
        "type": "string",
        "format": "binary",
        "description": "A `.npy` file of numpy with one output, the vector or the label map; of"
        " several rows with one dimension more in front.",
    },
}


def operations(settings: Settings, model: str) -> dict[str, dict[str, Schema]]:
    """Return every operation by path and method, without API keys; ``model`` is for examples."""
    return {
        "/models/{name}/predict": {"post": _predict(settings, model)},
        "/models/{name}/explain": {"post": _explain(settings, model)},
        "/imageclassifier/predict/": {"post": _original()},
        "/inference": {"post": _inference()},
        "/models": {"get": _models()},
        "/models/{name}": {"get": _model(model)},
        "/healthz": {"get": _healthz()},
        "/readyz": {"get": _readyz()},
        "/metrics": {"get": _metrics()},
        "/hello/": {method: _hello(method) for method in ("get", "post")},
        "/openapi.json": {"get": _openapi()},
        "/docs": {
            "get": _page("docs", "Show the API documentation", "A page that shows this document.")
        },
        "/": {"get": _page("page", "Classify in the browser", "A page that classifies images.")},
    }


def _predict(settings: Settings, model: str) -> Schema:
    answer = _json(
        "The result, which depends on the task of the model.",
        {"oneOf": [ref(name) for name in (*ANSWERS, "Answers")]},
        *OF_MODEL,
    )
    return _operation(
        *(
            "predict",
            "predictions",
            "Classify one image or several",
        ),
        "One image is answered with its predictions; with `Accept: image/png` or `image/jpeg` the "
        "response is the image with the predictions drawn below.\n\n"
        "Several images (`images`, or "
        "several files) are always answered with 200 and a result or an error for each, in their "
        "order.\n\n"
        "Parameters may be in the body or in the query; an unknown one is an error. A tensor takes "
        "the place of an image; with a batch dimension it has several results.\n\n"
        "The response depends on the task of the model. A model of the task detection returns "
        "objects with their boxes, or the image with a frame around each object. A model of the "
        "task tensor returns its outputs, embedding a vector, and segmentation the areas of the "
        "classes; with `Accept: application/x-npy` the numbers are a `.npy` file. The label map of "
        "a segmentation is an `image/png` with a palette; an `image/jpeg` shows it over the image.",
        parameters=[requests.model_name(model), *requests.queries(requests.PREDICT_PARAMETERS)],
        body=requests.pictures_body(settings),
        answers={"200": _or_file(answer, PNG, JPEG, NPY)},
        codes=problems.in_scope(Scope.IMAGES, Scope.MODEL_IMAGES),
    )


def _explain(settings: Settings, model: str) -> Schema:
    parameters = requests.queries(requests.EXPLAIN_PARAMETERS)
    heat = _json("The heat map.", ref("Heat"), *OF_MODEL)
    return _operation(
        *("explain", "predictions", "Show which cells of an image the prediction depends on"),
        "Each cell of a grid over the image is hidden in turn; the heat of a cell is the loss of "
        "the class's score. The response is a heat map drawn on the image or, with `Accept: "
        "application/json`, the numbers.",
        parameters=[requests.model_name(model), *parameters],
        body=requests.picture_body(settings),
        answers={"200": _or_file(heat, PNG, JPEG)},
        codes=problems.in_scope(Scope.IMAGES, Scope.MODEL_IMAGES),
    )


def _original() -> Schema:
    return _operation(
        *("predictOriginal", "predictions", "Classify one image with the default model"),
        "The interface of the original project. It never changes.",
        parameters=[requests.REQUEST_ID],
        body=requests.original_body(),
        answers={"200": _json("The five best classes.", ref("Triples"), *OF_MODEL)},
        codes=problems.in_scope(Scope.IMAGES),
    )


def _inference() -> Schema:
    return _operation(
        *("inference", "predictions", "Run the default model on one file"),
        "The interface of the original project for models of any task.",
        parameters=[requests.REQUEST_ID],
        body=requests.inference_body(),
        answers={"200": _json("The result.", ref("OriginalResult"), *OF_MODEL)},
        codes=(*problems.in_scope(Scope.IMAGES), InvalidTensor.code),
    )


def _models() -> Schema:
    return _operation(
        *("listModels", "models", "List the models"),
        "Without labels; the default model comes first.",
        parameters=[requests.UNLESS_CHANGED],
        answers=_kept(_json("All models.", ref("ModelList"), "ETag")),
    )


def _model(model: str) -> Schema:
    return _operation(
        *("showModel", "models", "Show one model"),
        "With its labels and the description of its input.",
        parameters=[requests.model_name(model), requests.UNLESS_CHANGED],
        answers=_kept(_json("The model.", ref("Model"), "ETag")),
        codes=(UnknownModel.code,),
    )


def _healthz() -> Schema:
    return _operation(
        *("alive", "health", "Check that the process is alive"),
        "Independent of the state of the models.",
        answers={"200": _json("The process is alive.", ref("Alive"))},
    )


def _readyz() -> Schema:
    return _operation(
        *("ready", "health", "Check that every model is ready"),
        "The error names the models that are not ready.",
        parameters=[requests.READY_MODEL],
        answers={"200": _json("All are ready.", ref("Ready"))},
        codes=(UnknownModel.code, ModelNotReady.code),
    )


def _metrics() -> Schema:
    return _operation(
        *("metrics", "health", "Return metrics for Prometheus"),
        "The sum of all worker processes. 404 if metrics are turned off.",
        answers={"200": _text("The metrics.", "text/plain")},
        codes=(PageNotFound.code,),
    )


def _hello(method: str) -> Schema:
    return _operation(
        *(f"{method}Hello", "health", "Say hello"),
        "The ping of the original project.",
        answers={"200": _text("Hello.", "text/html")},
    )


def _openapi() -> Schema:
    return _operation(
        *("openapi", "pages", "Return this document"),
        "OpenAPI 3.1.",
        parameters=[requests.UNLESS_CHANGED],
        answers=_kept(_json("The document.", {"type": "object"}, "ETag")),
    )


def _page(name: str, summary: str, description: str) -> Schema:
    return _operation(
        *(name, "pages", summary),
        description,
        parameters=[requests.UNLESS_CHANGED],
        answers=_kept(_text("The page.", "text/html", "ETag")),
    )


def _operation(
    name: str,
    tag: str,
    summary: str,
    description: str,
    *,
    answers: Schema,
    codes: Iterable[str] = (),
    parameters: Sequence[Schema] = (),
    body: Schema | None = None,
) -> Schema:
    operation = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "parameters": list(parameters),
        "responses": answers | problems.answers((*codes, *problems.in_scope(Scope.ANY))),
    }
    return operation | ({"requestBody": body} if body else {})


def _json(description: str, schema: Schema, *headers: str) -> Schema:
    return _answer(description, {"application/json": {"schema": schema}}, *headers)


def _or_file(answer: Schema, *media_types: str) -> Schema:
    """Return the response as it is, or as a file of one of the media types."""
    files = {kind: {"schema": _FILES[kind]} for kind in media_types}
    return answer | {"content": answer["content"] | files}


def _text(description: str, kind: str, *headers: str) -> Schema:
    return _answer(description, {kind: {"schema": {"type": "string"}}}, *headers)


def _answer(description: str, content: Schema, *headers: str) -> Schema:
    names = ("X-Request-ID", "Server-Timing", *headers)
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": content,
    }


def _kept(answer: Schema) -> Schema:
    """Return the responses of an operation that callers may cache and revalidate."""
    unchanged = {
        "description": "Unchanged since the `ETag` that the caller sent.",
        "headers": answer["headers"],
    }
    return {"200": answer, "304": unchanged}

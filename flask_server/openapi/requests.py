"""Describe parameters and request bodies for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping

from flask_server.inference.explain import MAX_GRID, MIN_GRID
from flask_server.openapi.schema_parts import Schema, listing, ref
from flask_server.settings import Settings
from flask_server.web.forms import MULTIPART, URL_ENCODED
from flask_server.web.negotiation import JSON, NPY

RAW = ("image/*", "application/octet-stream")

#: A PNG file of 8 x 8 pixels that shows the digit seven.
EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAIAQAAAADsdIMmAAAAGElEQVR42mNgYKhjYGFiYWJg4mBiYGAAAAcmAJcQdAeG"
    "AAAAAElFTkSuQmCC"
)

#: Parameters of classifications; each may be in the body or in the query.
PARAMETERS: dict[str, Schema] = {
    "top_k": {
        "type": "integer",
        "minimum": 1,
        "description": "Maximum number of predictions, at most the number of classes; by default "
        "all of `labels` if they are given, else 5, or all classes if the model has fewer.",
        "examples": [3],
    },
    "threshold": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "Minimum score of a prediction.",
        "examples": [0.05],
    },
    "labels": listing({"type": "string"}, minItems=1)
    | {"description": "Class ids or labels to rank, as a list or separated by commas."},
    "version": {
        "type": "integer",
        "minimum": 0,
        "description": "The model version to use, instead of the newest.",
    },
    "label": {
        "type": "string",
        "minLength": 1,
        "description": "The version label to use, such as canary; not together with `version`.",
    },
    "report": {
        "type": "boolean",
        "description": "Whether to add a report of how the image was preprocessed.",
    },
}

#: Parameters of predictions of all tasks.
PREDICT_PARAMETERS: dict[str, Schema] = PARAMETERS | {
    "output": {
        "type": "string",
        "minLength": 1,
        "description": "The output to return; for models of the tasks tensor and embedding.",
    },
    "normalize": {
        "type": "boolean",
        "description": "Whether to divide an embedding by its length.",
    },
}

_NO_EFFECT = "Checked as in predictions, without effect on a heat map."

#: Parameters of explanations.
EXPLAIN_PARAMETERS: dict[str, Schema] = PARAMETERS | {
    "top_k": PARAMETERS["top_k"] | {"description": _NO_EFFECT},
    "threshold": PARAMETERS["threshold"] | {"description": _NO_EFFECT},
    "labels": PARAMETERS["labels"]
    | {
        "description": "Class ids or labels of which the one with the highest score is explained, "
        "as a list or separated by commas; `class` takes precedence."
    },
    "class": {
        "type": "string",
        "minLength": 1,
        "description": "The class id or label to explain, instead of the best class.",
    },
    "grid": {
        "type": "integer",
        "minimum": MIN_GRID,
        "maximum": MAX_GRID,
        "description": "Cells per side of the heat map, instead of as many as the deadline allows.",
        "examples": [4],
    },
    "format": ref("HeatFormat")
    | {"description": "The format of the response; takes precedence over `Accept`."},
}

_BASE64 = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "An image file in base64 (standard or URL-safe, padded or not) or a data URL.",
    "examples": [EXAMPLE_IMAGE],
}
#: The bytes of an image file.
FILE = {"type": "string", "format": "binary", "description": "The bytes of an image file."}
NPY_FILE = {
    "type": "string",
    "format": "binary",
    "description": "A `.npy` file of numpy: booleans, integers or floats in the shape of the"
    " model's input, or with one dimension more in front for several rows.",
}
_TENSOR = {
    "type": "array",
    "items": {},
    "description": "Nested lists of numbers in the shape of the model's input, or several of them.",
}

READY_MODEL: Schema = {
    "name": "model",
    "in": "query",
    "description": "Check this model only.",
    "schema": {"type": "string"},
}
REQUEST_ID: Schema = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "An id for the request, which the response and the gateway's log repeat.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
}
UNLESS_CHANGED: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of an earlier response; a 304 says that it is unchanged.",
    "schema": {"type": "string"},
}


def model_name(example: str) -> Schema:
    """Return the model in the path."""
    return {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "The name of a model as in `/models`.",
        "schema": {"type": "string", "minLength": 1},
        "example": example,
    }


def queries(parameters: Mapping[str, Schema]) -> list[Schema]:
    """Return the parameters as parts of the query."""
    return [
        {"name": name, "in": "query", "schema": schema, "style": "form", "explode": False}
        for name, schema in parameters.items()
    ]


def pictures_body(settings: Settings) -> Schema:
    """Return the body of a prediction request in every media type."""
    json = {"oneOf": [ref("ImageRequest"), ref("ImagesRequest"), ref("TensorRequest")]}
    body = _body(settings, json, _CLASSIFIED, "Predict", f"{settings.max_images} images")
    return body | {"content": body["content"] | {NPY: {"schema": NPY_FILE}}}


def picture_body(settings: Settings) -> Schema:
    """Return the body of an explanation request in every media type."""
    return _body(settings, ref("ExplainRequest"), _EXPLAINED, "Explain", "one image")


def schemas(settings: Settings) -> dict[str, Schema]:
    """Return the bodies of requests, each with a name for code generators."""
    bounds = {"minItems": 1, "maxItems": settings.max_images}
    return {
        "ImageRequest": _json({"image": _BASE64}, PREDICT_PARAMETERS),
        "ImagesRequest": _json({"images": listing(_BASE64, **bounds)}, PREDICT_PARAMETERS),
        "TensorRequest": _json({"tensor": _TENSOR}, PREDICT_PARAMETERS),
        "PredictFiles": _form(listing(FILE, **bounds), PREDICT_PARAMETERS),
        "PredictForm": _form(_BASE64, PREDICT_PARAMETERS),
        "ExplainRequest": _json({"image": _BASE64}, EXPLAIN_PARAMETERS),
        "ExplainFiles": _form(FILE, EXPLAIN_PARAMETERS),
        "ExplainForm": _form(_BASE64, EXPLAIN_PARAMETERS),
        "HeatFormat": {
            "type": "string",
            "enum": ["png", "jpeg", "json"],
            "description": "A format of heat maps.",
        },
        "InferenceForm": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": FILE | {"description": "An image file or a `.npy` file."}},
        },
        "OriginalForm": {
            "type": "object",
            "required": ["b64"],
            "properties": {"b64": _BASE64},
        },
    }


def original_body() -> Schema:
    """Return the form of the original route."""
    media = {"schema": ref("OriginalForm"), "example": {"b64": EXAMPLE_IMAGE}}
    return {"required": True, "content": {URL_ENCODED: media, MULTIPART: media}}


def inference_body() -> Schema:
    """Return the form of the original route for files."""
    return {"required": True, "content": {MULTIPART: {"schema": ref("InferenceForm")}}}


_CLASSIFIED: Schema = {
    "one": {"summary": "One image", "value": {"image": EXAMPLE_IMAGE, "top_k": 2}},
    "several": {
        "summary": "Several images, one of them invalid",
        "value": {"images": [EXAMPLE_IMAGE, "bm8gcGljdHVyZQ=="], "top_k": 1, "report": True},
    },
}
_EXPLAINED: Schema = {
    "numbers": {
        "summary": "In numbers",
        "value": {"image": EXAMPLE_IMAGE, "grid": 4, "format": "json"},
    }
}


def _body(settings: Settings, json: Schema, examples: Schema, name: str, images: str) -> Schema:
    example = next(iter(examples.values()))["value"]
    forms = {
        JSON: {"schema": json, "examples": examples},
        MULTIPART: {"schema": ref(f"{name}Files")},
        URL_ENCODED: {"schema": ref(f"{name}Form"), "example": example},
    }
    return {
        "required": True,
        "description": f"At most {settings.max_body_bytes:,} bytes and {images} of at most "
        f"{settings.max_pixels:,} pixels.",
        "content": forms | {kind: {"schema": FILE} for kind in RAW},
    }


def _json(images: Schema, parameters: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "required": list(images),
        "properties": {**images, **parameters},
        "additionalProperties": False,
        "not": {"required": ["version", "label"]},
    }


def _form(image: Schema, parameters: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "required": ["image"],
        "properties": {"image": image, **parameters},
        "additionalProperties": False,
    }

"""Describe the JSON of the API for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from flask_server.openapi.problems import PROBLEM
from model_catalog.spec import ACTIVATIONS, COLORS, FITS, FORMAT, INTERPOLATIONS, MAX_SIDE, SCALES

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """Return a reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(description: str, required: Schema, optional: Schema | None = None) -> Schema:
    """Return the schema of an object with these properties."""
    return {
        "type": "object",
        "description": description,
        "required": list(required),
        "properties": required | (optional or {}),
    }


def listing(items: Schema, **bounds: int) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, **bounds}


def maybe(schema: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def text(description: str) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", "description": description}


_VERSION = {"type": "integer", "minimum": 0, "description": "The servable version that answered."}
_SIZE = listing({"type": "integer", "minimum": 0}, minItems=2, maxItems=2) | {
    "description": "Width and height in pixels."
}
_BOX = listing({"type": "integer", "minimum": 0}, minItems=4, maxItems=4) | {
    "description": "Left, top, right and bottom in pixels."
}
_SIDE = {"type": "integer", "minimum": 1, "maximum": MAX_SIDE}
_WARNINGS = listing({"type": "string"}) | {"description": "What the answer must be read with."}

_PREDICTION = record(
    "One class and how much the model believes in it.",
    {
        "class_id": text("The class, for programs."),
        "label": text("The class, for people."),
        "score": {"type": "number"},
    },
) | {"examples": [{"class_id": "n02123045", "label": "tabby", "score": 0.93}]}

_REPORT = record(
    "What was done to the picture before the model saw it; null means that it was not done.",
    {
        "format": text("The file format."),
        "size": _SIZE,
        "orientation": {"type": "integer", "description": "EXIF orientation that was undone."},
        "alpha_flattened": {"type": "boolean", "description": "Transparency was laid on white."},
        "converted_from": maybe(text("The colour mode that the file had.")),
        "shrunk_while_decoding_to": maybe(_SIZE),
        "cropped": maybe(_BOX),
        "resized_from": maybe(_SIZE),
        "resized_to": maybe(_SIZE),
        "padded": {"type": "boolean", "description": "Black was added at the sides."},
    },
)

_RESULT = record(
    "What one picture shows.",
    {"predictions": listing(ref("Prediction"))},
    {"report": ref("Report")},
)
_ERROR = record("Why one picture has no result.", {"error": ref("Problem")})

_INPUT = record(
    "How a picture becomes the model's input.",
    {
        "height": _SIDE,
        "width": _SIDE,
        "color": {"enum": list(COLORS)},
        "interpolation": {"enum": list(INTERPOLATIONS)},
        "fit": {"enum": list(FITS)},
        "scale": {"enum": list(SCALES)},
    },
)
_OUTPUT = record(
    "What the model's scores are.",
    {"classes": {"type": "integer", "minimum": 1}, "activation": {"enum": list(ACTIVATIONS)}},
)
_STATUS = record(
    "One version as Serving has it.",
    {"version": {"type": "integer", "minimum": 0}, "state": text("AVAILABLE if it can be asked.")}
    | {"error": text("Empty where there is none.")},
)
_TRAINED = {"type": "boolean", "description": "False for random weights."}
_SOURCE = text("Where the weights come from.")
_LABELS = listing(listing({"type": "string"}, minItems=2, maxItems=2)) | {
    "description": "Class id and label of each score, in the order of the scores."
}

_MODEL = {
    "name": text("What the model is called in paths."),
    "default": {"type": "boolean", "description": "Whether the original route asks it."},
    "ready": {"type": "boolean", "description": "Whether it can be asked."},
    "version": maybe(_VERSION | {"description": "The newest available version."}),
    "versions": listing(ref("Version")),
}
_LIVE_MODEL = {
    "trained": _TRAINED,
    "input": ref("Input"),
    "output": ref("Output"),
    "source": _SOURCE,
    "warnings": _WARNINGS,
    "error": ref("Problem"),
}
_SPEC = record(
    "Everything that a model says of itself.",
    {
        "format": {"const": FORMAT},
        "name": text("The model's name for people."),
        "task": {"const": "classification"},
        "trained": _TRAINED,
        "input": ref("Input"),
        "output": ref("Output"),
        "labels": _LABELS,
        "source": _SOURCE,
        "exported_at": text("When the SavedModel was written, ISO 8601."),
    },
)

_ANSWERED = {"model": text("The model that answered."), "version": _VERSION}
_SOME_ANSWER = {"warnings": _WARNINGS}

SCHEMAS: dict[str, Schema] = {
    "Problem": PROBLEM,
    "Prediction": _PREDICTION,
    "Report": _REPORT,
    "Result": _RESULT,
    "Error": _ERROR,
    "Answer": record(
        "The best classes of one picture, best first.",
        _ANSWERED | {"predictions": listing(ref("Prediction"))},
        {"report": ref("Report")} | _SOME_ANSWER,
    ),
    "Answers": record(
        "A result or an error per picture, in their order.",
        _ANSWERED | {"results": listing({"oneOf": [ref("Result"), ref("Error")]}, minItems=1)},
        _SOME_ANSWER,
    ),
    "Heat": record(
        "How much of the score each place of the picture carries.",
        _ANSWERED
        | _PREDICTION["properties"]
        | {
            "grid": listing(listing({"type": "number"}, minItems=1), minItems=1)
            | {"description": "By rows: the score that is lost when this cell is hidden."},
            "box": _BOX | {"description": "Where the grid lies: left, top, right, bottom."},
        },
        {"report": ref("Report")} | _SOME_ANSWER,
    ),
    "Triples": {
        "type": "array",
        "description": "Class id, label and score of the best classes, best first.",
        "maxItems": 5,
        "items": {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "string"}, {"type": "number"}],
            "minItems": 3,
            "maxItems": 3,
        },
        "examples": [[["n02123045", "tabby", 0.93], ["n02123159", "tiger_cat", 0.05]]],
    },
    "Input": _INPUT,
    "Output": _OUTPUT,
    "Version": _STATUS,
    "Spec": _SPEC,
    "Summary": record("One model without its labels.", _MODEL, _LIVE_MODEL),
    "Model": record(
        "One model with its whole spec.", _MODEL | {"spec": maybe(ref("Spec"))}, _LIVE_MODEL
    ),
    "Models": record("All models, the default first.", {"models": listing(ref("Summary"))}),
    "Alive": record("The process answers.", {"status": {"const": "ok"}}),
    "Ready": record(
        "Every model that was asked for can be asked.",
        {"status": {"const": "ready"}, "models": listing({"type": "string"})},
    ),
}

"""Describe the JSON of the API for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from flask_server.inference.shadow import OUTCOMES
from flask_server.openapi.problems import PROBLEM
from model_catalog.boxes import BOX_FORMATS, LAYOUTS
from model_catalog.spec import (
    ACTIVATIONS,
    COLORS,
    FITS,
    FORMAT,
    INTERPOLATIONS,
    MAX_SIDE,
    SCALES,
    TASKS,
)

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
    """Return the schema of a string."""
    return {"type": "string", "description": description}


_VERSION = {
    "type": "integer",
    "minimum": 0,
    "description": "The model version that made the predictions.",
}
_SIZE = listing({"type": "integer", "minimum": 0}, minItems=2, maxItems=2) | {
    "description": "Width and height in pixels."
}
_BOX = listing({"type": "integer", "minimum": 0}, minItems=4, maxItems=4) | {
    "description": "Left, top, right and bottom in pixels."
}
_SIDE = {"type": "integer", "minimum": 1, "maximum": MAX_SIDE}
_WARNINGS = listing({"type": "string"}) | {
    "description": "Warnings about the model, such as untrained weights."
}

_PREDICTION = record(
    "One class and its score.",
    {
        "class_id": text("The id of the class."),
        "label": text("The name of the class."),
        "score": {"type": "number"},
    },
) | {"examples": [{"class_id": "n02123045", "label": "tabby", "score": 0.93}]}

_REPORT = record(
    "How the image was preprocessed; null means that the step was not needed.",
    {
        "format": text("The file format."),
        "size": _SIZE,
        "orientation": {
            "type": "integer",
            "description": "The EXIF orientation that was corrected.",
        },
        "alpha_flattened": {
            "type": "boolean",
            "description": "Whether transparency was replaced by white.",
        },
        "converted_from": maybe(text("The colour mode of the file.")),
        "shrunk_while_decoding_to": maybe(_SIZE),
        "cropped": maybe(_BOX),
        "resized_from": maybe(_SIZE),
        "resized_to": maybe(_SIZE),
        "padded": {"type": "boolean", "description": "Whether black borders were added."},
    },
)

_RESULT = record(
    "The predictions for one image.",
    {"predictions": listing(ref("Prediction"))},
    {"report": ref("Report")},
)
_OUTPUTS: Schema = {
    "outputs": {
        "type": "object",
        "description": "Numbers, or nested lists of numbers or strings; NaN and infinity are null.",
        "additionalProperties": True,
    }
}
_EMBEDDING: Schema = {
    "embedding": listing({"type": "number"}, minItems=1),
    "dimensions": {"type": "integer", "minimum": 1},
    "normalized": {"type": "boolean", "description": "Whether the vector has the length 1."},
}
_AREA = record(
    "The part of an image that belongs to one class.",
    {
        "class_id": text("The id of the class."),
        "label": text("The name of the class."),
        "pixels": {"type": "integer", "minimum": 1},
        "share": {
            "type": "number",
            "description": "Share of the part of the image that the model sees.",
        },
    },
)
_SEGMENTATION: Schema = {
    "areas": listing(ref("ClassArea")) | {"description": "The largest first."},
    "size": _SIZE,
}
_SIDES = record(
    "Whole pixels of the upright image; xmax and ymax are just outside of the box.",
    {side: {"type": "integer", "minimum": 0} for side in ("xmin", "ymin", "xmax", "ymax")},
)
_DETECTION = record("One object in an image.", _PREDICTION["properties"] | {"box": ref("Box")})
_DETECTIONS: Schema = {
    "detections": listing(ref("Detection")) | {"description": "Best first."},
    "size": _SIZE | {"description": "Width and height of the image whose pixels boxes count."},
}
_BOXES = record(
    "How the outputs of a detector are read.",
    {
        "format": {"type": "string", "enum": list(BOX_FORMATS)},
        "layout": {"type": "string", "enum": list(LAYOUTS)},
        "first_class": {"type": "integer", "description": "The number of the first label."},
        "threshold": {"type": "number", "description": "The minimum score by default."},
        "nms_iou": maybe({"type": "number"})
        | {"description": "Boxes that overlap by more are suppressed; null if none are."},
        "boxes": maybe(text("The output with the boxes.")),
        "scores": text("The output with the scores."),
        "classes": maybe(text("The output with the classes.")),
        "count": maybe(text("The output with the number of boxes.")),
    },
)
_ERROR = record("The error of one image.", {"error": ref("Problem")})

_INPUT = record(
    "How an image is turned into the model's input.",
    {
        "height": _SIDE,
        "width": _SIDE,
        "color": {"type": "string", "enum": list(COLORS)},
        "interpolation": {"type": "string", "enum": list(INTERPOLATIONS)},
        "fit": {"type": "string", "enum": list(FITS)},
        "scale": {"type": "string", "enum": list(SCALES)},
    },
)
_OUTPUT = record(
    "The number and the activation of the model's scores; none means logits, raw means values that "
    "are not ranked.",
    {
        "classes": {"type": "integer", "minimum": 0},
        "activation": {"type": "string", "enum": list(ACTIVATIONS)},
    },
    {
        "top_k": {
            "type": "integer",
            "minimum": 1,
            "description": "The number of classes per image, of a model that returns its best"
            " classes itself; classes is then the number of labels that are known beforehand.",
        }
    },
)
_STATUS = record(
    "The state of one version in the model server.",
    {
        "version": {"type": "integer", "minimum": 0},
        "state": text("AVAILABLE if the version answers requests."),
    }
    | {"error": text("Empty if there is no error.")},
)
_ADDRESS = record(
    "One of several addresses that serve a model.",
    {
        "reachable": {"type": "boolean", "description": "Whether it answered the last poll."},
        "versions": listing(_VERSION) | {"description": "The versions that can be called there."},
        "other_versions": listing(_VERSION)
        | {"description": "Versions that differ from those of the other addresses."},
    },
)
_TRAINED = {"type": "boolean", "description": "False if the weights are random."}
_TASK = {"type": "string", "enum": list(TASKS), "description": "What the model computes."}
_INPUT_IF_ANY = maybe(ref("Input")) | {
    "description": "How images become the model's input; null if it takes tensors or"
    " the files of images."
}
_SOURCE = text("The origin of the weights.")
_LABELS = listing(listing({"type": "string"}, minItems=2, maxItems=2)) | {
    "description": "Class id and label of each score, in the order of the scores."
}

_SHARES: Schema = {
    "type": "object",
    "additionalProperties": {"type": "number", "minimum": 0},
}
_COMPARISON = record(
    "How the answers of the shadow version differ from those of another version.",
    {
        "version": {"type": "integer", "minimum": 0},
        "images": {"type": "integer", "minimum": 1},
        "top1_agreement": {
            "type": "number",
            "description": "Share of the images for which both have the same best class.",
        },
        "mean_score_shift": {
            "type": "number",
            "description": "Mean difference of the best class's score in the shadow version.",
        },
        "largest_score_shift": {"type": "number"},
    },
)
_SHADOW_RESULT = record(
    "What became of the copies for one shadow label, since the gateway started.",
    {
        "version": maybe({"type": "integer", "minimum": 0})
        | {"description": "The version of the label; null if it has no usable one."},
        "requests": record(
            "Requests that were chosen for a copy, by its outcome.",
            {outcome: {"type": "integer", "minimum": 0} for outcome in OUTCOMES},
        ),
        "comparisons": listing(ref("ShadowComparison")),
    },
)
_SHADOW_RESULTS: Schema = {
    "shadow_results": {
        "type": "object",
        "description": "By shadow label; null where metrics are turned off.",
        "additionalProperties": maybe(ref("ShadowResult")),
    }
}

_MODEL = {
    "name": text("The name of the model in paths."),
    "default": {"type": "boolean", "description": "Whether the original route uses the model."},
    "ready": {"type": "boolean", "description": "Whether the model answers requests."},
    "version": maybe(_VERSION | {"description": "The newest available version."}),
    "versions": listing(ref("Version")),
    "version_labels": {
        "type": "object",
        "description": "The version labels and the version that each of them names.",
        "additionalProperties": {"type": "integer"},
    },
}
_LIVE_MODEL = {
    "split": _SHARES | {"description": "The weights of the labels; the first is the default."},
    "shadow": _SHARES | {"description": "Percent of the requests copied to each label."},
    "task": _TASK,
    "trained": _TRAINED,
    "input": _INPUT_IF_ANY,
    "output": ref("Output"),
    "boxes": ref("Boxes"),
    "source": _SOURCE,
    "engine": maybe(text("What computes the model; null if the model server does not tell.")),
    "precision": maybe(text("Number format of the computation; null if it is not known.")),
    "score_drift": maybe({"type": "number", "minimum": 0})
    | {
        "description": "How far the scores of its golden pictures are from those of the exported "
        "model; null if that was not measured."
    },
    "warnings": _WARNINGS,
    "error": ref("Problem"),
    "addresses": listing(_ADDRESS)
    | {"description": "The addresses that serve the model, in their order, if there are several."},
}
_SPEC = record(
    "The specification of a model, from its files.",
    {
        "format": {"type": "integer", "const": FORMAT},
        "name": text("The display name of the model."),
        "task": _TASK,
        "trained": _TRAINED,
        "input": _INPUT_IF_ANY,
        "output": ref("Output"),
        "labels": _LABELS,
        "source": _SOURCE,
        "exported_at": text("When the SavedModel was written, ISO 8601."),
    },
    {"scale_evidence": text("How the scaling of the input is known."), "boxes": ref("Boxes")},
)

#: The answers for one image or tensor, and for each of several.
ANSWERS = ("Answer", "DetectionAnswer", "OutputsAnswer", "EmbeddingAnswer", "SegmentationAnswer")
RESULTS = (
    "Result",
    "DetectionResult",
    "OutputsResult",
    "EmbeddingResult",
    "SegmentationResult",
    "ImageError",
)

_ANSWERED = {"model": text("The model that made the predictions."), "version": _VERSION}
_SOME_ANSWER = {
    "version_label": text("The version label that the split of the model chose; absent without."),
    "warnings": _WARNINGS,
}

SCHEMAS: dict[str, Schema] = {
    "Problem": PROBLEM,
    "Prediction": _PREDICTION,
    "Report": _REPORT,
    "Result": _RESULT,
    "ImageError": _ERROR,
    "Answer": record(
        "The best classes of one image, best first; of a model with activation raw, which returns "
        "values and no scores of classes, all values in their order.",
        _ANSWERED | {"predictions": listing(ref("Prediction"))},
        {"report": ref("Report")} | _SOME_ANSWER,
    ),
    "Answers": record(
        "A result or an error for each image, in their order.",
        _ANSWERED | {"results": listing({"oneOf": [ref(name) for name in RESULTS]}, minItems=1)},
        _SOME_ANSWER,
    ),
    "Heat": record(
        "A heat map: how much of the class's score depends on each cell of the image.",
        _ANSWERED
        | _PREDICTION["properties"]
        | {
            "grid": listing(listing({"type": "number"}, minItems=1), minItems=1)
            | {"description": "By rows: the loss of the score when the cell is hidden."},
            "box": _BOX | {"description": "Area of the grid: left, top, right, bottom in pixels."},
        },
        {"report": ref("Report")} | _SOME_ANSWER,
    ),
    "DetectionAnswer": record(
        "The objects in one image.",
        _ANSWERED | _DETECTIONS,
        {"report": ref("Report")} | _SOME_ANSWER,
    ),
    "DetectionResult": record("The objects in one image.", _DETECTIONS, {"report": ref("Report")}),
    "Detection": _DETECTION,
    "Box": _SIDES,
    "Boxes": _BOXES,
    "OutputsAnswer": record(
        "The outputs of a model of the task tensor, by name.",
        _ANSWERED | _OUTPUTS,
        {"report": ref("Report")} | _SOME_ANSWER,
    ),
    "EmbeddingAnswer": record(
        "The vector of one image or tensor.",
        _ANSWERED | _EMBEDDING,
        {"report": ref("Report")} | _SOME_ANSWER,
    ),
    "SegmentationAnswer": record(
        "The areas of the classes in one image.",
        _ANSWERED | _SEGMENTATION,
        {"report": ref("Report")} | _SOME_ANSWER,
    ),
    "OutputsResult": record(
        "The outputs for one image or row.", _OUTPUTS, {"report": ref("Report")}
    ),
    "EmbeddingResult": record(
        "The vector of one image or row.", _EMBEDDING, {"report": ref("Report")}
    ),
    "SegmentationResult": record(
        "The areas of the classes in one image.", _SEGMENTATION, {"report": ref("Report")}
    ),
    "ClassArea": _AREA,
    "OriginalResult": record(
        "What the predict route answers as predictions, detections, outputs, embedding or areas;"
        " of the rows of one tensor a list of them.",
        {"result": {"description": "Depends on the task of the model."}},
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
        "One model with its specification.",
        _MODEL | {"spec": maybe(ref("Spec"))},
        _LIVE_MODEL | _SHADOW_RESULTS,
    ),
    "ShadowResult": _SHADOW_RESULT,
    "ShadowComparison": _COMPARISON,
    "ModelList": record(
        "All models, the default first.",
        {"models": listing(ref("Summary"))},
        {"models_file_problem": text("Why the changed models file is not used.")},
    ),
    "Alive": record("The process is alive.", {"status": {"type": "string", "const": "ok"}}),
    "Ready": record(
        "The named models are ready.",
        {"status": {"type": "string", "const": "ready"}, "models": listing({"type": "string"})},
    ),
}

"""Describe what the API tells about models."""

from __future__ import annotations

from flask_server.inference.shadow import OUTCOMES
from flask_server.openapi.schema_parts import (
    VERSION,
    WARNINGS,
    Schema,
    listing,
    maybe,
    record,
    ref,
    text,
)
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

_SIDE = {"type": "integer", "minimum": 1, "maximum": MAX_SIDE}
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
        "versions": listing(VERSION) | {"description": "The versions that can be called there."},
        "other_versions": listing(VERSION)
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
    "How the scores of the shadow version differ from those of another version.",
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
    "version": maybe(VERSION | {"description": "The newest available version."}),
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
        "description": "How far the scores of its golden images are from those of the exported "
        "model; null if that was not measured."
    },
    "warnings": WARNINGS,
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

MODEL_SCHEMAS: dict[str, Schema] = {
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
}

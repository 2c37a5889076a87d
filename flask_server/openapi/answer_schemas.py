"""Describe the responses for images and tensors."""

from __future__ import annotations

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
from model_catalog.boxes import BOX_FORMATS, LAYOUTS

_SIZE = listing({"type": "integer", "minimum": 0}, minItems=2, maxItems=2) | {
    "description": "Width and height in pixels."
}
_BOX = listing({"type": "integer", "minimum": 0}, minItems=4, maxItems=4) | {
    "description": "Left, top, right and bottom in pixels."
}
_GRID_BOX = listing({"type": "integer"}, minItems=4, maxItems=4) | {
    "description": "Area of the grid: left, top, right and bottom in pixels of the upright image. "
    "It extends beyond the image if the model's input is padded."
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
            "description": "The EXIF orientation that was corrected; for a model that takes image "
            "files, the one that the model has to correct.",
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

#: The schemas of the responses for one image or tensor, and of the results for each of several.
ANSWERS = ("Answer", "DetectionAnswer", "OutputsAnswer", "EmbeddingAnswer", "SegmentationAnswer")
RESULTS = (
    "Result",
    "DetectionResult",
    "OutputsResult",
    "EmbeddingResult",
    "SegmentationResult",
    "ImageError",
)

_ANSWERED = {"model": text("The model that made the predictions."), "version": VERSION}
_SOME_ANSWER = {
    "version_label": text("The version label that the split of the model chose; absent without."),
    "warnings": WARNINGS,
}

ANSWER_SCHEMAS: dict[str, Schema] = {
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
            "box": _GRID_BOX,
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
}

"""The description of a model: its task, its input images and the meaning of its outputs.

A ModelSpec is stored as JSON inside the SavedModel (signature ``describe`` and
``assets.extra/model_spec.json``). Every ModelSpec object is valid, and every error is a
``SpecError`` that names the field. Nothing here reads files or decodes images.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_catalog.boxes import BoxesSpec, boxes_from_dict
from model_catalog.errors import SpecError

#: Path in a version folder; tensorflow_model_server ignores this file.
SPEC_FILE = Path("assets.extra", "model_spec.json")

FORMAT = 1
#: The tasks whose outputs are one row of scores or values per image.
SCORE_TASKS = ("classification", "multilabel", "regression")
TASKS = (*SCORE_TASKS, "detection", "tensor", "embedding", "segmentation")
#: The tasks of models that need not take images.
TENSOR_TASKS = ("tensor", "embedding")
#: The tasks whose outputs have a value per class.
CLASS_TASKS = (*SCORE_TASKS, "segmentation")
CHANNELS = {"rgb": 3, "grayscale": 1}
COLORS = tuple(CHANNELS)
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
FITS = ("stretch", "crop", "pad")
SCALES = ("tf", "unit", "caffe", "torch", "none")
ACTIVATIONS = ("softmax", "sigmoid", "none", "raw")
MAX_SIDE = 16_384
MAX_CLASSES = 10_000_000
#: A label map stores a class in one byte, whose last value marks pixels the model has not seen.
MAX_MAP_CLASSES = 255

Label = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """How an image is turned into the model's input tensor."""

    height: int
    """Height in pixels."""

    width: int
    """Width in pixels."""

    color: str = "rgb"
    """``rgb`` (three channels) or ``grayscale`` (one)."""

    interpolation: str = "bilinear"
    """Resizing method, by its name in Keras."""

    fit: str = "stretch"
    """``stretch`` ignores the aspect ratio, ``crop`` cuts the longer side, ``pad`` adds black."""

    scale: str = "tf"
    """Scaling of the pixels: a ``mode`` of keras.applications, ``unit`` (x / 255) or ``none``."""

    def __post_init__(self) -> None:
        _whole("input.height", self.height, 1, MAX_SIDE)
        _whole("input.width", self.width, 1, MAX_SIDE)
        _one_of("input.color", self.color, COLORS)
        _one_of("input.interpolation", self.interpolation, INTERPOLATIONS)
        _one_of("input.fit", self.fit, FITS)
        _one_of("input.scale", self.scale, SCALES)
        if self.color == "grayscale" and self.scale in {"caffe", "torch"}:
            raise SpecError("input.scale", self.scale, "tf, unit or none for grayscale images")

    @property
    def channels(self) -> int:
        """Number of channels."""
        return CHANNELS[self.color]


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSpec:
    """Number and kind of the model's scores."""

    classes: int
    """Number of classes: of scores per image, or per pixel for a segmentation. 0 for outputs that
    belong to no classes, and for detectors whose classes have numbers only."""

    activation: str = "softmax"
    """Activation of the last layer: ``softmax``, ``sigmoid`` or ``none`` (logits); ``raw`` for
    values that are no scores of classes, such as those of a regression."""

    top_k: int | None = None
    """Number of classes per image of a graph that returns its best classes itself. ``classes`` is
    then the number of labels that are known without a call, and may be 0."""

    def __post_init__(self) -> None:
        _whole("output.classes", self.classes, 0, MAX_CLASSES)
        _one_of("output.activation", self.activation, ACTIVATIONS)
        if self.top_k is not None:
            _whole("output.top_k", self.top_k, 1, MAX_CLASSES)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        fields = dataclasses.asdict(self)
        # Left out where it is empty, so that earlier releases can read the spec.
        return {key: value for key, value in fields.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """Everything that the gateway needs to know in order to use a model."""

    name: str
    """Display name of the model; it may be served under another name."""

    input: InputSpec | None
    """How images become the model's input; None for a model that takes tensors or image files."""

    output: OutputSpec
    """Number and kind of the scores."""

    labels: tuple[Label, ...]
    """One ``(class id, label)`` pair per class, in the order of the scores."""

    task: str = "classification"
    """What the model computes, one of ``TASKS``."""

    boxes: BoxesSpec | None = None
    """Where the boxes of a detector are; None for other tasks, and where all keys have their
    defaults."""

    trained: bool = True
    """False for random weights; every prediction then contains a warning."""

    source: str = ""
    """Origin of the weights."""

    exported_at: str = ""
    """Time of the export, ISO 8601."""

    scale_evidence: str = ""
    """How ``input.scale`` is known; empty in exports of earlier releases."""

    def __post_init__(self) -> None:
        _text("name", self.name)
        if not self.name:
            raise SpecError("name", self.name, "a non-empty string")
        _one_of("task", self.task, TASKS)
        self._check_task()
        if not isinstance(self.trained, bool):
            raise SpecError("trained", self.trained, "true or false")
        _text("source", self.source)
        _text("exported_at", self.exported_at)
        _text("scale_evidence", self.scale_evidence)
        if self.boxes is not None and self.task != "detection":
            raise SpecError("boxes", self.boxes, "null, except for the task detection")
        if len(self.labels) != self.output.classes:
            allowed = f"exactly output.classes = {self.output.classes} pairs"
            raise SpecError("labels", f"{len(self.labels)} pairs", allowed)

    def _check_task(self) -> None:
        if self.task in CLASS_TASKS and self.output.top_k is None:
            most = MAX_MAP_CLASSES if self.task == "segmentation" else MAX_CLASSES
            _whole("output.classes", self.output.classes, 1, most)
        is_relative = (self.boxes or BoxesSpec()).is_relative
        if self.input is None and self.task == "detection" and not is_relative:
            raise SpecError("input", None, "an object, for a detector whose boxes count its pixels")

    @property
    def images(self) -> InputSpec:
        """How images become the model's input; raise SpecError if they do not."""
        if self.input is None:
            raise SpecError("input", None, "an object, for a model that takes images")
        return self.input

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain JSON values, ``format`` first."""
        fields = dataclasses.asdict(self)
        fields["output"] = self.output.to_dict()
        fields["labels"] = [list(pair) for pair in self.labels]
        order = ("name", "task", "trained", "input", "output", "labels", "source", "exported_at")
        known = {key: fields[key] for key in order}
        # Left out where it is empty, so that earlier releases can read the spec.
        evidence = {"scale_evidence": self.scale_evidence} if self.scale_evidence else {}
        boxes = {} if self.boxes is None else {"boxes": self.boxes.to_dict()}
        return {"format": FORMAT} | known | boxes | evidence

    def to_json(self) -> str:
        """Return the spec as compact JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelSpec:
        """Read what ``to_json`` wrote, or raise SpecError."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SpecError("spec", text, "a JSON object") from error
        return cls.from_dict(document)

    @classmethod
    def from_dict(cls, document: object) -> ModelSpec:
        """Build a spec from JSON values; raise SpecError for unknown, missing or invalid fields."""
        fields = dict(_object("spec", document))
        received = fields.pop("format", None)
        if received != FORMAT:
            raise SpecError("format", received, str(FORMAT))
        _known("", fields, cls)
        if fields["input"] is not None:
            fields["input"] = input_from_dict(fields["input"])
        output = _object("output", fields["output"])
        _known("output.", output, OutputSpec)
        fields["output"] = OutputSpec(**output)
        fields["labels"] = label_pairs(fields["labels"])
        if fields.get("boxes") is not None:
            fields["boxes"] = boxes_from_dict(fields["boxes"])
        return cls(**fields)


def input_from_dict(document: object) -> InputSpec:
    """Build an InputSpec from JSON or TOML values, or raise SpecError."""
    fields = _object("input", document)
    _known("input.", fields, InputSpec)
    return InputSpec(**fields)


def label_pairs(document: object) -> tuple[Label, ...]:
    """Read a JSON list of ``[id, label]`` pairs, or raise SpecError naming the first bad one."""
    if not isinstance(document, list | tuple):
        raise SpecError("labels", document, "a list of [id, label] pairs")
    return tuple(_pair(f"labels[{index}]", pair) for index, pair in enumerate(document))


def _pair(field: str, pair: object) -> Label:
    if (
        isinstance(pair, Sequence)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], str)
    ):
        return pair[0], pair[1]
    raise SpecError(field, pair, "a pair of strings, [id, label]")


def _object(field: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(field, value, "an object")
    return value


def _known(prefix: str, received: Mapping[str, Any], cls: type) -> None:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in received:
        if key not in fields:
            raise SpecError(prefix + key, received[key], f"one of the keys {', '.join(fields)}")
    for name, field in fields.items():
        if name not in received and field.default is dataclasses.MISSING:
            raise SpecError(prefix + name, None, "a value; the field is missing")


def _whole(field: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SpecError(field, value, f"a whole number from {least} to {most}")


def _one_of(field: str, value: object, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise SpecError(field, value, f"one of {', '.join(allowed)}")


def _text(field: str, value: object) -> None:
    if not isinstance(value, str):
        raise SpecError(field, value, "a string")

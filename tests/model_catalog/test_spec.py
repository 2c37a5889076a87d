from __future__ import annotations

import json
from typing import Any

import pytest

from model_catalog.errors import SpecError
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec

SPEC = ModelSpec(
    name="mood",
    input=InputSpec(height=48, width=32, color="grayscale", fit="pad", scale="unit"),
    output=OutputSpec(classes=2, activation="sigmoid"),
    labels=(("0", "sad"), ("1", "glücklich")),
    trained=False,
    source="somewhere",
    exported_at="2026-11-20T12:00:00+00:00",
)


def document(**changes: Any) -> dict[str, Any]:
    return SPEC.to_dict() | changes


def test_round_trip() -> None:
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC


def test_json_is_compact_and_keeps_its_letters() -> None:
    text = SPEC.to_json()

    assert text.startswith('{"format":1,"name":"mood","task":"classification","trained":false,')
    assert "glücklich" in text


def test_defaults_are_those_of_inceptionv3() -> None:
    view = InputSpec(height=299, width=299)

    assert (view.color, view.interpolation, view.fit, view.scale) == (
        "rgb", "bilinear", "stretch", "tf",
    )  # fmt: skip
    assert view.channels == 3


@pytest.mark.parametrize(
    ("changes", "field", "allowed"),
    [
        ({"format": 2}, "format", "1"),
        ({"name": ""}, "name", "non-empty"),
        ({"name": 5}, "name", "string"),
        ({"task": "drawing"}, "task", "multilabel, regression, detection, tensor"),
        (
            {"task": "detection", "input": None, "boxes": {"format": "xyxy"}},
            "input",
            "an object, for a detector",
        ),
        ({"boxes": {}}, "boxes", "null, except for the task detection"),
        ({"task": "detection", "boxes": {"format": "x"}}, "boxes.format", "rel_yxyx"),
        ({"trained": "yes"}, "trained", "true or false"),
        ({"input": 5}, "input", "an object"),
        ({"input": {"height": 4}}, "input.width", "missing"),
        ({"input": {"height": 0, "width": 4}}, "input.height", "from 1"),
        ({"input": {"height": True, "width": 4}}, "input.height", "from 1"),
        ({"input": {"height": 4, "width": 16385}}, "input.width", "16384"),
        ({"input": {"height": 4, "width": 4, "color": "rgba"}}, "input.color", "rgb, grayscale"),
        ({"input": {"height": 4, "width": 4, "fit": "zoom"}}, "input.fit", "crop"),
        ({"input": {"height": 4, "width": 4, "scale": 1}}, "input.scale", "caffe"),
        ({"input": {"height": 4, "width": 4, "size": 1}}, "input.size", "height, width"),
        (
            {"input": {"height": 4, "width": 4, "interpolation": "area"}},
            "input.interpolation",
            "box",
        ),
        (
            {"input": {"height": 4, "width": 4, "color": "grayscale", "scale": "torch"}},
            "input.scale",
            "unit",
        ),
        ({"output": {"classes": 2, "activation": "relu"}}, "output.activation", "softmax"),
        ({"output": {"classes": 0}}, "output.classes", "from 1"),
        ({"output": {"classes": 3}}, "labels", "3 pairs"),
        ({"labels": "ab"}, "labels", "list"),
        ({"labels": [["0", "sad"], ["1", 2]]}, "labels[1]", "pair of strings"),
        ({"labels": [["0", "sad"], ["1"]]}, "labels[1]", "pair of strings"),
        ({"colour": 1}, "colour", "one of the keys"),
    ],
)
def test_bad_field_is_named_with_what_is_allowed(
    changes: dict[str, Any], field: str, allowed: str
) -> None:
    with pytest.raises(SpecError) as caught:
        ModelSpec.from_dict(document(**changes))

    assert str(caught.value).startswith(f"{field}: ")
    assert allowed in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "[" * 99999, b"\xff\xfe\xff"])
def test_what_is_no_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(SpecError):
        ModelSpec.from_json(text)


@pytest.mark.parametrize("key", ["name", "input", "output", "labels"])
def test_missing_field_is_named(key: str) -> None:
    fields = document()
    del fields[key]

    with pytest.raises(SpecError, match=f"^{key}: .*missing"):
        ModelSpec.from_json(json.dumps(fields))

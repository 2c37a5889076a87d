"""SavedModels exported by somebody else: what their signature tells need not be told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask

from flask_server.errors import ServingError
from flask_server.serving.encoding import choose_encoder
from flask_server.serving.signatures import (
    ScoresOutput,
    declared_input,
    image_input,
    scores_output,
)
from model_catalog.labels import imagenet_labels
from model_catalog.spec import InputSpec
from tests.flask_server.conftest import MakeApp, flat
from tests.flask_server.stub_serving import Servable, StubServing, tensor
from tests.flask_server.views.test_model_views import code

WHITE = flat("white")


def signatures(
    shape: tuple[int, ...] = (-1, 4, 5, 3),
    dtype: str = "DT_FLOAT",
    outputs: dict[str, tuple[str, int]] | None = None,
) -> dict[str, Any]:
    scores = outputs or {"y": ("DT_FLOAT", 3)}
    return {
        "serving_default": {
            "inputs": {"whatever": tensor(dtype, shape)},
            "outputs": {name: tensor(kind, (-1, size)) for name, (kind, size) in scores.items()},
        }
    }


@pytest.mark.parametrize(
    ("shape", "declared"),
    [
        ((-1, 4, 5, 3), {"height": 4, "width": 5, "color": "rgb"}),
        ((-1, 4, 5, 1), {"height": 4, "width": 5, "color": "grayscale"}),
        ((-1, 3, 4, 5), {"height": 4, "width": 5, "color": "rgb"}),
        ((-1, -1, -1, 3), {"color": "rgb"}),
        ((-1, 4, 5, 4), {"height": 4, "width": 5}),
        ((-1, 60), {}),
        ((), {}),
    ],
)
def test_shape_tells_size_and_colour(shape: tuple[int, ...], declared: dict[str, Any]) -> None:
    assert declared_input(image_input(signatures(shape))) == declared


@pytest.mark.parametrize(
    ("outputs", "counts", "found"),
    [
        ({"y": ("DT_FLOAT", 3)}, (), (None, 3)),
        ({"y": ("DT_FLOAT", -1)}, (7,), (None, None)),
        ({"classes": ("DT_STRING", 3), "scores": ("DT_FLOAT", 3)}, (), ("scores", 3)),
        ({"logits": ("DT_FLOAT", 7), "features": ("DT_FLOAT", 64)}, (7,), ("logits", 7)),
        ({"p": ("DT_FLOAT", 1), "features": ("DT_FLOAT", 64)}, (2, 1), ("p", 1)),
        ({"p": ("DT_FLOAT", 1), "both": ("DT_FLOAT", 2)}, (2, 1), ("both", 2)),
    ],
)
def test_the_output_with_the_scores_is_found(
    outputs: dict[str, tuple[str, int]],
    counts: tuple[int, ...],
    found: tuple[str | None, int | None],
) -> None:
    assert scores_output(signatures(outputs=outputs), counts) == ScoresOutput(*found)


@pytest.mark.parametrize(
    ("outputs", "counts"),
    [
        ({"a": ("DT_FLOAT", 3), "b": ("DT_FLOAT", 3)}, (3,)),
        ({"a": ("DT_FLOAT", 3), "b": ("DT_FLOAT", 4)}, ()),
        ({"a": ("DT_STRING", 3)}, (3,)),
    ],
)
def test_scores_that_cannot_be_told_apart_are_an_error(
    outputs: dict[str, tuple[str, int]], counts: tuple[int, ...]
) -> None:
    with pytest.raises(ServingError, match="has the outputs a DT_"):
        scores_output(signatures(outputs=outputs), counts)


def test_signature_that_cannot_be_used_is_named() -> None:
    with pytest.raises(ServingError, match="the signatures other; serving_default is needed"):
        image_input({"other": {}})
    with pytest.raises(ServingError, match="has the inputs a, b; exactly one is needed"):
        image_input({"serving_default": {"inputs": {"a": {}, "b": {}}}})
    with pytest.raises(ServingError, match="is DT_HALF; supported are DT_STRING"):
        choose_encoder(signatures(dtype="DT_HALF"), InputSpec(height=4, width=5))


@pytest.mark.parametrize(
    ("shape", "sent"),
    [
        pytest.param((-1, 1, 2, 3), (1, 1, 2, 3), id="channels last"),
        pytest.param((-1, 3, 1, 2), (1, 3, 1, 2), id="channels first"),
        pytest.param((-1, 6), (1, 6), id="flattened"),
        pytest.param((), (1, 1, 2, 3), id="unknown rank"),
    ],
)
def test_layout_follows_the_signature(shape: tuple[int, ...], sent: tuple[int, ...]) -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    encode = choose_encoder(signatures(shape, "DT_UINT8"), InputSpec(height=1, width=2))

    instances = np.array(json.loads(encode([pixels]))["instances"])

    assert instances.shape == sent
    assert sorted(instances.ravel().tolist()) == list(range(6))


def test_grey_picture_without_a_channel_axis() -> None:
    spec = InputSpec(height=1, width=2, color="grayscale")
    encode = choose_encoder(signatures((-1, 1, 2), "DT_INT32"), spec)

    body = encode([np.array([[[7], [8]]], np.uint8)])

    assert json.loads(body) == {"instances": [[[7, 8]]]}


def test_floats_are_scaled_and_rounded_to_six_decimals() -> None:
    spec = InputSpec(height=1, width=1, color="grayscale", scale="unit")
    encode = choose_encoder(signatures((-1, 1, 1, 1)), spec)

    assert encode([np.array([[[100]]], np.uint8)]) == b'{"instances":[[[[0.392157]]]]}'


MODELS = '[models.foreign]\nbase_path="f"\ninput = { scale = "unit" }\n'


def ask(make_app: MakeApp, models: str = MODELS) -> Any:
    return ask_app(make_app(models))


def ask_app(app: Flask) -> Any:
    return app.test_client().post("/models/foreign/predict", data=WHITE)


@pytest.mark.parametrize(
    ("dtype", "shape", "brightest"),
    [
        ("DT_FLOAT", (-1, 4, 4, 3), 1.0),
        ("DT_UINT8", (-1, 4, 4, 3), 255.0),
        ("DT_STRING", (-1,), 255.0),
    ],
)
def test_cheapest_encoding_that_the_signature_allows(
    make_app: MakeApp,
    serving: StubServing,
    dtype: str,
    shape: tuple[int, ...],
    brightest: float,
) -> None:
    serving.models["foreign"] = {
        1: Servable(None, lambda x: [float(x.max()), 0, 0], dtype, shape=shape)
    }
    models = MODELS.replace("{ ", "{ height = 4, width = 4, ")

    response = ask(make_app, models)

    assert response.json["predictions"][0] == {"class_id": "0", "label": "0", "score": brightest}


def test_scores_beside_other_outputs(make_app: MakeApp, serving: StubServing) -> None:
    outputs = {"classes": ("DT_STRING", 3), "scores": ("DT_FLOAT", 3)}
    serving.models["foreign"] = {1: Servable(None, lambda _: [0, 0.5, 0.1], outputs=outputs)}

    assert ask(make_app).json["predictions"][0]["class_id"] == "1"


def labelled(tmp_path: Path, *labels: str) -> str:
    """Return the models file of a model with these labels."""
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(labels), encoding="utf-8")
    return f'{MODELS}labels = "{file}"\n'


def test_one_score_and_two_labels_are_two_classes(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    serving.models["foreign"] = {
        1: Servable(None, lambda _: [0.75], outputs={"y": ("DT_FLOAT", 1)})
    }

    response = ask(make_app, labelled(tmp_path, "cat", "dog"))

    assert response.json["predictions"] == [
        {"class_id": "1", "label": "dog", "score": 0.75},
        {"class_id": "0", "label": "cat", "score": 0.25},
    ]


@pytest.mark.parametrize("best", [0, 1, 1000])
def test_imagenet_with_1001_scores_has_the_background_first(
    make_app: MakeApp, serving: StubServing, best: int
) -> None:
    scores = [0.0] * 1001
    scores[best] = 1.0
    outputs = {"y": ("DT_FLOAT", 1001)}
    serving.models["foreign"] = {1: Servable(None, lambda _: scores, outputs=outputs)}

    response = ask(make_app, MODELS + 'labels = "imagenet"\n')

    first = response.json["predictions"][0]
    expected = [("background", "background"), *imagenet_labels()][best]
    assert (first["class_id"], first["label"]) == expected


@pytest.mark.parametrize(("labels", "scores"), [(3, 4), (3, 1), (2, 3), (1, 2), (999, 1000)])
def test_labels_that_do_not_fit_the_declared_scores_make_a_model_not_ready(
    make_app: MakeApp, serving: StubServing, tmp_path: Path, labels: int, scores: int
) -> None:
    outputs = {"y": ("DT_FLOAT", scores)}
    serving.models["foreign"] = {1: Servable(None, outputs=outputs)}
    app = make_app(labelled(tmp_path, *map(str, range(labels))))

    response = app.test_client().get("/readyz?model=foreign")

    assert response.status_code == 503
    assert f"has {labels} labels for model foreign" in ask_app(app).text
    assert f"declares {scores} scores" in ask_app(app).text


@pytest.mark.parametrize(
    ("models", "servable", "said"),
    [
        ('[models.foreign]\nbase_path="f"\n', Servable(None), "does not set its input"),
        (MODELS, Servable(None, outputs={"y": ("DT_FLOAT", -1)}), "does not set its labels"),
        (MODELS, Servable(None, shape=(-1, -1, -1, 3)), "input.height"),
        (MODELS, Servable(None, dtype="DT_COMPLEX64"), "DT_COMPLEX64"),
    ],
)
def test_what_is_missing_is_said(
    make_app: MakeApp, serving: StubServing, models: str, servable: Servable, said: str
) -> None:
    serving.models["foreign"] = {1: servable}

    response = ask(make_app, models)

    assert code(response) == (502, "serving_error")
    assert said in response.text


def test_two_servings_are_asked_for_their_own_models(
    make_app: MakeApp, serving: StubServing
) -> None:
    with StubServing().running() as other:
        other.models = {"far": {1: Servable(score=lambda _: [0, 1, 0])}}
        app = make_app(
            f'[models.toy]\nbase_path="a"\n[models.far]\nbase_path="b"\nserving_url="{other.url}"\n'
        )
        near = app.test_client().post("/models/toy/predict?top_k=1", data=WHITE)
        far = app.test_client().post("/models/far/predict?top_k=1", data=WHITE)

    assert near.json is not None
    assert far.json is not None
    assert near.json["predictions"][0]["label"] == "light"
    assert far.json["predictions"][0]["label"] == "middle"

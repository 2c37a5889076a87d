"""SavedModels exported by somebody else: what their signature tells need not be told."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask

from flask_server.errors import ServingError
from flask_server.serving.encoding import choose_encoder
from flask_server.serving.scores import rows_of_columns
from flask_server.serving.signatures import (
    ForeignCall,
    ScoresOutput,
    declared_input,
    image_input,
    scores_output,
)
from model_catalog.installation import export_command
from model_catalog.labels import imagenet_labels
from model_catalog.spec import InputSpec
from tests.flask_server.conftest import MakeApp, b64, flat
from tests.flask_server.stub_serving import Servable, StubServing, tensor
from tests.flask_server.views.test_model_views import code
from tests.graphs import random_saved_model

WHITE = flat("white")
PROTOCOLS = ("rest", "grpc")


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
        ((-1, 4, 5), {"height": 4, "width": 5, "color": "grayscale"}),
        ((-1, 4, -1), {"height": 4, "color": "grayscale"}),
        ((-1, -1, -1), {"color": "grayscale"}),
        ((-1, 784, 1), {}),
        ((-1, 784, 3), {}),
        ((-1, 60), {}),
        ((), {}),
    ],
)
def test_shape_tells_size_and_colour(shape: tuple[int, ...], declared: dict[str, Any]) -> None:
    assert declared_input(image_input(signatures(shape))) == declared


@pytest.mark.parametrize(
    ("length", "stated", "color"),
    [
        (20, {"height": 4, "width": 5}, "grayscale"),
        (60, {"height": 4, "width": 5}, None),
        (-1, {"height": 4, "width": 5}, None),
        (20, {"height": 4, "width": 5, "color": "rgb"}, "rgb"),
        (20, {}, None),
    ],
)
def test_length_of_a_flat_vector_tells_the_color(
    length: int, stated: dict[str, Any], color: str | None
) -> None:
    assert declared_input(image_input(signatures((-1, length))), stated).get("color") == color


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


# What the models file says of the call


def called(inputs: dict[str, Any], **fields: Any) -> tuple[dict[str, Any], ForeignCall]:
    outputs = {"y": tensor("DT_FLOAT", (-1, 3))}
    return {"s": {"inputs": inputs, "outputs": outputs}}, ForeignCall(signature="s", **fields)


@pytest.mark.parametrize(
    ("shape", "scalar", "value", "sent"),
    [
        pytest.param((-1,), False, "0", ["0", "0"], id="one per image"),
        pytest.param((1,), False, "0", ["0"], id="one for all"),
        pytest.param((1,), False, ["0"], ["0"], id="a list for all"),
        pytest.param((), True, 0.5, 0.5, id="scalar"),
        pytest.param((), False, 0.5, 0.5, id="unknown rank"),
        pytest.param((-1, 2), False, [1, 2], [[1, 2], [1, 2]], id="a list per image"),
    ],
)
def test_constant_inputs_are_sent_in_columns(
    shape: tuple[int, ...], scalar: bool, value: Any, sent: Any
) -> None:
    inputs = {"x": tensor("DT_UINT8", (-1, 1, 1, 1)), "k": tensor("DT_FLOAT", shape, scalar=scalar)}
    declared, call = called(inputs, constants={"k": value})
    spec = InputSpec(height=1, width=1, color="grayscale")

    body = choose_encoder(declared, spec, call)([np.full((1, 1, 1), n, np.uint8) for n in (7, 8)])

    images = [[[[7]]], [[[8]]]]
    assert json.loads(body) == {"signature_name": "s", "inputs": {"x": images, "k": sent}}


def test_a_scalar_gets_the_file_of_one_image() -> None:
    declared, call = called({"x": tensor("DT_STRING", (), scalar=True)})
    encode = choose_encoder(declared, InputSpec(height=1, width=1), call)

    body = json.loads(encode([np.zeros((1, 1, 3), np.uint8)]))

    assert base64.b64decode(body["inputs"]["x"]["b64"]).startswith(b"\x89PNG")


def test_a_graph_that_decodes_base64_gets_it_in_the_alphabet_for_urls() -> None:
    declared, call = called({"x": tensor("DT_STRING", (-1,))}, sends_base64=True)
    encode = choose_encoder(declared, InputSpec(height=64, width=64), call)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

    (text,) = json.loads(encode([noise]))["instances"]

    assert base64.urlsafe_b64decode(text).startswith(b"\x89PNG")
    assert set("-_") <= set(text)


@pytest.mark.parametrize(
    ("outputs", "wanted", "found"),
    [
        ({"a": ("DT_FLOAT", 3), "b": ("DT_FLOAT", 3)}, "b", ("b", 3, "DT_FLOAT")),
        ({"a": ("DT_UINT8", 3)}, "a", (None, 3, "DT_UINT8")),
        ({"a": ("DT_INT64", 3), "b": ("DT_FLOAT", 3)}, "a", ("a", 3, "DT_INT64")),
        ({"a": ("DT_HALF", 3)}, None, (None, 3, "DT_HALF")),
    ],
)
def test_the_output_that_is_named_has_the_scores(
    outputs: dict[str, tuple[str, int]], wanted: str | None, found: Any
) -> None:
    call = ForeignCall(output=wanted)

    assert scores_output(signatures(outputs=outputs), (), call) == ScoresOutput(*found)


@pytest.mark.parametrize(
    ("dtype", "activation", "divisor"),
    [
        ("DT_UINT8", "softmax", 255),
        ("DT_UINT8", "none", 1),
        ("DT_INT32", "softmax", 1),
        ("DT_FLOAT", "softmax", 1),
    ],
)
def test_only_probabilities_of_uint8_are_divided(
    dtype: str, activation: str, divisor: float
) -> None:
    assert ScoresOutput(None, 3, dtype).divisor(activation) == divisor


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (ForeignCall(signature="s"), "has the signatures serving_default; s is needed"),
        (ForeignCall(output="z"), "names the output z, which must be one of numbers"),
        (ForeignCall(output="words"), "names the output words, which must be one of numbers"),
        (ForeignCall(constants={"k": 1}), "a constant value to the input k; the serving_default"),
        (ForeignCall(constants={"whatever": 1}), "exactly one is needed that has no value in"),
    ],
)
def test_a_call_that_the_signature_does_not_have_is_told(call: ForeignCall, said: str) -> None:
    declared = signatures(outputs={"y": ("DT_FLOAT", 3), "words": ("DT_STRING", 3)})

    with pytest.raises(ServingError, match=said):
        scores_output(declared, (), call)


def test_a_scalar_that_is_no_string_takes_no_image() -> None:
    declared, call = called({"x": tensor("DT_FLOAT", (), scalar=True)})

    with pytest.raises(ServingError, match="takes a single number and no image"):
        choose_encoder(declared, InputSpec(height=1, width=1), call)


@pytest.mark.parametrize(
    ("outputs", "name", "is_one", "rows"),
    [
        ([[1, 2], [3, 4]], None, False, [[1, 2], [3, 4]]),
        ({"y": [[1, 2]], "z": 0}, "y", False, [[1, 2]]),
        ({"y": [1, 2], "z": 0}, "y", True, [[1, 2]]),
        ([[1, 2]], None, True, [[1, 2]]),
        (0.5, None, True, [0.5]),
    ],
)
def test_columns_become_rows(outputs: Any, name: str | None, is_one: bool, rows: Any) -> None:
    assert rows_of_columns(outputs, name, is_one=is_one) == rows


def test_half_that_the_server_cannot_write_is_told_before_the_first_image(
    make_app: MakeApp, serving: StubServing
) -> None:
    serving.models["foreign"] = {1: Servable(None, outputs={"y": ("DT_HALF", 3)})}
    serving.answer = (400, {"error": "Failed to write JSON value for tensor type: half"})

    response = make_app(MODELS).test_client().get("/readyz")

    assert code(response) == (503, "model_not_ready")
    assert "Failed to write JSON value for tensor type: half" in response.get_json()["detail"]


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


@pytest.mark.parametrize(
    ("dtype", "fields", "is_logged"),
    [("DT_FLOAT", "", True), ("DT_UINT8", "", False), ("DT_FLOAT", ', scale = "tf"', False)],
)
def test_floats_whose_scale_nothing_states_are_logged_once(
    make_app: MakeApp,
    serving: StubServing,
    caplog: pytest.LogCaptureFixture,
    dtype: str,
    fields: str,
    is_logged: bool,
) -> None:
    versions = {number: Servable(None, dtype=dtype) for number in (1, 2)}
    serving.models["foreign"] = versions
    app = make_app(MODELS.replace('scale = "unit"', f'fit = "pad"{fields}'))

    for number in versions:
        url = f"/models/foreign/predict?version={number}"
        assert app.test_client().post(url, data=WHITE).status_code == 200

    logged = [text for text in caplog.messages if "states no scale" in text]
    assert len(logged) == is_logged
    assert all(text.startswith("model foreign: its input takes floats") for text in logged)
    assert all("pixels are scaled with tf" in text for text in logged)


def test_a_version_with_random_operations_is_told_to_those_who_ask_for_the_model(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    (tmp_path / "f" / "001").mkdir(parents=True)
    (tmp_path / "f" / "001" / "saved_model.pb").write_bytes(random_saved_model())
    serving.models["foreign"] = {1: Servable(None)}
    app = make_app(MODELS)

    described: Any = app.test_client().get("/models/foreign").json

    (warning,) = described["warnings"]
    assert warning.startswith("Version 001 answers the same image differently each time")
    assert f"{export_command()}, given the original Keras file" in warning
    assert "warnings" not in ask_app(app).json


def test_scores_beside_other_outputs(make_app: MakeApp, serving: StubServing) -> None:
    outputs = {"notes": ("DT_STRING", 3), "scores": ("DT_FLOAT", 3)}
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


SIZED = MODELS.replace("{ ", '{ height = 4, width = 4, color = "rgb", ')
BOTH = {"a": ("DT_FLOAT", 3), "b": ("DT_FLOAT", 3)}


def outputs(shape: tuple[int, ...]) -> Servable:
    declared = signatures((-1, 4, 4, 3))
    declared["serving_default"]["outputs"] = {"y": tensor("DT_FLOAT", shape)}
    return Servable(None, declared=declared)


@pytest.mark.parametrize(
    ("models", "servable", "said"),
    [
        ('[models.foreign]\nbase_path="f"\n', Servable(None), "does not set its input"),
        (MODELS, Servable(None, outputs={"y": ("DT_FLOAT", -1)}), "does not set its labels"),
        (MODELS, Servable(None, shape=(-1, -1, -1, 3)), "input.height"),
        (MODELS, Servable(None, shape=(-1, 4, -1)), "needs input.width for model foreign"),
        (MODELS, Servable(None, shape=(-1, 784)), "input.height and input.width"),
        (MODELS, Servable(None, shape=(-1, 784, 1)), "input.height and input.width"),
        (MODELS, Servable(None, dtype="DT_STRING", shape=(-1, 1)), "cannot take image files"),
        (MODELS, Servable(None, dtype="DT_COMPLEX64"), "DT_COMPLEX64"),
        (SIZED, Servable(None, shape=(-1, 4, 4, 4)), "x of shape [-1, 4, 4, 4] cannot take"),
        (SIZED, Servable(None, shape=(-1, 5, 4, 3)), "rgb images of 4 x 4 pixels"),
        (SIZED, Servable(None, shape=(-1, 9, 4, 4, 3)), "sent in the shape [-1, 4, 4, 3]"),
        (SIZED, Servable(None, shape=(-1, 4, 4)), "rgb images of 4 x 4 pixels"),
        (SIZED, Servable(None, shape=(-1, 784)), "sent in the shape [-1, 48]"),
        (SIZED, Servable(None, shape=(-1,)), "cannot take"),
        (SIZED, Servable(None, shape=(8, 4, 4, 3)), "exactly 8 images at a time"),
        (SIZED, Servable(None, dtype="DT_STRING", shape=(-1, 1)), "cannot take image files"),
        (SIZED, outputs((-1, 4, 4, 3)), "y of shape [-1, 4, 4, 3] cannot be used"),
        (SIZED, outputs((5,)), "one row of scores per image"),
        (SIZED, outputs((-1, 0)), "one row of scores per image"),
        (SIZED, Servable(None, outputs={"y": ("DT_BOOL", 3)}), "y DT_BOOL"),
        (SIZED, Servable(None, outputs={"y": ("DT_INT64", 3)}), "y DT_INT64"),
        (SIZED, Servable(None, outputs=BOTH), "has the outputs a DT_FLOAT, b DT_FLOAT"),
        (SIZED, Servable(None, declared={"serve": {}}), "the signatures serve; serving_default"),
        (SIZED, Servable(None, declared={}), "the signatures none"),
    ],
)
def test_what_is_missing_is_said(
    make_app: MakeApp, serving: StubServing, models: str, servable: Servable, said: str
) -> None:
    serving.models["foreign"] = {1: servable}
    client = make_app(models).test_client()

    response = client.get("/readyz")
    assert code(response) == (503, "model_not_ready")
    assert said in response.get_json()["detail"]
    shown = client.get("/models/foreign").get_json()
    assert said in shown["error"]["detail"]
    assert said in shown["versions"][0]["error"]
    assert code(client.post("/models/foreign/predict", data=WHITE)) == (502, "serving_error")
    assert serving.predicts == []


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        (3, 1, "has 3 labels for model foreign, whose signature declares 1 score. A single score"),
        (1, 2, "has 1 label for model foreign, whose signature declares 2 scores. If the first"),
        (2, 3, "has 2 labels for model foreign, whose signature declares 3 scores."),
        (3, 4, "has 3 labels for model foreign, whose signature declares 4 scores."),
        (3, 5, "has 3 labels for model foreign, whose signature declares 5 scores. Both numbers"),
        (5, 3, "has 5 labels for model foreign, whose signature declares 3 scores. Both numbers"),
        (999, 1000, "declares 1000 scores. If the first score is for the background, it needs a"),
        (1000, 1001, "If the first score is for the background, it needs a label as well."),
    ],
)
def test_labels_that_do_not_fit_the_scores_are_told_by_the_poll(
    make_app: MakeApp, serving: StubServing, tmp_path: Path, labels: int, scores: int, said: str
) -> None:
    serving.models["foreign"] = {1: Servable(None, outputs={"y": ("DT_FLOAT", scores)})}
    app = make_app(labelled(tmp_path, *map(str, range(labels))))
    client = app.test_client()

    response = client.get("/readyz?model=foreign")

    assert response.status_code == 503
    assert said in response.get_json()["detail"]
    assert said in client.get("/models/foreign").get_json()["error"]["detail"]
    assert said in ask_app(app).text


@pytest.mark.parametrize(
    ("labels", "scores"), [("cat\ndog", (-1, 1)), ("cat\ndog", (-1,)), (None, (-1, 1001))]
)
def test_labels_that_fit_the_scores_pass_the_poll(
    make_app: MakeApp,
    serving: StubServing,
    tmp_path: Path,
    labels: str | None,
    scores: tuple[int, ...],
) -> None:
    serving.models["foreign"] = {1: outputs(scores)}
    imagenet = MODELS + 'labels = "imagenet"\n'
    client = make_app(labelled(tmp_path, labels) if labels else imagenet).test_client()

    assert client.get("/readyz?model=foreign").status_code == 200


def test_a_single_score_with_its_label(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text("dog\n")
    serving.models["foreign"] = {
        1: Servable(None, lambda _: [0.75], outputs={"y": ("DT_FLOAT", 1)})
    }

    response = ask(make_app, f'{SIZED}labels = "labels.txt"\nactivation = "sigmoid"\n')

    assert response.json["predictions"] == [{"class_id": "0", "label": "dog", "score": 0.75}]


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((-1, 4, 4), ""),
        ((1, 4, 4), ""),
        ((-1, 4, 4, 1), ""),
        ((-1, 1, 4, 4), ""),
        ((-1, 4, 4), "height = 4, width = 4, "),
        ((-1, 4, -1), "width = 4, "),
        ((-1, -1, -1), "height = 4, width = 4, "),
        ((-1, 16), "height = 4, width = 4, "),
    ],
)
def test_grey_model_needs_no_more_than_its_signature(
    make_app: MakeApp, serving: StubServing, shape: tuple[int, ...], sizes: str
) -> None:
    seen: list[tuple[int, ...]] = []

    def score(pixels: Any) -> list[float]:
        seen.append(pixels.shape)
        return [float(pixels.max()), 0, 0]

    serving.models["foreign"] = {1: Servable(None, score, shape=shape)}
    client = make_app(MODELS.replace("{ ", "{ " + sizes)).test_client()

    spec = client.get("/models/foreign").get_json()["spec"]["input"]
    answer = client.post("/models/foreign/predict", data=WHITE).get_json()

    assert (spec["height"], spec["width"], spec["color"]) == (4, 4, "grayscale")
    assert answer["predictions"][0]["score"] == 1.0
    assert seen == [tuple(4 if size == -1 else size for size in shape[1:])]


def test_a_graph_for_one_image_gets_one_image_per_call(
    make_app: MakeApp, serving: StubServing
) -> None:
    serving.models["foreign"] = {
        1: Servable(None, lambda x: [float(x.max()), 0, 0], shape=(1, 4, 4, 3))
    }
    images = [b64(flat(color)) for color in ("black", "white", "black")]
    client = make_app(MODELS).test_client()

    answer = client.post("/models/foreign/predict", json={"images": images, "labels": ["0"]})

    assert [r["predictions"][0]["score"] for r in answer.get_json()["results"]] == [0, 1, 0]
    assert [len(call["instances"]) for call in serving.predicts] == [1, 1, 1]


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

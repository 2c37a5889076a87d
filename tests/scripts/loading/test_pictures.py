"""Models of other shapes become classifiers of pictures, with the same scores."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from scripts import keras_models
from scripts.errors import ScriptError
from scripts.keras_models import LoadOptions, as_classifier
from scripts.loading import graph
from scripts.saved_model import write_saved_model
from scripts.spec_of_model import SpecOptions, spec_of

if TYPE_CHECKING:
    import keras

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.usefixtures("tensorflow"),
    # Keras saves variables by a conversion that numpy 2 warns of.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
    pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict"),
]

Floats = NDArray[np.float32]


class Case(NamedTuple):
    """A model, the pictures that it gets, and what of these the model itself would take."""

    make: Callable[[Any], keras.Model]
    pictures: tuple[int, int, int]
    own: Callable[[Floats], Any] = lambda pictures: pictures
    options: LoadOptions = LoadOptions()
    note: str = ""


def model_of(*shape: int, **options: Any) -> Callable[[Any], keras.Model]:
    """Return a function that makes a model with that input."""

    def make(keras: Any) -> keras.Model:
        layers = keras.layers
        return keras.Sequential(
            [keras.Input(shape or None, **options), layers.Flatten(), layers.Dense(3, "softmax")]
        )

    return make


def heads(form: Callable[[Any, Any], Any]) -> Callable[[Any], keras.Model]:
    """Return a function that makes a model with the outputs kind (probabilities) and age."""

    def make(keras: Any) -> keras.Model:
        picture = keras.Input((8, 6, 3))
        x = keras.layers.Flatten()(picture)
        kind = keras.layers.Dense(3, "softmax", name="kind")(x)
        return keras.Model(picture, form(kind, keras.layers.Dense(1, name="age")(x)))

    return make


def top_k(keras: Any) -> keras.Model:
    picture = keras.Input((8, 6, 3))
    scores = keras.layers.Dense(7, "softmax")(keras.layers.Flatten()(picture))
    return keras.Model(picture, list(keras.ops.top_k(scores, 7)))


def with_other_input(keras: Any) -> keras.Model:
    """A model whose second output alone depends on its second input."""
    picture, other = keras.Input((8, 6, 3)), keras.Input((5,))
    x = keras.layers.Flatten()(picture)
    both = keras.layers.Concatenate()([x, other])
    return keras.Model(
        [picture, other],
        [keras.layers.Dense(3, "softmax", name="kind")(x), keras.layers.Dense(2)(both)],
    )


def named_with_blanks(keras: Any) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 6, 3), name="my input"),
            layers.Flatten(name="flat layer"),
            layers.Dense(3, "softmax", name="my scores"),
        ],
        name="my model",
    )


def by_convolution(keras: Any) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 6, 3)),
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.Conv2D(5, 1, activation="softmax"),
        ]
    )


def one_number(keras: Any) -> keras.Model:
    picture = keras.Input((8, 6, 3))
    score = keras.layers.Dense(1, "sigmoid")(keras.layers.Flatten()(picture))
    return keras.Model(picture, keras.ops.squeeze(score, -1))


def mixed_precision(keras: Any) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 6, 3)),
            layers.Conv2D(4, 3, dtype="mixed_float16"),
            layers.Flatten(),
            layers.Dense(3, "softmax", dtype="mixed_float16"),
        ]
    )


def in_eight_bits(keras: Any) -> keras.Model:
    layers = keras.layers
    model = keras.Sequential([keras.Input((8, 6, 3)), layers.Flatten(), layers.Dense(3, "softmax")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # layers without weights have nothing to quantise
        model.quantize("int8")
    return model


def subclassed(keras: Any) -> keras.Model:
    class Net(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(3, "softmax")

        def call(self, inputs: Any) -> Any:
            return {"kind": self.dense(keras.ops.mean(inputs, axis=(1, 2)))}

    net = Net()
    net(np.zeros((1, 8, 6, 3), np.float32))
    return net


def opaque(alpha: float) -> Callable[[Floats], Floats]:
    return lambda pictures: np.pad(
        pictures, [(0, 0), (0, 0), (0, 0), (0, 1)], constant_values=alpha
    )


FLAT = LoadOptions(size=(8, 6))
CASES = {
    "batch of one": Case(model_of(batch_shape=(1, 8, 6, 3)), (8, 6, 3), note="batch size 1 "),
    "batch of 32": Case(model_of(batch_shape=(32, 8, 6, 3)), (8, 6, 3), note="batch size 32 "),
    "no channel axis": Case(model_of(8, 6), (8, 6, 1), lambda x: x[..., 0]),
    "flat grey": Case(model_of(48), (8, 6, 1), lambda x: x.reshape(2, 48), FLAT),
    "flat colour": Case(model_of(144), (8, 6, 3), lambda x: x.reshape(2, 144), FLAT),
    "channels first": Case(model_of(3, 8, 6), (8, 6, 3), lambda x: np.moveaxis(x, -1, 1)),
    "grey first": Case(model_of(1, 8, 6), (8, 6, 1), lambda x: np.moveaxis(x, -1, 1)),
    "alpha of 255": Case(
        model_of(8, 6, 4), (8, 6, 3), opaque(255), LoadOptions(scale="none"), "is always 255"
    ),
    "alpha of 1": Case(
        model_of(8, 6, 4), (8, 6, 3), opaque(1), LoadOptions(scale="unit"), "is always 1"
    ),
    "alpha first": Case(
        model_of(4, 8, 6),
        (8, 6, 3),
        lambda x: np.moveaxis(opaque(1)(x), -1, 1),
        LoadOptions(scale="tf"),
    ),
    "the output with probabilities": Case(
        heads(lambda kind, age: [age, kind]), (8, 6, 3), note="--output kind (of age, kind)"
    ),
    "an output by name": Case(
        heads(lambda kind, age: [age, kind]), (8, 6, 3), options=LoadOptions(output="kind")
    ),
    "a dictionary": Case(
        heads(lambda kind, age: {"b": kind, "a": age}), (8, 6, 3), note="--output b (of b, a)"
    ),
    "a dictionary of one": Case(heads(lambda kind, _: {"scores": kind}), (8, 6, 3)),
    "a list of one": Case(heads(lambda kind, _: [kind]), (8, 6, 3)),
    "top-k": Case(top_k, (8, 6, 3), note="from before the model's own top-k"),
    "another input": Case(with_other_input, (8, 6, 3), lambda x: [x, np.zeros((2, 5))]),
    "names with blanks": Case(
        named_with_blanks, (8, 6, 3), options=LoadOptions(output="my scores")
    ),
    "scores of one pixel": Case(by_convolution, (8, 6, 3)),
    "a number per picture": Case(one_number, (8, 6, 3)),
    "mixed precision": Case(mixed_precision, (8, 6, 3)),
    "eight bits": Case(in_eight_bits, (8, 6, 3)),
    "subclassed": Case(subclassed, (8, 6, 3)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_scores_stay_the_same(case: Case) -> None:
    import keras

    keras.utils.set_random_seed(1)
    model = case.make(keras)
    pictures = np.random.default_rng(0).random((2, *case.pictures), np.float32)
    own = scores_of(model(case.own(pictures), training=False))

    classifier, notes = as_classifier(model, case.options)

    shape = tuple(classifier.inputs[0].shape)
    assert shape == (None, *case.pictures)
    np.testing.assert_allclose(
        -np.sort(-np.asarray(classifier(pictures, training=False))), -np.sort(-own), atol=1e-6
    )
    assert case.note in "; ".join(notes)


def scores_of(result: Any) -> Any:
    """Return the probabilities in what the model returns."""
    outputs = list(result.values()) if isinstance(result, dict) else result
    outputs = outputs if isinstance(outputs, list) else [outputs]
    arrays = [np.asarray(output, np.float32) for output in outputs]
    rows = [array.reshape(2, -1) for array in arrays]
    return next(row for row in rows if row.shape[1] > 1 or len(rows) == 1)


def test_a_wrapped_model_is_exported_under_names_that_tensorflow_allows(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    model, _ = as_classifier(named_with_blanks(keras), LoadOptions())
    spec, _ = spec_of(model, SpecOptions(scale="none"))
    pictures = np.random.default_rng(0).random((2, 8, 6, 3), np.float32)

    write_saved_model(model, spec, tmp_path)

    signature = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    scores = signature(input_image=tf.constant(pictures))["scores"]
    np.testing.assert_allclose(scores, model(pictures), atol=1e-6)
    assert spec.name == "my_model"


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("Resizing", (12, 12)),
        ("UpSampling2D", (2, 2)),
        ("CenterCrop", (4, 4)),
        ("ZeroPadding2D", (1, 1)),
    ],
)
def test_the_models_own_scaling_is_found_behind_a_change_of_size(
    kind: str, size: tuple[int, int]
) -> None:
    import keras

    picture = keras.Input((8, 6, 3))
    layer = getattr(keras.layers, kind)
    resized = layer(*size) if kind in {"Resizing", "CenterCrop"} else layer(size)
    scaled = keras.applications.mobilenet_v2.preprocess_input(resized(picture))

    assert keras_models.own_scaling(keras.Model(picture, scaled)) == "TrueDivide"


def test_the_models_own_scaling_is_found_behind_a_change_of_shape() -> None:
    import keras

    layers = keras.layers
    own = keras.Sequential([keras.Input((3, 8, 6)), layers.Rescaling(1 / 255), layers.Flatten()])
    picture = keras.Input((48,))
    flat = keras.Model(picture, keras.layers.Dense(3)(picture / 255.0))

    first, _ = as_classifier(own, LoadOptions())
    second, _ = as_classifier(flat, FLAT)

    assert keras_models.own_scaling(first) == "Rescaling"
    assert keras_models.own_scaling(second) == "TrueDivide"
    assert (
        keras_models.own_scaling(as_classifier(model_of(3, 8, 6)(keras), LoadOptions())[0]) is None
    )


REFUSED = {
    "flat without size": (model_of(48), LoadOptions(), r"or \(None, pixels\) with --size HxW"),
    "another size": (
        model_of(48),
        LoadOptions(size=(7, 6)),
        "--size 7x6 is not allowed; the model",
    ),
    "five channels": (
        model_of(8, 6, 5),
        LoadOptions(),
        r"the shape \(None, 8, 6, 5\); allowed are",
    ),
    "alpha of unknown scale": (model_of(8, 6, 4), LoadOptions(), "give --scale none, unit, tf"),
    "unknown output": (
        heads(lambda kind, age: [age, kind]),
        LoadOptions(output="size"),
        "--output size is not allowed; the outputs of the model are age, kind",
    ),
    "output of both inputs": (
        with_other_input,
        LoadOptions(output="dense"),
        "depend on 2 inputs, .*allowed is one, the image",
    ),
}


@pytest.mark.parametrize(("make", "options", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_classifier_says_why(
    make: Callable[[Any], keras.Model], options: LoadOptions, said: str
) -> None:
    import keras

    keras.backend.clear_session()
    with pytest.raises(ScriptError, match=said):
        as_classifier(make(keras), options)


def test_a_plain_model_is_not_wrapped() -> None:
    import keras

    model = model_of(8, 6, 3)(keras)

    classifier, notes = as_classifier(model, LoadOptions())

    assert classifier is model
    assert notes == ()
    assert graph.keras_of(model) is keras

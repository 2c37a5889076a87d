"""The activation of the scores is found, however the model applies it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flask_server.inference.ranking import softmax
from scripts import keras_models
from scripts.spec_of_model import SpecOptions, spec_of
from tests.scripts.models import classifier

if TYPE_CHECKING:
    import keras

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.usefixtures("tensorflow"),
    # Keras saves variables by a conversion that numpy 2 warns of.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

SIZE = (6, 5)


def a(kind: str, **options: Any) -> Callable[[Any], Any]:
    """Return a step that makes and applies a layer of that kind."""

    def step(x: Any) -> Any:
        import keras

        return getattr(keras.layers, kind)(**options)(x)

    return step


def op(name: str, *arguments: Any) -> Callable[[Any], Any]:
    """Return a step that applies a function of ``keras.ops``."""

    def step(x: Any) -> Any:
        import keras

        return getattr(keras.ops, name)(x, *arguments)

    return step


def dense(activation: str | None = None) -> Callable[[Any], Any]:
    return a("Dense", units=4, activation=activation)


def by_hand(x: Any) -> Any:
    import keras

    powers = keras.ops.exp(x)
    return powers / keras.ops.sum(powers, axis=-1, keepdims=True)


def average(x: Any) -> Any:
    import keras

    return keras.layers.Average()([dense("softmax")(x), dense("softmax")(x)])


def nested(activation: str | None) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        import keras

        inside = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation)])
        return inside(x)

    return step


STATED = {
    "dense-softmax": ("softmax", [dense("softmax")]),
    "dense-sigmoid": ("sigmoid", [dense("sigmoid")]),
    "dense-logits": ("none", [dense()]),
    "ops-softmax": ("softmax", [dense(), op("softmax")]),
    "ops-sigmoid": ("sigmoid", [dense(), op("sigmoid")]),
    "ops-log-softmax": ("none", [dense(), op("log_softmax")]),
    "layer-softmax": ("softmax", [dense(), a("Softmax")]),
    "layer-activation": ("softmax", [dense(), a("Activation", activation="softmax")]),
    "temperature": ("softmax", [dense(), lambda x: x / 2.0, op("softmax")]),
    "number-format": ("softmax", [dense("softmax"), a("Activation", activation="linear")]),
    "ops-cast": ("softmax", [dense("softmax"), op("cast", "float32")]),
    "ops-clip": ("sigmoid", [dense("sigmoid"), op("clip", 0.0, 1.0)]),
    "dropout": ("softmax", [dense("softmax"), a("Dropout", rate=0.5)]),
    "reshape": ("softmax", [dense("softmax"), a("Reshape", target_shape=(4,))]),
    "logits-reshaped": ("none", [dense(), a("Reshape", target_shape=(4,))]),
    "average": ("softmax", [average]),
    "nested": ("sigmoid", [nested("sigmoid")]),
    "ops-on-nested": ("softmax", [nested(None), op("softmax")]),
}

MEASURED = {
    "by-hand": ("softmax", [dense(), by_hand]),
    "some-of-the-scores": ("none", [dense("tanh"), lambda x: x[:, :3]]),
    "squared": ("sigmoid", [dense("sigmoid"), lambda x: x * x]),
}


def built(steps: list[Callable[[Any], Any]]) -> keras.Model:
    import keras

    keras.utils.set_random_seed(1)
    image = keras.Input((*SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(image)
    for step in steps:
        x = step(x)
    return keras.Model(image, x)


@pytest.mark.parametrize(("activation", "steps"), STATED.values(), ids=STATED)
def test_the_graph_states_the_activation(
    activation: str, steps: list[Callable[[Any], Any]], tmp_path: Path
) -> None:
    built(steps).save(tmp_path / "model.keras")
    model = keras_models.load_file(tmp_path / "model.keras", keras_models.LoadOptions()).model

    assert keras_models.activation_of(model, SIZE) == keras_models.ModelProperty(activation)


@pytest.mark.parametrize(("activation", "steps"), MEASURED.values(), ids=MEASURED)
def test_where_the_graph_does_not_tell_test_images_do(
    activation: str, steps: list[Callable[[Any], Any]]
) -> None:
    found = keras_models.activation_of(built(steps), SIZE)

    assert found.value == activation
    assert "the scores of test images are" in (found.assumption or "")


@pytest.mark.parametrize("steps", [pair[1] for pair in STATED.values()], ids=STATED)
def test_no_model_gets_a_second_softmax(steps: list[Callable[[Any], Any]]) -> None:
    model = built(steps)
    spec, _ = spec_of(model, SpecOptions(scale="none"))
    scores = np.asarray(model(np.ones((1, *SIZE, 3), np.float32)))[0].astype(float)

    is_distribution = bool((scores >= 0).all()) and abs(scores.sum() - 1) < 1e-5

    shown = softmax(scores) if spec.output.activation == "none" else scores
    assert not is_distribution or np.array_equal(shown, scores)


def test_models_within_models_and_layers_after_them_count() -> None:
    import keras

    activated = keras.Sequential([classifier(activation=None), keras.layers.Activation("softmax")])
    layered = keras.Sequential([classifier(activation=None), keras.layers.Softmax()])
    inside = keras.Sequential([keras.Input((6, 5, 3)), classifier(activation="sigmoid")])

    models = (activated, layered, inside)
    found = [keras_models.activation_of(model, SIZE).value for model in models]
    assert found == ["softmax", "softmax", "sigmoid"]


def test_an_unknown_last_layer_is_an_assumption() -> None:
    import keras

    model = keras.Sequential([classifier(activation=None), keras.layers.UnitNormalization()])

    found = keras_models.activation_of(model, SIZE)

    assert found.value == "none"
    assert "UnitNormalization" in (found.assumption or "")

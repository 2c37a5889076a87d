"""Exports in bfloat16: half the size, the same signatures, nearly the same scores."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from model_catalog.spec import SPEC_FILE, InputSpec, ModelSpec
from scripts.bfloat16 import in_bfloat16
from scripts.digit_network import digit_network
from scripts.digit_pictures import SIDE, held_out
from scripts.errors import ScriptError
from scripts.export_saved_model import main
from scripts.train_digits_model import scaled
from tests.docs.shell_blocks import arguments
from tests.scripts.models import classifier

if TYPE_CHECKING:
    import keras

pytestmark = [
    pytest.mark.tensorflow,
    # Keras saves variables by a conversion that numpy 2 warns of.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

DIGITS = Path(__file__).parents[2] / "my_digit_classifier" / "1"
DIGITS_INPUT = InputSpec(height=SIDE, width=SIDE, color="grayscale", scale="unit")
TINY = InputSpec(height=6, width=5)


@pytest.fixture(scope="module")
def digits(tensorflow: None) -> keras.Model:
    """The committed network, as it was before its export."""
    import tensorflow as tf

    network = digit_network(SIDE)
    saved = tf.saved_model.load(str(DIGITS))
    for variable, value in zip(network.variables, saved.model_variables, strict=True):
        variable.assign(value)
    return network


@pytest.fixture(scope="module")
def versions(digits: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The network exported in float32, then in bfloat16, by the command of the manual."""
    folder = tmp_path_factory.mktemp("digits")
    digits.save(folder / "flowers.keras")
    (command,) = arguments("docs/engines.md", "bfloat16")
    with contextlib.chdir(folder):
        assert main([*command, "--scale", "unit", "--dtype", "float32"]) == 0
        assert main([*command, "--scale", "unit"]) == 0
    return folder / "flowers" / "1", folder / "flowers" / "2"


def loaded(version: Path) -> Any:
    import tensorflow as tf

    return tf.saved_model.load(str(version))


def policies(model: keras.Model) -> dict[str, str]:
    return {type(layer).__name__: layer.dtype_policy.name for layer in model.layers}


def test_held_out_digits_are_known_as_well_as_before(versions: tuple[Path, Path]) -> None:
    import tensorflow as tf

    exam = held_out()
    raw = tf.constant([picture.tobytes() for picture in exam.pictures])

    before, after = (
        loaded(version).signatures["pixels"](pixels=raw)["scores"].numpy() for version in versions
    )

    best = after.argmax(axis=1)
    assert (best == exam.digits).mean() >= 0.97
    assert (best == before.argmax(axis=1)).mean() >= 0.99
    assert 1e-6 < np.abs(after - before).max() < 0.1


def test_clients_see_no_difference(versions: tuple[Path, Path]) -> None:
    before, after = (
        {
            name: (signature.structured_input_signature[1], signature.structured_outputs)
            for name, signature in loaded(version).signatures.items()
        }
        for version in versions
    )

    assert after == before


def test_the_spec_stays_the_same(versions: tuple[Path, Path]) -> None:
    before, after = (
        ModelSpec.from_json((version / SPEC_FILE).read_bytes()) for version in versions
    )

    assert dataclasses.replace(after, exported_at="") == dataclasses.replace(before, exported_at="")


def test_the_weights_take_about_half_the_room(versions: tuple[Path, Path]) -> None:
    before, after = (
        (version / "variables" / "variables.data-00000-of-00001").stat().st_size
        for version in versions
    )

    assert 0.5 * before <= after < 0.6 * before


def test_convolutions_compute_in_bfloat16(versions: tuple[Path, Path]) -> None:
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import saved_model_pb2

    for version, dtype in zip(versions, ("DT_FLOAT", "DT_BFLOAT16"), strict=True):
        saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
        functions = saved.meta_graphs[0].graph_def.library.function
        nodes = [node for function in functions for node in function.node_def]
        types = {node.attr["T"].type for node in nodes if node.op == "Conv2D"}

        assert [types_pb2.DataType.Name(number) for number in types] == [dtype]


def test_ends_and_normalisations_stay_in_float32(tensorflow: None) -> None:
    from keras import layers

    model = classifier(
        layers.Rescaling(1 / 255),
        layers.Conv2D(4, 3, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(),
    )

    assert policies(in_bfloat16(model, TINY)) == {
        "Rescaling": "float32",
        "Conv2D": "bfloat16",
        "BatchNormalization": "float32",
        "ReLU": "bfloat16",
        "GlobalAveragePooling2D": "bfloat16",
        "Dense": "float32",
    }


def test_models_inside_a_model_compute_in_bfloat16_too(tensorflow: None) -> None:
    import keras
    from keras import layers

    body = keras.Sequential([keras.Input((6, 5, 3)), layers.Conv2D(4, 3)], name="body")
    model = classifier(body)

    copy = in_bfloat16(model, TINY)

    assert copy.get_layer("body").layers[0].dtype_policy.name == "bfloat16"
    picture = np.random.default_rng(1).random((1, 6, 5, 3))
    np.testing.assert_allclose(copy(picture), model(picture), atol=0.02)


def test_the_model_itself_is_left_alone(digits: keras.Model) -> None:
    before = policies(digits)
    picture = scaled(held_out().pictures[:1])
    answer = digits(picture).numpy()

    in_bfloat16(digits, DIGITS_INPUT)

    assert policies(digits) == before
    assert (digits(picture).numpy() == answer).all()


def test_layers_that_cannot_be_copied_are_a_sentence(tensorflow: None) -> None:
    from keras import layers

    model = classifier(layers.Lambda(lambda pixels: pixels + 1))

    with pytest.raises(ScriptError, match=r"^The model cannot compute in bfloat16: .*Lambda"):
        in_bfloat16(model, TINY)


def test_scores_that_are_no_numbers_are_refused(tensorflow: None) -> None:
    from keras import layers

    model = classifier(layers.Conv2D(4, 3, bias_initializer="ones"))
    model.layers[0].bias.assign([np.inf, 1, 1, 1])

    with pytest.raises(ScriptError, match="scores that are not finite"):
        in_bfloat16(model, TINY)


def test_other_types_are_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--dtype", "float16"])

    assert "choose from" in capsys.readouterr().err

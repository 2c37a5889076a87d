"""The spec of a model: options come first, then the model's own properties, then assumptions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_catalog.errors import LabelsError, SpecError
from model_catalog.labels import BACKGROUND, imagenet_labels, numbered_labels
from scripts import keras_models
from scripts.errors import ScriptError
from scripts.spec_of_model import SpecOptions, spec_of
from tests.scripts.models import classifier

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

#: Says all that a small model cannot say, so that nothing is left to assume.
EVERYTHING = SpecOptions(scale="unit", labels="numbered")


def test_the_model_states_size_colour_and_classes() -> None:
    spec, _ = spec_of(classifier(size=(6, 5), channels=1), EVERYTHING)

    assert (spec.images.height, spec.images.width, spec.images.color) == (6, 5, "grayscale")
    assert spec.output.classes == 4
    assert spec.name == "tiny"


def test_given_options_are_not_assumed() -> None:
    options = replace(EVERYTHING, interpolation="bicubic", fit="pad", name="fruit", source="me")

    spec, assumed = spec_of(classifier(), options)

    assert assumed == []
    assert (spec.images.scale, spec.images.interpolation, spec.images.fit) == (
        "unit",
        "bicubic",
        "pad",
    )
    assert (spec.name, spec.source) == ("fruit", "me")


def test_each_assumption_names_the_option_that_overrules_it() -> None:
    spec, assumed = spec_of(classifier(), SpecOptions())

    assert [text.split(" (")[0] for text in assumed] == ["--scale tf", "--labels numbered"]
    assert spec.labels == numbered_labels(4)


def test_a_model_that_scales_by_itself_gets_raw_pixels() -> None:
    import keras

    finding = keras_models.scale_of(classifier(keras.layers.Rescaling(1 / 255)))

    assert finding.value == "none"
    assert "Rescaling" in (finding.assumption or "")


@pytest.mark.parametrize("module", ["mobilenet_v2", "resnet50", "densenet"])
def test_a_model_that_calls_preprocess_input_gets_raw_pixels(module: str) -> None:
    """As the guides to transfer learning do it: augment, preprocess, apply the known model."""
    import keras

    pixels = keras.Input((6, 5, 3))
    augmented = keras.Sequential([keras.layers.RandomFlip()])(pixels)
    preprocess_input = getattr(keras.applications, module).preprocess_input
    scores = classifier(name=module)(preprocess_input(augmented))

    finding = keras_models.scale_of(keras.Model(pixels, scores))

    assert finding.value == "none"


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("inception_v3", "tf"),
        ("resnet50", "caffe"),
        ("resnet50v2", "tf"),
        ("vgg16", "caffe"),
        ("densenet121", "torch"),
        ("NASNet", "tf"),
    ],
)
def test_models_of_keras_applications_are_scaled_as_there(name: str, scale: str) -> None:
    import keras

    tuned = keras.Sequential([keras.Input((6, 5, 3)), classifier(name=name)], name="mine")

    assert keras_models.scale_of(tuned).value == scale
    assert name in (keras_models.scale_of(tuned).assumption or "")


def test_every_model_of_keras_applications_with_a_known_mode_is_in_the_table() -> None:
    """Our table against Keras's own source: the mode that each module's preprocess_input passes."""
    from keras.src.applications import densenet, inception_v3, mobilenet, nasnet, resnet, vgg16

    for module in (densenet, inception_v3, mobilenet, nasnet, resnet, vgg16):
        name = module.__name__.rpartition(".")[2]
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        scale = keras_models.scale_of(classifier(name=name)).value
        assert f'mode="{scale}"' in source, name


def test_a_thousand_classes_are_taken_for_imagenet() -> None:
    import keras

    model = keras.Sequential([classifier(), keras.layers.Dense(1000, activation="softmax")])

    spec, assumed = spec_of(model, SpecOptions(scale="tf"))

    assert spec.labels == imagenet_labels()
    assert assumed == ["--labels imagenet (the model has 1000 classes)"]


@pytest.mark.parametrize("labels", [None, "imagenet"])
def test_of_1001_classes_the_first_is_the_background(labels: str | None) -> None:
    options = SpecOptions(scale="tf", labels=labels)

    spec, assumed = spec_of(classifier(classes=1001), options)

    assert spec.labels == (BACKGROUND, *imagenet_labels())
    found = ["--labels imagenet (the model has 1001 classes, the background first)"]
    assert assumed == (found if labels is None else [])


@pytest.mark.parametrize(("activation", "served"), [("sigmoid", "softmax"), (None, "none")])
def test_one_score_and_two_labels_are_two_classes(
    tmp_path: Path, activation: str | None, served: str
) -> None:
    model = classifier(classes=1, activation=activation)

    spec, _ = spec_of(model, replace(EVERYTHING, labels=labels_file(tmp_path, "cat", "dog")))

    assert spec.labels == (("0", "cat"), ("1", "dog"))
    assert (spec.output.classes, spec.output.activation) == (2, served)


def test_one_score_may_have_one_label(tmp_path: Path) -> None:
    model = classifier(classes=1, activation="sigmoid")

    spec, _ = spec_of(model, replace(EVERYTHING, labels=labels_file(tmp_path, "dog")))
    numbered, assumed = spec_of(model, SpecOptions(scale="unit"))

    assert (spec.labels, spec.output.activation) == ((("0", "dog"),), "sigmoid")
    assert len(numbered.labels) == 1
    assert "two labels would turn the only score into two classes" in assumed[0]


def test_one_score_and_three_labels_are_refused(tmp_path: Path) -> None:
    labels = labels_file(tmp_path, "a", "b", "c")

    with pytest.raises(ScriptError, match="has 3 labels; the model has 1 class, which takes 1 or"):
        spec_of(classifier(classes=1), replace(EVERYTHING, labels=labels))


def test_the_order_of_two_labels_for_one_score_is_said(tmp_path: Path) -> None:
    model = classifier(classes=1, activation="sigmoid")

    _, assumed = spec_of(model, replace(EVERYTHING, labels=labels_file(tmp_path, "cat", "dog")))

    assert assumed == ["the only score is that of dog, the second label"]


@pytest.mark.parametrize(
    ("loss", "activation"),
    [("meansquarederror", "raw"), ("huber", "raw"), ("crossentropy", "none")],
)
def test_without_activation_the_loss_tells_a_regression(loss: str, activation: str) -> None:
    spec, _ = spec_of(classifier(activation=None), EVERYTHING, loss)
    probabilities, _ = spec_of(classifier(), EVERYTHING, loss)

    assert spec.output.activation == activation
    assert probabilities.output.activation == "softmax"


def test_a_value_of_a_regression_has_one_label(tmp_path: Path) -> None:
    options = replace(EVERYTHING, activation="raw", labels=labels_file(tmp_path, "young", "old"))

    with pytest.raises(ScriptError, match="--activation raw is not allowed for one value with two"):
        spec_of(classifier(classes=1, activation=None), options)


def labels_file(folder: Path, *labels: str) -> str:
    file = folder / "labels.txt"
    file.write_text("\n".join(labels), encoding="utf-8")
    return str(file)


def test_labels_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("a\tapple\nb\tpear\nc\tplum\nd\tfig\n", encoding="utf-8")

    spec, _ = spec_of(classifier(), replace(EVERYTHING, labels=str(file)))

    assert spec.labels[1] == ("b", "pear")


@pytest.mark.parametrize("lines", [3, 5])
def test_as_many_labels_as_classes_are_wanted(tmp_path: Path, lines: int) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("label\n" * lines, encoding="utf-8")

    with pytest.raises(ScriptError, match=f"{lines} labels; the model has 4 classes"):
        spec_of(classifier(), replace(EVERYTHING, labels=str(file)))


def test_a_missing_label_file_is_named() -> None:
    with pytest.raises(LabelsError, match=r"nowhere\.txt"):
        spec_of(classifier(), replace(EVERYTHING, labels="nowhere.txt"))


def test_a_model_for_any_size_needs_one() -> None:
    model = classifier(size=(None, None))

    with pytest.raises(ScriptError, match="--size HxW"):
        spec_of(model, EVERYTHING)
    spec, _ = spec_of(model, replace(EVERYTHING, size=(8, 9)))

    assert (spec.images.height, spec.images.width) == (8, 9)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"size": (7, 5)}, "--size 7x5 is not allowed; the model takes 6x5"),
        ({"color": "grayscale"}, "--color grayscale is not allowed; the model takes rgb"),
    ],
)
def test_an_option_that_contradicts_the_model_is_refused(
    option: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScriptError, match=message):
        spec_of(classifier(), replace(EVERYTHING, **option))


def test_grey_pictures_have_no_colour_statistics() -> None:
    with pytest.raises(SpecError, match=r"input\.scale"):
        spec_of(classifier(channels=1), replace(EVERYTHING, scale="caffe"))


def test_random_weights_are_marked_by_option_or_by_name() -> None:
    by_option, _ = spec_of(classifier(), replace(EVERYTHING, untrained=True))
    by_name, _ = spec_of(classifier(name="tiny_untrained"), EVERYTHING)
    neither, _ = spec_of(classifier(), EVERYTHING)

    assert [spec.trained for spec in (by_option, by_name, neither)] == [False, False, True]


def models_that_are_no_classifiers() -> dict[str, Any]:
    import keras

    layers = keras.layers
    one, two = keras.Input((6, 5, 3)), keras.Input((6, 5, 3))
    scores = layers.Dense(4)(layers.Flatten()(one))
    return {
        "depend on 2 inputs": keras.Model(
            [one, two], layers.Dense(4)(layers.Flatten()(layers.Add()([one, two])))
        ),
        "with --output NAME: ": keras.Model(one, [scores, scores + 1]),
        r"\(None, 7\)": keras.Sequential([keras.Input((7,)), layers.Dense(4)]),
        r"\(None, 6, 5, 7\)": keras.Sequential(
            [keras.Input((6, 5, 7)), layers.Flatten(), layers.Dense(4)]
        ),
        r"output has the shape \(None, 6, 5, 4\)": keras.Sequential(
            [keras.Input((6, 5, 3)), layers.Dense(4)]
        ),
        "never built": keras.Sequential([layers.Dense(4)]),
    }


def test_what_is_no_picture_classifier_is_refused_with_the_reason() -> None:
    for reason, model in models_that_are_no_classifiers().items():
        with pytest.raises(ScriptError, match=reason):
            keras_models.as_classifier(model, keras_models.LoadOptions())

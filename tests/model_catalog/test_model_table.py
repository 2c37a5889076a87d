from __future__ import annotations

from pathlib import Path

import pytest

from model_catalog.errors import ModelsFileError
from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import load_models_file, parse_models_file

PATH = Path("/etc/gateway/models.toml")


def entry(text: str) -> ModelEntry:
    return parse_models_file(f'[models.m]\nbase_path = "m"\n{text}\n', PATH).default


def test_everything_a_table_can_say(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("sad\nglad\n")
    (tmp_path / "models.toml").write_text(
        """
        [models.emotion]
        base_path = "emotion"
        serving_url = "http://other-host:8501/"
        versions = [1, 2]
        version_labels = { stable = 1, canary = 2 }
        input = { height = 48, width = 48, color = "grayscale", scale = "unit" }
        labels = "labels.txt"
        activation = "none"
        task = "multilabel"
        signature = "score"
        output = "probabilities"
        constant_inputs = { key = "0", flags = [true, 2, 0.5] }
        string_input = "base64"
        """
    )

    emotion = load_models_file(tmp_path / "models.toml").default

    assert emotion.base_path == tmp_path / "emotion"
    assert emotion.serving_url == "http://other-host:8501"
    assert emotion.versions == (1, 2)
    assert emotion.version_labels == {"stable": 1, "canary": 2}
    assert emotion.input == {"height": 48, "width": 48, "color": "grayscale", "scale": "unit"}
    assert emotion.labels == (("0", "sad"), ("1", "glad"))
    assert emotion.activation == "none"
    assert emotion.task == "multilabel"
    assert emotion.signature == "score"
    assert emotion.output == "probabilities"
    assert emotion.constant_inputs == {"key": "0", "flags": [True, 2, 0.5]}
    assert emotion.string_input == "base64"


@pytest.mark.parametrize(
    ("text", "task", "activation"),
    [
        ("", "classification", "softmax"),
        ('task = "multilabel"', "multilabel", "sigmoid"),
        ('task = "regression"', "regression", "raw"),
        ('activation = "raw"', "regression", "raw"),
        ('task = "multilabel"\nactivation = "none"', "multilabel", "none"),
    ],
)
def test_the_task_tells_the_activation(text: str, task: str, activation: str) -> None:
    assert (entry(text).task, entry(text).activation) == (task, activation)


def test_a_detector_may_say_where_its_boxes_are() -> None:
    detector = entry('task = "detection"\nboxes = { format = "xyxy", nms_iou = 0.5 }')

    assert detector.boxes == {"format": "xyxy", "nms_iou": 0.5}
    assert entry('task = "detection"').boxes is None


def test_a_model_may_have_several_addresses() -> None:
    assert (
        entry('serving_url = ["http://a:1/", "http://b:1"]').serving_url == "http://a:1,http://b:1"
    )
    assert entry('serving_url = ["grpc://a:1"]').serving_url == "grpc://a:1"


def test_split_and_shadow_keep_their_order_and_may_be_fractions() -> None:
    found = entry("split = { stable = 99.5, canary = 0.5 }\nshadow = { b = 100, a = 0 }")

    assert list(found.split.items()) == [("stable", 99.5), ("canary", 0.5)]
    assert list(found.shadow.items()) == [("b", 100), ("a", 0)]
    assert entry("").split == entry("split = {}").split == {}


@pytest.mark.parametrize(
    "value", ["3", "{ a = 0 }", "{ a = nan }", "{ a = -1 }", "{ a = true }", '{ "a-b" = 1 }']
)
def test_a_split_needs_weights_that_are_not_all_0(value: str) -> None:
    with pytest.raises(ModelsFileError, match=r"models.m.split: .* weights, 0 to 1000000 and not"):
        entry(f"split = {value}")


@pytest.mark.parametrize("value", ["10", "{ a = 101 }", "{ a = inf }", '{ a = "10" }'])
def test_a_shadow_needs_percents(value: str) -> None:
    with pytest.raises(ModelsFileError, match=r"models.m.shadow: .* percents, 0 to 100, such as"):
        entry(f"shadow = {value}")


def test_imagenet_labels_by_name() -> None:
    labels = entry('labels = "imagenet"').labels

    assert labels is not None
    assert len(labels) == 1000


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        ("classes = 1", "models.m.classes", "the name of an output of the SavedModel"),
        ('task = "tensor"\nclasses = "x"', "models.m.classes", "classification or multilabel"),
        ('activation = "none"\nclasses = "x"', "models.m.classes", "without activation = none"),
        ("base_pth = 1", "models.m.base_pth", "one of the keys base_path, serving_url"),
        ('versions = "newest"', "models.m.versions", '"latest", "all"'),
        ("versions = []", "models.m.versions", "version numbers"),
        ("versions = [-1]", "models.m.versions", "version numbers"),
        ("versions = [true]", "models.m.versions", "version numbers"),
        ('version_labels = { "a b" = 1 }', "models.m.version_labels", "from labels to version"),
        ("version_labels = { v-1 = 1 }", "models.m.version_labels", "letters, digits and '_'"),
        ('version_labels = { stable = "1" }', "models.m.version_labels", "from labels to version"),
        ('serving_url = "other:8501"', "models.m.serving_url", "http://host:8501"),
        (
            'serving_url = "http://me:secret@h:1"',
            "models.m.serving_url",
            "address with a user name",
        ),
        ('serving_url = "http://other/v1"', "models.m.serving_url", "without /v1"),
        ('serving_url = "grpc://other"', "models.m.serving_url", "grpc://host:8500"),
        ('serving_url = "grpcs://other"', "models.m.serving_url", "grpc://host:8500"),
        ("serving_url = []", "models.m.serving_url", "http://host:8501"),
        ("serving_url = [1]", "models.m.serving_url", "http://host:8501"),
        ('serving_url = ["http://a:1", "http://a:1"]', "models.m.serving_url", "different"),
        ('serving_url = ["http://a:1", "grpc://b:1"]', "models.m.serving_url", "the same kind"),
        (
            'serving_url = ["http://a:1", "http://me:secret@h:1"]',
            "models.m.serving_url",
            "address with a user name",
        ),
        ("input = { size = 4 }", "models.m.input.size", "one of the keys height, width"),
        ("input = 4", "models.m.input", "a table"),
        ('input = { scale = "x" }', "models.m.input.scale", "one of tf"),
        ('labels = ""', "models.m.labels", "label file"),
        ('labels = "no/such/file"', "models.m.labels", "cannot be read"),
        ('labels = "~no-such-user/l"', "models.m.labels", "the home of a known user"),
        ('labels = "a\\u0000"', "models.m.labels", "without null characters"),
        ('output = ""', "models.m.output", "the name of an output of the SavedModel"),
        ("signature = 3", "models.m.signature", "the name of a signature"),
        ("constant_inputs = 3", "models.m.constant_inputs", "names of inputs to strings"),
        ("constant_inputs = { a = {} }", "models.m.constant_inputs", "booleans or lists"),
        ("constant_inputs = { a = [[1]] }", "models.m.constant_inputs", "booleans or lists"),
        ('string_input = "hex"', "models.m.string_input", "one of bytes, base64"),
        ('task = "drawing"', "models.m.task", "classification, multilabel, regression"),
        ('task = "regression"\nactivation = "none"', "models.m.activation", "raw with task = regr"),
        ('task = "multilabel"\nactivation = "raw"', "models.m.activation", "sigmoid or none with"),
        ("boxes = {}", "models.m.boxes", 'task = "detection" only'),
        ('task = "detection"\nboxes = 3', "models.m.boxes", "an object"),
        ('task = "detection"\nboxes = { nms = 1 }', "models.m.boxes.nms", "nms_iou"),
        ('activation = "relu"', "models.m.activation", "softmax, sigmoid, none"),
        ("logging = 0.5", "models.m.logging", "the keys rate and prefix"),
        ("logging = { rate = 0.5 }", "models.m.logging", "the keys rate and prefix"),
        ('logging = { rate = 0, prefix = "l" }', "models.m.logging.rate", "above 0, at most 1"),
        ('logging = { rate = 1.5, prefix = "l" }', "models.m.logging.rate", "above 0, at most 1"),
        ('logging = { rate = true, prefix = "l" }', "models.m.logging.rate", "above 0, at most 1"),
        ('logging = { rate = nan, prefix = "l" }', "models.m.logging.rate", "above 0, at most 1"),
        ('logging = { rate = 1, prefix = "" }', "models.m.logging.prefix", "the path with which"),
        ('logging = { rate = 1, prefix = "\\u0000" }', "models.m.logging.prefix", "without null"),
    ],
)
def test_bad_key_is_named_with_file_and_what_is_allowed(text: str, key: str, allowed: str) -> None:
    with pytest.raises(ModelsFileError) as caught:
        entry(text)

    assert str(caught.value).startswith(f"{PATH}: {key}: ")
    assert allowed in str(caught.value)

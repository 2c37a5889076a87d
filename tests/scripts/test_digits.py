"""The digits model: its training data, its network, and the accuracy of the committed version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model_catalog.labels import numbered_labels
from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts.checks import verify_program
from scripts.digit_augmentation import augmented, without_bar
from scripts.digit_network import digit_network
from scripts.digit_pictures import SIDE, held_out, training
from scripts.train_digits_model import scaled

if TYPE_CHECKING:
    import tensorflow as tf

ROOT = Path(__file__).parent.parent.parent
VERSION = ROOT / "my_digit_classifier" / "1"
IMAGES = ROOT / "test_images"


@pytest.fixture(scope="module")
def signatures(tensorflow: None) -> dict[str, tf.types.experimental.PolymorphicFunction]:
    import tensorflow as tf

    model = tf.saved_model.load(str(VERSION))
    return {name: model.signatures[name] for name in ("pixels", "image", "describe")}


def answers(signatures: dict[str, Any], pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
    import tensorflow as tf

    raw = tf.constant([picture.tobytes() for picture in pictures])
    best: NDArray[np.int64] = signatures["pixels"](pixels=raw)["scores"].numpy().argmax(axis=1)
    return best


def test_held_out_digits_are_the_same_every_time_and_of_every_kind() -> None:
    unseen = held_out()

    assert unseen.pictures.shape == (360, SIDE, SIDE)
    assert unseen.pictures.dtype == np.uint8
    assert np.bincount(unseen.digits).min() >= 34
    np.testing.assert_array_equal(unseen.pictures, held_out().pictures)


def test_training_never_sees_a_held_out_digit() -> None:
    seen = {picture.tobytes() for picture in training().pictures}
    unseen = {picture.tobytes() for picture in held_out().pictures}

    assert len(training().digits) + len(held_out().digits) == 1797
    assert seen & unseen == set()


def test_variants_differ_and_half_of_them_are_dark_on_light() -> None:
    random = np.random.default_rng(1)
    picture = held_out().pictures[0]

    variants = np.stack([augmented(picture, 0, random) for _ in range(400)])

    edges = np.median(variants[:, :, [0, -1]], axis=(1, 2))
    assert variants.shape == (400, SIDE, SIDE)
    assert len({variant.tobytes() for variant in variants}) == 400
    assert 0.4 < np.mean(edges > 127) < 0.6


def barred_seven(top: int) -> NDArray[np.uint8]:
    """Draw a seven with a bar; ``top`` is the width of its top in columns."""
    seven = np.zeros((SIDE, SIDE), dtype=np.uint8)
    seven[2:6, 26 - top : 26] = 255
    for row in range(6, SIDE):
        seven[row, 24 - row // 2 : 28 - row // 2] = 255
    seven[15:18] = 255
    return seven


def test_a_seven_without_its_bar_is_still_a_seven() -> None:
    seven = barred_seven(top=18)

    bare = without_bar(seven)

    assert not bare[15:18, :8].any()
    assert not bare[15:18, 26:].any()
    np.testing.assert_array_equal(bare[:11], seven[:11])
    assert bare[16, 16:20].all()


def test_a_narrow_seven_keeps_its_bar_since_it_would_become_a_one() -> None:
    seven = barred_seven(top=17)

    np.testing.assert_array_equal(without_bar(seven), seven)


@pytest.mark.tensorflow
def test_the_network_is_small(tensorflow: None) -> None:
    network = digit_network(SIDE)

    assert network.output_shape == (None, 10)
    assert network.count_params() == 99_802


def test_the_network_gets_values_from_zero_to_one() -> None:
    values = scaled(np.array([[[0, 255]]], dtype=np.uint8))

    np.testing.assert_array_equal(values[..., 0], [[[0.0, 1.0]]])


def test_the_committed_version_is_under_a_megabyte() -> None:
    assert sum(file.stat().st_size for file in VERSION.rglob("*")) < 1_000_000


def test_the_committed_version_describes_itself() -> None:
    spec = ModelSpec.from_json((VERSION / SPEC_FILE).read_bytes())

    assert (spec.name, spec.trained, spec.labels) == ("digits", True, numbered_labels(10))
    assert (spec.images.height, spec.images.width, spec.images.color) == (SIDE, SIDE, "grayscale")


@pytest.mark.tensorflow
def test_both_engines_give_the_golden_scores_of_the_committed_version(tensorflow: None) -> None:
    weight_bytes = 4 * 99_802

    assert verify_program.report(VERSION, weight_bytes) == {"problems": [], "openvino": None}


@pytest.mark.tensorflow
@pytest.mark.parametrize("negative", [False, True], ids=["light on dark", "dark on light"])
def test_the_committed_version_knows_the_held_out_digits(
    signatures: dict[str, Any], negative: bool
) -> None:
    pictures, digits = held_out()

    right = answers(signatures, 255 - pictures if negative else pictures) == digits

    assert right.mean() >= 0.985


@pytest.mark.tensorflow
def test_the_committed_version_knows_digits_that_were_drawn(signatures: dict[str, Any]) -> None:
    import keras

    drawn = [
        keras.utils.load_img(
            IMAGES / f"digit_{digit}.png",
            color_mode="grayscale",
            target_size=(SIDE, SIDE),
            interpolation="bilinear",
        )
        for digit in range(10)
    ]

    assert answers(signatures, np.stack(drawn)).tolist() == list(range(10))


@pytest.mark.tensorflow
def test_the_drawn_files_need_no_gateway(signatures: dict[str, Any]) -> None:
    import tensorflow as tf

    files = [(IMAGES / f"digit_{digit}.png").read_bytes() for digit in range(10)]

    scores = signatures["image"](image_bytes=tf.constant(files))["scores"].numpy()

    assert scores.argmax(axis=1).tolist() == list(range(10))


def test_every_test_picture_has_its_source_in_the_readme() -> None:
    readme = (IMAGES / "README.md").read_text(encoding="utf-8")
    photographs = {path.name for path in IMAGES.iterdir()} - {"README.md"}
    drawn = {f"digit_{digit}.png" for digit in range(10)}

    assert drawn < photographs
    assert all(f"`{name}`" in readme for name in photographs - drawn)
    assert all(path.stat().st_size <= 150_000 for path in IMAGES.iterdir())


@pytest.mark.tensorflow
@pytest.mark.slow
def test_training_ends_with_a_report_and_an_export(tmp_path: Path) -> None:
    """Runs in a separate process, since training makes TensorFlow deterministic permanently."""
    script = ROOT / "scripts" / "train_digits_model.py"

    done = subprocess.run(
        [sys.executable, script, "--base-path", tmp_path, "--variants", "1"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "of 360 held-out digits are right, dark on light\n" in done.stdout
    assert done.stdout.endswith(f"exported digits to {tmp_path / '1'}\n")
    assert (tmp_path / "1" / "saved_model.pb").is_file()

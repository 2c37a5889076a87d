"""Export a benchmark's model and compute the expected answers: python -m benchmarks.prepare MODEL.

The batch norms of a model with random weights are fitted to the pictures, so that its answers
differ between pictures and a mixed-up answer is noticed.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks import fixtures, in_process
from benchmarks.own_system import Layout
from benchmarks.pictures import jpegs, resized
from benchmarks.processes import ROOT
from flask_server.imaging.resizing import Resize, by_pillow
from model_catalog import golden
from model_catalog.labels import imagenet_labels
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from scripts import quiet_tensorflow
from scripts.export_saved_model import MODEL_FILE, export
from scripts.keras_models import is_trained
from scripts.saved_model import write_saved_model
from scripts.version_folders import new_version

if TYPE_CHECKING:
    import keras

MOBILENET = ROOT.parent / "shared" / "models" / "imagenet_mobilenet.keras"
CANDIDATES = 6 * fixtures.PICTURES
_SEED = 20261120
_LOGIT_FACTOR = 20

Floats = NDArray[np.float32]


def main(model: str) -> int:
    """Build everything that ``fixtures.load`` reads."""
    quiet_tensorflow.start()
    side = fixtures.SIDES[model]
    files = jpegs(CANDIDATES)
    images = scaled(files, side, by_pillow)
    network, trained = MAKERS[model](images)
    version = _export(network, model, side, trained)
    scores = network.predict(images, verbose=0)
    if importlib.util.find_spec("openvino") is not None:
        scores = least_clear_of(scores, files, side, version, ("bf16",))
    save_clearest(model, files, scores, trained)
    return 0


def save_clearest(model: str, files: Sequence[bytes], scores: Floats, trained: bool) -> None:
    """Save those pictures whose scores have a clear best class as the fixture of a model."""
    chosen, labels = confident_and_diverse(scores, fixtures.PICTURES), imagenet_labels()
    class_ids = [labels[int(scores[i].argmax())][0] for i in chosen]
    fixtures.save(model, [files[i] for i in chosen], class_ids, trained)


def scaled(files: Sequence[bytes], side: int, resize: Resize) -> Floats:
    """Return model input for pictures."""
    levels = np.stack([np.asarray(resized(data, side, resize), np.float32) for data in files])
    return levels / np.float32(127.5) - np.float32(1)


def least_clear_of(
    scores: Floats, files: Sequence[bytes], side: int, version: Path, precisions: Sequence[str]
) -> Floats:
    """Return the least clear scores of each picture over the precisions, batches and resizers.

    Random networks magnify rounding; the effect on trained networks is checked by tests.
    """
    for precision in precisions:
        classify = in_process.openvino(version, precision, 1)
        for resize in (by_pillow, Layout().resize):
            images = scaled(files, side, resize)
            for size in (1, 8):
                scores = least_clear(scores, in_batches(classify, images, size))
    return scores


def least_clear(scores: Floats, found: Floats) -> Floats:
    """Return for each row the scores whose best class leads less.

    Where the best classes differ, all scores are equal: such a picture is never chosen.
    """
    less = lag(found) > lag(scores)
    least = np.where(less[:, None], found, scores)
    least[found.argmax(axis=1) != scores.argmax(axis=1)] = 1
    return least


def lag(scores: Floats) -> Floats:
    """Return for each row the second score by the best one."""
    second, best = np.sort(scores, axis=1)[:, -2:].T
    return np.asarray(second / best)


def in_batches(classify: in_process.Classify, images: Floats, size: int = 8) -> Floats:
    """Return the scores of images, computed in batches."""
    starts = range(0, len(images), size)
    return np.concatenate([classify(images[start : start + size]).copy() for start in starts])


def confident_and_diverse(scores: Floats, count: int) -> list[int]:
    """Choose pictures with a clear best class, from as many classes as possible.

    The lead of the best class must be so large that rounding does not change the answer.
    """
    classes: dict[int, list[int]] = {}
    lags = lag(scores)
    for index in np.argsort(lags)[: min(2 * count, int((lags < 1).sum()))]:
        classes.setdefault(int(scores[index].argmax()), []).append(int(index))
    turns = (index for turn in zip_longest(*classes.values()) for index in turn)
    return [index for index in turns if index is not None][:count]


def _inception(images: Floats) -> tuple[keras.Model, bool]:
    import keras

    if MODEL_FILE.is_file():
        network = keras.saving.load_model(MODEL_FILE, compile=False)
        if is_trained(network):
            return network, True
    keras.utils.set_random_seed(_SEED)
    return _fitted(keras.applications.InceptionV3(weights=None), images), False


def _mobilenet(images: Floats) -> tuple[keras.Model, bool]:
    import keras

    if MOBILENET.is_file():
        return keras.saving.load_model(MOBILENET, compile=False), True
    keras.utils.set_random_seed(_SEED)
    shape = (*images.shape[1:3], 3)
    network = keras.applications.MobileNet(input_shape=shape, alpha=0.75, weights=None)
    return _fitted(network, images), False


MAKERS = {"inception": _inception, "mobilenet": _mobilenet}


def _fitted(network: keras.Model, images: Floats) -> keras.Model:
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(images[:32], training=True)
    _spread(network, images[:32])
    return network


def _spread(network: keras.Model, images: Floats) -> None:
    """Rescale the last layer so that scores differ clearly and no class always wins."""
    usual = np.log(network.predict(images, verbose=0)).mean(axis=0)
    last = next(layer for layer in reversed(network.layers) if layer.get_weights())
    kernel, bias = last.get_weights()
    last.set_weights([kernel * _LOGIT_FACTOR, (bias - usual) * _LOGIT_FACTOR])


def _export(network: keras.Model, name: str, side: int, trained: bool) -> Path:
    """Write version 1 of a model.

    Random weights magnify the rounding of each engine and precision. Such a network would not pass
    the checks of an export, so it has no golden pictures.
    """
    base_path = fixtures.FOLDER / "models" / name
    shutil.rmtree(base_path, ignore_errors=True)
    spec = ModelSpec(
        name=name,
        trained=trained,
        input=InputSpec(height=side, width=side),
        output=OutputSpec(classes=len(imagenet_labels())),
        labels=imagenet_labels(),
    )
    if trained:
        return export(network, base_path, spec)
    with new_version(base_path) as draft:
        write_saved_model(network, spec, draft.folder)
        shutil.rmtree(draft.folder / golden.FOLDER)
    return draft.published


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

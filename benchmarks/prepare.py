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
from model_catalog.labels import imagenet_labels
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from scripts import quiet_tensorflow

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
    images = _scaled(files, side, by_pillow)
    network, trained = MAKERS[model](images)
    _export(network, model, side, trained)
    scores = network.predict(images, verbose=0)
    best = scores.argmax(axis=1)
    for resize in (by_pillow, Layout().resize):
        # Equal scores for all classes: such a picture is never chosen.
        scores[_bf16_best(_scaled(files, side, resize), best, model) != best] = 1
    chosen = confident_and_diverse(scores, fixtures.PICTURES)
    labels = imagenet_labels()
    fixtures.save(
        model,
        [files[i] for i in chosen],
        [labels[int(scores[i].argmax())][0] for i in chosen],
        trained,
    )
    return 0


def _scaled(files: Sequence[bytes], side: int, resize: Resize) -> Floats:
    levels = np.stack([np.asarray(resized(data, side, resize), np.float32) for data in files])
    return levels / np.float32(127.5) - np.float32(1)


def _bf16_best(images: Floats, expected: NDArray[np.intp], model: str) -> NDArray[np.intp]:
    """Return the best classes in bf16; the expected ones where OpenVINO is not installed.

    Random networks magnify the rounding of bf16 and of the fast resizer; the effect on trained
    networks is checked by tests.
    """
    if importlib.util.find_spec("openvino") is None:
        return expected
    classify = in_process.openvino(fixtures.FOLDER / "models" / model / "1", "bf16", 1)
    parts = [classify(images[at : at + 8]).argmax(axis=1) for at in range(0, len(images), 8)]
    return np.concatenate(parts)


def confident_and_diverse(scores: Floats, count: int) -> list[int]:
    """Choose pictures with a clear best class, from as many classes as possible.

    The lead of the best class must be so large that rounding does not change the answer.
    """
    second, best = np.sort(scores, axis=1)[:, -2:].T
    classes: dict[int, list[int]] = {}
    for index in np.argsort(second / best)[: 2 * count]:
        classes.setdefault(int(scores[index].argmax()), []).append(int(index))
    turns = (index for turn in zip_longest(*classes.values()) for index in turn)
    return [index for index in turns if index is not None][:count]


def _inception(images: Floats) -> tuple[keras.Model, bool]:
    import keras

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


def _export(network: keras.Model, name: str, side: int, trained: bool) -> None:
    from scripts.export_saved_model import export

    base_path = fixtures.FOLDER / "models" / name
    _remove(base_path)
    spec = ModelSpec(
        name=name,
        trained=trained,
        input=InputSpec(height=side, width=side),
        output=OutputSpec(classes=len(imagenet_labels())),
        labels=imagenet_labels(),
    )
    export(network, base_path, spec)


def _remove(base_path: Path) -> None:
    if base_path.exists():
        shutil.rmtree(base_path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

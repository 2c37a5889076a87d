"""Turn the configuration of a Keras 1 file into that of Keras 2, which tf_keras reads.

Keras 2 renamed some layers and most arguments (``nb_filter`` to ``filters``). The weights keep
their names; tf_keras transposes those that Keras 1 stored in another order.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.errors import ScriptError
from scripts.loading.file_config import FileConfig, nodes

_LAYERS = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "AtrousConvolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
}
_RENAMED = {
    "atrous_rate": "dilation_rate",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "beta_init": "beta_initializer",
    "bias": "use_bias",
    "border_mode": "padding",
    "gamma_init": "gamma_initializer",
    "init": "kernel_initializer",
    "input_dtype": "dtype",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "subsample": "strides",
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
}
#: Arguments that only matter for building or training a model.
_DROPPED = {"input_dim", "input_length", "mode", "create_input_layer", "sparse_input"}
_ORDERINGS = {"tf": "channels_last", "th": "channels_first"}
_INITIALIZERS = {
    "zero": "zeros",
    "one": "ones",
    "normal": "random_normal",
    "uniform": "random_uniform",
}
#: The layer of Keras 2 for each ``mode`` of Keras 1's Merge.
_MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
}


def is_of_keras1(about: FileConfig) -> bool:
    """Tell whether the configuration is one of Keras 1; its first releases wrote no version."""
    if about.major_version is not None:
        return about.major_version == 1
    return any(node.get("class_name") in _LAYERS for node in nodes(about.config))


def in_keras2_form(path: Path, about: FileConfig, folder: Path) -> Path:
    """Return a copy of the file in the folder, with the configuration of Keras 2."""
    import h5py

    copy = folder / path.name
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        file.attrs["model_config"] = json.dumps(_model(about.config)).encode()
        for group in (file, file.get("model_weights", file)):
            group.attrs["keras_version"] = b"1.2.2"
            group.attrs.setdefault("backend", b"tensorflow")
    return copy


def _model(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model or a layer, and all layers in it, in the form of Keras 2."""
    kind, inside = str(config.get("class_name")), config.get("config")
    if kind == "Sequential" and isinstance(inside, list):
        # Keras 1 wrote the list of layers without the name of the model.
        return {"class_name": kind, "config": {"name": "sequential", "layers": _layers(inside)}}
    if not isinstance(inside, Mapping):
        return dict(config)
    if isinstance(inside.get("layers"), list):
        return {**config, "config": {**inside, "layers": _layers(inside["layers"])}}
    kind, inside = _merged(kind, inside)
    return {**config, "class_name": _LAYERS.get(kind, kind), "config": _arguments(kind, inside)}


def _layers(layers: list[Any]) -> list[dict[str, Any]]:
    return [_model(layer) for layer in layers]


def _merged(kind: str, inside: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if kind != "Merge":
        return kind, inside
    mode = inside.get("mode")
    if mode not in _MERGES:
        raise ScriptError(
            f"The model has a Merge layer of the mode {mode!r}, which only Keras 1 has; allowed "
            f"are {', '.join(_MERGES)}."
        )
    axis = {"axis": inside.get("concat_axis", -1)} if mode == "concat" else {}
    return _MERGES[mode], {"name": inside.get("name")} | axis


def _arguments(kind: str, inside: Mapping[str, Any]) -> dict[str, Any]:
    found = {_RENAMED.get(key, key): value for key, value in inside.items() if key not in _DROPPED}
    if "nb_row" in found:
        found["kernel_size"] = [found.pop("nb_row"), found.pop("nb_col")]
    if kind == "Convolution1D" and "filter_length" in found:
        found["kernel_size"] = [found.pop("filter_length")]
        found["strides"] = [found.pop("subsample_length", 1)]
    if "dim_ordering" in found:
        found["data_format"] = _ORDERINGS.get(found.pop("dim_ordering"), "channels_last")
    for key, value in found.items():
        if key.endswith("_initializer") and isinstance(value, str):
            found[key] = _INITIALIZERS.get(value, value)
        if key.endswith("_regularizer"):
            found[key] = None  # a penalty of training
    return found

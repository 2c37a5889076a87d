"""Build spec and description of a graph file, from options, the file and assumptions. Pure.

An option takes precedence over what the file says, and that over an assumption.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from model_catalog.graph_files import RANGES, Quantization
from model_catalog.spec import CHANNELS, InputSpec, Label
from scripts.errors import ScriptError
from scripts.graph_files.openvino_graph import Tensor
from scripts.graph_files.tflite_file import LiteFile, Normalization
from scripts.keras_models import ModelProperty
from scripts.spec_of_model import SpecOptions, chosen_labels, default_labels

_COLORS = {count: color for color, count in CHANNELS.items()}
#: The numbers that pixels from 0 to 255 become, by scaling.
_SCALED = {"tf": (-1.0, 1.0), "unit": (0.0, 1.0), "none": (0.0, 255.0)}
#: Calibration leaves the ends of a range a little off, as a share of the range.
_OFF = 0.05
_PIXEL = 255.0


def image_input(inputs: Sequence[Tensor]) -> Tensor:
    """Return the only input, or raise ScriptError."""
    if len(inputs) != 1:
        raise ScriptError(
            f"The graph has the inputs {', '.join(map(str, inputs)) or 'none'}; allowed is one, "
            "that of the images."
        )
    if inputs[0].dtype not in {"float32", *RANGES}:
        raise ScriptError(
            f"The graph's input {inputs[0]} has another type than float32, uint8 and int8."
        )
    return inputs[0]


def scores_output(outputs: Sequence[Tensor], wanted: str | None) -> Tensor:
    """Return the output with the scores, by its name or as the only one with a row per image."""
    listed = ", ".join(map(str, outputs))
    named = [t for t in outputs if wanted in {None, t.name, t.name.removesuffix(":0")}]
    if not named:
        raise ScriptError(f"--output {wanted} is not an output of the graph; it has {listed}.")
    fitting = [tensor for tensor in named if scores_of(tensor)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise ScriptError(
            f"The graph's outputs {listed} are no scores; allowed is one row per image, "
            "[-1, classes]."
        )
    raise ScriptError(f"The graph has the outputs {listed}; choose one with --output NAME.")


def scores_of(tensor: Tensor) -> int | None:
    """Return the scores per image: the only size other than 1. None where there is no row."""
    sizes = () if tensor.shape is None else tensor.shape[1:]
    rows = [size for size in sizes if size != 1]
    if not sizes or len(rows) > 1 or tensor.dtype not in {"float32", *RANGES}:
        return None
    return rows[0] if rows else 1


def input_of(
    tensor: Tensor, options: SpecOptions, lite: LiteFile
) -> tuple[InputSpec, tuple[int, ...], list[str]]:
    """Return the input's spec, the shape of one image in the graph, and the assumptions."""
    height, width, channels = _sizes(tensor, options)
    scale = _scale(tensor, options.scale, lite)
    shape: tuple[int, ...] = (height, width, channels)
    if tensor.shape is not None and len(tensor.shape) != 4:
        shape = tuple(size or 0 for size in tensor.shape[1:])
    spec = InputSpec(
        height=height,
        width=width,
        color=_COLORS[channels],
        interpolation=options.interpolation or "bilinear",
        fit=options.fit or "stretch",
        scale=scale.value,
    )
    assumed = [] if scale.assumption is None else [f"--scale {scale.value} ({scale.assumption})"]
    return spec, shape, assumed


def _sizes(tensor: Tensor, options: SpecOptions) -> tuple[int, int, int]:
    """Return height, width and channels, or raise ScriptError."""
    stated = _stated_sizes(tensor, options)
    given = (*(options.size or (None, None)), CHANNELS.get(options.color or ""))
    for option, told, found in zip(("size", "size", "color"), given, stated, strict=True):
        if None not in (told, found) and told != found:
            raise ScriptError(f"--{option} does not fit the graph's input {tensor}.")
    height, width, channels = (f or g for f, g in zip(stated, given, strict=True))
    if height is None or width is None:
        raise ScriptError(
            f"The graph's input {tensor} does not say the size of the images; add --size HxW."
        )
    return height, width, channels or 3


def _stated_sizes(
    tensor: Tensor, options: SpecOptions
) -> tuple[int | None, int | None, int | None]:
    match tensor.shape:
        case (_, height, width, channels) if channels in {*_COLORS, None}:
            return height, width, channels
        case (_, height, width) if None not in (height, width):
            return height, width, 1
        case (_, int() as values) if options.size is not None:
            pixels = math.prod(options.size)
            if values in {pixels, 3 * pixels}:
                return (*options.size, values // pixels)
        case None:
            return None, None, None
    raise ScriptError(
        f"The graph's input {tensor} is not allowed; allowed are images, [-1, height, width, "
        "channels] with 1 or 3 channels, [-1, height, width], or a row of pixels with --size HxW."
    )


def _scale(tensor: Tensor, option: str | None, lite: LiteFile) -> ModelProperty:
    if option is not None:
        return ModelProperty(option)
    if lite.normalization is not None:
        scale = _scale_of(*_normalized(lite.normalization))
        if scale is not None:
            return ModelProperty(scale)
    if tensor.dtype in RANGES:
        quantization = quantization_of(tensor, lite)
        scale = _scale_of(*_real_range(quantization)) if quantization else "none"
        if scale is not None:
            return ModelProperty(scale, "the range of the graph's integers")
    return ModelProperty("tf", "a guess: the graph does not say how its pixels were scaled")


def _normalized(by: Normalization) -> tuple[float, float]:
    return -by.mean / by.deviation, (_PIXEL - by.mean) / by.deviation


def _real_range(quantization: Quantization) -> tuple[float, float]:
    least, most = (n - quantization.zero_point for n in RANGES[quantization.dtype])
    return quantization.scale * least, quantization.scale * most


def _scale_of(least: float, most: float) -> str | None:
    """Return the scaling whose range this is."""
    for name, (low, high) in _SCALED.items():
        if max(abs(least - low), abs(most - high)) <= _OFF * (high - low):
            return name
    return None


def quantization_of(tensor: Tensor, lite: LiteFile) -> Quantization | None:
    """Return what the tensor's integers stand for; integers without a statement are pixels."""
    if tensor.dtype not in RANGES:
        return None
    pixels = Quantization(dtype=tensor.dtype, scale=1.0, zero_point=RANGES[tensor.dtype][0])
    return lite.quantization.get(tensor.name, pixels)


def labels_of(
    options: SpecOptions, lite: LiteFile, scores: int
) -> tuple[tuple[Label, ...], list[str]]:
    """Return the labels, from the option, the file or as assumed, and the assumptions."""
    if options.labels is not None:
        return chosen_labels(options.labels, scores), []
    if lite.labels is not None and len(lite.labels) in {scores, 2 if scores == 1 else scores}:
        return lite.labels, []
    found = default_labels(scores)
    return chosen_labels(found.value, scores), [f"--labels {found.value} ({found.assumption})"]

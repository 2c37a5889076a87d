"""Describe a version folder that holds a ``.tflite`` or frozen ``.pb`` file and no SavedModel.

``scripts/export_saved_model.py`` writes such folders; OpenVINO runs the file. Beside it lie the
model spec and a ``GraphFile`` as JSON: how the spec's images become the graph's input, and its
output scores. TensorFlow Serving cannot load such a folder.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model_catalog.errors import CatalogError
from model_catalog.installation import export_command

#: The file of each kind in a version folder, by the suffix of the file that it is a copy of.
FILES: Final = {".tflite": "model.tflite", ".pb": "frozen_graph.pb"}

DESCRIPTION: Final = Path("assets.extra", "graph_file.json")

#: The types of quantised inputs and outputs, with the smallest and the largest number.
RANGES: Final = {"uint8": (0, 255), "int8": (-128, 127)}


class GraphFileError(CatalogError):
    """The description of a graph file is invalid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantization:
    """How a tensor of small integers stands for real numbers: ``scale * (n - zero_point)``."""

    dtype: str
    """``uint8`` or ``int8``."""

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        is_scale = isinstance(self.scale, int | float) and 0 < self.scale < math.inf
        if self.dtype not in RANGES or not is_scale or not isinstance(self.zero_point, int):
            raise GraphFileError(
                f"The quantisation {self.dtype}, {self.scale}, {self.zero_point} is not allowed;"
                f" allowed are {' and '.join(RANGES)}, a positive scale and a whole zero point."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphFile:
    """A graph in one file, with one image input and one output of scores."""

    file: str
    """Name of the file in the version folder."""

    input: str
    """Name of the input tensor."""

    shape: tuple[int, ...]
    """Shape of one image at the input: the values of a height x width x channels image."""

    output: str
    """Name of the output tensor with the scores."""

    takes_batches: bool
    """Whether the graph computes several images at once; otherwise each is a run of its own."""

    input_quantization: Quantization | None = None
    output_quantization: Quantization | None = None

    def __post_init__(self) -> None:
        if self.file not in FILES.values():
            raise GraphFileError(
                f"The graph file {self.file!r} is not allowed; allowed are"
                f" {', '.join(FILES.values())}."
            )

    def to_json(self) -> str:
        """Return the description as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> GraphFile:
        """Read what ``to_json`` wrote, or raise GraphFileError."""
        try:
            fields = json.loads(text)
            for side in ("input_quantization", "output_quantization"):
                fields[side] = _quantization(fields.get(side))
            return cls(**fields | {"shape": tuple(map(int, fields["shape"]))})
        except (
            *(ValueError, TypeError, KeyError, AttributeError),
            *(RecursionError, OverflowError),  # nesting, and Infinity
        ) as error:
            raise GraphFileError(f"{DESCRIPTION} is invalid: {error}") from error


def _quantization(fields: Mapping[str, Any] | None) -> Quantization | None:
    return None if fields is None else Quantization(**fields)


def is_graph_file(path: Path) -> bool:
    """Tell by its name whether a file is a ``.tflite`` or ``.pb`` file."""
    return path.suffix.lower() in FILES


def graph_file_of(version: Path) -> Path | None:
    """Return the ``.tflite`` or ``.pb`` file in a version folder that has no SavedModel."""
    if (version / "saved_model.pb").is_file():
        return None
    return next(filter(Path.is_file, (version / name for name in FILES.values())), None)


def read_graph_file(version: Path) -> GraphFile | None:
    """Return the description of the graph file in a version folder; None where there is no file."""
    file = graph_file_of(version)
    if file is None:
        return None
    try:
        return GraphFile.from_json((version / DESCRIPTION).read_bytes())
    except OSError as error:
        raise GraphFileError(
            f"{file} lacks its description, {DESCRIPTION}: {export_command()} --model FILE writes"
            " the whole folder"
        ) from error

"""Declare what the server needs of an engine: load a version, describe it, run it, let it go.

The server knows models only through these types; which library does the arithmetic is the
business of one file per engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a signature."""

    name: str
    """The tensor's name inside the graph."""

    dtype: str
    """TensorFlow's short name of the type: ``float``, ``int64``, ``string``, …"""

    shape: tuple[int, ...] | None
    """The declared sizes, -1 where any size goes; None when not even the rank is known."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One way of calling a model."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    method_name: str = "tensorflow/serving/predict"
    """What the exporter meant the signature for."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Default values of inputs, as the JSON form of TensorProto; shown, never used."""


class LoadedModel(Protocol):
    """One version of a model in memory; may be run from many threads at once."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """Every signature by its name."""

    def run(self, signature: str, inputs: Tensors) -> Tensors:
        """Return all outputs of the signature by their names, or raise a ModelServerError."""

    def close(self) -> None:
        """Give the memory back; nobody runs the model any more."""


class Engine(Protocol):
    """Turns a version folder into a model in memory."""

    def load(self, path: Path) -> LoadedModel:
        """Load the SavedModel in the folder, or raise a ModelServerError."""

"""Declare the interface of an engine: load a version, list its signatures, run it, close it.

The rest of the server uses models only through these types. The library that computes is imported
by one module per engine.
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
    """The type by TensorFlow's short name: ``float``, ``int64``, ``string``, …"""

    shape: tuple[int, ...] | None
    """The declared sizes, -1 for any size; None if the rank is unknown."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature: the named inputs and outputs of one function of a model."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    method_name: str = "tensorflow/serving/predict"
    """The API that the exporter intended: predict, classify or regress."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Default values of inputs as TensorProto in JSON form; shown in the metadata only."""

    default_tensors: Mapping[str, bytes] = field(default_factory=dict)
    """Default values of inputs as serialized TensorProtos, for requests over gRPC."""


class LoadedModel(Protocol):
    """A loaded version of a model; safe to run from many threads."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """All signatures by name."""

    @property
    def engine(self) -> str:
        """Name of the engine, with the precision if the engine chose one.

        For example ``openvino; precision=bf16``.
        """

    def run(self, signature: str, inputs: Tensors, timeout_s: float | None = None) -> Tensors:
        """Return all outputs of the signature by name, or raise a ModelServerError.

        ``timeout_s`` limits the run; infinity means no limit, None the limit of the engine.
        """

    def close(self) -> None:
        """Free the memory; the model is never run afterwards."""


class Engine(Protocol):
    """Loads version folders."""

    def load(self, path: Path) -> LoadedModel:
        """Load the SavedModel in the folder, or raise a ModelServerError."""

"""Implement the signatures of this project's own exports on top of ``serving_default``.

For engines without string tensors: ``pixels`` scales raw pixels as the model spec says and runs
``serving_default``, ``describe`` returns the model spec, and ``image`` is refused, since only
TensorFlow has the operations that decode image files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from model_catalog.errors import CatalogError
from model_catalog.spec import SPEC_FILE, ModelSpec
from model_server.engines.protocol import DEFAULT_SIGNATURE, Signature, Tensors
from model_server.engines.raw_pixels import Floats, check_pixels, scaler
from model_server.engines.run_limit import RunLimit
from model_server.errors import InvalidArgument, Unimplemented
from serving_api.dtypes import short_name

logger = logging.getLogger(__name__)

#: Maximum rows of one run. Larger requests are split: engines keep the memory of their largest run.
MAX_ROWS: Final = 32

#: The supported signatures, with the names of their only input and output.
_SIGNATURES: Final = {
    DEFAULT_SIGNATURE: ("input_image", "scores"),
    "pixels": ("pixels", "scores"),
    "describe": ("query", "spec"),
}


class Runner(Protocol):
    """A compiled ``serving_default``; safe to use from many threads."""

    @property
    def engine(self) -> str:
        """Name of the engine and its precision, as ``LoadedModel.engine``."""

    def infer(self, images: Floats, limit: RunLimit) -> Floats:
        """Return the scores of [N, height, width, channels], or raise a ModelServerError."""

    def close(self) -> None:
        """Free the memory."""


def read_spec(path: Path) -> ModelSpec | None:
    """Return the model spec of one of this project's exports; None without a valid one."""
    try:
        return ModelSpec.from_json((path / SPEC_FILE).read_bytes())
    except OSError:
        return None
    except CatalogError as error:
        logger.warning("The model spec %s is ignored: %s", path / SPEC_FILE, error)
        return None


def check_signatures(signatures: Mapping[str, Signature]) -> None:
    """Raise Unimplemented unless the signatures are those of this project's exports."""
    for name, (source, result) in _SIGNATURES.items():
        signature = signatures.get(name)
        if signature is None or [*signature.inputs, *signature.outputs] != [source, result]:
            raise Unimplemented(f"There is no signature {name} from {source} to {result}.")


class ExportModel:
    """A loaded export of this project."""

    def __init__(
        self,
        runner: Runner,
        spec: ModelSpec,
        signatures: Mapping[str, Signature],
        *,
        timeout_ms: int,
    ) -> None:
        """``timeout_ms`` limits runs without a limit of their own; 0 or less means no limit."""
        self._runner = runner
        self._spec = spec
        self._signatures = signatures
        self._timeout_ms = timeout_ms
        self._scale = scaler(spec.images)
        self._handlers = {
            DEFAULT_SIGNATURE: self._from_floats,
            "pixels": self._from_pixels,
            "describe": self._description,
        }

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """All signatures of the SavedModel, also those that ``run`` refuses."""
        return self._signatures

    @property
    def engine(self) -> str:
        """The engine of the runner."""
        return self._runner.engine

    def run(self, signature: str, inputs: Tensors, timeout_s: float | None = None) -> Tensors:
        """Return the outputs of the signature, or raise a ModelServerError."""
        if signature not in self._handlers:
            raise InvalidArgument(
                f'Signature "{signature}" needs operations that only TensorFlow has;'
                " start the model server with --engine tensorflow to use it."
            )
        _check_types(self._signatures[signature], inputs)
        limit = RunLimit.from_now(timeout_s, self._timeout_ms)
        return self._handlers[signature](inputs, limit)

    def close(self) -> None:
        """Close the runner."""
        self._runner.close()

    def _from_floats(self, inputs: Tensors, limit: RunLimit) -> Tensors:
        images = inputs["input_image"]
        allowed = (self._spec.images.height, self._spec.images.width, self._spec.images.channels)
        if images.shape[1:] != allowed:
            raise InvalidArgument(
                f"input_image has the shape {list(images.shape)}; allowed is {[-1, *allowed]}."
            )
        return self._scores(images, np.asarray, limit)

    def _from_pixels(self, inputs: Tensors, limit: RunLimit) -> Tensors:
        strings = inputs["pixels"]
        check_pixels(strings, self._spec.images)
        return self._scores(strings, self._scale, limit)

    def _description(self, inputs: Tensors, _limit: RunLimit) -> Tensors:
        text = self._spec.to_json().encode()
        return {"spec": np.full(inputs["query"].shape, text, dtype=object)}

    def _scores(
        self,
        rows: NDArray[Any],
        prepare: Callable[[NDArray[Any]], Floats],
        limit: RunLimit,
    ) -> Tensors:
        starts = range(0, len(rows), MAX_ROWS)
        parts = [self._runner.infer(prepare(rows[at : at + MAX_ROWS]), limit) for at in starts]
        if len(parts) == 1:
            return {"scores": parts[0]}
        nothing = np.empty((0, self._spec.output.classes), np.float32)
        return {"scores": np.concatenate([nothing, *parts])}


def _check_types(signature: Signature, inputs: Tensors) -> None:
    """Raise InvalidArgument, in TensorFlow's words, for an input of another type.

    Only gRPC requests, which name the types of their tensors, can have one.
    """
    for alias, info in signature.inputs.items():
        provided = short_name(inputs[alias])
        if provided != info.dtype:
            raise InvalidArgument(f"Expects arg[0] to be {info.dtype} but {provided} is provided")

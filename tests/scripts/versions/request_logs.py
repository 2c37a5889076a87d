"""Write request logs as the embedded model server does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from model_server.metrics import Metrics
from model_server.request_log.records import Answered, LogKind, SerializedCall
from model_server.request_log.request_log import RequestLog
from serving_api.messages import message
from serving_api.tensor_writer import tensor_bytes
from tests.model_server.request_log.logged import logged_models

SIDE = 4


def pixels(*levels: int) -> NDArrayOfBytes:
    """Return raw pictures of one level each, as the ``pixels`` signature takes them."""
    return strings(*(bytes([level]) * (SIDE * SIDE * 3) for level in levels))


def strings(*values: bytes) -> NDArrayOfBytes:
    array = np.empty(len(values), object)
    array[:] = values
    return array


NDArrayOfBytes = np.ndarray[tuple[int], np.dtype[np.object_]]


class WrittenLog:
    """A request log of two models, one of them ``other``."""

    def __init__(self, folder: Path, model: str = "toy") -> None:
        self.prefix = str(folder / "logs" / model)
        self._log = RequestLog(Metrics())
        self._log.configure(logged_models(self.prefix, model, "other"))

    def add(
        self,
        inputs: Mapping[str, ArrayLike],
        signature: str = "",
        model: str = "toy",
        kind: LogKind = LogKind.PREDICT,
    ) -> None:
        request = message("PredictRequest")()
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            tensor = tensor_bytes(np.asarray(value), as_content=np.asarray(value).dtype != object)
            request.inputs.add(key=name).value.ParseFromString(tensor)
        answered = Answered(kind, 1, signature)
        self._log.offer(model, SerializedCall(answered, request.SerializeToString(), b""))

    def close(self) -> None:
        self._log.stop(10)

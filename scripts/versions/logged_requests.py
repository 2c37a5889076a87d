"""Read the images and tensors in the request logs of the embedded model server.

Only Predict requests have any. A request may have several rows; each is a sample of its own. The
files are searched once, one after the other; the content of a sample is read when it is needed,
since the files together may be larger than the memory.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_catalog.golden import to_png
from model_catalog.request_logs import log_files, record_data, whole_records
from model_catalog.spec import CHANNELS
from scripts.errors import ScriptError
from scripts.gateway.pictures import shown_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The signature of exports that takes raw pixels.
_PIXELS: Final = "pixels"
#: The signature of exports that returns their spec, which every gateway asks for.
_DESCRIBE: Final = "describe"


@dataclass(frozen=True, slots=True)
class LoggedSample:
    """One row of the input of a logged request."""

    path: Path
    start: int
    """Where the record begins in the file, in bytes."""

    size: int
    """The bytes of the record."""

    number: int
    """The number of the request in its file, from 1."""

    row: int
    view: Mapping[str, Any]
    """The input of the model, as ``/models`` describes it: raw pixels do not tell their size."""

    @property
    def name(self) -> str:
        """File, request and row."""
        return f"{shown_path(self.path)}, request {self.number}, row {self.row + 1}"

    def read(self) -> bytes:
        """Return an image file, or a ``.npy`` file for numbers; raise OSError."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            data = record_data(file.read(self.size))
        request = _log_of(data).predict_log.request
        value = _images_of(request)[self.row]
        if not isinstance(value, bytes):
            return _npy(value)
        if request.model_spec.signature_name == _PIXELS:
            return _png(value, self.view)
        return _picture(value)


def find_samples(
    places: Iterable[str], model: str, view: Mapping[str, Any] | None
) -> list[LoggedSample]:
    """Return the samples of a model in log files and in those with a prefix, the oldest first.

    ``view`` is the model's input. Raises ScriptError if there is none.
    """
    places = list(places)
    files = dict.fromkeys(path for place in places for path in _files(place))
    found = [sample for path in files for sample in _samples_in(path, model, view or {})]
    if not found:
        raise ScriptError(
            f"{', '.join(places)}: no Predict request of model {model} found; allowed are request"
            " logs of the embedded model server, each by its path or its filename_prefix."
        )
    return found


def _files(place: str) -> list[Path]:
    return [Path(place)] if Path(place).is_file() else log_files(place)


def _samples_in(path: Path, model: str, view: Mapping[str, Any]) -> Iterator[LoggedSample]:
    start = 0
    for number, (record, data) in enumerate(whole_records(path.read_bytes()), 1):
        for row in range(_rows(data, model)):
            yield LoggedSample(path, start, len(record), number, row, view)
        start += len(record)


def _rows(data: bytes, model: str) -> int:
    """Return the number of rows of a logged request; 0 for one that has no images of the model."""
    from google.protobuf.message import DecodeError

    from serving_api.errors import ModelServerError

    try:
        log = _log_of(data)
        if log.log_metadata.model_spec.name != model or not log.HasField("predict_log"):
            return 0
        return len(_images_of(log.predict_log.request))
    except (DecodeError, ModelServerError):
        return 0


def _log_of(data: bytes) -> Any:  # noqa: ANN401 - a PredictionLog
    from serving_api.messages import message

    return message("PredictionLog").FromString(data)


def _images_of(request: Any) -> list[bytes] | list[NDArray[np.generic]]:  # noqa: ANN401 - a message
    """Return the rows of the images in a PredictRequest; other inputs are small constants."""
    if request.model_spec.signature_name == _DESCRIBE:
        return []
    inputs = [_array(entry.value) for entry in request.inputs]
    images = max(inputs, key=_bytes_of, default=None)
    if images is None:
        return []
    return list(images) if images.ndim else [images[()]]


def _array(tensor: Any) -> NDArray[Any]:  # noqa: ANN401 - a message
    from serving_api import tensor_reader

    return tensor_reader.to_array(tensor_reader.parse(memoryview(tensor.SerializeToString())))


def _bytes_of(array: NDArray[Any]) -> int:
    return sum(map(len, array.reshape(-1))) if array.dtype == object else array.nbytes


def _npy(values: NDArray[Any]) -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _png(pixels: bytes, view: Mapping[str, Any]) -> bytes:
    """Return raw pixels as an image; the model has another size where their number differs."""
    height, width, channels = view["height"], view["width"], CHANNELS[view["color"]]
    if len(pixels) != height * width * channels:
        raise OSError(
            f"the request has {len(pixels)} bytes of pixels; the model takes {height} x {width} x"
            f" {channels}"
        )
    return to_png(pixels, height, width, channels)


def _picture(value: bytes) -> bytes:
    """Return an image file, which may have been sent as base64 text."""
    try:
        return base64.b64decode(value, b"-_", validate=True)
    except binascii.Error:
        return value

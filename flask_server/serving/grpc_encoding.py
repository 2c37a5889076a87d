"""Encode preprocessed images as the PredictRequests of gRPC calls, and read their responses. Pure.

The model's signatures decide, as in ``encoding``: raw pixels as strings for the ``pixels``
signature of our exports, PNG files as strings for a string input, and numbers of the declared type
as bytes for any other. Numbers are neither rounded nor turned into Python objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import pybase64
from numpy.typing import NDArray

from flask_server.errors import ServingError
from flask_server.imaging.preprocessing import Pixels, scale
from flask_server.serving.encoding import (
    arrangement,
    constant_value,
    file_input,
    foreign_input,
    png_file,
    takes_files,
)
from flask_server.serving.outputs import DTYPES, Outputs, outputs_of_columns
from flask_server.serving.signatures import (
    DESCRIBE,
    FLOATS,
    PIXELS,
    STRING,
    USUAL_CALL,
    ForeignCall,
    Signatures,
    TensorInfo,
    constant_inputs,
    image_input,
    is_our_export,
    shorten,
    takes_one_image,
)
from flask_server.serving.upstream import CallFormat, Codec, Encoder, FileEncoder, TensorEncoder
from model_catalog.model_entry import ConstantInput
from model_catalog.protos import number
from model_catalog.spec import InputSpec
from serving_api import protobuf_wire as wire
from serving_api import tensor_reader
from serving_api.dtypes import ENUM_NAMES, SHORT_NAMES
from serving_api.errors import ResourceExhausted
from serving_api.messages import Message, message
from serving_api.tensor_map import entry_pieces, read_entry
from serving_api.tensor_types import dtype_of, tensor_type
from serving_api.tensor_writer import Piece, content_pieces, string_pieces, tensor_bytes

Tensors = dict[str, list[Piece]]
_Value = TypeVar("_Value")

_SPEC: Final = number("PredictRequest", "model_spec")
_INPUTS: Final = number("PredictRequest", "inputs")
_FILTER: Final = number("PredictRequest", "output_filter")
_OUTPUTS: Final = number("PredictResponse", "outputs")
#: TensorFlow's ``DT_`` names in the order of their numbers.
_DTYPE_NAMES: Final = tuple(ENUM_NAMES.values())


def model_spec(
    model: str, version: int | None = None, label: str | None = None, signature: str = ""
) -> Message:
    """Return a ModelSpec for a version, a version label, or neither."""
    spec = message("ModelSpec")(name=model, signature_name=signature)
    if version is not None:
        spec.version.value = version
        spec.version.SetInParent()  # version 0 would be left out otherwise
    if label is not None:
        spec.version_label = label
    return spec


def describe_request(model: str, version: int, signatures: Signatures) -> bytes:
    """Return the PredictRequest that reads the spec of our exports."""
    name = image_input(signatures, ForeignCall(signature=DESCRIBE)).name
    target = model_spec(model, version, signature=DESCRIBE)
    return _request(target, {name: string_pieces([b"spec"])})


def choose_codec(target: Message, format_: CallFormat) -> Codec:
    """Return encoders and readers for a model with these signatures, or raise ServingError.

    ``target`` is a ModelSpec, whose signature is still to be set.
    """
    signatures, spec, call = format_.signatures, format_.spec, format_.call
    output, outputs = format_.output, format_.outputs
    wanted = [tensor.name for tensor in outputs] or ([] if output is None else [output])
    is_one = not is_our_export(signatures) and takes_one_image(signatures, call)
    sends_files = takes_files(signatures, spec, call)
    return Codec(
        encode=choose_encoder(target, signatures, spec, call, wanted) if spec else None,
        encode_files=file_encoder(target, signatures, call, wanted) if sends_files else None,
        encode_tensors=tensor_encoder(target, signatures, call, wanted),
        rows=partial(rows_of, output=output, is_one=is_one),
        outputs=partial(outputs_of, outputs=outputs, is_one=is_one),
    )


def choose_encoder(
    target: Message,
    signatures: Signatures,
    spec: InputSpec,
    call: ForeignCall = USUAL_CALL,
    wanted: Sequence[str] = (),
) -> Encoder:
    """Return the encoder of images, or raise ServingError.

    ``wanted`` are the names of the outputs to ask for, none for all.
    """
    if is_our_export(signatures):
        named = _with_signature(target, PIXELS)
        name = image_input(signatures, ForeignCall(signature=PIXELS)).name
        return lambda images: _request(
            named, {name: string_pieces([*map(_memory, images)])}, wanted
        )
    image = foreign_input(signatures, spec, call)
    if image.dtype != STRING:
        return _request_encoder(target, signatures, call, wanted, _writer(image, spec))
    write = _file_writer(image, call)
    return _request_encoder(
        target, signatures, call, wanted, lambda images: write([*map(png_file, images)])
    )


def file_encoder(
    target: Message, signatures: Signatures, call: ForeignCall, wanted: Sequence[str] = ()
) -> FileEncoder:
    """Return the encoder for the bytes of image files, or raise ServingError."""
    write = _file_writer(file_input(signatures, call), call)
    return _request_encoder(target, signatures, call, wanted, write)


def tensor_encoder(
    target: Message,
    signatures: Signatures,
    call: ForeignCall = USUAL_CALL,
    wanted: Sequence[str] = (),
) -> TensorEncoder:
    """Return the encoder for tensors of numbers, of the input's shape and dtype."""
    write = partial(_tensor_pieces, image_input(signatures, call))
    return _request_encoder(target, signatures, call, wanted, write)


def _with_signature(target: Message, signature: str) -> Message:
    named = message("ModelSpec")()
    named.CopyFrom(target)
    named.signature_name = signature
    return named


def _request_encoder(
    target: Message,
    signatures: Signatures,
    call: ForeignCall,
    wanted: Sequence[str],
    write: Callable[[Sequence[_Value]], list[Piece]],
) -> Callable[[Sequence[_Value]], bytes]:
    """Return the function from values of the input to the body of a call with its constants."""
    named = _with_signature(target, call.signature)
    tensor, constants = image_input(signatures, call), constant_inputs(signatures, call)
    for constant in constants:
        _constant(constant, call.constants[constant.name], 1)  # so that its errors are raised first

    def encode(values: Sequence[_Value]) -> bytes:
        tensors = {tensor.name: write(values)}
        for constant in constants:
            value = call.constants[constant.name]
            tensors[constant.name] = [_constant(constant, value, len(values))]
        return _request(named, tensors, wanted)

    return encode


def _constant(tensor: TensorInfo, value: ConstantInput, count: int) -> bytes:
    """Return a constant input for so many images, or raise ServingError if it has no such type."""
    given = constant_value(tensor, value, count)
    try:
        return tensor_bytes(_array(given, tensor.dtype), as_content=True)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ServingError(
            f"The value of the models file for the input {tensor} is not {shorten(tensor.dtype)}."
        ) from error


def _array(value: object, dtype_name: str) -> NDArray[Any]:
    if dtype_name == STRING:
        texts = np.array(value, dtype=object)
        texts.reshape(-1)[:] = [text.encode() for text in texts.reshape(-1)]
        return texts
    kind = tensor_type(dtype_of(SHORT_NAMES[dtype_name]))
    if kind is None:
        raise TypeError(f"no numbers have the type {dtype_name}")
    return np.array(value, kind.dtype)


def _file_writer(image: TensorInfo, call: ForeignCall) -> Callable[[Sequence[bytes]], list[Piece]]:
    """Return the function from image files to strings; some graphs want base64 text."""

    def write(files: Sequence[bytes]) -> list[Piece]:
        strings = [*map(pybase64.urlsafe_b64encode, files)] if call.sends_base64 else files
        return string_pieces(strings, is_scalar=image.is_scalar)

    return write


def _tensor_pieces(declared: TensorInfo, tensors: Sequence[NDArray[Any]]) -> list[Piece]:
    """Return tensors of numbers as one TensorProto; a scalar input takes exactly one."""
    dtype = dtype_of(SHORT_NAMES[declared.dtype])
    kind = tensor_type(dtype)
    assert kind is not None  # noqa: S101 - tensors for other types are refused before
    shape = tensors[0].shape if declared.is_scalar else (len(tensors), *tensors[0].shape)
    # Views of bytes: Python has no buffers of bfloat16.
    content = [np.ascontiguousarray(one, kind.dtype).view(np.uint8).data for one in tensors]
    return content_pieces(dtype, shape, content)


def _writer(image: TensorInfo, spec: InputSpec) -> Callable[[Sequence[Pixels]], list[Piece]]:
    """Return the function from images to a tensor of numbers of the declared type."""
    dtype = dtype_of(SHORT_NAMES[image.dtype])
    kind = tensor_type(dtype)
    assert kind is not None  # noqa: S101 - foreign_input lets types of numbers pass only
    arrange = arrangement(image.shape, spec)
    mode = spec.scale if image.dtype in FLOATS else None

    def write(images: Sequence[Pixels]) -> list[Piece]:
        scaled = (pixels if mode is None else scale(pixels, mode) for pixels in images)
        arrays = [arrange(pixels).astype(kind.dtype, copy=False) for pixels in scaled]
        shape = (len(arrays), *arrays[0].shape)
        return content_pieces(dtype, shape, [_memory(array) for array in arrays])

    return write


def _memory(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).data


def _request(target: Message, inputs: Tensors, wanted: Sequence[str] = ()) -> bytes:
    spec = wire.length_delimited(_SPEC, target.SerializeToString())
    chosen = [wire.length_delimited(_FILTER, name.encode()) for name in wanted]
    tensors = [
        piece for name, tensor in inputs.items() for piece in entry_pieces(_INPUTS, name, tensor)
    ]
    # One join: a batch of images has megabytes, and each copy would touch new memory.
    return b"".join([spec, *chosen, *tensors])


def read_outputs(response: bytes, max_bytes: int) -> dict[str, NDArray[Any]]:
    """Return the outputs of a PredictResponse, as views of its bytes where that is possible.

    Raises a ModelServerError if the bytes are not such a message, or if the outputs take more than
    ``max_bytes`` together.
    """
    left = max_bytes

    def reserve(size: int) -> None:
        nonlocal left
        left -= size
        if left < 0:
            needed = max_bytes - left
            raise ResourceExhausted(f"The outputs need {needed} bytes; {max_bytes} are allowed")

    entries = dict(
        read_entry(content)
        for place, kind, content in wire.fields(memoryview(response))
        if place == _OUTPUTS and kind == wire.BYTES
    )
    return {name: tensor_reader.to_array(tensor, reserve) for name, tensor in entries.items()}


def rows_of(outputs: Mapping[str, NDArray[Any]], output: str | None, *, is_one: bool) -> list[Any]:
    """Return the rows of the named output, or of the only one; raise ServingError without it.

    Strings become texts, as in JSON; of numbers, each row is an array or a number. With ``is_one``
    the output is that of one image, and may lack the dimension of the images.
    """
    name = next(iter(outputs)) if output is None and len(outputs) == 1 else output
    array = None if name is None else outputs.get(name)
    if array is None:
        raise ServingError(f"Serving's response lacks the output {name or 'with the scores'}.")
    if array.dtype == object:
        return [value.decode(errors="replace") for value in array.reshape(-1)]
    numbers = _numbers(array)
    if is_one and not (numbers.ndim and len(numbers) == 1):
        return [numbers]
    if not numbers.ndim:
        raise ServingError(f"The output {name} in Serving's response has no row for an image.")
    return list(numbers)


def _numbers(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if array.dtype.kind not in "fiu":
        raise ServingError("The scores in Serving's response are not numbers.")
    return array


def outputs_of(
    response: Mapping[str, NDArray[Any]],
    *,
    count: int,
    outputs: Sequence[TensorInfo],
    is_one: bool,
) -> list[Outputs]:
    """Return the named outputs of each image, or raise ServingError.

    Strings become texts, as in JSON, or base64 objects if the name of the output ends in
    ``_bytes``. With ``is_one`` the outputs may lack the dimension of the images.
    """
    columns = {tensor.name: _column(response.get(tensor.name), tensor) for tensor in outputs}
    found: object = columns[outputs[0].name] if len(outputs) == 1 else columns
    return outputs_of_columns(found, count=count, outputs=outputs, is_one=is_one)


def _column(array: NDArray[Any] | None, declared: TensorInfo) -> object:
    """Return the rows of an output, or the only value of a scalar."""
    if array is None:
        raise ServingError(f"Serving's response lacks the output {declared.name}.")
    if (array.dtype == object) != (declared.dtype not in DTYPES):
        raise ServingError(f"The output {declared.name} in Serving's response has another type.")
    if array.dtype == object:
        read = _base64_object if declared.name.endswith("_bytes") else _text
        return _mapped(read, array.tolist())
    numbers = array.astype(np.float32) if array.dtype.name == "bfloat16" else array
    return list(numbers) if numbers.ndim else numbers[()]


def _mapped(read: Callable[[bytes], object], values: Any) -> object:  # noqa: ANN401 (nested lists)
    return [_mapped(read, one) for one in values] if isinstance(values, list) else read(values)


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _base64_object(value: bytes) -> dict[str, str]:
    return {"b64": pybase64.b64encode(value).decode()}


def signatures_of(definitions: Message) -> dict[str, Any]:
    """Return the signatures of a SignatureDefMap in the form of REST's ``signature_def``."""
    return {entry.key: _signature(entry.value) for entry in definitions.signature_def}


def _signature(definition: Message) -> dict[str, Any]:
    return {
        "inputs": {entry.key: _tensor(entry.value) for entry in definition.inputs},
        "outputs": {entry.key: _tensor(entry.value) for entry in definition.outputs},
        "method_name": definition.method_name,
    }


def _tensor(info: Message) -> dict[str, Any]:
    shape, dtype = info.tensor_shape, info.dtype
    is_open = shape.unknown_rank or not info.HasField("tensor_shape")
    known = 0 <= dtype < len(_DTYPE_NAMES)
    return {
        "name": info.name,
        "dtype": _DTYPE_NAMES[dtype] if known else f"type {dtype}",
        "tensor_shape": {
            "dim": [{"size": dim.size, "name": dim.name} for dim in shape.dim],
            "unknown_rank": is_open,
        },
    }

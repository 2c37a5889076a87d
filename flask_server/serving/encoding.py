"""Encode preprocessed images as the JSON bodies of predict calls.

The model's signatures decide: raw pixels in base64 for the ``pixels`` signature of our exports,
PNG files in base64 for a string input, integers for an integer input, and rounded floats for a
float input. Pure: specs and signatures in, bytes out.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import orjson
import pybase64
from numpy.typing import NDArray
from PIL import Image

from flask_server.errors import ServingError
from flask_server.imaging.preprocessing import Pixels, scale
from flask_server.serving.outputs import outputs_of_columns, read_outputs
from flask_server.serving.scores import rows_of_columns, rows_of_output
from flask_server.serving.signatures import (
    DESCRIBE,
    FLOATS,
    STRING,
    USUAL_CALL,
    ForeignCall,
    Signatures,
    TensorInfo,
    constant_inputs,
    image_input,
    is_channels_first,
    is_our_export,
    shorten,
    takes_one_image,
)
from flask_server.serving.upstream import CallFormat, Codec, Encoder, FileEncoder, TensorEncoder
from model_catalog.model_entry import SERVING_DEFAULT, ConstantInput
from model_catalog.spec import InputSpec

_Value = TypeVar("_Value")

_DESCRIBE = {"signature_name": DESCRIBE, "instances": ["spec"]}
INTEGERS = ("DT_UINT8", "DT_INT32", "DT_INT64", "DT_UINT32", "DT_UINT64")

#: Six decimals keep preprocessed values to 1e-6 and halve the body of full-precision floats.
_DECIMALS = 6


def describe_request() -> bytes:
    """Return the body of the predict call that reads the spec of our exports."""
    return json.dumps(_DESCRIBE).encode()


def choose_codec(format_: CallFormat) -> Codec:
    """Return encoders and readers for a model with these signatures, or raise ServingError."""
    signatures, spec, call = format_.signatures, format_.spec, format_.call
    output, outputs = format_.output, format_.outputs
    in_columns = not is_our_export(signatures) and needs_columns(signatures, call)
    is_one = in_columns and takes_one_image(signatures, call)
    return Codec(
        encode=choose_encoder(signatures, spec, call) if spec else None,
        encode_files=file_encoder(signatures, call)
        if takes_files(signatures, spec, call)
        else None,
        encode_tensors=tensor_encoder(signatures, call),
        rows=partial(rows_of_columns, name=output, is_one=is_one)
        if in_columns
        else partial(rows_of_output, output=output),
        outputs=partial(outputs_of_columns, outputs=outputs, is_one=is_one)
        if in_columns
        else partial(read_outputs, outputs=outputs),
    )


def choose_encoder(
    signatures: Signatures, spec: InputSpec, call: ForeignCall = USUAL_CALL
) -> Encoder:
    """Return the encoder for a model with these signatures, or raise ServingError."""
    if is_our_export(signatures):
        return encode_raw
    tensor = foreign_input(signatures, spec, call)
    return _body_encoder(signatures, _image_encoder(tensor, spec, call), call)


def tensor_encoder(signatures: Signatures, call: ForeignCall = USUAL_CALL) -> TensorEncoder:
    """Return the encoder for tensors of finite numbers; floats keep their whole precision."""
    return _body_encoder(signatures, _tensor_value, call)


def file_encoder(signatures: Signatures, call: ForeignCall) -> FileEncoder:
    """Return the encoder for the bytes of image files, or raise ServingError."""
    file_input(signatures, call)
    return _body_encoder(signatures, _base64_of_file if call.sends_base64 else _b64_object, call)


def takes_files(signatures: Signatures, spec: InputSpec | None, call: ForeignCall) -> bool:
    """Tell whether the model gets image files as they are: strings, whose images have no size."""
    return spec is None and image_input(signatures, call).dtype == STRING


def file_input(signatures: Signatures, call: ForeignCall) -> TensorInfo:
    """Return the input for image files, or raise ServingError if it has another shape."""
    tensor = image_input(signatures, call)
    if len(tensor.shape) > 1 or (tensor.shape and tensor.shape[0] not in (-1, 1)):
        raise ServingError(
            f"The model's input {tensor} cannot take image files, which are sent in the shape [-1]."
        )
    return tensor


def _body_encoder(
    signatures: Signatures, encode: Callable[[_Value], bytes], call: ForeignCall
) -> Callable[[Sequence[_Value]], bytes]:
    """Return the function from values of the input to the body of a call."""
    if needs_columns(signatures, call):
        tensor, constants = image_input(signatures, call), constant_inputs(signatures, call)
        return lambda values: _columns(tensor, [*map(encode, values)], constants, call)
    is_default = call.signature == SERVING_DEFAULT
    start = b"{" if is_default else b'{"signature_name":%b,' % _json(call.signature)
    return lambda values: b'%b"instances":[%b]}' % (start, b",".join(map(encode, values)))


def _tensor_value(tensor: NDArray[Any]) -> bytes:
    # orjson writes arrays, but of no dimensions only numpy's scalars.
    return orjson.dumps(tensor if tensor.ndim else tensor[()], option=orjson.OPT_SERIALIZE_NUMPY)


def needs_columns(signatures: Signatures, call: ForeignCall) -> bool:
    """Tell whether the call must be in column format: row format has no scalars and constants."""
    return bool(call.constants) or image_input(signatures, call).is_scalar


def _image_encoder(
    tensor: TensorInfo, spec: InputSpec, call: ForeignCall
) -> Callable[[Pixels], bytes]:
    """Return the function from an image to the JSON of its value."""
    if tensor.dtype == STRING:
        return _base64_value if call.sends_base64 else _file_value
    arrange = arrangement(tensor.shape, spec)
    if tensor.dtype in INTEGERS:
        return lambda pixels: _json(arrange(pixels).tolist())
    return lambda pixels: _json(arrange(_rounded(pixels, spec.scale)).tolist())


def foreign_input(signatures: Signatures, spec: InputSpec, call: ForeignCall) -> TensorInfo:
    """Return the image input of a foreign model, or raise ServingError if it takes no such images.

    Its type is DT_STRING, or one of ``INTEGERS`` or ``FLOATS``.
    """
    tensor = image_input(signatures, call)
    _check_shape(tensor, spec)
    supported = (STRING, *INTEGERS, *FLOATS)
    if tensor.dtype not in supported:
        raise ServingError(
            f"The model's input {tensor} is {shorten(tensor.dtype)}; supported are"
            f" {', '.join(supported)}."
        )
    return tensor


def _columns(
    tensor: TensorInfo, values: Sequence[bytes], constants: Sequence[TensorInfo], call: ForeignCall
) -> bytes:
    """Return a body in column format; of a scalar input, ``values`` has exactly one."""
    images = values[0] if tensor.is_scalar else b"[%b]" % b",".join(values)
    columns = [(tensor.name, images)]
    for constant in constants:
        value = call.constants[constant.name]
        columns.append((constant.name, _json(constant_value(constant, value, len(values)))))
    inputs = b",".join(b"%b:%b" % (_json(name), column) for name, column in columns)
    return b'{"signature_name":%b,"inputs":{%b}}' % (_json(call.signature), inputs)


def constant_value(tensor: TensorInfo, value: ConstantInput, count: int) -> object:
    """Return the value for so many images: an input for any number gets it once per image."""
    if tensor.shape[:1] == (-1,):
        return [value] * count
    return [value] if tensor.shape == (1,) and not isinstance(value, list) else value


def _check_shape(tensor: TensorInfo, spec: InputSpec) -> None:
    """Raise ServingError if images of this spec do not have the shape that the input declares."""
    if tensor.is_scalar and tensor.dtype != STRING:
        raise ServingError(f"The model's input {tensor} takes a single number and no image.")
    if not tensor.shape:
        return
    batch, *declared = tensor.shape
    if batch not in (-1, 1):
        raise ServingError(
            f"The model's input {tensor} takes exactly {batch} images at a time; needed is any"
            " number (-1), or 1."
        )
    sent = () if tensor.dtype == STRING else _sent_shape(tensor.shape, spec)
    fits = len(sent) == len(declared) and all(
        size in (-1, length) for size, length in zip(declared, sent, strict=True)
    )
    if not fits:
        size = f"{spec.color} images of {spec.height} x {spec.width} pixels"
        images = "image files" if tensor.dtype == STRING else size
        raise ServingError(
            f"The model's input {tensor} cannot take {images}, which are sent in the shape"
            f" {[-1, *sent]}."
        )


def _sent_shape(shape: tuple[int, ...], spec: InputSpec) -> tuple[int, ...]:
    """Return the shape of one image as ``arrangement`` arranges it."""
    if is_channels_first(shape):
        return spec.channels, spec.height, spec.width
    if len(shape) == 3 and spec.channels == 1:
        return spec.height, spec.width
    if len(shape) == 2:
        return (spec.height * spec.width * spec.channels,)
    return spec.height, spec.width, spec.channels


def encode_raw(images: Sequence[Pixels]) -> bytes:
    """Encode images as raw bytes in base64, for the ``pixels`` signature."""
    texts = [pybase64.b64encode(np.ascontiguousarray(pixels).data) for pixels in images]
    # One join: the body of eight images has a megabyte, and each copy would touch new memory.
    rest = [piece for text in texts for piece in (b'"},{"b64":"', text)][1:]
    return b"".join((b'{"signature_name":"pixels","instances":[{"b64":"', *rest, b'"}]}'))


def _file_value(pixels: Pixels) -> bytes:
    """Return a PNG file as Serving takes bytes, for graphs that decode files themselves."""
    return _b64_object(png_file(pixels))


def _base64_value(pixels: Pixels) -> bytes:
    """Return a PNG file as text, for graphs that decode base64 too: the URL-safe alphabet."""
    return _base64_of_file(png_file(pixels))


def _b64_object(file: bytes) -> bytes:
    return b'{"b64":"%b"}' % pybase64.b64encode(file)


def _base64_of_file(file: bytes) -> bytes:
    return b'"%b"' % pybase64.urlsafe_b64encode(file)


def png_file(pixels: Pixels) -> bytes:
    """Return the bytes of a PNG file."""
    file = io.BytesIO()
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    # An image of the model's input size is small: speed matters more than bytes.
    Image.fromarray(flat).save(file, "PNG", compress_level=1)
    return file.getvalue()


def arrangement(shape: tuple[int, ...], spec: InputSpec) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the function from [height, width, channels] to the declared shape of one image."""
    if is_channels_first(shape):
        return lambda array: array.transpose(2, 0, 1)
    sent = _sent_shape(shape, spec)
    return lambda array: array.reshape(sent)


def _rounded(pixels: Pixels, mode: str) -> NDArray[np.float64]:
    return scale(pixels, mode).astype(np.float64).round(_DECIMALS)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")

"""Read the images or the tensor of a request from JSON, a form, files or a raw body.

``web.parameters`` reads the parameters beside them. Image formats are not looked at here. An image
that cannot be read is replaced by its error, so that the other images of the request are still
classified. A body that begins like an image is one, whatever its Content-Type says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Request

from flask_server.errors import (
    BadRequest,
    BodyTooLarge,
    InvalidJson,
    InvalidParameter,
    InvalidTensor,
    MissingImage,
    TooManyImages,
    UnsupportedMediaType,
    copied,
)
from flask_server.imaging.formats import sniff
from flask_server.inference.npy import is_npy, json_tensor, read_npy
from flask_server.inference.preparation import Upload
from flask_server.json_reader import TooDeep, TooManyValues, read_bounded_json
from flask_server.web.base64_text import decode_base64
from flask_server.web.forms import MULTIPART, URL_ENCODED, Field, form_of, read_form, texts_of
from flask_server.web.negotiation import NPY
from flask_server.web.parameters import (
    IMAGE,
    IMAGES,
    PARAMETERS,
    TENSOR,
    check_names,
    list_name,
    query_of,
    single_values,
)
from model_catalog.errors import shown

#: The bytes of ASCII text.
_ASCII = bytes([*b"\t\r\n", *range(0x20, 0x7F)])
_RAW = ("application/octet-stream", "")
#: The names of JSON's types.
_JSON_TYPES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    bool: "a boolean",
    **dict.fromkeys((int, float), "a number"),
}
#: White space and the byte order mark of UTF-8.
_BEFORE_JSON = b" \t\r\n\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Submission:
    """The images or the tensor, and the parameters of one request."""

    uploads: list[Upload]
    several: bool
    parameters: Mapping[str, Any]


def read_submission(
    request: Request, max_images: int, allowed: Sequence[str] = PARAMETERS
) -> Submission:
    """Read the body by its content type, and parameters from the query as well."""
    encoding = request.headers.get("Content-Encoding", "")
    if encoding.strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType(f"The Content-Encoding {shown(encoding)} is not supported.")
    submission = _from_body(request, request.get_data(cache=False), max_images)
    parameters = single_values(query_of(request)) | dict(submission.parameters)
    check_names(parameters, allowed)
    return Submission(submission.uploads, submission.several, parameters)


def form_base64(request: Request) -> bytes:
    """Return the image of the form field ``b64``; raise MissingImage or InvalidBase64."""
    text = texts_of(form_of(request)).get("b64")
    if not text:
        raise MissingImage("The form has no image: its field b64 is missing or empty.")
    return decode_base64(text, from_form=True)


def form_file(request: Request) -> Upload:
    """Return the image or tensor of the form field ``file``; raise MissingImage."""
    data = next((field.data for field in form_of(request) if field.name == "file"), b"")
    if not data:
        raise MissingImage("The form has no image: its field file is missing or empty.")
    return _tensor_of(data) if is_npy(data) else data


def _from_body(request: Request, body: bytes, max_images: int) -> Submission:
    kind = request.mimetype
    if is_npy(body) or kind == NPY:
        return Submission([_tensor_of(body)], False, {})
    is_image = sniff(body) is not None
    if not is_image and _is_json(kind, body):
        return _from_json(body, max_images)
    if is_image or kind in _RAW or kind.startswith("image/"):
        return Submission([_or_missing(body)], False, {})
    if kind in {MULTIPART, URL_ENCODED}:
        return _from_form(read_form(request.content_type or "", body), max_images)
    raise UnsupportedMediaType(
        f"Bodies of type {kind} are not read; allowed are application/json, {MULTIPART}, "
        f"{URL_ENCODED}, image/*, {NPY} and application/octet-stream."
    )


def _is_json(kind: str, body: bytes) -> bool:
    """Return whether the body is JSON; without a Content-Type, its first character tells."""
    if not kind:
        return body[:64].lstrip(_BEFORE_JSON).startswith(b"{")
    return kind == "application/json" or kind.endswith("+json")


def _from_json(body: bytes, max_images: int) -> Submission:
    document = _json_object(body)
    if document.get(TENSOR) is not None:
        return _from_json_tensor(document)
    document.pop(TENSOR, None)
    single, several = document.pop(IMAGE, None), document.pop(IMAGES, None)
    if several is None:
        return Submission([_attempt(single, from_form=False)], False, document)
    if single is not None:
        raise InvalidParameter("image and images are both given; one of them is allowed.")
    if not isinstance(several, list) or not several:
        raise InvalidParameter("images must be a list with at least one image.")
    _check_count(len(several), max_images)
    return Submission([_attempt(item, from_form=False) for item in several], True, document)


def _from_json_tensor(document: dict[str, Any]) -> Submission:
    tensor = document.pop(TENSOR)
    given = next((name for name in (IMAGE, IMAGES) if document.pop(name, None) is not None), None)
    if given is not None:
        raise InvalidParameter(f"tensor and {given} are both given; one of them is allowed.")
    return Submission([json_tensor(tensor)], False, document)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = read_bounded_json(body)
    except TooManyValues as error:
        raise BodyTooLarge(str(error)) from error
    except TooDeep as error:
        raise InvalidJson(str(error)) from error
    except ValueError as error:
        raise InvalidJson(f"The body is not JSON: {str(error)[:100]}.") from error
    if not isinstance(document, dict):
        raise InvalidJson("The body is JSON, but not an object.")
    return document


def _from_form(form: Sequence[Field], max_images: int) -> Submission:
    images = [field for field in form if list_name(field.name) in {IMAGE, TENSOR}]
    others = [field for field in form if list_name(field.name) not in {IMAGE, TENSOR}]
    stray = {field.name for field in others if field.has_filename or field.name == IMAGES}
    if stray:
        raise InvalidParameter(
            f"The form field {shown(min(stray))} is not read; put each image into the field image."
        )
    _check_count(len(images), max_images)
    if not images:
        raise MissingImage(
            f"The form has no field {IMAGE!r}. A body that is no form needs another Content-Type: "
            "application/json, or the type of the image file, for example image/jpeg."
        )
    uploads = [_image_of(field) for field in images]
    return Submission(uploads, len(uploads) > 1, single_values(texts_of(others)))


def _image_of(field: Field) -> Upload:
    """Return the bytes of a file, of the base64 text in a field that is no file, or a tensor."""
    if is_npy(field.data):
        return _tensor_of(field.data)
    if field.name == TENSOR:
        return _json_tensor_of(field.data)
    if field.has_filename or field.media_type.startswith("image/") or _is_binary(field.data):
        return _or_missing(field.data)
    return _attempt(field.text, from_form=True)


def _tensor_of(data: bytes) -> Upload:
    try:
        return read_npy(data)
    except InvalidTensor as error:
        return copied(error)


def _json_tensor_of(data: bytes) -> Upload:
    """Return the tensor that the text of a form field writes as JSON."""
    try:
        return json_tensor(read_bounded_json(data))
    except TooManyValues as error:
        return BodyTooLarge(str(error))
    except ValueError:
        return InvalidTensor("The field tensor is neither a .npy file nor a JSON list of numbers.")
    except InvalidTensor as error:
        return copied(error)


def _is_binary(data: bytes) -> bool:
    """Return whether the bytes are no text; a few odd bytes in base64 are a defect of the text."""
    if sniff(data) is not None:
        return True
    odd = len(data.translate(None, _ASCII))
    return odd * 10 > len(data) and not _is_utf8(data)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _or_missing(data: bytes) -> Upload:
    return data or MissingImage("The image has no bytes.")


def _attempt(value: object, *, from_form: bool) -> Upload:
    """Return the bytes of one base64 text, or the error that it causes."""
    if value is None or value == "":
        return MissingImage("The image is missing or empty; allowed is a base64 string.")
    if not isinstance(value, str):
        kind = _JSON_TYPES[type(value)]
        return InvalidParameter(f"An image is {kind}; allowed is a base64 string.")
    try:
        return decode_base64(value, from_form=from_form)
    except BadRequest as error:
        return copied(error)


def _check_count(count: int, max_images: int) -> None:
    if count > max_images:
        raise TooManyImages(f"The request has {count} images; at most {max_images} are allowed.")

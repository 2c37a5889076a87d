"""Read the images of a request from JSON, a form, files or a raw body.

``web.parameters`` reads the parameters beside them. Image formats are not looked at here. An image
that cannot be read is replaced by its error, so that the other images of the request are still
classified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Request

from flask_server.errors import (
    BadRequest,
    InvalidJson,
    InvalidParameter,
    MissingImage,
    TooManyImages,
    UnsupportedMediaType,
)
from flask_server.inference.preparation import Upload
from flask_server.json_reader import read_json
from flask_server.web.base64_text import decode_base64
from flask_server.web.parameters import IMAGE, IMAGES, PARAMETERS, check_names, single_values
from model_catalog.errors import shown

_RAW = ("application/octet-stream", "")
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Submission:
    """The images and parameters of one request."""

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
    kind = request.mimetype
    if kind == "application/json" or kind.endswith("+json"):
        submission = _from_json(request, max_images)
    elif kind in {_MULTIPART, _FORM}:
        submission = _from_form(request, max_images)
    elif kind in _RAW or kind.startswith("image/"):
        upload = _or_missing(request.get_data(cache=False))
        submission = Submission([upload], False, {})
    else:
        raise UnsupportedMediaType(
            f"Bodies of type {kind} are not read; allowed are application/json, {_MULTIPART}, "
            f"{_FORM}, image/* and application/octet-stream."
        )
    parameters = single_values(request.args) | dict(submission.parameters)
    check_names(parameters, allowed)
    return Submission(submission.uploads, submission.several, parameters)


def form_base64(text: str | None) -> bytes:
    """Return the image of a base64 form field; raise MissingImage or InvalidBase64."""
    if not text:
        raise MissingImage("The form has no image: its field b64 is missing or empty.")
    return decode_base64(text, from_form=True)


def _from_json(request: Request, max_images: int) -> Submission:
    try:
        document = read_json(request.get_data(cache=False))
    except (ValueError, RecursionError) as error:
        raise InvalidJson(f"The body is not JSON: {str(error)[:100]}.") from error
    if not isinstance(document, dict):
        raise InvalidJson("The body is JSON, but not an object.")
    single, several = document.pop(IMAGE, None), document.pop(IMAGES, None)
    if several is None:
        return Submission([_attempt(single, from_form=False)], False, document)
    if single is not None:
        raise InvalidParameter("image and images are both given; one of them is allowed.")
    if not isinstance(several, list) or not several:
        raise InvalidParameter("images must be a list with at least one image.")
    _check_count(len(several), max_images)
    return Submission([_attempt(item, from_form=False) for item in several], True, document)


def _from_form(request: Request, max_images: int) -> Submission:
    stray = set(request.files) - {IMAGE} | {IMAGES} & set(request.form)
    if stray:
        raise InvalidParameter(
            f"The form field {shown(min(stray))} is not read; put each image into the field image."
        )
    files, texts = request.files.getlist(IMAGE), request.form.getlist(IMAGE)
    _check_count(len(files) + len(texts), max_images)
    uploads: list[Upload] = [_or_missing(file.read()) for file in files]
    uploads += [_attempt(item, from_form=True) for item in texts]
    if not uploads:
        raise MissingImage(
            f"The form has no field {IMAGE!r}. A body that is no form needs another Content-Type: "
            "application/json, or the type of the image file, for example image/jpeg."
        )
    fields = single_values(request.form)
    fields.pop(IMAGE, None)
    return Submission(uploads, len(uploads) > 1, fields)


def _or_missing(data: bytes) -> Upload:
    return data or MissingImage("The image has no bytes.")


def _attempt(value: object, *, from_form: bool) -> Upload:
    """Return the bytes of one base64 text, or the error that it causes."""
    if value is None or value == "":
        return MissingImage("The image is missing or empty; allowed is a base64 string.")
    if not isinstance(value, str):
        kind = type(value).__name__
        return InvalidParameter(f"An image has the type {kind}; allowed is a base64 string.")
    try:
        return decode_base64(value, from_form=from_form)
    except BadRequest as error:
        return error


def _check_count(count: int, max_images: int) -> None:
    if count > max_images:
        raise TooManyImages(f"{count} images came; at most {max_images} per request are allowed.")

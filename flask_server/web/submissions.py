"""Take the pictures and the parameters out of a request, whatever form they come in.

Knows HTTP but neither models nor picture formats. A picture that cannot be had becomes its error in
the list, so that the others of the same request are still classified.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Request
from werkzeug.datastructures import MultiDict

from flask_server.errors import (
    BadRequest,
    InvalidJson,
    InvalidParameter,
    MissingImage,
    TooManyImages,
    UnsupportedMediaType,
)
from flask_server.inference.predict import Upload
from flask_server.json_reader import read_json
from flask_server.web.base64_text import decode_base64
from model_catalog.errors import shown

IMAGE = "image"
IMAGES = "images"
PARAMETERS = ("top_k", "threshold", "labels", "version", "label", "report")

_RAW = ("application/octet-stream", "")
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_WORD = re.compile(r"\w[\w-]{0,127}")


@dataclass(frozen=True, slots=True)
class Submission:
    """What one request brought."""

    uploads: list[Upload]
    several: bool
    parameters: Mapping[str, Any]


def read_submission(
    request: Request, max_images: int, allowed: Sequence[str] = PARAMETERS
) -> Submission:
    """Read the request by its content type; parameters may stand in the query as well."""
    encoding = request.headers.get("Content-Encoding", "")
    if encoding.strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType(f"Bodies encoded as {shown(encoding)} are not read.")
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
    parameters = _single(request.args) | dict(submission.parameters)
    _check_known(parameters, allowed)
    return Submission(submission.uploads, submission.several, parameters)


def form_base64(text: str | None) -> bytes:
    """Return the picture in a base64 form field, or raise why there is none."""
    if not text:
        raise MissingImage("The form has no picture: its field b64 is absent or empty.")
    return decode_base64(text, from_form=True)


def whole_number(parameters: Mapping[str, Any], name: str, least: int) -> int | None:
    """Return a parameter as whole number, None where it is absent."""
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidParameter(f"{name} is {shown(value)}; allowed is a whole number from {least}.")
    return value


def fraction(parameters: Mapping[str, Any], name: str) -> float | None:
    """Return a parameter as a number from 0 to 1, None where it is absent."""
    value = parameters.get(name)
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise InvalidParameter(f"{name} is {shown(value)}; allowed is a number from 0 to 1.")
    return number


def flag(parameters: Mapping[str, Any], name: str) -> bool:
    """Return a parameter as truth value, False where it is absent."""
    value = parameters.get(name)
    meaning = {None: False, True: True, False: False, "true": True, "false": False}
    meaning |= {"1": True, "0": False}
    if not isinstance(value, str | bool | None) or value not in meaning:
        raise InvalidParameter(f"{name} is {shown(value)}; allowed is true or false.")
    return meaning[value]


def texts(parameters: Mapping[str, Any], name: str) -> list[str] | None:
    """Return a parameter as list of texts, None where it is absent; one text is split at commas."""
    value = parameters.get(name)
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not parts or not all(isinstance(p, str) for p in parts):
        raise InvalidParameter(f"{name} is {shown(value)}; allowed is a list of texts.")
    return parts


def version_label(parameters: Mapping[str, Any]) -> str | None:
    """Return the parameter ``label``, a word that may stand in a path; None where it is absent."""
    value = parameters.get("label")
    if value is not None and (not isinstance(value, str) or not _WORD.fullmatch(value)):
        raise InvalidParameter(f"label is {shown(value)}; allowed is a word of up to 128 letters.")
    return value


def text(parameters: Mapping[str, Any], name: str) -> str | None:
    """Return a parameter as non-empty text, None where it is absent."""
    value = parameters.get(name)
    if value is not None and (not isinstance(value, str) or not value):
        raise InvalidParameter(f"{name} is {shown(value)}; allowed is a non-empty text.")
    return value


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
        raise InvalidParameter("images is no list with at least one picture.")
    _check_count(len(several), max_images)
    return Submission([_attempt(item, from_form=False) for item in several], True, document)


def _from_form(request: Request, max_images: int) -> Submission:
    stray = set(request.files) - {IMAGE} | {IMAGES} & set(request.form)
    if stray:
        raise InvalidParameter(
            f"There is no picture field {shown(min(stray))}; a form calls each picture image."
        )
    files, texts = request.files.getlist(IMAGE), request.form.getlist(IMAGE)
    _check_count(len(files) + len(texts), max_images)
    uploads: list[Upload] = [_or_missing(file.read()) for file in files]
    uploads += [_attempt(item, from_form=True) for item in texts]
    if not uploads:
        raise MissingImage(
            f"The form has no field {IMAGE!r}. JSON needs Content-Type: application/json, a bare "
            "file its own, for example Content-Type: image/jpeg."
        )
    fields = _single(request.form)
    fields.pop(IMAGE, None)
    return Submission(uploads, len(uploads) > 1, fields)


def _or_missing(data: bytes) -> Upload:
    return data or MissingImage("The image has no bytes.")


def _attempt(value: object, *, from_form: bool) -> Upload:
    """Decode one base64 text; what is wrong with it becomes its result."""
    if value is None or value == "":
        return MissingImage("The image is absent or empty; a base64 text is wanted.")
    if not isinstance(value, str):
        kind = type(value).__name__
        return InvalidParameter(f"An image of JSON type {kind} came; allowed is a base64 string.")
    try:
        return decode_base64(value, from_form=from_form)
    except BadRequest as error:
        return error


def _single(given: MultiDict[str, str]) -> dict[str, Any]:
    """Return each parameter's value; only labels may be given again and again."""
    parameters: dict[str, Any] = {}
    for name, values in given.lists():
        if len(values) > 1 and name not in {IMAGE, "labels"}:
            raise InvalidParameter(f"{shown(name)} is given {len(values)} times; once is allowed.")
        parameters[name] = values[0] if len(values) == 1 else values
    return parameters


def _check_count(count: int, max_images: int) -> None:
    if count > max_images:
        raise TooManyImages(f"{count} images came; at most {max_images} per request are allowed.")


def _check_known(parameters: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuse misspelt parameters rather than ignore them."""
    unknown = next((name for name in parameters if name not in allowed), None)
    if unknown in {IMAGE, IMAGES}:
        raise InvalidParameter(f"{unknown} stands in the query; a picture belongs into the body.")
    if unknown is not None:
        names = ", ".join((IMAGE, IMAGES, *allowed))
        raise InvalidParameter(f"There is no parameter {shown(unknown)}; allowed are {names}.")

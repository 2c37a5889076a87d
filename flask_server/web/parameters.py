"""Read the parameters of a request: allowed names, one value each, and typed values.

Parameters come as text from a query or form and as any JSON value from a JSON body; the readers
accept both. A value that is not allowed raises InvalidParameter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Request
from werkzeug.datastructures import MultiDict

from flask_server.errors import InvalidParameter, MalformedRequest
from model_catalog.errors import shown

#: Fields of a body that hold images and are therefore no parameters.
IMAGE = "image"
IMAGES = "images"
TENSOR = "tensor"
#: The parameters of every task.
SHARED_PARAMETERS = ("version", "label", "report")
#: The parameters of a classification, and of its explanation.
PARAMETERS = ("top_k", "threshold", "labels", *SHARED_PARAMETERS)
#: The parameters of all tasks; which of them a request may have depends on the model.
PREDICT_PARAMETERS = (*PARAMETERS, "output", "normalize")

#: Most items of a list in one text.
MAX_TEXTS = 100_000

#: The largest float below which every whole number has one of its own.
_EXACT = 2.0**53
_REPEATABLE = {IMAGE, "labels"}
_LIST_NAME = re.compile(r"(\w+)\[\d{0,4}\]")
_LABEL = re.compile(r"\w[\w-]{0,127}")


def query_of(request: Request) -> MultiDict[str, str]:
    """Return the parameters of the query; raise MalformedRequest if its bytes are not UTF-8."""
    try:
        return request.args
    except UnicodeDecodeError as error:
        raise MalformedRequest("The query of the URL is not UTF-8 text.") from error


def list_name(name: str) -> str:
    """Return the name without brackets, as in ``labels[]``, where the field may be repeated."""
    bracketed = _LIST_NAME.fullmatch(name)
    return bracketed[1] if bracketed and bracketed[1] in _REPEATABLE else name


def single_values(given: MultiDict[str, str]) -> dict[str, Any]:
    """Return one value per field of a query or form; only labels and images may be repeated.

    A field with brackets after its name, as some HTTP libraries write lists, is always a list.
    """
    parameters: dict[str, Any] = {}
    for written, values in given.lists():
        name = list_name(written)
        if len(values) > 1 and name not in _REPEATABLE:
            raise InvalidParameter(f"{shown(name)} is given {len(values)} times; once is allowed.")
        is_single = len(values) == 1 and name == written and name not in parameters
        parameters[name] = values[0] if is_single else [*_as_list(parameters.get(name)), *values]
    return parameters


def _as_list(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value


def check_names(parameters: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Raise InvalidParameter for unknown names, so that no misspelt parameter is ignored."""
    unknown = next((name for name in parameters if name not in allowed), None)
    if unknown in {IMAGE, IMAGES, TENSOR}:
        what = "tensors" if unknown == TENSOR else "images"
        raise InvalidParameter(f"{unknown} is given in the query; send {what} in the body.")
    if unknown is not None:
        names = ", ".join((IMAGE, IMAGES, *allowed))
        raise InvalidParameter(f"There is no parameter {shown(unknown)}; allowed are {names}.")


def whole_number(parameters: Mapping[str, Any], name: str, least: int) -> int | None:
    """Return a parameter as an integer of at least ``least``, or None when it is absent."""
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        value = int(value)  # JSON Schema calls 3.0 an integer; some JSON libraries write it so
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidParameter(f"{name} is {shown(value)}; allowed is a whole number from {least}.")
    return value


def fraction(parameters: Mapping[str, Any], name: str) -> float | None:
    """Return a parameter as a number from 0 to 1, or None when it is absent."""
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
    """Return a parameter as a boolean, False when it is absent."""
    value = parameters.get(name)
    value = value.lower() if isinstance(value, str) else value  # Python's libraries write True
    meaning = {None: False, True: True, False: False, "true": True, "false": False}
    meaning |= {"1": True, "0": False}
    if not isinstance(value, str | bool | None) or value not in meaning:
        raise InvalidParameter(f"{name} is {shown(value)}; allowed is true or false.")
    return meaning[value]


def texts(parameters: Mapping[str, Any], name: str) -> list[str] | None:
    """Return a parameter as a list of strings, or None when it is absent.

    A single string is split at commas.
    """
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.count(",") >= MAX_TEXTS:
        raise InvalidParameter(f"{name} has more than {MAX_TEXTS} items; no more are allowed.")
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not parts or not all(isinstance(p, str) for p in parts):
        raise InvalidParameter(f"{name} is {shown(value)}; allowed is a list of strings.")
    return parts


def version_label(parameters: Mapping[str, Any]) -> str | None:
    """Return the version label, one path segment of TF Serving's API, or None when it is absent."""
    value = parameters.get("label")
    if value is not None and (not isinstance(value, str) or not _LABEL.fullmatch(value)):
        raise InvalidParameter(
            f"label is {shown(value)}; allowed are up to 128 letters, digits, _ and -."
        )
    return value


def text(parameters: Mapping[str, Any], name: str) -> str | None:
    """Return a parameter as a non-empty string, or None when it is absent."""
    value = parameters.get(name)
    if value is not None and (not isinstance(value, str) or not value):
        raise InvalidParameter(f"{name} is {shown(value)}; allowed is a non-empty string.")
    return value

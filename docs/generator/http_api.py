"""The HTTP API of the gateway, from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from docs.generator.markdown import one_line, table
from flask_server.openapi.document import document
from flask_server.openapi.problems import CODES
from flask_server.settings import Settings

Schema = dict[str, Any]

#: The model in the examples of the document.
_MODEL = "ImageClassifier"


def routes() -> str:
    """Return one section for each operation."""
    paths: dict[str, dict[str, Schema]] = document(Settings(), _MODEL)["paths"]
    return "\n\n".join(
        "\n\n".join(_section(f"{method.upper()} {path}", operation))
        for path, item in paths.items()
        for method, operation in item.items()
    )


def _section(title: str, operation: Schema) -> Iterator[str]:
    yield f"### `{title}`"
    first, *further = operation["description"].split("\n\n")
    yield f"{operation['summary']}. {one_line(first)}"
    yield from map(one_line, further)
    if parameters := operation.get("parameters"):
        yield table("parameter", "in", "what", rows=map(_parameter_row, parameters))
    if body := operation.get("requestBody"):
        yield f"Body: {_media(body['content'])}. {_text(body)}".rstrip()
    yield table("status", "response", rows=_response_rows(operation["responses"]))


def _parameter_row(parameter: Schema) -> tuple[str, ...]:
    text = parameter.get("description") or parameter["schema"].get("description", "")
    return f"`{parameter['name']}`", parameter["in"], one_line(text)


def _response_rows(responses: dict[str, Schema]) -> Iterator[tuple[str, ...]]:
    for status, response in responses.items():
        codes = response.get(CODES)
        if codes:
            text = ", ".join(f"[`{code}`](../troubleshooting.md#{code})" for code in codes)
        else:
            text = _text(response)
            if content := response.get("content"):
                text = f"{text} {_media(content)}"
        yield status, text


def _media(types: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in types)


def _text(described: Schema) -> str:
    return one_line(described.get("description", ""))

"""Turn the JSON of a classify or regress request into serialized tf.Examples. Pure.

The JSON values decide the type of a feature, not the model: whole numbers and booleans become
int64, other numbers float, strings and base64 bytes.
"""

from __future__ import annotations

from typing import Any, Final

from model_server.codec.base64_text import decode
from model_server.codec.json_writer import members, quote_value, type_name
from model_server.errors import InvalidArgument
from model_server.rest.tensor_values import is_base64
from serving_api.messages import message

_MAX_INT64: Final = 2**63 - 1
_KINDS: Final = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def serialized_examples(document: dict[str, Any]) -> list[bytes]:
    """Return one serialized tf.Example per example, each starting with the context's features."""
    context = _example(document["context"]) if "context" in document else b""
    if "examples" not in document:
        raise _document_error(
            document, "When method is classify, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise _document_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise _document_error(document, "'examples' value is an empty array")
    return [context + _example(example) for example in examples]


def _document_error(document: dict[str, Any], text: str) -> InvalidArgument:
    return InvalidArgument(f"JSON Value: {quote_value(document)} {text}")


def _example(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    if not isinstance(value, dict):
        raise InvalidArgument(f"Example must be JSON object but got JSON {type_name(value)}")
    features = {name: _feature(name, content) for name, content in members(value)}
    example = message("Example")()
    for name, feature in features.items():
        entry = example.features.feature.add(key=name.encode("utf-8", "surrogateescape"))
        entry.value.CopyFrom(feature)
    return bytes(example.SerializeToString())


def _feature(name: str, content: Any) -> Any:  # noqa: ANN401 - any JSON value; a message
    feature = message("Feature")()
    kind = None
    for value in content if isinstance(content, list) else [content]:
        value_kind, converted = _converted(name, value)
        if kind not in (None, value_kind):
            raise InvalidArgument(
                f"Unexpected element type in feature: {name} expecting type: {_KINDS[kind or '']}"
            )
        kind = value_kind
        getattr(feature, kind).value.append(converted)
    return feature


def _converted(name: str, value: Any) -> tuple[str, bytes | float | int]:  # noqa: ANN401
    if isinstance(value, str):
        return "bytes_list", value.encode("utf-8", "surrogateescape")
    if is_base64(value):
        return "bytes_list", decode(value["b64"])
    if isinstance(value, float):
        return "float_list", value
    if not isinstance(value, int):
        raise InvalidArgument(
            f"Feature: {name} has element with unexpected JSON type: {type_name(value)}"
        )
    if value > _MAX_INT64:
        raise InvalidArgument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    return "int64_list", int(value)

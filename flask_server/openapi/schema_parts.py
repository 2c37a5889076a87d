"""Parts of which the schemas of the OpenAPI document are made."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """Return a reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(description: str, required: Schema, optional: Schema | None = None) -> Schema:
    """Return the schema of an object with these properties."""
    return {
        "type": "object",
        "description": description,
        "required": list(required),
        "properties": required | (optional or {}),
    }


def listing(items: Schema, **bounds: int) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, **bounds}


def maybe(schema: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def text(description: str) -> Schema:
    """Return the schema of a string."""
    return {"type": "string", "description": description}


VERSION = {
    "type": "integer",
    "minimum": 0,
    "description": "The model version that made the predictions.",
}
WARNINGS = listing({"type": "string"}) | {
    "description": "Warnings about the model, such as untrained weights."
}

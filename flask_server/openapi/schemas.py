"""The schemas of the OpenAPI document, by name."""

from __future__ import annotations

from flask_server.openapi.answer_schemas import ANSWER_SCHEMAS
from flask_server.openapi.model_schemas import MODEL_SCHEMAS
from flask_server.openapi.problems import PROBLEM
from flask_server.openapi.schema_parts import Schema, listing, record

SCHEMAS: dict[str, Schema] = {
    "Problem": PROBLEM,
    **ANSWER_SCHEMAS,
    **MODEL_SCHEMAS,
    "Alive": record("The process is alive.", {"status": {"type": "string", "const": "ok"}}),
    "Ready": record(
        "The named models are ready.",
        {"status": {"type": "string", "const": "ready"}, "models": listing({"type": "string"})},
    ),
}

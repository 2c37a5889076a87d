from __future__ import annotations

import re

from docs.generator import model_server_api
from model_server.rest.routes import Verb


def cells(table: str, column: int) -> list[str]:
    return [row.split(" | ")[column].strip("| ") for row in table.splitlines()[2:]]


def test_the_page_has_every_method_of_every_service_with_a_sentence() -> None:
    table = model_server_api.grpc_methods()

    assert cells(table, 0) == [f"`{path[1:]}`" for path in model_server_api.methods()]
    assert [text for text in cells(table, 3) if not text.endswith(".")] == []


def test_methods_without_messages_are_those_that_are_not_supported() -> None:
    table = model_server_api.grpc_methods()

    for request, text in zip(cells(table, 1), cells(table, 3), strict=True):
        assert (request == "any") == text.startswith("Not supported: ")


def test_each_message_of_a_method_has_its_fields() -> None:
    methods, messages = model_server_api.grpc_methods(), model_server_api.grpc_messages()
    used = set(re.findall(r"`\w+(?:Request|Response)`", methods))

    assert used <= set(cells(messages, 0))
    assert "`version.value`, `signature_name`, `version_label` (instead of `version`)" in messages


def test_the_page_has_a_path_for_each_kind_of_request() -> None:
    table = model_server_api.rest_routes()

    assert len(cells(table, 1)) == len(Verb)
    assert [paths for paths in cells(table, 1) if not paths] == []
    assert "`/v1/models/{model}/labels/{label}:predict`" in table


def test_a_status_has_the_numbers_of_both_apis() -> None:
    assert "| `NOT_FOUND` | 5 | 404 | " in model_server_api.statuses()


def test_limits_name_the_flags_that_set_them() -> None:
    for table in (model_server_api.rest_limits(), model_server_api.grpc_limits()):
        assert "| `rest_api_max_body_bytes`, 256 MiB |" in table

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from flask import Flask, jsonify

from flask_server.web.json_writer import JsonWriter


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.json = JsonWriter(app)
    return app


def written(app: Flask, *args: Any, **fields: Any) -> bytes:
    with app.test_request_context():
        response = jsonify(*args, **fields)
    assert response.mimetype == "application/json"
    return response.get_data()


def test_answers_are_compact_and_keep_the_order_of_their_keys(app: Flask) -> None:
    assert written(app, b=1, a=[0.25, "Käse", None]) == '{"b":1,"a":[0.25,"Käse",null]}\n'.encode()


def test_lists_and_single_values_are_answers_too(app: Flask) -> None:
    assert written(app, [1, 2]) == b"[1,2]\n"
    assert written(app, ["a", 1]) == b'["a",1]\n'


@pytest.mark.parametrize("value", ["\ud800", 2**70])
def test_what_the_fast_writer_refuses_is_written_all_the_same(app: Flask, value: object) -> None:
    assert json.loads(written(app, b=value, a=1)) == {"b": value, "a": 1}


def test_what_is_written_already_is_written_by_both_writers(app: Flask) -> None:
    fragment = orjson.Fragment(b'{"labels":["\\ud800"]}')

    assert written(app, a=fragment) == b'{"a":{"labels":["\\ud800"]}}\n'
    assert json.loads(written(app, a=fragment, b="\ud800")) == {
        "a": {"labels": ["\ud800"]},
        "b": "\ud800",
    }


def test_scores_come_back_as_they_were(app: Flask) -> None:
    scores = [1e-05, 0.1, 1 / 3, 2.13510884e-06, 1.0]

    assert json.loads(written(app, scores=scores)) == {"scores": scores}

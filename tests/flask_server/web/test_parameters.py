from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from flask_server.errors import InvalidParameter
from flask_server.web import parameters
from tests.flask_server.conftest import flat


@pytest.mark.parametrize(
    ("given", "value"),
    [(None, False), (True, True), ("0", False), ("1", True), ("true", True), ("True", True)],
)
def test_flag_reads_json_and_text(given: object, value: bool) -> None:
    assert parameters.flag({"report": given}, "report") is value


@pytest.mark.parametrize("given", [1, 0, 1.0, "yes", "", [], {}])
def test_flag_refuses_everything_else(given: object) -> None:
    with pytest.raises(InvalidParameter, match="report is"):
        parameters.flag({"report": given}, "report")


@pytest.mark.parametrize("given", [3, 3.0, "3"])
def test_a_whole_number_is_one_in_every_spelling(given: object) -> None:
    number = parameters.whole_number({"top_k": given}, "top_k", least=1)

    assert isinstance(number, int)
    assert number == 3


@pytest.mark.parametrize("given", [0, 0.0, -1.0, 1.5, 1e30, float("inf"), True, "3.0", "", [3]])
def test_what_is_no_whole_number_is_refused(given: object) -> None:
    with pytest.raises(InvalidParameter, match="top_k is .*; allowed is a whole number from 1"):
        parameters.whole_number({"top_k": given}, "top_k", least=1)


def test_only_labels_and_images_may_be_repeated() -> None:
    given = MultiDict([("labels", "a"), ("labels", "b"), ("image", "x"), ("top_k", "1")])

    assert parameters.single_values(given) == {"labels": ["a", "b"], "image": "x", "top_k": "1"}
    with pytest.raises(InvalidParameter, match="'top_k' is given 2 times"):
        parameters.single_values(MultiDict([("top_k", "1"), ("top_k", "2")]))


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidParameter, match="'topk'; allowed are image, images, top_k"):
        parameters.check_names({"topk": 1}, parameters.PARAMETERS)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/models/toy/predict"),
        ("POST", "/models/toy/explain"),
        ("GET", "/readyz"),
    ],
)
def test_a_query_that_is_not_utf8_is_the_callers_mistake(
    client: FlaskClient, method: str, path: str
) -> None:
    raw = {"QUERY_STRING": "top_k=1&model=\x80"}

    answer = client.open(
        path, method=method, data=flat("red"), content_type="image/png", environ_overrides=raw
    )

    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")
    assert answer.get_json()["detail"] == "The query of the URL is not UTF-8 text."

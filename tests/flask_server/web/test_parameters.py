from __future__ import annotations

import pytest
from werkzeug.datastructures import MultiDict

from flask_server.errors import InvalidParameter
from flask_server.web import parameters


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


def test_only_labels_and_images_may_be_repeated() -> None:
    given = MultiDict([("labels", "a"), ("labels", "b"), ("image", "x"), ("top_k", "1")])

    assert parameters.single_values(given) == {"labels": ["a", "b"], "image": "x", "top_k": "1"}
    with pytest.raises(InvalidParameter, match="'top_k' is given 2 times"):
        parameters.single_values(MultiDict([("top_k", "1"), ("top_k", "2")]))


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidParameter, match="'topk'; allowed are image, images, top_k"):
        parameters.check_names({"topk": 1}, parameters.PARAMETERS)

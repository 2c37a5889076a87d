from __future__ import annotations

import numpy as np
import pytest

from flask_server.errors import InvalidParameter, ServingError
from flask_server.predictions import checked_top_k, rank, read_scores, softmax
from tests.gateway.stub_serving import make_spec

SPEC = make_spec()


def test_best_comes_first() -> None:
    ranked = rank(np.array([0.1, 0.7, 0.2]), SPEC, 2)

    assert [(p.class_id, p.label, p.score) for p in ranked] == [
        ("id1", "middle", 0.7),
        ("id2", "light", 0.2),
    ]


def test_equal_scores_keep_the_order_of_the_classes() -> None:
    assert [p.class_id for p in rank(np.array([0.5, 0.5, 0.5]), SPEC, 3)] == ["id0", "id1", "id2"]


def test_logits_become_probabilities() -> None:
    ranked = rank(np.array([1.0, 3.0, 2.0]), make_spec(activation="none"), 3)

    assert [p.label for p in ranked] == ["middle", "light", "dark"]
    assert sum(p.score for p in ranked) == pytest.approx(1)


def test_sigmoid_scores_stay_as_they_are() -> None:
    ranked = rank(np.array([0.9, 0.8, 0.1]), make_spec(activation="sigmoid"), 1)

    assert ranked[0].score == 0.9


def test_single_logit_becomes_its_sigmoid() -> None:
    assert softmax(np.array([0.0])).tolist() == [0.5]
    assert softmax(np.array([-5000.0])).tolist() == [0.0]


@pytest.mark.parametrize(("wish", "answer"), [(None, 3), (1, 1), (3, 3)])
def test_top_k_up_to_the_classes(wish: int | None, answer: int) -> None:
    assert checked_top_k(wish, SPEC) == answer


@pytest.mark.parametrize("wish", [0, 4])
def test_top_k_beyond_the_classes(wish: int) -> None:
    with pytest.raises(InvalidParameter, match=f"top_k is {wish}; allowed is 1 to 3"):
        checked_top_k(wish, SPEC)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param({"hello": 1}, id="no list"),
        pytest.param([], id="too few rows"),
        pytest.param([[1, 2, 3], [1, 2, 3]], id="too many rows"),
        pytest.param([[1, 2]], id="too few classes"),
        pytest.param([[[1, 2, 3]]], id="too deep"),
        pytest.param([3], id="no row"),
        pytest.param([["a", "b", "c"]], id="words"),
        pytest.param([[1, [2], 3]], id="ragged"),
        pytest.param([[1, float("nan"), 3]], id="not a number"),
        pytest.param([[1, float("inf"), 3]], id="infinite"),
        pytest.param([None], id="null"),
    ],
)
def test_nonsense_from_serving_is_told(rows: object) -> None:
    with pytest.raises(ServingError):
        read_scores(rows, count=1, classes=3)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_server.errors import InvalidParameter, ServingError
from flask_server.inference.ranking import Prediction, RankingOptions, rank, resolve, softmax
from flask_server.serving.scores import read_scores
from model_catalog.spec import ModelSpec, OutputSpec
from tests.flask_server.stub_serving import make_spec

SPEC = make_spec()


def ranked(scores: list[float], spec: ModelSpec = SPEC, **options: Any) -> list[Prediction]:
    return rank(np.array(scores), spec, resolve(RankingOptions(**options), spec))


def test_best_comes_first() -> None:
    best = ranked([0.1, 0.7, 0.2], top_k=2)

    assert [(p.class_id, p.label, p.score) for p in best] == [
        ("id1", "middle", 0.7),
        ("id2", "light", 0.2),
    ]


def test_equal_scores_keep_the_order_of_the_classes() -> None:
    assert [p.class_id for p in ranked([0.5, 0.5, 0.5])] == ["id0", "id1", "id2"]


def test_equal_scores_at_the_end_of_the_answer_keep_their_order_too() -> None:
    spec = make_spec(labels=tuple("abcdef"))

    best = ranked([0.1, 0.2, 0.3, 0.2, 0.2, 0.1], spec, top_k=3)

    assert [p.label for p in best] == ["c", "b", "d"]


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=9), st.integers(1, 9))
def test_the_best_are_those_of_a_whole_sorting(scores: list[float], top_k: int) -> None:
    spec = make_spec(labels=tuple("abcdefghi"[: len(scores)]))
    top_k = min(top_k, len(scores))

    best = ranked(scores, spec, top_k=top_k)

    wanted = sorted(range(len(scores)), key=lambda index: -scores[index])[:top_k]
    assert [p.class_id for p in best] == [f"id{index}" for index in wanted]


def test_logits_become_probabilities() -> None:
    best = ranked([1.0, 3.0, 2.0], make_spec(activation="none"))

    assert [p.label for p in best] == ["middle", "light", "dark"]
    assert sum(p.score for p in best) == pytest.approx(1)


def test_sigmoid_scores_stay_as_they_are() -> None:
    assert ranked([0.9, 0.8, 0.1], make_spec(activation="sigmoid"))[0].score == 0.9


def test_raw_values_keep_their_order_and_are_all_there() -> None:
    spec = make_spec(labels=tuple("abcdefg"), activation="raw")
    values = [-3.5, 70.0, 0.0, 1e6, 2.0, 2.0, -0.1]

    everything = ranked(values, spec)

    assert [p.score for p in everything] == values
    assert [p.label for p in ranked(values, spec, top_k=2)] == ["a", "b"]
    assert [p.label for p in ranked(values, spec, labels=["e", "b"])] == ["b", "e"]
    assert [p.label for p in ranked(values, spec, threshold=1.0)] == ["b", "d", "e", "f"]


def test_single_logit_becomes_its_sigmoid() -> None:
    assert softmax(np.array([0.0])).tolist() == [0.5]
    assert softmax(np.array([-5000.0])).tolist() == [0.0]


@pytest.mark.parametrize(("options", "answer"), [(None, 3), (1, 1), (3, 3)])
def test_top_k_up_to_the_classes(options: int | None, answer: int) -> None:
    assert len(ranked([0.1, 0.2, 0.3], top_k=options)) == answer


@pytest.mark.parametrize("options", [0, 4])
def test_top_k_beyond_the_classes(options: int) -> None:
    with pytest.raises(InvalidParameter, match=f"top_k is {options}; allowed is 1 to 3"):
        resolve(RankingOptions(top_k=options), SPEC)


@pytest.mark.parametrize(("threshold", "count"), [(0, 3), (0.2, 2), (0.21, 1), (1, 0)])
def test_threshold_is_the_least_score_that_counts(threshold: float, count: int) -> None:
    assert len(ranked([0.7, 0.2, 0.1], threshold=threshold)) == count


@pytest.mark.parametrize("score", [0.9, 0.3, 1e-3])
def test_score_of_a_model_in_float32_reaches_its_threshold(score: float) -> None:
    written_by_rest, sent_over_grpc = score, float(np.float32(score))
    less = float(np.nextafter(np.float32(score), np.float32(0)))

    assert len(ranked([written_by_rest, sent_over_grpc, less], threshold=score)) == 2


def test_threshold_beyond_float32_is_reached_by_no_score() -> None:
    assert ranked([0.7, 0.2, 0.1], threshold=1e300) == []


def test_without_threshold_scores_below_zero_count_too() -> None:
    raw = make_spec(activation="sigmoid")

    assert [p.score for p in ranked([-0.5, 0.2, -0.1], raw)] == [0.2, -0.1, -0.5]


def test_chosen_labels_by_name_or_id_in_order_of_score() -> None:
    best = ranked([0.1, 0.7, 0.2], labels=["dark", "id2"])

    assert [p.label for p in best] == ["light", "dark"]


def test_twins_are_both_meant_by_their_label() -> None:
    spec = make_spec(labels=("crane", "heron", "crane"))

    assert [p.class_id for p in ranked([0.1, 0.7, 0.2], spec, labels=["crane"])] == ["id2", "id0"]


def test_all_chosen_labels_are_answered_unless_top_k_says_less() -> None:
    spec = make_spec(labels=tuple("abcdefgh"))
    scores = [0.1] * 8

    assert len(ranked(scores, spec, labels=list("abcdefg"))) == 7
    assert len(ranked(scores, spec, labels=list("abcdefg"), top_k=2)) == 2


def test_label_of_another_model_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="'cat', which is no class id or label"):
        resolve(RankingOptions(labels=["cat"]), SPEC)


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
        pytest.param([[1, 10**400, 3]], id="400 digits"),
    ],
)
def test_nonsense_from_serving_is_told(rows: object) -> None:
    with pytest.raises(ServingError):
        read_scores(rows, count=1, output=OutputSpec(classes=3))


@pytest.mark.parametrize("row", [[0.25], 0.25])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_a_single_probability_is_that_of_the_second_of_two_classes(
    row: object, activation: str
) -> None:
    output = OutputSpec(classes=2, activation=activation)

    (scores,) = read_scores([row], count=1, output=output)

    assert scores.tolist() == [0.75, 0.25]


@given(st.floats(-700, 700))
def test_a_single_logit_is_that_of_the_second_of_two_classes(logit: float) -> None:
    output = OutputSpec(classes=2, activation="none")

    (scores,) = read_scores([[logit]], count=1, output=output)

    single = softmax(np.array([logit]))[0]
    np.testing.assert_allclose(softmax(scores), [1 - single, single], atol=1e-12)


def test_a_raw_value_is_that_of_one_label_only() -> None:
    one = read_scores([[-7.5]], count=1, output=OutputSpec(classes=1, activation="raw"))

    assert one[0].tolist() == [-7.5]
    with pytest.raises(ServingError, match="the model has 2 classes"):
        read_scores([[0.5]], count=1, output=OutputSpec(classes=2, activation="raw"))


@pytest.mark.parametrize("score", [-0.1, 3.5])
def test_a_single_score_that_is_no_probability_is_told(score: float) -> None:
    with pytest.raises(ServingError, match='needs activation = "none"'):
        read_scores([[score]], count=1, output=OutputSpec(classes=2, activation="sigmoid"))

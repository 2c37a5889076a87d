"""Which outputs of a signature are taken for the best classes of the graph and their scores."""

from __future__ import annotations

import pytest

from model_catalog.top_k import Kind, Output, TopK, find_top_k

Shape = tuple[int | None, ...] | None
N = None
STRINGS, NUMBERS, FLOATS = Kind.STRING, Kind.INTEGER, Kind.FLOAT


def outputs(**described: tuple[Kind, Shape]) -> list[Output]:
    return [Output(name, kind, shape) for name, (kind, shape) in described.items()]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            outputs(classes=(STRINGS, (N, 3)), scores=(FLOATS, (N, 3))),
            TopK("classes", "scores", 3),
            id="TF Hub, Estimator's classify",
        ),
        pytest.param(
            outputs(
                classes=(STRINGS, (N, 1)),
                class_ids=(NUMBERS, (N, 1)),
                all_classes=(STRINGS, (N, 4)),
                logits=(FLOATS, (N, 4)),
                probabilities=(FLOATS, (N, 4)),
            ),
            TopK("all_classes", "probabilities", 4),
            id="Estimator's predict",
        ),
        pytest.param(
            outputs(indices=(NUMBERS, (N, 5)), values=(FLOATS, (N, 5))),
            TopK("indices", "values", 5),
            id="tf.math.top_k",
        ),
        pytest.param(
            outputs(top_k_labels_bytes=(STRINGS, (N, 2)), top_k_scores=(FLOATS, (N, 2))),
            TopK("top_k_labels_bytes", "top_k_scores", 2),
            id="prefix and suffix",
        ),
        pytest.param(
            outputs(label=(STRINGS, (N,)), score=(FLOATS, (N,))),
            TopK("label", "score", 1),
            id="the best class only",
        ),
        pytest.param(
            outputs(classes=(STRINGS, None), scores=(FLOATS, (N, N))),
            TopK("classes", "scores", None),
            id="sizes that are not known",
        ),
        pytest.param(
            outputs(
                class_ids=(NUMBERS, (N, 3)), classes=(STRINGS, (N, 3)), scores=(FLOATS, (N, 3))
            ),
            TopK("classes", "scores", 3),
            id="names before indices",
        ),
    ],
)
def test_best_classes_are_recognised(found: list[Output], expected: TopK) -> None:
    assert find_top_k(found) == expected


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(
            outputs(classes=(NUMBERS, (N,)), scores=(FLOATS, (N, 10))), id="the best beside all"
        ),
        pytest.param(
            outputs(classes=(NUMBERS, (N, 1)), scores=(FLOATS, (N, 1))), id="a sigmoid, rounded"
        ),
        pytest.param(
            outputs(classes=(NUMBERS, (N, N)), scores=(FLOATS, (N, N))), id="numbers of any size"
        ),
        pytest.param(
            outputs(classes=(STRINGS, (N, 1)), logits=(FLOATS, (N, 1))), id="no usual name"
        ),
        pytest.param(
            outputs(labels=(STRINGS, (N,)), scores=(FLOATS, (N, 3))), id="one label, three scores"
        ),
        pytest.param(
            outputs(classes=(STRINGS, (N, 3, 1)), scores=(FLOATS, (N, 3, 1))), id="three dimensions"
        ),
        pytest.param(outputs(scores=(FLOATS, (N, 3))), id="scores alone"),
    ],
)
def test_other_outputs_are_the_scores_of_all_classes(found: list[Output]) -> None:
    assert find_top_k(found) is None


def test_names_in_the_models_file_take_precedence() -> None:
    found = outputs(
        classes=(STRINGS, (N, 3)),
        scores=(FLOATS, (N, 3)),
        best=(NUMBERS, (N, N)),
        sure=(FLOATS, (N, N)),
        shares=(NUMBERS, (N, 3)),
    )

    assert find_top_k(found, scores="scores") is None
    assert find_top_k(found, "best", "sure") == TopK("best", "sure", None)
    assert find_top_k(found, "classes", "shares") == TopK("classes", "shares", 3)
    assert find_top_k(found, "classes") == TopK("classes", "scores", 3)
    assert find_top_k(found, "sure") is None
    assert find_top_k(found, "nothing") is None


def test_the_only_floats_are_the_scores_of_named_classes() -> None:
    found = outputs(names=(STRINGS, (N, 3)), odds=(FLOATS, (N, 3)))

    assert find_top_k(found) is None
    assert find_top_k(found, "names") == TopK("names", "odds", 3)


def test_outputs_for_one_image_need_no_rows() -> None:
    found = outputs(indices=(NUMBERS, (5,)), values=(FLOATS, (5,)))

    assert find_top_k(found) is None
    assert find_top_k(found, has_rows=False) == TopK("indices", "values", 5)

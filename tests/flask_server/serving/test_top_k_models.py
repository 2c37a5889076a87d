"""Models that return their best classes themselves, asked over REST and gRPC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from flask_server.errors import ServingError
from flask_server.inference.ranking import (
    RankingOptions,
    rank_returned,
    resolve_returned,
)
from flask_server.serving.outputs import read_outputs
from flask_server.serving.signatures import TensorInfo
from flask_server.serving.top_k import ReturnedClasses, read_top_k
from model_catalog.spec import InputSpec, Label, ModelSpec, OutputSpec
from model_catalog.top_k import TopK
from tests.flask_server.conftest import MakeApp, flat
from tests.flask_server.stub_serving import Servable, StubServing, tensor

PROTOCOLS = ("rest", "grpc")
URL = "/models/toy/predict"
INPUT = 'input = { scale = "none" }'

Declared = dict[str, tuple[str, tuple[int, ...]]]
STRINGS: Declared = {"classes": ("DT_STRING", (-1, 3)), "scores": ("DT_FLOAT", (-1, 3))}
#: Not in the order of the scores, as Estimators return them.
ANSWER = {"classes": ["cat", "dog", "hen"], "scores": [0.25, 0.625, 0.125]}


@pytest.fixture
def ask(make_app: MakeApp, serving: StubServing) -> Any:
    """Return a client of a gateway in front of a model with these outputs."""

    def make(answer: dict[str, Any], outputs: Declared, lines: str = INPUT) -> FlaskClient:
        declared = {
            "serving_default": {
                "inputs": {"x": tensor("DT_FLOAT", (-1, 4, 4, 3))},
                "outputs": {name: tensor(*output) for name, output in outputs.items()},
            }
        }
        serving.models["toy"] = {1: Servable(None, lambda _: answer, declared=declared)}  # type: ignore[arg-type,return-value]  # named outputs instead of scores
        return make_app(f'[models.toy]\nbase_path = "toy"\n{lines}\n').test_client()

    return make


def predictions(client: FlaskClient, query: str = "") -> list[tuple[str, str, float]]:
    response: Any = client.post(f"{URL}{query}", data=flat("white"))
    assert response.status_code == 200, response.text
    return [(p["class_id"], p["label"], p["score"]) for p in response.json["predictions"]]


def test_names_are_ranked_without_a_label_file(ask: Any) -> None:
    client = ask(ANSWER, STRINGS)

    assert predictions(client) == [
        ("dog", "dog", 0.625),
        ("cat", "cat", 0.25),
        ("hen", "hen", 0.125),
    ]
    assert predictions(client, "?top_k=1") == [("dog", "dog", 0.625)]
    assert predictions(client, "?threshold=0.2&labels=cat,hen,owl") == [("cat", "cat", 0.25)]
    model: Any = client.get("/models/toy").json
    assert model["output"] == {"classes": 0, "activation": "softmax", "top_k": 3}
    assert model["spec"]["output"] == model["output"]
    assert model["spec"]["labels"] == []


def test_top_k_is_limited_to_the_classes_of_the_graph(ask: Any) -> None:
    response: Any = ask(ANSWER, STRINGS).post(f"{URL}?top_k=4", data=flat("white"))

    assert response.status_code == 400
    assert response.json["detail"] == (
        "top_k is 4; allowed is 1 to 3, the number of classes that the model returns."
    )


def test_indices_are_the_ids_of_the_labels(ask: Any, tmp_path: Path) -> None:
    outputs: Declared = {"indices": ("DT_INT32", (-1, 2)), "values": ("DT_FLOAT", (-1, 2))}
    answer = {"indices": [2, 0], "values": [0.75, 0.25]}
    (tmp_path / "labels.txt").write_text("dark\nmiddle\nlight\n", encoding="utf-8")

    assert predictions(ask(answer, outputs)) == [("2", "2", 0.75), ("0", "0", 0.25)]
    client = ask(answer, outputs, f'{INPUT}\nlabels = "labels.txt"')
    assert predictions(client) == [("2", "light", 0.75), ("0", "dark", 0.25)]
    assert predictions(client, "?labels=middle,dark") == [("0", "dark", 0.25)]
    assert client.post(f"{URL}?labels=owl", data=flat("white")).status_code == 400


def test_bytes_are_read_as_text(ask: Any, serving: StubServing) -> None:
    outputs: Declared = {
        "labels_bytes": ("DT_STRING", (-1, 2)),
        "scores": ("DT_FLOAT", (-1, 2)),
    }
    names: list[Any] = ["Äpfel", "x"]
    if serving.url.startswith("http"):
        names = [{"b64": "w4RwZmVs"}, {"b64": "eA=="}]

    client = ask({"labels_bytes": names, "scores": [0.5, 0.25]}, outputs)

    assert predictions(client) == [("Äpfel", "Äpfel", 0.5), ("x", "x", 0.25)]


def test_a_black_image_tells_how_many_classes_there_are(ask: Any) -> None:
    outputs: Declared = {"classes": ("DT_STRING", (-1, -1)), "scores": ("DT_FLOAT", (-1, -1))}

    assert ask(ANSWER, outputs).get("/models/toy").json["output"]["top_k"] == 3


def test_scores_that_the_server_cannot_write_are_told(ask: Any, serving: StubServing) -> None:
    serving.answer = (400, {"error": "no halves"})

    client = ask(ANSWER, STRINGS | {"scores": ("DT_HALF", (-1, 3))})

    assert "no halves" in client.get("/models/toy").json["error"]["detail"]


def test_the_models_file_names_the_outputs(ask: Any, tmp_path: Path) -> None:
    outputs = STRINGS | {"names": ("DT_STRING", (-1, 3)), "odds": ("DT_FLOAT", (-1, 3))}
    answer = ANSWER | {"names": ["a", "b", "c"], "odds": [0.5, 0.25, 0.125]}
    (tmp_path / "labels.txt").write_text("x\ny\nz\n", encoding="utf-8")

    client = ask(answer, outputs, f'{INPUT}\nclasses = "names"\noutput = "odds"')
    assert predictions(client, "?top_k=1") == [("a", "a", 0.5)]
    scores = f'{INPUT}\noutput = "odds"\nlabels = "labels.txt"'
    assert predictions(ask(answer, outputs, scores), "?top_k=1") == [("0", "x", 0.5)]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (f'{INPUT}\nclasses = "owls"', "names the classes owls, which must be strings or integers"),
        (f'{INPUT}\nactivation = "none"', "activation = none needs the scores of all classes"),
        ("", "the models file does not set its input"),
    ],
)
def test_what_cannot_be_used_is_told(ask: Any, lines: str, told: str) -> None:
    model: Any = ask(ANSWER, STRINGS, lines).get("/models/toy").json

    assert told in model["error"]["detail"]


def test_a_heat_map_needs_the_scores_of_all_classes(ask: Any) -> None:
    response: Any = ask(ANSWER, STRINGS).post("/models/toy/explain", data=flat("white"))

    assert response.status_code == 400
    assert "returns its best classes only" in response.json["detail"]


def test_classes_and_scores_must_be_as_many(ask: Any) -> None:
    outputs: Declared = {"classes": ("DT_STRING", (-1, -1)), "scores": ("DT_FLOAT", (-1, -1))}

    model: Any = ask({"classes": ["cat", "dog"], "scores": [0.5]}, outputs).get("/models/toy").json

    assert "returned 2 classes and scores of shape (1,) for an image" in model["error"]["detail"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"c": ["a"], "s": [None]}, "numbers"),
        ({"c": ["a"], "s": [float("nan")]}, "finite"),
        ({"c": [7], "s": [0.5]}, "has no strings"),
        ({"c": [{"b64": "!"}], "s": [0.5]}, "has no strings"),
        ({"c": [{"b32": ""}], "s": [0.5]}, "has no strings"),
        ({"c": [["a"]], "s": [0.5]}, "has no strings"),
        ({"c": [], "s": []}, "one score for each class"),
        ({"c": ["a", "b"], "s": [[0.5, 0.5]]}, "one score for each class"),
    ],
)
def test_a_strange_response_is_an_error(row: dict[str, Any], told: str) -> None:
    declared = [TensorInfo("c", "DT_STRING", ()), TensorInfo("s", "DT_FLOAT", ())]

    with pytest.raises(ServingError, match=told):
        read_top_k(read_outputs([row], count=1, outputs=declared)[0], TopK("c", "s", None))


def described(*labels: Label) -> ModelSpec:
    return ModelSpec(
        name="m",
        input=InputSpec(height=1, width=1),
        output=OutputSpec(classes=len(labels), top_k=2),
        labels=labels,
    )


def test_names_are_looked_up_by_id_first() -> None:
    spec = described(("n1", "cat"), ("cat", "tabby"), ("n3", "hen"))
    found = ReturnedClasses(["cat", "hen", "owl"], np.array([0.5, 0.25, 0.125]))

    ranked = rank_returned(
        found, spec, resolve_returned(RankingOptions(labels=["n3", "cat"]), spec)
    )

    assert [(p.class_id, p.label) for p in ranked] == [("cat", "tabby"), ("n3", "hen")]


@pytest.mark.parametrize("index", [-1, 1])
def test_an_index_without_a_label_is_an_error(index: int) -> None:
    spec = described(("0", "cat"))
    selection = resolve_returned(RankingOptions(), spec)

    with pytest.raises(ServingError, match="the models file has labels for 0 to 0"):
        rank_returned(ReturnedClasses([index], np.array([0.5])), spec, selection)

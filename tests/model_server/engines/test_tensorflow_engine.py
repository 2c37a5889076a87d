"""Real SavedModels behind the whole server, TensorFlow included."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_server.engines.tensorflow_engine import TensorFlowEngine, TensorFlowOptions
from model_server.errors import InvalidArgument
from tests.model_server.harness import SERVER, Client, server_process
from tests.waiting import eventually

pytestmark = pytest.mark.tensorflow


def config(folder: Path, path: Path) -> str:
    special = {
        "damaged": "model_version_policy { all {} }",
        "linear": "model_version_policy { all {} }",
    }
    entries = (
        f'config {{ name: "{model.name}" base_path: "{model}" model_platform: "tensorflow"'
        f" {special.get(model.name, '')} }}"
        for model in sorted(folder.iterdir())
    )
    path.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    return f"--model_config_file={path}"


@pytest.fixture(scope="module")
def client(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    room = tmp_path_factory.mktemp("server")
    flags = (
        config(saved_models, room / "models.config"),
        "--max_num_load_retries=0",
        "--rest_api_timeout_in_ms=400",
    )
    with server_process(SERVER, room / "server.log", *flags) as process:
        yield process.client


DTYPES = ("float32", "float64", "int32", "int64", "uint8", "int16", "int8", "uint32", "uint64")
VALUES: dict[str, Any] = {
    "bool": [True, False],
    "string": ["a", "é"],
    "float32": [0.5, 1e-07],
    "float64": [0.1, 1e300],
    "int64": [-(2**63), 2**63 - 1],
    "uint64": [0, 2**64 - 1],
}


@pytest.mark.parametrize("dtype", [*DTYPES, "bool", "string"])
@pytest.mark.parametrize(("key", "answer"), [("instances", "predictions"), ("inputs", "outputs")])
def test_every_type_passes_through(client: Client, dtype: str, key: str, answer: str) -> None:
    values = VALUES.get(dtype, [1, 100])

    reply = client.predict(f"id_{dtype}", {key: values})

    assert (reply.status, reply.json) == (200, {answer: values})


@pytest.mark.parametrize("value", [5.0, [[1.0, 2.0]], [[[]]]])
def test_any_rank_passes_through(client: Client, value: object) -> None:
    assert client.predict("id_float32", {"inputs": value}).json == {"outputs": value}


@pytest.mark.parametrize("data", ["", "YQ==", "AAA=", "/wA="])
def test_scalar_strings_keep_their_zeros(client: Client, data: str) -> None:
    reply = client.predict("bytes", {"instances": [{"b64": data}]})
    scalar = client.call(
        "POST", "/v1/models/id_string:predict", json.dumps({"inputs": {"b64": data}})
    )

    assert reply.json["predictions"][0]["raw_bytes"] == {"b64": data}
    assert scalar.status == 200


@pytest.mark.parametrize(("dtype", "shown"), [("float16", "half"), ("bfloat16", "bfloat16")])
def test_types_that_rest_cannot_read(client: Client, dtype: str, shown: str) -> None:
    column = client.predict(f"id_{dtype}", {"inputs": [1.5]})
    row = client.predict(f"id_{dtype}", {"instances": [1.5]})

    assert (column.status, column.error) == (
        501,
        f"Conversion of JSON Value: 1.5 to type: {shown}",
    )
    assert row.status == 400


def test_variables_are_restored_per_version(client: Client) -> None:
    body = {"instances": [[1.0, 2.0]]}

    first = client.predict("linear/versions/1", body)
    newest = client.predict("linear", body)

    assert (first.json, newest.json) == ({"predictions": [[21.0]]}, {"predictions": [[22.0]]})


def test_tables_are_initialised(client: Client) -> None:
    assert client.predict("table", {"instances": ["dog", "cow"]}).json == {"predictions": [4, -1]}


def test_an_error_of_the_graph_keeps_its_words(client: Client) -> None:
    reply = client.predict("boom", {"instances": [-1]})

    assert reply.status == 400
    assert reply.error.startswith(
        "assertion failed: [x must be positive.  ] [Condition x > 0 did not hold element-wise:]"
        " [x (x:0) = ] [-1]\n\t [[{{function_node "
    )
    assert client.predict("boom", {"instances": [1]}).json == {"predictions": [1.0]}


def test_a_shape_that_the_graph_cannot_take_is_the_graphs_error(client: Client) -> None:
    reply = client.predict("linear", {"instances": [[1.0, 2.0, 3.0]]})

    assert (reply.status, bool(reply.error)) == (400, True)


def test_a_run_that_takes_too_long_is_given_up(client: Client) -> None:
    reply = client.predict("slow", {"instances": [1]})

    assert (reply.status, reply.error) == (504, "Timed out waiting for notification")


def test_scalar_outputs_are_for_columns(client: Client) -> None:
    row = client.predict("total", {"instances": [1, 2]})
    column = client.predict("total", {"inputs": [1, 2]})

    assert (row.status, row.error) == (400, "Tensor name: sum has no shape information ")
    assert column.json == {"outputs": 3.0}


def test_an_output_may_be_the_input_itself(client: Client) -> None:
    reply = client.predict("examples", {"signature_name": "through", "instances": [1.0]})

    assert reply.json == {"predictions": [{"same": 1.0, "half": 0.5}]}


@pytest.mark.parametrize(
    ("verb", "signature", "examples", "results"),
    [
        ("regress", "", [{"x": 80.0}, {"x": [2.0]}], [42.0, 3.0]),
        ("classify", "classes", [{"x": 20.0}], [[["", 12.0]]]),
    ],
)
def test_examples_are_parsed_by_the_graph(
    client: Client, verb: str, signature: str, examples: list[object], results: list[object]
) -> None:
    body = json.dumps({"signature_name": signature, "examples": examples})

    reply = client.call("POST", f"/v1/models/examples:{verb}", body)

    assert reply.json == {"results": results}


@pytest.mark.parametrize(
    ("example", "text"),
    [
        ({"x": 80}, "Data types don't match. Data type: int64 but expected type: float"),
        ({"y": 1.0}, "Feature: x (data type: float) is required but could not be found."),
    ],
)
def test_examples_that_the_graph_refuses(
    client: Client, example: dict[str, object], text: str
) -> None:
    reply = client.call("POST", "/v1/models/examples:regress", json.dumps({"examples": [example]}))

    assert reply.status == 400
    assert text in reply.error


def test_metadata_shows_what_the_savedmodel_says(client: Client) -> None:
    document = client.get("/v1/models/linear/versions/1/metadata").json

    signatures = document["metadata"]["signature_def"]["signature_def"]
    assert document["model_spec"] == {"name": "linear", "version": "1", "signature_name": ""}
    assert set(signatures) == {"serving_default", "__saved_model_init_op"}
    [(alias, info)] = signatures["serving_default"]["inputs"].items()
    assert alias == "x"
    assert info["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in info["tensor_shape"]["dim"]] == ["-1", "2"]
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    ("version", "code", "text"),
    [
        (2, "DATA_LOSS", "Can't parse "),
        (3, "DATA_LOSS", "Can't parse "),
        (4, "NOT_FOUND", "The passed save_path is not a valid checkpoint: "),
        (
            5,
            "NOT_FOUND",
            "Specified file path does not appear to contain a SavedModel bundle (should have a"
            " file called `saved_model.pb`)\nSpecified file path: ",
        ),
        (6, "NOT_FOUND", "Could not find meta graph def matching supplied tags: { serve }."),
    ],
)
def test_damaged_versions_end_with_a_reason_and_hurt_nobody(
    client: Client, version: int, code: str, text: str
) -> None:
    [status] = client.get(f"/v1/models/damaged/versions/{version}").json["model_version_status"]

    assert (status["state"], status["status"]["error_code"]) == ("END", code)
    assert status["status"]["error_message"].startswith(text)
    assert client.predict("damaged", {"instances": [[1.0, 2.0]]}).json == {"predictions": [[21.0]]}


def test_a_version_deleted_while_it_serves_goes_on_until_it_is_replaced(
    saved_models: Path, tmp_path: Path
) -> None:
    base = tmp_path / "m"
    shutil.copytree(saved_models / "linear" / "1", base / "1")
    flags = ("--model_name=m", f"--model_base_path={base}")

    with server_process(SERVER, tmp_path / "log", *flags) as process:
        client = process.client
        shutil.rmtree(base / "1" / "variables")
        without_files = client.predict("m", {"instances": [[1.0, 2.0]]})
        shutil.copytree(saved_models / "linear" / "2", tmp_path / "next")
        (tmp_path / "next").rename(base / "2")
        shutil.rmtree(base / "1")
        swapped = eventually(lambda: client.states("m") == {2: "AVAILABLE", 1: "END"})
        newest = client.predict("m", {"instances": [[1.0, 2.0]]})

    assert without_files.json == {"predictions": [[21.0]]}
    assert (swapped, newest.json) == (True, {"predictions": [[22.0]]})


def test_batches_of_real_models(saved_models: Path, tmp_path: Path) -> None:
    parameters = tmp_path / "batching.config"
    parameters.write_text("max_batch_size { value: 4 } allowed_batch_sizes: [2, 4]")
    flags = (
        "--model_name=m",
        f"--model_base_path={saved_models / 'linear'}",
        "--enable_batching",
        f"--batching_parameters_file={parameters}",
    )

    with server_process(SERVER, tmp_path / "log", *flags) as process:
        fits = process.client.predict("m", {"instances": [[1.0, 2.0]] * 3})
        too_large = process.client.predict("m", {"instances": [[1.0, 2.0]] * 5})
        scalar = process.client.predict("m", {"inputs": 1.0})

    assert fits.json == {"predictions": [[22.0]] * 3}
    assert (too_large.status, too_large.error) == (
        400,
        "Task size 5 is larger than maximum input batch size 4",
    )
    assert scalar.error == "Batching Run() input tensors must have at least one dimension"


@pytest.mark.parametrize(
    ("path", "document"),
    [
        pytest.param("bad_example", {"instances": [{"b64": "/9j/4A=="}]}, id="rows"),
        pytest.param("bad_example", {"inputs": [{"b64": "/9j/4A=="}]}, id="columns"),
        pytest.param("number", {"instances": [{"b64": "/9j/4A=="}]}, id="another operation"),
    ],
)
def test_an_error_that_quotes_bytes_shows_them_escaped(
    client: Client, path: str, document: object
) -> None:
    reply = client.predict(path, document)

    assert reply.status == 400
    assert "\\xff\\xd8\\xff\\xe0" in reply.error


def test_an_error_that_quotes_text_shows_it_as_it_is(client: Client) -> None:
    reply = client.predict("number", {"instances": ["h\u00e9llo"]})

    assert reply.status == 400
    assert "h\u00e9llo" in reply.error


def test_the_options_of_every_run_are_freed(
    saved_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TensorFlowEngine(TensorFlowOptions()).load(saved_models / "linear" / "1")
    from tensorflow.python.client import pywrap_tf_session as session

    made: list[Any] = []
    freed: list[Any] = []
    new, delete = session.TF_NewBufferFromString, session.TF_DeleteBuffer

    def made_buffer(data: bytes) -> Any:
        made.append(new(data))
        return made[-1]

    def freed_buffer(buffer: Any) -> None:
        freed.append(buffer)
        delete(buffer)

    monkeypatch.setattr(session, "TF_NewBufferFromString", made_buffer)
    monkeypatch.setattr(session, "TF_DeleteBuffer", freed_buffer)
    model.run("serving_default", {"x": np.ones((1, 2), np.float32)})
    with pytest.raises(InvalidArgument):
        model.run("serving_default", {"x": np.ones((1, 3), np.float32)})
    model.close()

    assert len(made) == 2
    assert [id(buffer) for buffer in freed] == [id(buffer) for buffer in made]

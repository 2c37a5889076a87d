"""Real detectors behind the model server and the gateway, in each form of input and output."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from flask_server.app import close_app, create_app
from flask_server.settings import Settings
from scripts import export_detector, quiet_tensorflow
from tests import detectors
from tests.running import free_port, model_config, model_server

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

#: As people write it for SavedModels of other tools.
MODELS_FILE = """
[models.exported]
base_path = "exported"

[models.uint8]
base_path = "uint8"
task = "detection"
labels = "labels.pbtxt"
input = { height = 64, width = 64 }

[models.string]
base_path = "string"
task = "detection"
labels = "labels.pbtxt"

[models.keras]
base_path = "keras"
task = "detection"
labels = "labels.pbtxt"
input = { scale = "unit", fit = "stretch" }
boxes = { threshold = 0.2 }

[models.yolo]
base_path = "yolo"
task = "detection"
"""
NAMES = ("exported", "uint8", "string", "keras", "yolo")


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, FlaskClient]]:
    """Clients of gateways that ask one model server, by protocol."""
    quiet_tensorflow.start()
    root = tmp_path_factory.mktemp("detection")
    detectors.write_all(root)
    (root / "labels.pbtxt").write_text(detectors.LABEL_MAP, encoding="utf-8")
    (root / "models.toml").write_text(MODELS_FILE, encoding="utf-8")
    options = ["--model", str(root / "uint8" / "1"), "--labels", str(root / "labels.pbtxt")]
    options += ["--size", "64x64", "--base-path", str(root / "exported")]
    assert export_detector.main(options) == 0
    port = free_port()
    config = model_config({name: root / name for name in NAMES})
    with model_server(config, root, port) as url, ExitStack() as running:
        addresses = {"rest": url, "grpc": f"grpc://127.0.0.1:{port}"}
        found = {}
        for protocol, address in addresses.items():
            app = create_app(
                Settings(
                    serving_url=address,
                    models_file=root / "models.toml",
                    deadline_s=60,
                    poll_interval_s=0.2,
                )
            )
            running.callback(close_app, app)
            found[protocol] = app.test_client()
        yield found


@pytest.fixture
def client(clients: dict[str, FlaskClient]) -> FlaskClient:
    return clients["rest"]


def ask(client: FlaskClient, name: str, data: bytes, query: str = "") -> dict[str, Any]:
    response = client.post(f"/models/{name}/predict{query}", data=data)
    assert response.status_code == 200, response.text
    return json_of(response)


def json_of(response: TestResponse) -> dict[str, Any]:
    assert response.json is not None
    document: dict[str, Any] = response.json
    return document


def sides(found: dict[str, Any]) -> list[int]:
    return [found["box"][side] for side in ("xmin", "ymin", "xmax", "ymax")]


@pytest.mark.parametrize("name", NAMES)
def test_objects_are_found_where_they_are_in_the_original(client: FlaskClient, name: str) -> None:
    answer = ask(client, name, detectors.png(detectors.photo()))
    assert answer["size"] == [200, 100]
    found = {one["label"]: one for one in answer["detections"]}
    assert len(found) == len(answer["detections"]) == 2
    names = {"0": "red", "2": "blue"} if name == "yolo" else {"1": "red", "3": "blue"}
    for one in found.values():
        expected = detectors.BOXES[names[one["class_id"]]]
        assert sides(one) == pytest.approx(expected, abs=1 if name == "string" else 5)
        assert 0.7 < one["score"] <= 1.0001


@pytest.mark.parametrize("name", NAMES)
def test_both_protocols_find_the_same_objects(clients: dict[str, FlaskClient], name: str) -> None:
    data = detectors.png(detectors.photo())
    rest, grpc = (ask(clients[protocol], name, data) for protocol in ("rest", "grpc"))
    assert len(rest["detections"]) == len(grpc["detections"]) == 2
    for one, other in zip(rest["detections"], grpc["detections"], strict=True):
        assert other["score"] == pytest.approx(one["score"], abs=1e-4)
        assert other["class_id"] == one["class_id"]
        assert sides(other) == pytest.approx(sides(one), abs=1)


def test_boxes_are_those_of_the_upright_picture(client: FlaskClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    file = io.BytesIO()
    stored = detectors.photo().transpose(Image.Transpose.ROTATE_90)
    stored.save(file, "JPEG", quality=95, exif=exif)
    answer = ask(client, "exported", file.getvalue())
    assert answer["size"] == [200, 100]
    for one in answer["detections"]:
        assert sides(one) == pytest.approx(detectors.BOXES[one["label"]], abs=5)


def test_the_options_of_a_request(client: FlaskClient) -> None:
    data = detectors.png(detectors.photo())
    assert len(ask(client, "exported", data, "?top_k=1")["detections"]) == 1
    only = ask(client, "exported", data, "?labels=blue&threshold=0.1")["detections"]
    assert [one["label"] for one in only] == ["blue"]
    nothing = ask(client, "exported", detectors.png(Image.new("RGB", (50, 40))))
    assert (nothing["detections"], nothing["size"]) == ([], [50, 40])
    for query in ("?top_k=1001", "?labels=cow"):
        refused = client.post(f"/models/exported/predict{query}", data=data)
        assert (refused.status_code, json_of(refused)["code"]) == (400, "invalid_parameter")


def test_several_pictures_have_a_result_each(client: FlaskClient) -> None:
    data = detectors.png(detectors.photo())
    form = {"image": [(io.BytesIO(data), "a.png"), (io.BytesIO(b"no picture"), "b.png")]}
    for name in ("exported", "uint8"):
        copies = {"image": [(io.BytesIO(file.getvalue()), n) for file, n in form["image"]]}
        response = client.post(f"/models/{name}/predict", data=copies)
        first, second = json_of(response)["results"]
        assert len(first["detections"]) == 2
        assert second["error"]["status"] == 415


def test_a_tensor_has_boxes_in_the_pixels_of_the_input(client: FlaskClient) -> None:
    file = io.BytesIO()
    np.save(file, np.asarray(detectors.photo().resize((64, 64)), np.uint8))
    answer = ask(client, "exported", file.getvalue())
    assert answer["size"] == [64, 64]
    found = {one["label"]: sides(one) for one in answer["detections"]}
    assert found["red"] == pytest.approx([6, 19, 19, 45], abs=1)


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8")])
def test_boxes_are_drawn_on_request(client: FlaskClient, kind: str, start: bytes) -> None:
    data = detectors.png(detectors.photo())
    headers = {"Accept": f"image/{kind}"}
    response = client.post("/models/exported/predict", data=data, headers=headers)
    assert response.content_type == f"image/{kind}"
    assert response.data.startswith(start)
    with Image.open(io.BytesIO(response.data)) as image:
        assert image.width == 400  # a small picture is magnified
        assert image.height > 200


def test_what_a_detector_cannot_do_is_said_with_its_task(client: FlaskClient) -> None:
    data = detectors.png(detectors.photo())
    explained = client.post("/models/exported/explain", data=data)
    assert explained.status_code == 400
    assert "detection" in json_of(explained)["detail"]
    array = client.post(
        "/models/exported/predict", data=data, headers={"Accept": "application/x-npy"}
    )
    assert array.status_code == 406
    assert "detection" in json_of(array)["detail"]


def test_models_tell_task_and_boxes(client: FlaskClient) -> None:
    models = {model["name"]: model for model in json_of(client.get("/models"))["models"]}
    assert {model["task"] for model in models.values()} == {"detection"}
    assert models["keras"]["boxes"]["threshold"] == 0.2
    assert models["exported"]["boxes"]["threshold"] == 0.5
    assert models["yolo"]["boxes"]["layout"] == "yolo"

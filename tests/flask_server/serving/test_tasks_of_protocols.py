"""Models of each task give the same answers, whether they are asked over REST or gRPC."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray
from PIL import Image

from flask_server.errors import ServingError
from flask_server.serving.grpc_encoding import model_spec, outputs_of, tensor_encoder
from flask_server.serving.signatures import TensorInfo
from serving_api import tensor_reader
from serving_api.messages import message
from tests.flask_server.conftest import MakeApp, saved
from tests.flask_server.stub_serving import Servable, StubServing, tensor

PROTOCOLS = ("rest", "grpc")
URL = "/models/toy/predict"

#: Makes a client of a gateway whose only model is described by these lines of models.toml.
MakeClient = Callable[..., FlaskClient]


@pytest.fixture
def task_client(make_app: MakeApp, serving: StubServing) -> MakeClient:
    def make(
        lines: str,
        score: Callable[[NDArray[Any]], Any],
        image: tuple[str, tuple[int, ...]],
        outputs: dict[str, tuple[str, tuple[int, ...]]],
    ) -> FlaskClient:
        declared = {
            "serving_default": {
                "inputs": {"x": tensor(*image)},
                "outputs": {name: tensor(*output) for name, output in outputs.items()},
            }
        }
        serving.models["toy"] = {1: Servable(None, score, declared=declared)}
        return make_app(f'[models.toy]\nbase_path = "toy"\n{lines}\n').test_client()

    return make


def picture(size: tuple[int, int]) -> bytes:
    return saved(Image.new("RGB", size, "white"), "PNG")


def asked_outputs(serving: StubServing) -> list[str] | None:
    """The outputs that the last call asked for; over REST, every call gets all."""
    found: list[str] | None = serving.predicts[-1].get("output_filter")
    return found


def test_rows_of_a_tensor(task_client: MakeClient, serving: StubServing) -> None:
    shape = (-1, 2)
    client = task_client(
        'task = "tensor"',
        lambda x: (2 * x).tolist(),
        ("DT_FLOAT", shape),
        {"y": ("DT_INT32", shape)},
    )

    response = client.post(URL, json={"tensor": [[1, 2], [3, 4]]})

    assert response.json is not None
    assert [one["outputs"]["y"] for one in response.json["results"]] == [[2, 4], [6, 8]]
    assert asked_outputs(serving) in (None, ["y"])


def test_outputs_of_several_types(task_client: MakeClient, serving: StubServing) -> None:
    outputs = {"a": ("DT_INT64", (-1, 2)), "b": ("DT_STRING", (-1,)), "c": ("DT_FLOAT", (-1, 1))}
    answer = {"a": [1, 2**60], "b": "text", "c": [0.5]}
    client = task_client('task = "tensor"', lambda _: answer, ("DT_FLOAT", (-1, 2)), outputs)

    response = client.post(URL, json={"tensor": [1, 2]})

    assert response.json is not None
    assert response.json["outputs"] == answer
    assert asked_outputs(serving) in (None, ["a", "b", "c"])


def test_embedding_of_image_files_as_they_are(task_client: MakeClient) -> None:
    client = task_client(
        'task = "embedding"',
        lambda x: [*x.shape[:2], x.max().item()],
        ("DT_STRING", (-1,)),
        {"y": ("DT_FLOAT", (-1, 3))},
    )
    files = [(io.BytesIO(picture(size)), "a.png") for size in ((6, 5), (3, 9))]

    response = client.post(URL, data={"image": files})

    assert response.json is not None, response.text
    found = [one["embedding"] for one in response.json["results"]]
    assert found == [[5, 6, 255], [9, 3, 255]]


def test_scores_of_image_files_as_they_are(task_client: MakeClient, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("dark\nlight\n", encoding="utf-8")
    client = task_client(
        'labels = "labels.txt"',
        lambda x: [0.25, 0.75] if x.max() else [1.0, 0.0],
        ("DT_STRING", (-1,)),
        {"y": ("DT_FLOAT", (-1, 2))},
    )

    response = client.post(URL, data=picture((4, 4)))

    assert response.json is not None
    assert [one["score"] for one in response.json["predictions"]] == [0.75, 0.25]


def test_scores_of_a_tensor(task_client: MakeClient) -> None:
    client = task_client(
        "input = { height = 1, width = 2 }",
        lambda x: x[0, :, 0].tolist(),
        ("DT_FLOAT", (-1, 1, 2, 1)),
        {"y": ("DT_FLOAT", (-1, 2))},
    )

    response = client.post(URL, json={"tensor": [[[0.25], [0.75]]]})

    assert response.json is not None
    assert [one["score"] for one in response.json["predictions"]] == [0.75, 0.25]


def test_segmentation(task_client: MakeClient) -> None:
    def halves(pixels: NDArray[Any]) -> Any:
        light = pixels[..., :1] / 255
        return np.concatenate([1 - light, light], -1).tolist()

    client = task_client(
        'task = "segmentation"\ninput = { scale = "none" }',
        halves,
        ("DT_FLOAT", (-1, 4, 4, 3)),
        {"y": ("DT_FLOAT", (-1, 4, 4, 2))},
    )
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (30, 0, 40, 20))

    response = client.post(URL, data=saved(image, "PNG"))

    assert response.json is not None, response.text
    assert [area["share"] for area in response.json["areas"]] == [0.75, 0.25]


def test_detector_is_asked_for_the_outputs_that_are_read(
    task_client: MakeClient, serving: StubServing
) -> None:
    answer = {
        "detection_boxes": [[0, 0, 0.5, 0.5], [0, 0, 0, 0]],
        "detection_scores": [0.9, 0.0],
        "detection_classes": [1, 1],
        "num_detections": 1,
        "raw_detection_boxes": [[0, 0, 0, 0]],
    }
    shapes: dict[str, tuple[int, ...]] = {
        "detection_boxes": (-1, 2, 4),
        "detection_scores": (-1, 2),
        "detection_classes": (-1, 2),
        "num_detections": (-1,),
        "raw_detection_boxes": (-1, 1, 4),
    }
    client = task_client(
        'task = "detection"\ninput = { fit = "stretch" }',
        lambda _: answer,
        ("DT_UINT8", (-1, 8, 8, 3)),
        {name: ("DT_FLOAT", shape) for name, shape in shapes.items()},
    )

    response = client.post(URL, data=picture((20, 20)))

    assert response.json is not None, response.text
    (found,) = response.json["detections"]
    assert found["box"] == {"xmin": 0, "ymin": 0, "xmax": 10, "ymax": 10}
    asked = asked_outputs(serving)
    assert asked is None or sorted(asked) == sorted(answer.keys() - {"raw_detection_boxes"})


def white_corner(orientation: int, kind: str = "PNG") -> bytes:
    """A file of a picture of 40 x 20 whose upper right corner of 10 x 5 is white."""
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (30, 0, 40, 5))
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    return saved(image if back is None else image.transpose(back), kind, exif=exif, lossless=True)


@pytest.mark.parametrize(
    ("orientation", "kind"), [*((number, "PNG") for number in range(1, 9)), (6, "WEBP")]
)
def test_detector_of_image_files_as_they_are(
    task_client: MakeClient, orientation: int, kind: str
) -> None:
    def white(pixels: NDArray[Any]) -> Any:
        rows, columns = np.nonzero(pixels[..., 0] > 127)
        height, width = pixels.shape[:2]
        low = [rows.min() / height, columns.min() / width]
        high = [(rows.max() + 1) / height, (columns.max() + 1) / width]
        return {"detection_boxes": [[*low, *high]], "detection_scores": [[0.9]]}

    client = task_client(
        'task = "detection"',
        white,
        ("DT_STRING", (-1,)),
        {
            "detection_boxes": ("DT_FLOAT", (-1, 1, 4)),
            "detection_scores": ("DT_FLOAT", (-1, 1, 1)),
        },
    )

    response = client.post(URL, data=white_corner(orientation, kind))

    assert response.json is not None, response.text
    assert response.json["size"] == [40, 20]
    (found,) = response.json["detections"]
    assert found["box"] == {"xmin": 30, "ymin": 0, "xmax": 40, "ymax": 5}


def test_detector_of_files_needs_the_size_of_boxes_in_pixels(task_client: MakeClient) -> None:
    shapes = {"boxes": (-1, 1, 4), "scores": (-1, 1, 1)}
    client = task_client(
        'task = "detection"',
        lambda _: {"boxes": [[0, 0, 1, 1]], "scores": [[0.9]]},
        ("DT_STRING", (-1,)),
        {name: ("DT_FLOAT", shape) for name, shape in shapes.items()},
    )

    response = client.post(URL, data=picture((4, 4)))

    assert response.status_code == 502
    assert response.json is not None
    assert "input.height" in response.json["detail"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_segmentation_of_image_files_as_they_are(
    task_client: MakeClient, tmp_path: Path, orientation: int
) -> None:
    (tmp_path / "labels.txt").write_text("dark\nlight\n", encoding="utf-8")
    client = task_client(
        'task = "segmentation"\nlabels = "labels.txt"',
        lambda x: (x[..., 0] > 127).astype(int).tolist(),
        ("DT_STRING", (-1,)),
        {"y": ("DT_INT32", (-1, -1, -1))},
    )

    answer = client.post(
        URL, data=white_corner(orientation), headers={"Accept": "application/x-npy"}
    )

    classes = np.load(io.BytesIO(answer.data))
    assert classes.shape == (20, 40)
    assert classes[:5, 30:].all()
    assert classes.sum() == 50


@pytest.mark.parametrize(
    ("array", "dtype", "is_one", "found"),
    [
        (np.array([[0.5, 1]], ml_dtypes.bfloat16), "DT_BFLOAT16", False, [0.5, 1]),
        (np.array([True]), "DT_BOOL", False, True),
        (np.array([3, 4], np.uint8), "DT_UINT8", True, [3, 4]),
        (np.array(0.5), "DT_DOUBLE", True, 0.5),
        (np.array([[b"a", b"\xff"]], object), "DT_STRING", False, ["a", "\ufffd"]),
        (np.array(b"a", object), "DT_STRING", True, "a"),
    ],
)
def test_outputs_of_a_grpc_response(
    array: NDArray[Any], dtype: str, is_one: bool, found: Any
) -> None:
    response = {"other": np.zeros(1), "y": array}

    (row,) = outputs_of(response, count=1, outputs=[TensorInfo("y", dtype, ())], is_one=is_one)

    assert row["y"].tolist() == found


def test_bytes_of_a_grpc_response_are_base64_as_in_json() -> None:
    response = {"a_bytes": np.array([b"\xff"], object), "y": np.zeros((1, 2))}
    declared = [TensorInfo("a_bytes", "DT_STRING", ()), TensorInfo("y", "DT_DOUBLE", ())]

    (row,) = outputs_of(response, count=1, outputs=declared, is_one=False)

    assert row["a_bytes"].tolist() == {"b64": "/w=="}
    assert row["y"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.zeros((2, 2)), "DT_DOUBLE"),
        (np.zeros(()), "DT_DOUBLE"),
        (np.zeros(1), "DT_STRING"),
        (np.zeros(1, np.complex64), "DT_COMPLEX64"),
        (np.zeros(1, np.complex64), "DT_FLOAT"),
        (np.array([b"1"], object), "DT_FLOAT"),
    ],
)
def test_another_output_of_a_grpc_response_is_refused(array: NDArray[Any], dtype: str) -> None:
    declared = [TensorInfo("y", dtype, ())]
    with pytest.raises(ServingError, match="response"):
        outputs_of({"y": array}, count=1, outputs=declared, is_one=False)
    with pytest.raises(ServingError, match="lacks the output y"):
        outputs_of({"z": array}, count=1, outputs=declared, is_one=False)


@pytest.mark.parametrize(
    ("declared", "row", "shape"),
    [
        (tensor("DT_BFLOAT16", (-1, 2)), np.array([0.5, 2], np.float32), (1, 2)),
        (tensor("DT_HALF", (-1, 2)), np.array([0.5, 2], np.float16), (1, 2)),
        (tensor("DT_BOOL", (-1,)), np.array(True), (1,)),
        (tensor("DT_INT64", (), scalar=True), np.array(-3), ()),
    ],
)
def test_a_tensor_has_the_type_of_the_input(
    declared: dict[str, Any], row: NDArray[Any], shape: tuple[int, ...]
) -> None:
    encode = tensor_encoder(
        model_spec("m", 7), {"serving_default": {"inputs": {"x": declared}}}, wanted=["y"]
    )

    request = message("PredictRequest").FromString(encode([row]))

    sent = memoryview(request.inputs[0].value.SerializeToString())
    array = tensor_reader.to_array(tensor_reader.parse(sent))
    assert array.shape == shape
    assert array.reshape(-1).tolist() == row.reshape(-1).tolist()
    assert array.dtype.name in (declared["dtype"][3:].lower(), "float16")
    assert list(request.output_filter) == ["y"]

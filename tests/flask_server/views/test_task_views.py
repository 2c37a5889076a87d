"""Models of the tasks tensor, embedding and segmentation, and tensors for every model."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray
from PIL import Image
from werkzeug.test import TestResponse

from flask_server.openapi.document import document as describe
from flask_server.settings import Settings
from tests.flask_server.conftest import MakeApp, b64, draw, flat, saved
from tests.flask_server.openapi.test_openapi import check_answer
from tests.flask_server.stub_serving import Servable, StubServing, tensor
from tests.flask_server.views.test_model_views import code
from tests.strangers.files import lossless_jpeg

URL = "/models/toy/predict"
NPY = "application/x-npy"
DOCUMENT = describe(Settings(), "toy")

#: Makes a client of a gateway whose only model is described by these lines of models.toml.
MakeClient = Callable[..., FlaskClient]


def npy(values: Any, dtype: Any = np.float32) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values, dtype), allow_pickle=False)
    return file.getvalue()


def array(response: TestResponse) -> NDArray[Any]:
    assert response.mimetype == NPY, response.text
    return np.asarray(np.load(io.BytesIO(response.data), allow_pickle=False))


@pytest.fixture
def task_client(make_app: MakeApp, serving: StubServing) -> MakeClient:
    def make(
        lines: str,
        score: Callable[[NDArray[Any]], Any],
        shape: tuple[int, ...],
        outputs: dict[str, tuple[str, tuple[int, ...]]],
        dtype: str = "DT_FLOAT",
    ) -> FlaskClient:
        declared = {
            "serving_default": {
                "inputs": {"x": tensor(dtype, shape)},
                "outputs": {name: tensor(kind, size) for name, (kind, size) in outputs.items()},
            }
        }
        servable = Servable(None, score, declared=declared, outputs={"y": ("DT_FLOAT", 1)})
        serving.models["toy"] = {1: servable}
        return make_app(f'[models.toy]\nbase_path = "toy"\n{lines}\n').test_client()

    return make


@pytest.fixture
def doubling(task_client: MakeClient) -> FlaskClient:
    """A model over four numbers that takes no images."""
    outputs = {"y": ("DT_FLOAT", (-1, 4))}
    return task_client('task = "tensor"', lambda x: (2 * x).tolist(), (-1, 4), outputs)


@pytest.fixture
def embedding(task_client: MakeClient) -> FlaskClient:
    """The mean of each channel."""
    outputs = {"y": ("DT_FLOAT", (-1, 3))}
    lines = 'task = "embedding"\ninput = { scale = "none" }'
    return task_client(lines, lambda x: x.mean((0, 1)).tolist(), (-1, 4, 4, 3), outputs)


def halves(pixels: NDArray[Any]) -> list[Any]:
    """Dark pixels belong to the first class, light ones to the second."""
    light = pixels[..., :1] / 255
    return list(np.concatenate([1 - light, light, 0 * light], -1).tolist())


@pytest.fixture
def segmentation(task_client: MakeClient) -> Callable[..., FlaskClient]:
    def make(fit: str = "stretch") -> FlaskClient:
        outputs = {"y": ("DT_FLOAT", (-1, 4, 4, 3))}
        lines = f'task = "segmentation"\ninput = {{ scale = "none", fit = "{fit}" }}'
        return task_client(lines, halves, (-1, 4, 4, 3), outputs)

    return make


def half_white(size: tuple[int, int] = (40, 20)) -> bytes:
    """An image whose right half is white."""
    image = Image.new("RGB", size, "black")
    image.paste((255, 255, 255), (size[0] // 2, 0, size[0], size[1]))
    return saved(image, "PNG")


@pytest.mark.parametrize(
    "request_arguments",
    [
        {"json": {"tensor": [1, 2, 3, 4]}},
        {"data": npy([1, 2, 3, 4]), "content_type": NPY},
        {"data": npy([1, 2, 3, 4], np.float64), "content_type": "application/octet-stream"},
        {"data": npy([1, 2, 3, 4], np.uint8), "content_type": NPY},
        {"data": npy([1, 2, 3, 4], ">f4"), "content_type": NPY},
        {"data": {"tensor": "[1, 2, 3, 4]"}},
        {"data": {"image": (io.BytesIO(npy([1, 2, 3, 4])), "x.npy")}},
    ],
)
def test_tensor_is_answered_with_the_outputs_by_name(
    doubling: FlaskClient, request_arguments: dict[str, Any]
) -> None:
    response = doubling.post(URL, **request_arguments)

    assert response.json == {"model": "toy", "version": 1, "outputs": {"y": [2, 4, 6, 8]}}
    check_answer(DOCUMENT, "/models/{name}/predict", response)


def test_rows_of_a_tensor_have_results_of_their_own(doubling: FlaskClient) -> None:
    rows = [[1, 2, 3, 4], [5, 6, 7, 8]]

    response = doubling.post(URL, json={"tensor": rows})
    binary = doubling.post(URL, data=npy(rows), headers={"Accept": NPY}, content_type=NPY)

    assert response.json is not None
    assert [result["outputs"]["y"][0] for result in response.json["results"]] == [2, 10]
    check_answer(DOCUMENT, "/models/{name}/predict", response)
    assert array(binary).tolist() == [[2, 4, 6, 8], [10, 12, 14, 16]]
    assert array(binary).dtype == np.float32


def test_columns_first_order_is_read(doubling: FlaskClient) -> None:
    rows = np.asfortranarray(np.arange(8, dtype=np.float32).reshape(2, 4))

    response = doubling.post(URL, data=npy(rows), headers={"Accept": NPY}, content_type=NPY)

    assert array(response).tolist() == (2 * rows).tolist()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (npy([1, 2, 3]), "takes [4]"),
        (npy([[[1, 2, 3, 4]]]), "takes [4]"),
        (npy(1), "takes [4]"),
        (npy(["a", "b", "c", "d"], "U1"), "dtype"),
        (npy([1j, 2, 3, 4], np.complex64), "dtype"),
        (npy([1, 2, 3, np.nan]), "finite"),
        (npy([1e300, 2, 3, 4], np.float64), "finite"),
        (npy(np.zeros((0, 4))), "no values"),
        (npy([1, 2, 3, 4])[:-1], "15 bytes of values"),
        (npy([1, 2, 3, 4]) + b"x", "17 bytes of values"),
        (b"\x93NUMPY", "cannot be read"),
        (b"no file", "cannot be read"),
        (npy([1, 2, 3, 4]).replace(b"'fortran_order'", b"'fortran_ordeR'"), "cannot be read"),
        (npy([1, 2, 3, 4]).replace(b"(4,)", b"-4  "), "cannot be read"),
        (npy([1, 2, 3, 4]).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x07"), "version"),
    ],
)
def test_tensor_that_does_not_fit_is_refused(
    doubling: FlaskClient, serving: StubServing, body: bytes, words: str
) -> None:
    response = doubling.post(URL, data=body, content_type=NPY)

    assert code(response) == (400, "invalid_tensor")
    assert words in response.text
    assert serving.predicts == []
    check_answer(DOCUMENT, "/models/{name}/predict", response)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"tensor": [[1, 2], [3]]}, (400, "invalid_tensor")),
        ({"tensor": "abcd"}, (400, "invalid_tensor")),
        ({"tensor": {"a": 1}}, (400, "invalid_tensor")),
        ({"tensor": []}, (400, "invalid_tensor")),
        ({"tensor": [1, 2, 3, 4], "image": "x"}, (400, "invalid_parameter")),
        ({"tensor": [1, 2, 3, 4], "top_k": 2}, (400, "invalid_parameter")),
        ({"tensor": [1, 2, 3, 4], "output": "z"}, (400, "invalid_parameter")),
        ({"tensor": [[1, 2, 3, 4]] * 33}, (413, "too_many_images")),
        ({"image": b64(flat("white"))}, (400, "unsupported_task")),
    ],
)
def test_request_that_the_model_cannot_answer(
    doubling: FlaskClient, body: dict[str, Any], problem: tuple[int, str]
) -> None:
    response = doubling.post(URL, json=body)

    assert code(response) == problem
    check_answer(DOCUMENT, "/models/{name}/predict", response)


def test_several_tensors_are_one_with_a_batch_dimension(doubling: FlaskClient) -> None:
    files = [(io.BytesIO(npy([1, 2, 3, 4])), "x.npy") for _ in range(2)]

    response = doubling.post(URL, data={"image": files})

    assert code(response) == (400, "invalid_tensor")
    assert "batch dimension" in response.text


def test_media_type_that_the_task_does_not_have_names_the_task(doubling: FlaskClient) -> None:
    response = doubling.post(URL, json={"tensor": [1, 2, 3, 4]}, headers={"Accept": "image/png"})

    assert code(response) == (406, "not_acceptable")
    assert "has the task tensor" in response.text


@pytest.mark.parametrize("route", ["/models/toy/explain", "/imageclassifier/predict/"])
def test_route_for_classifiers_names_the_task(doubling: FlaskClient, route: str) -> None:
    field = "image" if "explain" in route else "b64"

    response = doubling.post(route, data={field: b64(flat("white"))})

    assert code(response) == (400, "unsupported_task")
    assert "has the task tensor" in response.text


def test_models_show_their_task(doubling: FlaskClient) -> None:
    response = doubling.get("/models/toy")

    assert response.json is not None
    assert (response.json["task"], response.json["input"]) == ("tensor", None)
    check_answer(DOCUMENT, "/models/{name}", response)


def test_outputs_of_several_dtypes(task_client: MakeClient) -> None:
    outputs = {"a": ("DT_INT64", (-1, 2)), "b": ("DT_STRING", (-1,)), "c": ("DT_FLOAT", (-1, 1))}
    answer = {"a": [1, 2**60], "b": "text", "c": [0.5]}
    client = task_client('task = "tensor"', lambda _: answer, (-1, 2), outputs)

    whole = client.post(URL, json={"tensor": [1, 2]})
    one = client.post(f"{URL}?output=a", json={"tensor": [1, 2]}, headers={"Accept": NPY})
    unclear = client.post(URL, json={"tensor": [1, 2]}, headers={"Accept": NPY})
    text = client.post(f"{URL}?output=b", json={"tensor": [1, 2]}, headers={"Accept": NPY})

    assert whole.json is not None
    assert whole.json["outputs"] == answer
    assert array(one).tolist() == [1, 2**60]
    assert array(one).dtype == np.int64
    assert code(unclear) == code(text) == (400, "invalid_parameter")


@pytest.mark.parametrize(("value", "fits"), [(255, True), (256, False), (-1, False)])
def test_integers_of_json_have_to_fit(task_client: MakeClient, value: int, fits: bool) -> None:
    outputs = {"y": ("DT_FLOAT", (-1, 2))}
    client = task_client('task = "tensor"', lambda x: x.tolist(), (-1, 2), outputs, "DT_UINT8")

    response = client.post(URL, json={"tensor": [0, value]})

    assert response.status_code == (200 if fits else 400)


def test_wider_integers_of_a_file_do_not_fit(task_client: MakeClient) -> None:
    outputs = {"y": ("DT_FLOAT", (-1, 2))}
    client = task_client('task = "tensor"', lambda x: x.tolist(), (-1, 2), outputs, "DT_UINT8")

    response = client.post(URL, data=npy([1, 2], np.int64), content_type=NPY)

    assert code(response) == (400, "invalid_tensor")


def test_image_for_a_model_over_a_flat_vector(task_client: MakeClient) -> None:
    lines = 'task = "tensor"\ninput = { height = 4, width = 4, scale = "unit" }'
    outputs = {"y": ("DT_FLOAT", (-1, 16))}
    client = task_client(lines, lambda x: x.tolist(), (-1, 16), outputs)

    response = client.post(URL, json={"image": b64(flat("white")), "report": True})

    assert response.json is not None
    assert response.json["outputs"] == {"y": [1.0] * 16}
    assert response.json["report"]["resized_to"] == [4, 4]


def test_classifier_ranks_a_tensor(client: FlaskClient) -> None:
    white = np.full((4, 4, 3), 255)

    response = client.post(URL, data=npy(white), query_string={"top_k": 1}, content_type=NPY)

    assert response.json is not None
    assert [p["label"] for p in response.json["predictions"]] == ["light"]


def test_embedding_is_a_vector(embedding: FlaskClient) -> None:
    image = b64(flat((3, 4, 0)))

    plain = embedding.post(URL, json={"image": image})
    normal = embedding.post(URL, json={"image": image, "normalize": True})
    binary = embedding.post(URL, json={"image": image}, headers={"Accept": NPY})

    assert plain.json == {
        "model": "toy",
        "version": 1,
        "embedding": [3, 4, 0],
        "dimensions": 3,
        "normalized": False,
    }
    check_answer(DOCUMENT, "/models/{name}/predict", plain)
    assert normal.json is not None
    assert normal.json["embedding"] == pytest.approx([0.6, 0.8, 0])
    assert array(binary).tolist() == [3, 4, 0]


def test_embeddings_of_several_images(embedding: FlaskClient) -> None:
    images = [b64(flat("white")), b64(b"no image")]

    response = embedding.post(URL, json={"images": images})

    assert response.json is not None
    good, bad = response.json["results"]
    assert good["embedding"] == [255, 255, 255]
    assert bad["error"]["code"] == "unsupported_image"
    check_answer(DOCUMENT, "/models/{name}/predict", response)


def test_embedding_that_is_no_vector_is_an_error_of_serving(task_client: MakeClient) -> None:
    lines = 'task = "embedding"\ninput = { scale = "none" }'
    outputs = {"y": ("DT_FLOAT", (-1, 2, 2))}
    client = task_client(lines, lambda _: [[1, 2], [3, 4]], (-1, 4, 4, 3), outputs)

    response = client.post(URL, json={"image": b64(flat("white"))})

    assert code(response) == (502, "serving_error")


def test_segmentation_has_the_areas_of_its_classes(segmentation: MakeClient) -> None:
    response = segmentation().post(URL, json={"image": b64(half_white())})

    assert response.json == {
        "model": "toy",
        "version": 1,
        "areas": [
            {"class_id": "0", "label": "0", "pixels": 400, "share": 0.5},
            {"class_id": "1", "label": "1", "pixels": 400, "share": 0.5},
        ],
        "size": [40, 20],
    }
    check_answer(DOCUMENT, "/models/{name}/predict", response)


def test_label_map_is_a_png_with_a_palette(segmentation: MakeClient) -> None:
    response = segmentation().post(
        URL, json={"image": b64(half_white())}, headers={"Accept": "image/png"}
    )

    image = Image.open(io.BytesIO(response.data))
    assert (image.mode, image.size) == ("P", (40, 20))
    classes = np.asarray(image)
    assert (classes[:, :20] == 0).all()
    assert (classes[:, 20:] == 1).all()
    palette = image.getpalette() or []
    assert palette[0:3] != palette[3:6]


def test_part_that_a_crop_cuts_off_has_no_class(segmentation: MakeClient) -> None:
    client, image = segmentation("crop"), b64(half_white())

    binary = client.post(URL, json={"image": image}, headers={"Accept": NPY})
    areas = client.post(URL, json={"image": image})

    classes = array(binary)
    assert (classes[:, :10] == 255).all()
    assert (classes[:, 30:] == 255).all()
    assert (classes[:, 10:20] == 0).all()
    assert areas.json is not None
    assert [area["pixels"] for area in areas.json["areas"]] == [200, 200]


def test_padding_is_no_part_of_the_label_map(segmentation: MakeClient) -> None:
    response = segmentation("pad").post(URL, json={"image": b64(flat("white"))})

    assert response.json is not None
    assert [area["label"] for area in response.json["areas"]] == ["1"]


def test_overlay_shows_the_picture_with_a_legend(segmentation: MakeClient) -> None:
    response = segmentation().post(
        URL, json={"image": b64(half_white())}, headers={"Accept": "image/jpeg"}
    )

    image = Image.open(io.BytesIO(response.data))
    assert image.format == "JPEG"
    assert image.height > image.width // 2
    left, right = image.getpixel((100, 100)), image.getpixel((400, 100))
    assert left != right


@pytest.mark.parametrize("score", [[[[0.5] * 4] * 4] * 4, [[7] * 4] * 4, "text"])
def test_map_that_does_not_fit_is_an_error_of_serving(task_client: MakeClient, score: Any) -> None:
    lines = 'task = "segmentation"\ninput = { scale = "none" }'
    outputs = {"y": ("DT_FLOAT", (-1, 4, 4, 3))}
    client = task_client(lines, lambda _: score, (-1, 4, 4, 3), outputs)

    response = client.post(URL, json={"image": b64(flat("white"))})

    assert code(response) == (502, "serving_error")


def test_inference_route_of_the_original(doubling: FlaskClient) -> None:
    one = doubling.post("/inference", data={"file": (io.BytesIO(npy([1, 2, 3, 4])), "x.npy")})
    rows = npy([[1, 2, 3, 4], [0, 0, 0, 0]])
    several = doubling.post("/inference", data={"file": (io.BytesIO(rows), "x.npy")})
    nothing = doubling.post("/inference", data={"fiel": "x"})

    assert one.json == {"result": {"y": [2, 4, 6, 8]}}
    assert several.json == {"result": [{"y": [2, 4, 6, 8]}, {"y": [0, 0, 0, 0]}]}
    assert code(nothing) == (400, "missing_image")
    check_answer(DOCUMENT, "/inference", one)


def test_inference_route_ranks_the_classes_of_a_classifier(client: FlaskClient) -> None:
    response = client.post("/inference", data={"file": (io.BytesIO(draw()), "x.png")})

    assert response.json is not None
    assert {p["label"] for p in response.json["result"]} == {"dark", "middle", "light"}


@pytest.fixture
def files(task_client: MakeClient) -> FlaskClient:
    """A classifier that decodes image files itself."""
    outputs = {"y": ("DT_FLOAT", (-1, 2))}
    return task_client("", lambda _: [0.25, 0.75], (-1,), outputs, "DT_STRING")


def sent(serving: StubServing) -> list[bytes]:
    """The files of the last call."""
    return [base64.b64decode(item["b64"]) for item in serving.predicts[-1]["instances"]]


def sideways() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return draw("JPEG", (8, 4), exif=exif)


def test_model_that_decodes_files_gets_them_untouched(
    files: FlaskClient, serving: StubServing
) -> None:
    response = files.post(f"{URL}?report=true", data=sideways(), content_type="image/jpeg")

    assert sent(serving) == [sideways()]
    assert response.json is not None
    assert [p["score"] for p in response.json["predictions"]] == [0.75, 0.25]
    report = response.json["report"]
    assert (report["orientation"], report["size"], report["resized_to"]) == (6, [4, 8], None)


def check_sent_as_png(files: FlaskClient, serving: StubServing, data: bytes) -> None:
    """Send an image file; the model must get a PNG file with the same pixels."""
    response = files.post(URL, data=data, content_type="application/octet-stream")

    assert response.status_code == 200
    (file,) = sent(serving)
    image = Image.open(io.BytesIO(file))
    assert image.format == "PNG"
    assert image.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [("WEBP", "RGB", {"lossless": True}), ("GIF", "RGB", {}), ("BMP", "RGB", {}), ("BMP", "P", {})],
)
def test_file_that_tensorflow_may_not_decode_becomes_png(
    files: FlaskClient, serving: StubServing, kind: str, mode: str, options: dict[str, Any]
) -> None:
    data = saved(Image.open(io.BytesIO(draw())).convert(mode), kind, **options)

    check_sent_as_png(files, serving, data)


def test_lossless_jpeg_becomes_png(files: FlaskClient, serving: StubServing) -> None:
    data = lossless_jpeg(Image.open(io.BytesIO(draw())))

    check_sent_as_png(files, serving, data)


def test_damaged_file_is_not_sent(files: FlaskClient, serving: StubServing) -> None:
    calls = len(serving.predicts)

    response = files.post(URL, data=draw("JPEG", (64, 64))[:-200], content_type="image/jpeg")

    assert code(response) == (422, "corrupt_image")
    assert len(serving.predicts) == calls


def test_model_that_decodes_files_has_no_heat_maps(files: FlaskClient) -> None:
    response = files.post("/models/toy/explain", data=draw(), content_type="image/png")

    assert code(response) == (400, "unsupported_task")

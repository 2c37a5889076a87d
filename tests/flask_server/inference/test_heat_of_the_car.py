"""On a real ImageNet model the heat for a sports car lies on the car, wherever it stands."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from flask_server.settings import Settings
from tests.exporting import verified_here
from tests.running import SHARED, both

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (SHARED / "models").is_dir(), reason="needs the ImageNet model in ../shared"
    ),
]

#: (left, top, right, bottom) as shares of the width and height of an image.
RelativeBox = tuple[float, float, float, float]

URL = "/models/ImageClassifier/explain"
#: Left, top, right and bottom of the car, in the 2208 x 1000 pixels of its picture.
CAR = (125, 70, 2092, 876)
SIZE = (2208, 1000)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    from scripts import export_saved_model

    folder = tmp_path_factory.mktemp("car")
    model = str(SHARED / "models" / "imagenet_mobilenet.keras")
    arguments = ["--model", model, "--base-path", str(folder / "imagenet"), "--labels", "imagenet"]
    with verified_here():
        assert export_saved_model.main([*arguments, "--scale", "tf"]) == 0
    with both({"ImageClassifier": folder / "imagenet"}, folder) as client:
        yield client


def explained(client: FlaskClient, data: bytes, query: str = "") -> dict[str, Any]:
    url = f"{URL}?format=json&class=sports_car&{query}"
    response = client.post(url, data=data)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json or {}
    return body


def heat_inside(body: dict[str, Any], box: RelativeBox) -> float:
    """Return the share of the positive heat that lies inside the box."""
    left, top, right, bottom = (round(part * 800) for part in box)
    grid = np.clip(np.array(body["grid"], np.float32), 0, None)
    fine = np.asarray(Image.fromarray(grid).resize((800, 800), Image.Resampling.BOX))
    return float(fine[top:bottom, left:right].sum() / fine.sum())


def photo() -> bytes:
    return (SHARED / "images" / "car.png").read_bytes()


def test_the_car_has_more_heat_than_its_surroundings(client: FlaskClient) -> None:
    (width, height), (left, top, right, bottom) = SIZE, CAR
    box = (left / width, top / height, right / width, bottom / height)

    body = explained(client, photo())

    assert (body["label"], body["box"]) == ("sports_car", [0, 0, width, height])
    area = (box[2] - box[0]) * (box[3] - box[1])
    inside = heat_inside(body, box)
    assert inside > 1 - inside
    assert inside / area > 2 * (1 - inside) / (1 - area), "heat per pixel"


def drive_to(place: tuple[int, int], color: str) -> tuple[bytes, RelativeBox]:
    """The car, at a sixth of the picture's area, and the box in which it stands."""
    car = Image.open(io.BytesIO(photo())).resize((1000, 453))
    street = Image.new("RGB", (1600, 1200), color)
    street.paste(car, place, car)
    file = io.BytesIO()
    street.save(file, "PNG")
    corners = np.array([*place, *place]) + np.array(CAR) * 1000 / SIZE[0]
    left, top, right, bottom = (corners / np.array([1600, 1200, 1600, 1200])).tolist()
    return file.getvalue(), (left, top, right, bottom)


@pytest.mark.parametrize("place", [(100, 500), (500, 50)])
def test_heat_follows_the_car(client: FlaskClient, place: tuple[int, int]) -> None:
    """Most of the heat lies on the sixth of the picture where the car is: no accident."""
    data, box = drive_to(place, "#5a7850")

    inside = heat_inside(explained(client, data), box)

    assert inside > 0.5


def test_another_class_has_its_heat_elsewhere(client: FlaskClient) -> None:
    data = photo()

    car = np.array(explained(client, data)["grid"])
    response = client.post(f"{URL}?format=json&class=grille", data=data)

    assert response.json is not None
    grille = np.array(response.json["grid"])
    assert np.argmax(car) != np.argmax(grille)


def test_the_overlay_takes_less_than_the_usual_deadline(client: FlaskClient) -> None:
    response = client.post(URL, data=photo(), headers={"Accept": "image/png"})

    with Image.open(io.BytesIO(response.data)) as image:
        assert image.width == 1600
    timing = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))
    assert float(timing["total"]) < 1000 * Settings().deadline_s

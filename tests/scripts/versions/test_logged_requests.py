"""The pictures and tensors of logged requests."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_catalog.request_logs import log_files
from model_server.request_log.records import LogKind
from scripts.errors import ScriptError
from scripts.versions.logged_requests import LoggedSample, find_samples
from tests.flask_server.conftest import flat
from tests.scripts.versions.request_logs import SIDE, WrittenLog, pixels, strings

VIEW = {"height": SIDE, "width": SIDE, "color": "rgb"}


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    return WrittenLog(tmp_path)


def samples(log: WrittenLog) -> list[LoggedSample]:
    log.close()
    return find_samples([log.prefix], "toy", VIEW)


def test_raw_pixels_become_pictures_of_the_same_pixels(log: WrittenLog) -> None:
    log.add({"pixels": pixels(0, 200)}, "pixels")

    found = samples(log)

    pictures = [Image.open(io.BytesIO(sample.read())) for sample in found]
    assert [np.unique(np.asarray(picture)).tolist() for picture in pictures] == [[0], [200]]
    assert [picture.size for picture in pictures] == [(SIDE, SIDE)] * 2
    assert [sample.name.split(", ")[1:] for sample in found] == [
        ["request 1", "row 1"],
        ["request 1", "row 2"],
    ]


def test_picture_files_stay_as_they_are(log: WrittenLog) -> None:
    file = flat("white")
    log.add({"image_bytes": strings(file, base64.urlsafe_b64encode(file))}, "image")

    assert [sample.read() for sample in samples(log)] == [file, file]


def test_numbers_become_npy_files_of_one_row(log: WrittenLog) -> None:
    log.add({"x": np.full((2, 3, 3, 1), 0.5, np.float32), "key": strings(b"0")})
    log.add({"x": np.array(7, np.int64)})

    rows = [np.load(io.BytesIO(sample.read())) for sample in samples(log)]

    assert [(row.shape, row.dtype.name) for row in rows] == [
        *[((3, 3, 1), "float32")] * 2,
        ((), "int64"),
    ]


def test_other_requests_have_no_pictures(log: WrittenLog) -> None:
    log.add({"query": strings(b"spec")}, "describe")
    log.add({"pixels": pixels(1)}, "pixels", model="other")
    log.add({}, kind=LogKind.REGRESS)
    log.add({})
    log.add({"pixels": pixels(2)}, "pixels")

    (only,) = samples(log)

    assert only.number == 5


def test_a_file_is_read_by_its_path_and_once(log: WrittenLog) -> None:
    log.add({"pixels": pixels(1)}, "pixels")
    log.close()
    (file,) = log_files(log.prefix)
    file.write_bytes(file.read_bytes() + b"\x09half")

    assert len(find_samples([str(file), log.prefix], "toy", VIEW)) == 1


def test_pixels_of_another_size_are_the_error_of_their_sample(log: WrittenLog) -> None:
    log.add({"pixels": strings(b"123")}, "pixels")

    (sample,) = samples(log)

    with pytest.raises(OSError, match="has 3 bytes of pixels; the model takes 4 x 4 x 3"):
        sample.read()


def test_a_log_without_requests_of_the_model_is_told(log: WrittenLog, tmp_path: Path) -> None:
    log.add({"pixels": pixels(1)}, "pixels", model="other")
    (tmp_path / "text.txt").write_text("no log")

    with pytest.raises(ScriptError, match="no Predict request of model toy found"):
        samples(log)
    with pytest.raises(ScriptError, match=r"text\.txt: no Predict request"):
        find_samples([str(tmp_path / "text.txt")], "toy", VIEW)

"""Decoded images stay within the memory budget."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from flask_server.deadline import Deadline
from flask_server.errors import ImageTooLarge, Overloaded
from flask_server.imaging.decoding import read_header
from flask_server.imaging.formats import FORMATS
from flask_server.inference.image_memory import FileMemory, reserved
from flask_server.inference.predict import PredictRequest
from flask_server.inference.preparation import ImagePreparation
from flask_server.memory_budget import MemoryBudget
from flask_server.settings import Settings
from flask_server.stopwatch import Stopwatch
from flask_server.web.services import services_of
from model_catalog.spec import InputSpec
from tests.flask_server.conftest import MakeApp, b64, draw, saved
from tests.flask_server.stub_serving import Servable, StubServing, make_spec
from tests.running import ROOT
from tests.waiting import eventually

URL = "/models/toy/predict"
#: A model that takes image files.
FILES_MODEL = """
[models.toy]
base_path = "toy"
input = { scale = "none" }
"""
MB = 1024 * 1024
SIZE = (2, 3)


def large(size: tuple[int, int] = (2000, 1500)) -> bytes:
    """A PNG that takes about 15 MB to decode."""
    return saved(Image.new("RGB", size, "red"), "PNG")


def test_what_can_never_fit_is_too_large() -> None:
    memory = MemoryBudget(1000)

    with (
        pytest.raises(ImageTooLarge, match="2x3 are 6 pixels; .* 1001 bytes .* at most 1000"),
        reserved(memory, 1001, SIZE, Deadline(1)),
    ):
        pass


def test_an_image_waits_for_another_one_to_be_given_back() -> None:
    memory = MemoryBudget(1000)
    assert memory.reserve(600)
    threading.Timer(0.1, memory.release, [600]).start()

    with reserved(memory, 600, SIZE, Deadline(60)):
        assert memory.held == 600
    assert memory.held == 0


def test_a_wait_ends_at_the_deadline() -> None:
    memory = MemoryBudget(1000)
    assert memory.reserve(600)

    with (
        pytest.raises(Overloaded, match="until the deadline of 0.05 s passed"),
        reserved(memory, 600, SIZE, Deadline(0.05)),
    ):
        pass
    assert memory.held == 600


def test_a_failure_gives_the_memory_back() -> None:
    memory = MemoryBudget(1000)

    with pytest.raises(ValueError, match="broken"), reserved(memory, 600, SIZE, Deadline(1)):
        raise ValueError("broken")
    assert memory.held == 0


def ask(client: FlaskClient, **options: object) -> tuple[int, dict[str, str]]:
    answer = client.post(URL, json={"image": b64(large()), **options})
    return answer.status_code, dict(answer.headers)


def test_an_image_beyond_the_budget_is_refused_with_the_limit(make_app: MakeApp) -> None:
    client = make_app(max_memory=10 * MB, max_body_bytes=MB).test_client()

    answer = client.post(URL, json={"image": b64(large())})

    assert (answer.status_code, answer.json["code"]) == (413, "image_too_large")  # type: ignore[index]
    assert "2000x1500 are 3000000 pixels" in answer.text
    assert f"at most {10 * MB} are allowed" in answer.text
    assert client.post(URL, json={"image": b64(draw())}).status_code == 200


@pytest.mark.parametrize("accept", ["application/json", "image/png"])
def test_no_room_before_the_deadline_is_overload(make_app: MakeApp, accept: str) -> None:
    app = make_app(max_memory=40 * MB, max_body_bytes=MB, deadline_s=0.3)
    memory = services_of(app).gateway.memory
    assert memory.reserve(35 * MB)

    answers: list[TestResponse] = []

    def is_refused() -> bool:
        body = {"image": b64(large())}
        answers.append(app.test_client().post(URL, json=body, headers={"Accept": accept}))
        return answers[-1].status_code == 503

    assert eventually(is_refused)  # beside other load, some requests miss the short deadline
    assert answers[-1].headers["Retry-After"]
    assert memory.held == 35 * MB


def test_an_explanation_counts_its_occluded_images(serving: StubServing, make_app: MakeApp) -> None:
    serving.models["toy"] = {1: Servable(make_spec(input=InputSpec(height=400, width=400)))}
    app = make_app(max_memory=10 * MB, max_body_bytes=MB)

    answer = app.test_client().post("/models/toy/explain", json={"image": b64(draw())})

    assert (answer.status_code, answer.json["code"]) == (413, "image_too_large")  # type: ignore[index]
    assert f"The occluded images take 19200000 bytes, and at most {10 * MB} are" in answer.text
    assert services_of(app).gateway.memory.held == 0


def test_a_drawn_image_counts_though_decoding_it_takes_little(make_app: MakeApp) -> None:
    app = make_app(max_memory=40 * MB, max_body_bytes=MB, deadline_s=0.3)
    memory = services_of(app).gateway.memory
    assert memory.reserve(35 * MB)

    def status(accept: str) -> int:
        body = {"image": b64(draw())}
        return app.test_client().post(URL, json=body, headers={"Accept": accept}).status_code

    # Beside other load, some requests miss the short deadline.
    assert eventually(lambda: status("application/json") == 200)
    assert eventually(lambda: status("image/png") == 503)
    memory.release(35 * MB)
    assert eventually(lambda: status("image/png") == 200)
    assert memory.held == 0


def test_a_png_file_for_a_model_counts_though_decoding_takes_less() -> None:
    preparation = ImagePreparation(Settings(), MemoryBudget(40 * MB))
    image = Image.new("RGB", (2000, 2000))
    read_by_models = saved(image, "PNG")

    with pytest.raises(ImageTooLarge, match="take 48000000 bytes"):
        preparation.prepare_file(
            saved(image, "TIFF", compression="tiff_deflate"), Deadline(1), Stopwatch()
        )
    prepared = preparation.prepare_file(read_by_models, Deadline(1), Stopwatch())

    assert prepared.data is read_by_models


@pytest.mark.parametrize("mode", ["1", "L"])
def test_the_png_file_of_a_grey_image_takes_less(mode: str) -> None:
    preparation = ImagePreparation(Settings(), MemoryBudget(40 * MB))
    grey = saved(Image.new(mode, (2000, 2000)), "TIFF", compression="tiff_deflate")

    prepared = preparation.prepare_file(grey, Deadline(60), Stopwatch())

    assert Image.open(io.BytesIO(prepared.data)).size == (2000, 2000)


def test_the_files_of_a_request_are_held_until_it_is_over() -> None:
    memory = MemoryBudget(1000)
    with closing(FileMemory(memory)) as files:
        files.add(600)
        files.add(300)
        with pytest.raises(Overloaded, match="no memory for the PNG files"):
            files.add(101)
        assert memory.held == 900
    assert memory.held == 0


def test_an_image_does_not_wait_for_the_files_of_its_request() -> None:
    memory = MemoryBudget(1000)
    with closing(FileMemory(memory)) as files:
        files.add(600)
        with reserved(files, 400, SIZE, Deadline(60)):
            assert memory.held == 1000
        with (
            pytest.raises(Overloaded, match="send fewer images"),
            reserved(files, 401, SIZE, Deadline(60)),
        ):
            pass
        assert memory.held == 600


def test_a_file_that_is_made_after_its_request_holds_nothing() -> None:
    memory = MemoryBudget(1000)
    files = FileMemory(memory)
    files.close()

    with pytest.raises(Overloaded):
        files.add(1)
    assert memory.held == 0


def noise(size: tuple[int, int] = (1000, 1000)) -> Image.Image:
    """An image that hardly shrinks in a file; by default it has 3 MB."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    return Image.fromarray(pixels)


def test_png_files_count_while_a_model_reads_them(serving: StubServing, make_app: MakeApp) -> None:
    most = [0]

    def score(_: np.ndarray[Any, Any]) -> list[float]:
        most[0] = max(most[0], services_of(app).gateway.memory.held)
        return [0.0, 0.25, 1.0]

    serving.models["toy"] = {1: Servable(None, score, "DT_STRING", (-1,))}
    app = make_app(FILES_MODEL, max_memory=40 * MB, max_body_bytes=5 * MB)
    client = app.test_client()
    made, as_it_is = (b64(saved(noise(), kind)) for kind in ("TIFF", "PNG"))

    def status(*images: str) -> int:
        return client.post(URL, json={"images": images}).status_code

    assert status(as_it_is) == 200
    assert most[0] < 3_000_000
    assert status(made) == 200
    assert most[0] > 3_000_000
    assert services_of(app).gateway.memory.held == 0


def test_more_png_files_than_the_memory_holds_are_refused(
    serving: StubServing, make_app: MakeApp
) -> None:
    serving.models["toy"] = {1: Servable(None, dtype="DT_STRING", shape=(-1,))}
    app = make_app(FILES_MODEL, max_memory=25 * MB, max_body_bytes=MB)
    gateway = services_of(app).gateway
    request = PredictRequest(model="toy", uploads=[saved(noise(), "TIFF")] * 6)

    with pytest.raises(Overloaded, match="send fewer images"):
        gateway.predict(request, Deadline(60), Stopwatch())

    assert eventually(lambda: gateway.memory.held == 0)


def test_large_images_take_turns_and_the_memory_returns(make_app: MakeApp) -> None:
    app = make_app(max_memory=40 * MB, max_body_bytes=MB)
    memory = services_of(app).gateway.memory
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            most[0] = max(most[0], memory.held)
            time.sleep(0.001)

    with ThreadPoolExecutor(9) as pool:
        watching = pool.submit(watch)
        asked = [pool.submit(ask, app.test_client()) for _ in range(8)]
        statuses = [future.result()[0] for future in asked]
        done.set()
        watching.result()

    assert statuses == [200] * 8
    assert 0 < most[0] <= 40 * MB
    assert memory.held == 0


#: Kinds whose decoding takes far more memory than their pixels: mode, format, options.
COSTLY: dict[str, tuple[str, str, dict[str, Any]]] = {
    "WebP, lossless": ("RGB", "WEBP", {"lossless": True}),
    "WebP, transparent": ("RGBA", "WEBP", {"lossless": True}),
    "AVIF, transparent": ("RGBA", "AVIF", {"speed": 10}),
    "HEIC": ("RGB", "HEIF", {}),
    "GIF, transparent": ("P", "GIF", {"transparency": 0}),
    "PNG, grey and transparent": ("LA", "PNG", {}),
    "PNG, transparent": ("RGBA", "PNG", {}),
    "PNG, 16 bits": ("I;16", "PNG", {}),
    "PNG, turned": ("RGB", "PNG", {"turned": True}),
    "PNG, one bit": ("1", "PNG", {}),
    "TIFF, fractions": ("F", "TIFF", {}),
    "TIFF, turned": ("RGB", "TIFF", {"turned": True}),
    "TIFF, CMYK": ("CMYK", "TIFF", {"compression": "tiff_adobe_deflate"}),
    "JPEG, progressive": ("RGB", "JPEG", {"progressive": True, "subsampling": 0}),
    "JPEG, CMYK": ("CMYK", "JPEG", {}),
    "BMP": ("RGB", "BMP", {}),
}


def deep_tiff(dtype: str, channels: int, size: tuple[int, int], **options: Any) -> bytes:
    """A TIFF whose samples Pillow does not read."""
    file = io.BytesIO()
    values = np.zeros((*size[::-1], channels), dtype)
    if channels == 2:
        options |= {"planarconfig": "contig", "extrasamples": [2]}
    tifffile.imwrite(file, values, photometric="minisblack", **options)
    return file.getvalue()


#: Kinds that Pillow does not write.
DEEP: dict[str, Callable[[tuple[int, int]], bytes]] = {
    "TIFF, 16 bits of grey and transparency": partial(deep_tiff, "u2", 2),
    "TIFF, the same as differences": partial(deep_tiff, "u2", 2, compression="zlib", predictor=2),
    "TIFF, fractions of 64 bits": partial(deep_tiff, "f8", 1, compression="zlib"),
}

MEASURE = """
import sys
from flask_server.deadline import Deadline
from flask_server.imaging.decoding import read_header
from flask_server.inference.preparation import ImagePreparation
from flask_server.memory_budget import MemoryBudget
from flask_server.settings import Settings
from flask_server.stopwatch import Stopwatch
from model_catalog.spec import InputSpec

def status(name):
    for line in open("/proc/self/status"):
        if line.startswith(name):
            return 1024 * int(line.split()[1])

class Counted(MemoryBudget):
    most = 0
    def reserve(self, count):
        self.most = max(self.most, count)
        return super().reserve(count)

as_file = sys.argv[1]
small, data = (open(name, "rb").read() for name in sys.argv[2:])
memory = Counted(10**10)
preparation = ImagePreparation(Settings(fast_jpeg=False), memory)

def prepare(data):
    if as_file == "file":
        return preparation.prepare_file(data, Deadline(60), Stopwatch())
    return preparation.prepare(data, InputSpec(height=64, width=64), Deadline(60), Stopwatch())

prepare(small)
memory.most = 0
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
prepared = prepare(data)
print(status("VmHWM") - before, memory.most)
"""


MEASURE_HEAT = """
import numpy as np
from PIL import Image
from flask_server.drawing import annotate
from flask_server.drawing.heatmap import overlaid
from flask_server.imaging.occlusion import occlude_cells, peak_bytes
from tests.flask_server.drawing.test_heatmap import explained

def status(name):
    for line in open("/proc/self/status"):
        if line.startswith(name):
            return 1024 * int(line.split()[1])

def drawn(size):
    image = annotate.display_image(Image.new("RGB", size, "red"))
    annotate.to_file(overlaid(image, explained((1, 2))), "PNG")

def occluded(side):
    cells = occlude_cells(np.zeros((side, side, 3), np.uint8), 4)
    return [next(cells) for _ in range(16)]

for use, argument, held in [
    (drawn, (1600, 1060), annotate.drawing_bytes((1600, 1060))),
    (occluded, 800, peak_bytes(800 * 800 * 3, 16)),
]:
    use((64, 64) if use is drawn else 16)
    open("/proc/self/clear_refs", "w").write("5")
    before = status("VmRSS")
    use(argument)
    print(status("VmHWM") - before, held)
"""


def costly(kind: str, size: tuple[int, int]) -> bytes:
    if kind in DEEP:
        return DEEP[kind](size)
    mode, file_format, options = COSTLY[kind]
    options = dict(options)
    exif = Image.Exif()
    if options.pop("turned", False):
        exif[0x0112] = 6
        options["exif"] = exif
    return saved(Image.new(mode, size), file_format, **options)


def measured(use: str, folder: Path, files: list[bytes]) -> tuple[int, int]:
    """Return the bytes of memory that the second file takes, and those that are reserved."""
    names = [folder / "small", folder / "large"]
    for name, file in zip(names, files, strict=True):
        name.write_bytes(file)
    command = [sys.executable, "-c", MEASURE, use, *map(str, names)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    taken, held = map(int, done.stdout.split())
    return taken, held


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("mode", "file_format", "options"),
    [("L", "TIFF", {}), ("RGB", "TIFF", {}), ("RGB", "WEBP", {"method": 0})],
)
def test_making_a_png_file_takes_no_more_memory_than_is_reserved(
    mode: str, file_format: str, options: dict[str, Any], tmp_path: Path
) -> None:
    images = [noise(size).convert(mode) for size in ((16, 16), (3000, 2000))]
    files = [saved(image, file_format, **options) for image in images]

    taken, held = measured("file", tmp_path, files)

    assert taken <= held <= 4 * taken


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("kind", [*COSTLY, *DEEP])
def test_decoding_takes_no_more_memory_than_is_reserved(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if kind in COSTLY and COSTLY[kind][1] not in FORMATS:
        pytest.skip("the format is not installed")
    folder = tmp_path_factory.mktemp("images")
    sizes = (16, 16), (3000, 2000)

    taken, held = measured("pixels", folder, [costly(kind, size) for size in sizes])

    assert taken <= held <= 4 * max(taken, 10 * MB)


def test_a_narrow_image_reserves_its_rows() -> None:
    header = read_header(saved(Image.new("1", (1, 100_000)), "PNG"), max_pixels=10**9)

    assert header.peak_bytes > 16 * 100_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_heat_maps_take_no_more_memory_than_is_reserved() -> None:
    command = [sys.executable, "-c", MEASURE_HEAT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    lines = done.stdout.splitlines()
    assert lines
    for line in lines:
        taken, held = map(int, line.split())
        assert taken <= held <= 4 * taken

"""Our own exports run by OpenVINO, against what TensorFlow makes of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from flask_server.imaging.preprocessing import to_pixels
from model_catalog.spec import SCALES, SPEC_FILE
from model_server.engines.export_model import read_spec
from model_server.engines.openvino_engine import OpenVINOEngine, OpenVINOOptions, chosen_precision
from model_server.engines.protocol import LoadedModel
from model_server.errors import DeadlineExceeded, Internal, Unimplemented
from model_server.rest.metadata import metadata_body
from scripts.digit_pictures import held_out
from tests.model_server.harness import ROOT, SERVER, Client, in_threads, server_process
from tests.running import SHARED
from tests.waiting import eventually

openvino = pytest.importorskip("openvino", reason="the extra [openvino] is not installed")

pytestmark = pytest.mark.tensorflow

DIGITS = ROOT / "my_digit_classifier" / "1"
EXPORTS = (*SCALES, "grey")
SHARED_IMAGES = SHARED / "images"

has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
needs_bf16 = pytest.mark.skipif(not has_bf16, reason="this processor has no bf16")


def loaded(version: Path, **options: Any) -> LoadedModel:
    return OpenVINOEngine(OpenVINOOptions(**{"threads": 2} | options)).load(version)


def strings(levels: NDArray[np.uint8]) -> NDArray[Any]:
    return np.array([picture.tobytes() for picture in levels], dtype=object)


def scores(model: LoadedModel, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return model.run("pixels", {"pixels": strings(levels)})["scores"]


def expected(export: Path) -> Mapping[str, NDArray[Any]]:
    with np.load(export / "expected.npz") as arrays:
        return dict(arrays)


# Agreement with TensorFlow


@pytest.mark.parametrize("name", EXPORTS)
def test_floats_get_the_scores_of_tensorflow(exports: Path, name: str) -> None:
    truth = expected(exports / name)

    answer = loaded(exports / name / "1").run("serving_default", {"input_image": truth["floats"]})

    np.testing.assert_allclose(answer["scores"], truth["from_floats"], atol=1e-4)
    assert np.ptp(truth["from_floats"], axis=0).max() > 0.5, "the pictures differ"


@pytest.mark.parametrize("name", EXPORTS)
def test_pixels_get_the_scores_of_tensorflow(exports: Path, name: str) -> None:
    truth = expected(exports / name)

    answer = scores(loaded(exports / name / "1"), truth["levels"])

    np.testing.assert_allclose(answer, truth["from_levels"], atol=1e-4)


@pytest.mark.parametrize("name", ["tf", "grey"])
def test_describe_and_metadata_are_those_of_tensorflow(exports: Path, name: str) -> None:
    model = loaded(exports / name / "1")

    described = model.run("describe", {"query": np.array([b"", b"x"], dtype=object)})["spec"]

    assert described.tolist() == expected(exports / name)["spec"].tolist()
    metadata = json.loads((exports / name / "metadata.json").read_bytes())
    assert json.loads(metadata_body("m", 1, model.signatures)) == metadata


def test_a_network_that_knows_imagenet_gets_the_scores_of_tensorflow(mobilenet: Path) -> None:
    truth = expected(mobilenet)

    answer = scores(loaded(mobilenet / "1"), truth["levels"])

    np.testing.assert_allclose(answer, truth["from_levels"], atol=1e-4)


def test_each_stream_computes_a_run_of_its_own(exports: Path, tmp_path: Path) -> None:
    truth = expected(exports / "tf")

    for streams in (1, 2):
        model = loaded(exports / "tf" / "1", streams=streams, cache_dir=str(tmp_path))
        compiled: Any = vars(vars(model)["_runner"])["_compiled"]
        assert compiled.get_property("NUM_STREAMS") == streams
        np.testing.assert_allclose(scores(model, truth["levels"]), truth["from_levels"], atol=1e-4)


# bf16


@needs_bf16
def test_f32_stays_f32_on_processors_with_bf16(exports: Path) -> None:
    truth = expected(exports / "tf")

    answers = {
        p: scores(loaded(exports / "tf" / "1", precision=p), truth["levels"])
        for p in ("f32", "bf16", "auto")
    }

    errors = {p: np.abs(answer - truth["from_levels"]).max() for p, answer in answers.items()}
    assert errors["f32"] < 1e-5 < errors["bf16"] < 0.05
    assert (answers["auto"] == answers["bf16"]).all()


@needs_bf16
def test_bf16_names_the_same_digits() -> None:
    pictures = held_out().pictures

    f32, bf16 = (scores(loaded(DIGITS, precision=p), pictures) for p in ("f32", "bf16"))

    assert (f32.argmax(axis=1) == bf16.argmax(axis=1)).mean() >= 0.99


def photographs() -> list[Image.Image]:
    """Photographs of ImageNet's classes; a portrait is none, so its first class is arbitrary."""
    files = [*SHARED_IMAGES.glob("*.*"), *(ROOT / "test_images").glob("*.jpg")]
    files.remove(ROOT / "test_images" / "face.jpg")
    return [ImageOps.exif_transpose(Image.open(file)).convert("RGB") for file in sorted(files)]


def part(picture: Image.Image, x: float, y: float) -> Image.Image:
    """Nine tenths of the picture, from the given position on."""
    left, top = int(x * picture.width), int(y * picture.height)
    return picture.crop((left, top, left + picture.width * 9 // 10, top + picture.height * 9 // 10))


@needs_bf16
def test_bf16_names_the_same_first_class_on_photographs(mobilenet: Path) -> None:
    spec = read_spec(mobilenet / "1")
    assert spec is not None
    corners = [(0.0, 0.0), (0.1, 0.0), (0.0, 0.1), (0.1, 0.1), (0.05, 0.05)]
    whole = [view for photo in photographs() for view in (photo, ImageOps.mirror(photo))]
    views = whole + [part(view, x, y) for view in whole for x, y in corners]
    pictures = np.stack([to_pixels(view, spec.images) for view in views])

    f32, bf16 = (scores(loaded(mobilenet / "1", precision=p), pictures) for p in ("f32", "bf16"))

    agrees = f32.argmax(axis=1) == bf16.argmax(axis=1)
    assert agrees[: len(whole)].mean() >= 0.99
    assert agrees.mean() >= 0.98
    assert np.abs(f32 - bf16).max() > 0.001, "bf16 was computed"


@pytest.mark.parametrize(
    ("wanted", "capabilities", "chosen", "warnings"),
    [
        ("f32", ["FP32", "BF16"], "f32", 0),
        ("bf16", ["FP32", "BF16"], "bf16", 0),
        ("auto", ["FP32", "BF16"], "bf16", 0),
        ("f32", ["FP32"], "f32", 0),
        ("auto", ["FP32"], "f32", 0),
        ("bf16", ["FP32"], "f32", 1),
    ],
)
def test_bf16_needs_a_processor_that_has_it(
    wanted: str,
    capabilities: list[str],
    chosen: str,
    warnings: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert chosen_precision(wanted, capabilities) == chosen
    assert len(caplog.records) == warnings


# Running


def test_any_number_of_pictures_from_many_threads(exports: Path) -> None:
    truth = expected(exports / "tf")
    model = loaded(exports / "tf" / "1")
    wrong: list[int] = []

    def ask(number: int) -> None:
        for rows in range(1, 40):
            order = np.random.default_rng(number + rows).integers(0, 5, rows)
            answer = scores(model, truth["levels"][order])
            if not np.allclose(answer, truth["from_levels"][order], atol=1e-4):
                wrong.append(rows)

    with in_threads(6, ask):
        pass

    assert wrong == []


def test_arrays_that_are_read_only_or_scattered_are_run(exports: Path) -> None:
    truth = expected(exports / "tf")
    model = loaded(exports / "tf" / "1")
    floats = truth["floats"]
    floats.flags.writeable = False
    scattered = np.asfortranarray(floats)

    for images in (floats, scattered, floats[::2]):
        answer = model.run("serving_default", {"input_image": images})["scores"]

        rows = truth["from_floats"][:: 2 if len(images) < 5 else 1]
        np.testing.assert_allclose(answer, rows, atol=1e-4)


def test_a_run_over_the_time_limit_is_cancelled_and_the_next_one_is_right(exports: Path) -> None:
    levels = np.random.default_rng(1).integers(0, 256, (32, 128, 128, 3), dtype=np.uint8)
    right = scores(loaded(exports / "heavy" / "1", timeout_ms=0), levels[:1])
    hasty = loaded(exports / "heavy" / "1", timeout_ms=60)

    with pytest.raises(DeadlineExceeded, match="longer than 60 ms"):
        scores(hasty, levels)

    def is_right() -> bool:
        with suppress(DeadlineExceeded):  # the machine may be busy
            np.testing.assert_allclose(scores(hasty, levels[:1]), right, atol=1e-4)
            return True
        return False

    assert eventually(is_right)


# Loading


def test_operations_unknown_to_openvino_are_named(exports: Path) -> None:
    with pytest.raises(Internal) as failure:
        loaded(exports / "strange" / "1")

    assert failure.value.message == (
        "OpenVINO cannot compile the model: Model wasn't fully converted."
        " No conversion rule found for operations: Lgamma"
    )


def test_models_without_a_spec_are_refused(exports: Path, tmp_path: Path) -> None:
    version = Path(shutil.copytree(exports / "tf" / "1", tmp_path / "1"))
    (version / "assets.extra" / "model_spec.json").unlink()

    with pytest.raises(Unimplemented, match="The SavedModel has no model spec"):
        loaded(version)


def test_a_spec_without_images_is_refused(tmp_path: Path) -> None:
    spec = read_spec(DIGITS)
    assert spec is not None
    (tmp_path / SPEC_FILE).parent.mkdir()
    (tmp_path / SPEC_FILE).write_text(replace(spec, input=None).to_json())

    with pytest.raises(Unimplemented, match="no model spec with an image input"):
        loaded(tmp_path)


def test_a_spec_of_another_size_is_refused(exports: Path, tmp_path: Path) -> None:
    version = Path(shutil.copytree(exports / "tf" / "1", tmp_path / "1"))
    file = version / "assets.extra" / "model_spec.json"
    file.write_text(file.read_text().replace('"height":12', '"height":13'))

    with pytest.raises(Unimplemented) as failure:
        loaded(version)

    assert failure.value.message == (
        "The input has the shape [-1, 12, 9, 3]; the model spec says [-1, 13, 9, 3]."
    )


# The cache


def blobs(cache: Path) -> dict[Path, int]:
    return {blob: blob.stat().st_mtime_ns for blob in cache.glob("*/*.blob")}


def test_the_second_load_takes_what_the_first_has_compiled(exports: Path, tmp_path: Path) -> None:
    truth, cache = expected(exports / "tf"), tmp_path / "cache"
    loaded(exports / "tf" / "1", cache_dir=str(cache))
    before = blobs(cache)

    answer = scores(loaded(exports / "tf" / "1", cache_dir=str(cache)), truth["levels"])

    assert blobs(cache) == before
    assert len(before) == 1
    np.testing.assert_allclose(answer, truth["from_levels"], atol=1e-4)


def test_another_model_in_the_same_folder_is_not_taken_for_the_old_one(
    exports: Path, tmp_path: Path
) -> None:
    version, cache = tmp_path / "1", str(tmp_path / "cache")
    shutil.copytree(exports / "tf" / "1", version)
    loaded(version, cache_dir=cache)
    shutil.rmtree(version)
    shutil.copytree(exports / "other" / "1", version)
    truth = expected(exports / "other")

    answer = scores(loaded(version, cache_dir=cache), truth["levels"])

    np.testing.assert_allclose(answer, truth["from_levels"], atol=1e-4)
    assert len(blobs(tmp_path / "cache")) == 1


@pytest.mark.parametrize("length", [0, 100, 5000])
def test_a_truncated_cache_entry_is_compiled_anew(
    exports: Path, tmp_path: Path, length: int
) -> None:
    truth, cache = expected(exports / "tf"), tmp_path / "cache"
    loaded(exports / "tf" / "1", cache_dir=str(cache))
    (blob,) = blobs(cache)
    data = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(data[:length])

    answer = scores(loaded(exports / "tf" / "1", cache_dir=str(cache)), truth["levels"])

    assert len(data) > 5000
    np.testing.assert_allclose(answer, truth["from_levels"], atol=1e-4)


def test_a_cache_that_cannot_be_written_is_done_without(
    exports: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file")

    model = loaded(exports / "tf" / "1", cache_dir=str(tmp_path / "cache"))

    truth = expected(exports / "tf")
    np.testing.assert_allclose(scores(model, truth["levels"]), truth["from_levels"], atol=1e-4)
    assert ["is compiled anew each time" in r.getMessage() for r in caplog.records] == [True]


def test_the_model_folder_is_never_written_to(exports: Path, tmp_path: Path) -> None:
    version = Path(shutil.copytree(exports / "tf" / "1", tmp_path / "1"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    loaded(version)

    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


# The whole server


@pytest.fixture(scope="module")
def verbose_server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that writes every import into its log."""
    command = (SERVER[0], "-X", "importtime", *SERVER[1:])
    log = tmp_path_factory.mktemp("server") / "log"
    flags = ("--engine=openvino", f"--model_base_path={DIGITS.parent}", "--model_name=digits")
    with server_process(command, log, *flags) as process:
        yield process


def test_the_serving_process_never_imports_tensorflow(verbose_server: Any) -> None:
    pixels = [{"b64": "AAAA" * 341 + "AA=="}]
    answers = [
        verbose_server.client.predict("digits", {"instances": [[[[0.0]] * 32] * 32]}),
        verbose_server.client.predict(
            "digits", {"signature_name": "pixels", "instances": pixels * 3}
        ),
        verbose_server.client.get("/v1/models/digits/metadata"),
    ]

    imported = {
        line.rpartition("|")[2].strip() for line in verbose_server.log.read_text().splitlines()
    }
    assert [answer.status for answer in answers] == [200] * 3
    assert "openvino" in imported
    assert {name for name in imported if name.split(".")[0] in {"tensorflow", "keras"}} == set()


def test_picture_files_are_answered_with_400_and_the_way_out(verbose_server: Any) -> None:
    client: Client = verbose_server.client

    reply = client.predict("digits", {"signature_name": "image", "instances": [{"b64": "R0lG"}]})

    assert (reply.status, "--engine tensorflow" in reply.error) == (400, True)

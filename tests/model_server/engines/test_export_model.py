"""What an export answers when only the run of ``serving_default`` is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from model_server.engines.export_model import MAX_ROWS, ExportModel, check_signatures
from model_server.engines.protocol import Signature, Tensors
from model_server.engines.raw_pixels import Floats
from model_server.engines.run_limit import RunLimit
from model_server.errors import InvalidArgument, Unimplemented
from tests.model_server.toy import signature

QUINT8 = np.dtype([("quint8", "u1")])
SPEC = ModelSpec(
    name="toy",
    input=InputSpec(height=2, width=3, scale="none"),
    output=OutputSpec(classes=2),
    labels=(("0", "dark"), ("1", "bright")),
)


def signatures() -> dict[str, Signature]:
    return {
        "serving_default": signature({"input_image": "float"}, {"scores": "float"}),
        "pixels": signature({"pixels": "string"}, {"scores": "float"}),
        "image": signature({"image_bytes": "string"}, {"scores": "float"}),
        "describe": signature({"query": "string"}, {"spec": "string"}),
    }


@dataclass
class ToyRunner:
    """Scores a picture by its mean, and remembers how many came at once with which limit."""

    batches: list[int] = field(default_factory=list)
    limits: list[RunLimit] = field(default_factory=list)
    is_closed: bool = False
    engine: str = "toy"

    def infer(self, images: Floats, limit: RunLimit) -> Floats:
        self.batches.append(len(images))
        self.limits.append(limit)
        means = images.mean(axis=(1, 2, 3))
        return np.stack([-means, means], axis=1)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def runner() -> ToyRunner:
    return ToyRunner()


@pytest.fixture
def model(runner: ToyRunner) -> ExportModel:
    return ExportModel(runner, SPEC, signatures(), timeout_ms=9000)


def floats(rows: int) -> Tensors:
    images = np.arange(rows * 18, dtype=np.float32).reshape(rows, 2, 3, 3)
    return {"input_image": images}


def strings(name: str, *values: bytes) -> Tensors:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return {name: array}


def test_floats_are_run_as_they_are(model: ExportModel) -> None:
    assert model.run("serving_default", floats(2))["scores"].tolist() == [
        [-8.5, 8.5],
        [-26.5, 26.5],
    ]


def test_pixels_are_scaled_and_run(model: ExportModel) -> None:
    outputs = model.run("pixels", strings("pixels", bytes(18), bytes([7] * 18)))

    assert outputs["scores"].tolist() == [[0, 0], [-7, 7]]


def test_describe_answers_the_spec_for_each_query(model: ExportModel) -> None:
    outputs = model.run("describe", strings("query", b"", b"anything"))

    assert [ModelSpec.from_json(text) for text in outputs["spec"]] == [SPEC, SPEC]


def test_image_files_need_tensorflow(model: ExportModel) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        model.run("image", strings("image_bytes", b"GIF89a"))

    assert "--engine tensorflow" in refusal.value.message
    assert refusal.value.message.count(".") == 1


@pytest.mark.parametrize(
    ("rows", "batches"),
    [(1, [1]), (MAX_ROWS, [MAX_ROWS]), (MAX_ROWS + 1, [MAX_ROWS, 1]), (70, [32, 32, 6])],
)
def test_large_requests_are_split(
    model: ExportModel, runner: ToyRunner, rows: int, batches: list[int]
) -> None:
    scores = model.run("serving_default", floats(rows))["scores"]

    assert runner.batches == batches
    assert scores[:, 1].tolist() == [8.5 + 18 * row for row in range(rows)]


@pytest.mark.parametrize(("timeout_s", "limit_ms"), [(None, 9000), (5.0, 5000)])
def test_the_parts_of_a_large_request_share_its_time_limit(
    model: ExportModel, runner: ToyRunner, timeout_s: float | None, limit_ms: int
) -> None:
    model.run("serving_default", floats(MAX_ROWS + 1), timeout_s)

    first, second = runner.limits
    assert first is second
    assert first.ms == limit_ms


@pytest.mark.parametrize(
    ("name", "inputs"), [("serving_default", floats(0)), ("pixels", strings("pixels"))]
)
def test_no_pictures_get_no_scores(
    model: ExportModel, runner: ToyRunner, name: str, inputs: Tensors
) -> None:
    scores = model.run(name, inputs)["scores"]

    assert (scores.shape, scores.dtype.name) == ((0, 2), "float32")
    assert runner.batches == []


@pytest.mark.parametrize("shape", [(), (18,), (1, 18), (1, 3, 2, 3), (1, 2, 3), (1, 2, 3, 3, 1)])
def test_floats_of_another_shape_are_refused(model: ExportModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        model.run("serving_default", {"input_image": np.zeros(shape, np.float32)})

    assert refusal.value.message == (
        f"input_image has the shape {list(shape)}; allowed is [-1, 2, 3, 3]."
    )


@pytest.mark.parametrize(
    ("name", "alias", "array", "types"),
    [
        ("serving_default", "input_image", np.zeros((1, 2, 3, 3), np.uint8), ("float", "uint8")),
        ("serving_default", "input_image", np.zeros((1, 2, 3, 3)), ("float", "double")),
        ("serving_default", "input_image", np.full((1, 2, 3, 3), b"", object), ("float", "string")),
        ("serving_default", "input_image", np.zeros((1, 2, 3, 3), QUINT8), ("float", "quint8")),
        ("pixels", "pixels", np.zeros(1, np.uint8), ("string", "uint8")),
        ("describe", "query", np.zeros(1, np.float32), ("string", "float")),
    ],
)
def test_tensors_of_another_type_are_refused_as_tensorflow_does(
    model: ExportModel, name: str, alias: str, array: NDArray[Any], types: tuple[str, str]
) -> None:
    wanted, provided = types

    with pytest.raises(InvalidArgument) as refusal:
        model.run(name, {alias: array})

    assert refusal.value.message == f"Expects arg[0] to be {wanted} but {provided} is provided"


def test_closing_closes_the_runner(model: ExportModel, runner: ToyRunner) -> None:
    model.close()

    assert runner.is_closed


@pytest.mark.parametrize("missing", ["serving_default", "pixels", "describe"])
def test_an_export_has_three_signatures_at_least(missing: str) -> None:
    known = signatures()
    del known["image"]
    check_signatures(known)
    del known[missing]

    with pytest.raises(Unimplemented, match=f"There is no signature {missing} from"):
        check_signatures(known)


def test_the_names_of_inputs_and_outputs_are_checked() -> None:
    renamed = signatures() | {"pixels": signature({"raw": "string"}, {"scores": "float"})}

    with pytest.raises(Unimplemented, match="no signature pixels from pixels to scores"):
        check_signatures(renamed)

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_catalog.labels import numbered_labels
from model_catalog.spec import SPEC_FILE, InputSpec, ModelSpec, OutputSpec
from model_server.batching.adaptive import AdaptiveModel
from model_server.batching.scheduler import BatchedModel, BatchingOptions, BatchScheduler
from model_server.engines.export_model import read_spec
from model_server.engines.protocol import LoadedModel, Tensors
from model_server.errors import DataLoss, InvalidArgument, ModelServerError
from model_server.metrics import Metrics
from model_server.models.model_loader import Batching, ModelLoader
from model_server.models.warmup import REQUESTS_FILE, warm_up
from serving_api.messages import message
from tests.model_server.toy import ToyModel, half_plus, signature

FLOAT, STRING, INT64 = 1, 7, 9


def tensor(dtype: int, shape: tuple[int, ...], **values: Any) -> Any:
    proto = message("Tensor")(dtype=dtype, **values)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def predict_log(name: str = "", **inputs: Any) -> bytes:
    log = message("PredictionLog")()
    request = log.predict_log.request
    request.model_spec.signature_name = name
    for key, value in inputs.items():
        request.inputs.add(key=key, value=value)
    return bytes(log.SerializeToString())


def examples_log(*examples: bytes, context: bytes = b"") -> bytes:
    log = message("PredictionLog")()
    with_context = log.regress_log.request.input.example_list_with_context
    with_context.examples.extend(examples)
    with_context.context = context
    return bytes(log.SerializeToString())


def write_requests(version: Path, *records: bytes) -> None:
    file = version / REQUESTS_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(
        b"".join(struct.pack("<QI", len(r), 0) + r + struct.pack("<I", 0) for r in records)
    )


IMAGES = InputSpec(height=2, width=3)


def write_spec(version: Path, images: InputSpec | None = IMAGES) -> None:
    spec = ModelSpec(
        name="toy",
        input=images,
        output=OutputSpec(classes=1),
        labels=numbered_labels(1),
    )
    (version / SPEC_FILE).parent.mkdir(parents=True, exist_ok=True)
    (version / SPEC_FILE).write_text(spec.to_json())


def test_requests_are_replayed_in_order(tmp_path: Path) -> None:
    toy = half_plus(0)
    write_requests(
        tmp_path,
        predict_log(x=tensor(FLOAT, (2,), float_val=[1, 2])),
        predict_log("serving_default", x=tensor(FLOAT, (1,), float_val=[3])),
    )

    warm_up(toy, tmp_path, iterations=2)

    assert [inputs["x"].tolist() for inputs in toy.calls] == [[1, 2], [1, 2], [3], [3]]


def test_examples_are_replayed_with_their_context(tmp_path: Path) -> None:
    seen: list[Any] = []

    def function(inputs: Tensors) -> Tensors:
        seen.append(inputs["inputs"].tolist())
        return {}

    toy = ToyModel(
        {"serving_default": signature({"inputs": "string"}, {"outputs": "float"})},
        {"serving_default": function},
    )
    write_requests(tmp_path, examples_log(b"ex1", b"ex2", context=b"ctx "))

    warm_up(toy, tmp_path)

    assert seen == [[b"ctx ex1", b"ctx ex2"]]


def test_each_task_of_a_multi_inference_is_replayed(tmp_path: Path) -> None:
    given = {"inputs": "string"}
    toy = ToyModel(
        {name: signature(given, {"outputs": "float"}) for name in ("serving_default", "other")},
        {"serving_default": lambda _: {}, "other": lambda _: {}},
    )
    log = message("PredictionLog")()
    request = log.multi_inference_log.request
    request.input.example_list.examples.append(b"example")
    request.tasks.add()
    request.tasks.add().model_spec.signature_name = "other"
    write_requests(tmp_path, log.SerializeToString())

    warm_up(toy, tmp_path)

    assert [inputs["inputs"].tolist() for inputs in toy.calls] == [[b"example"]] * 2


def test_inputs_that_a_request_left_out_have_their_defaults(tmp_path: Path) -> None:
    plain = signature({"a": "float", "b": "float"}, {"y": "float"})
    defaults = {"b": tensor(FLOAT, (1,), float_val=[7]).SerializeToString()}
    toy = ToyModel(
        {"serving_default": replace(plain, default_tensors=defaults)},
        {"serving_default": lambda _: {}},
    )
    write_requests(tmp_path, predict_log(a=tensor(FLOAT, (1,), float_val=[1])))

    warm_up(toy, tmp_path)

    assert [inputs["b"].tolist() for inputs in toy.calls] == [[7]]


def test_without_a_file_nothing_happens(tmp_path: Path) -> None:
    toy = half_plus(0)

    warm_up(toy, tmp_path)

    assert toy.calls == []


@pytest.mark.parametrize(
    ("records", "error"),
    [
        ([predict_log("nope", x=tensor(FLOAT, (1,), float_val=[1]))], InvalidArgument),
        ([predict_log(y=tensor(FLOAT, (1,), float_val=[1]))], InvalidArgument),
        ([predict_log(x=tensor(FLOAT, (2,), tensor_content=b"1"))], InvalidArgument),
        ([predict_log(x=tensor(99, (1,)))], InvalidArgument),
        ([b"\xff\xff\xff"], InvalidArgument),
    ],
)
def test_a_request_that_fails_fails_the_warm_up(
    tmp_path: Path, records: list[bytes], error: type[ModelServerError]
) -> None:
    write_requests(tmp_path, *records)

    with pytest.raises(error):
        warm_up(half_plus(0), tmp_path)


def test_a_truncated_file_is_data_loss(tmp_path: Path) -> None:
    write_requests(tmp_path, predict_log(x=tensor(FLOAT, (1,), float_val=[1])))
    file = tmp_path / REQUESTS_FILE
    file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(DataLoss):
        warm_up(half_plus(0), tmp_path)


@pytest.mark.parametrize("count", [1000, 1001])
def test_there_may_be_a_thousand_requests(tmp_path: Path, count: int) -> None:
    write_requests(tmp_path, *[predict_log(x=tensor(FLOAT, (1,), float_val=[1]))] * count)

    if count > 1000:
        with pytest.raises(InvalidArgument, match="exceeds the maximum"):
            warm_up(half_plus(0), tmp_path)
    else:
        warm_up(half_plus(0), tmp_path)


class OneModel:
    """An engine with one model for every folder."""

    def __init__(self, model: ToyModel) -> None:
        self.model = model

    def load(self, path: Path) -> LoadedModel:
        """Return the model."""
        return self.model


def prepare(model: ToyModel, path: Path, **options: Any) -> LoadedModel:
    return ModelLoader(engine=OneModel(model), metrics=Metrics(), **options).load(path)


def pixels_model() -> ToyModel:
    return ToyModel(
        {"pixels": signature({"pixels": "string"}, {"scores": "float"})},
        {"pixels": lambda inputs: {"scores": np.zeros(len(inputs["pixels"]), np.float32)}},
    )


def test_our_exports_are_warmed_up_with_a_black_picture_and_batched(tmp_path: Path) -> None:
    toy = pixels_model()
    write_spec(tmp_path)

    prepared = prepare(toy, tmp_path)

    assert [inputs["pixels"].tolist() for inputs in toy.calls] == [[bytes(2 * 3 * 3)]]
    assert isinstance(prepared, AdaptiveModel)


def test_a_spec_without_images_needs_no_warm_up_image(tmp_path: Path) -> None:
    toy = pixels_model()
    write_spec(tmp_path, None)

    prepare(toy, tmp_path)

    assert toy.calls == []


def test_one_run_more_than_the_engine_has_streams_may_be_in_flight(tmp_path: Path) -> None:
    write_spec(tmp_path)

    prepared = prepare(pixels_model(), tmp_path, streams=3)

    assert isinstance(prepared, AdaptiveModel)
    assert prepared._free_slots == 4


def test_other_savedmodels_are_neither_warmed_up_nor_batched(tmp_path: Path) -> None:
    toy = pixels_model()

    assert prepare(toy, tmp_path) is toy
    assert toy.calls == []


def test_warm_up_can_be_switched_off(tmp_path: Path) -> None:
    toy = half_plus(0)
    write_requests(tmp_path, predict_log(x=tensor(FLOAT, (1,), float_val=[1])))

    prepare(toy, tmp_path, runs_warmup=False)

    assert toy.calls == []


def test_the_time_of_a_warm_up_is_measured(tmp_path: Path) -> None:
    write_requests(tmp_path, predict_log(x=tensor(FLOAT, (1,), float_val=[1])))
    metrics = Metrics()

    ModelLoader(engine=OneModel(half_plus(0)), metrics=metrics).load(tmp_path)

    labels = f'model_path="{tmp_path}",status="OK"'
    assert f":model_warmup_latency_count{{{labels}}} 1\n" in metrics.text()


def test_a_version_that_fails_its_warm_up_is_closed(tmp_path: Path) -> None:
    toy = half_plus(0)
    write_requests(tmp_path, b"\xff")

    with pytest.raises(InvalidArgument):
        prepare(toy, tmp_path)

    assert toy.is_closed


def test_a_version_with_an_invalid_spec_is_loaded_as_one_without(tmp_path: Path) -> None:
    (tmp_path / SPEC_FILE).parent.mkdir()
    (tmp_path / SPEC_FILE).write_text("{}")
    toy = half_plus(0)

    assert read_spec(tmp_path) is None
    assert prepare(toy, tmp_path) is toy


@pytest.mark.parametrize("has_own", [True, False])
def test_with_parameters_per_model_only_versions_that_have_them_are_batched(
    tmp_path: Path, has_own: bool
) -> None:
    scheduler = BatchScheduler(1)
    batching = Batching(scheduler=scheduler, options=BatchingOptions(), per_model=True)
    if has_own:
        (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")

    prepared = prepare(half_plus(0), tmp_path, batching=batching)

    assert isinstance(prepared, BatchedModel) is has_own
    scheduler.close()

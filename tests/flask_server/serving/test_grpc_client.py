"""What is special about a model server that is asked over gRPC."""

from __future__ import annotations

import base64
import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import grpc
import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from flask_server.deadline import Deadline
from flask_server.errors import (
    Overloaded,
    ServingError,
    ServingFault,
    ServingTimeout,
    ServingUnavailable,
)
from flask_server.serving import grpc_client
from flask_server.serving.connect import check_packages, connect
from flask_server.serving.grpc_client import GrpcServing
from flask_server.serving.grpc_encoding import choose_encoder, model_spec, rows_of
from flask_server.serving.signatures import ForeignCall
from flask_server.serving.upstream import MAX_BYTES
from flask_server.settings import SettingsError
from model_catalog.spec import InputSpec
from serving_api import tensor_reader
from serving_api.messages import message
from tests.flask_server.conftest import MakeApp
from tests.flask_server.serving.test_foreign_models import signatures
from tests.flask_server.serving.test_serving_faults import ask
from tests.flask_server.stub_grpc_serving import predict_response
from tests.flask_server.stub_serving import Servable, StubServing, tensor
from tests.flask_server.views.test_model_views import code
from tests.running import free_port

PROTOCOLS = ("grpc",)
MIB = 1024 * 1024
Answer = Callable[[bytes, grpc.ServicerContext], bytes]


@contextmanager
def answering(answer: Answer, **options: Any) -> Iterator[GrpcServing]:
    """Run a server that answers every method so."""

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
        def service(self, _: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(ThreadPoolExecutor(2), **options)
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    serving = GrpcServing(f"grpc://127.0.0.1:{port}")
    yield serving
    serving.close()
    server.stop(0).wait()


def scores(count: int) -> bytes:
    return predict_response({"y": np.zeros((1, count))})


def test_a_response_above_the_bound_of_its_call_is_an_error() -> None:
    with answering(lambda *_: scores(MIB // 8)) as serving:
        assert serving.predict("toy", 1, b"", Deadline(60), 2 * MIB)
        with pytest.raises(ServingError, match="more bytes than the call allows"):
            serving.predict("toy", 1, b"", Deadline(60), MIB)


def test_every_call_is_bounded_before_its_response_has_arrived() -> None:
    data = bytes(65 * MIB)
    with answering(lambda *_: data) as serving:
        calls: list[Callable[[], object]] = [
            lambda: serving.status("toy", Deadline(30)),
            lambda: serving.metadata("toy", 1, Deadline(30)),
            lambda: serving.label_version("toy", "stable", Deadline(30)),
            lambda: serving.predict("toy", 1, b"", Deadline(30), MAX_BYTES),
            lambda: serving.predict("toy", 1, b"", Deadline(30)),
        ]
        for call in calls:
            with pytest.raises(ServingError, match="more bytes than the call allows"):
                call()


def test_a_compressed_response_is_read_and_bounded() -> None:
    with answering(lambda *_: scores(MIB), compression=grpc.Compression.Gzip) as serving:
        assert serving.predict("toy", 1, b"", Deadline(60))
        with pytest.raises(ServingError, match="more bytes than the call allows"):
            serving.predict("toy", 1, b"", Deadline(60), MIB)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="no outputs"),
        pytest.param(b"\x0a\xff", id="cut"),
        pytest.param(b"HTTP/1.1 200 OK", id="text"),
        pytest.param(predict_response({"y": np.zeros(()), "z": np.zeros(())}), id="two outputs"),
        pytest.param(predict_response({"y": np.zeros(())}), id="scalar"),
        pytest.param(predict_response({"y": np.zeros((1, 3), np.complex64)}), id="complex"),
        pytest.param(predict_response({"y": np.full((1, 3), np.nan)}), id="NaN"),
        pytest.param(predict_response({"y": np.zeros((2, 3))}), id="two rows"),
        pytest.param(predict_response({"y": np.zeros((1, 4))}), id="four scores"),
        pytest.param(predict_response({"y": np.zeros((1, 0))}), id="no scores"),
        pytest.param(
            predict_response({"y": np.zeros((1, 1))}).replace(
                b"\x12\x02\x08\x01", b"\x12\x02\x08\x7f"
            ),
            id="repeated",
        ),
    ],
)
def test_hostile_scores_are_a_serving_error(
    make_app: MakeApp, serving: StubServing, data: bytes
) -> None:
    client = make_app().test_client()
    serving.answer = (200, data)

    assert code(ask(client)) == (502, "serving_error")


def test_a_tensor_that_claims_more_than_its_bytes_takes_no_memory() -> None:
    shape = message("Shape")(dim=[{"size": 1}, {"size": 2**31}])
    vast = message("Tensor")(dtype=1, tensor_shape=shape, float_val=[1.0])
    response = message("PredictResponse")()
    response.outputs.add(key="y").value.CopyFrom(vast)
    data = response.SerializeToString()

    with answering(lambda *_: data) as serving, pytest.raises(ServingError, match="invalid gRPC"):
        serving.predict("toy", 1, b"", Deadline(60))


@pytest.mark.parametrize("call", ["status", "metadata"])
@pytest.mark.parametrize("data", [b"\x0a\xff", b"\x0a\x7f\x01", b"oops", b"\xff" * 999])
def test_hostile_descriptions_are_a_serving_error(
    make_app: MakeApp, serving: StubServing, call: str, data: bytes
) -> None:
    setattr(serving, f"{call}_answer", (200, data))

    assert code(ask(make_app().test_client())) == (502, "serving_error")


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, "The batch queue is full", Overloaded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Request timed out in the queue", Overloaded),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "SERVER: Received message larger than max",
            ServingError,
        ),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "late", ServingTimeout),
        (grpc.StatusCode.UNIMPLEMENTED, "", ServingError),
        (grpc.StatusCode.INTERNAL, "ä" * 2000, ServingError),
        (grpc.StatusCode.INTERNAL, "ä" * 20_000, ServingError),
    ],
)
def test_the_code_of_an_answer_counts(
    status: grpc.StatusCode, text: str, kind: type[ServingFault]
) -> None:
    with answering(lambda _, context: context.abort(status, text)) as serving:
        with pytest.raises(kind) as raised:
            serving.predict("toy", 1, b"", Deadline(60))
        assert len(str(raised.value)) < 400
        # An answer that refuses one request does not open the circuit.
        assert serving.breaker._failures == int(kind is ServingTimeout)


def test_an_environment_with_a_proxy_is_not_asked(
    make_app: MakeApp, serving: StubServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("grpc_proxy", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    assert ask(make_app().test_client()).status_code == 200


def test_a_name_without_an_address_is_a_server_that_cannot_be_reached() -> None:
    serving = GrpcServing("grpc://no-such-host.invalid:8500")

    with pytest.raises(ServingUnavailable, match="cannot be reached"):
        serving.status("toy", Deadline(60))
    serving.close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """All channels of grpcio that the test opens."""
    channels: list[Any] = []
    insecure_channel = grpc.insecure_channel

    def noted(*arguments: Any) -> Any:
        channels.append(insecure_channel(*arguments))
        return channels[-1]

    monkeypatch.setattr(grpc, "insecure_channel", noted)
    return channels


def is_closed(channel: Any) -> bool:
    gc.collect()
    try:
        channel.unary_unary("/any/method")(b"", timeout=0.01)
    except ValueError:
        return True
    except grpc.RpcError:
        return False
    return False


def test_a_channel_that_is_given_up_is_closed(
    opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_client, "_SILENCE_S", 0.05)
    ended = Event()

    def wait(*_: Any) -> bytes:
        ended.wait(60)
        return b""

    with answering(wait) as serving:
        with pytest.raises(ServingTimeout):
            serving.status("toy", Deadline(0.1))
        (given_up,) = opened
        assert is_closed(given_up)
        ended.set()
        assert serving.status("toy", Deadline(60)) == []
        assert not is_closed(opened[1])


def test_the_channel_of_a_client_that_is_forgotten_is_closed(opened: list[Any]) -> None:
    with answering(lambda *_: b"") as serving:
        asked = GrpcServing(serving.root)
        assert asked.status("toy", Deadline(60)) == []
        (channel,) = opened
        assert not is_closed(channel)

        del asked

        assert is_closed(channel)


def test_a_closed_connection_is_a_server_that_cannot_be_reached(serving: StubServing) -> None:
    asked = connect(serving.url, 1)
    assert asked.status("toy", Deadline(60))
    asked.close()

    with pytest.raises(ServingUnavailable, match="was closed"):
        asked.status("toy", Deadline(60))


def sent(dtype: str, shape: tuple[int, ...], spec: InputSpec) -> Any:
    """The PredictRequest for two images of the levels 0 to 5."""
    target = model_spec("m", 7)
    encode = choose_encoder(target, signatures(shape, dtype), spec)
    pixels = np.arange(6, dtype=np.uint8).reshape(spec.height, spec.width, 3)
    return message("PredictRequest").FromString(encode([pixels, pixels]))


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("DT_UINT8", "u1"), ("DT_INT32", "<i4"), ("DT_INT64", "<i8"), ("DT_UINT64", "<u8")],
)
def test_integers_are_sent_in_the_declared_type(dtype: str, kind: str) -> None:
    request = sent(dtype, (-1, 3, 1, 2), InputSpec(height=1, width=2))

    tensor_proto = request.inputs[0].value
    levels = np.frombuffer(tensor_proto.tensor_content, kind).reshape(2, 3, 1, 2)
    assert [dim.size for dim in tensor_proto.tensor_shape.dim] == [2, 3, 1, 2]
    assert levels[1, :, 0, 1].tolist() == [3, 4, 5]
    assert request.inputs[0].key == "whatever"
    assert (request.model_spec.name, request.model_spec.version.value) == ("m", 7)


@pytest.mark.parametrize(("dtype", "kind"), [("DT_FLOAT", "<f4"), ("DT_DOUBLE", "<f8")])
def test_floats_are_scaled_and_not_rounded(dtype: str, kind: str) -> None:
    request = sent(dtype, (-1, 1, 2, 3), InputSpec(height=1, width=2, scale="unit"))

    numbers = np.frombuffer(request.inputs[0].value.tensor_content, kind)
    assert numbers[1] == np.dtype(kind).type(np.float32(1) / np.float32(255))


def files_call(shape: tuple[int, ...], call: ForeignCall, **inputs: Any) -> Any:
    """The PredictRequest for a white image, to a graph that decodes files itself."""
    declared = {"image": tensor("DT_STRING", shape)} | inputs
    graph = {call.signature: {"inputs": declared, "outputs": {"y": tensor("DT_FLOAT", (-1, 3))}}}
    encode = choose_encoder(model_spec("m", 7), graph, InputSpec(height=1, width=1), call)
    return message("PredictRequest").FromString(encode([np.full((1, 1, 3), 255, np.uint8)]))


def test_constant_inputs_have_their_declared_type() -> None:
    call = ForeignCall(signature="files", constants={"key": "0", "share": 0.5, "sizes": [1, 2]})

    request = files_call(
        (-1,),
        call,
        key=tensor("DT_STRING", (-1,)),
        share=tensor("DT_DOUBLE", (1,)),
        sizes=tensor("DT_INT32", (2,)),
    )

    found = {
        entry.key: tensor_reader.to_array(
            tensor_reader.parse(memoryview(entry.value.SerializeToString()))
        )
        for entry in request.inputs
    }
    assert request.model_spec.signature_name == "files"
    assert found["image"][0].startswith(b"\x89PNG")
    assert found["key"].tolist() == [b"0"]
    assert (found["share"].dtype.name, found["share"].tolist()) == ("float64", [0.5])
    assert (found["sizes"].dtype.name, found["sizes"].tolist()) == ("int32", [1, 2])


@pytest.mark.parametrize(("dtype", "value"), [("DT_UINT8", 300), ("DT_INT32", "x"), ("ODD", 1)])
def test_a_constant_of_another_type_is_told(dtype: str, value: Any) -> None:
    call = ForeignCall(constants={"key": value})

    with pytest.raises(ServingError, match="of the models file for the input key"):
        files_call((-1,), call, key=tensor(dtype, (-1,)))


def test_a_scalar_input_gets_one_string_as_base64_text() -> None:
    scalar = {"dtype": "DT_STRING", "tensor_shape": {"dim": []}}

    request = files_call((-1,), ForeignCall(sends_base64=True), image=scalar)

    (sent_tensor,) = [entry.value for entry in request.inputs]
    assert not sent_tensor.tensor_shape.dim
    assert base64.urlsafe_b64decode(sent_tensor.string_val[0]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("array", "is_one", "rows"),
    [
        (np.array([[0.5, 1.0]], ml_dtypes.bfloat16), False, [[0.5, 1.0]]),
        (np.array([[0.5, 1.0]], np.float16), True, [[0.5, 1.0]]),
        (np.array([3, 4], np.uint8), True, [[3, 4]]),
        (np.array(0.5), True, [0.5]),
        (np.array([0.5, 1.0]), False, [0.5, 1.0]),
    ],
)
def test_rows_of_an_output(array: NDArray[Any], is_one: bool, rows: list[Any]) -> None:
    found = rows_of({"y": array}, None, is_one=is_one)

    assert [np.asarray(row).tolist() for row in found] == rows


def test_only_the_output_with_the_scores_is_asked_for(
    make_app: MakeApp, serving: StubServing
) -> None:
    outputs = {"notes": ("DT_STRING", 3), "scores": ("DT_FLOAT", 3)}
    serving.models["toy"] = {1: Servable(None, outputs=outputs)}
    models = '[models.toy]\nbase_path="f"\ninput = { scale = "none" }\n'

    assert ask(make_app(models).test_client()).status_code == 200
    assert serving.predicts[-1]["output_filter"] == ["scores"]


@pytest.mark.parametrize(
    ("told", "engine", "precision"),
    [("openvino; precision=bf16", "openvino", "bf16"), ("<b>", None, None), ("", None, None)],
)
def test_a_model_shows_the_engine_in_the_metadata_of_the_call(
    make_app: MakeApp, serving: StubServing, told: str, engine: str | None, precision: str | None
) -> None:
    serving.models["toy"][1].engine = told

    shown: Any = make_app().test_client().get("/models/toy").json

    assert (shown["engine"], shown["precision"]) == (engine, precision)


def test_a_model_may_name_its_own_address(make_app: MakeApp, serving: StubServing) -> None:
    with StubServing().running() as rest:
        rest.models = {"near": {1: Servable()}}
        toy = f'[models.toy]\nbase_path="b"\nserving_url="{serving.url}"\n'
        models = f'[models.near]\nbase_path="a"\n{toy}'
        client = make_app(models, serving_url=rest.url).test_client()

        assert ask(client).status_code == 200
        assert client.get("/readyz").status_code == 200
    assert len(serving.predicts) == 1


def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)

    check_packages(["http://host:8501"])
    with pytest.raises(SettingsError, match=r"grpc://h:1 .* grpcio is not installed;.*\[grpc\]"):
        check_packages(["http://host:8501", "grpc://h:1"])


def test_grpcio_is_imported_for_its_addresses_only() -> None:
    program = (
        "import sys, flask_server.app, flask_server.runtime.preload as preload\n"
        "from flask_server.serving.connect import check_packages, connect\n"
        "connect('http://host:1', 1); check_packages(['grpc://host:1'])\n"
        "assert not {'grpc', 'google.protobuf', 'serving_api'} & set(sys.modules)\n"
        "connect('grpc://host:1', 1)\n"
        "assert 'grpc' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

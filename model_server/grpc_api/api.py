"""Connect the methods of TensorFlow Serving's gRPC services to models, and count the calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Protocol

from model_server.engines.protocol import DEFAULT_SIGNATURE, Tensors
from model_server.errors import InvalidArgument, ModelServerError, ResourceExhausted, Unimplemented
from model_server.grpc_api import example_methods, metadata, predict, predict_request
from model_server.grpc_api.call_span import traced
from model_server.grpc_api.messages import (
    check_spec,
    model_request,
    parsed,
    set_spec,
    version_of,
)
from model_server.inference import classify_regress, results
from model_server.internal_errors import as_internal_error
from model_server.metrics import Metrics
from model_server.models.registry import Registry
from model_server.request_log.records import Answered, LogKind, SerializedCall
from model_server.request_log.request_log import RequestLog
from model_server.transport.grpc_calls import Call, Handler, Method, Pool
from model_server.transport.limits import MAX_BODY_BYTES
from serving_api.messages import Message, message
from serving_api.tensor_reader import Reserve
from serving_tracing import spans

PREDICTION_SERVICE: Final = "tensorflow.serving.PredictionService"
MODEL_SERVICE: Final = "tensorflow.serving.ModelService"

#: Trailing metadata of GetModelMetadata, not of TensorFlow Serving: the engine of the version, as
#: in REST's header ``Model-Engine``.
ENGINE_KEY: Final = "model-engine"

#: Part of the client's deadline that is left when a reload that waits answers, at most
#: ``_MAX_MARGIN_S``.
_MARGIN: Final = 0.1
_MAX_MARGIN_S: Final = 1.0


class Reload(Protocol):
    """A function that replaces the configured models and waits until they can serve."""

    def __call__(
        self,
        config_list: Message,
        timeout_s: float,
        is_wanted: Callable[[], bool],
    ) -> None:
        """Apply a ModelConfigList, or raise a ModelServerError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GrpcApiOptions:
    """Options of the gRPC services that command-line flags set."""

    strict_methods: bool = False
    """Whether methods accept only signatures with their own method name."""

    as_content: bool = False
    """Whether responses have their values in ``tensor_content``."""

    max_tensor_bytes: int = MAX_BODY_BYTES
    """Most bytes that the tensors of one request take beyond its message."""


@dataclass(frozen=True, slots=True)
class _ExampleMethod:
    """What differs between Classify and Regress."""

    check: Callable[..., None]
    read: Callable[[Tensors, int], Any]
    """Checks the outputs for a number of examples, and returns the results in them."""

    fill: Callable[[Any, Any], None]
    response: str
    log_kind: LogKind


_CLASSIFY: Final = _ExampleMethod(
    classify_regress.check_classify,
    classify_regress.classifications,
    results.fill_classes,
    "ClassificationResponse",
    LogKind.CLASSIFY,
)
_REGRESS: Final = _ExampleMethod(
    classify_regress.check_regress,
    classify_regress.regressions,
    results.fill_values,
    "RegressionResponse",
    LogKind.REGRESS,
)


class GrpcApi:
    """The services for the models in a registry."""

    def __init__(
        self,
        registry: Registry,
        metrics: Metrics,
        options: GrpcApiOptions,
        reload: Reload,
        request_log: RequestLog | None = None,
    ) -> None:
        self._request_log = request_log or RequestLog(metrics)
        self._registry = registry
        self._metrics = metrics
        self._options = options
        self._reload = reload

    @property
    def methods(self) -> dict[str, Method]:
        """The methods by path."""
        runs: dict[str, Handler] = {
            f"/{PREDICTION_SERVICE}/Predict": self._predict,
            f"/{PREDICTION_SERVICE}/Classify": self._classify,
            f"/{PREDICTION_SERVICE}/Regress": self._regress,
            f"/{PREDICTION_SERVICE}/MultiInference": self._multi_inference,
        }
        polled: dict[str, Handler] = {
            f"/{PREDICTION_SERVICE}/GetModelMetadata": self._metadata,
            f"/{MODEL_SERVICE}/GetModelStatus": self._status,
        }
        return {
            **{path: Method(traced(path, run)) for path, run in runs.items()},
            **{
                path: Method(traced(path, get, only_as_child=True), Pool.SHORT)
                for path, get in polled.items()
            },
            f"/{MODEL_SERVICE}/HandleReloadConfigRequest": Method(
                self._reload_config, Pool.WAITING
            ),
            "/tensorflow.serving.SessionService/SessionRun": Method(_no_session_run, Pool.SHORT),
            **{
                f"/tensorflow.ProfilerService/{name}": Method(_no_profiler, Pool.SHORT)
                for name in ("Profile", "Terminate", "Monitor")
            },
        }

    def _predict(self, call: Call) -> bytes:
        """Run a signature on tensors; `output_filter` chooses the outputs of the response."""
        with ExitStack() as held:
            with spans.span("parse"):
                request = predict_request.read(call.message)
                spec = request.spec
                held.enter_context(self._counted(spec.name, "Predict"))
                handle = held.enter_context(self._registry.acquire(model_request(spec)))
                strict = self._options.strict_methods
                name, signature = predict.find_signature(
                    handle.model.signatures, spec.signature_name, strict=strict
                )
                inputs = predict.tensors(request.inputs, signature, self._reserve(call))
                chosen = predict.chosen_outputs(signature, request.output_filter)
            spans.annotate_model(spec.name, handle.version)
            self._metrics.count_examples(spec.name, _rows(inputs))
            with self._metrics.timed("runtime_latency", spec.name, "Predict", "TF1"):
                outputs = handle.model.run(name, inputs, call.timeout_s)
            answered = message("ModelSpec")()
            set_spec(answered, spec.name, handle.version, name)
            answer = predict.answer(outputs, chosen, answered, as_content=self._options.as_content)
        self._log(call, spec.name, Answered(LogKind.PREDICT, handle.version, name), answer)
        return answer

    def _reserve(self, call: Call) -> Reserve:
        """Return a function that counts the memory of a call's tensors."""
        left = self._options.max_tensor_bytes

        def reserve(size: int) -> None:
            nonlocal left
            left -= size
            if left < 0:
                raise ResourceExhausted(
                    "The tensors of the request need more than"
                    f" {self._options.max_tensor_bytes} bytes"
                )
            call.reserve(size)

        return reserve

    def _classify(self, call: Call) -> bytes:
        """Run a signature on tf.Examples, and return labels with scores."""
        return self._run_examples(call, "Classify", _CLASSIFY)

    def _regress(self, call: Call) -> bytes:
        """Run a signature on tf.Examples, and return one value for each."""
        return self._run_examples(call, "Regress", _REGRESS)

    def _run_examples(self, call: Call, api: str, method: _ExampleMethod) -> bytes:
        with spans.span("parse"):
            request = parsed("ExamplesRequest", call.message)
            example_methods.check_examples(request.input)
        check_spec(request)
        spec, strict = request.model_spec, self._options.strict_methods
        with self._counted(spec.name, api), self._registry.acquire(model_request(spec)) as handle:
            spans.annotate_model(spec.name, handle.version)
            signature = classify_regress.find_signature(handle.model, spec.signature_name)
            method.check(signature, strict=strict)
            examples = example_methods.serialized_examples(request.input)
            self._metrics.count_examples(spec.name, len(examples))
            with self._metrics.timed("runtime_latency", spec.name, api, "TF1"):
                outputs = classify_regress.run_examples(
                    handle.model, spec.signature_name, examples, call.timeout_s
                )
            response = message(method.response)()
            method.fill(response.result, method.read(outputs, len(examples)))
            name = spec.signature_name or DEFAULT_SIGNATURE
            set_spec(response.model_spec, spec.name, handle.version, name)
            answer = bytes(response.SerializeToString())
        self._log(call, spec.name, Answered(method.log_kind, handle.version, name), answer)
        return answer

    def _multi_inference(self, call: Call) -> bytes:
        """Run several classifying or regressing signatures of one model on the same tf.Examples."""
        request = parsed("MultiInferenceRequest", call.message)
        example_methods.check_examples(request.input)
        tasks = request.tasks or [message("InferenceTask")()]
        with self._registry.acquire(model_request(tasks[0].model_spec)) as handle:
            example_methods.check_tasks(tasks)
            for task in tasks:
                example_methods.check_task(handle.model, task, strict=self._options.strict_methods)
            examples = example_methods.serialized_examples(request.input)
            self._metrics.count_examples(tasks[0].model_spec.name, len(examples))
            answer = example_methods.multi_answer(
                handle.model, handle.version, tasks, examples, call.timeout_s
            )
        answered = Answered(LogKind.MULTI_INFERENCE, handle.version, "")
        self._log(call, tasks[0].model_spec.name, answered, answer)
        return answer

    def _log(self, call: Call, model: str, answered: Answered, answer: bytes) -> None:
        self._request_log.offer(model, SerializedCall(answered, call.message, answer))

    def _metadata(self, call: Call) -> bytes:
        """Return the signatures of a version; `metadata_field` must be `signature_def`."""
        request = parsed("GetModelMetadataRequest", call.message)
        check_spec(request)
        metadata.check_fields(request.metadata_field)
        with self._registry.acquire(model_request(request.model_spec)) as handle:
            call.send_trailer(ENGINE_KEY, handle.model.engine)
            return metadata.metadata_answer(
                request.model_spec.name, handle.version, handle.model.signatures
            )

    def _status(self, call: Call) -> bytes:
        """Return the states of all versions, or of one; a version label is ignored."""
        request = parsed("GetModelStatusRequest", call.message)
        check_spec(request)
        spec = request.model_spec
        return metadata.status_answer(self._registry.statuses(spec.name, version_of(spec)))

    def _reload_config(self, call: Call) -> bytes:
        """Replace the configured models, and return once each new one has a version that serves."""
        request = parsed("ReloadConfigRequest", call.message)
        if not request.config.HasField("model_config_list"):
            raise InvalidArgument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest."
                " Only ModelConfigList is currently supported"
            )
        names = list(dict.fromkeys(request.metric_names))
        before = {name: self._metrics.first_value(name) for name in names}
        self._reload(request.config.model_config_list, _answer_by(call.timeout_s), call.is_active)
        response = message("ReloadConfigResponse")()
        response.status.SetInParent()
        for name in names:
            increase = self._metrics.first_value(name) - before[name]
            response.metric.add(name=name, int64_value_increase=increase)
        return bytes(response.SerializeToString())

    @contextmanager
    def _counted(self, model: str, api: str) -> Iterator[None]:
        """Count a call under its status, and time it if it succeeds."""
        try:
            with (
                as_internal_error("a gRPC call"),
                self._metrics.timed("request_latency", model, api, "GRPC"),
            ):
                yield
        except ModelServerError as error:
            self._metrics.count("request_count", model, error.code)
            raise
        self._metrics.count("request_count", model, "OK")


def _rows(inputs: Tensors) -> int:
    """Return the size of the batch; 1 for inputs that have none."""
    first = next(iter(inputs.values()), None)
    return len(first) if first is not None and first.ndim else 1


def _answer_by(timeout_s: float) -> float:
    """Return the time limit of a response that has to arrive before the client gives up."""
    return timeout_s - min(_MAX_MARGIN_S, timeout_s * _MARGIN) if timeout_s < inf else inf


def _no_session_run(_: Call) -> bytes:
    """Not supported: clients call Predict with a signature."""
    raise Unimplemented("SessionRun is not supported; call Predict with a signature.")


def _no_profiler(_: Call) -> bytes:
    """Not supported: there is no profiler."""
    raise Unimplemented("This server has no profiler.")

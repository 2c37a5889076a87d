"""Load and run SavedModels with TensorFlow. The only module that imports TensorFlow.

TensorFlow is imported on the first load. Each version has a graph and a session of its own, as in
TensorFlow Serving: no Python runs between the operations of a signature, and error messages are
those of the kernels.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import json_format, text_format
from numpy.typing import NDArray

from model_catalog.graph_files import graph_file_of
from model_catalog.installation import install_command
from model_catalog.lean_import import without_keras
from model_server.engines.error_text import escaped_message
from model_server.engines.golden_check import require_golden_scores
from model_server.engines.protocol import LoadedModel, Signature, TensorInfo, Tensors
from model_server.engines.run_limit import run_limit_ms
from model_server.errors import (
    BY_CODE,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    ModelServerError,
    NotFound,
    Unknown,
)
from serving_api.dtypes import SHORT_NAMES

logger = logging.getLogger(__name__)

_FILES = ("saved_model.pb", "saved_model.pbtxt")

#: TensorFlow's error codes are numbered from 1 in the order in which BY_CODE lists them.
_CODES = dict(enumerate(BY_CODE.values(), start=1))


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorFlowOptions:
    """Options for loading models and for their sessions."""

    tags: Sequence[str] = ("serve",)
    """Tags of the meta graph to load."""

    timeout_ms: int = 30_000
    """Time limit of one run in milliseconds; 0 or less means no limit."""

    intra_op_threads: int = 0
    """Number of threads within one operation; 0 lets TensorFlow choose."""

    inter_op_threads: int = 0
    """Number of operations that run in parallel; 0 lets TensorFlow choose."""

    gpu_memory_fraction: float = 0.0
    """Fraction of the GPU memory to allocate; 0 lets TensorFlow choose."""

    session_config_file: str = ""
    """File with a ConfigProto in text format; replaces the three options above."""


class TensorFlowEngine:
    """Loads SavedModels into sessions."""

    def __init__(self, options: TensorFlowOptions) -> None:
        if find_spec("tensorflow") is None:
            raise FailedPrecondition(
                f"TensorFlow is not installed here; run {install_command('tensorflow')} (for "
                "an NVIDIA card, gpu instead of tensorflow)"
            )
        self._options = options

    def load(self, path: Path) -> LoadedModel:
        """Load the SavedModel in the folder, or raise a ModelServerError."""
        graph_file = graph_file_of(path)
        if graph_file is not None:
            raise FailedPrecondition(
                f"{graph_file} is served by OpenVINO only; start with --engine=openvino, where"
                f" OpenVINO is installed: {install_command('openvino')}"
            )
        if not any((path / name).is_file() for name in _FILES):
            raise NotFound(
                "Specified file path does not appear to contain a SavedModel bundle"
                f" (should have a file called `saved_model.pb`)\nSpecified file path: {path}"
            )
        tf = _import()
        with _translated_load_errors(path, self._options.tags):
            model = _Model(tf, path, self._options)
        _warn_of_other_scores(model, path)
        return model


def _warn_of_other_scores(model: LoadedModel, path: Path) -> None:
    """Log a warning for an export that returns other scores here; no other engine can load it."""
    try:
        require_golden_scores(model, path)
    except ModelServerError as error:
        logger.warning("TensorFlow serves %s with a difference: %s", path, error.message)


class _Model:
    """A SavedModel in a session."""

    def __init__(self, tf: Any, path: Path, options: TensorFlowOptions) -> None:  # noqa: ANN401
        self._options = options
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=_session_config(tf, options))
        with self._session.graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(self._session, list(options.tags), str(path))
        self._signatures = _signatures(meta_graph)
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._signatures

    @property
    def engine(self) -> str:
        return "tensorflow"

    def run(self, signature: str, inputs: Tensors, timeout_s: float | None = None) -> Tensors:
        run = self._runs.get(signature) or self._prepared(signature)
        with _translated_run_errors():
            return run(inputs, run_limit_ms(timeout_s, self._options.timeout_ms))

    def close(self) -> None:
        self._runs.clear()
        self._session.close()

    def _prepared(self, name: str) -> _Run:
        with self._lock:
            if name not in self._runs:
                with _translated_run_errors():
                    self._runs[name] = _Run(self._session, self._signatures[name])
            return self._runs[name]


class _Run:
    """A signature, ready to run; its feeds and fetches are set once."""

    def __init__(self, session: Any, signature: Signature) -> None:  # noqa: ANN401
        self._session = session
        self._outputs = {alias: info.name for alias, info in signature.outputs.items()}
        self._fed = {info.name: alias for alias, info in signature.inputs.items()}
        # A session cannot fetch a tensor that is fed, so such outputs are copied from the inputs.
        self._fetches = sorted(set(self._outputs.values()) - self._fed.keys())
        self._feed_tensors = {alias: self._tensor(name) for name, alias in self._fed.items()}
        self._fetch_tensors = [self._tensor(name) for name in self._fetches]

    def _tensor(self, name: str) -> Any:  # noqa: ANN401 - a TF_Output
        return self._session.graph.get_tensor_by_name(name)._as_tf_output()

    def __call__(self, inputs: Tensors, limit_ms: int) -> Tensors:
        fetched = self._run(inputs, limit_ms) if self._fetches else []
        values = dict(zip(self._fetches, map(_array, fetched), strict=True))
        return {
            alias: values[name] if name in values else inputs[self._fed[name]]
            for alias, name in self._outputs.items()
        }

    def _run(self, inputs: Tensors, limit_ms: int) -> list[Any]:
        """Run the session; its public ``run`` takes longer and rewrites the error texts."""
        from tensorflow.core.protobuf import config_pb2
        from tensorflow.python.client import pywrap_tf_session as session

        feeds = {tensor: inputs[alias] for alias, tensor in self._feed_tensors.items()}
        options = None
        if limit_ms:
            serialized = config_pb2.RunOptions(timeout_in_ms=limit_ms).SerializeToString()
            options = session.TF_NewBufferFromString(serialized)
        try:
            fetched: list[Any] = session.TF_SessionRun_wrapper(
                self._session._session, options, feeds, self._fetch_tensors, [], None
            )
        finally:
            if options is not None:
                session.TF_DeleteBuffer(options)
        return fetched


def _array(value: Any) -> NDArray[Any]:  # noqa: ANN401 - a scalar or an array
    """Return a fetched value as an array; numpy would cut a bytes scalar at its first NUL."""
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


def _signatures(meta_graph: Any) -> dict[str, Signature]:  # noqa: ANN401 - a MetaGraphDef
    return {
        name: Signature(
            inputs=_tensors(definition.inputs),
            outputs=_tensors(definition.outputs),
            method_name=definition.method_name,
            defaults={
                alias: json_format.MessageToDict(
                    value,
                    preserving_proto_field_name=True,
                    always_print_fields_with_no_presence=True,
                )
                for alias, value in definition.defaults.items()
            },
            default_tensors={
                alias: value.SerializeToString() for alias, value in definition.defaults.items()
            },
        )
        for name, definition in meta_graph.signature_def.items()
    }


def _tensors(infos: Mapping[str, Any]) -> dict[str, TensorInfo]:
    from tensorflow.core.framework import types_pb2

    return {
        alias: TensorInfo(
            name=info.name,
            dtype=SHORT_NAMES.get(types_pb2.DataType.Name(info.dtype), "INVALID"),
            shape=None
            if info.tensor_shape.unknown_rank
            else tuple(dim.size for dim in info.tensor_shape.dim),
        )
        for alias, info in sorted(infos.items())
    }


def _session_config(tf: Any, options: TensorFlowOptions) -> Any:  # noqa: ANN401 - a ConfigProto
    config = tf.compat.v1.ConfigProto()
    if not options.session_config_file:
        config.intra_op_parallelism_threads = options.intra_op_threads
        config.inter_op_parallelism_threads = options.inter_op_threads
        config.gpu_options.per_process_gpu_memory_fraction = options.gpu_memory_fraction
        return config
    path = Path(options.session_config_file)
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), config)
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"Invalid protobuf file: '{path}' ({error})") from error


def _import() -> Any:  # noqa: ANN401 - the module
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with without_keras():
        import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    return tf


@contextmanager
def _translated_run_errors() -> Iterator[None]:
    """Translate the errors of a run into ModelServerErrors.

    A message that is not UTF-8 quotes the input, so the input is what is wrong.
    """
    from tensorflow.errors import OpError

    try:
        yield
    except OpError as error:
        raise _translated(error) from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(escaped_message(error)) from error


@contextmanager
def _translated_load_errors(path: Path, tags: Sequence[str]) -> Iterator[None]:
    """Translate the errors of a load, for which TensorFlow uses several exception types."""
    from tensorflow.errors import OpError

    try:
        yield
    except OpError as error:
        raise _translated(error) from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(escaped_message(error)) from error
    except OSError as error:
        raise DataLoss(f"Can't parse {path / _FILES[0]} as binary proto") from error
    except RuntimeError as error:
        raise NotFound(
            f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }}."
            " To inspect available tag-sets in the SavedModel, please use the SavedModel CLI:"
            " `saved_model_cli`"
        ) from error
    except ValueError as error:
        kind = NotFound if "not a valid checkpoint" in str(error) else InvalidArgument
        raise kind(str(error)) from error


def _translated(error: Any) -> ModelServerError:  # noqa: ANN401 - an OpError
    return _CODES.get(error.error_code, Unknown)(error.message)

"""Compile and run this project's own exports with OpenVINO. The only module that imports OpenVINO.

OpenVINO reads SavedModels, ``.tflite`` and frozen ``.pb`` files itself, so the serving process
needs no TensorFlow. OpenVINO is imported on the first load. Every failure is a ModelServerError.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from model_catalog import openvino_telemetry
from model_catalog.errors import CatalogError
from model_catalog.graph_files import GraphFile, GraphFileError, read_graph_file
from model_catalog.installation import install_command, quantize_command
from model_catalog.quantization import BF16, GRAPH_FILE, INT8, read_report
from model_catalog.spec import ModelSpec
from model_server.engines import compiled_cache
from model_server.engines.error_text import escaped_message
from model_server.engines.export_model import ExportModel, Runner, check_signatures, read_spec
from model_server.engines.graph_file_model import GraphFileRunner, signatures_of
from model_server.engines.protocol import LoadedModel, Signature
from model_server.engines.raw_pixels import Floats
from model_server.engines.run_limit import RunLimit
from model_server.engines.saved_signatures import read_signatures
from model_server.errors import (
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    Unimplemented,
)

logger = logging.getLogger(__name__)

PRECISIONS: Final = ("f32", BF16, INT8, "auto")

_DEVICE: Final = "CPU"
#: Beginnings of lines in OpenVINO's error messages that do not help its users.
_NOISE: Final = ("Exception from", "Check '", "FrontEnd API failed", "Summary:", "To facilitate")


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenVINOOptions:
    """Options for compiling and running models."""

    precision: str = "f32"
    """One of PRECISIONS; ``auto`` is int8 where the version's report allows it, else bf16 if the
    processor supports it, else f32. ``int8`` is the same for versions that have no int8 form."""

    streams: int = 1
    """Number of runs computed in parallel, each with its share of the threads."""

    threads: int = 0
    """Number of threads for all streams together; 0 lets OpenVINO choose."""

    timeout_ms: int = 30_000
    """Time limit of one run in milliseconds; 0 or less means no limit."""

    cache_dir: str = ""
    """Folder that caches compiled models between starts; empty means no cache."""


def is_installed() -> bool:
    """Return whether the OpenVINO package is installed."""
    return find_spec("openvino") is not None


class OpenVINOEngine:
    """Compiles exports that have a model spec."""

    def __init__(self, options: OpenVINOOptions) -> None:
        if not is_installed():
            raise FailedPrecondition(
                f"OpenVINO is not installed here; run {install_command('openvino')}"
            )
        self._options = options
        self._lock = threading.Lock()
        self._started: _Compiler | None = None

    def uses_int8(self, path: Path) -> bool:
        """Return whether the version is to be loaded in its int8 form, by option and report.

        Logs a warning if the option asks for int8 and the version has no such form.
        """
        wanted = self._options.precision
        if wanted not in {INT8, "auto"}:
            return False
        if (path / GRAPH_FILE).is_file():
            return wanted == INT8 or self._allowed_by_report(path)
        if wanted == INT8:
            logger.warning(
                "%s has no int8 form, so --precision=int8 computes it as auto does;"
                " to make one, run %s %s",
                path,
                quantize_command(),
                path,
            )
        return False

    def _allowed_by_report(self, path: Path) -> bool:
        try:
            report = read_report(path)
        except CatalogError as error:
            logger.warning("The int8 form of %s is not used: %s", path, error)
            return False
        return report is not None and report.is_fastest_of(self._compiler().float_precisions)

    def load(self, path: Path, *, int8: bool = False) -> LoadedModel:
        """Compile the export in the folder, or its int8 form, or raise a ModelServerError."""
        spec = read_spec(path)
        if spec is None or spec.input is None:
            raise Unimplemented("The SavedModel has no model spec with an image input.")
        graph = _graph_file(path)
        if graph is not None:
            return self._graph_file_model(path, graph, spec)
        signatures = read_signatures(path)
        check_signatures(signatures)
        compiler = self._compiler()
        with _translated_load_errors():
            compiled = compiler.compiled_int8(path) if int8 else compiler.compiled(path)
        _check_sizes(compiled, spec)
        precision = INT8 if int8 else compiler.precision
        runner = _Runner(compiled, precision)
        return self._export(runner, spec, signatures)

    def _graph_file_model(self, path: Path, graph: GraphFile, spec: ModelSpec) -> LoadedModel:
        compiler = self._compiler()
        with _translated_load_errors():
            compiled = compiler.compiled_graph(path, graph)
        _check_graph(compiled, graph, spec)
        runner = GraphFileRunner(_Runner(compiled, compiler.precision), graph, spec.output)
        return self._export(runner, spec, signatures_of(spec))

    def _export(
        self, runner: Runner, spec: ModelSpec, signatures: Mapping[str, Signature]
    ) -> LoadedModel:
        return ExportModel(runner, spec, signatures, timeout_ms=self._options.timeout_ms)

    def _compiler(self) -> _Compiler:
        with self._lock:
            if self._started is None:
                self._started = _Compiler(self._options)
            return self._started


class _Compiler:
    """OpenVINO's core with the compile options for this machine."""

    def __init__(self, options: OpenVINOOptions) -> None:
        self._cache = Path(options.cache_dir) if options.cache_dir else None
        self._core = _core()
        capabilities = self._core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
        self.precision = chosen_precision(options.precision, capabilities)
        self.float_precisions = ("f32", BF16) if "BF16" in capabilities else ("f32",)
        self._config = {
            # Without the hint, OpenVINO uses bf16 on every processor that supports it.
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY" if options.streams == 1 else "THROUGHPUT",
            "NUM_STREAMS": str(options.streams),
            "INFERENCE_NUM_THREADS": str(options.threads),
            # The gateway runs on the same cores; a pinned thread would wait for its core.
            "ENABLE_CPU_PINNING": "NO",
        }

    def compiled(self, path: Path) -> Any:  # noqa: ANN401 - a CompiledModel
        """Return the compiled ``serving_default``, from the cache if possible."""
        # Given a path instead of a model, OpenVINO does not read the model if it is cached.
        return self._compiled(path, str(path))

    def compiled_int8(self, path: Path) -> Any:  # noqa: ANN401
        """Return the compiled int8 form; what it keeps in floats has the precision of others."""
        return self._compiled(path, str(path / GRAPH_FILE))

    def compiled_graph(self, path: Path, graph: GraphFile) -> Any:  # noqa: ANN401
        """Return the compiled graph file, from its image input to its scores."""
        return self._compiled(path, _read_graph(self._core, path / graph.file, graph))

    def _compiled(self, path: Path, model: Any) -> Any:  # noqa: ANN401 - a path or an openvino.Model
        folder = None if self._cache is None else _cache_folder(self._cache, path)
        cache = {} if folder is None else {"CACHE_DIR": str(folder)}
        compiled = self._core.compile_model(model, _DEVICE, {**self._config, **cache})
        if self._cache is not None and folder is not None:
            compiled_cache.remove_outdated(self._cache, folder)
        return compiled


def _read_graph(core: Any, file: Path, graph: GraphFile) -> Any:  # noqa: ANN401
    """Return the part of the graph that computes the scores, for any number of images or one."""
    whole = core.read_model(str(file))
    model = _import().Model([whole.output(graph.output)], [whole.input(graph.input).get_node()])
    size = -1 if graph.takes_batches else 1
    model.reshape({graph.input: [size, *graph.shape]})
    return model


def _graph_file(path: Path) -> GraphFile | None:
    try:
        return read_graph_file(path)
    except GraphFileError as error:
        raise DataLoss(str(error)) from error


def _cache_folder(cache: Path, path: Path) -> Path | None:
    try:
        return compiled_cache.folder_for(cache, path)
    except OSError as error:
        logger.warning("%s is compiled anew each time; the cache cannot be used: %s", path, error)
        return None


def chosen_precision(wanted: str, capabilities: Sequence[str]) -> str:
    """Return ``f32`` or ``bf16``, by the option and the capabilities of the processor.

    That is the precision of versions that are not loaded in their int8 form.
    """
    if wanted != "f32" and "BF16" in capabilities:
        return "bf16"
    if wanted == "bf16":
        logger.warning("This processor has no bf16, so --precision=bf16 computes in f32.")
    return "f32"


class _Runner:
    """A compiled model; each of several concurrent runs has an infer request of its own."""

    def __init__(self, compiled: Any, precision: str) -> None:  # noqa: ANN401
        self.engine = f"openvino; precision={precision}"
        self._compiled = compiled
        self._tensor = _import().Tensor
        self._idle: list[Any] = []

    def infer(self, images: Floats, limit: RunLimit) -> Floats:
        # OpenVINO shares memory only with contiguous, writable arrays.
        images = np.require(images, requirements=["C", "W"])
        with _translated_run_errors():
            request = self._request()
            request.set_input_tensor(self._tensor(images, shared_memory=True))
            request.start_async()
            self._wait_for(request, limit)
            scores: Floats = request.get_output_tensor().data.copy()
        self._idle.append(request)
        return scores

    def close(self) -> None:
        self._idle.clear()
        self._compiled = None

    def _request(self) -> Any:  # noqa: ANN401 - an InferRequest
        try:
            return self._idle.pop()
        except IndexError:
            return self._compiled.create_infer_request()

    def _wait_for(self, request: Any, limit: RunLimit) -> None:  # noqa: ANN401 - an InferRequest
        left_ms = limit.left_ms()
        if not left_ms:
            request.wait()
        elif not request.wait_for(left_ms):
            request.cancel()
            with suppress(RuntimeError):
                request.wait()  # a run that is not over still reads its input
            raise DeadlineExceeded(f"The run took longer than {limit.ms} ms.")


@cache
def _core() -> Any:  # noqa: ANN401 - openvino.Core
    """Return the only core of the process, which is never freed.

    The CPU plugin sets an alternate signal stack for the thread that creates the core, and frees
    that stack with the core: a later signal in this thread would crash the process.
    """
    core = _import().Core()
    # OpenVINO would map the file of the weights: a copy over it would change the scores of the
    # loaded version, and a file that shrinks would end the process.
    core.set_property({"ENABLE_MMAP": False})
    return core


def _import() -> Any:  # noqa: ANN401 - the module
    openvino_telemetry.switch_off()
    import openvino

    return openvino


def _check_sizes(compiled: Any, spec: ModelSpec) -> None:  # noqa: ANN401 - a CompiledModel
    wanted = [-1, spec.images.height, spec.images.width, spec.images.channels]
    sizes = [size.get_max_length() for size in compiled.input().partial_shape]
    if sizes != wanted:
        raise Unimplemented(f"The input has the shape {sizes}; the model spec says {wanted}.")


def _check_graph(compiled: Any, graph: GraphFile, spec: ModelSpec) -> None:  # noqa: ANN401
    """Raise Unimplemented unless the graph's images and scores are those of the spec."""
    values = spec.images.height * spec.images.width * spec.images.channels
    if math.prod(graph.shape) != values:
        raise Unimplemented(
            f"An image of the graph has the shape {list(graph.shape)}; the model spec says"
            f" {spec.images.height} x {spec.images.width} {spec.images.color}."
        )
    sizes = [size.get_max_length() for size in compiled.output().partial_shape][1:]
    if (math.prod(sizes), spec.output.classes) not in {(spec.output.classes,) * 2, (1, 2)}:
        raise Unimplemented(
            f"The graph has scores of the shape {sizes} for an image; the model spec has"
            f" {spec.output.classes} classes."
        )


@contextmanager
def _translated_load_errors() -> Iterator[None]:
    """Translate the errors of importing OpenVINO and of reading and compiling a model."""
    try:
        yield
    except (RuntimeError, ImportError, OSError, ValueError, TypeError) as error:
        raise Internal(f"OpenVINO cannot compile the model: {_reason(error)}") from error


@contextmanager
def _translated_run_errors() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, UnicodeDecodeError) as error:
        raise Internal(f"OpenVINO cannot run the model: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return the error message without the places in OpenVINO's source code."""
    text = escaped_message(error) if isinstance(error, UnicodeDecodeError) else str(error)
    lines = (line.strip("- ") for line in text.splitlines())
    said = [line for line in lines if line and not line.startswith(_NOISE)]
    return " ".join(said) or type(error).__name__

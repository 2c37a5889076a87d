"""Compile and run our own exports with OpenVINO. The only file here that names it.

OpenVINO reads SavedModels by itself, so the serving process needs no TensorFlow; it is imported on
the first load. Every failure is a ModelServerError.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from model_catalog.spec import ModelSpec
from model_server.engines import compiled_cache
from model_server.engines.export_model import ExportModel, check_signatures, read_spec
from model_server.engines.protocol import LoadedModel
from model_server.engines.raw_pixels import Floats
from model_server.engines.saved_signatures import read_signatures
from model_server.errors import DeadlineExceeded, FailedPrecondition, Internal, Unimplemented

logger = logging.getLogger(__name__)

PRECISIONS: Final = ("f32", "bf16", "auto")

_DEVICE: Final = "CPU"
#: How lines of OpenVINO's messages begin that say nothing to its users.
_NOISE: Final = ("Exception from", "Check '", "FrontEnd API failed", "Summary:", "To facilitate")


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenVINOOptions:
    """What flags change about compiling and running."""

    precision: str = "f32"
    """One of PRECISIONS; ``auto`` is bf16 where the processor has it."""

    streams: int = 1
    """Runs that are computed side by side, each by its share of the threads."""

    threads: int = 0
    """Threads of all streams together; 0 lets OpenVINO choose."""

    timeout_ms: int = 30_000
    """How long one run may take; 0 or less is without limit."""

    cache_dir: str = ""
    """Where compiled models are kept between starts; empty keeps none."""


def is_installed() -> bool:
    """Tell whether OpenVINO is there."""
    return find_spec("openvino") is not None


class OpenVINOEngine:
    """Compiles exports that carry a spec."""

    def __init__(self, options: OpenVINOOptions) -> None:
        if not is_installed():
            raise FailedPrecondition(
                "OpenVINO is not installed here; pip install the project with its extra [openvino]."
            )
        self._options = options
        self._lock = threading.Lock()
        self._started: _Compiler | None = None

    def load(self, path: Path) -> LoadedModel:
        """Compile the export in the folder, or raise a ModelServerError."""
        spec = read_spec(path)
        if spec is None:
            raise Unimplemented("It carries no model spec.")
        signatures = read_signatures(path)
        check_signatures(signatures)
        with _as_load_errors():
            compiled = self._compiler().compiled(path)
        _check_sizes(compiled, spec)
        return ExportModel(_Runner(compiled, self._options.timeout_ms), spec, signatures)

    def _compiler(self) -> _Compiler:
        with self._lock:
            if self._started is None:
                self._started = _Compiler(self._options)
            return self._started


class _Compiler:
    """OpenVINO itself, started, and what the options mean on this machine."""

    def __init__(self, options: OpenVINOOptions) -> None:
        self._cache = Path(options.cache_dir) if options.cache_dir else None
        self._core = _core()
        capabilities = self._core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
        self._config = {
            # Without the hint, processors that have bf16 would use it unasked.
            "INFERENCE_PRECISION_HINT": chosen_precision(options.precision, capabilities),
            "PERFORMANCE_HINT": "LATENCY" if options.streams == 1 else "THROUGHPUT",
            "NUM_STREAMS": str(options.streams),
            "INFERENCE_NUM_THREADS": str(options.threads),
            # The gateway works on the same cores: a thread bound to one of them waits for it.
            "ENABLE_CPU_PINNING": "NO",
        }

    def compiled(self, path: Path) -> Any:  # noqa: ANN401 - a CompiledModel
        """Return the compiled ``serving_default``, from the cache where it is there."""
        folder = None if self._cache is None else _cache_folder(self._cache, path)
        compiled = self._compile(path, {} if folder is None else {"CACHE_DIR": str(folder)})
        if self._cache is not None and folder is not None:
            compiled_cache.remove_outdated(self._cache, folder)
        return compiled

    def _compile(self, path: Path, config: Mapping[str, str]) -> Any:  # noqa: ANN401
        # Of a path, unlike of a model, OpenVINO reads nothing when the cache has what it needs.
        return self._core.compile_model(str(path), _DEVICE, {**self._config, **config})


def _cache_folder(cache: Path, path: Path) -> Path | None:
    try:
        return compiled_cache.folder_for(cache, path)
    except OSError as error:
        logger.warning("%s is compiled anew each time: %s", path, error)
        return None


def chosen_precision(wanted: str, capabilities: Sequence[str]) -> str:
    """Return ``f32`` or ``bf16``, whichever is wanted and possible."""
    if wanted != "f32" and "BF16" in capabilities:
        return "bf16"
    if wanted == "bf16":
        logger.warning("This processor has no bf16; --precision=bf16 computes in f32 here.")
    return "f32"


class _Runner:
    """A compiled model; runs that come at the same time get an infer request each."""

    def __init__(self, compiled: Any, timeout_ms: int) -> None:  # noqa: ANN401 - a CompiledModel
        self._compiled = compiled
        self._tensor = _import().Tensor
        self._timeout_ms = timeout_ms
        self._idle: list[Any] = []

    def infer(self, images: Floats) -> Floats:
        # OpenVINO reads arrays where they are, but only those that it could write to.
        images = np.require(images, requirements=["C", "W"])
        with _as_run_errors():
            request = self._request()
            request.set_input_tensor(self._tensor(images, shared_memory=True))
            request.start_async()
            self._wait_for(request)
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

    def _wait_for(self, request: Any) -> None:  # noqa: ANN401 - an InferRequest
        if self._timeout_ms <= 0:
            request.wait()
        elif not request.wait_for(self._timeout_ms):
            request.cancel()
            with suppress(RuntimeError):
                request.wait()  # until then it reads its input
            raise DeadlineExceeded(f"The run took longer than {self._timeout_ms} ms.")


@cache
def _core() -> Any:  # noqa: ANN401 - openvino.Core
    """Return the process's one core, which is never let go.

    Its CPU plugin gives the thread that makes it an alternate signal stack and frees it with the
    core: a signal that this thread got later would end the process.
    """
    return _import().Core()


def _import() -> Any:  # noqa: ANN401 - the module
    import openvino

    return openvino


def _check_sizes(compiled: Any, spec: ModelSpec) -> None:  # noqa: ANN401 - a CompiledModel
    wanted = [-1, spec.input.height, spec.input.width, spec.input.channels]
    sizes = [size.get_max_length() for size in compiled.input().partial_shape]
    if sizes != wanted:
        raise Unimplemented(f"It takes pictures of {sizes}, its spec says {wanted}.")


@contextmanager
def _as_load_errors() -> Iterator[None]:
    """Translate what OpenVINO raises while it is imported, reads or compiles."""
    try:
        yield
    except (RuntimeError, ImportError, OSError, ValueError, TypeError) as error:
        raise Internal(f"OpenVINO cannot compile it: {_reason(error)}") from error


@contextmanager
def _as_run_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Internal(f"OpenVINO cannot run the model: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return what happened, without the places in OpenVINO's source."""
    lines = (line.strip("- ") for line in str(error).splitlines())
    said = [line for line in lines if line and not line.startswith(_NOISE)]
    return " ".join(said) or type(error).__name__

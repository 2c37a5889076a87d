"""Read, quantise, compile and write graphs with OpenVINO and NNCF, the only module to import NNCF.

Images are model input, [N, height, width, channels] floats.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_catalog import openvino_telemetry
from model_catalog.quantization import BF16
from scripts.errors import ScriptError
from scripts.openvino_core import core, openvino

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Scores = NDArray[np.float32]
    #: Returns one number per image: 1 where its class counts as right, else 0.
    Judge = Callable[[Scores, Sequence[int]], NDArray[np.float64]]

BATCH: Final = 8
_DEVICE: Final = "CPU"
#: Operations with weights, and number formats that weights have unless they are quantised.
_WEIGHTED: Final = {"Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData"}
_FLOATS: Final = {"f32", "f16", "bf16"}
#: Names that OpenVINO gives to operations that have none.
_MADE_UP: Final = re.compile(r"[A-Za-z]\w*_\d+(/fq_.*)?")


def require() -> None:
    """Raise ImportError unless OpenVINO and NNCF are installed; they are not imported."""
    for module in ("openvino", "nncf"):
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def versions() -> dict[str, str]:
    """Return the versions of NNCF and OpenVINO by the package's name."""
    version = str(openvino().get_version())
    return {"nncf": _nncf().__version__, "openvino": version.partition("-")[0]}


def processor() -> str:
    """Return the name of the processor."""
    return str(core().get_property(_DEVICE, "FULL_DEVICE_NAME")).strip()


def float_precisions() -> tuple[str, ...]:
    """Return the number formats of floats that the processor computes in, the fastest last."""
    capabilities = core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    return ("f32", BF16) if "BF16" in capabilities else ("f32",)


def read(path: Path) -> Any:  # noqa: ANN401 - an openvino.Model
    """Read the ``serving_default`` of a SavedModel, or raise ScriptError."""
    try:
        return _with_plain_names(core().read_model(str(path)))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-200:]
        raise ScriptError(f"OpenVINO cannot read {path}: {reason}") from error


def quantized(model: Any, images: Callable[[int], Floats], count: int) -> Any:  # noqa: ANN401
    """Return the int8 form of a model, calibrated with ``images(0)`` to ``images(count - 1)``."""
    nncf = _nncf()
    dataset = nncf.Dataset(range(count), images)
    with _translated(), _bars_on_stderr():
        return _with_plain_names(nncf.quantize(model, dataset, subset_size=count), model)


def quantized_with_care(
    model: Any,  # noqa: ANN401
    images: Callable[[int], Floats],
    count: int,
    judge: Judge,
    max_drop: float,
) -> Any:  # noqa: ANN401
    """Return the int8 form that keeps operations in higher precision where the judge needs it.

    ``judge`` rates the scores of some of the images, given by their numbers; the mean may be
    ``max_drop`` below that of the model itself.
    """
    nncf = _nncf()

    def validate(network: Any, chosen: Iterable[int]) -> tuple[float, list[float]]:  # noqa: ANN401
        indices = list(chosen)
        rated = judge(scores(network, map(images, indices)), indices)
        return float(rated.mean()), rated.tolist()

    dataset = nncf.Dataset(range(count), images)
    workers = nncf.AdvancedAccuracyRestorerParameters(num_ranking_workers=1)
    with _translated(), _bars_on_stderr():
        careful = nncf.quantize_with_accuracy_control(
            model,
            dataset,
            dataset,
            validate,
            max_drop=max_drop,
            subset_size=count,
            advanced_accuracy_restorer_parameters=workers,
        )
    return _with_plain_names(careful, model)


def in_higher_precision(model: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names of the operations with weights of floats."""
    return tuple(
        op.get_friendly_name()
        for op in model.get_ordered_ops()
        if op.get_type_name() in _WEIGHTED and _weights_type(op) in _FLOATS
    )


def _weights_type(op: Any) -> str:  # noqa: ANN401 - an openvino.Node
    """Return the number format of an operation's constant weights; else an empty string.

    Weights of int8 are turned into floats by operations between the constant and this one.
    """
    node = op.input_value(1).get_node()
    while node.get_type_name() != "Constant" and node.get_input_size():
        node = node.input_value(0).get_node()
    is_constant = node.get_type_name() == "Constant"
    return str(node.get_element_type().get_type_name()) if is_constant else ""


def save(model: Any, path: Path) -> None:  # noqa: ANN401
    """Write the IR."""
    openvino().save_model(model, path, compress_to_fp16=False)


def _with_plain_names(model: Any, before: Any = None) -> Any:  # noqa: ANN401 - openvino.Models
    """Number the nodes whose names OpenVINO made up: it counts the nodes of the whole process.

    Names that the model had ``before`` stay.
    """
    known = {op.get_friendly_name() for op in before.get_ops()} if before is not None else set()
    prefix = "" if before is None else "int8_"
    for number, op in enumerate(model.get_ordered_ops()):
        name = op.get_friendly_name()
        if name not in known and _MADE_UP.fullmatch(name):
            op.set_friendly_name(f"{prefix}{op.get_type_name()}_{number}")
    return model


def compiled_int8(model: Any) -> Any:  # noqa: ANN401
    """Compile an int8 form; what it keeps in floats is computed in the fastest of their formats."""
    return compiled(model, float_precisions()[-1])


def compiled(model: Any, precision: str) -> Any:  # noqa: ANN401 - a path or model; CompiledModel
    """Compile for one stream, as the model server does by default."""
    hints = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "ENABLE_CPU_PINNING": "NO",
    }
    return core().compile_model(model, _DEVICE, hints)


def scores(network: Any, batches: Iterable[Floats]) -> Scores:  # noqa: ANN401 - a CompiledModel
    """Return one row of scores per image."""
    import numpy as np

    return np.concatenate([network([batch])[0].copy() for batch in batches])


@cache
def _nncf() -> Any:  # noqa: ANN401 - the module
    """Import NNCF without its log lines; it reports its use through OpenVINO's package only."""
    openvino_telemetry.switch_off()
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf


@contextmanager
def _bars_on_stderr() -> Iterator[None]:
    """Show NNCF's progress bars on stderr where that is a terminal, and nowhere else."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        with redirect_stdout(sys.stderr if sys.stderr.isatty() else nowhere):
            yield


@contextmanager
def _translated() -> Iterator[None]:
    """Translate NNCF's errors for models that it cannot quantise."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ScriptError(f"NNCF cannot quantise the model: {reason}") from error

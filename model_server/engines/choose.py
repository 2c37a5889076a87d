"""Choose the engine by the flags; with ``auto`` or ``openvino``, per model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from model_catalog.graph_files import graph_file_of
from model_catalog.spec import SPEC_FILE
from model_server.engines.golden_check import require_golden_scores
from model_server.engines.openvino_engine import (
    PRECISIONS,
    OpenVINOEngine,
    OpenVINOOptions,
    is_installed,
)
from model_server.engines.protocol import Engine, LoadedModel
from model_server.engines.tensorflow_engine import TensorFlowEngine, TensorFlowOptions
from model_server.errors import InvalidArgument, ModelServerError

logger = logging.getLogger(__name__)

Flags = Mapping[str, Any]

ENGINES: Final = ("auto", "tensorflow", "openvino")


class OpenVINOFirstEngine:
    """Loads a model with OpenVINO if possible, else with TensorFlow."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._openvino = OpenVINOEngine(_openvino_options(flags))
        self._always_tries_openvino = flags["engine"] == "openvino"

    def load(self, path: Path) -> LoadedModel:
        """Load the SavedModel in the folder, or raise a ModelServerError if neither engine can."""
        if self._always_tries_openvino or _is_for_openvino(path):
            try:
                model = self._load_by_openvino(path)
            except ModelServerError as error:
                return self._load_instead(path, error)
            logger.info("OpenVINO serves %s", path)
            return model
        return TensorFlowEngine(_tensorflow_options(self._flags)).load(path)

    def _load_instead(self, path: Path, reason: ModelServerError) -> LoadedModel:
        """Load with TensorFlow; where it is not installed, name the reason of OpenVINO as well."""
        if graph_file_of(path) is not None:
            raise reason
        try:
            engine = TensorFlowEngine(_tensorflow_options(self._flags))
        except ModelServerError as missing:
            raise type(missing)(f"{reason.message} {missing.message}") from reason
        logger.warning("TensorFlow serves %s instead of OpenVINO: %s", path, reason.message)
        return engine.load(path)

    def _load_by_openvino(self, path: Path) -> LoadedModel:
        """Load with OpenVINO, or raise a ModelServerError if it cannot or its scores differ."""
        if self._openvino.uses_int8(path):
            try:
                return self._load_checked(path, int8=True)
            except ModelServerError as error:
                logger.warning("The int8 form of %s is not used: %s", path, error.message)
        return self._load_checked(path, int8=False)

    def _load_checked(self, path: Path, *, int8: bool) -> LoadedModel:
        model = self._openvino.load(path, int8=int8)
        try:
            require_golden_scores(model, path)
        except ModelServerError:
            model.close()
            raise
        return model


def _is_for_openvino(path: Path) -> bool:
    return (path / SPEC_FILE).is_file() or graph_file_of(path) is not None


def choose_engine(flags: Flags) -> Engine:
    """Return the engine for the flags, or raise a ModelServerError if it is not installed."""
    _check(flags)
    if flags["engine"] == "openvino" or (flags["engine"] == "auto" and _may_use_openvino(flags)):
        return OpenVINOFirstEngine(flags)
    return TensorFlowEngine(_tensorflow_options(flags))


def _may_use_openvino(flags: Flags) -> bool:
    return is_installed() and flags["saved_model_tags"] == "serve"


def _check(flags: Flags) -> None:
    for flag, allowed in (("engine", ENGINES), ("precision", PRECISIONS)):
        if flags[flag] not in allowed:
            raise InvalidArgument(f"--{flag} is {flags[flag]!r}; allowed are {', '.join(allowed)}.")
    if flags["engine"] == "tensorflow" and flags["precision"] in {"bf16", "int8"}:
        raise InvalidArgument(
            f"--precision={flags['precision']} needs OpenVINO; --engine=tensorflow computes in f32."
        )
    if flags["streams"] < 1:
        raise InvalidArgument(f"--streams is {flags['streams']}; at least 1 is needed.")
    if flags["engine"] == "tensorflow" and flags["streams"] > 1:
        raise InvalidArgument("--streams needs OpenVINO; --engine=tensorflow shares its threads.")
    if flags["engine"] == "openvino" and flags["saved_model_tags"] != "serve":
        raise InvalidArgument(
            f"--engine=openvino reads the meta graph with the tag serve;"
            f" --saved_model_tags={flags['saved_model_tags']} needs --engine=tensorflow."
        )


def _openvino_options(flags: Flags) -> OpenVINOOptions:
    return OpenVINOOptions(
        precision=flags["precision"],
        streams=flags["streams"],
        threads=flags["tensorflow_intra_op_parallelism"] or flags["tensorflow_session_parallelism"],
        timeout_ms=flags["rest_api_timeout_in_ms"],
        cache_dir=flags["openvino_cache_dir"],
    )


def _tensorflow_options(flags: Flags) -> TensorFlowOptions:
    both = flags["tensorflow_session_parallelism"]
    return TensorFlowOptions(
        tags=flags["saved_model_tags"].split(","),
        timeout_ms=flags["rest_api_timeout_in_ms"],
        intra_op_threads=flags["tensorflow_intra_op_parallelism"] or both,
        inter_op_threads=flags["tensorflow_inter_op_parallelism"] or both,
        gpu_memory_fraction=flags["per_process_gpu_memory_fraction"],
        session_config_file=flags["tensorflow_session_config_file"],
    )

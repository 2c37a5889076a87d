"""Choose the calls that are logged, as ``logging_config`` says, and hand them to the writer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from model_server.errors import ModelServerError
from model_server.internal_errors import as_internal_error
from model_server.metrics import Metrics
from model_server.models.versions import ModelConfig, RequestLogging
from model_server.request_log.log_files import LogLimits
from model_server.request_log.log_writer import LogWriter, Record
from model_server.request_log.records import Call, prediction_log

_METRIC: Final = "request_log_count"
_DROPPED: Final = "RESOURCE_EXHAUSTED"


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestLogOptions:
    """Options of request logging that command-line flags set."""

    limits: LogLimits = LogLimits()

    max_queued_bytes: int = 64 << 20
    """Bytes of records that wait to be written; further ones are dropped."""

    seed: int = 0
    """Makes the sampling repeatable; 0: each start samples other requests."""


@dataclass(frozen=True, slots=True)
class _LoggedModel:
    config: RequestLogging
    random: Random

    def is_sampled(self) -> bool:
        return self.random.random() < self.config.sampling_rate


class RequestLog:
    """Logs a sample of the answered calls of the configured models."""

    def __init__(self, metrics: Metrics, options: RequestLogOptions | None = None) -> None:
        self._metrics = metrics
        self._options = options or RequestLogOptions()
        self._writer = LogWriter(self._options.limits, self._options.max_queued_bytes, self._count)
        self._models: Mapping[str, _LoggedModel] = {}

    def configure(self, configs: Iterable[ModelConfig]) -> None:
        """Log the requests of these models as their configuration says, and no others."""
        before = self._models
        self._models = {
            config.name: self._logged(before.get(config.name), config.name, config.logging)
            for config in configs
            if config.logging is not None
        }
        self._writer.use({model.config.filename_prefix for model in self._models.values()})

    def _logged(
        self, before: _LoggedModel | None, model: str, config: RequestLogging
    ) -> _LoggedModel:
        if before is not None and before.config == config:
            return before
        seed = self._options.seed
        # S311: the choice of a sample needs no secrets.
        return _LoggedModel(config, Random(f"{seed}/{model}" if seed else None))  # noqa: S311

    def offer(self, model: str, call: Call) -> None:
        """Log a call if it is in the sample; never waits, and never raises."""
        logged = self._models.get(model)
        if logged is None or not logged.is_sampled():
            return
        try:
            with as_internal_error("logging a request"):
                is_queued = self._queue(model, logged.config, call)
        except ModelServerError as error:
            self._count(model, error.code)
            return
        if not is_queued:
            self._count(model, _DROPPED)

    def _queue(self, model: str, config: RequestLogging, call: Call) -> bool:
        size = call.size()
        if not self._writer.reserve(size):
            return False
        try:
            parts = prediction_log(call, model, config.sampling_rate)
        except BaseException:
            self._writer.release(size)
            raise
        return self._writer.put(Record(model, config.filename_prefix, parts), size)

    def stop(self, timeout_s: float) -> None:
        """Write what is queued, and log nothing more."""
        self._writer.stop(timeout_s)

    def _count(self, model: str, code: str) -> None:
        self._metrics.count(_METRIC, model, code)

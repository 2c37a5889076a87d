"""Read log files, and write the configuration that makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model_catalog.request_logs import log_files
from model_server.models.versions import ModelConfig, RequestLogging
from model_server.tfrecord import read_records
from serving_api.messages import message


def logged_models(prefix: str, *names: str, rate: float = 1.0) -> list[ModelConfig]:
    """Return models whose requests are logged."""
    return [ModelConfig(name, Path("/m"), logging=RequestLogging(rate, prefix)) for name in names]


def read_logs(prefix: str) -> list[Any]:
    """Return the PredictionLogs in all files, the oldest first."""
    return [
        message("PredictionLog").FromString(record)
        for file in log_files(prefix)
        for record in read_records(file)
    ]

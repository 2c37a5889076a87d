"""Read the model config file: the models, their base paths, version policies and labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from model_catalog.installation import install_command
from model_server.errors import FailedPrecondition, InvalidArgument, Unimplemented
from model_server.models.versions import (
    All,
    Latest,
    ModelConfig,
    Policy,
    RequestLogging,
    Specific,
)
from model_server.protos import read_message
from serving_api.messages import Message

_PLATFORM: Final = "tensorflow"
_TENSORFLOW_TYPE: Final = 1
_LOG_TYPES: Final = ("", "file")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")


def read_models(path: Path, configured: Collection[str] = ()) -> list[ModelConfig]:
    """Return the models in a ModelServerConfig file, or raise a ModelServerError.

    ``configured`` has the names of the models that are configured now. Only a file with a list of
    models, which may be empty, can remove them; one without a list may be half-written.
    """
    config = read_message(path, "ModelServerConfig")
    if configured and not config.HasField("model_config_list"):
        raise FailedPrecondition(
            "Cannot transition to requested config. It is only legal to transition from one"
            " ModelConfigList to another."
        )
    return models_of(config.model_config_list, configured)


def models_of(config_list: Message, configured: Collection[str] = ()) -> list[ModelConfig]:
    """Return the models of a ModelConfigList, or raise a ModelServerError.

    ``configured`` has the names of the models that are configured now.
    """
    _check_names(config.name for config in config_list.config)
    for config in config_list.config:
        _check_path(config.name, config.base_path)
    for config in config_list.config:
        _check_platform(config, is_configured=config.name in configured)
    return [_model(config) for config in config_list.config]


def checked(configs: list[ModelConfig]) -> list[ModelConfig]:
    """Return the models, or raise InvalidArgument for a repeated name or an invalid base path."""
    _check_names(config.name for config in configs)
    for config in configs:
        _check_path(config.name, str(config.base_path))
    return configs


def _check_names(names: Iterable[str]) -> None:
    known: set[str] = set()
    for name in names:
        if name in known:
            raise InvalidArgument(f"Illegal to list model {name} multiple times in config list")
        known.add(name)


def _check_path(model: str, base_path: str) -> None:
    path = str(local_path(model, base_path)) if base_path else ""
    if not Path(path).is_absolute():
        raise InvalidArgument(
            f"Expected model {model} to have an absolute path or URI; got base_path()={path}"
        )
    if "\0" in path:
        raise InvalidArgument(f"Model {model} has a null character in its base path")


def local_path(model: str, base_path: str) -> Path:
    """Return a base path as a local folder, or raise Unimplemented for other file systems."""
    path = base_path.removeprefix("file://")
    if _URI.match(path):
        raise Unimplemented(
            f"Model {model} has the base path {base_path}; only folders of this machine can be read"
        )
    return Path(path)


def _model(config: Message) -> ModelConfig:
    return ModelConfig(
        name=config.name,
        base_path=local_path(config.name, config.base_path),
        policy=_policy(config.model_version_policy),
        labels={label.key: label.value for label in config.version_labels},
        logging=_logging(config),
    )


def _logging(config: Message) -> RequestLogging | None:
    """Return the request logging of a model, None if it is off."""
    sampling_rate = config.logging_config.sampling_config.sampling_rate
    collector = config.logging_config.log_collector_config
    if not sampling_rate:
        return None
    subject = f"logging_config of model {config.name}"
    if not 0 < sampling_rate <= 1:
        raise InvalidArgument(
            f"{subject} has the sampling_rate {sampling_rate:g}; allowed are numbers from 0 to 1"
        )
    if collector.type not in _LOG_TYPES:
        raise InvalidArgument(
            f"{subject} has the log_collector_config type {collector.type}; the only one is file"
        )
    if not Path(collector.filename_prefix).is_absolute() or "\0" in collector.filename_prefix:
        raise InvalidArgument(
            f"{subject} has the filename_prefix {collector.filename_prefix!r};"
            " an absolute path is needed"
        )
    if find_spec("google_crc32c") is None:
        raise FailedPrecondition(
            f"{subject} needs google-crc32c, which is not installed here;"
            f" run {install_command('openvino')}"
        )
    return RequestLogging(sampling_rate, collector.filename_prefix)


def _check_platform(config: Message, *, is_configured: bool) -> None:
    if config.model_platform and config.model_type:
        raise InvalidArgument(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and"
            f" ModelServerConfig::model_platform, model name is {config.name}"
        )
    if not config.model_platform and not config.model_type:
        raise InvalidArgument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor"
            f" ModelServerConfig::model_platform, model name is {config.name}"
        )
    if config.model_type not in (0, _TENSORFLOW_TYPE):
        raise InvalidArgument(
            f"ModelServerConfig::model_type choice {config.model_type} not supported."
        )
    if config.model_platform in ("", _PLATFORM):
        return
    if is_configured:
        raise InvalidArgument(
            f"Illegal to change a model's platform. For model {config.name} platform was"
            f" {_PLATFORM} and new platform requested is {config.model_platform}"
        )
    raise InvalidArgument(
        f"Model {config.name} requests unsupported platform {config.model_platform}"
    )


def _policy(policy: Message) -> Policy:
    if policy.HasField("all"):
        return All()
    if policy.HasField("specific"):
        return Specific(frozenset(policy.specific.versions))
    return Latest(policy.latest.num_versions)

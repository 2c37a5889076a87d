"""Read the model config file: the models, their base paths, version policies and labels."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, Final

from model_server.errors import InvalidArgument, Unimplemented
from model_server.models.versions import All, Latest, ModelConfig, Policy, Specific
from model_server.protos import read_message

logger = logging.getLogger(__name__)

_PLATFORM: Final = "tensorflow"
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")


def read_models(path: Path) -> list[ModelConfig]:
    """Return the models in a ModelServerConfig file, or raise a ModelServerError."""
    configs = [
        _model(config)
        for config in read_message(path, "ModelServerConfig").model_config_list.config
    ]
    return checked(configs)


def checked(configs: list[ModelConfig]) -> list[ModelConfig]:
    """Return the models, or raise InvalidArgument for a repeated name or an invalid base path."""
    names: set[str] = set()
    for config in configs:
        if config.name in names:
            raise InvalidArgument(
                f"Illegal to list model {config.name} multiple times in config list"
            )
        names.add(config.name)
        path = str(config.base_path)
        if not config.base_path.is_absolute():
            raise InvalidArgument(
                f"Expected model {config.name} to have an absolute path or URI;"
                f" got base_path()={path}"
            )
        if "\0" in path:
            raise InvalidArgument(f"Model {config.name} has a null character in its base path")
    return configs


def local_path(model: str, base_path: str) -> Path:
    """Return a base path as a local folder, or raise Unimplemented for other file systems."""
    path = base_path.removeprefix("file://")
    if _URI.match(path):
        raise Unimplemented(
            f"Model {model} has the base path {base_path}; only folders of this machine can be read"
        )
    return Path(path)


def _model(config: Any) -> ModelConfig:  # noqa: ANN401 - a message made at run time
    _check_platform(config)
    if config.HasField("logging_config"):
        logger.warning("logging_config of model %s is ignored: no requests are logged", config.name)
    return ModelConfig(
        name=config.name,
        base_path=local_path(config.name, config.base_path),
        policy=_policy(config.model_version_policy),
        labels={label.key: label.value for label in config.version_labels},
    )


def _check_platform(config: Any) -> None:  # noqa: ANN401 - a message made at run time
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
    if config.model_platform not in ("", _PLATFORM):
        raise InvalidArgument(
            f"Model {config.name} requests unsupported platform {config.model_platform}"
        )


def _policy(policy: Any) -> Policy:  # noqa: ANN401 - a message made at run time
    if policy.HasField("all"):
        return All()
    if policy.HasField("specific"):
        return Specific(frozenset(policy.specific.versions))
    return Latest(policy.latest.num_versions)

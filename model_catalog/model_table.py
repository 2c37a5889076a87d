"""Validate one ``[models.<name>]`` table of ``models.toml`` and make its ``ModelEntry``.

The label file that a table names is the only file that is opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from model_catalog.boxes import boxes_from_dict
from model_catalog.errors import CatalogError, ModelsFileError, value_error
from model_catalog.labels import IMAGENET, imagenet_labels, read_labels
from model_catalog.model_entry import (
    BIGGEST_VERSION,
    SERVING_DEFAULT,
    ConstantInput,
    LoggingEntry,
    ModelEntry,
)
from model_catalog.serving_addresses import SERVING_URLS, is_serving_url, serving_addresses
from model_catalog.spec import ACTIVATIONS, TASKS, Label, input_from_dict
from model_catalog.top_k import TOP_K_TASKS

STRING_INPUTS = ("bytes", "base64")
#: Maximum weight of a label in ``split``.
MAX_WEIGHT = 1_000_000

_ACTIVATION_OF_TASK = {"multilabel": "sigmoid", "regression": "raw"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LABEL = re.compile(r"\w+")


def read_table(path: Path, name: str, values: object) -> ModelEntry:
    """Return the entry of the table ``name`` in the models file ``path``.

    Raises ModelsFileError if a key or a value is not allowed.
    """
    return _Table(path, name, values).entry()


@dataclass(frozen=True, slots=True)
class _Table:
    """One ``[models.<name>]`` table; its methods validate and return the values."""

    path: Path
    name: str
    values: Any

    def entry(self) -> ModelEntry:
        known = tuple(f.name for f in fields(ModelEntry) if f.name != "name")
        if not _NAME.fullmatch(self.name):
            raise self.bad("", self.name, "a name of letters, digits, '.', '_' and '-'")
        if not isinstance(self.values, dict):
            raise self.bad("", self.values, "a table", hidden=True)
        for key in self.values:
            if key not in known:
                allowed = f"one of the keys {', '.join(known)}"
                raise self.bad(key, self.values[key], allowed, hidden=True)
        return ModelEntry(
            name=self.name,
            base_path=self.base_path(),
            serving_url=self.serving_url(),
            versions=self.versions(),
            version_labels=self.version_labels(),
            split=self.split(),
            shadow=self.shadow(),
            input=self.input(),
            labels=self.labels(),
            activation=self.activation(),
            logging=self.logging(),
            task=self.task(),
            signature=self.name_in_model("signature") or SERVING_DEFAULT,
            output=self.name_in_model("output"),
            classes=self.classes(),
            constant_inputs=self.constant_inputs(),
            string_input=self.one_of("string_input", STRING_INPUTS, STRING_INPUTS[0]),
            boxes=self.boxes(),
        )

    def bad(
        self, key: str, received: object, allowed: str, *, hidden: bool = False
    ) -> ModelsFileError:
        place = f"models.{self.name}.{key}" if key else f"models.{self.name}"
        return value_error(self.path, place, received, allowed, hidden=hidden)

    def base_path(self) -> Path:
        value = self.values.get("base_path")
        if not isinstance(value, str) or not value:
            raise self.bad("base_path", value, "the path of a folder", hidden=True)
        return self.path_of("base_path", value)

    def path_of(self, key: str, value: str) -> Path:
        """Return a path that is relative to the folder of the models file."""
        if "\0" in value:
            raise self.bad(key, value, "a path without null characters", hidden=True)
        try:
            path = Path(value).expanduser()
        except RuntimeError as error:
            allowed = "a path whose ~ is the home of a known user"
            raise self.bad(key, value, allowed, hidden=True) from error
        path = self.path.parent / path
        if not _is_utf8(path):
            allowed = "a path of UTF-8 text, also in the folders above the models file"
            raise self.bad(key, value, allowed, hidden=True)
        return path

    def serving_url(self) -> str | None:
        value = self.values.get("serving_url")
        if value is None:
            return None
        if "@" in str(value):
            # The message must not show a password.
            value = "an address with a user name or password"
        texts = value if isinstance(value, list) else [value]
        url = ",".join(map(str, texts))
        if not all(isinstance(text, str) for text in texts) or not is_serving_url(url):
            raise self.bad("serving_url", value, SERVING_URLS, hidden=True)
        return ",".join(serving_addresses(url))

    def versions(self) -> str | tuple[int, ...]:
        value = self.values.get("versions", "latest")
        if value in ("latest", "all"):
            return str(value)
        if isinstance(value, list) and value and all(map(_is_version, value)):
            return tuple(value)
        raise self.bad("versions", value, '"latest", "all" or a list of version numbers')

    def version_labels(self) -> dict[str, int]:
        value = self.values.get("version_labels", {})
        if isinstance(value, dict) and all(
            _LABEL.fullmatch(label) and _is_version(number) for label, number in value.items()
        ):
            return dict(value)
        allowed = "a table from labels to version numbers; labels have letters, digits and '_'"
        raise self.bad("version_labels", value, allowed)

    def split(self) -> dict[str, float]:
        weights = self.numbers_of_labels("split", MAX_WEIGHT)
        if weights is None or (weights and not any(weights.values())):
            allowed = (
                f"a table from version labels to weights, 0 to {MAX_WEIGHT} and not all 0, such as"
                " { stable = 95, canary = 5 }"
            )
            raise self.bad("split", self.values["split"], allowed)
        return weights

    def shadow(self) -> dict[str, float]:
        percents = self.numbers_of_labels("shadow", 100)
        if percents is None:
            allowed = "a table from version labels to percents, 0 to 100, such as { canary = 10 }"
            raise self.bad("shadow", self.values["shadow"], allowed)
        return percents

    def numbers_of_labels(self, key: str, most: float) -> dict[str, float] | None:
        """Return a table from labels to numbers from 0 to ``most``, else None."""
        value = self.values.get(key, {})
        if isinstance(value, dict) and all(
            _LABEL.fullmatch(label) and _is_number(number) and 0 <= number <= most
            for label, number in value.items()
        ):
            return dict(value)
        return None

    def input(self) -> Mapping[str, Any] | None:
        value = self.values.get("input")
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.bad("input", value, "a table")
        try:
            input_from_dict({"height": 1, "width": 1} | value)
        except CatalogError as error:
            raise ModelsFileError(f"{self.path}: models.{self.name}.{error}") from error
        return value

    def labels(self) -> tuple[Label, ...] | None:
        value = self.values.get("labels")
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            allowed = f'the path of a label file, or "{IMAGENET}"'
            raise self.bad("labels", value, allowed, hidden=True)
        if value == IMAGENET:
            return imagenet_labels()
        path = self.path_of("labels", value)
        try:
            return read_labels(path, fill=self.values.get("task") == "detection")
        except CatalogError as error:
            start = f"{self.path}: models.{self.name}.labels:"
            hidden = str(error).replace(str(path), path.name)
            raise ModelsFileError(f"{start} {error}", for_clients=f"{start} {hidden}") from error

    def task(self) -> str:
        """Return the task; without it, only raw values tell of one."""
        default = "regression" if self.values.get("activation") == "raw" else TASKS[0]
        return self.one_of("task", TASKS, default)

    def activation(self) -> str:
        task = self.task()
        value = self.one_of("activation", ACTIVATIONS, _ACTIVATION_OF_TASK.get(task, "softmax"))
        if (value == "raw") != (task == "regression"):
            allowed = "raw" if task == "regression" else "softmax, sigmoid or none"
            raise self.bad("activation", value, f"{allowed} with task = {task}")
        return value

    def one_of(self, key: str, allowed: Sequence[str], default: str) -> str:
        value = self.values.get(key, default)
        if value not in allowed:
            raise self.bad(key, value, f"one of {', '.join(allowed)}")
        return str(value)

    def logging(self) -> LoggingEntry | None:
        value = self.values.get("logging")
        if value is None:
            return None
        if not isinstance(value, dict) or value.keys() != {"rate", "prefix"}:
            raise self.bad("logging", value, "a table with the keys rate and prefix", hidden=True)
        rate, prefix = value["rate"], value["prefix"]
        if not _is_number(rate) or not 0 < rate <= 1:
            raise self.bad("logging.rate", rate, "a number above 0, at most 1")
        if not isinstance(prefix, str) or not prefix:
            allowed = "the path with which file names start"
            raise self.bad("logging.prefix", prefix, allowed, hidden=True)
        folder = "/" if prefix.endswith("/") else ""
        return LoggingEntry(float(rate), f"{self.path_of('logging.prefix', prefix)}{folder}")

    def name_in_model(self, key: str) -> str | None:
        value = self.values.get(key)
        if key not in self.values:
            return None
        if not isinstance(value, str) or not value:
            what = "output" if key == "classes" else key
            article = "an" if what[0] in "aeiou" else "a"
            raise self.bad(key, value, f"the name of {article} {what} of the SavedModel")
        return value

    def classes(self) -> str | None:
        value = self.name_in_model("classes")
        if value is not None and self.task() not in TOP_K_TASKS:
            tasks = " or ".join(TOP_K_TASKS)
            raise self.bad("classes", value, f"an output of models with task = {tasks} only")
        if value is not None and self.activation() == "none":
            raise self.bad(
                "classes",
                value,
                "an output of models without activation = none: the softmax needs the scores of"
                " all classes",
            )
        return value

    def constant_inputs(self) -> Mapping[str, ConstantInput]:
        value = self.values.get("constant_inputs", {})
        if isinstance(value, dict) and all(map(_is_constant, value.values())):
            return value
        raise self.bad(
            "constant_inputs",
            value,
            "a table from names of inputs to strings, numbers, booleans or lists of them, such as"
            ' { key = "0" }',
        )

    def boxes(self) -> Mapping[str, Any] | None:
        value = self.values.get("boxes")
        if value is None:
            return None
        if self.values.get("task") != "detection":
            raise self.bad("boxes", value, 'a table for models with task = "detection" only')
        try:
            boxes_from_dict(value)
        except CatalogError as error:
            raise ModelsFileError(f"{self.path}: models.{self.name}.{error}") from error
        return dict(value)


def _is_utf8(path: Path) -> bool:
    """Tell whether Serving's configuration, which is UTF-8 text, can name the path."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_constant(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(each, str | bool | int | float) for each in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_version(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= BIGGEST_VERSION

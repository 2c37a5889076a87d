"""Read ``models.toml``: the models, their folders and the servers that serve them.

Reading opens the file itself and the label files that it names. The model folders are checked
separately (``require_folders``), since they need not exist on the gateway's machine. Every error is
a ``ModelsFileError`` that names the file, the key and the allowed values.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from model_catalog.boxes import boxes_from_dict
from model_catalog.errors import CatalogError, ModelsFileError, shown
from model_catalog.labels import IMAGENET, imagenet_labels, read_labels
from model_catalog.spec import ACTIVATIONS, TASKS, Label, input_from_dict
from model_catalog.top_k import TOP_K_TASKS

#: The value of an input that is the same in each call: a scalar, or a list of scalars.
Scalar = str | bool | int | float
ConstantInput = Scalar | list[Scalar]

#: The signature that servers use unless a request names one.
SERVING_DEFAULT = "serving_default"
_ACTIVATION_OF_TASK = {"multilabel": "sigmoid", "regression": "raw"}
STRING_INPUTS = ("bytes", "base64")

#: What ``serving_url`` and ``GATEWAY_SERVING_URL`` may be.
SERVING_URLS = (
    "a root URL such as http://host:8501, without /v1, or grpc://host:8500; or several different "
    "ones of the same kind"
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LABEL = re.compile(r"\w+")
BIGGEST_VERSION = 2**63 - 1
#: Maximum weight of a label in ``split``.
MAX_WEIGHT = 1_000_000


@dataclass(frozen=True, slots=True)
class LoggingEntry:
    """Which requests of a model the embedded server logs, and where."""

    rate: float
    """Share of the requests that is logged, above 0 and at most 1."""

    prefix: str
    """Path with which the names of the log files start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelEntry:
    """One ``[models.<name>]`` table."""

    name: str

    base_path: Path
    """Folder with one numbered folder per version."""

    serving_url: str | None = None
    """Root URL of another Serving that serves this model, or ``grpc://host:8500`` for its gRPC port
    (docs/gateway.md#grpc), with TLS ``https://`` or ``grpcs://host:8500``
    (docs/gateway.md#tls-to-the-model-server); a list for several addresses
    (docs/serving.md#several-addresses), which this field separates by commas. auto_cmd then does
    not serve the model. None: the gateway's ``GATEWAY_SERVING_URL``."""

    versions: str | tuple[int, ...] = "latest"
    """Versions to serve: ``"latest"``, ``"all"`` or a list of numbers."""

    version_labels: Mapping[str, int] = field(default_factory=dict)
    """Names of versions, such as ``{ stable = 1 }``; a request chooses one with ``label``."""

    split: Mapping[str, float] = field(default_factory=dict)
    """Weights of the version labels among which the gateway divides requests that name neither a
    version nor a label, such as ``{ stable = 95, canary = 5 }``
    (docs/models_file.md#split-and-shadow); the first label is the default. Empty: the newest
    version gets them all."""

    shadow: Mapping[str, float] = field(default_factory=dict)
    """Percent of the requests whose images the gateway also sends to the version of a label, to
    compare the scores, such as ``{ canary = 10 }`` (docs/models_file.md#split-and-shadow)."""

    input: Mapping[str, Any] | None = None
    """How images become the input of a model without a spec of its own; keys that are not given are
    read from the signature, except ``scale``."""

    labels: tuple[Label, ...] | None = None
    """Path of a label file, or ``"imagenet"``, for a model without a spec of its own; None: the
    class numbers."""

    activation: str = "softmax"
    """Activation of the last layer of a model without a spec of its own: ``softmax``, ``sigmoid``
    or ``none`` (logits); ``raw`` for values that are no scores of classes."""

    logging: LoggingEntry | None = None
    """Which requests of the model the embedded server logs, and where
    (docs/model_server.md#request-logging); None means that no requests are logged. TensorFlow
    Serving cannot do that."""

    task: str = TASKS[0]
    """What a model without a spec of its own computes (docs/tasks.md): ``classification``,
    ``multilabel`` (each class has a probability of its own; ``activation`` is then ``sigmoid`` by
    default), ``regression`` (``raw``), ``detection``, ``tensor``, ``embedding`` or
    ``segmentation``."""

    signature: str = SERVING_DEFAULT
    """Name of the signature that takes images, of a model without a spec of its own."""

    output: str | None = None
    """Name of the signature's output with the scores, the vector or the label map; None: the output
    of floats that fits the labels."""

    classes: str | None = None
    """Name of the signature's output with the classes to which the scores belong, of a graph that
    returns its best classes (docs/models_file.md#graphs-that-return-their-best-classes); None: the
    strings or indices beside scores of the same size."""

    constant_inputs: Mapping[str, ConstantInput] = field(default_factory=dict)
    """Values of all other inputs of the signature, such as ``{ key = "0" }``."""

    string_input: str = "bytes"
    """What an input of strings takes: the ``bytes`` of an image file, or its ``base64`` text for a
    graph that decodes it."""

    boxes: Mapping[str, Any] | None = None
    """Where the boxes of a detector without a spec of its own are
    (docs/detection.md#savedmodels-as-they-are); keys that are not given are taken from its
    outputs."""


@dataclass(frozen=True, slots=True)
class ModelsFile:
    """All entries in the order of the file; the first is the default model."""

    path: Path
    entries: tuple[ModelEntry, ...]

    @property
    def default(self) -> ModelEntry:
        """The model that ``/imageclassifier/predict/`` uses."""
        return self.entries[0]

    def require_folders(self) -> None:
        """Raise ModelsFileError if the base path of a model without ``serving_url`` is missing."""
        for entry in self.entries:
            if entry.serving_url is None and not entry.base_path.is_dir():
                raise ModelsFileError(
                    f"{self.path}: models.{entry.name}.base_path: {entry.base_path} is not a "
                    "folder; allowed is a folder with one sub-folder per version (1, 2, …)."
                )

    def refuse_logging(self) -> None:
        """Raise ModelsFileError if requests are to be logged: TensorFlow Serving cannot do that."""
        for entry in self.entries:
            if entry.logging is not None and entry.serving_url is None:
                raise ModelsFileError(
                    f"{self.path}: models.{entry.name}.logging: only the embedded server logs "
                    "requests; remove this key or start with --serving embedded."
                )


def load_models_file(path: Path) -> ModelsFile:
    """Read a models file, or raise ModelsFileError."""
    path = path.absolute()
    try:
        return parse_models_file(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelsFileError(f"The models file {path} cannot be read: {error}") from error


def parse_models_file(text: str, path: Path) -> ModelsFile:
    """Parse the text of a models file; relative paths are relative to the folder of ``path``."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # endless digits and nesting besides syntax
        raise ModelsFileError(f"{path}: not TOML: {error}") from error
    for key in document:
        if key != "models":
            raise _bad(path, key, document[key], "only the table models", may_be_address=True)
    tables = document.get("models")
    if not isinstance(tables, dict) or not tables:
        allowed = "one table [models.<name>] per model, at least one"
        raise _bad(path, "models", tables, allowed, may_be_address=True)
    entries = tuple(_Table(path, name, table).entry() for name, table in tables.items())
    _distinct(path, [entry.name for entry in entries])
    return ModelsFile(path, entries)


def _distinct(path: Path, names: list[str]) -> None:
    """Refuse names that differ in case only, which are easily confused."""
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise _bad(
                path,
                f"models.{name}",
                name,
                f"a name that differs from models.{twin} in more than upper and lower case",
            )


def _bad(
    path: Path, key: str, received: object, allowed: str, *, may_be_address: bool = False
) -> ModelsFileError:
    def text(value: str) -> str:
        return f"{path}: {key}: {value} is not allowed; allowed is {allowed}."

    hidden = text("the value") if may_be_address else None
    return ModelsFileError(text(shown(received)), for_clients=hidden)


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
            raise self.bad("", self.values, "a table", may_be_address=True)
        for key in self.values:
            if key not in known:
                allowed = f"one of the keys {', '.join(known)}"
                raise self.bad(key, self.values[key], allowed, may_be_address=True)
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
        self, key: str, received: object, allowed: str, *, may_be_address: bool = False
    ) -> ModelsFileError:
        place = f"models.{self.name}.{key}" if key else f"models.{self.name}"
        return _bad(self.path, place, received, allowed, may_be_address=may_be_address)

    def base_path(self) -> Path:
        value = self.values.get("base_path")
        if not isinstance(value, str) or not value:
            raise self.bad("base_path", value, "the path of a folder")
        return self.path_of("base_path", value)

    def path_of(self, key: str, value: str) -> Path:
        """Return a path that is relative to the folder of the models file."""
        if "\0" in value:
            raise self.bad(key, value, "a path without null characters")
        try:
            path = Path(value).expanduser()
        except RuntimeError as error:
            raise self.bad(key, value, "a path whose ~ is the home of a known user") from error
        return self.path.parent / path

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
            raise self.bad("serving_url", value, SERVING_URLS, may_be_address=True)
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
        raise self.bad("version_labels", value, "a table from labels to version numbers")

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
            raise self.bad("labels", value, f'the path of a label file, or "{IMAGENET}"')
        if value == IMAGENET:
            return imagenet_labels()
        path = self.path_of("labels", value)
        try:
            return read_labels(path, fill=self.values.get("task") == "detection")
        except CatalogError as error:
            raise ModelsFileError(f"{self.path}: models.{self.name}.labels: {error}") from error

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
            raise self.bad("logging", value, "a table with the keys rate and prefix")
        rate, prefix = value["rate"], value["prefix"]
        if not _is_number(rate) or not 0 < rate <= 1:
            raise self.bad("logging.rate", rate, "a number above 0, at most 1")
        if not isinstance(prefix, str) or not prefix:
            raise self.bad("logging.prefix", prefix, "the path with which file names start")
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


def serving_addresses(url: str) -> tuple[str, ...]:
    """Return the addresses in a ``serving_url``, which separates several with commas."""
    return tuple(address.strip().rstrip("/") for address in url.split(","))


def is_serving_url(url: str) -> bool:
    """Tell whether the text has addresses of model servers: of REST APIs, or of gRPC ports."""
    addresses = serving_addresses(url)
    is_of_one_kind = all(map(is_server_root, addresses)) or all(map(is_grpc_address, addresses))
    return is_of_one_kind and len(set(addresses)) == len(addresses)


def is_grpc_address(url: str) -> bool:
    """Tell whether the text is ``grpc://host:port`` or, with TLS, ``grpcs://host:port``."""
    return _is_root(url, {"grpc", "grpcs"}) and urlsplit(url).port is not None


def is_server_root(url: str) -> bool:
    """Tell whether the text is an http(s) URL without user, path, query and fragment."""
    return _is_root(url, {"http", "https"})


def _is_root(url: str, schemes: Collection[str]) -> bool:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    rest = (parts.path.rstrip("/"), parts.query, parts.fragment)
    return (
        parts.scheme in schemes
        and bool(parts.hostname)
        and port_is_fine
        and rest == ("", "", "")
        and parts.username is None
    )


def _is_constant(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(each, str | bool | int | float) for each in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_version(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= BIGGEST_VERSION

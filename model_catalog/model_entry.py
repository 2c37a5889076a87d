"""One ``[models.<name>]`` table of ``models.toml``: its keys, what they mean and their defaults.

The docstrings of the fields are the reference of the keys (docs/reference/models_toml.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_catalog.spec import TASKS, Label

#: The value of an input that is the same in each call: a scalar, or a list of scalars.
Scalar = str | bool | int | float
ConstantInput = Scalar | list[Scalar]

#: The signature that servers use unless a request names one.
SERVING_DEFAULT = "serving_default"
#: The largest number that a version may have.
BIGGEST_VERSION = 2**63 - 1


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
    (docs/serving.md#several-addresses). auto_cmd then does not serve the model. None: the gateway's
    ``GATEWAY_SERVING_URL``."""

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

    @property
    def assumes_scale(self) -> bool:
        """Whether images become floats by the default of ``input.scale``, as nothing states one.

        Detectors have defaults of their own.
        """
        has_input = self.input is not None or self.task == "segmentation"
        return has_input and self.task != "detection" and "scale" not in (self.input or {})

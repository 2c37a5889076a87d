"""The extras of the package and the versions that the tests run with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from docs.generator.markdown import ROOT, one_line, table
from release.packages import FOR_DEVELOPERS

_EXTRA = re.compile(r"((?:^#.*\n)*)^([a-z0-9]+) = \[", re.MULTILINE)
_PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
_IMAGE = re.compile(r"^ *image: (\S+):(\S+)$", re.MULTILINE)
_SERVING = "tensorflow/serving"
#: The packages whose version decides about models and deployments, with their usual names.
_SHOWN = {
    "tensorflow": "TensorFlow",
    "keras": "Keras 3",
    "tf_keras": "Keras 2 (`tf_keras`)",
    "openvino": "OpenVINO",
    "tensorflow-serving-api": "Stubs of TensorFlow Serving's gRPC API",
    "numpy": "NumPy",
    "pillow": "Pillow",
    "Flask": "Flask",
    "Werkzeug": "Werkzeug",
    "gunicorn": "gunicorn",
    "grpcio": "gRPC for Python",
    "protobuf": "protobuf",
    "redis": "Client of Redis",
    "ray": "Ray Serve",
    "opentelemetry-sdk": "OpenTelemetry",
}


def extras() -> str:
    """Return the table of the extras; the comment above an extra says what it is for."""
    text = _read("pyproject.toml").partition("[project.optional-dependencies]\n")[2]
    found = _EXTRA.findall(text.partition("\n[project.scripts]")[0])
    rows = [
        (f"`{name}`", one_line(comment.replace("# ", "")))
        for comment, name in found
        if name not in FOR_DEVELOPERS
    ]
    return table("extra", "packages for", rows=rows)


def versions() -> str:
    """Return the table of the pinned versions."""
    pins = {_key(name): version for name, version in _PIN.findall(_read("constraints.txt"))}
    project = tomllib.loads(_read("pyproject.toml"))["project"]
    python = project["requires-python"].replace(",", ", ")
    images = dict(_IMAGE.findall(_read("compose.yaml")))
    rows = [("Python", f"`{python}`"), ("TensorFlow Serving (`compose.yaml`)", images[_SERVING])]
    rows += [(text, pins[_key(name)]) for name, text in _SHOWN.items()]
    return table("what", "version", rows=rows)


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _read(name: str) -> str:
    return Path(ROOT, name).read_text(encoding="utf-8")

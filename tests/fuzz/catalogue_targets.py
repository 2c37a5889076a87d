"""The files that describe models and keys: no file makes a reader fail in another way."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from flask_server.access.key_file import KeyFileError, format_keys, hash_of, parse_keys
from model_catalog.errors import GoldenError, LabelsError, ModelsFileError, SpecError
from model_catalog.golden import FOLDER, SCORES_FILE, read_golden, to_png
from model_catalog.labels import read_labels
from model_catalog.models_file import load_models_file
from model_catalog.serving_config import serving_config
from model_catalog.spec import InputSpec, ModelSpec
from model_server.batching import parameters as batching
from model_server.errors import InvalidArgument, ModelServerError
from model_server.models.config_file import read_models
from tests.fuzz.target import Target


@cache
def folder() -> Path:
    """A folder for the files of this process, in memory where there is such a place."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def read_models_toml(data: bytes) -> None:
    """Read ``models.toml``; Serving's config of an accepted one names the same models."""
    path = folder() / "models.toml"
    path.write_bytes(data)
    models = load_models_file(path)
    own = [entry for entry in models.entries if entry.serving_url is None]
    config = folder() / "models.config"
    config.write_text(serving_config(models))
    if own:
        configured = read_models(config)
        assert [model.name for model in configured] == [entry.name for entry in own]
        assert [model.base_path for model in configured] == [entry.base_path for entry in own]
        assert [dict(model.labels or {}) for model in configured] == [
            dict(entry.version_labels) for entry in own
        ]


def read_spec(data: bytes) -> None:
    """Read a model spec; an accepted one is written and read again as it is."""
    spec = ModelSpec.from_json(data)
    assert ModelSpec.from_json(spec.to_json()) == spec


def read_key_file(data: bytes) -> None:
    """Read a key file; an accepted one is written and read again as it is."""
    keys = parse_keys(data.decode("utf-8", "replace"))
    assert parse_keys(format_keys(keys)) == keys


def read_label_file(data: bytes) -> None:
    """Read labels; the first line is the suffix of the file's name."""
    suffix, _, text = data.partition(b"\n")
    path = folder() / {b"csv": "labels.csv", b"pbtxt": "labels.pbtxt"}.get(suffix, "labels.txt")
    path.write_bytes(text)
    labels = read_labels(path, fill=suffix == b"pbtxt")
    assert all(isinstance(text, str) for pair in labels for text in pair)


def read_golden_scores(data: bytes) -> None:
    """Read golden scores; the first byte says whether the input is the picture instead."""
    golden = folder() / FOLDER
    golden.mkdir(parents=True, exist_ok=True)
    is_picture = data[:1] == b"p"
    (golden / SCORES_FILE).write_bytes(_SCORES if is_picture else data[1:])
    (golden / "a.png").write_bytes(data[1:] if is_picture else _GOLDEN_PNG)
    found = read_golden(folder(), InputSpec(height=2, width=3))
    assert found is not None
    assert all(len(picture.pixels) == 18 for picture in found.pictures)


def _config_reader(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    def read_config(data: bytes) -> None:
        path = folder() / name
        path.write_bytes(data)
        read(path)

    return read_config


def _batching(path: Path) -> None:
    found = batching.read_parameters(path)
    batching.thread_count(found)
    batching.options(found, None)


_MODELS = rb"""
[models.toy]
base_path = "toy \" } \\ models"
versions = [1, 2]
version_labels = { stable = 1, "canary" = 2 }
split = { stable = 95, canary = 5 }
shadow = { canary = 10 }
activation = "sigmoid"
task = "multilabel"
logging = { rate = 0.5, prefix = "logs/toy" }
constant_inputs = { key = "0", list = [1, 2.5, true] }
input = { height = 8, scale = "unit" }
labels = "imagenet"

[models.boxes]
base_path = "~/boxes"
serving_url = ["http://a:8501", "http://b:8501"]
task = "detection"
boxes = { threshold = 0.3, layout = "yolo", boxes = "o" }
"""
_SPEC = json.dumps(
    {
        "format": 1,
        "name": "n",
        "task": "detection",
        "input": {"height": 8, "width": 8, "color": "rgb", "scale": "tf"},
        "output": {"classes": 2, "activation": "sigmoid"},
        "labels": [["a", "A"], ["b", "\ud83d"]],
        "boxes": {"threshold": 0.5, "nms_iou": 0.1},
        "trained": False,
    }
).encode()
_KEYS = json.dumps(
    {
        "format": 1,
        "keys": [
            {"name": "a b", "sha256": hash_of("x"), "created_at": "2026-01-01T00:00:00Z"},
            {
                "name": "c",
                "sha256": hash_of("y"),
                "created_at": "",
                "limit": "10 per second; 5000 per 2 day",
            },
        ],
    }
).encode()
_GOLDEN_PNG = to_png(bytes(range(18)), 2, 3, 3)
_SCORES = b'{"format": 1, "tolerance": 0.001, "pictures": [{"file": "a.png", "scores": [0.5, 1]}]}'
_CONFIG = rb"""
model_config_list {
  config {
    name: "toy" base_path: "/models/toy\n\"" model_platform: "tensorflow"
    model_version_policy { specific { versions: 1 versions: 2 } }
    version_labels { key: "stable" value: 1 }
    logging_config { sampling_config { sampling_rate: 0.5 }
      log_collector_config { type: "file" filename_prefix: "/logs/toy" } }
  }
}
"""
_BATCHING = b"""
max_batch_size { value: 8 } batch_timeout_micros { value: 1000 } allowed_batch_sizes: 4
allowed_batch_sizes: 8 num_batch_threads { value: 2 } pad_variable_length_inputs: true
enable_large_batch_splitting { value: true } max_execution_batch_size { value: 8 }
"""
_LABELS = (
    b"txt\ncat\ndog\n",
    b"txt\n0 cat\n1 dog\n",
    b'txt\n{"0": ["n1", "cat"], "1": ["n2", "dog"]}',
    b'txt\n{"cat": 0, "dog": 1}',
    b'txt\n["cat", "dog"]',
    b"csv\nindex,label\n1,cat\n0,dog\n",
    b'csv\n0\t"cat"\n',
    b'pbtxt\nitem { id: 1 display_name: \'cat\' }\nitem { id: 3 name: "d\\"og" }\n',
)
_TOML_WORDS = (
    *(b"[models.a]", b"base_path", b'= "', b"serving_url", b'"~x/"', b"{ a = 1 }", b"nan", b"inf"),
    *(b"labels", b"1979-05-27", b"'''", b"\\u0000", b"a.b.c", b"0x7f", b'"grpc://h:1"', b"[[a]]"),
)
_TEXT_WORDS = (
    b"{",
    b"}",
    b"<",
    b">",
    b"[",
    b"]",
    b"name:",
    b"config {",
    b'"',
    b"\\377",
    b"#",
    b";",
)
_SPEC_WORDS = (b'"format": 1', b"null", b'"input"', b'"boxes"', b'"labels"', b"[]", b"{}", b"1.0")

TARGETS = (
    Target(
        name="models-toml",
        read=read_models_toml,
        refusals=(ModelsFileError,),
        seeds=lambda: (_MODELS, b'[models.toy]\nbase_path = "toy"\nlabels = "x.txt"\n'),
        words=_TOML_WORDS,
    ),
    Target(
        name="model-spec",
        read=read_spec,
        refusals=(SpecError,),
        seeds=lambda: (_SPEC, _SPEC.replace(b'"boxes"', b'"x"')),
        words=_SPEC_WORDS,
    ),
    Target(
        name="key-file",
        read=read_key_file,
        refusals=(KeyFileError,),
        seeds=lambda: (_KEYS, b'{"format": 1, "keys": []}'),
        words=(b"per", b"/", b";", b"day", b'"limit"', b'"keys"', b"999999999999999999999"),
    ),
    Target(
        name="labels",
        read=read_label_file,
        refusals=(LabelsError,),
        seeds=lambda: _LABELS,
        words=(b"item {", b"entry", b"id:", b"name:", b"}", b"\t", b",", b'"', b"\xc2\xb2"),
    ),
    Target(
        name="golden",
        read=read_golden_scores,
        refusals=(GoldenError,),
        seeds=lambda: (b"s" + _SCORES, b"p" + _GOLDEN_PNG),
        words=(b"IHDR", b"IDAT", b'"file"', b"[]", b"1e999", b'"../x"', b"null"),
    ),
    Target(
        name="model-config",
        read=_config_reader("models.config", read_models),
        refusals=(ModelServerError,),
        seeds=lambda: (_CONFIG, b""),
        words=_TEXT_WORDS,
    ),
    Target(
        name="batching-config",
        read=_config_reader("batching.config", _batching),
        refusals=(InvalidArgument,),
        seeds=lambda: (_BATCHING,),
        words=_TEXT_WORDS,
    ),
)

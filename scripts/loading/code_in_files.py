"""Find the code in a model file before Keras runs it, and load the user's own module of layers.

Keras 3 refuses Python code in its own format, but tf_keras runs that of an ``.h5`` file even with
``safe_mode=True``. So the configuration is searched beforehand, whatever will load it.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.errors import ScriptError
from scripts.loading.file_config import FileConfig, nodes

#: Packages whose classes and functions a model file may name.
_KERAS = {"keras", "tf_keras", "keras_hub", "keras_cv", "keras_nlp"}
#: Beginnings of TensorFlow functions that use files or call Python.
_OUTSIDE = ("io.", "py_function", "numpy_function", "raw_ops.", "saved_model.", "load_")


def require_trust(path: Path, about: FileConfig) -> None:
    """Raise ScriptError if the file holds code, or names code that is not Keras's."""
    code = next(_code(about.config), None)
    if code is not None:
        raise ScriptError(
            f"{path} holds or names code, {code}, and loading it runs that code; if you trust the "
            "origin of the file, add --trust."
        )
    foreign = next(_foreign(about.config), None)
    if foreign is not None:
        raise ScriptError(
            f"{path} uses {foreign}, which is not part of Keras; hand in the file that defines it "
            "with --custom FILE.py --trust, which runs that file."
        )


def _code(config: Mapping[str, Any]) -> Iterator[str]:
    for node in nodes(config):
        kind, inside = node.get("class_name"), node.get("config")
        name = inside.get("name") if isinstance(inside, Mapping) else None
        if kind == "Lambda":
            yield f"the Lambda layer {name}"
        elif kind == "__lambda__":
            yield "a Python lambda"
        elif kind == "TFOpLambda" and isinstance(inside, Mapping):
            function = str(inside.get("function"))
            if function.startswith(_OUTSIDE):
                yield f"the operation tf.{function}"
        elif node.get("module") == "builtins" and inside in dir(builtins) and inside != "abs":
            yield f"Python's {inside}"


def _foreign(config: Mapping[str, Any]) -> Iterator[str]:
    for node in nodes(config):
        module, kind = node.get("module"), node.get("class_name")
        registered = node.get("registered_name")
        if isinstance(module, str) and module.partition(".")[0] not in _KERAS | {"builtins"}:
            yield f"{node.get('config') if kind == 'function' else kind} of the module {module}"
        elif module is None and isinstance(registered, str) and ">" in registered:
            yield f"the class {registered.rpartition('>')[2]}"


def custom_objects(module: Path | None, about: FileConfig) -> dict[str, Any]:
    """Run the user's module and return its public classes and functions by name.

    Names under which the model file has them, such as ``Custom>Scale``, are there too.
    """
    if module is None:
        return {}
    objects = _public(module)
    registered = {
        str(node.get(key))
        for node in nodes(about.config)
        for key in ("class_name", "registered_name")
    }
    full = {name: name.rpartition(">")[2] for name in registered if ">" in name}
    return objects | {name: objects[short] for name, short in full.items() if short in objects}


def _public(module: Path) -> dict[str, Any]:
    # A name of its own, since the file may be named as a package, such as keras.py.
    spec = importlib.util.spec_from_file_location(f"custom_{module.stem}", module)
    if spec is None or spec.loader is None or not module.is_file():
        raise ScriptError(f"--custom {module} is not allowed; allowed is a Python file, FILE.py.")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses look themselves up in it
    sys.path.append(str(module.absolute().parent))  # for the files that it imports, as if run
    try:
        spec.loader.exec_module(loaded)
    except Exception as error:  # whatever the user's code raises
        raise ScriptError(f"{module} cannot be run: {type(error).__name__}: {error}") from error
    return {
        name: value
        for name, value in vars(loaded).items()
        if callable(value) and not name.startswith("_")
    }

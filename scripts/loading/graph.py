"""Follow the graph of a Keras model; the same functions for Keras 3 and for tf_keras."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

#: Names of scopes that a TensorFlow graph allows.
_TENSORFLOW_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_./>-]*")
#: Layers of tf_keras that stand for a function of TensorFlow, with its name in their configuration.
_FUNCTION_LAYERS = {"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod"}
#: The kinds of Keras 3's operations for the functions of TensorFlow.
_KINDS = {
    "truediv": "TrueDivide",
    "divide": "Divide",
    "multiply": "Multiply",
    "subtract": "Subtract",
    "add": "Add",
    "bias_add": "Add",
    "getitem": "GetItem",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "sigmoid": "Sigmoid",
    "hard_sigmoid": "HardSigmoid",
    "top_k": "TopK",
    "cast": "Cast",
    "clip_by_value": "Clip",
    "identity": "Identity",
    "reshape": "Reshape",
    "squeeze": "Squeeze",
    "pad": "Pad",
    "resize": "Resize",
    "transpose": "Transpose",
}


def keras_of(model: keras.Model) -> ModuleType:
    """Return the package that the model belongs to: keras or tf_keras."""
    is_old = any(base.__module__.startswith("tf_keras.") for base in type(model).__mro__)
    return importlib.import_module("tf_keras" if is_old else "keras")


def kind(operation: keras.Operation) -> str:
    """Return the kind of a layer or operation, by the names of Keras 3."""
    name = type(operation).__name__
    if name not in _FUNCTION_LAYERS:
        return name
    function = str(operation.get_config().get("function", name)).rpartition(".")[2].strip("_")
    return _KINDS.get(function, function)


def producer(tensor: keras.KerasTensor) -> tuple[keras.Operation, int, int]:
    """Return the operation that computes the tensor, the number of its call and of the output."""
    operation, call, position = tensor._keras_history
    return operation, call, position


def sources(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Return the inputs of the operation that computes the tensor; none for a model's input."""
    import tensorflow as tf

    operation, call, _ = producer(tensor)
    if kind(operation) == "InputLayer":
        return []
    node = operation._inbound_nodes[call]
    found = getattr(node, "keras_inputs", None)  # of tf_keras, without constants
    return list(tf.nest.flatten(node.input_tensors if found is None else found))


def inputs_of(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Return the inputs of the model that the tensor depends on, each once."""
    seen: dict[int, keras.KerasTensor] = {}
    found: list[keras.KerasTensor] = []
    waiting = [tensor]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen[id(current)] = current
        before = sources(current)
        if not before:
            found.append(current)
        waiting += before
    return found


def parts(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the model, its layers and the layers of the models inside it."""
    yield model
    for layer in getattr(model, "layers", ()):
        yield from parts(layer)


def steps(model: keras.Model) -> Iterator[keras.Operation]:
    """Yield the operations of the model in their order, those of the models inside it included."""
    for step in getattr(model, "operations", None) or model.layers:
        if getattr(step, "layers", None):
            yield from steps(step)
        else:
            yield step


def variables(model: keras.Model) -> list[tf.Variable]:
    """Return the TensorFlow variables of the model."""
    # In Keras 3, value is the TensorFlow variable; in tf_keras, the variable itself is one.
    return [v if callable(v.value) else v.value for v in model.variables]


def rename_for_tensorflow(model: keras.Model) -> None:
    """Replace blanks and other characters in names that a TensorFlow graph does not allow."""
    for part in parts(model):
        if not _TENSORFLOW_NAME.fullmatch(part.name):
            setattr(part, "_name" if hasattr(part, "_name") else "name", _plain(part.name))
    for variable in variables(model):
        name, _, number = variable.name.rpartition(":")
        if not _TENSORFLOW_NAME.fullmatch(name):
            # The name under which TensorFlow saves it; Keras offers no other way to change it.
            variable._handle_name = f"{_plain(name)}:{number}"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_./-]", "_", name).lstrip("_/-") or "unnamed"


def resources(model: keras.Model) -> list[object]:
    """Return what the model needs beside its variables: tables and files of SavedModels in it."""
    return [part._reloaded_obj for part in parts(model) if hasattr(part, "_reloaded_obj")]

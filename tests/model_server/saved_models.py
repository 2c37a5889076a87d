"""Write the SavedModels that the TensorFlow tests serve: ``python -m … FOLDER``."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from model_catalog.lean_import import without_keras

with without_keras():
    import tensorflow as tf

v1 = tf.compat.v1
DTYPES = ("float32", "float64", "int32", "int64", "uint8", "int16", "int8", "uint32", "uint64")
OTHERS = ("bool", "string", "float16", "bfloat16")


def save(path: Path, function: Callable[..., Any], *specs: Any, **parts: Any) -> None:
    """Write a TF2 SavedModel with one signature."""
    module = tf.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    module.serve = tf.function(function, input_signature=specs)
    signatures = {"serving_default": module.serve.get_concrete_function()}
    tf.saved_model.save(module, str(path), signatures=signatures)


def spec(dtype: Any, shape: Any, name: str) -> Any:
    return tf.TensorSpec(shape, dtype, name)


def write_identities(root: Path) -> None:
    for name in (*DTYPES, *OTHERS):
        save(root / f"id_{name}" / "1", lambda x: {"y": tf.identity(x)}, spec(name, None, "x"))


def write_linear(path: Path, factor: float) -> None:
    """A model with a weight."""
    weight = tf.Variable([[factor], [10.0]])
    save(path, lambda x: {"y": x @ weight}, spec("float32", [None, 2], "x"), weight=weight)


def write_table(root: Path) -> None:
    """A model that must be initialised before it can be asked."""
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["cat", "dog"], [3, 4]), default_value=-1
    )
    save(
        root / "table" / "1",
        lambda word: {"id": table.lookup(word)},
        spec("string", [None], "word"),
        table=table,
    )


def boom(x: Any) -> Any:
    with tf.control_dependencies([tf.debugging.assert_positive(x, message="x must be positive")]):
        return {"y": tf.identity(x)}


def slow(x: Any) -> Any:
    """Count for so long that any time limit of a test has passed."""
    counted = tf.while_loop(lambda i: i < 300_000_000, lambda i: (i + 1,), (tf.constant(0),))
    return {"y": x + tf.cast(counted[0], tf.float32) * 0}


def write_examples(root: Path) -> None:
    """A TF1 model with regress, classify and predict signatures; one output is its input."""
    with tf.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], name="tf_example")
        x = tf.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]
        half = v1.get_variable("half", initializer=0.5)
        y = tf.add(x * half, 2.0, name="score")
        plain = v1.placeholder(tf.float32, [None], name="plain")
        session.run(v1.global_variables_initializer())
        info, define = (
            v1.saved_model.utils.build_tensor_info,
            v1.saved_model.signature_def_utils.build_signature_def,
        )
        methods = "tensorflow/serving/"
        inputs = {"inputs": info(serialized)}
        builder = v1.saved_model.builder.SavedModelBuilder(str(root / "examples" / "1"))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": define(inputs, {"outputs": info(y)}, methods + "regress"),
                "classes": define(inputs, {"scores": info(y)}, methods + "classify"),
                "through": define(
                    {"x": info(plain)},
                    {"same": info(plain), "half": info(plain * half)},
                    methods + "predict",
                ),
            },
        )
        builder.save()


def write_text_readers(root: Path) -> None:
    """TF1 models whose operations quote an input that they cannot read."""

    def write(name: str, read: Callable[[Any], Any]) -> None:
        with tf.Graph().as_default(), v1.Session() as session:
            text = v1.placeholder(tf.string, [None])
            info = v1.saved_model.utils.build_tensor_info
            definition = v1.saved_model.signature_def_utils.build_signature_def(
                {"text": info(text)}, {"y": info(read(text))}, "tensorflow/serving/predict"
            )
            builder = v1.saved_model.builder.SavedModelBuilder(str(root / name / "1"))
            builder.add_meta_graph_and_variables(
                session, ["serve"], {"serving_default": definition}
            )
            builder.save()

    features = {"x": tf.io.FixedLenFeature([1], tf.float32)}
    write("bad_example", lambda text: v1.io.parse_example(text, features)["x"])
    write("number", tf.strings.to_number)


def write_damaged(root: Path) -> None:
    """One good version, and one per way of being broken."""
    good = root / "linear" / "1"
    for version in range(1, 7):
        shutil.copytree(good, root / "damaged" / str(version))
    base = root / "damaged"
    graph = (base / "3" / "saved_model.pb").read_bytes()
    (base / "2" / "saved_model.pb").write_bytes(b"this is no protocol buffer")
    (base / "3" / "saved_model.pb").write_bytes(graph[: len(graph) // 2])
    shutil.rmtree(base / "4" / "variables")
    (base / "5" / "saved_model.pb").unlink()
    (base / "6" / "saved_model.pb").write_bytes(b"")


def main(root: Path) -> None:
    """Write all models."""
    write_identities(root)
    for version in (1, 2):
        write_linear(root / "linear" / str(version), float(version))
    write_table(root)
    write_examples(root)
    write_text_readers(root)
    write_damaged(root)
    vector = spec("float32", [None], "x")
    save(root / "boom" / "1", boom, vector)
    save(root / "slow" / "1", slow, vector)
    save(root / "total" / "1", lambda x: {"sum": tf.reduce_sum(x)}, vector)
    save(
        root / "bytes" / "1",
        lambda raw: {"raw_bytes": tf.identity(raw), "size": tf.strings.length(raw)},
        spec("string", [None], "raw"),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

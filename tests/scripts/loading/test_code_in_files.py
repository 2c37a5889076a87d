"""Code in a model file is found without Keras, however it got there."""

from __future__ import annotations

import fcntl
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import ScriptError
from scripts.loading import file_config
from scripts.loading.code_in_files import custom_objects, require_trust
from scripts.loading.file_config import FileConfig


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": config}


def model(*layers: dict[str, Any]) -> FileConfig:
    nested = {"class_name": "Sequential", "config": {"name": "inside", "layers": list(layers)}}
    return FileConfig(config={"class_name": "Sequential", "config": {"layers": [nested]}})


CODE = {
    "Lambda": (layer("Lambda", name="half"), "the Lambda layer half"),
    "lambda of Keras 3": (
        layer("Dense", activation={"class_name": "__lambda__", "config": {}}),
        "a Python lambda",
    ),
    "a function that writes files": (layer("TFOpLambda", function="io.write_file"), "tf.io.write"),
    "a function of Python": (
        layer(
            "Dense", activation={"class_name": "function", "module": "builtins", "config": "eval"}
        ),
        "Python's eval",
    ),
}
FOREIGN = {
    "a module": (
        layer("Dense", activation={"class_name": "function", "module": "os", "config": "system"}),
        "system of the module os",
    ),
    "a registered class": (
        {"class_name": "Twice", "module": None, "registered_name": "Custom>Twice", "config": {}},
        "the class Twice",
    ),
    "a class of a project": (
        {"class_name": "Twice", "module": "nets.layers", "config": {}},
        "Twice of the module nets.layers",
    ),
}


@pytest.mark.parametrize(("inside", "named"), CODE.values(), ids=CODE)
def test_code_needs_trust(inside: dict[str, Any], named: str) -> None:
    with pytest.raises(ScriptError, match=f"{named}.*loading it runs that code; .* add --trust"):
        require_trust(Path("m.h5"), model(inside))


@pytest.mark.parametrize(("inside", "named"), FOREIGN.values(), ids=FOREIGN)
def test_names_from_elsewhere_need_the_file_that_defines_them(
    inside: dict[str, Any], named: str
) -> None:
    with pytest.raises(ScriptError, match=f"uses {named}.* --custom FILE.py --trust"):
        require_trust(Path("m.h5"), model(inside))


def test_layers_and_functions_of_keras_need_nothing() -> None:
    relu = {"class_name": "function", "module": "builtins", "config": "relu"}
    require_trust(
        Path("m.h5"),
        model(
            layer("Dense", activation=relu),
            layer("TFOpLambda", function="math.truediv"),
            {"class_name": "Dense", "module": "keras.layers", "registered_name": None},
            {
                "class_name": "ReversibleEmbedding",
                "module": "keras_hub.src",
                "registered_name": "a>b",
            },
        ),
    )


def test_the_users_module_is_run_and_its_names_are_known(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "import os.path\nSIZE = 3\nclass Twice: pass\ndef _hidden(): pass\n", encoding="utf-8"
    )
    about = model({"class_name": "Custom>Twice", "config": {}})

    objects = custom_objects(tmp_path / "nets.py", about)

    assert set(objects) == {"Twice", "Custom>Twice"}
    assert objects["Twice"] is objects["Custom>Twice"]
    assert custom_objects(None, about) == {}


def test_the_users_module_may_import_files_beside_it_and_define_dataclasses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "nets_sizes.py").write_text("SIDE = 3\n", encoding="utf-8")
    (tmp_path / "nets.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from nets_sizes import SIDE\n"
        "@dataclass\n"
        "class Twice:\n"
        "    side: int = SIDE\n",
        encoding="utf-8",
    )

    assert custom_objects(tmp_path / "nets.py", model())["Twice"]().side == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "nets.py is not allowed; allowed is a Python file"),
        ("import no_such_package", "ModuleNotFoundError"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_run_is_one_sentence(
    tmp_path: Path, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / "nets.py").write_text(text, encoding="utf-8")

    with pytest.raises(ScriptError, match=said):
        custom_objects(tmp_path / "nets.py", model())


def archive(path: Path, **members: object) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.json", json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("mse", "mse"),
        ("mean_squared_error", "meansquarederror"),
        ({"class_name": "MeanSquaredError", "config": {"name": "x"}}, "meansquarederror"),
        ({"class_name": "function", "config": "mean_absolute_error"}, "meanabsoluteerror"),
        (["mse", "mae"], None),
        (None, None),
    ],
)
def test_the_loss_has_one_name(tmp_path: Path, loss: object, name: str | None) -> None:
    file = archive(
        tmp_path / "m.keras",
        config={"class_name": "Sequential", "compile_config": {"loss": loss}},
        metadata={"keras_version": "2.15.0"},
    )

    about = file_config.read(file)

    assert (about.loss, about.major_version) == (name, 2)


def test_a_reference_to_a_saved_model_is_named(tmp_path: Path) -> None:
    file = archive(tmp_path / "m.keras", config=layer("TFSMLayer", filepath="/models/cats/1"))

    with pytest.raises(ScriptError, match="its TFSMLayer refers to the SavedModel /models/cats/1"):
        file_config.read(file)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["layers"], "it holds weights only; load them into the model"),
        (["pictures", "targets"], "it is an HDF5 file, but not of a Keras model"),
    ],
)
def test_hdf5_without_a_model_is_told_apart(tmp_path: Path, names: list[str], said: str) -> None:
    import h5py

    with h5py.File(tmp_path / "m.h5", "w") as file:
        for name in names:
            file.create_group(name)

    with pytest.raises(ScriptError, match=said):
        file_config.read(tmp_path / "m.h5")


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n")

    with pytest.raises(ScriptError, match="is damaged, perhaps cut short; copy it again"):
        file_config.read(tmp_path / name)


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    file = tmp_path / "m.keras"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("config.json", json.dumps({"class_name": "Sequential"}))
    content = bytearray(file.read_bytes())
    content[30 + len("config.json")] = 0xFF  # a block of a type that deflate does not have
    file.write_bytes(content)

    with pytest.raises(ScriptError, match="the .keras file is damaged"):
        file_config.read(file)


def test_an_archive_with_a_password_is_named(tmp_path: Path) -> None:
    file = archive(tmp_path / "m.keras", config={})
    content = bytearray(file.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + flags] |= 1
    file.write_bytes(content)

    with pytest.raises(ScriptError, match="cannot be unpacked .*password required"):
        file_config.read(file)


def test_a_file_that_another_program_writes_is_not_called_damaged(tmp_path: Path) -> None:
    import h5py

    file = tmp_path / "m.h5"
    h5py.File(file, "w").close()
    with file.open("rb") as training:
        fcntl.flock(training, fcntl.LOCK_EX)

        with pytest.raises(ScriptError, match="cannot be locked, as another program writes it"):
            file_config.read(file)


def test_what_only_the_training_needs_counts_for_nothing(tmp_path: Path) -> None:
    metric = {"class_name": "F1Score", "module": "tensorflow_addons.metrics", "config": {}}
    loss = {"class_name": "__lambda__", "config": {}}
    file = archive(
        tmp_path / "m.keras",
        config=layer("Sequential") | {"compile_config": {"loss": loss, "metrics": [metric]}},
    )

    require_trust(file, file_config.read(file))

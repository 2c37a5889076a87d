from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from model_catalog.fault import Fault
from model_catalog.folders import faults, version_folders
from model_catalog.graph_files import DESCRIPTION, GraphFile
from model_catalog.labels import imagenet_labels, numbered_labels
from model_catalog.model_entry import ModelEntry
from model_catalog.signatures import DamagedGraph, output_sizes
from model_catalog.spec import SPEC_FILE, InputSpec, ModelSpec, OutputSpec

ROOT = Path(__file__).parents[2]
#: A version that is named after a time with microseconds, a number of more than 63 bits.
MICROSECONDS = "20261129084512345678"


def field(number: int, payload: bytes | int) -> bytes:
    """Encode one protobuf field."""
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    head = b""
    while value > 0x7F:
        head += bytes([value & 0x7F | 0x80])
        value >>= 7
    return head + bytes([value])


def graph(*names: str, classes: int = 3) -> bytes:
    """Encode a SavedModel whose signatures answer ``scores`` of shape [?, classes]."""
    shape = field(2, field(1, -1)) + field(2, field(1, classes))
    tensor = field(1, b"output:0") + field(2, 1) + field(3, shape)
    signature = field(2, field(1, b"scores") + field(2, tensor)) + field(3, b"method")
    entries = b"".join(field(5, field(1, name.encode()) + field(2, signature)) for name in names)
    return field(1, 1) + field(2, field(1, field(4, b"serve")) + entries)


def foreign_graph(
    inputs: Mapping[str, tuple[int, ...]], outputs: Mapping[str, tuple[int, int]], dtype: int = 1
) -> bytes:
    """Encode a SavedModel with the shapes of its inputs, and type and size of its outputs."""

    def tensor(dtype: int, shape: tuple[int, ...]) -> bytes:
        return field(2, dtype) + field(3, b"".join(field(2, field(1, size)) for size in shape))

    ins = (field(1, name.encode()) + field(2, tensor(dtype, s)) for name, s in inputs.items())
    outs = (
        field(1, name.encode()) + field(2, tensor(kind, (-1, size)))
        for name, (kind, size) in outputs.items()
    )
    signature = b"".join(field(1, each) for each in ins) + b"".join(field(2, o) for o in outs)
    entry = field(5, field(1, b"serving_default") + field(2, signature))
    return field(1, 1) + field(2, entry)


def spec(classes: int) -> str:
    return ModelSpec(
        name="m",
        input=InputSpec(height=8, width=8),
        output=OutputSpec(classes=classes),
        labels=tuple((str(index), f"label {index}") for index in range(classes)),
    ).to_json()


def put(path: Path, data: bytes | str = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def saved_model(folder: Path, *, classes: int = 3, labels: int | None = 3) -> Path:
    """Lay out a version that a server would load."""
    put(folder / "saved_model.pb", graph("serving_default", "pixels", classes=classes))
    put(folder / "variables" / "variables.index")
    put(folder / "variables" / "variables.data-00000-of-00001")
    if labels is not None:
        put(folder / SPEC_FILE, spec(labels))
    return folder


def graph_file(folder: Path, *, labels: int | None = 3) -> Path:
    """Lay out a version with a ``.tflite`` file instead of a SavedModel."""
    graph = GraphFile(
        file="model.tflite", input="i", shape=(8, 8, 3), output="o", takes_batches=True
    )
    put(folder / graph.file)
    put(folder / DESCRIPTION, graph.to_json())
    if labels is not None:
        put(folder / SPEC_FILE, spec(labels))
    return folder


def found(base: Path, **values: object) -> list[Fault]:
    return list(faults(ModelEntry(name="m", base_path=base, **values)))  # type: ignore[arg-type]  # keyword arguments of ModelEntry


def only(base: Path, **values: object) -> Fault:
    each = found(base, **values)
    assert len(each) == 1
    return each[0]


def test_a_good_folder_has_no_fault(tmp_path: Path) -> None:
    saved_model(tmp_path / "1")
    put(tmp_path / "README.md")
    put(tmp_path / ".3.draft" / "saved_model.pb")

    assert found(tmp_path) == []


def test_a_folder_with_a_graph_file_has_no_fault(tmp_path: Path) -> None:
    graph_file(tmp_path / "1")

    assert found(tmp_path) == []


def test_a_graph_as_text_is_left_to_the_server(tmp_path: Path) -> None:
    put(tmp_path / "1" / "saved_model.pbtxt", "saved_model_schema_version: 1")

    assert found(tmp_path) == []


def test_the_committed_digits_model_has_no_fault() -> None:
    base = ROOT / "my_digit_classifier"
    if not version_folders(base):
        pytest.skip("the digits model is not there")

    assert found(base) == []


def test_only_numbers_are_versions(tmp_path: Path) -> None:
    for name in ("1", "002", "20260101", "v3", "4.draft", "٣", "5a", MICROSECONDS, str(2**63)):
        (tmp_path / name).mkdir()

    assert sorted(version_folders(tmp_path)) == [1, 2, 20260101]


@pytest.mark.parametrize(
    ("build", "text", "fix"),
    [
        pytest.param(
            lambda base: None, "no numbered version folder", "export_saved_model", id="empty"
        ),
        pytest.param(
            lambda base: put(base / "m.keras"),
            "m.keras is a Keras file",
            "--model",
            id="keras file",
        ),
        pytest.param(
            lambda base: put(base / "m.h5"), "m.h5 is a Keras file", "--model", id="h5 file"
        ),
        pytest.param(
            lambda base: put(base / "m.tflite"),
            "m.tflite is a TensorFlow Lite file",
            "--model",
            id="tflite file",
        ),
        pytest.param(
            lambda base: put(base / "1" / "model.tflite"),
            "model.tflite lacks its description",
            "--model",
            id="tflite file without description",
        ),
        pytest.param(
            lambda base: graph_file(base / "1", labels=None),
            "has no model spec",
            "--model",
            id="tflite file without spec",
        ),
        pytest.param(
            lambda base: saved_model(base / "v1"),
            "no version number",
            "mv ",
            id="a name, no number",
        ),
        pytest.param(
            lambda base: saved_model(base), "is itself a SavedModel", "mkdir 1", id="no folder"
        ),
        pytest.param(
            lambda base: put(base / "1"), "is a file, but", "rm ", id="a file with a number"
        ),
        pytest.param(
            lambda base: put(base / "1" / "notes.txt"),
            "has no saved_model.pb",
            "rm -r",
            id="no graph",
        ),
        pytest.param(
            lambda base: put(base / "1" / "m.keras"),
            "is a Keras file",
            "--base-path",
            id="keras in it",
        ),
        pytest.param(
            lambda base: saved_model(base / "1" / "inner"),
            "one folder too deep",
            "mv ",
            id="nested",
        ),
        pytest.param(
            lambda base: put(saved_model(base / "1") / "saved_model.pb", graph("pixels")),
            "no signature serving_default; it has pixels",
            "serving_default",
            id="another signature",
        ),
        pytest.param(
            lambda base: put(saved_model(base / "1") / "saved_model.pb", graph("x")[:-3]),
            "is damaged",
            "again",
            id="cut off",
        ),
        pytest.param(
            lambda base: (saved_model(base / "1") / "variables" / "variables.index").unlink(),
            "variables.index is missing",
            "again",
            id="half a copy",
        ),
        pytest.param(
            lambda base: next(saved_model(base / "1").glob("variables/*data*")).unlink(),
            "an index but no data",
            "again",
            id="the other half",
        ),
        pytest.param(
            lambda base: saved_model(base / "1", classes=3, labels=2),
            "returns 3 scores",
            "exactly 3 labels",
            id="too few labels",
        ),
        pytest.param(
            lambda base: put(saved_model(base / "1") / SPEC_FILE, "{"),
            "cannot be used",
            "export it again",
            id="damaged spec",
        ),
    ],
)
def test_each_fault_is_found_with_its_fix(
    tmp_path: Path, build: Callable[[Path], object], text: str, fix: str
) -> None:
    build(tmp_path)

    fault = only(tmp_path)

    assert fault.is_error
    assert text in fault.text
    assert fix in fault.fix


@pytest.mark.parametrize("inner", ["inner", "a/b"])
def test_the_fix_for_wrong_nesting_works(tmp_path: Path, inner: str) -> None:
    saved_model(tmp_path / "1" / inner)

    subprocess.run(["/bin/sh", "-c", only(tmp_path).fix], check=True)

    assert found(tmp_path) == []


@pytest.mark.parametrize("name", ["v1", "my model", MICROSECONDS])
def test_the_fix_for_a_name_without_number_works(tmp_path: Path, name: str) -> None:
    saved_model(tmp_path / name)

    subprocess.run(["/bin/sh", "-c", only(tmp_path).fix], check=True)

    assert found(tmp_path) == []


def test_the_fix_for_a_model_without_folder_works(tmp_path: Path) -> None:
    saved_model(tmp_path)

    subprocess.run(["/bin/sh", "-c", only(tmp_path).fix], check=True)

    assert found(tmp_path) == []


def test_an_unreadable_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph_file = saved_model(tmp_path / "1") / "saved_model.pb"
    graph_file.chmod(0)
    if os.geteuid() == 0:  # root can read everything
        monkeypatch.setattr(os, "access", lambda path, _: path != graph_file)

    fault = only(tmp_path)

    assert f"{graph_file} cannot be read" in fault.text
    assert fault.fix == f"chmod -R a+rX {tmp_path / '1'}"


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (saved_model(tmp_path / "1") / "variables" / "more").symlink_to("/no/such/file")

    assert "is a broken link to /no/such/file" in only(tmp_path).text


def test_a_missing_folder_is_a_fault(tmp_path: Path) -> None:
    assert "mkdir -p" in only(tmp_path / "absent").fix


def test_a_keras_file_as_base_path_is_a_fault(tmp_path: Path) -> None:
    put(tmp_path / "m.keras")

    fault = only(tmp_path / "m.keras")

    assert "is a Keras file" in fault.text
    assert f"--base-path {tmp_path / 'm'}" in fault.fix


def test_a_model_without_labels_is_a_note(tmp_path: Path) -> None:
    saved_model(tmp_path / "1", labels=None)

    fault = only(tmp_path)

    assert not fault.is_error
    assert "labels" in fault.fix


IMAGE = {"x": (-1, 28, 28, 3)}
SCORES = {"scores": (1, 2)}
SCALE = {"scale": 1.0}
TWO = (("0", "a"), ("1", "b"))


def test_what_the_models_file_says_of_the_call_counts(tmp_path: Path) -> None:
    graph = foreign_graph(IMAGE | {"key": (-1,)}, {"a": (1, 2), "b": (1, 2)})
    put(tmp_path / "1" / "saved_model.pb", graph)
    told = {"constant_inputs": {"key": "0"}, "output": "b", "input": SCALE, "labels": TWO}

    assert found(tmp_path, **told) == []
    assert "no signature score; it has serving_default" in only(tmp_path, signature="score").text


@pytest.mark.parametrize(
    ("graph", "values", "text"),
    [
        pytest.param(foreign_graph(IMAGE, SCORES), {"labels": TWO}, "scale", id="no scale"),
        pytest.param(foreign_graph(IMAGE, SCORES), {}, "scale", id="export() and nothing else"),
        pytest.param(
            foreign_graph(IMAGE, {"scores": (1, -1)}), {"input": SCALE}, "labels", id="no labels"
        ),
        pytest.param(
            foreign_graph({"x": (-1, -1, -1, 3)}, SCORES), {"input": SCALE}, "height", id="no size"
        ),
        pytest.param(
            foreign_graph(IMAGE | {"y": (-1, 4)}, SCORES), {"input": SCALE}, "inputs", id="two in"
        ),
        pytest.param(
            foreign_graph(IMAGE, {"a": (1, 2), "b": (1, 2)}),
            {"input": SCALE, "labels": TWO},
            "outputs",
            id="two out",
        ),
        pytest.param(foreign_graph(IMAGE, {"a": (10, 2)}), {"input": SCALE}, "outputs", id="bool"),
        pytest.param(
            foreign_graph(IMAGE, SCORES, dtype=19), {"input": SCALE}, "float16", id="half images"
        ),
        pytest.param(
            foreign_graph({"x": (8, 28, 28, 3)}, SCORES), {"input": SCALE}, "exactly 8", id="batch"
        ),
        pytest.param(
            foreign_graph({"x": (28, 28, 3)}, SCORES),
            {"input": SCALE | {"height": 28, "width": 28}},
            "exactly 28",
            id="no batch dimension",
        ),
    ],
)
def test_a_model_that_the_gateway_cannot_use_is_wrong(
    tmp_path: Path, graph: bytes, values: dict[str, object], text: str
) -> None:
    put(tmp_path / "1" / "saved_model.pb", graph)

    fault = only(tmp_path, **values)

    assert fault.is_error
    assert "so the gateway cannot use it" in fault.text
    assert text in fault.text + fault.fix


@pytest.mark.parametrize(
    "graph",
    [
        foreign_graph(IMAGE, SCORES),
        foreign_graph({"x": (-1, 3, 28, 28)}, SCORES),
        foreign_graph({"x": (-1, 28, 28)}, SCORES),
        foreign_graph({"x": (-1,)}, SCORES, dtype=7),
        foreign_graph({"x": (1, 28, 28, 3)}, SCORES, dtype=4),
        foreign_graph(IMAGE, SCORES | {"features": (1, 64), "count": (3, 2)}),
    ],
)
def test_a_foreign_model_with_what_is_needed_is_well(tmp_path: Path, graph: bytes) -> None:
    put(tmp_path / "1" / "saved_model.pb", graph)

    faults = [fault for fault in found(tmp_path, input=SCALE, labels=TWO) if fault.is_error]

    assert not [fault for fault in faults if "the gateway cannot use it" in fault.text]


def test_a_model_that_returns_its_best_classes_needs_no_labels(tmp_path: Path) -> None:
    best = foreign_graph(IMAGE, {"classes": (7, -1), "scores": (1, -1)})
    put(tmp_path / "1" / "saved_model.pb", best)

    assert found(tmp_path, input=SCALE) == []
    assert found(tmp_path, input=SCALE, labels=TWO) == []
    assert "input = { scale" in only(tmp_path).fix
    fault = only(tmp_path, input=SCALE, classes="names")
    assert "has no output names with a class per score" in fault.text
    assert 'classes = "NAME"' in fault.fix
    assert "labels" in only(tmp_path, input=SCALE, output="scores").fix


@pytest.mark.parametrize("task", ["tensor", "embedding", "segmentation"])
def test_outputs_of_other_tasks_need_not_be_scores(tmp_path: Path, task: str) -> None:
    put(tmp_path / "1" / "saved_model.pb", foreign_graph(IMAGE, {"a": (1, 4), "b": (1, 5)}))

    assert found(tmp_path, task=task, labels=TWO) == []


def test_a_model_that_takes_image_files_needs_no_input(tmp_path: Path) -> None:
    put(tmp_path / "1" / "saved_model.pb", foreign_graph({"x": (-1,)}, SCORES, dtype=7))

    assert found(tmp_path, labels=TWO) == []


def test_a_base_path_that_is_a_version_is_not_moved(tmp_path: Path) -> None:
    saved_model(tmp_path / "model" / "1")

    fault = only(tmp_path / "model" / "1")

    assert fault.fix == f'base_path = "{tmp_path / "model"}" in models.toml'


@pytest.mark.parametrize(("count", "faulty"), [(2, True), (3, False), (4, True)])
def test_labels_of_the_models_file_are_counted(tmp_path: Path, count: int, faulty: bool) -> None:
    saved_model(tmp_path / "1", labels=None)
    labels = tuple((str(index), "x") for index in range(count))

    assert bool(found(tmp_path, labels=labels)) == faulty


def test_labels_fit_every_number_of_scores_that_the_gateway_takes(tmp_path: Path) -> None:
    saved_model(tmp_path / "one" / "1", classes=1, labels=None)
    saved_model(tmp_path / "imagenet" / "1", classes=1001, labels=None)

    assert found(tmp_path / "one", labels=numbered_labels(2)) == []
    assert found(tmp_path / "imagenet", labels=imagenet_labels()) == []
    assert "returns 1 scores" in only(tmp_path / "one", labels=numbered_labels(3)).text


@pytest.mark.parametrize("values", [{"versions": (1, 7)}, {"version_labels": {"stable": 7}}])
def test_a_version_that_is_named_and_not_there_is_a_fault(
    tmp_path: Path, values: dict[str, object]
) -> None:
    saved_model(tmp_path / "1")

    assert "names version 7, which is not in" in only(tmp_path, **values).text


def test_every_version_is_checked(tmp_path: Path) -> None:
    saved_model(tmp_path / "1")
    put(tmp_path / "2" / "m.h5")
    put(tmp_path / "10" / "m.h5")

    assert len(found(tmp_path)) == 2


def test_signatures_and_sizes_are_read() -> None:
    sizes = output_sizes(graph("serving_default", "pixels", classes=1000))

    assert sizes == {"serving_default": {"scores": 1000}, "pixels": {"scores": 1000}}


def test_an_open_dimension_has_no_size() -> None:
    assert output_sizes(graph("a", classes=-1)) == {"a": {"scores": None}}


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_cut_graph_is_damaged_or_merely_shorter(cut: int) -> None:
    data = graph("serving_default")

    try:
        sizes = output_sizes(data[:-cut])
    except DamagedGraph:
        return
    assert "serving_default" not in sizes


@pytest.mark.parametrize("data", [b"\xff" * 20, b"\x0b", b"\x12\xff\x01a", b"\x08"])
def test_nonsense_is_damaged(data: bytes) -> None:
    with pytest.raises(DamagedGraph):
        output_sizes(data)

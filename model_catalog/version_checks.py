"""Find versions that load but return wrong scores, and those that the chosen server cannot load.

Wrong scores come from random operations and from pixels that are scaled twice.

Folders are only read. A version that cannot be read has no finding here; ``folders`` names it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from model_catalog.errors import CatalogError
from model_catalog.fault import Fault
from model_catalog.folders import DESCRIBE, version_folders
from model_catalog.foreign_faults import FLOATS
from model_catalog.graph_files import graph_file_of
from model_catalog.installation import export_command
from model_catalog.model_entry import ModelEntry
from model_catalog.pixel_operations import pixel_operations
from model_catalog.random_operations import random_operations
from model_catalog.scaling_layers import scaling_layers
from model_catalog.signatures import Tensor, output_sizes, read_signature
from model_catalog.spec import SCALES, SPEC_FILE, ModelSpec

#: The scaling of an input that the models file describes without one; most detectors have none.
_DEFAULT_SCALE = "tf"


def served_versions(entry: ModelEntry) -> dict[int, Path]:
    """Return the folders of the versions that the models file has served; none if unreadable."""
    try:
        found = version_folders(entry.base_path)
    except OSError:
        return {}
    if entry.versions == "all":
        return found
    numbers = {max(found, default=0)} if entry.versions == "latest" else set(entry.versions)
    return {number: path for number, path in found.items() if number in numbers}


def random_faults(entry: ModelEntry) -> Iterator[Fault]:
    """Yield a note for each served version whose scores are random."""
    for path in served_versions(entry).values():
        text = random_text(path, entry.signature)
        if text is not None:
            again = f"{export_command()} --model FILE --base-path {shlex.quote(str(path.parent))}"
            fix = f"{again}, with the original Keras file, writes a version without them"
            yield Fault(text, fix, is_error=False)


def random_text(version: Path, signature: str) -> str | None:
    """Return what is random in a signature; None if nothing is, or if it has no readable graph."""
    try:
        found = random_operations((version / "saved_model.pb").read_bytes(), signature)
    except (OSError, CatalogError):
        return None
    if not found:
        return None
    return (
        f"version {version.name} answers the same image differently each time: its"
        f" {signature} reaches random operations ({', '.join(found)}), as augmentation"
        " layers have them that Keras's model.export() leaves switched on"
    )


def scaling_faults(entry: ModelEntry) -> Iterator[Fault]:
    """Yield a note for each served version whose scaling of pixels is doubtful.

    It scales pixels that were scaled already, or nothing states the scale of its input.
    """
    for path in served_versions(entry).values():
        try:
            scale, fix = _scale_of(path, entry)
            found = None if scale == "none" else _own_scaling(path, entry)
            is_assumed = found is None and _assumes_scale(path, entry)
        except (OSError, CatalogError):
            continue
        if found is not None:
            yield Fault(
                f"version {path.name} scales pixels itself ({found}); they are"
                f" scaled before as well (scale {scale}), so its scores may be wrong",
                fix,
                is_error=False,
            )
        elif is_assumed:
            yield Fault(
                f"version {path.name} takes floats, and models.toml states no scale for them, so"
                f" pixels are scaled with {_DEFAULT_SCALE}; with another scale than that of the"
                " training its scores are wrong",
                f"scale in input under [models.{entry.name}] in models.toml, one of"
                f" {', '.join(SCALES)}",
                is_error=False,
            )


def _assumes_scale(version: Path, entry: ModelEntry) -> bool:
    """Tell whether nothing states the scale of a version that takes floats."""
    if not entry.assumes_scale or (version / SPEC_FILE).exists():
        return False
    graph = (version / "saved_model.pb").read_bytes()
    image = _image_input(graph, entry)
    return image is not None and image.dtype in FLOATS and DESCRIBE not in output_sizes(graph)


def _own_scaling(version: Path, entry: ModelEntry) -> str | None:
    """Return by what a version scales pixels from 0 to 255; None if nothing is found.

    The numbers in the graph tell more than the names of layers: a layer may scale something else.
    """
    graph = (version / "saved_model.pb").read_bytes()
    image = None if (version / SPEC_FILE).exists() else _image_input(graph, entry)
    if image is not None:
        if image.dtype not in FLOATS:  # integers and files are never scaled before
            return None
        found = pixel_operations(graph, entry.signature, image.name)
        if found is not None and found.is_for_raw_pixels:
            return "; ".join(found.steps)
        if found is not None and found.is_complete:
            return None
    layers = scaling_layers(graph)
    return f"layer {', '.join(layers)}" if layers else None


def _image_input(graph: bytes, entry: ModelEntry) -> Tensor | None:
    """Return the only input that has no constant value."""
    inputs = read_signature(graph, entry.signature).inputs
    images = [tensor for tensor in inputs if tensor.name not in entry.constant_inputs]
    return images[0] if len(images) == 1 else None


def _scale_of(version: Path, entry: ModelEntry) -> tuple[str, str]:
    """Return how the pixels of a version are scaled, and how to turn that off."""
    spec_file = version / SPEC_FILE
    if spec_file.exists():
        spec = ModelSpec.from_json(spec_file.read_bytes())
        again = f"{export_command()} --model FILE --base-path {shlex.quote(str(version.parent))}"
        return (spec.input.scale if spec.input else "none"), f"{again} --scale none"
    default = "none" if entry.task == "detection" else _DEFAULT_SCALE
    scale = "none" if entry.input is None else str(entry.input.get("scale", default))
    return scale, f'input = {{ scale = "none" }} under [models.{entry.name}] in models.toml'


def faults_of_genuine_server(entry: ModelEntry) -> Iterator[Fault]:
    """Yield a fault for each served version that TensorFlow Serving cannot load."""
    for path in served_versions(entry).values():
        file = graph_file_of(path)
        if file is not None:
            yield Fault(
                f"{file} is no SavedModel, so TensorFlow Serving cannot load it",
                "serve it with --serving embedded, which runs it with OpenVINO",
            )

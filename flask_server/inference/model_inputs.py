"""The inputs of a model version, prepared from uploads, and the call for their outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flask_server.deadline import Deadline
from flask_server.errors import UnsupportedTask
from flask_server.inference.image_memory import FileMemory
from flask_server.inference.preparation import (
    ImagePreparation,
    PreparedFile,
    PreparedImage,
    Upload,
)
from flask_server.serving.live_model import LiveModel
from flask_server.serving.outputs import Outputs
from flask_server.stopwatch import Stopwatch
from model_catalog.spec import InputSpec

#: A tensor in the shape and dtype of the model's input.
Row = NDArray[np.generic]
Prepared = PreparedImage | PreparedFile | Row


def image_spec(live: LiveModel) -> InputSpec:
    """Return how the model takes images; raise UnsupportedTask if it does not take their pixels."""
    if live.spec.input is None:
        what = "the files of images" if live.takes_files else "tensors"
        raise UnsupportedTask(
            f"Model {live.name} (task {live.spec.task}) takes {what} only: its description has no"
            " size of an input."
        )
    return live.spec.input


def prepared_image(
    preparation: ImagePreparation,
    live: LiveModel,
    upload: Upload,
    deadline: Deadline,
    watch: Stopwatch,
    files: FileMemory | None = None,
) -> PreparedImage | PreparedFile:
    """Return the image as the model takes it, or raise the GatewayError of the upload.

    ``files`` holds the memory of a file that is made of the image.
    """
    if live.takes_files:
        return preparation.prepare_file(upload, deadline, watch, files)
    return preparation.prepare(upload, image_spec(live), deadline, watch)


def outputs_of(live: LiveModel, inputs: Sequence[Prepared], deadline: Deadline) -> list[Outputs]:
    """Return the outputs of the inputs, which are all of one kind, in their order."""
    images = [item.pixels for item in inputs if isinstance(item, PreparedImage)]
    rows = [item for item in inputs if isinstance(item, np.ndarray)]
    files = [item.data for item in inputs if isinstance(item, PreparedFile)]
    if rows:
        return live.tensor_outputs(rows, deadline)
    if files:
        return live.file_outputs(files, deadline)
    return live.outputs(images, deadline) if images else []

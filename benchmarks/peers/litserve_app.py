"""LitServe, batches of 8: python -m benchmarks.peers.litserve_app PORT SIDE SAVED_MODEL [fast].

``fast`` selects the resizer that GATEWAY_FAST_RESIZE selects in the gateway.
"""

from __future__ import annotations

import sys

import litserve  # type: ignore[import-not-found,unused-ignore] # lives in .venv-bench
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.pictures import image_array
from benchmarks.peers.saved_model import classifier
from flask_server.imaging.resizing import resizer
from flask_server.settings import FastResize

Floats = NDArray[np.float32]


class LitServeClassifier(litserve.LitAPI):  # type: ignore[misc,unused-ignore]
    """LitServe API that classifies batches of pictures."""

    def __init__(self, side: int, folder: str, *, fast: bool) -> None:
        super().__init__(max_batch_size=8, batch_timeout=0.01)
        self.side = side
        self.folder = folder
        self.fast = fast

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        self.classify = classifier(self.folder)
        self.resize = resizer(FastResize.ON if self.fast else FastResize.OFF)

    def decode_request(self, request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
        """Return one picture; without annotations, since LitServe derives a schema from them."""
        return image_array(request["image"], self.side, self.resize)

    def batch(self, inputs: list[Floats]) -> Floats:
        """Join the queued pictures."""
        return np.stack(inputs)

    def predict(self, x: Floats) -> list[str]:
        """Classify a batch."""
        return self.classify(x)

    def unbatch(self, output: list[str]) -> list[str]:
        """Split the answers of a batch."""
        return output

    def encode_response(self, output: str) -> dict[str, str]:
        """Return one answer."""
        return {"class_id": output}


if __name__ == "__main__":
    api = LitServeClassifier(int(sys.argv[2]), sys.argv[3], fast=sys.argv[4:] == ["fast"])
    litserve.LitServer(api, accelerator="cpu").run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )

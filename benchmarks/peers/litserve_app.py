"""LitServe, batches of 8: python -m benchmarks.peers.litserve_app PORT SIDE SAVED_MODEL [fast].

``fast`` gives it the resizer that GATEWAY_FAST_RESIZE gives the gateway.
"""

from __future__ import annotations

import sys

import litserve  # type: ignore[import-not-found,unused-ignore] # lives in .venv-bench
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.pictures import image_array
from benchmarks.peers.saved_model import classifier
from flask_server.imaging.resizing import resizer

Floats = NDArray[np.float32]


class Classifier(litserve.LitAPI):  # type: ignore[misc,unused-ignore]
    """LitServe's four verbs."""

    def __init__(self, side: int, folder: str, *, fast: bool) -> None:
        super().__init__(max_batch_size=8, batch_timeout=0.01)
        self.side = side
        self.folder = folder
        self.fast = fast

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        self.classify = classifier(self.folder)
        self.resize = resizer(fast=self.fast)

    def decode_request(self, request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
        """Return one picture; the types are left out since LitServe makes a schema of them."""
        return image_array(request["image"], self.side, self.resize)

    def batch(self, inputs: list[Floats]) -> Floats:
        """Join what waits."""
        return np.stack(inputs)

    def predict(self, x: Floats) -> list[str]:
        """Classify a batch."""
        return self.classify(x)

    def unbatch(self, output: list[str]) -> list[str]:
        """Part the answers again."""
        return output

    def encode_response(self, output: str) -> dict[str, str]:
        """Return one answer."""
        return {"class_id": output}


if __name__ == "__main__":
    api = Classifier(int(sys.argv[2]), sys.argv[3], fast=sys.argv[4:] == ["fast"])
    litserve.LitServer(api, accelerator="cpu").run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )

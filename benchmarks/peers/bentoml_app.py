"""BentoML, batches of 8: bentoml serve benchmarks.peers.bentoml_app:BentoClassifier.

SIDE and SAVED_MODEL come from the environment, since bentoml itself imports this file.
"""

from __future__ import annotations

import os

import bentoml  # type: ignore[import-not-found,unused-ignore] # lives in .venv-bench
import numpy as np

from benchmarks.peers.pictures import image_array
from benchmarks.peers.saved_model import classifier


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 512})  # type: ignore[misc,unused-ignore]
class BentoClassifier:
    """BentoML service with a batchable call."""

    def __init__(self) -> None:
        self.side = int(os.environ["SIDE"])
        self.classify = classifier(os.environ["SAVED_MODEL"])

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=60_000)  # type: ignore[untyped-decorator,misc,unused-ignore]
    def predict(self, images: list[str]) -> list[str]:
        """Classify a batch; bentoml joins the lists of several requests."""
        return self.classify(np.stack([image_array(text, self.side) for text in images]))

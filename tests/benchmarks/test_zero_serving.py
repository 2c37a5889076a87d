"""The gateway takes the stub of Serving for an export of this project."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from benchmarks.zero_serving import CLASSES, Handler, Server, canned_responses
from flask_server.deadline import Deadline
from flask_server.serving.client import RestServing
from flask_server.serving.live_model_reader import read_live_model
from flask_server.serving.request_batching import RequestBatcher
from model_catalog.model_entry import ModelEntry


def test_the_gateway_can_use_the_stub() -> None:
    Handler.canned_responses = canned_responses(4)
    deadline = Deadline(60)
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        serving = RestServing(f"http://127.0.0.1:{server.server_address[1]}")
        live = read_live_model(
            ModelEntry(name="toy", base_path=Path("toy")), 1, serving, RequestBatcher(1), deadline
        )
        [scores] = live.scores([np.zeros((4, 4, 3), np.uint8)], deadline)
        serving.close()
        server.shutdown()
        thread.join()

    assert len(scores) == CLASSES

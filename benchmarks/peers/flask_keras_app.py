"""Flask, keras.predict and a lock: python -m benchmarks.peers.flask_keras_app PORT SIDE MODEL.

The set-up of most tutorials. MODEL is the SavedModel, which is wrapped into a Keras model.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from flask import Flask, request

from benchmarks.peers.pictures import image_array
from model_catalog.labels import imagenet_labels


def app(side: int, folder: str) -> Flask:
    """Return the application with its model loaded."""
    import keras

    inputs = keras.Input((side, side, 3))
    layer = keras.layers.TFSMLayer(folder, call_endpoint="serving_default")
    model = keras.Model(inputs, layer(inputs))
    lock = threading.Lock()
    flask = Flask(__name__)

    @flask.post("/predict")
    def predict() -> dict[str, Any]:
        image = image_array(request.get_json()["image"], side)
        with lock:
            scores = model.predict(image[None], verbose=0)["scores"]
        return {"class_id": imagenet_labels()[int(scores[0].argmax())][0]}

    @flask.get("/health")
    def health() -> str:
        return "ok"

    return flask


if __name__ == "__main__":
    app(int(sys.argv[2]), sys.argv[3]).run("127.0.0.1", int(sys.argv[1]), threaded=True)

"""The tutorial's gateway: python -m benchmarks.peers.tutorial_app PORT SIDE SERVING_URL MODEL.

Pictures travel to Serving as lists of float16 numbers, over a new connection per call.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import requests
from flask import Flask, request

from benchmarks.peers.pictures import image_array
from model_catalog.labels import imagenet_labels


def app(side: int, serving_url: str, model: str) -> Flask:
    """Return the application."""
    labels = imagenet_labels()
    flask = Flask(__name__)

    @flask.post("/imageclassifier/predict/")
    def predict() -> str:
        image = image_array(request.form["b64"], side).astype("float16")
        payload = {"instances": [{"input_image": image.tolist()}]}
        reply = requests.post(f"{serving_url}/v1/models/{model}:predict", json=payload, timeout=60)
        scores = np.array(json.loads(reply.content)["predictions"][0])
        best = scores.argsort()[-5:][::-1]
        return json.dumps([[*labels[i], float(scores[i])] for i in best])

    @flask.get("/health")
    def health() -> str:
        return "ok"

    return flask


if __name__ == "__main__":
    app(int(sys.argv[2]), sys.argv[3], sys.argv[4]).run(
        "127.0.0.1", int(sys.argv[1]), threaded=True
    )

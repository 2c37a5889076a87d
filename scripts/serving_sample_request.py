"""Classify an image by a direct request to TensorFlow Serving, without the gateway.

    python scripts/serving_sample_request.py -i test_images/digit_3.png --model digits

posts the file to the signature ``image``, reads the labels from the signature ``describe`` of the
same version, and prints JSON.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.spec import InputSpec, ModelSpec
from scripts import command_line
from scripts.errors import ScriptError
from scripts.reachability import is_loopback

_TIMEOUT_S = 30.0

#: Part of the embedded server's error text when its engine, OpenVINO, cannot decode image files.
NEEDS_TENSORFLOW = "--engine tensorflow"


def main(argv: Sequence[str] | None = None) -> int:
    """Classify the image and print JSON; exit codes 0 done, 1 failed, 2 wrong usage."""
    options = parser().parse_args(argv)
    return command_line.run(
        lambda: classify(options.image, options.model, options.url, options.top)
    )


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description="Classify an image by a direct request to TensorFlow Serving."
    )
    add = parser.add_argument
    add("-i", "--image", type=Path, required=True, help="a JPEG, PNG, BMP or GIF file")
    add("--model", default="ImageClassifier", help="the model's name in models.toml")
    add("--url", default="http://127.0.0.1:9000", help="root of the model server")
    add("--top", type=command_line.count, default=5, help="number of classes in the output")
    return parser


def classify(image: Path, model: str, url: str, top: int) -> None:
    """Print the classes with the highest scores as JSON."""
    data = image.read_bytes()
    address = f"{url.rstrip('/')}/v1/models/{quote(model, safe='')}"
    version = newest_version(address)
    spec = ModelSpec.from_json(predicted(address, version, "describe", ""))
    scores = scores_of(data, address, version, spec.images)
    answer = {"model": model, "version": version, "predictions": ranked(scores, spec, top)}
    if not spec.trained:
        answer["warnings"] = ["The model's weights are random: its scores mean nothing."]
    print(json.dumps(answer, indent=2, ensure_ascii=False))


def scores_of(data: bytes, address: str, version: str, view: InputSpec) -> Any:  # noqa: ANN401
    """Return the scores of the file, or of its pixels if the server cannot decode files."""
    try:
        return predicted(address, version, "image", _bytes(data))
    except ScriptError as error:
        if NEEDS_TENSORFLOW not in str(error):
            raise
    return predicted(address, version, "pixels", _bytes(_pixels(data, view)))


def _bytes(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode("ascii")}


def _pixels(data: bytes, view: InputSpec) -> bytes:
    """Return the image in the model's size and colour, stretched, as raw bytes."""
    from PIL import Image

    method = Image.Resampling[view.interpolation.upper()]
    with Image.open(io.BytesIO(data)) as picture:
        colored = picture.convert("RGB" if view.channels == 3 else "L")
    return colored.resize((view.width, view.height), method).tobytes()


def newest_version(address: str) -> str:
    """Return the newest version that is AVAILABLE."""
    states = _response_list(requests.Request("GET", address), "model_version_status")
    live = [state["version"] for state in states if state["state"] == "AVAILABLE"]
    if not live:
        raise ScriptError(f"{address} has no version that is AVAILABLE.")
    return str(max(live, key=int))


def predicted(address: str, version: str, signature: str, instance: object) -> Any:  # noqa: ANN401
    """Return the prediction of a signature for one instance."""
    body = {"signature_name": signature, "instances": [instance]}
    url = f"{address}/versions/{version}:predict"
    return _response_list(requests.Request("POST", url, json=body), "predictions")[0]


def _response_list(request: requests.Request, key: str) -> list[Any]:
    """Send the request and return the list under ``key`` of its JSON response."""
    try:
        with requests.Session() as session:
            # A proxy that the environment names cannot reach this machine's own addresses.
            session.trust_env = not is_loopback(str(request.url))
            response = session.send(request.prepare(), timeout=_TIMEOUT_S)
            answer = response.json()
    except requests.JSONDecodeError as error:
        raise ScriptError(f"{request.url} answered {response.status_code}, not JSON.") from error
    except requests.RequestException as error:
        raise ScriptError(f"{request.url} does not answer; is the model server running?") from error
    values = answer.get(key) if isinstance(answer, dict) else None
    if response.ok and values and isinstance(values, list):
        return values
    reason = answer.get("error") if isinstance(answer, dict) else None
    raise ScriptError(f"{request.url} answered {response.status_code}: {reason or f'no {key}'}")


def ranked(scores: Sequence[float], spec: ModelSpec, top: int) -> list[dict[str, object]]:
    """Return the classes with the highest scores, best first."""
    order = sorted(range(len(scores)), key=lambda index: scores[index], reverse=True)
    return [
        {
            "class_id": spec.labels[index][0],
            "label": spec.labels[index][1],
            "score": scores[index],
        }
        for index in order[:top]
    ]


if __name__ == "__main__":
    sys.exit(main())

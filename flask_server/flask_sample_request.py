"""Send one image to the gateway: flask_sample_request.py -i IMAGE [--model NAME]."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, urlsplit

import requests

URL = "http://127.0.0.1:5000"
TIMEOUT_S = 60


def main(argv: Sequence[str] | None = None) -> int:
    """Print the response as JSON; return 0 for success, 1 for failure, 2 for wrong usage."""
    options = _parser().parse_args(argv)
    try:
        answer = ask(options.image.read_bytes(), options.url, options.model, options.api_key)
        document = answer.json()
    except requests.JSONDecodeError:
        return _failed(f"{answer.url} answered {answer.status_code} without JSON.")
    except (requests.RequestException, ValueError) as error:
        return _failed(
            f"The request to the gateway at {options.url} failed: {type(error).__name__}."
        )
    except OSError as error:
        return _failed(f"The image cannot be read: {error}.")
    print(json.dumps(document, indent=2, ensure_ascii=False))
    if "X-Model-Warning" in answer.headers:
        print(answer.headers["X-Model-Warning"], file=sys.stderr)
    return 0 if answer.ok else 1


def ask(
    picture: bytes, url: str = URL, model: str | None = None, api_key: str | None = None
) -> requests.Response:
    """Post the image to the named model, or without a name to the original's route."""
    b64 = base64.b64encode(picture).decode("ascii")
    root, headers = url.rstrip("/"), {"X-API-Key": api_key} if api_key else {}
    with requests.Session() as session:
        # A proxy that the environment names cannot reach this machine's own addresses.
        session.trust_env = not _is_loopback(root)
        if model is None:
            endpoint = f"{root}/imageclassifier/predict/"
            return session.post(endpoint, data={"b64": b64}, headers=headers, timeout=TIMEOUT_S)
        endpoint = f"{root}/models/{quote(model, safe='')}/predict"
        return session.post(endpoint, json={"image": b64}, headers=headers, timeout=TIMEOUT_S)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _failed(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Send one image to the gateway and print its predictions as JSON."
    )
    parser.add_argument("-i", "--image", type=Path, required=True, help="image file")
    parser.add_argument(
        "--model", help="name of the model (default: the default model of the gateway)"
    )
    parser.add_argument("--api-key", help="API key, when the gateway needs one")
    parser.add_argument("--url", default=URL, help="base URL of the gateway (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())

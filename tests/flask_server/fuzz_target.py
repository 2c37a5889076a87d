"""Send mutated pictures and bodies to the gateway and count what comes back.

    python -m tests.flask_server.fuzz_target --count 20000 --seed 1

The outcome depends on the seed only. Exit code 1 when an answer was a 5xx, no problem document or
when memory grew; the test suite runs a smaller count.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import random
import resource
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from flask.testing import FlaskClient
from werkzeug.test import TestResponse, encode_multipart

from flask_server.app import close_app, create_app
from flask_server.imaging.formats import FORMATS
from flask_server.settings import Settings
from tests.flask_server.conftest import draw
from tests.flask_server.stub_serving import StubServing

URL = "/models/toy/predict"

#: A body and its content type.
Body = tuple[bytes, str]


def good_pictures() -> list[bytes]:
    """One small picture per format and per mode that decodes in its own way."""
    formats = [kind for kind in FORMATS if kind != "HEIF"]
    pictures = [draw(kind, (24, 24), seed=seed) for seed, kind in enumerate(formats)]
    pictures += [draw("PNG", (16, 16), mode) for mode in ("RGBA", "LA", "P", "1", "L")]
    pictures.append(draw("JPEG", (32, 32), "CMYK"))
    pictures.append(draw("JPEG", (40, 40), progressive=True))
    return pictures


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change some bytes, cut the tail now and then, or put two ends together."""
    changed = bytearray(data)
    for _ in range(chance.randint(0, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    if chance.random() < 0.2:
        del changed[chance.randint(1, len(changed)) :]
    if chance.random() < 0.1:
        changed += data[chance.randrange(len(data)) :]
    return bytes(changed)


def as_json(picture: bytes, chance: random.Random) -> Body:
    document = {"image": base64.b64encode(picture).decode(), "top_k": chance.choice([1, 3, 9, "x"])}
    return json.dumps(document).encode(), "application/json"


def as_several(picture: bytes, chance: random.Random) -> Body:
    images = [base64.b64encode(picture).decode()] * chance.randint(1, 3)
    return json.dumps({"images": images, "report": True}).encode(), "application/json"


def as_form(picture: bytes, _: random.Random) -> Body:
    boundary, body = encode_multipart({"image": base64.b64encode(picture).decode(), "top_k": "2"})
    return body, f"multipart/form-data; boundary={boundary}"


def as_it_is(picture: bytes, chance: random.Random) -> Body:
    return picture, chance.choice(["image/png", "application/octet-stream", ""])


FORMS: tuple[Callable[[bytes, random.Random], Body], ...] = (as_json, as_several, as_form, as_it_is)


def fuzzed_body(pictures: Sequence[bytes], chance: random.Random) -> Body:
    """Mutate the picture, or in one of four cases the finished body around it."""
    picture = chance.choice(pictures)
    wrap = chance.choice(FORMS)
    if chance.random() < 0.75:
        return wrap(mutated(picture, chance), chance)
    body, kind = wrap(picture, chance)
    return mutated(body, chance), kind


def run(client: FlaskClient, count: int, seed: int) -> Counter[str]:
    """Send ``count`` bodies and count the answers by status and code."""
    chance, pictures = random.Random(seed), good_pictures()
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        body, kind = fuzzed_body(pictures, chance)
        outcomes[outcome(client.post(URL, data=body, content_type=kind))] += 1
    return outcomes


def outcome(response: TestResponse) -> str:
    """The status and the code of an error; ``defect`` where it is no problem document."""
    if response.status_code == 200:
        return "200"
    document = response.get_json(silent=True)
    if response.mimetype != "application/problem+json" or not document:
        return f"{response.status_code} defect"
    return f"{response.status_code} {document['code']}"


def defects(outcomes: Counter[str]) -> list[str]:
    """The outcomes that must not be."""
    return [name for name in outcomes if name.startswith("5") or name.endswith("defect")]


def resident_mb() -> float:
    """The process's largest memory so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fuzz the gateway.")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    logging.disable(logging.INFO)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    with StubServing().running() as serving, tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "models.toml")
        models.write_text('[models.toy]\nbase_path = "toy"\n')
        app = create_app(Settings(serving_url=serving.url, models_file=models))
        client = app.test_client()
        outcomes = run(client, options.count // 4, options.seed)
        warm = resident_mb()
        outcomes += run(client, options.count - options.count // 4, options.seed + 1)
        grown = resident_mb() - warm
        close_app(app)
    lines = [f"{number:7d}  {name}" for name, number in outcomes.most_common()]
    lines.append(f"{outcomes.total()} requests; memory grew by {grown:.1f} MB")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if defects(outcomes) or grown > 20 else 0


if __name__ == "__main__":
    sys.exit(main())

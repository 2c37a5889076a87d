"""Cost of the gateway in relation to the bare work: python -m benchmarks.gateway_cost

Measures the CPU time per request of one gateway worker in front of a stub of TensorFlow Serving,
and compares it with Pillow's CPU time for the same image. Also prints start-up time and memory.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from benchmarks.processes import ROOT, cpu_s, free_port, process_tree, resident_mb, running

SIDE = 299
REPEATS = 5
FOUND = b'"predictions"'
PHOTO = ROOT / "test_images" / "coffee.jpg"


def jpeg(width: int, height: int, quality: int) -> bytes:
    """Return a photo of this size as a baseline JPEG."""
    file = io.BytesIO()
    with Image.open(PHOTO) as image:
        image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(
            file, "JPEG", quality=quality, subsampling=0
        )
    return file.getvalue()


def decode_and_resize(picture: bytes) -> None:
    """Do the bare work for a small image: decode, resize."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR).tobytes()


def reduced_decode_and_resize(picture: bytes) -> None:
    """Do the bare work for a large image: reduced decoding, resize."""
    with Image.open(io.BytesIO(picture)) as image:
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        image.resize((SIDE, SIDE), Image.Resampling.BILINEAR).tobytes()


def bare_ms(work: Callable[[], object], count: int) -> float:
    """Return the CPU milliseconds of one run of the work."""
    # After a large block has been freed, glibc keeps freed memory, as in a process that has run for
    # a while; before that, it requests the memory of every image from the system again.
    bytearray(16 << 20)
    start = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - start) / count * 1000


@contextmanager
def gateway(models: int = 1) -> Iterator[tuple[int, int]]:
    """Run one gateway worker in front of the stub; yield its port and the PID of the worker.

    The first model is called ``toy``; the others are only polled by the gateway.
    """
    serving_port, port = free_port(), free_port()
    serving = ["-m", "benchmarks.zero_serving", str(serving_port), str(SIDE)]
    with tempfile.TemporaryDirectory() as folder:
        names = ["toy", *(f"toy{number}" for number in range(1, models))]
        models_file = Path(folder, "models.toml")
        models_file.write_text("".join(f'[models.{n}]\nbase_path = "{n}"\n' for n in names))
        environ = {
            "GATEWAY_SERVING_URL": f"http://127.0.0.1:{serving_port}",
            "GATEWAY_MODELS_FILE": str(models_file),
            "GATEWAY_WORKERS": "1",
        }
        command = ["-m", "gunicorn", "-c", "flask_server/gunicorn.conf.py"]
        command += ["--bind", f"127.0.0.1:{port}"]
        with (
            running(serving, f"http://127.0.0.1:{serving_port}/v1/models/toy"),
            running(command, f"http://127.0.0.1:{port}/readyz", environ) as process,
        ):
            yield port, process_tree(process.pid)[-1]


def request_ms(port: int, worker: int, body: bytes, count: int, wanted: bytes = FOUND) -> float:
    """Return the worker's CPU milliseconds per request; each answer must contain ``wanted``."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    before = cpu_s([worker])
    for _ in range(count):
        connection.request(
            "POST", "/models/toy/predict", body, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        if answer.status != 200 or wanted not in answer.read():
            raise RuntimeError(f"the gateway answered {answer.status}")
    connection.close()
    return (cpu_s([worker]) - before) / count * 1000


def predict_body(picture: bytes, **parameters: object) -> bytes:
    """Return the JSON body of a predict request for an image."""
    return json.dumps({"image": base64.b64encode(picture).decode()} | parameters).encode()


def paired_medians_ms(
    port: int, worker: int, picture: bytes, bare: Callable[[], None], count: int
) -> tuple[float, float]:
    """Return the median CPU milliseconds of gateway and bare work over paired repeats."""
    body = predict_body(picture)
    request_ms(port, worker, body, count // 4)
    pairs = [(request_ms(port, worker, body, count), bare_ms(bare, count)) for _ in range(REPEATS)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def main() -> int:
    """Print the table of docs/gateway.md."""
    small, large = jpeg(500, 375, 90), jpeg(4000, 3000, 97)
    start = time.monotonic()
    with gateway() as (port, worker):
        ready_s = time.monotonic() - start
        rows = [
            ("500x375 JPEG", small, lambda: decode_and_resize(small), 300, 2.5),
            ("12 MP JPEG", large, lambda: reduced_decode_and_resize(large), 40, 1.4),
        ]
        print("| image | bytes | gateway, CPU ms | bare work, CPU ms | ratio | at most |")
        print("|---|---|---|---|---|---|")
        for name, picture, bare, count, most in rows:
            mine, plain = paired_medians_ms(port, worker, picture, bare, count)
            figures = f"{mine:.2f} | {plain:.2f} | {mine / plain:.2f} | {most}"
            print(f"| {name} | {len(picture)} | {figures} |")
        print(
            f"\nready after {ready_s:.2f} s (both processes); worker {resident_mb(worker):.0f} MB"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

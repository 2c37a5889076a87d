"""Compare the embedded server's JSON codec and start-up with the standard way.

``python benchmarks/model_server_codec.py [--startup VERSION_FOLDER]`` prints one line per figure:
reading lists of floats (against orjson.loads + numpy.array), writing 1000 floats, and, if a
SavedModel is named, the time from process start to an open port (against bare TensorFlow).
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import orjson

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.processes import ROOT, free_port
from model_server.codec.json_reader import Document
from model_server.engines.protocol import TensorInfo
from model_server.rest import predict_request
from model_server.rest.predict_response import row_body

SHAPES = ((1, 299, 299, 3), (8, 299, 299, 3), (1, 192, 192, 3), (1, 1000))
INPUTS = {"x": TensorInfo("x:0", "float", None)}
BARE = """
import sys
import tensorflow as tf
tf.saved_model.load(sys.argv[1])
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; 0 when done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--startup", type=Path, metavar="VERSION_FOLDER")
    parser.add_argument("--turns", type=int, default=15)
    arguments = parser.parse_args(argv)
    measure_reading(arguments.turns)
    measure_writing(arguments.turns)
    if arguments.startup:
        measure_startup(arguments.startup.resolve())
    return 0


def best_ms(work: Callable[[], object], turns: int) -> float:
    """Return the milliseconds of the shortest of several runs."""
    return min(_seconds(work) for _ in range(turns)) * 1000


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure_reading(turns: int) -> None:
    """Compare the reader of the server with orjson and numpy."""
    for shape in SHAPES:
        numbers = np.random.default_rng(0).random(shape, dtype=np.float32) * 2 - 1
        full = numbers.astype(np.float64)
        rounded = {"instances": full.round(4).tolist()}
        document = {"instances": full.tolist()}
        bodies = {
            "full precision": orjson.dumps(document),
            "4 decimals": orjson.dumps(rounded),
            "full precision, indented": orjson.dumps(document, option=orjson.OPT_INDENT_2),
        }
        for name, body in bodies.items():
            compare_reading(f"{'x'.join(map(str, shape))} {name}", body, turns)


def compare_reading(name: str, body: bytes, turns: int) -> None:
    """Print how long the server and orjson with numpy take for one body."""
    plain = best_ms(partial(read_plainly, body), turns)
    ours = best_ms(partial(read, body), turns)
    print(f"read {name}, {len(body) / 1e6:.2f} MB: {ours:.2f} ms, plain {plain:.2f} ms")


def read_plainly(body: bytes) -> object:
    """Read a predict body with orjson and numpy, without checks."""
    return np.array(orjson.loads(body)["instances"], np.float32)


def read(body: bytes) -> object:
    """Read a predict body as the server does."""
    return Document(body).read(lambda reading: predict_request.tensors(reading, INPUTS))


def measure_writing(turns: int) -> None:
    """Time the response body for the scores of 1000 classes."""
    scores = np.random.default_rng(0).dirichlet(np.ones(1000)).astype(np.float32)[None]
    milliseconds = best_ms(lambda: row_body({"scores": scores}), turns * 20)
    print(f"write 1000 floats: {milliseconds:.3f} ms")


def measure_startup(version: Path) -> None:
    """Compare start-up with what TensorFlow alone needs to be imported and to load the model."""
    bare = [sys.executable, "-c", BARE, str(version)]
    plain = min(_seconds(lambda: subprocess.run(bare, check=True)) for _ in range(3))
    ours = min(_seconds(lambda: start_and_stop(version)) for _ in range(3))
    print(f"start to an open port: {ours:.1f} s, bare TensorFlow {plain:.1f} s")


def start_and_stop(version: Path) -> None:
    """Start the server, wait for its port, and end it at once."""
    port = free_port()
    with tempfile.TemporaryDirectory() as base:
        (Path(base) / version.name).symlink_to(version)
        command = [sys.executable, "-m", "model_server"]
        command += [f"--rest_api_port={port}", f"--port={free_port()}"]
        child = subprocess.Popen(
            [*command, f"--model_base_path={base}", "--engine=tensorflow"], cwd=ROOT
        )
        while child.poll() is None and not is_listening(port):
            time.sleep(0.01)
        child.kill()
        child.wait()


def is_listening(port: int) -> bool:
    """Return whether a server listens on the port."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())

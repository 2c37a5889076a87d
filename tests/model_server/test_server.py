from __future__ import annotations

import threading
from pathlib import Path

from model_server.flag_table import FLAGS
from model_server.flags import parse
from model_server.server import Server
from tests.model_server.toy import ToyEngine, write_version
from tests.waiting import eventually


def batch_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("batch ")}


def test_a_stop_ends_the_threads_of_batching(tmp_path: Path) -> None:
    write_version(tmp_path / "m", 1)
    flags = ["--enable_batching", f"--model_base_path={tmp_path / 'm'}", "--port=0"]
    before = batch_threads()
    server = Server(parse([*flags, "--grpc_socket_path=/s"], FLAGS).values, ToyEngine())
    server.load()
    started = batch_threads() - before

    server.stop()

    assert started
    assert eventually(lambda: not any(thread.is_alive() for thread in started))

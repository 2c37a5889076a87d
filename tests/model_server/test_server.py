from __future__ import annotations

import threading
from pathlib import Path

import pytest

from model_server.errors import InvalidArgument
from model_server.flag_table import FLAGS
from model_server.flags import parse
from model_server.server import Server
from tests.model_server.toy import ToyEngine, write_version
from tests.waiting import eventually


def server(tmp_path: Path, *flags: str) -> Server:
    given = (f"--model_base_path={tmp_path / 'm'}", "--port=0", "--grpc_socket_path=/s", *flags)
    return Server(parse(given, FLAGS).values, ToyEngine())


def batch_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("batch ")}


def test_a_stop_ends_the_threads_of_batching(tmp_path: Path) -> None:
    write_version(tmp_path / "m", 1)
    before = batch_threads()
    batching = server(tmp_path, "--enable_batching")
    batching.load()
    started = batch_threads() - before

    batching.stop()

    assert started
    assert eventually(lambda: not any(thread.is_alive() for thread in started))


def test_verified_clients_need_certificates_to_verify_them_by(tmp_path: Path) -> None:
    (tmp_path / "ssl.config").write_text("server_key: 'k' server_cert: 'c' client_verify: true")

    with pytest.raises(InvalidArgument, match="has client_verify without custom_ca"):
        server(tmp_path, f"--ssl_config_file={tmp_path / 'ssl.config'}")

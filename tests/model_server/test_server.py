from __future__ import annotations

import threading
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import numpy as np
import pytest

from model_server.engines.protocol import Engine, Tensors
from model_server.errors import InvalidArgument
from model_server.flag_table import FLAGS
from model_server.flags import parse
from model_server.server import Server
from tests.model_server.grpc_api.calls import PREDICT, predict_request
from tests.model_server.toy import ToyEngine, ToyModel, half_plus, write_version
from tests.waiting import eventually


@dataclass
class TimedEngine:
    """Loads models that remember the time limits of their runs."""

    limits_s: list[float | None] = field(default_factory=list)

    def load(self, path: Path) -> ToyModel:
        engine = self

        class Timed(ToyModel):
            def run(
                self, signature: str, inputs: Tensors, timeout_s: float | None = None
            ) -> Tensors:
                engine.limits_s.append(timeout_s)
                return super().run(signature, inputs, timeout_s)

        model = half_plus(0)
        return Timed(model.signatures, model.functions)


def server(tmp_path: Path, *flags: str, engine: Engine | None = None) -> Server:
    given = (f"--model_base_path={tmp_path / 'm'}", "--port=0", "--grpc_socket_path=/s", *flags)
    return Server(parse(given, FLAGS).values, engine or ToyEngine())


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


@pytest.mark.parametrize(("timeout_ms", "limit_s"), [(1500, 1.5), (0, inf)])
def test_a_call_that_another_server_has_read_has_the_time_limit_of_rest(
    tmp_path: Path, timeout_ms: int, limit_s: float
) -> None:
    write_version(tmp_path / "m", 1)
    engine = TimedEngine()
    loaded = server(tmp_path, f"--rest_api_timeout_in_ms={timeout_ms}", engine=engine)
    loaded.load()

    loaded.answer_grpc(
        PREDICT, predict_request("default", x=np.array([1], np.float32)), lambda *_: None
    )

    loaded.stop()
    assert engine.limits_s == [limit_s]

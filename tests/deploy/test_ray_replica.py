"""A replica and its flags without Ray: called as Ray's proxies would."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.ray import __main__ as command
from deploy.ray.flags import ALL_FLAGS, read_options
from deploy.ray.replica import METHODS, ModelServerReplica
from model_server.flags import UsageError
from serving_api.messages import message
from tests.model_server.toy import ToyEngine, write_version


@dataclass
class Context:
    """Notes how a call fails."""

    code: Any = None
    details: str = ""
    trailing: dict[str, str] = field(default_factory=dict)

    def set_code(self, code: Any) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def invocation_metadata(self) -> list[tuple[str, str | bytes]]:
        return []

    def trailing_metadata(self) -> list[tuple[str, str]]:
        return [("request_id", "1")]

    def set_trailing_metadata(self, trailing_metadata: list[tuple[str, str]]) -> None:
        self.trailing = dict(trailing_metadata)


def make_replica(folder: Path) -> ModelServerReplica:
    write_version(folder / "half", 1, plus=2)
    options = read_options(["--model_name=half", f"--model_base_path={folder / 'half'}"])
    return ModelServerReplica(options.server, ToyEngine())


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServerReplica]:
    made = make_replica(tmp_path_factory.mktemp("models"))
    yield made
    made.close()


def rest(replica: ModelServerReplica, method: str, path: str, body: bytes = b"") -> Any:
    """The status and the JSON document of a REST response."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    called = {"type": "http", "method": method, "path": path, "headers": []}
    asyncio.run(replica.__serve_build_asgi_app__()(called, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def grpc_call(replica: ModelServerReplica, name: str, request: Any) -> tuple[bytes, Context]:
    context = Context()
    method = getattr(replica, name)
    answer = asyncio.run(method(request.SerializeToString(), grpc_context=context))
    return answer.SerializeToString(), context


def test_a_replica_answers_the_rest_api_without_a_port(replica: ModelServerReplica) -> None:
    asked = rest(replica, "POST", "/v1/models/half:predict", b'{"instances": [4.0]}')

    assert asked == (200, {"predictions": [4.0]})
    assert rest(replica, "GET", "/v1/models/other")[0] == 404


def test_a_replica_answers_grpc_calls_and_sets_their_status(replica: ModelServerReplica) -> None:
    request = message("GetModelStatusRequest")()
    request.model_spec.name = "half"

    data, fine = grpc_call(replica, "GetModelStatus", request)
    request.model_spec.name = "other"
    nothing, failed = grpc_call(replica, "GetModelStatus", request)

    (status,) = message("GetModelStatusResponse").FromString(data).model_version_status
    assert (status.version, fine.code) == (1, None)
    assert (nothing, failed.code.name) == (b"", "NOT_FOUND")
    assert failed.details == "Could not find any versions of model other"


def test_a_replica_tells_the_engine_after_the_metadata(replica: ModelServerReplica) -> None:
    request = message("GetModelMetadataRequest")()
    request.model_spec.name = "half"
    request.metadata_field.append("signature_def")

    _, context = grpc_call(replica, "GetModelMetadata", request)

    assert list(context.trailing.values()) == ["1", "toy; precision=f32"]


def test_a_replica_that_is_closed_refuses_calls(tmp_path: Path) -> None:
    replica = make_replica(tmp_path)
    replica.close()
    request = message("GetModelStatusRequest")()
    request.model_spec.name = "half"

    status, _ = rest(replica, "GET", "/v1/models/half")
    _, context = grpc_call(replica, "GetModelStatus", request)

    assert (status, context.code.name) == (503, "UNAVAILABLE")


def test_a_reload_which_would_reach_one_replica_only_is_refused(
    replica: ModelServerReplica,
) -> None:
    _, failed = grpc_call(replica, "HandleReloadConfigRequest", message("ReloadConfigRequest")())

    assert failed.code.name == "UNIMPLEMENTED"
    assert "--model_config_file_poll_wait_seconds" in failed.details


def test_every_grpc_method_of_the_services_has_a_method_of_its_name() -> None:
    names = [name for names in METHODS.values() for name in names]

    assert [name for name in names if not hasattr(ModelServerReplica, name)] == []
    assert len(set(names)) == len(names)  # Ray knows methods by their last name only


@pytest.fixture
def _own_signals() -> Iterator[None]:
    """Give SIGTERM and SIGINT their handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("is_early", [True, False], ids=["deploying", "deployed"])
@pytest.mark.usefixtures("_own_signals")
def test_a_signal_deletes_the_application(number: signal.Signals, *, is_early: bool) -> None:
    deleted: list[bool] = []

    def deploy() -> None:
        if is_early:
            signal.raise_signal(number)
            deleted.append(False)
        else:
            threading.Timer(0.05, signal.raise_signal, [number]).start()

    command.serve_until_signal(deploy, lambda: deleted.append(True))

    assert deleted == [True]


@pytest.mark.usefixtures("_own_signals")
def test_a_deployment_that_fails_deletes_nothing() -> None:
    deleted: list[bool] = []

    def deploy() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        command.serve_until_signal(deploy, lambda: deleted.append(True))

    assert deleted == []


def test_engine_threads_follow_the_cpus_of_the_replica() -> None:
    model = "--model_base_path=/m"

    assert read_options([model]).server["tensorflow_session_parallelism"] == 1
    assert read_options([model, "--ray_num_cpus=2.5"]).server["tensorflow_session_parallelism"] == 3
    given = read_options([model, "--tensorflow_intra_op_parallelism=7"]).server
    assert given["tensorflow_session_parallelism"] == 0


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("--ray_min_replicas=5", "0 <= min <= max"),
        ("--ray_max_replicas=0", "a max of at least 1"),
        ("--ray_max_ongoing_requests=0", "more than 0"),
        ("--ray_proxy_location=Nowhere", "allowed are EveryNode, HeadOnly"),
        ("--ssl_config_file=x", "no effect on the proxies"),
    ],
)
def test_flags_that_cannot_work_are_refused(argument: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        read_options([argument])


def test_the_usage_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"]) == 0

    told = capsys.readouterr().out
    assert [flag.name for flag in ALL_FLAGS if f"--{flag.name}=" not in told] == []


def test_an_unknown_flag_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--ray_speed=9"]) == 255
    assert capsys.readouterr().err.startswith("unknown argument: --ray_speed=9\n")

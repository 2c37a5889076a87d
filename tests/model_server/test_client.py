"""The client and the whole server, in a process of its own, over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model_server.client import Client
from model_server.errors import DeadlineExceeded, FailedPrecondition, NotFound
from model_server.models.versions import All, ModelConfig, Specific, VersionStatus
from tests.model_server.grpc_api.calls import grpc_server, registry_of
from tests.model_server.grpc_api.models import models
from tests.model_server.harness import TOY_SERVER, Process, server_process
from tests.model_server.toy import one, write_version


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    echo = one(lambda given: {"out": given["text"]}, {"text": "string"}, {"out": "string"})
    with (
        grpc_server(registry_of(models() | {("echo", 1): echo})) as raw,
        Client(raw.target) as client,
    ):
        yield client


def test_numbers_in_and_out(client: Client) -> None:
    outputs = client.predict("m", {"x": np.array([1, 3], np.float32)}, version=0)
    both = {"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)}

    assert outputs["y"].tolist() == [1.5, 2.5]
    assert client.predict("m", {"x": np.float32(1)}, label="stable")["y"].tolist() == 2.5
    assert set(client.predict("pair", both)) == {"sum", "dif"}
    assert set(client.predict("pair", both, outputs=["dif"])) == {"dif"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ([b"a\0", "é"], [b"a\0", "é".encode()]),
        ("one", b"one"),
        (np.array([["a"]]), [[b"a"]]),
        (np.array([b"\xff\0"], dtype=object), [b"\xff\0"]),
    ],
)
def test_texts_and_bytes(client: Client, text: object, expected: object) -> None:
    assert client.predict("echo", {"text": text})["out"].tolist() == expected  # type: ignore[dict-item]


def test_status_and_metadata(client: Client) -> None:
    signature = client.metadata("fill")["serving_default"]

    assert client.status("m", 1) == [VersionStatus(1, "AVAILABLE")]
    assert [status.version for status in client.status("m")] == [2, 1, 0]
    assert (signature.inputs["a"].dtype, signature.inputs["a"].shape) == ("float", (-1,))
    assert set(signature.default_tensors) == {"b"}


def test_errors_are_those_of_the_server(client: Client) -> None:
    with pytest.raises(NotFound, match="Latest"):
        client.predict("nobody", {})
    with pytest.raises(FailedPrecondition):
        client.predict("m", {}, signature="nope")


POLICIES = {"m": {"all": {}}, "n": {"specific": {"versions": ["1"]}}}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("client")
    for version in (1, 2):
        write_version(folder / "m", version, plus=version)
    flags = ("--model_name=m", f"--model_base_path={folder / 'm'}")
    health = "--enable_grpc_healthcheck_service"
    with server_process(TOY_SERVER, folder / "server.log", *flags, health) as process:
        yield process


def test_models_change_at_run_time(process: Process, tmp_path: Path) -> None:
    rest = process.client
    base = process.log.parent / "m"
    with Client(f"127.0.0.1:{process.grpc_port}") as client:
        assert client.predict("m", {"x": np.float32(2)})["y"] == 3
        first = ModelConfig("n", base, Specific(frozenset({1})))
        client.reload([ModelConfig("m", base, All()), first])
        assert client.predict("n", {"x": np.float32(2)})["y"] == 2
        assert rest.predict("n", {"instances": [2.0]}).json == {"predictions": [2.0]}
        assert rest.get("/v1/models").json["models"] == ["m", "n"]
        (only,) = rest.get("/v1/models").json["model_version_status"]["n"]
        assert (only["version"], only["state"]) == ("1", "AVAILABLE")
        assert rest.get("/v1/config").json == {
            "model_config_list": {
                "config": [
                    {
                        "name": name,
                        "base_path": str(base),
                        "model_platform": "tensorflow",
                        "model_version_policy": policy,
                    }
                    for name, policy in POLICIES.items()
                ]
            }
        }
        # The answer comes shortly before the deadline, beside other load too late for a short one.
        assert any(
            f"empty{seconds}: no version found under the base path"
            in refusal_of_empty(process, tmp_path / f"empty{seconds}", seconds)
            for seconds in (1, 5, 20)
        )
        client.reload([ModelConfig("m", base)])
        assert [s.state for s in client.status("m", 2)] == ["AVAILABLE"]
    assert "The configuration has been replaced: added n; changed m" in process.log.read_text()


def refusal_of_empty(process: Process, folder: Path, seconds: int) -> str:
    """Return how the server refuses a model that has no version before this deadline."""
    folder.mkdir()
    with (
        Client(f"127.0.0.1:{process.grpc_port}", timeout_s=seconds) as hasty,
        pytest.raises(DeadlineExceeded) as refused,
    ):
        hasty.reload([ModelConfig(folder.name, folder)])
    return str(refused.value)

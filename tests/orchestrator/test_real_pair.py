"""The real gateway and the real embedded server under auto_cmd, with the digits model."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.ports import problem
from orchestrator.probe import ask
from tests.orchestrator.conftest import eventually, gone
from tests.orchestrator.house import ROOT, House, executable
from tests.orchestrator.load import Load

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.timeout(400)]

DIGITS = ROOT / "my_digit_classifier"
PICTURE = ROOT / "test_images" / "digit_3.png"


def move_in(folder: Path) -> House:
    """Let the project's own auto_cmd.py run with the digits model and a run folder of its own."""
    (folder / "models.toml").write_text(f'[models.digits]\nbase_path = "{DIGITS}"\n')
    house = House(folder, ROOT, ("--models-file", str(folder / "models.toml")))
    house.env["HOME"] = str(folder)
    return house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = move_in(tmp_path_factory.mktemp("pair"))
    started = house.call("start", "--detach")
    assert started.returncode == 0, started.stdout + house.log("serving")
    yield house
    house.tear_down()


def digits_load(house: House) -> Load:
    image = base64.b64encode(PICTURE.read_bytes()).decode()
    body = json.dumps({"image": image, "top_k": 1}).encode()
    return Load(house.port, "/models/digits/predict", body, "application/json")


def label(body: bytes) -> str:
    return str(json.loads(body)["predictions"][0]["label"])


def is_available(house: House) -> bool:
    url = f"http://127.0.0.1:{house.serving_port}/v1/models/digits"
    return b'"AVAILABLE"' in ask(url).body


def test_a_rolling_restart_of_the_gateway_loses_no_request(house: House) -> None:
    load = digits_load(house)

    with load.running():
        restarted = [house.call("restart", "gateway").returncode for _ in range(2)]

    assert restarted == [0, 0]
    assert load.losses == []
    assert {answer.status for answer in load.answers} == {200}
    assert {label(answer.body) for answer in load.answers} == {"3"}


def test_a_killed_serving_is_answered_with_503_until_it_is_back(house: House) -> None:
    load = digits_load(house)

    with load.running():
        time.sleep(0.5)
        house.kill("serving")
        eventually(lambda: not is_available(house), within_s=5)
        eventually(lambda: is_available(house), within_s=90)
        available = time.monotonic()
        time.sleep(2)

    good = [answer for answer in load.answers if answer.status == 200]
    bad = [answer for answer in load.answers if answer.status != 200]
    assert load.losses == []
    assert {label(answer.body) for answer in good} == {"3"}
    assert {answer.status for answer in bad} <= {503, 504}
    assert {answer.content_type for answer in bad} == {"application/problem+json"}
    assert any(available - 0.5 < answer.at < available + 2 for answer in good)


def test_a_killed_gateway_comes_back(house: House) -> None:
    eventually(house.is_ready, within_s=90)

    house.kill("gateway")

    eventually(lambda: not house.is_ready(), within_s=5)
    eventually(house.is_ready, within_s=60)
    assert ask(f"http://127.0.0.1:{house.port}/readyz?model=digits").status == 200


def test_nothing_outlives_a_killed_auto_cmd(house: House) -> None:
    eventually(house.is_ready, within_s=90)
    status = house.status()
    pids = [child["pid"] for child in status["children"].values()]

    os.kill(status["pid"], signal.SIGKILL)

    eventually(lambda: all(map(gone, pids)), within_s=30)
    assert not problem("127.0.0.1", house.port)
    assert not problem("127.0.0.1", house.serving_port)


def test_three_rounds_with_a_native_server(tmp_path: Path) -> None:
    house = move_in(tmp_path)
    program = tmp_path / "bin" / "tensorflow_model_server"
    executable(program, f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m model_server "$@"\n')
    house.env["PATH"] = f"{program.parent}:/usr/bin:/bin"

    for _ in range(3):
        started = house.call("start", "--detach")
        assert started.returncode == 0, started.stdout
        assert f"serving: native, {program}" in started.stdout
        pids = [child["pid"] for child in house.status()["children"].values()]
        assert house.call("stop").returncode == 0

        assert all(map(gone, pids))
        assert not problem("127.0.0.1", house.port)
        assert not problem("127.0.0.1", house.serving_port)

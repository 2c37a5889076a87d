"""The sample request speaks TensorFlow Serving's REST and prints JSON, or one line on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from model_catalog.spec import ModelSpec
from scripts.serving_sample_request import main, ranked
from tests.listening import listening

CAT = Path(__file__).parent.parent.parent / "test_images" / "cat.jpg"


class Serving(ThreadingHTTPServer):
    """A fake TensorFlow Serving with prepared answers that records its requests."""

    states: Sequence[tuple[str, str]] = (("3", "AVAILABLE"), ("2", "END"), ("12", "LOADING"))
    answers: dict[str, tuple[int, Any]]
    asked: list[tuple[str, dict[str, Any]]]


class Handler(BaseHTTPRequestHandler):
    server: Serving

    def do_GET(self) -> None:
        states = [{"version": version, "state": state} for version, state in self.server.states]
        self.answer(200, {"model_version_status": states})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        self.answer(*self.server.answers[body["signature_name"]])

    def answer(self, status: int, content: object) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def serving(spec: ModelSpec) -> Iterator[Serving]:
    server = Serving(("127.0.0.1", 0), Handler)
    server.asked = []
    server.answers = {
        "describe": (200, {"predictions": [spec.to_json()]}),
        "image": (200, {"predictions": [[0.1, 0.2, 0.6, 0.1]]}),
    }
    with listening(server):
        yield server


def run(serving: Serving, *more: str) -> int:
    url = f"http://127.0.0.1:{serving.server_port}/"
    return main(["-i", str(CAT), "--model", "my fruit", "--url", url, *more])


def test_this_machine_is_asked_without_a_proxy(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert run(serving) == 0


def test_the_best_classes_are_printed_with_labels(
    serving: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(serving, "--top", "2")

    assert code == 0
    assert json.loads(capsys.readouterr().out) == {
        "model": "my fruit",
        "version": "3",
        "predictions": [
            {"class_id": "n3", "label": "plum", "score": 0.6},
            {"class_id": "n2", "label": "pear", "score": 0.2},
        ],
    }


def test_scores_and_labels_are_asked_of_the_same_available_version(serving: Serving) -> None:
    run(serving)

    assert [path for path, _ in serving.asked] == ["/v1/models/my%20fruit/versions/3:predict"] * 2
    assert serving.asked[1][1]["instances"][0]["b64"].startswith("/9j/")


def test_an_untrained_model_carries_a_warning(
    serving: Serving, spec: ModelSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    untrained = replace(spec, trained=False).to_json()
    serving.answers["describe"] = (200, {"predictions": [untrained]})

    run(serving)

    assert "random" in json.loads(capsys.readouterr().out)["warnings"][0]


@pytest.mark.parametrize(
    ("signature", "answer", "message"),
    [
        ("image", (400, {"error": "no picture"}), "answered 400: no picture"),
        ("describe", (400, {"error": "no such signature"}), "no such signature"),
        ("describe", (200, {"predictions": ["hello"]}), "is not allowed"),
        ("image", (502, b"<html>"), "answered 502, not JSON"),
        ("image", (200, {"outputs": []}), "answered 200: no predictions"),
        ("image", (500, [1]), "answered 500: no predictions"),
    ],
)
def test_what_goes_wrong_is_one_line(
    serving: Serving,
    capsys: pytest.CaptureFixture[str],
    signature: str,
    answer: tuple[int, Any],
    message: str,
) -> None:
    serving.answers[signature] = answer

    code = run(serving)

    said = capsys.readouterr().err
    assert code == 1
    assert message in said
    assert said.count("\n") == 1


def test_a_model_without_an_available_version_is_named(
    serving: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    serving.states = (("1", "LOADING"),)

    assert run(serving) == 1
    assert "no version that is AVAILABLE" in capsys.readouterr().err


def test_a_server_that_is_down_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["-i", str(CAT), "--url", "http://127.0.0.1:1"])

    said = capsys.readouterr().err
    assert code == 1
    assert "is the model server running?" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("top", ["0", "-1", "many"])
def test_the_number_of_classes_is_at_least_one(
    top: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["-i", str(CAT), "--top", top])

    assert exit_.value.code == 2
    assert f"argument --top: {top} is not allowed; allowed is 1 or more" in capsys.readouterr().err


def test_a_missing_picture_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-i", "nowhere.jpg"]) == 1
    assert capsys.readouterr().err == "nowhere.jpg: No such file or directory\n"


def test_more_classes_than_there_are_is_all_of_them(spec: ModelSpec) -> None:
    assert len(ranked([0.4, 0.3, 0.2, 0.1], spec, top=9)) == 4

"""Weights from the internet, from a file or from a seed; without internet one error line, soon."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from scripts import reachability
from scripts.download_inceptionv3_model import inception_v3, main
from scripts.download_model import save
from scripts.imagenet_weights import WeightsError, WeightsFile, imagenet_weights
from tests.listening import listening
from tests.running import free_port
from tests.scripts.models import classifier

if TYPE_CHECKING:
    import keras

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]


@pytest.fixture
def closed_port() -> int:
    """A local port on which nothing listens."""
    return free_port()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers, as behind some firewalls."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield int(silent.getsockname()[1])


CONTENT = b"weights of another model"


class Mirror(BaseHTTPRequestHandler):
    """Serves ``/weights.h5``, and ``/stalling.h5``, which stops after the headers."""

    released = threading.Event()

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path in {"/weights.h5", "/stalling.h5"} else 404)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        if self.path == "/stalling.h5":
            self.released.wait(60)
        else:
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def mirror() -> Iterator[str]:
    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Mirror)) as url:
        yield url
        Mirror.released.set()
    Mirror.released.clear()


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use an empty cache, so that no earlier download is found."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def test_offline_ends_with_one_sentence_and_three_ways_on(
    closed_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{closed_port}/weights.h5"

    code = main(["--weights-url", url, "--output", str(tmp_path / "m.keras")])

    said = capsys.readouterr().err
    assert code == 1
    assert said.count("\n") == 1
    assert url in said
    assert "Connection refused" in said
    for way in ("with internet", "--weights PATH", "--weights none"):
        assert way in said
    assert list(tmp_path.iterdir()) == []


def test_a_silent_firewall_costs_no_more_than_the_time_out(silent_port: int) -> None:
    # Without a time-out, the test would last as long as the connection stays silent: for ever.
    problem = reachability.problem(f"http://127.0.0.1:{silent_port}/w.h5", timeout_s=0.3)

    assert problem is not None
    assert "0.3 seconds" in problem or "timed out" in problem


def test_a_name_that_does_not_exist_is_a_problem() -> None:
    assert reachability.problem("http://no.such.host.invalid/w.h5", timeout_s=60) is not None


def test_an_answer_other_than_the_file_is_a_problem(mirror: str) -> None:
    assert reachability.problem(f"{mirror}/other.h5", timeout_s=60) == "HTTP status 404"


def test_a_file_that_is_there_is_no_problem(mirror: str) -> None:
    assert reachability.problem(f"{mirror}/weights.h5", timeout_s=60) is None


def test_a_file_with_another_checksum_is_not_kept(
    mirror: str, tensorflow: None, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="hash"):
        imagenet_weights(WeightsFile(f"{mirror}/weights.h5"))

    assert list(tmp_path.rglob("*.h5")) == []


def test_fetched_weights_are_kept_and_need_no_internet_again(
    mirror: str, closed_port: int, tensorflow: None
) -> None:
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()

    fetched = imagenet_weights(WeightsFile(f"{mirror}/weights.h5", md5))
    kept = imagenet_weights(WeightsFile(f"http://127.0.0.1:{closed_port}/weights.h5", md5))

    assert fetched == kept
    assert kept.read_bytes() == CONTENT


def test_a_download_that_stalls_is_given_up(mirror: str, tensorflow: None) -> None:
    with pytest.raises(WeightsError, match="timed out"):
        imagenet_weights(WeightsFile(f"{mirror}/stalling.h5"), stall_s=0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "nowhere.h5"], "There is no weights file nowhere.h5"),
        (["--weights", __file__], "does not hold InceptionV3's weights"),
        (["--output", "model.h5"], "--output model.h5 is not allowed"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(arguments)

    said = capsys.readouterr().err
    assert code == 1
    assert message in said
    assert said.count("\n") == 1


def test_a_saved_model_is_there_as_a_whole(tensorflow: None, tmp_path: Path) -> None:
    import keras

    save(classifier(), tmp_path / "new" / "model.keras")

    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.keras"]
    assert keras.saving.load_model(tmp_path / "new" / "model.keras").name == "tiny"


def test_a_failing_save_keeps_the_old_file(tensorflow: None, tmp_path: Path) -> None:
    output = tmp_path / "model.keras"
    output.mkdir()

    with pytest.raises(OSError, match="model.keras"):
        save(classifier(), output)

    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.slow
def test_untrained_weights_are_marked_and_the_same_every_time(
    tensorflow: None, tmp_path: Path
) -> None:
    import keras

    output = tmp_path / "inception.keras"

    code = main(["--weights", "none", "--output", str(output)])

    saved, again = keras.saving.load_model(output), inception_v3("none", WeightsFile())
    assert code == 0
    assert saved.name == "inception_v3_untrained"
    for one, other in zip(weights(saved), weights(again), strict=True):
        np.testing.assert_array_equal(one, other)


def weights(model: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.variables]

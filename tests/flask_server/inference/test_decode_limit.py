"""How many requests of a worker have their pictures decoded at the same time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from werkzeug.test import TestResponse

from flask_server.deadline import Deadline
from flask_server.imaging import decoding
from flask_server.inference.decode_limit import max_decoded_requests
from flask_server.settings import Settings
from flask_server.web.services import services_of
from tests.flask_server.conftest import MakeApp, b64, flat
from tests.flask_server.serving.test_serving_faults import ask
from tests.flask_server.views.test_model_views import URL, code
from tests.waiting import eventually

DECODED = max_decoded_requests(Settings().max_inflight_calls)


class Slow:
    """Stands in front of the decoder and counts who is in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inside = 0
        self.most = 0
        self.go = threading.Event()
        self._lock = threading.Lock()
        self._decode = decoding.EncodedImage.decode
        monkeypatch.setattr(decoding.EncodedImage, "decode", lambda image: self(image))

    def __call__(self, image: decoding.EncodedImage) -> decoding.DecodedImage:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.go.wait(60)
        with self._lock:
            self.inside -= 1
        return self._decode(image)


def test_further_requests_wait_for_a_slot_and_all_are_answered(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, slow = make_app(), Slow(monkeypatch)
    with ThreadPoolExecutor(DECODED + 3) as pool:
        futures = [pool.submit(lambda: ask(app.test_client())) for _ in range(DECODED + 3)]
        assert eventually(lambda: slow.inside == DECODED)
        assert not eventually(lambda: slow.inside > DECODED, seconds=0.3)
        slow.go.set()

        assert {future.result().status_code for future in futures} == {200}

    assert slow.most == DECODED


def test_a_request_that_waits_until_its_deadline_is_told_that_others_were_busy(
    make_app: MakeApp,
) -> None:
    app = make_app(deadline_s=0.3)
    app.test_client().get("/models")
    limit = services_of(app).gateway._decode_limit
    with ExitStack() as stack:
        for _ in range(DECODED):
            stack.enter_context(limit.slot("toy", Deadline(60)))
        answers: list[TestResponse] = []

        def is_refused() -> bool:
            answers.append(ask(app.test_client()))
            return code(answers[-1]) == (503, "overloaded")

        assert eventually(is_refused)  # beside other load, some requests miss the short deadline
    assert "kept this one waiting for its whole deadline of 0.3 s" in answers[-1].text


def test_images_that_cannot_be_decoded_release_their_slot(make_app: MakeApp) -> None:
    client = make_app().test_client()

    for _ in range(DECODED + 1):
        assert client.post("/models/toy/predict", json={"image": "AAAA"}).status_code == 415

    assert ask(client).status_code == 200


def test_a_request_whose_pictures_take_too_long_ends_and_the_next_is_answered(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_app(deadline_s=0.3).test_client()
    client.get("/models")
    decode, decoded = decoding.EncodedImage.decode, []

    def slowly(image: decoding.EncodedImage) -> decoding.DecodedImage:
        decoded.append(1)
        time.sleep(0.1)
        return decode(image)

    with monkeypatch.context() as patch:
        patch.setattr(decoding.EncodedImage, "decode", slowly)
        late = client.post(URL, json={"images": [b64(flat("red"))] * 32})
        started = len(decoded)

    assert code(late) == (504, "serving_timeout")
    assert started <= 4 * 4
    for _ in range(3):  # beside other load, some miss the short deadline
        assert eventually(lambda: ask(client).status_code == 200)


def test_pictures_of_one_request_are_decoded_at_the_same_time(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_server.inference.image_pool.usable_cpus", lambda: 2)
    app, slow = make_app(), Slow(monkeypatch)
    pictures = [b64(flat(color)) for color in ("red", "white", "blue")]

    def ask_for(some: list[str]) -> list[Any]:
        answer = app.test_client().post(URL, json={"images": some}).get_json()
        return list(answer["results"])

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask_for, pictures)
        assert eventually(lambda: slow.inside == 2)
        slow.go.set()

        assert asked.result() == [ask_for([picture])[0] for picture in pictures]

    assert slow.most == 2

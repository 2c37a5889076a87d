"""Note what became of each request, once, and hand it to those who write it down.

Knows neither log nor metrics. A reader can rely on two promises: every request that reaches the app
gives exactly one entry, and no text in an entry is the caller's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from flask import Flask, Response, g, json, request

from flask_server.deadline import Deadline
from flask_server.inference.predict import Gateway, Outcome, PredictRequest, PredictResponse
from flask_server.serving.live_model import LiveModel
from flask_server.stopwatch import Stopwatch
from flask_server.web.problem_documents import PROBLEM_JSON
from flask_server.web.services import gateway

WRITERS = "request_log_writers"
UNMATCHED = "(unmatched)"
OTHER_METHOD = "OTHER"

_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
_PREDICTING = {"predict.predict", "original.predict"}
_EMPTY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One finished request."""

    method: str
    route: str
    """The rule that matched, never the path."""

    status: int
    code: str | None
    """The code of a problem answer."""

    seconds: float
    """From the first look at the request until its answer was ready to be sent."""

    stages: Mapping[str, float]
    """Seconds by stage of the stopwatch."""

    bytes_in: int | None
    """What the caller said the body has; None for bodies without a length."""

    bytes_out: int | None
    client: str | None
    api_key: str | None
    """The key's public id, never the key."""

    model: str | None
    """The configured model that the route names."""

    predicts: bool
    """Whether the route answers predictions."""

    version: int | None
    """The model's version that answered."""

    answer: PredictResponse | None


Writer = Callable[[Entry], None]


class NotingGateway(Gateway):
    """A gateway that leaves each answer, and its version, where the request's entry finds it."""

    def attempt(
        self, question: PredictRequest, deadline: Deadline, ask: Callable[[LiveModel], Outcome]
    ) -> Outcome:
        """Ask the version that the question means and note which it was."""

        def noting(live: LiveModel) -> Outcome:
            said = ask(live)
            g.version = live.version
            return said

        return super().attempt(question, deadline, noting)

    def classify(
        self, question: PredictRequest, deadline: Deadline, watch: Stopwatch
    ) -> PredictResponse:
        """Answer the question and note the answer."""
        answer = super().classify(question, deadline, watch)
        g.answer = answer
        return answer


def init_app(app: Flask) -> None:
    """Make an entry per request.

    Has to come before everything else that looks at requests: only then it sees the first moment
    and the final answer.
    """
    app.extensions[WRITERS] = []
    app.before_request(_open)
    app.after_request(_note)
    app.teardown_request(lambda _: _close(app.extensions[WRITERS]))


def add_writer(app: Flask, write: Writer) -> None:
    """Give the writer every entry from now on."""
    app.extensions[WRITERS].append(write)


def _open() -> None:
    g.opened = time.perf_counter()


def _note(response: Response) -> Response:
    g.noted = response.status_code, _code(response), _body_bytes(response)
    return response


def _close(writers: Sequence[Writer]) -> None:
    if "opened" not in g:
        return
    entry = _entry()
    for write in writers:
        write(entry)


def _entry() -> Entry:
    # Nothing is noted when the web framework's own error handling fails or lets errors through.
    status, code, bytes_out = g.get("noted", (500, "internal_error", None))
    return Entry(
        method=request.method if request.method in _METHODS else OTHER_METHOD,
        route=request.url_rule.rule if request.url_rule else UNMATCHED,
        status=status,
        code=code,
        seconds=time.perf_counter() - g.opened,
        stages=g.stopwatch.seconds if "stopwatch" in g else {},
        bytes_in=request.content_length,
        bytes_out=bytes_out,
        client=request.remote_addr,
        api_key=g.api_key.id if "api_key" in g else None,
        model=_model(),
        predicts=request.endpoint in _PREDICTING and request.method == "POST",
        version=g.get("version"),
        answer=g.get("answer"),
    )


def _model() -> str | None:
    models = gateway().models
    if request.endpoint == "original.predict":
        return models.default
    name = (request.view_args or {}).get("name")
    return name if name in models.names else None


def _code(response: Response) -> str | None:
    if response.mimetype != PROBLEM_JSON:
        return None
    code: str = json.loads(response.get_data())["code"]
    return code


def _body_bytes(response: Response) -> int | None:
    if request.method == "HEAD" or response.status_code in _EMPTY:
        return 0
    return response.content_length

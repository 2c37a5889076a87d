"""Texts of strangers stay texts: in logs, headers, metrics, pages, tables, on terminals."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from flask_server.telemetry.logs import JsonFormatter, TextFormatter
from model_server.errors import Internal
from model_server.internal_errors import as_internal_error
from model_server.log_lines import LineFormatter
from model_server.metrics import Metrics
from scripts import command_line
from scripts.classification import outputs
from scripts.classification.contact_sheet import contact_sheet
from scripts.classification.journal import journal_of
from scripts.classification.rows import Row, row_of_answer, row_of_error
from scripts.errors import ScriptError
from tests.attack.hostile_texts import TEXTS
from tests.flask_server.conftest import MakeApp, flat, make_app, serving

__all__ = ["make_app", "serving"]

by_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
PATH = "/models/toy/predict"
#: Headers whose values servers read, log, pass on or answer.
HEADERS = (
    *("X-Request-ID", "Traceparent", "Tracestate", "User-Agent", "Accept", "Content-Type"),
    *("Content-Encoding", "Origin", "Access-Control-Request-Headers", "If-None-Match", "Referer"),
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Api-Key", "Authorization", "Host", "Range"),
)
PARAMETERS = ("version", "label", "labels", "top_k", "threshold", "report", "output", "new")


@contextmanager
def logged(name: str, *formatters: logging.Formatter) -> Iterator[list[io.StringIO]]:
    """What a logger and those below it log meanwhile, once for each formatter."""
    logger, streams = logging.getLogger(name), [io.StringIO() for _ in formatters]
    handlers = [logging.StreamHandler(stream) for stream in streams]
    before = logger.level
    for handler, formatter in zip(handlers, formatters, strict=True):
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield streams
    finally:
        logger.setLevel(before)
        for handler in handlers:
            logger.removeHandler(handler)


def is_plain(text: str) -> bool:
    """Tell whether a text has no control characters besides the ends of its lines."""
    return not any(ord(c) < 32 or 127 <= ord(c) < 160 or ord(c) in (0x2028, 0x2029) for c in text)


# --- the gateway ------------------------------------------------------------------------------


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


def in_header(name: str, text: str) -> dict[str, Any]:
    """Return the environment of a request with any bytes in a header, as no HTTP parser allows."""
    raw = text.encode("utf-8", "surrogatepass").decode("latin-1")
    builder = EnvironBuilder(PATH, method="POST", data=flat("red"), content_type="image/png")
    environ = builder.get_environ()
    key = name.upper().replace("-", "_")
    environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = raw
    return environ


def in_parameter(name: str, text: str) -> dict[str, Any]:
    document = {"image": "aGk=", name: text}
    return EnvironBuilder(PATH, method="POST", json=document).get_environ()


def in_form(text: str) -> dict[str, Any]:
    """Return the environment of a request with a text as name, file name and content of a field."""
    raw = text.encode("utf-8", "surrogatepass")
    part = b'--b\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n\r\n%b\r\n--b--\r\n'
    builder = EnvironBuilder(
        PATH,
        method="POST",
        data=part % (raw, raw, raw),
        content_type="multipart/form-data; boundary=b",
    )
    return builder.get_environ()


def in_path(text: str) -> dict[str, Any]:
    environ = EnvironBuilder("/", method="GET").get_environ()
    raw = text.encode("utf-8", "surrogatepass").decode("latin-1")
    return environ | {"PATH_INFO": f"/models/{raw}"}


@by_text
def test_requests_stay_requests(app: Flask, text: str) -> None:
    environs = [in_header(name, text) for name in HEADERS]
    environs += [in_parameter(name, text) for name in PARAMETERS]
    environs += [in_form(text), in_path(text)]
    with logged("flask_server", JsonFormatter(), TextFormatter()) as (as_json, as_text):
        answers = [Response.from_app(app, environ) for environ in environs]

    for answer in answers:
        check_answer(answer)
    for line in as_json.getvalue().splitlines():
        assert "forged" not in json.loads(line).get("level", "")
    records = as_json.getvalue().count("\n")
    lines = [line for line in as_text.getvalue().split("\n") if line and line[0] != " "]
    assert len(lines) == records >= len(environs)
    assert is_plain("".join(lines))
    check_metrics(app.test_client().get("/metrics").text)


def check_answer(answer: Response) -> None:
    assert answer.status_code < 500
    for name, value in answer.headers:
        assert is_plain(name + value)
        assert name != "Set-Cookie"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.mimetype in {"application/json", "application/problem+json", "image/png"}
    if answer.is_json:
        json.loads(answer.get_data())


def check_metrics(text: str) -> None:
    """Every label value is one of the gateway's own."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert "forged" not in "".join(sample.labels.values())
            assert is_plain("".join(sample.labels.values()))


# --- the embedded model server ------------------------------------------------------------------


@by_text
def test_a_log_line_of_the_model_server_stays_one_line(text: str) -> None:
    with logged("model_server", LineFormatter("%(levelname).1s %(message)s")) as (stream,):
        logging.getLogger("model_server").info("Loading %s", text)
        with pytest.raises(Internal), as_internal_error(f"loading {text}"):
            raise ValueError(text)

    lines = stream.getvalue().split("\n")[:-1]
    assert all(map(is_plain, lines))
    assert [line[0] for line in lines if line[0] != " "] == ["I", "E"]


@by_text
def test_metrics_of_the_model_server_keep_names_in_their_place(text: str) -> None:
    metrics = Metrics()
    metrics.count("request_count", text, "OK")

    families = text_string_to_metric_families(metrics.text())
    [sample] = [sample for family in families for sample in family.samples]
    assert sample.labels == {"model_name": text, "status": "OK"}
    assert sample.value == 1


# --- the scripts ------------------------------------------------------------------------------


def rows(text: str) -> list[Row]:
    """Rows as the script makes them of names of files and of answers."""
    found = {"class_id": text, "label": text, "score": 0.5}
    answer = {"model": "toy", "version": 1, "predictions": [found]}
    file = text.encode("utf-8", "backslashreplace").decode()
    return [row_of_answer(file, answer), row_of_error(f"{file}.png", "toy", "code", text)]


@by_text
@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
def test_tables_have_the_texts_in_their_cells(tmp_path: Path, name: str, text: str) -> None:
    written = rows(text)
    outputs.write(tmp_path / name, written, top_k=1)
    with journal_of(tmp_path / name) as journal:
        for row in written:
            journal.add(row)
        assert journal.rows() == written

    assert outputs.read(tmp_path / name) == written


class Elements(HTMLParser):
    """Collects the elements of a page, their attributes and its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def elements_of(text: str) -> Elements:
    page = Elements()
    page.feed("".join(contact_sheet(text, rows(text), lambda _: None)))
    return page


@by_text
def test_pages_have_the_same_elements_whatever_the_texts(text: str) -> None:
    usual, page = elements_of("cat"), elements_of(text)

    assert page.elements == usual.elements
    assert page.attributes == usual.attributes


@by_text
def test_errors_on_the_terminal_are_one_plain_line(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ScriptError(f"{text} is no picture")

    def miss() -> None:
        raise FileNotFoundError(2, "No such file or directory", text)

    assert (command_line.run(fail), command_line.run(miss)) == (1, 1)
    lines = capsys.readouterr().err.split("\n")
    assert len(lines) == 3
    assert is_plain("".join(lines))

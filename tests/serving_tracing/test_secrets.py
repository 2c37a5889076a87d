"""What OpenTelemetry's packages quote is logged without passwords and header values."""

from __future__ import annotations

import logging

import pytest

from serving_tracing import sdk
from serving_tracing.secrets import Redaction, secrets

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("environ", "hidden"),
    [
        ({}, []),
        ({ENDPOINT: "http://collector:4318"}, []),
        ({HEADERS: ""}, []),
        ({ENDPOINT: "http://me:pass@collector:4318"}, ["me:pass"]),
        (
            {HEADERS: "authorization=Bearer%20abc, x-key = key1"},
            ["Bearer%20abc", "Bearer abc", "key1"],
        ),
        ({HEADERS: "Bearer abc"}, ["Bearer abc"]),
        ({HEADERS: "x-key=one%0Atwo"}, ["one\\ntwo", "one%0Atwo", "one\ntwo"]),
        ({HEADERS: "x-scope-orgid=1"}, []),
    ],
)
def test_values_of_headers_and_passwords_are_secret(
    environ: dict[str, str], hidden: list[str]
) -> None:
    assert sorted(secrets(environ)) == sorted(hidden)


def test_a_header_that_cannot_be_read_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    environ = {ENDPOINT: "http://127.0.0.1:1", HEADERS: 'authorization="token of mine"'}
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        for name, value in environ.items():
            patch.setenv(name, value)
        sdk.provider("a-service", environ).shutdown()

    assert "Header format invalid!" in caplog.text
    assert "(not shown)" in caplog.text
    assert "token of mine" not in caplog.text


def test_a_traceback_that_may_quote_a_secret_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("a-package")
    logger.addFilter(Redaction(["secret"]))

    try:
        raise ValueError("a secret")
    except ValueError:
        logger.exception("It failed with a secret")

    assert caplog.messages == ["It failed with a (not shown) (ValueError)"]
    assert "a secret" not in caplog.text

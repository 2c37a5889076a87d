from __future__ import annotations

import logging

import pytest

from model_server.errors import Internal, ModelServerError, NotFound, ResourceExhausted
from model_server.internal_errors import as_internal_error


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (ZeroDivisionError(), Internal, "Internal error: ZeroDivisionError while adding"),
        (
            MemoryError(),
            ResourceExhausted,
            "There is not enough memory for adding now; try again.",
        ),
        (NotFound("no such model"), NotFound, "no such model"),
    ],
)
def test_exceptions_become_errors_of_the_api(
    raised: Exception, expected: type[ModelServerError], message: str
) -> None:
    with pytest.raises(expected) as caught, as_internal_error("adding"):
        raise raised

    assert caught.value.message == message


def test_only_a_defect_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    for error in (MemoryError(), ZeroDivisionError()):
        with pytest.raises(ModelServerError), as_internal_error("adding"):
            raise error

    assert [(each.levelno, bool(each.exc_info)) for each in caplog.records] == [
        (logging.WARNING, False),
        (logging.ERROR, True),
    ]

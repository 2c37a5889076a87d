from __future__ import annotations

import pytest
from flask import Request
from werkzeug.datastructures import MIMEAccept
from werkzeug.test import create_environ

from flask_server.errors import NotAcceptable
from flask_server.web.negotiation import JPEG, JSON, PNG, accepted, agreed

OFFERED = (JSON, PNG, JPEG)


def accept(header: str) -> MIMEAccept:
    return accepted(Request(create_environ(headers={"Accept": header})))


@pytest.mark.parametrize(
    ("header", "best"),
    [
        pytest.param("", JSON, id="no wish"),
        pytest.param("*/*", JSON, id="anything"),
        pytest.param("application/json, text/plain, */*", JSON, id="what Angular sends"),
        pytest.param("text/html,image/avif,image/webp,*/*;q=0.8", JSON, id="what browsers send"),
        pytest.param("application/*", JSON, id="a range"),
        pytest.param("application/json; charset=utf-8", JSON, id="with a charset"),
        pytest.param("image/png;level=1, application/json;q=0.5", PNG, id="with a parameter"),
        pytest.param("image/png", PNG, id="PNG"),
        pytest.param("IMAGE/PNG", PNG, id="capitals"),
        pytest.param("image/jpeg", JPEG, id="JPEG"),
        pytest.param("image/*", PNG, id="any picture"),
        pytest.param("image/webp, image/jpeg", JPEG, id="one of two"),
        pytest.param("image/png, */*;q=0.9", PNG, id="rather a picture"),
        pytest.param("image/png;q=0.5, application/json;q=0.6", JSON, id="rather JSON"),
        pytest.param("image/png;q=0.5, image/jpeg;q=0.6", JPEG, id="rather JPEG"),
        pytest.param("*/*, application/json;q=0", PNG, id="anything but JSON"),
        pytest.param("image/*, image/png;q=0.1", JPEG, id="the specific range decides"),
    ],
)
def test_the_best_liked_type_wins(header: str, best: str) -> None:
    assert agreed(accept(header), OFFERED) == best


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", id="Java to 17"),
        pytest.param("text/html, image/gif, image/jpeg, */*; q=0.2", id="Java from 18"),
        pytest.param("image/gif, image/jpeg, *; q=.2", id="a bare asterisk"),
        pytest.param("image/gif, image/x-xbitmap, image/jpeg, image/pjpeg, */*", id="old browsers"),
        pytest.param("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", id="image elements"),
        pytest.param("image/png,image/*;q=0.8,*/*;q=0.5", id="image elements of Firefox"),
        pytest.param("image/png, application/*;q=0.1", id="a range with JSON"),
        pytest.param("image/png, application/json;q=0.1", id="JSON with a low quality"),
        pytest.param("", id="no header"),
    ],
)
def test_the_default_goes_to_everybody_who_accepts_it(header: str) -> None:
    assert agreed(accept(header), OFFERED, default=JSON) == JSON


@pytest.mark.parametrize(
    ("header", "best"),
    [
        ("image/jpeg", JPEG),
        ("image/*", PNG),
        ("image/webp, image/jpeg;q=0.5", JPEG),
        ("*/*, application/json;q=0", PNG),
    ],
)
def test_who_does_not_accept_the_default_gets_the_best_of_the_others(
    header: str, best: str
) -> None:
    assert agreed(accept(header), OFFERED, default=JSON) == best


@pytest.mark.parametrize(
    "header", ["text/html", "image/webp", "*/*;q=0", "image/png;q=0", "nonsense", "image/jpg"]
)
def test_a_caller_that_allows_none_is_told_which_there_are(header: str) -> None:
    with pytest.raises(NotAcceptable, match="application/json, image/png, image/jpeg"):
        agreed(accept(header), OFFERED)


def test_the_refusal_says_what_narrowed_the_offer() -> None:
    with pytest.raises(NotAcceptable, match=r"Two came\. Accept is image/png; .* application/json"):
        agreed(accept("image/png"), (JSON,), reason="Two came.")

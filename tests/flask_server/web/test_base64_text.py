from __future__ import annotations

import base64
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_server.errors import GatewayError, InvalidBase64, MissingImage
from flask_server.web.base64_text import decode_base64

DATA = bytes(range(256))
STANDARD = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(STANDARD, id="standard"),
        pytest.param(URL_SAFE, id="url-safe"),
        pytest.param(STANDARD.rstrip("="), id="no padding"),
        pytest.param("\r\n".join(STANDARD[i : i + 76] for i in range(0, 344, 76)), id="mime lines"),
        pytest.param(f"  {STANDARD}\n", id="white space around"),
        pytest.param(f"data:image/png;base64,{STANDARD}", id="data URL"),
        pytest.param(f"DATA:image/svg+xml;charset=utf-8;BASE64,{STANDARD}", id="data URL, shouted"),
        pytest.param(f"data:image/png; base64 ,{STANDARD}", id="data URL with blanks"),
        pytest.param(f"data:image/png;name=a%2C%20b;base64,{STANDARD}", id="data URL with a name"),
        pytest.param(f"data:;base64,{URL_SAFE}", id="data URL without type"),
        pytest.param(
            f"data:image/png;base64,{quote(STANDARD, safe='')}", id="escapes after a head"
        ),
        pytest.param(quote(f"data:image/png;base64,{STANDARD}", safe=""), id="escaped data URL"),
        pytest.param(quote(STANDARD, safe="").replace("%2B", "%2b"), id="escaped base64"),
    ],
)
@pytest.mark.parametrize("from_form", [False, True])
def test_every_spelling_means_the_same_bytes(text: str, from_form: bool) -> None:
    assert decode_base64(text, from_form=from_form) == DATA


def test_blank_in_a_form_is_a_lost_plus() -> None:
    assert "+" in STANDARD

    assert decode_base64(STANDARD.replace("+", " "), from_form=True) == DATA


@pytest.mark.parametrize("data", [b"\xf8", b"\x00\x00\x3e", b"\xfb\xef\xbe\xf8"])
@pytest.mark.parametrize("padding", ["", "="])
def test_a_lost_plus_at_either_end_is_found(data: bytes, padding: str) -> None:
    text = base64.b64encode(data).decode().replace("=", padding)

    assert decode_base64(text.replace("+", " "), from_form=True) == data


def test_blank_elsewhere_is_white_space() -> None:
    assert decode_base64(f"{STANDARD[:8]} {STANDARD[8:]}") == DATA


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        pytest.param("", MissingImage, "empty", id="nothing"),
        pytest.param(" \n", MissingImage, "empty", id="white space"),
        pytest.param("data:image/png;base64,", MissingImage, "empty", id="empty data URL"),
        pytest.param("====", MissingImage, "empty", id="padding only"),
        pytest.param("a*bc", InvalidBase64, r"'\*'", id="foreign character"),
        pytest.param("ab%c", InvalidBase64, "'%'", id="no escape"),
        pytest.param("ab%ff", InvalidBase64, "'\ufffd'", id="an escape that is not ASCII"),
        pytest.param("äbcd", InvalidBase64, "'ä'", id="not ASCII"),
        pytest.param("AAAAA", InvalidBase64, "5 base64 characters", id="one too many"),
        pytest.param("AA==AA==", InvalidBase64, "after its padding", id="two texts in one"),
        pytest.param("data:image/png,abc", InvalidBase64, "data URL", id="data URL not base64"),
    ],
)
def test_what_is_not_base64_is_told(text: str, error: type[GatewayError], said: str) -> None:
    with pytest.raises(error, match=said):
        decode_base64(text)


@given(st.binary(min_size=1), st.booleans())
def test_round_trip(data: bytes, from_form: bool) -> None:
    assert decode_base64(base64.b64encode(data).decode(), from_form=from_form) == data


@given(st.text(), st.booleans())
def test_any_text_gives_bytes_or_our_error(text: str, from_form: bool) -> None:
    with suppress(MissingImage, InvalidBase64):
        assert isinstance(decode_base64(text, from_form=from_form), bytes)

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.codec import exact_parser
from model_server.codec.exact_parser import JsonObject, parse_json
from model_server.errors import InvalidArgument, Unavailable


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"null", None),
        (b"[true, false]", [True, False]),
        (b" {} ", {}),
        (b"[[], {}]", [[], {}]),
        (b'{"a": {"b": [1, 2.5]}}', {"a": {"b": [1, 2.5]}}),
        (b"[-0, 12, -7]", [0, 12, -7]),
        (b"[18446744073709551615, -9223372036854775808]", [2**64 - 1, -(2**63)]),
        (b"[18446744073709551616, -9223372036854775809]", [2.0**64, -(2.0**63)]),
        (b"[1e2, 1E+2, 1.5e-1]", [100.0, 100.0, 0.15]),
        (b"[1e-400]", [0.0]),
        (b"[Infinity, -Infinity, Inf, -Inf]", [math.inf, -math.inf, math.inf, -math.inf]),
        (rb'"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"', 'a"\\/\b\f\n\r\t\u00e9\U0001f600'),
        (b"\xef\xbb\xbf[1]", [1]),
        (b"[1] and then some", [1]),
    ],
)
def test_values(text: bytes, value: object) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize("text", [b"[NaN]", b"[-NaN]"])
def test_nan_is_a_number(text: bytes) -> None:
    [value] = parse_json(text)

    assert math.isnan(value)


def test_negative_zero_keeps_its_sign_only_with_a_point() -> None:
    whole, double = parse_json(b"[-0, -0.0]")

    assert (type(whole), math.copysign(1, double)) == (int, -1)


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        (b"   ", "The document is empty.", 3),
        (b"]", "The document is empty.", 0),
        (b"instances = [1]", "Invalid value.", 0),
        (b"nul", "Invalid value.", 3),
        (b"[1, 2,]", "Invalid value.", 6),
        (b"[Nan]", "Invalid value.", 3),
        (b"[Infinite]", "Invalid value.", 8),
        (b"[-]", "Invalid value.", 2),
        (b"[+1]", "Invalid value.", 1),
        (b"[.5]", "Invalid value.", 1),
        (b"[", "Invalid value.", 1),
        (b'{"a":}', "Invalid value.", 5),
        (b"[1 2]", "Missing a comma or ']' after an array element.", 3),
        (b"[01]", "Missing a comma or ']' after an array element.", 2),
        (b"[1, 2", "Missing a comma or ']' after an array element.", 5),
        (b"{'a': 1}", "Missing a name for object member.", 1),
        (b'{"a": 1,}', "Missing a name for object member.", 8),
        (b'{"a" 1}', "Missing a colon after a name of object member.", 5),
        (b'{"a": 1', "Missing a comma or '}' after an object member.", 7),
        (b'{"a": 1]', "Missing a comma or '}' after an object member.", 7),
        (b'"abc', "Missing a closing quotation mark in string.", 4),
        (b'"a\\x"', "Invalid escape character in string.", 2),
        (b'"a\nb"', "Invalid escape character in string.", 2),
        (b'"\\u12g4"', "Incorrect hex digit after \\u escape in string.", 1),
        (b'"\\ud800"', "The surrogate pair in string is invalid.", 1),
        (b'"\\ud800\\u0041"', "The surrogate pair in string is invalid.", 1),
        (b"[1.]", "Miss fraction part in number.", 3),
        (b"[1e]", "Miss exponent in number.", 3),
        (b"[1e+]", "Miss exponent in number.", 4),
        (b"[ 1e400]", "Number too big to be stored in double.", 2),
        (b"[0e309]", "Number too big to be stored in double.", 1),
        (b"[" + b"9" * 400 + b"]", "Number too big to be stored in double.", 1),
        (b"[" + b"9" * 5000 + b"]", "Number too big to be stored in double.", 1),
    ],
)
def test_mistakes_name_their_offset(text: bytes, message: str, offset: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_json(text)

    assert caught.value.message == f"JSON Parse error: {message} at offset: {offset}"


def test_an_empty_body_has_no_offset() -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_json(b"")

    assert caught.value.message == "JSON Parse error: The document is empty"


def test_the_first_of_equal_names_counts_and_all_are_kept() -> None:
    value = parse_json(b'{"a": 1, "b": 2, "a": 3}')

    assert isinstance(value, JsonObject)
    assert value == {"a": 1, "b": 2}
    assert value.pairs == [("a", 1), ("b", 2), ("a", 3)]


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_lists_may_be_deep(depth: int) -> None:
    value = parse_json(b"[" * depth + b"]" * depth)

    for _ in range(depth - 1):
        [value] = value
    assert value == []


def test_depth_is_limited_at_last() -> None:
    with pytest.raises(InvalidArgument, match="More than 200000 levels of lists and objects. at"):
        parse_json(b"[" * 200_001)


def test_bytes_that_are_not_utf8_survive() -> None:
    [raw, lone] = parse_json(b'["\xff\xfe", "\\udc80"]')

    assert raw.encode("utf-8", "surrogateescape") == b"\xff\xfe"
    assert lone.encode("utf-8", "surrogateescape") == b"\xed\xb2\x80"


@pytest.mark.parametrize(
    ("text", "offset"), [(b'[{},"",{}]', 7), (b'["", {}, ""]', 9), (b"[null,true,{}]", 11)]
)
def test_values_are_counted(monkeypatch: pytest.MonkeyPatch, text: bytes, offset: int) -> None:
    monkeypatch.setattr(exact_parser, "MAX_VALUES", 4)
    assert len(parse_json(text)) == 3

    monkeypatch.setattr(exact_parser, "MAX_VALUES", 3)
    said = f"More than 3 values, not counting numbers in lists. at offset: {offset}$"
    with pytest.raises(InvalidArgument, match=said):
        parse_json(text)


@pytest.mark.parametrize(
    ("limit", "text", "said"),
    [
        ("MAX_SHORT_LISTS", b"[[],[1],[]]", "short lists of numbers"),
        ("MAX_SHORT_LISTS", b"[[[],[]],[[1]]]", "short lists of numbers"),
        ("MAX_NUMBERS", b"[1,2,3]", "numbers"),
        ("MAX_NUMBERS", b"[[1,2],[3]]", "numbers"),
        ("MAX_NUMBERS", b'[1,"",2,null,3]', "numbers"),
        ("MAX_ESCAPES", b'["\\n\\t\\u0041"]', "escapes in strings"),
        ("MAX_ESCAPES", b'{"\\n":"\\n","a":"\\\\"}', "escapes in strings"),
    ],
)
def test_what_is_cheaper_than_a_value_is_counted_too(
    monkeypatch: pytest.MonkeyPatch, limit: str, text: bytes, said: str
) -> None:
    monkeypatch.setattr(exact_parser, limit, 3)
    assert parse_json(text)

    monkeypatch.setattr(exact_parser, limit, 2)
    with pytest.raises(InvalidArgument, match=rf"More than 2 {said}\. at offset: \d+$"):
        parse_json(text)


def test_few_costly_bodies_are_read_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_parser, "MAX_VALUES", 40)
    monkeypatch.setattr(exact_parser, "_COSTLY_WAIT_S", 0)
    costly, cheap = b"[" + b"{}," * 20 + b"1]", b"[{},{}]"
    slots = exact_parser._costly_bodies
    for _ in range(3):  # each gives its slot back
        assert parse_json(costly)
        with pytest.raises(InvalidArgument):
            parse_json(costly[:-1])

    with slots, slots:
        assert parse_json(cheap)
        with pytest.raises(Unavailable, match="try again"):
            parse_json(costly)

    assert parse_json(costly)


MIB = 1 << 20
COSTLY = {
    "lists": b"[],",
    "objects": b"{},",
    "strings": b'"",',
    "words": b"null,",
    "open lists": b"[",
    "open objects": b'{"a":',
    "numbers": b"1,",
    "pixels": b"[1,2,3],",
    "escapes": b"\\n",
    "images": b'{"b64":""},',
}


@pytest.mark.parametrize("piece", COSTLY.values(), ids=COSTLY)
def test_the_cost_of_a_body_is_bounded(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    """A body of 64 MiB exceeds a limit; both are divided by 64, since limits grow with bodies."""
    for limit in ("MAX_VALUES", "MAX_SHORT_LISTS", "MAX_NUMBERS", "MAX_ESCAPES"):
        monkeypatch.setattr(exact_parser, limit, getattr(exact_parser, limit) // 64)
    start = b'{"instances":["' if piece == COSTLY["escapes"] else b'{"instances":['

    with pytest.raises(InvalidArgument, match="More than"):
        parse_json(start + piece * (MIB // len(piece)))


def test_runs_of_numbers_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_parser, "MAX_VALUES", 1)

    assert parse_json(b"[1, 2,0.5,1e-05,-2.5E+10]") == [1, 2, 0.5, 1e-05, -2.5e10]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=30,
    ),
    st.sampled_from([None, 1]),
)
def test_whatever_python_writes_is_read_back(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)

    assert json.dumps(parse_json(text.encode())) == json.dumps(value)

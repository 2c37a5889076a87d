from __future__ import annotations

import random
from urllib.parse import unquote_to_bytes

import pytest

from flask_server.errors import BodyTooLarge, MissingImage
from flask_server.web import forms
from flask_server.web.forms import Field, read_form, texts_of

MULTIPART = "multipart/form-data; boundary=B"


def part(head: str, data: bytes = b"x", end: bytes = b"\r\n") -> bytes:
    lines = head.replace("\n", end.decode()).encode()
    return b"--B" + end + b"Content-Disposition: form-data; " + lines + end * 2 + data + end


def url_encoded(body: bytes) -> list[tuple[str, bytes]]:
    return [(field.name, field.data) for field in read_form(forms.URL_ENCODED, body)]


def test_url_encoded_fields() -> None:
    assert url_encoded(b"a=1&b=%C3%A4+b&&c&d==e%3D") == [
        ("a", b"1"),
        ("b", "ä b".encode()),
        ("c", b""),
        ("d", b"=e="),
    ]


@pytest.mark.parametrize("piece", [4, 5, 1024])
def test_escapes_are_decoded_as_the_standard_library_does(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "_PIECE", piece)
    chance = random.Random(1)
    for _ in range(1_000):
        text = bytes(chance.choices(b"%%%%4aGf+x", k=chance.randrange(30)))

        (field,) = read_form(forms.URL_ENCODED, b"a=" + text)
        assert field.data == unquote_to_bytes(text.replace(b"+", b" "))


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_multipart_fields(end: bytes) -> None:
    body = (
        b"a preamble"
        + end
        + part('name="a"; filename="b.png"\nContent-Type: image/PNG', b"\0\xff--B", end)
        + part('name="c"', end + b"two" + end + b"--Bee" + end, end)
        + part('name="d"\nContent-Type: text/plain; charset=ISO-8859-1', b"\xe4", end)
        + part('name="e"', b"", end)
        + b"--B--"
        + end
        + b"an epilogue"
    )

    assert read_form(MULTIPART, body) == [
        Field("a", b"\0\xff--B", has_filename=True, media_type="image/png"),
        Field("c", end + b"two" + end + b"--Bee" + end),
        Field("d", b"\xe4", media_type="text/plain", charset="iso-8859-1"),
        Field("e", b""),
    ]


@pytest.mark.parametrize(
    "kind", ["Multipart/Form-Data; Boundary=B", "MULTIPART/FORM-DATA;boundary=B"]
)
def test_the_type_of_a_multipart_form_is_written_in_any_case(kind: str) -> None:
    assert read_form(kind, part('name="a"') + b"--B--") == [Field("a", b"x")]


def test_the_type_of_a_url_encoded_form_is_written_in_any_case() -> None:
    kind = "Application/X-WWW-Form-URLencoded; charset=UTF-8"

    assert read_form(kind, b"a=1") == [Field("a", b"1")]


@pytest.mark.parametrize(
    ("written", "boundary"),
    [
        pytest.param('"a/b; c"', "a/b; c", id="quoted"),
        pytest.param("-XrQHxml/dc2.9O", "-XrQHxml/dc2.9O", id="React Native"),
        pytest.param("===1656457491496===", "===1656457491496===", id="equals signs"),
        pytest.param("Log -16631 ", "Log -16631", id="space"),
        pytest.param("uuid:1?2", "uuid:1?2", id="colon and question mark"),
        pytest.param("a/b ; charset=utf-8", "a/b", id="another parameter"),
        pytest.param("a/b, multipart/form-data; boundary=a/b", "a/b", id="two headers"),
    ],
)
def test_a_boundary_needs_no_quotes(written: str, boundary: str) -> None:
    body = (part('name="a"') + b"--B--").replace(b"B", boundary.encode())

    assert read_form(f"multipart/form-data; boundary={written}", body) == [Field("a", b"x")]


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_a_header_may_go_on_in_the_next_line(end: bytes) -> None:
    head = '\n name="a";\n\tfilename="b.png"\nContent-Type: image/png;\n name="b.png"'

    (field,) = read_form(MULTIPART, part(head, end=end) + b"--B--")

    assert field == Field("a", b"x", has_filename=True, media_type="image/png")


@pytest.mark.parametrize(
    ("coding", "content", "data"),
    [
        pytest.param("base64", b"AP9hYg==", b"\0\xffab", id="one line"),
        pytest.param("Base64", b"AP9h\r\nYg==\r\n", b"\0\xffab", id="lines"),
        pytest.param("base64", b"\0\xffab", b"\0\xffab", id="bytes that are no base64"),
        pytest.param("binary", b"AP9hYg==", b"AP9hYg==", id="another encoding"),
    ],
)
def test_the_transfer_encoding_of_a_part_is_undone(
    coding: str, content: bytes, data: bytes
) -> None:
    head = f'name="a"; filename="b"\nContent-Transfer-Encoding: {coding}'

    (field,) = read_form(MULTIPART, part(head, content) + b"--B--")

    assert field.data == data


def test_base64_does_not_count_as_header() -> None:
    head = 'name="a"\nContent-Transfer-Encoding: base64'

    (field,) = read_form(MULTIPART, part(head, b"QUJD" * 300_000) + b"--B--")

    assert field.data == b"ABC" * 300_000


def test_texts_are_the_fields_without_a_file_name() -> None:
    fields = [Field("a", b"1"), Field("a", b"\xff"), Field("b", b"2", has_filename=True)]

    assert list(texts_of(fields).lists()) == [("a", ["1", "\ufffd"])]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b"", "its boundary does not occur", id="empty"),
        pytest.param(b"nothing", "its boundary does not occur", id="no boundary"),
        pytest.param(part('name="a"'), "at its end is missing", id="no end"),
        pytest.param(b"--B\r\nhead\r\n--B--", "no header with", id="no content"),
        pytest.param(part("nam=a") + b"--B--", "no name", id="no name"),
        pytest.param(b"--B\r\n\r\nx\r\n--B--", "no header with", id="no header"),
    ],
)
def test_a_malformed_multipart_body_is_told(body: bytes, said: str) -> None:
    with pytest.raises(MissingImage, match=said):
        read_form(MULTIPART, body)


def test_a_missing_boundary_is_told() -> None:
    with pytest.raises(MissingImage, match="multipart/form-data has no boundary"):
        read_form("multipart/form-data", part('name="image"'))


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        pytest.param(forms.URL_ENCODED, b"a&" * 1000, "more than 1000 fields", id="URL-encoded"),
        pytest.param(MULTIPART, part('name="a"') * 1002, "more than 1000 fields", id="parts"),
        pytest.param(MULTIPART, b"\r\n--B" * 1002, "more than 1000 fields", id="boundaries"),
        pytest.param(MULTIPART, part("a=b;" * 3000) + b"--B--", "8192 bytes", id="one header"),
        pytest.param(
            MULTIPART,
            part(f'name="{"a" * 1000}"') * 300 + b"--B--",
            "262144 bytes of headers",
            id="all headers",
        ),
    ],
)
def test_costly_forms_are_refused(kind: str, body: bytes, said: str) -> None:
    with pytest.raises(BodyTooLarge, match=said):
        read_form(kind, body)


def test_a_thousand_fields_are_read() -> None:
    assert len(read_form(MULTIPART, part('name="a"') * 1000 + b"--B--")) == 1000
    assert len(read_form(forms.URL_ENCODED, b"&".join([b"a=1"] * 1000))) == 1000

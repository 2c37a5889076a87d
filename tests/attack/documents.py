"""Bodies that are small or plain, and costly to read."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import partial

from tests.attack.bodies import with_length
from tests.attack.catalogue import Attack, Form, Target, repeated
from tests.attack.usage import MB

_PREDICT = "/models/toy/predict"
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data; boundary=b"
#: What a document may be answered with: a refusal of the caller's fault, or of its size.
_REFUSED = (400, 413, 415, 422)
#: Most bytes of a costly document; a little below the gateway's limit.
_LARGE = 30 * MB

_PARAMETERS = ("top_k", "threshold", "labels", "version", "label", "report")


def document(
    name: str,
    kind: str,
    body: Callable[[], bytes],
    allowed: Collection[int] = _REFUSED,
    **fields: str,
) -> Attack:
    """A body for the gateway."""

    def request(_: Target, __: Form) -> bytes:
        return with_length(_PREDICT, body(), f"Content-Type: {kind}")

    return Attack(name, repeated(request, allowed), **fields)  # type: ignore[arg-type]


def tensors(name: str, body: Callable[[int], bytes], at_once: int = 3) -> Attack:
    """A body for the model server."""

    def request(target: Target, form: Form) -> bytes:
        return with_length(target.predict_path, body(form.document_bytes), f"Content-Type: {_JSON}")

    return Attack(name, repeated(request, (200, 400, 413, 503), at_once))


def many(item: bytes, size: int = _LARGE, between: bytes = b",") -> bytes:
    """As many items as fit."""
    return between.join([item] * (size // (len(item) + len(between))))


def parts(count: int, *, headers: int = 0) -> bytes:
    """A multipart body of many parts, each with further headers."""
    head = b'--b\r\nContent-Disposition: form-data; name="a"\r\n' + b"X: y\r\n" * headers
    return (head + b"\r\nz\r\n") * count + b"--b--\r\n"


def deep(name: str, levels: int) -> bytes:
    """A document with a parameter of lists in lists."""
    return b'{"image": "aaaa", "%b": %b}' % (name.encode(), b"[" * levels + b"]" * levels)


GATEWAY = (
    document("empty lists", _JSON, lambda: b'{"image": "aaaa", "labels": [%b]}' % many(b"[]")),
    document("empty objects", _JSON, lambda: b'{"images": [%b]}' % many(b"{}")),
    document("short strings", _JSON, lambda: b'{"images": [%b]}' % many(b'""')),
    document("numbers", _JSON, lambda: b'{"labels": [%b]}' % many(b"1")),
    document(
        "many names",
        _JSON,
        lambda: json.dumps({f"{number:x}": 0 for number in range(1_000_000)}).encode(),
    ),
    *(
        document(f"1,000 levels of lists in {name}", _JSON, partial(deep, name, 1000))
        for name in _PARAMETERS
    ),
    document("a million levels of lists", _JSON, lambda: deep("labels", 1_000_000)),
    document("escapes", _JSON, lambda: b'{"image": "%b"}' % (b"\\u0041" * (_LARGE // 6))),
    document(
        "texts in a tensor",
        _JSON,
        lambda: b'{"tensor": ["%b"%b]}' % (b"a" * 20_000, b',""' * 90_000),
    ),
    document("no JSON", _JSON, lambda: bytes(_LARGE)),
    document("percent signs", _FORM, lambda: b"b64=" + b"%41" * (_LARGE // 3)),
    document("percent signs in an image", _FORM, lambda: b"image=" + b"%41" * (_LARGE // 3)),
    document("form fields", _FORM, lambda: many(b"a=b", between=b"&")),
    document("multipart parts", _MULTIPART, lambda: parts(300_000)),
    document("multipart headers", _MULTIPART, lambda: parts(1, headers=_LARGE // 6)),
    document("multipart parts with headers", _MULTIPART, lambda: parts(900, headers=5000)),
    document("a multipart body without an end", _MULTIPART, lambda: b"\r\n--" * (_LARGE // 4)),
    document("blanks in base64", _JSON, lambda: b'{"image": "%b"}' % (b" " * _LARGE)),
)
MODEL_SERVER = (
    tensors("blanks after a number", lambda _: b'{"instances":[1]%b}' % (b" " * 4200)),
    tensors("numbers and blanks", lambda _: b'{"instances":[%b1]%b}' % (b"1," * 3000, b" " * 5000)),
    tensors("newlines", lambda _: b'{"instances":[1]%b}' % (b"\n" * 4200)),
    tensors("digits", lambda _: b'{"instances":[1%b]}' % (b"0" * 4200)),
    tensors("an endless number", lambda size: b'{"instances":[1%b]}' % (b"0" * size)),
    tensors("an endless fraction", lambda size: b'{"instances":[0.%b1]}' % (b"0" * size)),
    tensors("empty lists", lambda size: b'{"instances":[%b]}' % many(b"[]", size)),
    tensors("empty objects", lambda size: b'{"instances":[%b]}' % many(b"{}", size)),
    tensors("short strings", lambda size: b'{"instances":[%b]}' % many(b'""', size)),
    tensors("bytes", lambda size: b'{"instances":[%b]}' % many(b'{"b64":""}', size)),
    tensors("numbers", lambda size: b'{"instances":[%b]}' % many(b"1.5", size)),
    *(
        tensors(
            f"eight callers with {words}",
            lambda size, item=item: b'{"instances":[%b]}' % many(item, 3 * size),  # type: ignore[misc]
            at_once=8,
        )
        for words, item in [("small numbers", b"1"), ("pixels", b"[1,2,3]")]
    ),
    tensors("numbers with exponents", lambda size: b'{"instances":[%b]}' % many(b"0e400", size)),
    tensors("1,000 levels of lists", lambda _: b'{"instances":%b}' % (b"[" * 1000 + b"]" * 1000)),
    tensors("endless levels of lists", lambda size: b'{"instances":' + b"[" * size),
    tensors("endless levels of objects", lambda size: b'{"instances":' + b'{"a":' * (size // 5)),
    tensors(
        "many names",
        lambda size: json.dumps({f"{number:x}": 0 for number in range(size // 12)}).encode(),
    ),
    tensors("escapes", lambda size: b'{"instances":["%b"]}' % (b"\\u0041" * (size // 6))),
    tensors("blanks", lambda size: b" " * size),
    tensors("no UTF-8", lambda size: b'{"instances":["%b"]}' % (b"\xff" * size)),
    tensors("no JSON", lambda size: bytes(size)),
)

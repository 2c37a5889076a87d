"""Valid requests with random changes, the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.attack.bodies import in_chunks, with_length
from tests.attack.catalogue import SEED, Attack, Form, Target, status_of

#: Bytes that mean something in a request.
_PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b"[", b"]", b"{", b"}", b'"', b"\\"),
    *(b"%", b"&", b"=", b"/", b"..", b"?", b"#", b"-", b"9" * 20, b"1e999", b"\xff", b"NaN"),
    *(b"\r\nContent-Length: 5\r\n", b"\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
)
_AT_ONCE = 4
#: The servers' own defects; 501, 503 and 505 are answers to a request.
_DEFECTS = {500, 502}


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Replace, insert, repeat, move or cut a few bytes."""
    for _ in range(chance.randint(1, 6)):
        at, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        end = min(end, at + 40)
        change = chance.randrange(6)
        if change == 0:
            data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        elif change == 1:
            data = data[:at] + chance.choice(_PIECES) + data[at:]
        elif change == 2:
            data = data[:at] + chance.choice(_PIECES) + data[at + 1 :]
        elif change == 3:
            data = data[:end] + data[at:end] * chance.randint(1, 50) + data[end:]
        elif change == 4:
            data = data[:at] + data[end:] + data[at:end]
        else:
            data = data[:at] + data[end:]
    return data


def valid(target: Target) -> Sequence[bytes]:
    """Requests of every kind that the target answers with 200."""
    kind = f"Content-Type: {target.predict_kind}"
    path, body = target.predict_path, target.predict_body
    return (
        target.get,
        target.predict,
        in_chunks(path, body, kind, size=50),
        with_length(path, body, kind, "Connection: close", "X-Request-ID: abc"),
        target.get + target.predict,
    )


def attack(requests: Callable[[Target], Sequence[bytes]] = valid) -> Attack:
    """Mutated requests; an answer of a defect is an error, no answer at all is not."""

    def run(target: Target, form: Form) -> None:
        chance, originals = random.Random(SEED), requests(target)

        def answered(request: bytes) -> tuple[int, bytes]:
            return status_of(target, request), request

        sent = (mutated(chance.choice(originals), chance) for _ in range(form.mutations))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = list(pool.map(answered, sent))
        assert [request for status, request in answers if status in _DEFECTS] == []
        assert {200, 400} <= {status for status, _ in answers}

    return Attack("mutated requests", run)

"""Change good inputs as a Hypothesis strategy, so that a failure shrinks to a few changes."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.fuzz.target import Target

#: Pieces for every reader: control characters, ends of ranges, long runs and deep nesting.
WORDS = (
    *(b"", b"\0", b"\r\n", b"\n", b"\r", b" ", b"\t", b"\xff", b"\xfe\xff", b"\xed\xa0\x80"),
    *(b"\x1b[31m", b'"', b"\\", b"'", b"-", b"%00", b"%ff", b"\xe2\x80\xa8", b"\xc2\xb2"),
    *(b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    *(b"-1", b"1e400", b"NaN", b"9" * 20, b"9" * 400, b"9" * 5000, b"[" * 3000, b"a" * 3000),
)
_MOST_CHANGES = 4
_LONGEST_PIECE = 40


@st.composite
def inputs(draw: st.DrawFn, target: Target, seeds: Sequence[bytes]) -> bytes:
    """Return a seed with up to four changes: pieces replaced, inserted, repeated, moved or cut."""
    data = draw(st.sampled_from(seeds))
    words = st.sampled_from((*target.words, *WORDS)) | st.binary(min_size=1, max_size=4)
    for _ in range(draw(st.integers(0, _MOST_CHANGES))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, _LONGEST_PIECE)))
        change = draw(st.integers(0, 5))
        if change <= 2:  # the usual ones: insert, overwrite, replace
            word = draw(words)
            data = data[:start] + word + data[(start, start + len(word), end)[change] :]
        elif change == 3:
            data = data[:end] + data[start:end] * draw(st.integers(1, 20)) + data[end:]
        elif change == 4:
            data = data[:start] + data[end:] + data[start:end]
        else:
            data = data[:start] + (b"" if end == len(data) else data[end:])
    return data

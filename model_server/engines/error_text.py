"""Read error messages of native libraries that quote bytes which are not UTF-8."""

from __future__ import annotations


def escaped_message(error: UnicodeDecodeError) -> str:
    r"""Return the message, with ``\xff`` for each byte that is not UTF-8.

    Where a library reports an error whose message is not UTF-8, Python raises this exception in
    place of the library's own. It holds the message, but the kind of the error is lost.
    """
    return error.object.decode("utf-8", "backslashreplace")

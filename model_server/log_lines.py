"""Format log lines: one event is one line, whatever names and errors contain."""

from __future__ import annotations

import logging
from copy import copy
from types import TracebackType
from typing import Final

from serving_tracing.log_format import TraceIdFormatter

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

#: Control characters, which could imitate another line or change a terminal, and their escapes.
_CONTROLS: Final = {
    code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)
}


class LineFormatter(TraceIdFormatter):
    """Escapes control characters; the lines of a traceback are indented below their event."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, and a traceback if there is one."""
        own = copy(record)
        own.exc_text = None  # another formatter may have written the traceback in its own way
        return super().format(own)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without a traceback."""
        return super().formatMessage(record).translate(_CONTROLS)

    def formatException(self, ei: _ExcInfo) -> str:
        """Return the indented lines of a traceback."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"    {line.translate(_CONTROLS)}" for line in lines)

"""Write the id of the current trace into log lines."""

from __future__ import annotations

import logging

from serving_tracing import spans


class TraceIdFormatter(logging.Formatter):
    """Ends the message of each line that is written during a traced request with the trace's id."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without a traceback."""
        line, trace_id = super().formatMessage(record), spans.trace_id()
        return line if trace_id is None else f"{line} trace_id={trace_id}"

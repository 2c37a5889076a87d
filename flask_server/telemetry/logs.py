"""Write log lines, one per event: a JSON object each, or plain text for people.

The only properties of a request that it uses are its id and that of its trace. A reader of the log
can rely on two promises: one event is one line (in text a traceback follows it, indented), and no
logged text can imitate another line.
"""

from __future__ import annotations

import json
import logging
import logging.config
import re
from datetime import UTC, datetime
from typing import Any

from flask_server.web import request_context

LOGGER_NAME = "flask_server"

#: Fields of access lines that the message already contains.
_IN_THE_MESSAGE = {"method", "route", "status"}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


class JsonFormatter(logging.Formatter):
    """One JSON object per line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, Any] = {
            "time": _time(record).replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        request_id = _request_id()
        if request_id is not None:
            line["request_id"] = request_id
        line |= _trace()
        line |= _fields(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """One line of text per event; the lines of a traceback are indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, with its traceback if there is one."""
        request_id = _request_id()
        fields = _fields(record) | _trace()
        rest = {k: v for k, v in fields.items() if k not in _IN_THE_MESSAGE}
        parts = (
            _time(record),
            f"{record.levelname:7} {record.name}:",
            f"[{request_id}]" if request_id else "",
            _message(record).translate(_CONTROLS),
            *(f"{key}={value}".translate(_CONTROLS) for key, value in rest.items()),
        )
        line = " ".join(part for part in parts if part)
        return line + self._traceback(record)

    def _traceback(self, record: logging.LogRecord) -> str:
        if not record.exc_info:
            return ""
        lines = self.formatException(record.exc_info).splitlines()
        return "".join(f"\n    {line.translate(_CONTROLS)}" for line in lines)


class NoRequestLines(logging.Filter):
    """Drops the access lines of Flask's development server; the access log has its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record stays."""
        return record.levelno > logging.INFO or " - - [" not in str(record.msg)


def config(log_format: str) -> dict[str, Any]:
    """Return the logging configuration of a whole process, for ``logging.config.dictConfig``."""
    formatter = JsonFormatter if log_format == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {"no_request_lines": {"()": NoRequestLines}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"handlers": [], "propagate": True},
            "werkzeug": {"level": "INFO", "filters": ["no_request_lines"]},
        },
    }


def configure(log_format: str) -> None:
    """Set up logging unless the process (gunicorn, a test) has done so already.

    The gateway's own loggers have level INFO in any case, because changes of models are logged so.
    """
    if not logging.getLogger().handlers:
        logging.config.dictConfig(config(log_format))
        logging.captureWarnings(True)
    logger = logging.getLogger(LOGGER_NAME)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> str:
    return _COLOURS.sub("", record.getMessage())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return dict(getattr(record, "fields", {}))


def _request_id() -> str | None:
    context = request_context.current_or_none()
    return context.request_id if context else None


def _trace() -> dict[str, str]:
    context = request_context.current_or_none()
    return {"trace_id": context.span.trace_id} if context and context.span else {}

"""Keep a defect of ours, or of a library, from ending more than the work it happened in."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from model_server.errors import Internal, ModelServerError

logger = logging.getLogger(__name__)


@contextmanager
def as_internal_error(work: str) -> Iterator[None]:
    """Let ServingErrors out; anything else is logged with its traceback and becomes Internal."""
    try:
        yield
    except ModelServerError:
        raise
    except Exception as defect:
        logger.exception("a defect while %s", work)
        raise Internal(f"Internal error: {type(defect).__name__} while {work}") from defect

"""Turn unexpected exceptions into an Internal error, so that only one operation fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from model_server.errors import Internal, ModelServerError

logger = logging.getLogger(__name__)


@contextmanager
def as_internal_error(work: str) -> Iterator[None]:
    """Pass ModelServerErrors on; log any other exception with its traceback and raise Internal.

    ``work`` names the operation in the log and in the error, for example ``loading /models/m/1``.
    """
    try:
        yield
    except ModelServerError:
        raise
    except Exception as error:
        logger.exception("Unexpected error while %s", work)
        raise Internal(f"Internal error: {type(error).__name__} while {work}") from error

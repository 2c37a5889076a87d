"""Turn unexpected exceptions into errors of the API, so that only one operation fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from model_server.errors import Internal, ModelServerError, ResourceExhausted

logger = logging.getLogger(__name__)


@contextmanager
def as_internal_error(work: str) -> Iterator[None]:
    """Pass ModelServerErrors on; log any other exception with its traceback and raise Internal.

    Without memory, ResourceExhausted is raised as TensorFlow does; the same may succeed later.
    ``work`` names the operation in the log and in the error, for example ``loading /models/m/1``.
    """
    try:
        yield
    except ModelServerError:
        raise
    except MemoryError as error:
        logger.warning("There is not enough memory for %s", work)
        raise ResourceExhausted(f"There is not enough memory for {work} now; try again.") from error
    except Exception as error:
        logger.exception("Unexpected error while %s", work)
        raise Internal(f"Internal error: {type(error).__name__} while {work}") from error

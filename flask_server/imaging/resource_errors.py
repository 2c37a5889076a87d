"""Tell a lack of memory, threads or descriptors of this process from a damaged image. Pure."""

from __future__ import annotations

import errno
import re
from typing import Final

_ERROR_NUMBERS: Final = frozenset(
    {errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT}
)
#: Texts of Python, Pillow and the libraries below it, which raise general exceptions. A limit that
#: libheif sets for damaged and hostile files is none of ours.
_TEXT: Final = re.compile(
    r"can't start new thread|out of memory|no memory|(?:memory allocation|allocate memory)"
    r"(?!.*security limit)",
    re.IGNORECASE | re.DOTALL,
)


def is_resource_error(error: BaseException) -> bool:
    """Tell whether an exception while decoding says that this process has too little of something.

    Another image would have failed as well, and the same one may be read later.
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _ERROR_NUMBERS
    return isinstance(error, OSError | RuntimeError) and bool(_TEXT.search(str(error)))

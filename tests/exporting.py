"""Export in tests without a further process for each verification, which would take seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.checks import verification, verify_program


def _report(folder: Path, weight_bytes: int) -> dict[str, Any]:
    """The same report from this process, without OpenVINO."""
    return {"problems": verify_program.problems(folder, weight_bytes), "openvino": None}


@contextmanager
def verified_here() -> Iterator[None]:
    """Verify exports in this process, with a graph and a session of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "fresh_report", _report)
        yield

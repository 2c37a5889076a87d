"""The results of the long form, one JSON object a line, for ``tests.resilience.report``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.resilience.form import IS_LONG


def record(table: str, **row: Any) -> None:
    """Add a row to a table of the report, in the long form."""
    if IS_LONG:
        with Path(os.environ["RESILIENCE_RESULTS"]).open("a") as file:
            file.write(json.dumps({"table": table, **row}) + "\n")

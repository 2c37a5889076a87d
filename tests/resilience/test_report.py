"""The report has a table for every result that a test of this folder records."""

from __future__ import annotations

import re
from pathlib import Path

from tests.resilience.report import PARTS

_RECORDED = re.compile(r"\brecord\(\s*\"(\w+)\"")


def test_every_recorded_table_belongs_to_a_part_of_the_page() -> None:
    sources = Path(__file__).parent.glob("test_*.py")
    recorded = {name for file in sources for name in _RECORDED.findall(file.read_text())}

    assert recorded == {name for tables, _ in PARTS.values() for name in tables}

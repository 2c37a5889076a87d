"""The code in docs/frontends.md is that of the tested examples."""

from __future__ import annotations

import re

from tests.running import ROOT

MANUAL = (ROOT / "docs" / "frontends.md").read_text(encoding="utf-8")

#: A link to an example, the rest of its paragraph, and the block of code after it.
SHOWN = re.compile(r"\[`(examples/\S+?)`\]\([^`]*?:\n\n```\w+\n(.*?)```", re.DOTALL)


def test_code_in_the_manual_is_that_of_the_examples() -> None:
    shown = SHOWN.findall(MANUAL)

    # Commands for a shell are in no example.
    assert len(shown) == len(re.findall(r"^```(?!sh$)\w+$", MANUAL, re.MULTILINE)) == 8
    for name, code in shown:
        assert code == (ROOT / name).read_text(encoding="utf-8"), name

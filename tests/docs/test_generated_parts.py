from __future__ import annotations

import pytest

from docs.generator import packages
from docs.generator.markdown import DOCS, between, one_line, table
from docs.generator.pages import PAGES, generated


@pytest.mark.parametrize("page", PAGES)
def test_the_generated_parts_of_a_page_are_those_of_the_code(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == generated(page), (
        f"docs/{page} is out of date: python -m docs.generator"
    )


def test_only_the_part_between_the_comments_is_replaced() -> None:
    page = "a\n<!-- x: generated -->\nold\n<!-- x: end -->\nb\n"

    assert between(page, "x", "new") == page.replace("old", "new")


@pytest.mark.parametrize("page", ["", "<!-- x: generated -->"])
def test_a_missing_comment_is_an_error(page: str) -> None:
    with pytest.raises(ValueError, match="The page lacks <!-- x: "):
        between(page, "x", "new")


def test_a_bar_in_a_cell_is_escaped() -> None:
    assert table("a", "b", rows=[("1|2", "3")]) == "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"


def test_a_manual_that_is_named_becomes_a_link() -> None:
    assert one_line("``x``\n(docs/gateway.md#grpc)") == "`x` ([gateway.md](../gateway.md#grpc))"


def test_each_extra_has_a_text() -> None:
    rows = packages.extras().splitlines()[2:]

    assert [row for row in rows if row.endswith("|  |")] == []

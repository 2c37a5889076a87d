from __future__ import annotations

from tests.flask_server.readme_tables import README, with_tables


def test_tables_of_errors_and_settings_are_those_of_the_code() -> None:
    readme = README.read_text(encoding="utf-8")

    assert readme == with_tables(readme), (
        "the tables are out of date: python -m tests.flask_server.readme_tables"
    )

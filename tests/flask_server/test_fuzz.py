from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.flask_server import fuzz_target


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_mutated_pictures_and_bodies_are_answered_by_the_book(client: FlaskClient) -> None:
    outcomes = fuzz_target.run(client, count=1200, seed=20261120)

    assert fuzz_target.defects(outcomes) == []
    assert outcomes["200"] > 100
    assert outcomes["422 corrupt_image"] > 100

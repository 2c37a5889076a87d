"""Messages in text format that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_server.errors import InvalidArgument
from model_server.protos import read_message


def test_an_error_in_a_file_with_a_private_key_names_the_place_alone(tmp_path: Path) -> None:
    (tmp_path / "ssl.config").write_text("server_cert: 'x'\nserver_key: MIIEvQ\n")

    with pytest.raises(InvalidArgument) as raised:
        read_message(tmp_path / "ssl.config", "SSLConfig", is_secret=True)

    assert "line 2, column 13" in str(raised.value)
    assert "MIIEvQ" not in str(raised.value)

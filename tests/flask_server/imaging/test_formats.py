from __future__ import annotations

import pytest

from flask_server.imaging.formats import sniff


@pytest.mark.parametrize(
    ("brands", "kind"),
    [
        pytest.param(b"heic\0\0\0\0mif1heic", "HEIF", id="HEIC"),
        pytest.param(b"mif1\0\0\0\0mif1heic", "HEIF", id="general, with HEIC beside it"),
        pytest.param(b"mif1\0\0\0\0mif1avif", "AVIF", id="general, with AVIF beside it"),
        pytest.param(b"mif1\0\0\0\0miafmif1", "HEIF", id="general only"),
        pytest.param(b"isom\0\0\0\0isomavc1", None, id="a film"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_iso_media_files_say_what_they_are(brands: bytes, kind: str | None) -> None:
    assert sniff((8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + b"avif") == kind

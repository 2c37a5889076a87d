"""The formats of image files that are read, and how their first bytes tell them apart."""

from __future__ import annotations

from PIL import features

try:  # the extra "heif"
    from pillow_heif import register_heif_opener
except ImportError:
    _EXTRA_FORMATS: tuple[str, ...] = ()
else:
    register_heif_opener()
    _EXTRA_FORMATS = ("HEIF",)

#: Allowed formats by Pillow's names; any other is refused before a parser reads it.
FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"),
    *(("AVIF",) if features.check("avif") else ()),
    *_EXTRA_FORMATS,
)

#: Formats by the first bytes of a file.
_MAGIC_BYTES = (
    ("JPEG", b"\xff\xd8"),
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("GIF", b"GIF87a"),
    ("GIF", b"GIF89a"),
    ("TIFF", b"II*\x00"),
    ("TIFF", b"MM\x00*"),
    ("TIFF", b"II+\x00"),
    ("TIFF", b"MM\x00+"),
    ("BMP", b"BM"),
)
#: Formats by the brands of an ISO media file: codes of four letters after "ftyp".
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis"), "HEIF"),
}
#: Brands of any image or sequence; another brand of the file may be more specific.
_GENERAL_BRANDS = (b"mif1", b"msf1")


def sniff(data: bytes) -> str | None:
    """Return the format that the first bytes declare, or None."""
    if data[4:8] == b"ftyp":
        return _format_of_brands([data[i : i + 4] for i in range(8, min(data[3], 64), 4)])
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for name, start in _MAGIC_BYTES if data.startswith(start)), None)


def _format_of_brands(brands: list[bytes]) -> str | None:
    known = next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    return known or ("HEIF" if brands and brands[0] in _GENERAL_BRANDS else None)

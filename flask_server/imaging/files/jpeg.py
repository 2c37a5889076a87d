"""Structure of JPEG files.

A decoder gets the tables, the frame header and the scans. Metadata, thumbnails, fill bytes and all
that stands behind the image are no part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from flask_server.errors import CorruptImage, ImageTooLarge, UnsupportedImage
from flask_server.imaging.files.exif import orientation
from flask_server.imaging.files.structure import FileStructure

#: Maximum number of scans in a JPEG image. A progressive JPEG has about ten; each takes a dozen
#: bytes of the file at least, and as long as a whole image.
MAX_SCANS: Final = 50
#: Maximum number of segments before the first scan, and of markers in all scans.
MAX_SEGMENTS: Final = 5_000
MAX_MARKERS: Final = 100_000
#: Maximum bytes of the tables before the first scan. A whole set of them takes less than 4 kB.
MAX_TABLE_BYTES: Final = 1 << 18

_SOI, _EOI, _SOS, _DHT, _DAC, _DQT, _DRI = 0xD8, 0xD9, 0xDA, 0xC4, 0xCC, 0xDB, 0xDD
_JFIF, _APP1, _ADOBE = 0xE0, 0xE1, 0xEE
_JPEG_LS: Final = 0xF7
_FRAMES: Final = frozenset([*range(0xC0, 0xD0), _JPEG_LS]) - {_DHT, 0xC8, _DAC}
_LOSSLESS: Final = {0xC3, 0xC7, 0xCB, 0xCF}
_PROGRESSIVE: Final = {0xC2, 0xC6, 0xCA, 0xCE}
#: Processes that libjpeg does not read: those of the hierarchical mode, arithmetic lossless, and
#: JPEG-LS.
_UNREAD: Final = {0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, _JPEG_LS}
#: Markers without a length.
_ALONE: Final = {0x00, 0x01, _SOI, *range(0xD0, 0xD8)}
_TABLES: Final = {_DHT, _DAC, _DQT, _DRI}

_LONG_FILL: Final = b"\xff" * 64
_FILL: Final = re.compile(rb"\xff{2,}")
_NOT_FILL: Final = re.compile(rb"[^\xff]")
_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"


@dataclass(slots=True)
class _Header:
    """What stands before the first scan."""

    parts: list[bytes] = field(default_factory=lambda: [b"\xff\xd8"])
    frame: bytes = b""
    process: int = 0
    exif: list[bytes] = field(default_factory=list)
    """The parts of the EXIF block: a long one takes several segments."""

    xmp: bytes = b""
    jfif: bool = False

    def add(self, marker: int, segment: bytes) -> None:
        """Take what matters of one segment, which begins with its length."""
        if marker == _APP1:
            self._add_metadata(segment[2:])
        elif marker in _FRAMES:
            self.frame, self.process = segment, marker
            self._keep(marker, segment)
        elif marker in _TABLES or (marker == _ADOBE and segment[2:7] == b"Adobe"):
            self._keep(marker, segment)
        elif marker == _JFIF and segment[2:7] == b"JFIF\0" and not self.jfif:
            self.jfif = True
            self._keep(marker, segment)

    def _keep(self, marker: int, segment: bytes) -> None:
        self.parts.append(bytes((0xFF, marker)) + segment)

    def _add_metadata(self, content: bytes) -> None:
        if content.startswith(_EXIF):
            self.exif.append(content[len(_EXIF) :] if self.exif else content)
        elif content.startswith(_XMP):
            self.xmp = content


def read(data: bytes) -> FileStructure:
    """Return the structure of a JPEG file, or raise an ImageError."""
    header, scans = _header(data)
    tables = sum(map(len, header.parts))
    if tables > MAX_TABLE_BYTES:
        raise CorruptImage(
            f"The JPEG image has {tables} bytes of tables; at most {MAX_TABLE_BYTES} are allowed."
        )
    precision, components = _check_frame(header)
    height, width = (int.from_bytes(header.frame[i : i + 2], "big") for i in (3, 5))
    if precision != 8:
        raise UnsupportedImage(
            f"The JPEG image has {precision} bits per channel; only 8 bits are read."
        )
    in_one_scan = data[scans + 4 : scans + 5] == bytes((components,))
    buffered = header.process in _PROGRESSIVE or not in_one_scan
    if buffered:  # else the decoder stops behind the first scan
        _check_scans(data, scans)
    held = 1 if components == 1 else 4
    return FileStructure(
        data=b"".join([*header.parts, _without_fill(data, scans)]),
        size=(width, height),
        loaded_bytes=held,
        peak_bytes=held,
        is_rgb=components == 3,
        fixed_bytes=_coefficient_bytes(header.frame, width * height) if buffered else 0,
        orientation=orientation(b"".join(header.exif), header.xmp),
        shrinkable=header.process not in _LOSSLESS,
    )


def is_lossless(data: bytes) -> bool:
    """Return whether a JPEG is coded without loss; raise CorruptImage if it has no scan."""
    header, _ = _header(data)
    return header.process in _LOSSLESS


def _header(data: bytes) -> tuple[_Header, int]:
    """Return what stands before the first scan, and where that begins."""
    header, at = _Header(), 2
    for _ in range(MAX_SEGMENTS):
        begin = data.find(b"\xff", at)
        found = _NOT_FILL.search(data, begin) if begin >= 0 else None
        if found is None or data[found.start()] == _EOI:
            raise CorruptImage("The JPEG image is damaged: it has no scan.")
        marker, at = data[found.start()], found.end()
        if marker in _ALONE:
            continue
        if marker == _SOS:
            return header, at - 2
        length = int.from_bytes(data[at : at + 2], "big")
        header.add(marker, data[at : at + length])
        at += max(2, length)
    raise CorruptImage(
        f"The JPEG image has more than {MAX_SEGMENTS} segments before its first scan."
    )


def _check_frame(header: _Header) -> tuple[int, int]:
    """Return the bits per channel and the number of channels, or raise an ImageError."""
    if len(header.frame) < 8 or len(header.frame) < 8 + 3 * header.frame[7]:
        raise CorruptImage("The JPEG image is damaged: it has no whole frame header.")
    if header.process in _UNREAD:
        raise UnsupportedImage(
            f"The JPEG image is coded by process SOF{header.process - 0xC0}, which is not read."
        )
    if header.frame[3:5] == b"\0\0":
        raise UnsupportedImage(
            "The JPEG image has its height behind its first scan (marker DNL), which is not read."
        )
    components = header.frame[7]
    if components not in {1, 3, 4}:
        raise UnsupportedImage(f"The JPEG image has {components} channels; 1, 3 or 4 are read.")
    return header.frame[2], components


def _coefficient_bytes(frame: bytes, pixels: int) -> int:
    """Return the bytes that the decoder takes to collect several scans."""
    samplings = [divmod(byte, 16) for byte in frame[9 : 9 + 3 * frame[7] : 3]]
    largest = max(1, max(h for h, _ in samplings) * max(v for _, v in samplings))
    return 2 * pixels * sum(h * v for h, v in samplings) // largest


def _without_fill(data: bytes, first: int) -> bytes | memoryview:
    """Return the scans without long runs of fill bytes, for which decoding takes quadratic time."""
    if data.find(_LONG_FILL, first) < 0:
        return memoryview(data)[first:]
    return _FILL.sub(b"\xff", data[first:])


def _check_scans(data: bytes, first: int) -> None:
    """Refuse many scans, counted as far as the image goes."""
    if data.count(b"\xff\xda", first) <= MAX_SCANS:  # the usual case needs no walk
        return
    scans = _count_scans(data, first)
    if scans > MAX_SCANS:
        raise ImageTooLarge(f"The JPEG image has {scans} scans; at most {MAX_SCANS} are allowed.")


def _count_scans(data: bytes, at: int) -> int:
    scans = 0
    for _ in range(MAX_MARKERS):
        found = _MARKER.search(data, at)
        if found is None or data[found.end() - 1] == _EOI:
            return scans
        scans += data[found.end() - 1] == _SOS
        at = found.end() + max(2, int.from_bytes(data[found.end() : found.end() + 2], "big"))
    raise CorruptImage(f"The JPEG image has more than {MAX_MARKERS} segments.")

"""Read text files with protocol buffers."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

from model_server.errors import InvalidArgument
from serving_api.messages import Message, message


def read_message(path: Path, name: str, *, is_secret: bool = False) -> Message:
    """Read a text protocol buffer, or raise InvalidArgument, which quotes no secret file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidArgument(f"{path}; {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"Invalid protobuf file: '{path}'") from error
    if not text:
        raise InvalidArgument(f"{path}; Invalid argument")
    try:
        return text_format.Parse(text, message(name)())
    except text_format.ParseError as error:
        place = f"line {error.GetLine()}, column {error.GetColumn()}"
        told = place if is_secret else str(error)
        raise InvalidArgument(f"Invalid protobuf file: '{path}' ({told})") from error

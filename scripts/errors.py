"""The error that all scripts raise for failures the user can understand."""

from __future__ import annotations


class ScriptError(Exception):
    """A script failed; the message is the one line that goes to stderr."""

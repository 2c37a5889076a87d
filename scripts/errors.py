"""Name the one way in which a script fails: with a sentence for the person who runs it."""

from __future__ import annotations


class ScriptError(Exception):
    """The work cannot be done; the message is the one line that goes to stderr."""

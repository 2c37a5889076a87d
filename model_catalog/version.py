"""The version of the project, which the packages, the HTTP API and the npm package share."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.2.0"

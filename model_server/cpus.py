"""Say how many CPUs this machine has, for defaults that depend on it."""

from __future__ import annotations

import os
from typing import Final

CPUS: Final = os.cpu_count() or 1

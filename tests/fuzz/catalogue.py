"""All fuzz targets."""

from __future__ import annotations

from tests.fuzz import catalogue_targets, gateway_targets, model_server_targets
from tests.fuzz.target import Target

TARGETS: tuple[Target, ...] = (
    *gateway_targets.TARGETS,
    *catalogue_targets.TARGETS,
    *model_server_targets.TARGETS,
)
BY_NAME = {target.name: target for target in TARGETS}

"""The parts of the app that its views use, made once by ``create_app``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from flask_server.inference.predict import Gateway
from flask_server.web.admission import InFlight

_KEY = "image_gateway"


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What one app has in ``app.extensions``."""

    gateway: Gateway

    explanations: InFlight
    """The explanations in progress, which have a limit of their own."""

    metrics_text: Callable[[], bytes] | None
    """Gives all metrics in Prometheus's text format; None where metrics are turned off."""


def install(app: Flask, services: Services) -> None:
    """Give the app its services."""
    app.extensions[_KEY] = services


def services_of(app: Flask) -> Services:
    """Return the services of an app."""
    return cast(Services, app.extensions[_KEY])


def gateway() -> Gateway:
    """Return the gateway of the app that answers the current request."""
    return services_of(current_app).gateway

"""Build the gateway: the one file that knows all parts."""

from __future__ import annotations

import os
import re
import uuid
from functools import cache

from flask import Flask, Response, g, request
from flask_cors import CORS

from flask_server.access import authentication
from flask_server.runtime import preload
from flask_server.serving.client import Serving
from flask_server.serving.models import Models
from flask_server.settings import Settings
from flask_server.stopwatch import Stopwatch
from flask_server.telemetry import access_log, logs, metrics, metrics_directory, request_log
from flask_server.telemetry.metrics import Metrics
from flask_server.telemetry.request_log import NotingGateway
from flask_server.views import documents, explain, health, models, original, page, predict
from flask_server.web import (
    admission,
    body_draining,
    body_limits,
    caching,
    problem_documents,
    security_headers,
)
from flask_server.web.admission import InFlight
from flask_server.web.json_writer import JsonWriter
from flask_server.web.services import Services, install, services_of

EXPOSED = ("X-Request-ID", "Server-Timing", "Retry-After", "X-Model-Warning", "ETag")
PREFLIGHT_AGE_S = 600

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI app; without settings they are read from the environment.

    The app watches its models in a background thread; ``close_app`` ends it.
    """
    settings = settings or Settings.from_env(os.environ)
    logs.configure(settings.log_format)
    app = Flask(__name__)
    app.json = JsonWriter(app)
    watched = _models(settings)
    numbers = _metrics(settings, watched) if settings.metrics else None
    services = Services(
        gateway=NotingGateway(settings, watched),
        explanations=InFlight(explain.AT_ONCE),
        metrics_text=numbers.text if numbers else None,
    )
    install(app, services)
    request_log.init_app(app)
    access_log.init_app(app)
    app.before_request(_begin)
    body_limits.init_app(app, settings.max_body_bytes)
    body_draining.init_app(app)
    authentication.init_app(app, settings, allow_unavailable=preload.has_started())
    admission.init_app(app, settings.max_in_flight)
    if numbers:
        metrics.init_app(app, numbers)
    problem_documents.init_app(app)
    caching.init_app(app)
    security_headers.init_app(app)
    for view in (original, models, predict, explain, health, documents, page):
        app.register_blueprint(view.bp)
    app.after_request(_finish)
    CORS(
        app,
        origins=[_literally(origin) for origin in settings.cors_origins],
        send_wildcard="*" in settings.cors_origins,
        expose_headers=EXPOSED,
        max_age=PREFLIGHT_AGE_S,
    )
    app.before_request(_preflight_of_nothing)
    watched.start(settings.poll_interval_s)
    return app


def _literally(origin: str) -> str | re.Pattern[str]:
    """Return what Flask-CORS takes for this origin alone; it reads brackets as a pattern."""
    return re.compile(re.escape(origin) + r"\Z", re.IGNORECASE) if "[" in origin else origin


def close_app(app: Flask) -> None:
    """End the app's background thread and connections."""
    services_of(app).gateway.models.stop()


def _models(settings: Settings) -> Models:
    @cache
    def serving_at(url: str) -> Serving:
        return Serving(url, connections=settings.threads)

    entries = preload.models_file(settings.models_file).entries
    return Models(
        entries, lambda url: serving_at(url or settings.serving_url), settings.max_inflight_calls
    )


def _metrics(settings: Settings, models: Models) -> Metrics:
    shared = metrics_directory.shared(os.environ)
    return Metrics(models, max_in_flight=settings.max_in_flight, shared=shared)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    g.stopwatch = Stopwatch()


def _preflight_of_nothing() -> Response | None:
    """Let a page ask for what is not there: its browser shows it the 404 only after a preflight."""
    asks = "Access-Control-Request-Method" in request.headers
    return Response() if asks and request.method == "OPTIONS" and not request.url_rule else None


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["Server-Timing"] = g.stopwatch.header()
    allowed = response.headers.get("Access-Control-Allow-Origin")
    if allowed:
        response.headers["Timing-Allow-Origin"] = allowed
    return response

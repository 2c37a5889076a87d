"""Build the WSGI app of the gateway: the only module that imports all its parts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, request
from flask_cors import CORS

from flask_server.access import authentication
from flask_server.access.key_store import KeyStore
from flask_server.inference.predict import Gateway
from flask_server.inference.shadow import Shadow
from flask_server.runtime import preload
from flask_server.serving.connect import Connections, connect
from flask_server.serving.file_poll import FilePoll
from flask_server.serving.golden_replay import ReplayOptions
from flask_server.serving.models import Models
from flask_server.serving.tls import TlsFiles, check_files
from flask_server.settings import Settings
from flask_server.telemetry import access_log, logs, metrics_directory, request_log, traces
from flask_server.telemetry.metrics import Metrics
from flask_server.telemetry.request_log import Writer
from flask_server.views import documents, explain, health, models, original, page, predict
from flask_server.web import (
    admission,
    body_draining,
    body_limits,
    caching,
    problem_documents,
    request_context,
    security_headers,
)
from flask_server.web.admission import InFlight
from flask_server.web.client_address import ForwardedClient
from flask_server.web.json_writer import JsonWriter
from flask_server.web.route_traits import traits
from flask_server.web.services import Services, install, services_of
from model_catalog.models_file import ModelsFile
from serving_tracing import spans, start

EXPOSED = (
    "X-Request-ID",
    "Server-Timing",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "X-Model-Warning",
    "X-Model-Version",
    "X-Model-Version-Label",
    "ETag",
)
_EXPOSED = ", ".join(sorted(EXPOSED))
_ALLOWED_ORIGIN = "Access-Control-Allow-Origin"
_PRIVATE_NETWORK = "Access-Control-Request-Private-Network"
PREFLIGHT_AGE_S = 600
#: The name of the gateway in traces, unless the environment has one.
SERVICE_NAME = "image-classification-gateway"


class GatewayApp(Flask):
    """Flask for functions that are not async.

    Flask would inspect each hook and view of every request, in case it is a coroutine function.
    """

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function itself."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI app; without settings they are read from the environment.

    The app watches its models and the models file in background threads; ``close_app`` ends them.
    """
    settings = settings or Settings.from_env(os.environ)
    logs.configure(settings.log_format)
    # gunicorn's parent process has warned of a missing package already, for all workers.
    start.start(SERVICE_NAME, os.environ, warns=not preload.has_started())
    app = GatewayApp(__name__)
    if settings.trusted_proxies:
        app.wsgi_app = ForwardedClient(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    app.json = JsonWriter(app)
    # Flask's own view for the files of pages.
    traits(revalidated=True, page_file=True)(app.view_functions["static"])
    for view in (original, models, predict, explain, health, documents, page):
        app.register_blueprint(view.bp)
    models_file = preload.models_file(settings.models_file)
    watched = _models(settings, models_file)
    keys = authentication.key_store(settings, allow_unavailable=preload.has_started())
    metrics = _metrics(settings, watched, keys) if settings.metrics else None
    predictions = _limit(settings, metrics)
    services = Services(
        gateway=Gateway(settings, watched, _shadow(settings, watched, predictions, metrics)),
        predictions=predictions,
        explanations=InFlight(explain.AT_ONCE),
        open_paths=authentication.open_paths(app),
        metrics_text=metrics.text if metrics else None,
        count_unhandled=metrics.count_unhandled if metrics else lambda _reason, _count: None,
        shadow_figures=metrics.shadow_figures if metrics else None,
    )
    install(app, services)
    problem_documents.init_app(app)
    _register_hooks(app, services, keys, _writers(metrics))
    watched.start(settings.poll_interval_s)
    FilePoll(models_file, watched).start(settings.poll_interval_s)
    return app


def close_app(app: Flask) -> None:
    """End the app's background threads and connections."""
    gateway = services_of(app).gateway
    gateway.shadow.close()
    gateway.models.stop()


def _register_hooks(
    app: Flask, services: Services, keys: KeyStore | None, writers: Sequence[Writer]
) -> None:
    """Register the hooks that run around every request; their order matters.

    Flask calls ``before_request`` functions in the order of their registration. It calls
    ``after_request`` and ``teardown_request`` functions in reverse: read both from the bottom up.
    """
    settings, predictions = services.gateway.settings, services.predictions
    # First, because everything below reads or writes the request context.
    app.before_request(request_context.begin)
    # Before all hooks that refuse a request, because drain_body reads the rest of its body.
    app.before_request(lambda: body_limits.bound_body(settings.max_body_bytes))
    # Before admission, so that callers without a key take no slot. First the key, then its quota.
    authentication.init_app(app, settings, services.open_paths, keys)
    # After the hooks that refuse a request at less cost.
    app.before_request(lambda: admission.admit(predictions))
    # Last, because its response ends the hooks before a request.
    app.before_request(_answer_preflight_for_unknown_path)

    # Last, because the log describes the response as it is sent.
    app.after_request(request_log.note_outcome)
    # Before the response is sent, because a client that still sends a body would not read it.
    app.after_request(body_draining.drain_body)
    # After all that writes headers, because an unchanged response becomes a 304.
    app.after_request(caching.add_headers)
    # After CORS, whose headers stay as they are.
    app.after_request(security_headers.add_headers)
    # After CORS, because Timing-Allow-Origin repeats the origin that CORS allows.
    app.after_request(_add_id_and_timing)
    # First. Flask-CORS registers its own function.
    _allow_origins(app, settings.cors_origins)

    # Last, because the entry describes the whole request.
    app.teardown_request(lambda _: request_log.write_entry(writers))
    # First, so that the slot is free as early as possible.
    app.teardown_request(lambda _: admission.release(predictions))


def _writers(metrics: Metrics | None) -> list[Writer]:
    """Return what writes down each finished request."""
    writers: list[Writer] = [access_log.write]
    if metrics:
        writers.append(metrics.write)
    if spans.active():
        writers.append(traces.write)
    return writers


def _allow_origins(app: Flask, origins: Sequence[str]) -> None:
    CORS(
        app,
        origins=[_literally(origin) for origin in origins],
        send_wildcard="*" in origins,
        expose_headers=EXPOSED,
        max_age=PREFLIGHT_AGE_S,
    )
    if "*" in origins:
        # Runs before Flask-CORS, which skips responses that have the headers.
        app.after_request(_allow_any_origin)


def _allow_any_origin(response: Response) -> Response:
    """Add the headers of Flask-CORS for any origin, with less work.

    The responses to preflights, which have further headers, are left to Flask-CORS.
    """
    is_simple = request.method != "OPTIONS" and _PRIVATE_NETWORK not in request.headers
    if is_simple and _ALLOWED_ORIGIN not in response.headers:
        response.headers.add(_ALLOWED_ORIGIN, "*")
        response.headers.add("Access-Control-Expose-Headers", _EXPOSED)
    return response


def _literally(origin: str) -> str | re.Pattern[str]:
    """Return the origin for Flask-CORS, escaped if it has a bracket, which makes it a pattern."""
    return re.compile(re.escape(origin) + r"\Z", re.IGNORECASE) if "[" in origin else origin


def _models(settings: Settings, file: ModelsFile) -> Models:
    tls = TlsFiles.of(settings)
    check_files(tls)
    connections = Connections(settings.threads, tls)
    return Models(
        file.entries,
        lambda url: connections.serving_at(url or settings.serving_url),
        settings.max_inflight_calls,
        ReplayOptions(max_drift=settings.max_score_drift, spread_polls=2 * settings.workers),
    )


def _shadow(
    settings: Settings, models: Models, predictions: InFlight, metrics: Metrics | None
) -> Shadow:
    """Return the copies, which are sent while the requests leave a call to Serving free."""
    return Shadow(
        settings,
        traffic_of=models.traffic,
        is_busy=lambda: predictions.count >= settings.max_inflight_calls,
        connect=lambda address: connect(address, 1, TlsFiles.of(settings)),
        observe=metrics.count_shadow if metrics else lambda _: None,
    )


def _limit(settings: Settings, metrics: Metrics | None) -> InFlight:
    limit = settings.max_in_flight
    return InFlight(limit, metrics.count_in_flight) if metrics else InFlight(limit)


def _metrics(settings: Settings, models: Models, keys: KeyStore | None) -> Metrics:
    return Metrics(
        models,
        max_in_flight=settings.max_in_flight,
        shared=metrics_directory.shared(os.environ),
        listed_keys=keys.listed if keys else frozenset,
    )


def _answer_preflight_for_unknown_path() -> Response | None:
    """Answer preflights for unknown paths, so that browsers can read the 404."""
    asks = "Access-Control-Request-Method" in request.headers
    return Response() if asks and request.method == "OPTIONS" and not request.url_rule else None


def _add_id_and_timing(response: Response) -> Response:
    """Add request id, ``Server-Timing`` and the choice of a split from the request context."""
    context = request_context.current()
    response.headers["X-Request-ID"] = context.request_id
    response.headers["Server-Timing"] = context.stopwatch.header()
    if context.split_label is not None:
        response.headers["X-Model-Version"] = str(context.version)
        # Labels may have letters that a header cannot.
        response.headers["X-Model-Version-Label"] = quote(context.split_label)
    allowed = response.headers.get(_ALLOWED_ORIGIN)
    if allowed:
        response.headers["Timing-Allow-Origin"] = allowed
    return response

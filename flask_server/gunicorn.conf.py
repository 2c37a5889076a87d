"""Configuration of gunicorn for the gateway: ``gunicorn -c flask_server/gunicorn.conf.py``.

The values come from the gateway's settings. An invalid setting stops the start with one sentence.
"""

import logging
import math
import os
import sys
from typing import Any

from gunicorn import glogging

from flask_server.access import authentication
from flask_server.runtime import bad_request_page, malloc_tuning, preload
from flask_server.settings import Settings, SettingsError
from flask_server.telemetry import logs, metrics_directory
from model_catalog.errors import CatalogError
from serving_tracing import start

try:
    _settings = Settings.from_env(os.environ)
    preload.start(_settings)
except (SettingsError, CatalogError) as error:
    if not preload.has_started():
        sys.exit(str(error))
    logging.getLogger("gunicorn.error").error("The previous configuration stays in use. %s", error)
if _settings.metrics:
    metrics_directory.try_to_make(os.environ)
logging.captureWarnings(True)
malloc_tuning.share()

wsgi_app = "flask_server.app:create_app()"
bind = "127.0.0.1:5000"
worker_class = "flask_server.runtime.worker.GatewayWorker"
workers = _settings.workers
threads = _settings.threads
limit_request_line = limit_request_field_size = bad_request_page.LONGEST_LINE
limit_request_fields = bad_request_page.MOST_HEADERS
# Otherwise callers behind a local proxy could set SCRIPT_NAME and PATH_INFO by headers.
forwarder_headers = ""
# Longer than common proxies and browsers keep idle connections, so that they close first.
keepalive = 75
# A worker whose main loop sends no heartbeat for this long is restarted. Requests run in other
# threads, so a slow request does not count.
timeout = 30
graceful_timeout = math.ceil(_settings.deadline_s) + 5
# Maximum number of connections that wait to be accepted, the same as Linux's own default
# (net.core.somaxconn); beyond, clients try again after a second.
backlog = 4096
control_socket_disable = True
# The worker sends files like any other response: without a thread that waits for the client.
sendfile = False
# The workers touch their heartbeat file several times per request, so it is kept in memory.
# gunicorn makes a file of its own in it.
_MEMORY = "/dev/shm"  # noqa: S108  # nosec B108
worker_tmp_dir = _MEMORY if os.path.isdir(_MEMORY) else None
logconfig_dict = logs.config(_settings.log_format)


class logger_class(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log in the gateway's format, without an access log: the app writes that."""

    access_log_enabled = False

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 (gunicorn has no types)
        """Apply gunicorn's ``--log-level`` to the gateway too."""
        super().setup(cfg)
        logging.getLogger(logs.LOGGER_NAME).setLevel(self.loglevel)


def on_starting(server: Any) -> None:  # noqa: ANN401 (gunicorn has no types)
    """Log a warning when the limits of API keys hold per worker, or a package is missing."""
    per_worker = authentication.per_worker_warning(_settings, server.cfg.workers)
    for warning in (per_worker, start.missing_package(os.environ)):
        if warning is not None:
            server.log.warning(warning)


def pre_fork(_server: Any, _worker: Any) -> None:  # noqa: ANN401 (gunicorn has no types)
    """Let a worker that starts later inherit the models file that was valid last."""
    preload.refresh()


def post_worker_init(_worker: Any) -> None:  # noqa: ANN401 (gunicorn has no types)
    """Start the memory-trimming thread in the worker; threads do not survive the fork."""
    malloc_tuning.keep_trimmed()


def worker_exit(_server: Any, _worker: Any) -> None:  # noqa: ANN401 (gunicorn has no types)
    """Send the last spans of a worker that ends."""
    start.stop()


def child_exit(_server: Any, worker: Any) -> None:  # noqa: ANN401 (gunicorn has no types)
    """Remove the gauges of a worker that ended from the metrics."""
    if metrics_directory.shared(os.environ):
        # Imported here because the import reads the metrics directory from the environment.
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # as the library is

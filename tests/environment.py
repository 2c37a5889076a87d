"""The variables of the tests: what a user has set for servers of their own changes no result."""

from __future__ import annotations

from collections.abc import Mapping

#: Names, or their beginnings, of what the programs of the project and their libraries read.
_READ = (
    *("GATEWAY_", "OTEL_", "TENSORFLOW_MODEL_SERVER_", "PROMETHEUS_MULTIPROC_DIR"),
    *("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "NOTIFY_SOCKET", "TF_USE_LEGACY_KERAS"),
)
_PROXIES = {"http_proxy", "all_proxy"}
_HERE = ("127.0.0.1", "127.0.0.2", "localhost")


def of_tests(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those; a proxy is not asked for the servers of the tests."""
    kept = {name: text for name, text in environ.items() if not name.startswith(_READ)}
    if any(name.lower() in _PROXIES for name in kept):
        for name in ("no_proxy", "NO_PROXY"):
            hosts = [*kept.get(name, "").split(","), *_HERE]
            kept[name] = ",".join(dict.fromkeys(filter(None, hosts)))
    return kept

"""Read the gateway's settings once, from a mapping that is passed in.

The set is closed: an unknown ``GATEWAY_`` variable or a bad value is a ``SettingsError`` that gives
the name, the value and what is allowed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from model_catalog.places import find_places
from model_catalog.serving_addresses import (
    SERVING_URLS,
    is_server_root,
    is_serving_url,
    serving_addresses,
)

PREFIX = "GATEWAY_"

log = logging.getLogger(__name__)

#: Old names of settings, which still work in this release, and their new names.
RENAMED = {"GATEWAY_CALLS_UNDER_WAY": "GATEWAY_MAX_INFLIGHT_CALLS"}

#: Maximum number of copies of a body in memory: as received, as read, and decoded.
BODY_COPIES = 5

#: Threads beyond ``max_in_flight``, so that a request over the limit finds a thread to refuse it.
SPARE_THREADS = 8

#: Sockets wait for 2^31 ms at most, 24 days.
MAX_DEADLINE_S = 2_147_483

#: Kubernetes injects such names for a Service called "gateway".
_INJECTED = re.compile(r"\w*_PORT(_\w*)?|\w*_SERVICE_HOST|\w*_SERVICE_PORT\w*")
#: Host names and IP addresses, as ``urlsplit`` returns them.
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


class SettingsError(ValueError):
    """The environment holds a setting that cannot be used."""


class FastResize(Enum):
    """Whether images are resized with SIMD instructions, by an optional package."""

    OFF = "false"
    ON = "true"
    AUTO = "auto"
    """If the package is installed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """One field per setting; ``serving_url`` is read from ``GATEWAY_SERVING_URL``.

    The table of docs/reference/settings.md is made of the fields, their defaults and docstrings.
    """

    serving_url: str = "http://127.0.0.1:9000"
    """Root of the model server's REST API, without ``/v1``; or ``grpc://host:port``, with TLS
    ``grpcs://host:port``, to ask over gRPC (docs/gateway.md#grpc). Several are separated by commas
    (docs/serving.md#several-addresses)."""

    serving_ca: Path | None = None
    """PEM file of the certificates that must have signed those of model servers with ``https://``
    or ``grpcs://`` (docs/gateway.md#tls-to-the-model-server); without it those of the system."""

    serving_certificate: Path | None = None
    """PEM file of the gateway's certificate, for such model servers that ask for one."""

    serving_key: Path | None = None
    """PEM file of the private key of that certificate."""

    models_file: Path = find_places().models_file
    """File that names the models."""

    cors_origins: tuple[str, ...] = ("*",)
    """Origins whose pages may call the gateway, separated by commas; ``*`` allows all."""

    max_body_bytes: int = 32 * 1024 * 1024
    """Largest request body in bytes, base64 included."""

    max_pixels: int = 100_000_000
    """Largest width x height of an image that is decoded."""

    max_memory: int = 320 * 1024 * 1024
    """Bytes that the request bodies, images and responses of one worker may take together;
    with the default, two workers fit into a container of 1 GB."""

    max_images: int = 32
    """Maximum number of images in one request."""

    max_in_flight: int = 32
    """Maximum number of prediction requests in flight per worker; gunicorn gets 8 threads
    more."""

    max_inflight_calls: int = 2
    """Maximum concurrent calls to Serving per model and worker; images that arrive meanwhile are
    batched into the next one. An engine that runs one batch at a time is kept busy by two calls, an
    engine that runs two batches by three."""

    deadline_s: float = 10.0
    """Seconds a request may take, once its body has arrived, before it is answered with 504."""

    split_header: str | None = None
    """Request header whose value keeps a caller at one version label of a split
    (docs/models_file.md#split-and-shadow). Without it the API key does, and without a key each
    request is divided by chance."""

    poll_interval_s: float = 1.0
    """Seconds between two polls of the model versions that Serving has."""

    max_score_drift: float | None = None
    """Largest difference between the scores that a version returns for its golden images and
    those of the exported model (docs/gateway.md#golden-images). A version with a larger one is
    not used. Without a value no version is refused."""

    fast_jpeg: bool = True
    """Shrink large JPEGs while decoding, never below twice the model's input size."""

    fast_resize: FastResize = FastResize.OFF
    """Resize with SIMD instructions; pixels differ from those of Keras by at most one level of 255.
    ``auto`` does so if the package cykooz.resizer is installed; ``auto_cmd.py`` sets ``auto`` with
    ``--precision bf16``, ``int8`` or ``auto`` (docs/gateway.md#fast-resizing)."""

    workers: int = 2
    """Number of gunicorn's worker processes."""

    api_keys_file: Path | None = None
    """File of hashed API keys; naming one turns authentication on."""

    rate_limit: str = "600 per minute"
    """Quota of an API key that has no limit of its own."""

    limits_url: str = "memory://"
    """Where quotas are counted: ``memory://`` (in each worker) or ``redis://host:port/db`` (for all
    workers together)."""

    trusted_proxies: int = 0
    """Number of proxies in front of the gateway, such as 1 for nginx. Each adds the address of its
    caller to ``X-Forwarded-For``, and the log has the one that the outermost proxy saw. With 0 the
    header is ignored. Clients that can reach the gateway past the proxies could write any address
    into the log."""

    metrics: bool = True
    """Answer ``/metrics``."""

    log_format: str = "json"
    """``json`` (one object a line) or ``text``."""

    @property
    def threads(self) -> int:
        """Threads per gunicorn worker."""
        return self.max_in_flight + SPARE_THREADS

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Build settings from ``GATEWAY_*``; a misspelt variable is an error."""
        readers = {PREFIX + field.name.upper(): field.name for field in fields(cls)}
        values: dict[str, Any] = {}
        for variable, text in _with_new_names(environ).items():
            if variable in readers:
                values[readers[variable]] = _READERS[readers[variable]](variable, text)
            elif variable.startswith(PREFIX) and not _INJECTED.fullmatch(variable):
                known = ", ".join(sorted(readers))
                raise SettingsError(f"{variable} is no setting; known are {known}.")
        settings = cls(**values)
        least = settings.max_body_bytes * BODY_COPIES
        if settings.max_memory < least:
            raise SettingsError(
                f"GATEWAY_MAX_MEMORY={settings.max_memory} is not allowed; allowed is {least} or"
                f" more, {BODY_COPIES} times GATEWAY_MAX_BODY_BYTES."
            )
        return settings


def _with_new_names(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by their new names, and warn of each old name that is in use."""
    renamed = dict(environ)
    for old, new in RENAMED.items():
        if old not in renamed:
            continue
        if new in renamed:
            raise SettingsError(f"{old} is the old name of {new}; only one of them is allowed.")
        log.warning("%s is now called %s; the old name will stop working.", old, new)
        renamed[new] = renamed.pop(old)
    return renamed


def _refused(variable: str, text: str, allowed: str) -> SettingsError:
    return SettingsError(f"{variable}={text!r} is not allowed; allowed is {allowed}.")


def _whole(least: int) -> Callable[[str, str], int]:
    def read(variable: str, text: str) -> int:
        if re.fullmatch(r"\d{1,15}", text.strip()) and int(text) >= least:
            return int(text)
        raise _refused(variable, text, f"a whole number, {least} or more")

    return read


def _seconds(variable: str, text: str) -> float:
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text.strip()) and float(text) > 0:
        return float(text)
    raise _refused(variable, text, "a number of seconds above 0")


def _deadline(variable: str, text: str) -> float:
    number = _seconds(variable, text)
    if number > MAX_DEADLINE_S:
        raise _refused(variable, text, f"a number of seconds above 0, at most {MAX_DEADLINE_S}")
    return number


def _difference(variable: str, text: str) -> float:
    if re.fullmatch(r"\d{1,9}(\.\d+)?([eE]-\d{1,2})?", text.strip()):
        return float(text)
    raise _refused(variable, text, "a difference of scores, such as 0.01")


def _flag(variable: str, text: str) -> bool:
    meaning = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    try:
        return meaning[text.strip().lower()]
    except KeyError:
        raise _refused(variable, text, "true or false") from None


def _fast_resize(variable: str, text: str) -> FastResize:
    if text.strip().lower() == FastResize.AUTO.value:
        return FastResize.AUTO
    return FastResize.ON if _flag(variable, text) else FastResize.OFF


def _root(variable: str, text: str) -> str:
    if "@" in text:
        # It may be a password, so it is not repeated.
        raise SettingsError(f"{variable}: an address with a user name or password is not allowed.")
    if not is_serving_url(text):
        raise _refused(variable, text, f"{SERVING_URLS}, separated by commas")
    return ",".join(serving_addresses(text))


def _origins(variable: str, text: str) -> tuple[str, ...]:
    origins = tuple(normal_origin(part.strip()) for part in text.split(",") if part.strip())
    if not origins or "" in origins:
        raise _refused(
            variable, text, "* or origins such as https://app.example, separated by commas"
        )
    return origins


def normal_origin(text: str) -> str:
    """Return an origin as browsers send it; the empty string if the text is not an origin."""
    if text == "*":
        return text
    parts = urlsplit(text) if is_server_root(text) else None
    if parts is None or not _HOST.fullmatch(parts.hostname or ""):
        return ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in {None, usual} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _rate(variable: str, text: str) -> str:
    """Accept one limit in Flask-Limiter's notation, and leave its meaning to Flask-Limiter."""
    if re.fullmatch(r"[1-9]\d{0,8} ?(/|per) ?(second|minute|hour|day)", text.strip()):
        return text.strip()
    raise _refused(variable, text, "such as 600 per minute: a number per second, minute, hour, day")


def _limits(variable: str, text: str) -> str:
    if text == "memory://" or re.fullmatch(r"(redis|rediss|redis\+unix)://\S+", text):
        return text
    # The value may hold a password, so it is not repeated.
    raise SettingsError(f"{variable}: allowed is memory:// or an address like redis://host:6379/0.")


def _header(variable: str, text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", text.strip()):
        return text.strip()
    raise _refused(variable, text, "the name of a header, such as X-User-ID")


def _one_of(*allowed: str) -> Callable[[str, str], str]:
    def read(variable: str, text: str) -> str:
        if text in allowed:
            return text
        raise _refused(variable, text, " or ".join(allowed))

    return read


def _file(variable: str, text: str) -> Path:
    if not text.strip():
        raise _refused(variable, text, "the path of a file")
    return Path(text)


_READERS: dict[str, Callable[[str, str], Any]] = {
    "serving_url": _root,
    "serving_ca": _file,
    "serving_certificate": _file,
    "serving_key": _file,
    "models_file": _file,
    "cors_origins": _origins,
    "max_body_bytes": _whole(1),
    "max_pixels": _whole(1),
    "max_memory": _whole(1),
    "max_images": _whole(1),
    "max_in_flight": _whole(1),
    "max_inflight_calls": _whole(1),
    "deadline_s": _deadline,
    "split_header": _header,
    "poll_interval_s": _seconds,
    "max_score_drift": _difference,
    "fast_jpeg": _flag,
    "fast_resize": _fast_resize,
    "workers": _whole(1),
    "api_keys_file": _file,
    "rate_limit": _rate,
    "limits_url": _limits,
    "trusted_proxies": _whole(0),
    "metrics": _flag,
    "log_format": _one_of("json", "text"),
}

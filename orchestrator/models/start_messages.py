"""The lines that a start prints: about its models before, and requests to try once all is ready."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from model_catalog.folders import version_folders
from model_catalog.installation import is_checkout, is_current, supervisor_command
from model_catalog.model_entry import ModelEntry
from orchestrator.models.entries import configured_versions
from orchestrator.models.faults import version_faults
from orchestrator.models.served_models import ServedModels
from orchestrator.resolved_options import KEYS_FILE, SERVING_URL, ResolvedOptions

DIGITS = "digits"
IMAGES = ("digit_3.png", "cat.jpg")


def start_notes(options: ResolvedOptions, entries: Iterable[ModelEntry]) -> Iterator[str]:
    """Return the lines about processes, environment and models that a start prints first."""
    workers = options.env["GATEWAY_WORKERS"]
    yield f"threads: {options.threads} for Serving, {workers} gateway process(es)"
    url = options.env[SERVING_URL]
    if url != options.serving_url:
        yield f"note: {SERVING_URL}={url} is set, so the gateway sends its calls there"
    for entry in entries:
        yield from _version_notes(entry)
        for fault in version_faults(options.kind, entry):
            yield f"note: model {entry.name}: {fault.text} (fix: {fault.fix})"


def _version_notes(entry: ModelEntry) -> Iterator[str]:
    """Return what a start says of versions that are configured and not there."""
    try:
        there, served = set(version_folders(entry.base_path)), configured_versions(entry)
    except OSError as error:
        reason = f"{entry.base_path} cannot be read ({error.strerror})"
        yield f"note: model {entry.name}: {reason}; the start does not wait for it"
        return
    listed = set() if isinstance(entry.versions, str) else set(entry.versions)
    absent = ", ".join(map(str, sorted(listed - there)))
    detail = f"version {absent} of its list in the models file is not in {entry.base_path}"
    if not served:
        reason = f": {detail}" if absent else ""
        yield f"note: model {entry.name} has no version yet{reason}; the start does not wait for it"
    elif absent:
        yield f"note: model {entry.name}: {detail}"
    for label, number in entry.version_labels.items():
        if number not in served:
            yield f"note: model {entry.name}: label {label} means version {number}, which is absent"


def ready_lines(options: ResolvedOptions, served: ServedModels, description: str) -> Iterator[str]:
    """Return the lines that a start prints once all is ready: address and commands to try."""
    served.readiness.is_announced = True
    command = supervisor_command(options.root)
    for name, reason in served.readiness.broken.items():
        yield f"warning: model {name} cannot be loaded: {reason} (try: {command} doctor)"
    for name, reason in served.readiness.unusable.items():
        yield f"warning: model {name} cannot be used: {reason} (try: {command} doctor)"
    url = options.gateway_url
    has_keys = bool(options.env.get(KEYS_FILE))
    header = "-H 'X-API-Key: KEY' " if has_keys else ""
    yield f"ready: {url} (serving: {description}); try next:"
    if is_checkout(options.root):
        yield from _sample_requests(options, served.names, has_keys=has_keys)
    else:
        yield f"  curl {header}-F image=@IMAGE.jpg {url}/models/{served.names[0]}/predict"
    yield f"  curl {header}{url}/models"


def _sample_requests(
    options: ResolvedOptions, names: Sequence[str], *, has_keys: bool
) -> Iterator[str]:
    """Return commands that send the test images of the checkout."""
    root = options.root
    here = Path() if is_current(root) else root
    python = Path(options.python)
    words = [
        here / python.relative_to(root) if python.is_relative_to(root) else python,
        here / "flask_server/flask_sample_request.py",
    ]
    sample = shlex.join(map(str, words))
    digit, cat = (shlex.quote(str(here / "test_images" / name)) for name in IMAGES)
    url = options.gateway_url
    extra = "" if url == "http://127.0.0.1:5000" else f" --url {url}"
    extra += " --api-key KEY" if has_keys else ""
    if DIGITS in names:
        yield f"  {sample} -i {digit} --model {DIGITS}{extra}"
    yield f"  {sample} -i {cat}{extra}"

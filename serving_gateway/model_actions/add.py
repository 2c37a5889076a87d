"""``serving-gateway models add``: write a model into the models file and wait for it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from model_catalog.folders import faults
from model_catalog.spec import ACTIVATIONS, SCALES
from scripts.errors import ScriptError
from serving_gateway.instance import instance_of
from serving_gateway.model_actions.action import Action
from serving_gateway.model_actions.gateway import wait_for_gateway, wait_options
from serving_gateway.model_actions.output import say


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help="name of the model in paths")
    add("base_path", type=Path, help="folder with one numbered folder per version")
    add(
        "--versions",
        type=_versions,
        help="served versions: latest (the default), all, or numbers such as 1,2",
    )
    add(
        "--label",
        type=_label,
        action="append",
        default=[],
        metavar="LABEL=VERSION",
        help="version label, such as stable=1; may be given several times",
    )
    add("--serving-url", help="root URL of another Serving that serves the model")
    add("--labels", metavar="FILE|imagenet", help="class labels of a model without a description")
    add("--scale", choices=SCALES, help="scaling of a model without a description")
    add("--activation", choices=ACTIVATIONS, help="activation of a model without a description")
    wait_options(parser)


def _versions(text: str) -> str | list[int]:
    if text in {"latest", "all"}:
        return text
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not allowed; allowed is latest, all, or numbers such as 1,2"
        )
    return sorted(map(int, parts))


def _label(text: str) -> tuple[str, int]:
    label, _, number = text.partition("=")
    if not (label and number.isascii() and number.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not LABEL=VERSION, such as stable=1")
    return label, int(number)


def _add(options: argparse.Namespace) -> int:
    from scripts.versions import models_toml
    from scripts.versions.waiting import Wanted

    instance = instance_of(options)
    file = instance.models_file.absolute()
    if options.serving_url is None and not options.base_path.is_dir():
        raise ScriptError(
            f"{options.base_path} is not a folder; allowed is a folder with one sub-folder per "
            "version (1, 2, …)."
        )
    given = {
        "base_path": _as_written(options.base_path, file.parent),
        "serving_url": options.serving_url,
        "versions": options.versions,
        "version_labels": dict(options.label),
        "input": {"scale": options.scale} if options.scale else None,
        "labels": _labels_as_written(options.labels, file.parent),
        "activation": options.activation,
    }
    values = {key: value for key, value in given.items() if value}
    entry = models_toml.add_model(file, options.name, values)
    say(f"{file}: added\n\n{models_toml.lines_of(options.name, values)}")
    found = list(faults(entry)) if entry.serving_url is None else []
    for fault in found:
        say(f"{'warning' if fault.is_error else 'note'}: {fault.text} (try: {fault.fix})")
    if any(fault.is_error for fault in found):
        return 0
    if (instance.running or {}).get("serving", {}).get("kind") == "docker":
        say("note: the container does not have its folder yet; stop and start mounts it")
        return 0
    wait_for_gateway(options, instance, Wanted(options.name), "remove its lines to take it back.")
    return 0


def _as_written(path: Path, folder: Path) -> str:
    """Return a path as it stands in the models file: relative to its folder where it lies below."""
    path, folder = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _labels_as_written(labels: str | None, folder: Path) -> str | None:
    return labels if labels in {None, "imagenet"} else _as_written(Path(str(labels)), folder)


ADD = Action("add a model to the models file and wait until it is ready", _add_options, _add)

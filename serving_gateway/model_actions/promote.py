"""``serving-gateway models promote`` and ``rollback``: change which version answers requests."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from model_catalog.folders import version_folders
from model_catalog.model_entry import ModelEntry
from scripts.errors import ScriptError
from serving_gateway.instance import Instance, instance_of
from serving_gateway.model_actions.action import Action
from serving_gateway.model_actions.gateway import wait_for_gateway, wait_options
from serving_gateway.model_actions.output import say

if TYPE_CHECKING:
    from scripts.versions.promotion import Promotion
    from scripts.versions.waiting import Wanted


def _promote_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the model")
    parser.add_argument("version", type=_version, help="number of the version, or latest")
    parser.add_argument("--label", help="version label to move, such as stable")
    wait_options(parser)


def _version(text: str) -> int | str:
    if text == "latest":
        return text
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed is a number, or latest")
    return int(text)


def _promote(options: argparse.Namespace) -> int:
    from scripts.versions.history import History

    instance = instance_of(options)
    history = History(instance.models_file)
    made = _set_version(options, instance, lambda entry: options.version)
    if made.before is not None and made.before != made.version:
        history.add(options.name, options.label, made.before)
    _say_promotion(options, made)
    undo = f"models rollback {options.name}{_label_words(options)} takes it back."
    wait_for_gateway(options, instance, _wanted(options, made), undo)
    return 0


def _rollback_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the model")
    parser.add_argument("--label", help="version label to move back, such as stable")
    parser.add_argument("--to", type=_version, metavar="VERSION", help="another version")
    wait_options(parser)


def _rollback(options: argparse.Namespace) -> int:
    from scripts.versions.history import History, rollback_target
    from scripts.versions.promotion import current

    instance = instance_of(options)
    history = History(instance.models_file)

    def target(entry: ModelEntry) -> int | str:
        if options.to is not None:
            wanted: int | str = options.to
            return wanted
        on_disk = _on_disk(entry)
        present = current(entry, options.label, on_disk)
        replaced = history.replaced(options.name, options.label)
        found = rollback_target(replaced, present, on_disk)
        if found is None:
            there = ", ".join(map(str, sorted(on_disk))) or "none"
            what = f"label {options.label}" if options.label else "requests without a label"
            raise ScriptError(
                f"Model {options.name} has no version before {present} for {what}; there are "
                f"{there}. --to names one."
            )
        return found

    made = _set_version(options, instance, target)
    is_noted = made.version in history.replaced(options.name, options.label)
    if options.to is None and not is_noted:
        # No note was usable. One that stays could lead a later rollback forwards.
        history.clear(options.name, options.label)
    history.cut(options.name, options.label, made.version)
    _say_promotion(options, made)
    undo = f"models promote {options.name} {made.before}{_label_words(options)} takes it back."
    wait_for_gateway(options, instance, _wanted(options, made), undo)
    return 0


def _set_version(
    options: argparse.Namespace, instance: Instance, wanted: Callable[[ModelEntry], int | str]
) -> Promotion:
    """Write the version that is wanted into the models file; return what that means."""
    from scripts.versions import models_toml
    from scripts.versions.promotion import promotion

    made: list[Promotion] = []

    def decide(entry: ModelEntry) -> Mapping[str, Any]:
        made.append(promotion(entry, wanted(entry), options.label, _on_disk(entry)))
        values = made[0].values
        is_default = values["versions"] == "latest" and entry.versions == "latest"
        return {k: v for k, v in values.items() if k != "versions" or not is_default}

    instance.models()  # so that a file that is missing or wrong is told as elsewhere
    require_own_serving(instance)
    models_toml.set_versions(instance.models_file, options.name, decide)
    return made[0]


def require_own_serving(instance: Instance) -> None:
    """Raise ScriptError where the models file does not decide on the versions that are served."""
    serving = (instance.running or {}).get("serving", {})
    if serving.get("kind") == "none":
        raise ScriptError(
            f"The Serving at {serving['url']} was started elsewhere and has a configuration of its "
            "own, so a change of the models file would have no effect; change it there."
        )


def _on_disk(entry: ModelEntry) -> set[int]:
    if entry.serving_url is not None:
        return set()
    return set(version_folders(entry.base_path))


def _say_promotion(options: argparse.Namespace, made: Promotion) -> None:
    what = f"label {options.label}" if options.label else "requests without a label"
    before = "none" if made.before is None else made.before
    say(f"{options.name}: {what}: version {before} -> {made.version}")
    if made.note:
        say(f"note: {made.note}")


def _label_words(options: argparse.Namespace) -> str:
    return f" --label {options.label}" if options.label else ""


def _wanted(options: argparse.Namespace, made: Promotion) -> Wanted:
    from scripts.versions.waiting import Wanted

    return Wanted(options.name, made.version, options.label)


PROMOTE = Action(
    "let a version answer requests, those of a label or those without one; wait until it does",
    _promote_options,
    _promote,
)
ROLLBACK = Action(
    "go back to the version before the last promotion; wait until it answers",
    _rollback_options,
    _rollback,
)

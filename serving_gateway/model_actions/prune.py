"""``serving-gateway models prune``: remove versions that nothing refers to."""

from __future__ import annotations

import argparse
import sys

from model_catalog.folders import version_folders
from model_catalog.model_entry import ModelEntry
from orchestrator.errors import UsageError
from orchestrator.models.model_health import served_versions
from scripts.errors import ScriptError
from serving_gateway.instance import Instance, instance_of
from serving_gateway.model_actions.action import Action
from serving_gateway.model_actions.output import say

_KEPT = 1


def _prune_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help="name of the model")
    add("--keep", type=int, default=_KEPT, help="unused versions to keep (%(default)s)")
    add("--yes", action="store_true", help="do not ask")


def _prune(options: argparse.Namespace) -> int:
    from scripts.versions import models_toml, pruning

    instance = instance_of(options)
    entry = models_toml.entry_of(instance.models(), options.name)
    if entry.serving_url is not None:
        raise ScriptError(f"Model {options.name} is served by {entry.serving_url}; prune it there.")
    versions, kept = version_folders(entry.base_path), _kept(instance, options.name)
    for number in sorted(set(versions) & kept.keys()):
        say(f"keeps {number}: {kept[number]}")
    free = pruning.removable(versions, kept, options.keep)
    if not free:
        say("nothing to remove")
        return 0
    for number in free:
        say(f"removes {number}: {pruning.size_of(versions[number]) / 1e6:.1f} MB")
    if not (options.yes or _is_agreed(len(free))):
        say("nothing was removed")
        return 1
    pruning.remove_leftovers(entry.base_path)
    for number in free:
        # A version may have been promoted while the question was open.
        if number in _kept(instance, options.name):
            say(f"keeps {number}: it is in use now")
            continue
        pruning.remove(entry.base_path, number)
    return 0


def _kept(instance: Instance, name: str) -> dict[int, str]:
    """Return why versions of a model must stay, as things are now."""
    from scripts.versions import models_toml, pruning
    from scripts.versions.history import History

    models = instance.models()
    entry = models_toml.entry_of(models, name)
    base_path = entry.base_path.resolve()
    same = [
        each
        for each in models.entries
        if each.serving_url is None and each.base_path.resolve() == base_path
    ]
    history = History(instance.models_file)
    rollback = set().union(*(history.last(each.name) for each in same))
    loaded = set().union(*(_loaded(instance, each) for each in same))
    return pruning.references(
        same, set(version_folders(base_path)), loaded=loaded, rollback=rollback
    )


def _loaded(instance: Instance, entry: ModelEntry) -> set[int]:
    url = instance.serving(entry)
    if url is None:
        return set()
    found = served_versions(url, entry.name)
    if found is None:
        raise ScriptError(
            f"Serving at {url} does not say which versions of model {entry.name} it has, so none "
            "is removed."
        )
    return {version for version, state in found.states.items() if state != "END"}


def _is_agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("Nobody can be asked here; add --yes.")
    sys.stdout.write(f"Remove {count} version{'s' if count > 1 else ''}? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


PRUNE = Action("remove versions that nothing refers to", _prune_options, _prune)

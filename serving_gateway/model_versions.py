"""The actions on versions: ``serving-gateway models add``, ``promote``, ``compare`` and others."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_catalog.folders import faults, version_folders
from model_catalog.model_entry import ModelEntry
from model_catalog.spec import ACTIVATIONS, SCALES
from orchestrator.errors import UsageError
from orchestrator.model_health import served_versions
from scripts.errors import ScriptError
from serving_gateway.instance import Action, Instance, instance_of

if TYPE_CHECKING:
    from scripts.gateway.client import GatewayClient
    from scripts.versions.promotion import Promotion
    from scripts.versions.samples import Sample
    from scripts.versions.waiting import Wanted

_KEPT = 1
_WAIT_S = 120.0
_LOW_AGREEMENT = 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _gateway_options(parser: argparse.ArgumentParser) -> None:
    from scripts.gateway.addresses import add_gateway_options

    add_gateway_options(parser, url=None)


def _wait_options(parser: argparse.ArgumentParser) -> None:
    _gateway_options(parser)
    parser.add_argument("--no-wait", action="store_true", help="change the file and return at once")
    parser.add_argument(
        "--timeout",
        type=float,
        default=_WAIT_S,
        metavar="SECONDS",
        help="longest time until the gateway has the change (%(default)g)",
    )


def _client(options: argparse.Namespace, instance: Instance) -> GatewayClient | None:
    from scripts.gateway.client import GatewayClient

    url = options.url or instance.gateway_url
    return GatewayClient(url, options.api_key) if url else None


def _wait(options: argparse.Namespace, instance: Instance, wanted: Wanted, undo: str) -> None:
    """Wait until it is true at the gateway, unless nothing runs; say how it ended."""
    from scripts.versions.waiting import wait_until

    if options.no_wait:
        return
    client = _client(options, instance)
    if client is None:
        _say("nothing is running; the next start uses it")
        return
    try:
        seconds = wait_until(client, wanted, options.timeout)
    except ScriptError as error:
        raise ScriptError(f"{error} {instance.models_file} has the change; {undo}") from error
    finally:
        client.close()
    _say(f"the gateway has it, after {seconds:.1f} s")


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help="name of the model in paths")
    add("base_path", type=Path, help="folder with one numbered folder per version")
    add("--versions", type=_versions, help="latest (the default), all, or numbers such as 1,2")
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
    _wait_options(parser)


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
    _say(f"{file}: added\n\n{models_toml.lines_of(options.name, values)}")
    found = list(faults(entry)) if entry.serving_url is None else []
    for fault in found:
        _say(f"{'warning' if fault.is_error else 'note'}: {fault.text} (try: {fault.fix})")
    if any(fault.is_error for fault in found):
        return 0
    if (instance.running or {}).get("serving", {}).get("kind") == "docker":
        _say("note: the container does not have its folder yet; stop and start mounts it")
        return 0
    _wait(options, instance, Wanted(options.name), "remove its lines to take it back.")
    return 0


def _as_written(path: Path, folder: Path) -> str:
    """Return a path as it stands in the models file: relative to its folder where it lies below."""
    path, folder = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _labels_as_written(labels: str | None, folder: Path) -> str | None:
    return labels if labels in {None, "imagenet"} else _as_written(Path(str(labels)), folder)


def _promote_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the model")
    parser.add_argument("version", type=_version, help="number of the version, or latest")
    parser.add_argument("--label", help="version label to move, such as stable")
    _wait_options(parser)


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
    _wait(options, instance, _wanted(options, made), undo)
    return 0


def _rollback_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the model")
    parser.add_argument("--label", help="version label to move back, such as stable")
    parser.add_argument("--to", type=_version, metavar="VERSION", help="another version")
    _wait_options(parser)


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
    _wait(options, instance, _wanted(options, made), undo)
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
    _say(f"{options.name}: {what}: version {before} -> {made.version}")
    if made.note:
        _say(f"note: {made.note}")


def _label_words(options: argparse.Namespace) -> str:
    return f" --label {options.label}" if options.label else ""


def _wanted(options: argparse.Namespace, made: Promotion) -> Wanted:
    from scripts.versions.waiting import Wanted

    return Wanted(options.name, made.version, options.label)


def _compare_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help="name of the model")
    add("versions", nargs=2, metavar="VERSION", help="two versions, each by its number or label")
    add("--images", type=Path, nargs="+", default=[], metavar="FOLDER", help="pictures")
    add(
        "--requests",
        nargs="+",
        default=[],
        metavar="FILE_OR_PREFIX",
        help="request logs of the embedded model server, each by its file or its filename_prefix",
    )
    add("--out", type=Path, help="HTML report (compare-NAME-VERSION-VERSION.html)")
    add("--json", action="store_true", help="print the figures as JSON")
    add(
        "--min-agreement",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="return 1 if the top-1 agreement is lower, such as 0.99",
    )
    _gateway_options(parser)


def _compare(options: argparse.Namespace) -> int:
    from scripts import atomic_file
    from scripts.versions.comparison import Comparison, choice_of, compare
    from scripts.versions.report import report

    if not (options.images or options.requests):
        raise UsageError("compare needs pictures: --images FOLDER or --requests FILE_OR_PREFIX.")
    client = _client(options, instance_of(options))
    if client is None:
        raise ScriptError("Nothing is running; start the servers first, or name one with --url.")
    first, second = options.versions
    out = options.out or Path(f"compare-{options.name}-{first}-{second}.html")
    described = client.required_model(options.name)
    choices = (choice_of(described, first), choice_of(described, second))
    samples = _samples(options, described)
    try:
        pairs = list(_progress(compare(client, choices, samples), len(samples)))
    finally:
        client.close()
    comparison = Comparison(options.name, (first, second), pairs)
    if not comparison.answered:
        raise ScriptError(f"No picture could be classified: {pairs[0].name}: {pairs[0].error}")
    figures = comparison.summary()
    atomic_file.write_text(out, report(comparison))
    if options.json:
        _say(json.dumps(figures | {"report": str(out)}, indent=2))
    else:
        _say_comparison(figures, out)
    return _LOW_AGREEMENT if figures["top1_agreement"] < options.min_agreement else 0


def _samples(options: argparse.Namespace, described: Mapping[str, Any]) -> list[Sample]:
    from scripts.gateway.pictures import find_pictures
    from scripts.versions.logged_requests import find_samples
    from scripts.versions.samples import PictureFile

    found: list[Sample] = []
    if options.images:
        found += map(PictureFile, find_pictures(options.images))
    if options.requests:
        found += find_samples(options.requests, options.name, described["input"])
    return found


def _progress(pairs: Iterable[Any], total: int) -> Iterable[Any]:
    from tqdm import tqdm

    return tqdm(pairs, total=total, unit="picture", disable=None, file=sys.stderr)


def _say_comparison(figures: Mapping[str, Any], out: Path) -> None:
    answered = figures["pictures"] - figures["errors"]
    failed = f", {figures['errors']} could not be classified" if figures["errors"] else ""
    median = " and ".join(f"{ms:.1f} ms" for ms in figures["median_ms"])
    _say(f"{answered} pictures compared{failed}")
    _say(f"same best class: {figures['top1_agreement']:.2%} ({figures['changed']} changed)")
    _say(
        f"score shift: mean {figures['mean_score_shift']:.4f}, "
        f"largest {figures['largest_score_shift']:.4f}"
    )
    _say(f"median time: {median}")
    _say(f"report: {out}")


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
        _say(f"keeps {number}: {kept[number]}")
    free = pruning.removable(versions, kept, options.keep)
    if not free:
        _say("nothing to remove")
        return 0
    for number in free:
        _say(f"removes {number}: {pruning.size_of(versions[number]) / 1e6:.1f} MB")
    if not (options.yes or _is_agreed(len(free))):
        _say("nothing was removed")
        return 1
    pruning.remove_leftovers(entry.base_path)
    for number in free:
        # A version may have been promoted while the question was open.
        if number in _kept(instance, options.name):
            _say(f"keeps {number}: it is in use now")
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


ACTIONS: Mapping[str, Action] = {
    "add": Action("add a model to the models file and wait until it is ready", _add_options, _add),
    "promote": Action(
        "let a version answer requests, those of a label or those without one; wait until it does",
        _promote_options,
        _promote,
    ),
    "rollback": Action(
        "go back to the version before the last promotion; wait until it answers",
        _rollback_options,
        _rollback,
    ),
    "compare": Action(
        "ask two versions about the same pictures and write an HTML report of the differences",
        _compare_options,
        _compare,
    ),
    "prune": Action("remove versions that nothing refers to", _prune_options, _prune),
}

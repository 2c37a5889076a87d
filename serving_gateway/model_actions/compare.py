"""``serving-gateway models compare``: ask two versions about the same images."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from scripts.errors import ScriptError
from serving_gateway.instance import instance_of
from serving_gateway.model_actions.action import Action
from serving_gateway.model_actions.gateway import gateway_client, gateway_options
from serving_gateway.model_actions.output import say

if TYPE_CHECKING:
    from scripts.versions.samples import Sample

_LOW_AGREEMENT = 1


def _compare_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help="name of the model")
    add("versions", nargs=2, metavar="VERSION", help="two versions, each by its number or label")
    add("--images", type=Path, nargs="+", default=[], metavar="FOLDER", help="images")
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
    gateway_options(parser)


def _compare(options: argparse.Namespace) -> int:
    from scripts import atomic_file
    from scripts.versions.comparison import Comparison, choice_of, compare
    from scripts.versions.report import report

    if not (options.images or options.requests):
        raise UsageError("compare needs images: --images FOLDER or --requests FILE_OR_PREFIX.")
    client = gateway_client(options, instance_of(options))
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
        raise ScriptError(f"No image could be classified: {pairs[0].name}: {pairs[0].error}")
    figures = comparison.summary()
    atomic_file.write_text(out, report(comparison))
    if options.json:
        say(json.dumps(figures | {"report": str(out)}, indent=2))
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

    return tqdm(pairs, total=total, unit="image", disable=None, file=sys.stderr)


def _say_comparison(figures: Mapping[str, Any], out: Path) -> None:
    answered = figures["pictures"] - figures["errors"]
    failed = f", {figures['errors']} could not be classified" if figures["errors"] else ""
    median = " and ".join(f"{ms:.1f} ms" for ms in figures["median_ms"])
    say(f"{answered} images compared{failed}")
    say(f"same best class: {figures['top1_agreement']:.2%} ({figures['changed']} changed)")
    say(
        f"score shift: mean {figures['mean_score_shift']:.4f}, "
        f"largest {figures['largest_score_shift']:.4f}"
    )
    say(f"median time: {median}")
    say(f"report: {out}")


COMPARE = Action(
    "ask two versions about the same images and write an HTML report of the differences",
    _compare_options,
    _compare,
)

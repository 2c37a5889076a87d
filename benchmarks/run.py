"""Run the benchmark: python -m benchmarks.run [--short] [--only NAME,…] [--sweep].

Results are saved in benchmarks/results/ after each section, in the folder of this kind of
processor; at the end the tables of benchmarks/README.md and the plots are generated from them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks import machine, results
from benchmarks.bench import SHORT, Bench, Scenario
from benchmarks.figures import Json
from benchmarks.load import LoadError
from benchmarks.peer_systems import NotInstalled
from benchmarks.processor_kinds import features
from benchmarks.scenarios.batch_growth import batch_growth
from benchmarks.scenarios.connections import inception_connections, mobilenet_connections
from benchmarks.scenarios.gateway_cpu import gateway_cpu, large_jpeg
from benchmarks.scenarios.milliseconds import milliseconds
from benchmarks.scenarios.model_growth import model_growth
from benchmarks.scenarios.one_connection import one_connection
from benchmarks.scenarios.request_profile import request_profile
from benchmarks.scenarios.second_start import second_start, second_start_int8
from benchmarks.scenarios.sweep import sweep
from benchmarks.scenarios.throughput import (
    inception,
    inception_genuine,
    inception_int8,
    mobilenet,
    mobilenet_genuine,
    mobilenet_int8,
)
from benchmarks.scenarios.top_k_growth import top_k_growth

SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        inception,
        mobilenet,
        inception_int8,
        mobilenet_int8,
        inception_genuine,
        mobilenet_genuine,
        one_connection,
        gateway_cpu,
        large_jpeg,
        mobilenet_connections,
        inception_connections,
        model_growth,
        batch_growth,
        top_k_growth,
        second_start,
        second_start_int8,
        milliseconds,
        request_profile,
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sections that the command line names; exit codes 0 done, 1 failed, 2 wrong usage."""
    options = parser().parse_args(argv)
    bench = SHORT if options.short else Bench()
    if options.report:
        for document in results.kept():
            results.judged(document)
        results.publish()
        return 0
    if options.sweep:
        return _run({"sweep": sweep}, bench, results.continued(short=options.short))
    if options.only:
        document = results.continued(short=options.short)
        return _run({name: SCENARIOS[name] for name in options.only}, bench, document)
    return _run(SCENARIOS, bench, results.fresh(short=options.short))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    add = parser.add_argument
    add("--only", type=_names, help=f"sections, separated by commas: {', '.join(SCENARIOS)}")
    add("--short", action="store_true", help="one short round, to test the harness; not published")
    add(
        "--report",
        action="store_true",
        help="measure nothing; evaluate targets and generate tables and plots again",
    )
    add("--sweep", action="store_true", help="compare numbers of workers and threads instead")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        known = ", ".join(SCENARIOS)
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no section; known are {known}")
    return names


def _run(scenarios: dict[str, Scenario], bench: Bench, document: Json) -> int:
    described, kind = document["machine"], results.kind(document)
    print(
        f"{described['processor']}, {described['cores']} cores:"
        f" {features(described['features'])}; judged as {kind.title}"
    )
    failed = [name for name in scenarios if not measured(name, scenarios[name], bench, document)]
    if document["short"]:
        print(f"the results of a short run are in {results.path_of(document)}")
    else:
        results.publish()
    for verdict in document["targets"]:
        print(
            f"{'met ' if verdict['met'] else 'MISS'} {verdict['id']:5} {verdict['what']}: "
            f"{verdict['value']} ({verdict['target']})"
        )
    return 1 if failed else 0


def measured(name: str, scenario: Scenario, bench: Bench, document: Json) -> bool:
    """Measure and save a section; return whether it succeeded."""
    load_average, start = machine.load_average(), time.monotonic()
    print(f"{name} …", flush=True)
    try:
        section = scenario(bench)
    except NotInstalled as error:
        print(f"{name} is left out: {error}")
        return True
    except (LoadError, RuntimeError, OSError, ValueError) as error:
        print(f"{name} failed: {error}", file=sys.stderr)
        return False
    seconds = round(time.monotonic() - start, 1)
    conditions = {"at": machine.now(), "load_average": load_average, "took_s": seconds}
    results.add(document, name, section | conditions)
    return True


if __name__ == "__main__":
    sys.exit(main())

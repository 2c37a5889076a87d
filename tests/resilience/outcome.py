"""What clients saw during a fault, and how soon they were served again."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.load import Load, Response
from tests.resilience.form import FORM
from tests.resilience.stand import Gateway
from tests.resilience.versions import is_of_one_version
from tests.waiting import eventually

#: Statuses by which a gateway tells that Serving failed, is away, or was late.
PROBLEMS = (502, 503, 504)
#: Responses in a row without a failure that show that the fault is over.
_IN_A_ROW = 20
#: Time beyond the deadline that a response may take, as neighbours may hold the processors.
_SLACK_S = 20.0


@dataclass(frozen=True)
class Outcome:
    """The responses to the load of one gateway."""

    right: int
    problems: dict[int, int]
    wrong: list[str]
    """Responses that are neither right nor a problem document in time."""

    lost: list[str]
    """Errors of requests without a response."""

    slowest_s: float
    recovery_s: float
    """Time from the end of the fault to the last failure, with or without a response."""

    def row(self) -> dict[str, Any]:
        """Return the figures for the report."""
        return {
            "right": self.right,
            "problems": {str(status): count for status, count in sorted(self.problems.items())},
            "wrong": len(self.wrong),
            "lost": len(self.lost),
            "slowest_s": round(self.slowest_s, 2),
            "recovery_s": round(self.recovery_s, 2),
        }


def fault_of(response: Response) -> str:
    """Say what is wrong with a response; nothing if it is right, or a problem in time."""
    is_late = response.took_s > FORM.deadline_s + _SLACK_S
    if response.status == 200:
        is_good = is_of_one_version(json.loads(response.body))
    else:
        is_problem = response.content_type == "application/problem+json"
        is_good = is_problem and response.status in PROBLEMS
    if is_good and not is_late:
        return ""
    return f"{response.status} after {response.took_s:.2f} s: {response.body[:300]!r}"


def outcome(load: Load, healed: float) -> Outcome:
    """Judge all responses; ``healed`` is when the fault ended."""
    responses = list(load.responses)
    bad = [each for each in responses if each.status != 200]
    return Outcome(
        right=len(responses) - len(bad),
        problems=dict(Counter(each.status for each in bad)),
        wrong=[fault for each in responses if (fault := fault_of(each))],
        lost=list(load.errors),
        slowest_s=max((each.took_s for each in responses), default=0.0),
        recovery_s=max(0.0, load.last_error_at - healed, *(each.at - healed for each in bad)),
    )


def under_load(load: Load, act: Callable[[], None], within_s: float = 60) -> Outcome:
    """Act while the load goes on, until its requests succeed again; fail if they do not."""
    with load.running():
        assert eventually(lambda: succeeds(load, 0), within_s), "no load before the fault"
        act()
        healed = time.monotonic()
        recovered = eventually(lambda: succeeds(load, healed), within_s)
    found = outcome(load, healed)
    assert recovered, f"not served again: {found}, {[r.body for r in load.responses[-3:]]}"
    return found


def under_all_loads(gateways: Sequence[Gateway], act: Callable[[], None]) -> list[Outcome]:
    """Act once under the load of each gateway, one within the other."""
    outer, inner = gateways
    found: list[Outcome] = []
    found.append(under_load(outer.load(), lambda: found.append(under_load(inner.load(), act))))
    return found[::-1]


def has_failed(load: Load) -> bool:
    """Tell whether a response was no success."""
    return any(each.status != 200 for each in load.responses)


def succeeds(load: Load, since: float) -> bool:
    """Tell whether the last responses are right and belong to requests sent since then."""
    last = load.responses[-_IN_A_ROW:]
    return len(last) == _IN_A_ROW and all(
        each.status == 200 and each.at - each.took_s >= since for each in last
    )

"""Each attack on each server: good callers are answered, nothing grows, nothing is restarted."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from tests.waiting import eventually

if not sys.platform.startswith("linux"):
    pytest.skip("/proc is needed", allow_module_level=True)

from tests.attack import bodies, documents, mutations, pictures, stalls, targets
from tests.attack.catalogue import FORM, Attack, Target
from tests.attack.good_caller import Experience
from tests.attack.usage import Usage, children, forget_peak, peak_mb, usage

#: Answers that a good caller must have had while an attack goes on.
_LEAST_ANSWERS = 2
_WAIT_S = 60.0


def rows(*attacks: Attack) -> pytest.MarkDecorator:
    """One test per row."""
    return pytest.mark.parametrize("attack", attacks, ids=[attack.name for attack in attacks])


@pytest.mark.slow
@rows(
    *stalls.GATEWAY,
    *bodies.GATEWAY,
    *documents.GATEWAY,
    *pictures.ATTACKS,
    mutations.attack(),
)
def test_the_gateway_withstands(gateway: Target, attack: Attack) -> None:
    withstands(gateway, attack)


@pytest.mark.slow
@rows(*stalls.MODEL_SERVER, *bodies.MODEL_SERVER, *documents.MODEL_SERVER, mutations.attack())
def test_the_model_server_withstands(model_server: Target, attack: Attack) -> None:
    withstands(model_server, attack)


@pytest.mark.slow
def test_the_gateway_is_as_before_all_attacks(gateway: Target) -> None:
    assert is_as(gateway, gateway.before, targets.MARGIN), usage(gateway.pid)


@pytest.mark.slow
def test_the_model_server_is_as_before_all_attacks(model_server: Target) -> None:
    assert is_as(model_server, model_server.before, targets.MARGIN), usage(model_server.pid)


def withstands(target: Target, attack: Attack) -> None:
    """Run the attack and check every promise."""
    forget_peak(target.pid)
    before = replace(target.before, resident_mb=usage(target.pid).resident_mb)
    seen = experienced(target, attack)
    peak = peak_mb(target.pid)
    assert [each for each in seen if has_wrong_answers(each, attack) or is_slow(each)] == []
    assert peak < before.resident_mb + attack.most_mb
    assert set(target.pids) <= {target.pid, *children(target.pid)}
    margin = replace(targets.MARGIN, resident_mb=FORM.kept_mb)
    assert is_as(target, before, margin), f"{usage(target.pid)}, before {before}"


def experienced(target: Target, attack: Attack) -> list[Experience]:
    """Run the attack, several times if answers are only late; return what good callers saw."""
    target.caller.report()  # of what happened before
    for _ in range(FORM.attempts):
        attack.run(target, FORM)
        seen = target.caller.wait_for_answers(_LEAST_ANSWERS, _WAIT_S)
        if not any(map(is_slow, seen)) or any(has_wrong_answers(each, attack) for each in seen):
            break
    return seen


def has_wrong_answers(experience: Experience, attack: Attack) -> bool:
    """Tell whether an answer was wrong, apart from the refusals that the attack may cause."""
    return any(not (attack.may_refuse and text.startswith("503")) for text in experience.wrong)


def is_slow(experience: Experience) -> bool:
    """Tell whether an answer came too late."""
    return experience.slowest_s > FORM.slowest_s


def is_as(target: Target, before: Usage, margin: Usage) -> bool:
    """Tell whether the server soon uses no more than before, but for a margin."""

    def is_within() -> bool:
        now = usage(target.pid)
        return all(
            getattr(now, name) <= getattr(before, name) + getattr(margin, name)
            for name in Usage.__dataclass_fields__
        )

    return eventually(is_within)

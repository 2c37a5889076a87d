from __future__ import annotations

from itertools import product

import pytest

from orchestrator.lifecycle import TABLE, Event, ImpossibleEvent, State, advance


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_moves_as_written_or_is_refused(state: State, event: Event) -> None:
    if (state, event) in TABLE:
        assert advance(state, event) is TABLE[state, event]
    else:
        with pytest.raises(ImpossibleEvent, match=f"{state.name} does not know {event.name}"):
            advance(state, event)


@pytest.mark.parametrize("state", [state for state in State if state.final])
def test_nothing_leaves_a_final_state(state: State) -> None:
    assert not [event for at, event in TABLE if at is state]


@pytest.mark.parametrize("state", [state for state in State if not state.final])
@pytest.mark.parametrize("event", [Event.STOP, Event.HURRY, Event.RECYCLE])
def test_people_may_ask_at_any_time(state: State, event: Event) -> None:
    advance(state, event)


@pytest.mark.parametrize("state", [state for state in State if not state.final])
def test_every_state_leads_to_a_final_one(state: State) -> None:
    reached = {state}
    while more := {TABLE[pair] for pair in TABLE if pair[0] in reached} - reached:
        reached |= more

    assert {State.STOPPED} <= reached

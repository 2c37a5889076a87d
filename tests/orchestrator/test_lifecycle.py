from __future__ import annotations

from itertools import product

import pytest

from orchestrator.lifecycle import TABLE, Event, InvalidTransition, State, advance


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_follows_the_table_or_is_invalid(state: State, event: Event) -> None:
    if (state, event) in TABLE:
        assert advance(state, event) is TABLE[state, event]
    else:
        with pytest.raises(InvalidTransition, match=f"{event.name} cannot happen in {state.name}"):
            advance(state, event)


@pytest.mark.parametrize("state", [state for state in State if state.final])
def test_nothing_leaves_a_final_state(state: State) -> None:
    assert not [event for at, event in TABLE if at is state]


@pytest.mark.parametrize("state", [state for state in State if not state.final])
@pytest.mark.parametrize("event", [Event.STOP, Event.FORCE_STOP, Event.RESTART])
def test_stop_and_restart_are_possible_until_the_end(state: State, event: Event) -> None:
    advance(state, event)


@pytest.mark.parametrize("state", [state for state in State if not state.final])
def test_every_state_leads_to_a_final_one(state: State) -> None:
    reached = {state}
    while more := {TABLE[pair] for pair in TABLE if pair[0] in reached} - reached:
        reached |= more

    assert {State.STOPPED} <= reached

from __future__ import annotations

from itertools import pairwise

import pytest

from orchestrator.command_queue import Action, Command
from orchestrator.lifecycle import State
from orchestrator.restart_policy import RestartPolicy
from orchestrator.supervise import exit_text
from tests.orchestrator.paper import World

READY = [State.READY, State.READY]


def ready_world(policy: RestartPolicy | None = None) -> World:
    world = World(policy)
    world.up |= {"serving", "gateway"}
    world.run(until=2)
    assert world.states() == READY
    return world


def test_gateway_drains_before_serving_is_told_to_stop() -> None:
    world = ready_world()
    world.children["gateway"].deaf = True
    world.at(world.now, lambda: Command(Action.STOP))

    world.run(until=10)

    assert world.states() == [State.READY, State.STOPPING]
    assert world.children["serving"].heard == []
    world.children["gateway"].code = 0
    assert world.supervisor.run() == 0
    assert world.children["serving"].heard == ["stop"]


def test_second_interrupt_kills_both_at_once() -> None:
    world = ready_world()
    world.children["gateway"].deaf = True
    world.at(5, lambda: Command(Action.INTERRUPT))
    world.at(7, lambda: Command(Action.INTERRUPT))

    assert world.supervisor.run() == 0
    assert world.children["gateway"].heard == ["stop", "kill"]
    assert world.children["serving"].heard == ["kill"]
    assert world.now < 9


def test_second_term_is_no_hurry() -> None:
    world = ready_world()
    world.children["gateway"].deaf = True
    world.at(5, lambda: Command(Action.STOP))
    world.at(7, lambda: Command(Action.STOP))
    world.at(20, lambda: setattr(world.children["gateway"], "code", 0))

    assert world.supervisor.run() == 0
    assert world.children["gateway"].heard == ["stop"]


def test_healthy_gateway_stays_up_while_serving_restarts() -> None:
    world = ready_world()
    gateway = world.children["gateway"]

    world.children["serving"].code = 137
    world.run(until=10)

    assert world.states() == READY
    assert world.children["gateway"] is gateway
    assert gateway.heard == []
    assert world.finish() == 0


def test_restarts_wait_longer_each_time_until_the_limit() -> None:
    world = ready_world(
        RestartPolicy(tick_s=0.5, max_restarts=3, initial_delay_s=1, max_delay_s=60)
    )
    world.doomed.add("serving")
    death = world.now
    world.children["serving"].code = 1
    world.born.clear()

    assert world.supervisor.run() == 1
    assert len(world.born) == 3
    first, second, third = (b - a for a, b in pairwise([death, *world.born]))
    assert first < second < third
    assert world.states() == [State.FAILED, State.STOPPED]
    assert world.children["gateway"].heard == ["stop"]


@pytest.mark.parametrize(("failures", "delay_s"), [(0, 0), (1, 0.5), (2, 1), (3, 2), (7, 30)])
def test_delay_doubles_up_to_a_bound(failures: int, delay_s: float) -> None:
    assert RestartPolicy().delay_s(failures) == delay_s


def test_failures_are_forgotten_after_a_healthy_while() -> None:
    world = ready_world(RestartPolicy(tick_s=0.5, max_restarts=1, reset_after_s=60))
    world.children["serving"].code = 1
    world.run(until=70)
    assert world.states() == READY

    world.children["serving"].code = 1
    world.run(until=80)

    assert world.states() == READY
    assert world.finish() == 0


def test_failures_in_a_row_are_not_forgotten() -> None:
    world = ready_world(RestartPolicy(tick_s=0.5, max_restarts=1, reset_after_s=60))
    world.children["serving"].code = 1
    world.run(until=30)
    assert world.states() == READY

    world.children["serving"].code = 1

    assert world.supervisor.run() == 1


@pytest.mark.parametrize("code", [0, 2, 127, 255])
def test_a_child_that_exits_at_once_is_not_started_again(code: int) -> None:
    world = World()
    world.up.add("gateway")
    world.at(1, lambda: setattr(world.children["serving"], "code", code))

    assert world.supervisor.run() == 1
    assert len(world.born) == 2
    assert world.history[-1] == "gateway STOPPED"


@pytest.mark.parametrize("code", [129, 137, 139, 143])
def test_a_child_killed_while_starting_is_started_again(code: int) -> None:
    world = World()
    world.up.add("gateway")
    world.run(until=1)

    world.children["serving"].code = code
    world.up.add("serving")
    world.run(until=4)

    assert world.states() == READY
    assert world.finish() == 0


def test_a_child_that_is_not_ready_in_time_is_given_up() -> None:
    world = World(RestartPolicy(tick_s=0.5, start_timeout_s=10))
    world.up.add("gateway")

    assert world.supervisor.run() == 1
    assert world.children["serving"].heard == ["stop"]
    assert 10 < world.now < 13


def test_a_child_that_was_ready_once_gets_every_restart_to_be_ready_again() -> None:
    world = ready_world(RestartPolicy(tick_s=0.5, start_timeout_s=10, max_restarts=2))
    world.up.discard("serving")
    world.children["serving"].code = 137

    assert world.supervisor.run() == 1
    assert world.history.count("serving STARTING") == 3
    assert world.history.count("serving RECYCLING") == 2


def test_restart_asked_for_while_starting_is_no_failure() -> None:
    world = World()
    world.up.add("gateway")
    world.at(1, lambda: Command(Action.RESTART, "serving"))
    world.run(until=5)

    world.up.add("serving")
    world.run(until=8)

    assert world.states() == READY
    assert world.finish() == 0


def test_a_hung_child_is_recycled() -> None:
    world = ready_world(RestartPolicy(tick_s=0.5, hang_timeout_s=10))
    hung = world.children["gateway"]

    world.up.discard("gateway")
    world.run(until=11)
    assert hung.heard == []
    world.run(until=14)
    world.up.add("gateway")
    world.run(until=20)

    assert hung.heard == ["kill"]
    assert world.children["gateway"] is not hung
    assert world.states() == READY
    assert world.finish() == 0


def test_a_short_silence_is_forgiven() -> None:
    world = ready_world(RestartPolicy(tick_s=0.5, hang_timeout_s=10))

    world.up.discard("gateway")
    world.run(until=10)
    world.up.add("gateway")
    world.run(until=12)
    world.up.discard("gateway")
    world.run(until=20)

    assert world.children["gateway"].heard == []
    assert world.finish() == 0


def test_restart_of_serving_stops_and_starts_it() -> None:
    world = ready_world()
    before = world.children["serving"]
    world.at(world.now, lambda: Command(Action.RESTART, "serving"))

    world.run(until=5)

    assert before.heard == ["stop"]
    assert world.children["serving"] is not before
    assert world.states() == READY
    assert world.finish() == 0


def test_restart_of_the_gateway_replaces_its_workers_only() -> None:
    world = ready_world()
    gateway = world.children["gateway"]
    world.at(world.now, lambda: Command(Action.RESTART, "gateway"))
    world.run(until=5)
    assert world.states() == [State.READY, State.RELOADING]

    gateway.replaced = True
    world.run(until=7)

    assert gateway.heard == ["reload"]
    assert world.states() == READY
    assert world.finish() == 0


def test_a_reload_waits_for_its_check() -> None:
    world = ready_world()
    world.check.answer = None
    gateway = world.children["gateway"]
    world.at(world.now, lambda: Command(Action.RESTART, "gateway"))
    world.run(until=50)
    assert world.states() == [State.READY, State.RELOADING]
    assert gateway.heard == []

    world.check.answer = ""
    world.run(until=52)

    assert gateway.heard == ["reload"]
    assert world.finish() == 0


def test_a_child_whose_check_fails_goes_on_as_it_was() -> None:
    world = ready_world()
    gateway, child = world.children["gateway"], world.supervisor.children[1]
    world.check.answer = "models.toml has a typo."
    world.at(world.now, lambda: Command(Action.RESTART, "gateway"))

    world.run(until=5)

    assert world.states() == READY
    assert gateway.heard == []
    assert child.refused == "models.toml has a typo."
    assert world.notes[-1] == "not restarted: models.toml has a typo."
    world.check.answer = ""
    gateway.replaced = True
    world.at(world.now, lambda: Command(Action.RESTART, "gateway"))
    world.run(until=8)
    assert gateway.heard == ["reload"]
    assert child.refused == ""
    assert world.finish() == 0


def test_a_stop_does_not_wait_for_a_check() -> None:
    world = ready_world()
    world.check.answer = None
    world.at(world.now, lambda: Command(Action.RESTART, "gateway"))
    world.run(until=5)

    assert world.finish() == 0
    assert world.check.ended
    assert world.children["gateway"].heard == ["stop"]


def test_restart_while_stopping_is_ignored() -> None:
    world = ready_world()
    world.children["gateway"].deaf = True
    world.at(3, lambda: Command(Action.STOP))
    world.at(4, lambda: Command(Action.RESTART, "serving"))
    world.at(5, lambda: setattr(world.children["gateway"], "code", 0))

    assert world.supervisor.run() == 0
    assert len(world.born) == 2


def test_stop_while_waiting_for_a_restart_starts_nothing() -> None:
    world = ready_world(RestartPolicy(tick_s=0.5, initial_delay_s=100, max_delay_s=100))
    world.children["serving"].code = 1
    world.run(until=5)

    assert world.finish() == 0
    assert len(world.born) == 2


def test_a_machine_without_room_for_a_process_is_a_failure_like_any_other() -> None:
    world = World()
    world.broken.add("serving")

    assert world.supervisor.run() == 1
    assert "serving FAILED" in world.history


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exit code 0"),
        (1, "exit code 1"),
        (137, "exit code 137, SIGKILL"),
        (255, "exit code 255"),
    ],
)
def test_exit_codes_in_words(code: int, text: str) -> None:
    assert exit_text(code) == text


def test_a_restart_that_fails_at_once_is_not_tried_again() -> None:
    world = ready_world()
    world.doomed.add("serving")
    world.at(world.now, lambda: Command(Action.RESTART, "serving"))

    assert world.supervisor.run() == 1
    assert world.history.count("serving STARTING") == 2


def test_each_change_says_why_and_a_short_silence_says_nothing() -> None:
    world = ready_world(RestartPolicy(tick_s=0.5, hang_timeout_s=5))
    world.up.discard("serving")
    world.run(until=5)
    world.up.add("serving")
    world.run(until=7)
    world.children["serving"].code = 137
    world.run(until=10)

    world.finish()

    assert list(zip(world.history, world.notes, strict=True))[2:] == [
        ("serving READY", "after 0.5 s"),
        ("gateway READY", "after 0.5 s"),
        ("serving WAITING", "exit code 137, SIGKILL; restart 1 of 5 in 0.5 s"),
        ("serving STARTING", ""),
        ("serving READY", "after 0.5 s"),
        ("gateway STOPPING", ""),
        ("gateway STOPPED", "exit code 143, SIGTERM"),
        ("serving STOPPING", ""),
        ("serving STOPPED", "exit code 143, SIGTERM"),
    ]

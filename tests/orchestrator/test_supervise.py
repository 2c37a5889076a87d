from __future__ import annotations

from itertools import pairwise

import pytest

from orchestrator.check import CheckResult
from orchestrator.command_queue import Action, Command
from orchestrator.lifecycle import State
from orchestrator.problem import Problem
from orchestrator.restart_policy import RestartPolicy
from orchestrator.supervise import exit_text
from tests.orchestrator.fakes import Simulation

READY = [State.READY, State.READY]


def ready_simulation(policy: RestartPolicy | None = None) -> Simulation:
    simulation = Simulation(policy)
    simulation.up |= {"serving", "gateway"}
    simulation.run(until=2)
    assert simulation.states() == READY
    return simulation


def test_gateway_drains_before_serving_is_asked_to_stop() -> None:
    simulation = ready_simulation()
    simulation.processes["gateway"].ignores_term = True
    simulation.schedule(simulation.now, lambda: Command(Action.STOP))

    simulation.run(until=10)

    assert simulation.states() == [State.READY, State.STOPPING]
    assert simulation.processes["serving"].received == []
    simulation.processes["gateway"].code = 0
    assert simulation.supervisor.run() == 0
    assert simulation.processes["serving"].received == ["stop"]


def test_second_interrupt_kills_both_at_once() -> None:
    simulation = ready_simulation()
    simulation.processes["gateway"].ignores_term = True
    simulation.schedule(5, lambda: Command(Action.INTERRUPT))
    simulation.schedule(7, lambda: Command(Action.INTERRUPT))

    assert simulation.supervisor.run() == 0
    assert simulation.processes["gateway"].received == ["stop", "kill"]
    assert simulation.processes["serving"].received == ["kill"]
    assert simulation.now < 9


def test_second_term_does_not_kill() -> None:
    simulation = ready_simulation()
    simulation.processes["gateway"].ignores_term = True
    simulation.schedule(5, lambda: Command(Action.STOP))
    simulation.schedule(7, lambda: Command(Action.STOP))
    simulation.schedule(20, lambda: setattr(simulation.processes["gateway"], "code", 0))

    assert simulation.supervisor.run() == 0
    assert simulation.processes["gateway"].received == ["stop"]


def test_healthy_gateway_stays_up_while_serving_restarts() -> None:
    simulation = ready_simulation()
    gateway = simulation.processes["gateway"]

    simulation.processes["serving"].code = 137
    simulation.run(until=10)

    assert simulation.states() == READY
    assert simulation.processes["gateway"] is gateway
    assert gateway.received == []
    assert simulation.finish() == 0


def test_a_child_that_fails_again_and_again_is_restarted_for_ever_and_the_other_stays() -> None:
    simulation = ready_simulation(
        RestartPolicy(tick_s=0.5, max_restarts=3, initial_delay_s=1, max_delay_s=30)
    )
    simulation.exits_at_once.add("gateway")
    serving, death = simulation.processes["serving"], simulation.now
    simulation.processes["gateway"].code = 1
    simulation.start_times.clear()

    simulation.run(until=1000)

    waits = [b - a for a, b in pairwise([death, *simulation.start_times])]
    assert waits[:4] == sorted(waits[:4])
    assert max(waits) < 32
    assert len(waits) > 25
    assert simulation.states()[0] is State.READY
    assert serving.received == []
    gateway = simulation.supervisor.children[1]
    assert gateway.failures == len(waits) + (gateway.state is State.WAITING)
    assert gateway.last_failure == "exit code 1"
    simulation.exits_at_once.clear()
    simulation.run(until=1070)
    assert simulation.states() == READY
    assert simulation.finish() == 0


@pytest.mark.parametrize(("failures", "delay_s"), [(0, 0), (1, 0.5), (2, 1), (3, 2), (7, 30)])
def test_delay_doubles_up_to_a_bound(failures: int, delay_s: float) -> None:
    assert RestartPolicy().delay_s(failures) == delay_s


@pytest.mark.parametrize(("ready_s", "failures"), [(70, 1), (30, 2)])
def test_failures_are_forgotten_after_a_time_in_ready(ready_s: float, failures: int) -> None:
    simulation = ready_simulation(RestartPolicy(tick_s=0.5, reset_after_s=60))
    simulation.processes["serving"].code = 1
    simulation.run(until=ready_s)
    assert simulation.states() == READY

    simulation.processes["serving"].code = 1
    simulation.run(until=ready_s + 5)

    assert simulation.supervisor.children[0].failures == failures
    assert simulation.states() == READY
    assert simulation.finish() == 0


@pytest.mark.parametrize("code", [0, 2, 127, 255])
def test_a_child_that_exits_at_once_is_not_started_again(code: int) -> None:
    simulation = Simulation()
    simulation.up.add("gateway")
    simulation.schedule(1, lambda: setattr(simulation.processes["serving"], "code", code))

    assert simulation.supervisor.run() == 1
    assert len(simulation.start_times) == 2
    assert simulation.history[-1] == "gateway STOPPED"


@pytest.mark.parametrize("code", [129, 137, 139, 143])
def test_a_child_killed_while_starting_is_started_again(code: int) -> None:
    simulation = Simulation()
    simulation.up.add("gateway")
    simulation.run(until=1)

    simulation.processes["serving"].code = code
    simulation.up.add("serving")
    simulation.run(until=4)

    assert simulation.states() == READY
    assert simulation.finish() == 0


def test_a_child_that_is_not_ready_in_time_is_given_up() -> None:
    simulation = Simulation(RestartPolicy(tick_s=0.5, start_timeout_s=10))
    simulation.up.add("gateway")

    assert simulation.supervisor.run() == 1
    assert simulation.processes["serving"].received == ["stop"]
    assert 10 < simulation.now < 13


def test_a_child_killed_again_and_again_before_it_was_ready_ends_the_start() -> None:
    simulation = Simulation(RestartPolicy(tick_s=0.5, max_restarts=2))
    simulation.up.add("gateway")
    for second in range(1, 20):
        simulation.schedule(second, lambda: setattr(simulation.processes["serving"], "code", 137))

    assert simulation.supervisor.run() == 1
    assert simulation.history.count("serving STARTING") == 3


def test_a_restarted_child_that_is_not_ready_in_time_is_started_again_for_ever() -> None:
    simulation = ready_simulation(RestartPolicy(tick_s=0.5, start_timeout_s=10))
    simulation.up.discard("serving")
    simulation.processes["serving"].code = 137

    simulation.run(until=100)

    assert simulation.history.count("serving RECYCLING") > 2
    assert simulation.states()[1] is State.READY
    assert simulation.finish() == 0


@pytest.mark.parametrize("child", ["serving", "gateway"])
def test_a_restarted_child_that_answers_is_not_ended_for_what_is_missing(child: str) -> None:
    simulation = ready_simulation(RestartPolicy(tick_s=0.5, start_timeout_s=10))
    simulation.schedule(simulation.now, lambda: Command(Action.RESTART, child))
    simulation.up.discard(child)
    simulation.alive.add(child)
    simulation.processes["gateway"].replaced = True

    simulation.run(until=50)

    assert simulation.states() == READY
    assert f"though {child} is not up" in simulation.notes[-1]
    assert simulation.processes[child].received == (["reload"] if child == "gateway" else [])
    assert simulation.finish() == 0


def test_a_restarted_child_that_is_busy_gets_more_time_than_the_start() -> None:
    simulation = ready_simulation(
        RestartPolicy(tick_s=0.5, start_timeout_s=10, hang_timeout_s=10, max_delay_s=1)
    )
    simulation.processes["serving"].code = 137
    simulation.run(until=2.5)
    simulation.up.discard("serving")
    simulation.run(until=5)
    simulation.processes["serving"].cpu_share = 0.5

    simulation.run(until=50)

    assert simulation.states() == [State.STARTING, State.READY]
    assert simulation.processes["serving"].received == []
    assert simulation.finish() == 0


def test_restart_asked_for_while_starting_is_no_failure() -> None:
    simulation = Simulation()
    simulation.up.add("gateway")
    simulation.schedule(1, lambda: Command(Action.RESTART, "serving"))
    simulation.run(until=5)

    simulation.up.add("serving")
    simulation.run(until=8)

    assert simulation.states() == READY
    assert simulation.finish() == 0


def test_a_hung_child_is_killed_and_started_again() -> None:
    simulation = ready_simulation(RestartPolicy(tick_s=0.5, hang_timeout_s=10))
    hung = simulation.processes["gateway"]

    simulation.up.discard("gateway")
    simulation.run(until=11)
    assert hung.received == []
    simulation.run(until=14)
    simulation.up.add("gateway")
    simulation.run(until=20)

    assert hung.received == ["kill"]
    assert simulation.processes["gateway"] is not hung
    assert simulation.states() == READY
    assert simulation.finish() == 0


def test_a_busy_child_is_never_killed_however_long_it_is_silent() -> None:
    simulation = ready_simulation(RestartPolicy(tick_s=0.5, hang_timeout_s=10))
    gateway = simulation.processes["gateway"]
    gateway.cpu_share = 0.1
    simulation.up.discard("gateway")

    simulation.run(until=500)

    assert gateway.received == []
    assert simulation.supervisor.children[1].is_busy
    simulation.up.add("gateway")
    simulation.run(until=510)
    assert [notice.split(" for ")[0].split(" after ")[0] for notice in simulation.notices] == [
        "gateway no response",
        "gateway answers again",
    ]
    assert simulation.finish() == 0


@pytest.mark.parametrize("cpu_share", [0.0, 0.001, None])
def test_a_silent_child_that_uses_no_cpu_time_is_killed(cpu_share: float | None) -> None:
    simulation = ready_simulation(RestartPolicy(tick_s=0.5, hang_timeout_s=10))
    gateway = simulation.processes["gateway"]
    gateway.cpu_share = cpu_share
    simulation.up.discard("gateway")

    simulation.run(until=20)

    assert gateway.received == ["kill"]
    assert simulation.finish() == 0


def test_a_child_that_was_busy_and_then_stops_is_killed() -> None:
    simulation = ready_simulation(RestartPolicy(tick_s=0.5, hang_timeout_s=10))
    gateway = simulation.processes["gateway"]
    gateway.cpu_share = 1.0
    simulation.up.discard("gateway")
    simulation.run(until=100)

    stopped_at = simulation.now
    gateway.clock = lambda: stopped_at
    simulation.run(until=120)

    assert gateway.received == ["kill"]
    assert simulation.finish() == 0


def test_files_are_prepared_before_each_start_and_reload() -> None:
    simulation = ready_simulation()
    assert simulation.prepared == ["serving", "gateway"]
    simulation.processes["gateway"].replaced = True

    for second, child in ((3, "serving"), (6, "gateway")):
        simulation.schedule(second, lambda child=child: Command(Action.RESTART, child))  # type: ignore[misc]
    simulation.run(until=10)

    assert simulation.prepared == ["serving", "gateway", "serving", "gateway"]
    assert simulation.finish() == 0


def test_a_restart_can_be_refused() -> None:
    simulation = ready_simulation()
    serving, child = simulation.processes["serving"], simulation.supervisor.children[0]
    simulation.refused["serving"] = Problem("models.toml has a typo.")
    simulation.schedule(simulation.now, lambda: Command(Action.RESTART, "serving"))

    simulation.run(until=5)

    assert serving.received == []
    assert child.refused == simulation.refused["serving"]
    assert child.restarts_asked == 1
    assert simulation.finish() == 0


def test_a_short_silence_is_no_failure() -> None:
    simulation = ready_simulation(RestartPolicy(tick_s=0.5, hang_timeout_s=10))

    simulation.up.discard("gateway")
    simulation.run(until=10)
    simulation.up.add("gateway")
    simulation.run(until=12)
    simulation.up.discard("gateway")
    simulation.run(until=20)

    assert simulation.processes["gateway"].received == []
    assert simulation.finish() == 0


def test_restart_of_serving_stops_and_starts_it() -> None:
    simulation = ready_simulation()
    before = simulation.processes["serving"]
    simulation.schedule(simulation.now, lambda: Command(Action.RESTART, "serving"))

    simulation.run(until=5)

    assert before.received == ["stop"]
    assert simulation.processes["serving"] is not before
    assert simulation.states() == READY
    assert simulation.finish() == 0


def test_restart_of_the_gateway_replaces_its_workers_only() -> None:
    simulation = ready_simulation()
    gateway = simulation.processes["gateway"]
    simulation.schedule(simulation.now, lambda: Command(Action.RESTART, "gateway"))
    simulation.run(until=5)
    assert simulation.states() == [State.READY, State.RELOADING]

    gateway.replaced = True
    simulation.run(until=7)

    assert gateway.received == ["reload"]
    assert simulation.states() == READY
    assert simulation.finish() == 0


def test_a_reload_waits_for_its_check() -> None:
    simulation = ready_simulation()
    simulation.check.result = None
    gateway = simulation.processes["gateway"]
    simulation.schedule(simulation.now, lambda: Command(Action.RESTART, "gateway"))
    simulation.run(until=50)
    assert simulation.states() == [State.READY, State.RELOADING]
    assert gateway.received == []

    simulation.check.result = CheckResult()
    simulation.run(until=52)

    assert gateway.received == ["reload"]
    assert simulation.finish() == 0


def test_a_child_whose_check_fails_is_not_reloaded() -> None:
    simulation = ready_simulation()
    gateway, child = simulation.processes["gateway"], simulation.supervisor.children[1]
    simulation.check.result = CheckResult(Problem("models.toml has a typo."))
    simulation.schedule(simulation.now, lambda: Command(Action.RESTART, "gateway"))

    simulation.run(until=5)

    assert simulation.states() == READY
    assert gateway.received == []
    assert str(child.refused) == "models.toml has a typo."
    assert simulation.notes[-1] == "not restarted: models.toml has a typo."
    simulation.check.result = CheckResult()
    gateway.replaced = True
    simulation.schedule(simulation.now, lambda: Command(Action.RESTART, "gateway"))
    simulation.run(until=8)
    assert gateway.received == ["reload"]
    assert child.refused is None
    assert simulation.finish() == 0


def test_a_stop_does_not_wait_for_a_check() -> None:
    simulation = ready_simulation()
    simulation.check.result = None
    simulation.schedule(simulation.now, lambda: Command(Action.RESTART, "gateway"))
    simulation.run(until=5)

    assert simulation.finish() == 0
    assert simulation.check.ended
    assert simulation.processes["gateway"].received == ["stop"]


def test_restart_while_stopping_is_ignored() -> None:
    simulation = ready_simulation()
    simulation.processes["gateway"].ignores_term = True
    simulation.schedule(3, lambda: Command(Action.STOP))
    simulation.schedule(4, lambda: Command(Action.RESTART, "serving"))
    simulation.schedule(5, lambda: setattr(simulation.processes["gateway"], "code", 0))

    assert simulation.supervisor.run() == 0
    assert len(simulation.start_times) == 2


def test_stop_while_waiting_for_a_restart_starts_nothing() -> None:
    simulation = ready_simulation(RestartPolicy(tick_s=0.5, initial_delay_s=100, max_delay_s=100))
    simulation.processes["serving"].code = 1
    simulation.run(until=5)

    assert simulation.finish() == 0
    assert len(simulation.start_times) == 2


def test_a_process_that_cannot_be_started_is_a_failure() -> None:
    simulation = Simulation()
    simulation.cannot_start.add("serving")

    assert simulation.supervisor.run() == 1
    assert "serving FAILED" in simulation.history


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


def test_a_restart_that_fails_at_once_is_tried_again() -> None:
    simulation = ready_simulation()
    simulation.exits_at_once.add("serving")
    simulation.schedule(simulation.now, lambda: Command(Action.RESTART, "serving"))

    simulation.run(until=20)
    assert simulation.history.count("serving STARTING") > 2
    assert simulation.states()[1] is State.READY
    simulation.exits_at_once.clear()
    simulation.run(until=60)
    assert simulation.states() == READY
    assert simulation.finish() == 0


def test_each_change_has_a_reason_and_a_short_silence_is_no_change() -> None:
    simulation = ready_simulation(RestartPolicy(tick_s=0.5, hang_timeout_s=5))
    simulation.up.discard("serving")
    simulation.run(until=5)
    simulation.up.add("serving")
    simulation.run(until=7)
    simulation.processes["serving"].code = 137
    simulation.run(until=10)

    simulation.finish()

    assert list(zip(simulation.history, simulation.notes, strict=True))[2:] == [
        ("serving READY", "after 0.5 s"),
        ("gateway READY", "after 0.5 s"),
        ("serving WAITING", "exit code 137, SIGKILL; restart 1 in 0.5 s"),
        ("serving STARTING", ""),
        ("serving READY", "after 0.5 s"),
        ("gateway STOPPING", ""),
        ("gateway STOPPED", "exit code 143, SIGTERM"),
        ("serving STOPPING", ""),
        ("serving STOPPED", "exit code 143, SIGTERM"),
    ]

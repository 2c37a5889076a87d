"""Signals to each process of an instance while clients send requests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest

from tests.orchestrator.conftest import gone
from tests.resilience.form import FORM, long
from tests.resilience.outcome import Outcome, fault_of, succeeds, under_load
from tests.resilience.results import record
from tests.resilience.supervised import TARGETS, Instance
from tests.waiting import eventually

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(400)]

TERM, KILL, STOP = signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP
#: Signals after which the service goes on or comes back. auto_cmd ends by the others.
SURVIVED = [
    (number, target)
    for number in (TERM, KILL, STOP)
    for target in TARGETS
    if target != "auto_cmd" or number == STOP
]
NAMES = {
    "auto_cmd": "auto_cmd.py",
    "gateway": "gunicorn's parent process",
    "gateway shim": "the shim of the gateway",
    "serving": "the model server",
    "serving shim": "the shim of the model server",
}
Signal = tuple[signal.Signals, str]
QUICK = [(KILL, "gateway"), (KILL, "serving shim")]
#: Signals after which nothing is left, in the order in which they are sent.
ENDINGS = [
    [(STOP, "gateway shim"), (KILL, "serving"), (TERM, "auto_cmd")],
    [(TERM, "auto_cmd")],
    [(KILL, "auto_cmd")],
    [(TERM, "gateway"), (TERM, "auto_cmd")],
    [(KILL, "gateway shim"), (KILL, "serving shim"), (TERM, "auto_cmd")],
    [(STOP, "gateway"), (STOP, "serving"), (TERM, "auto_cmd")],
    [(STOP, "gateway"), (KILL, "auto_cmd")],
    [(KILL, "auto_cmd"), (TERM, "gateway shim"), (TERM, "serving shim")],
    [(TERM, "serving shim"), (TERM, "gateway shim"), (TERM, "auto_cmd")],
    [(TERM, "auto_cmd"), (KILL, "gateway shim")],
]


def told(signals: Sequence[Signal]) -> str:
    return ", ".join(f"{number.name} to {NAMES[target]}" for number, target in signals)


def send(instance: Instance, signals: Sequence[Signal]) -> None:
    """Send the signals as soon after another as possible."""
    pids = instance.pids()
    for number, target in signals:
        with suppress(ProcessLookupError):  # it has ended by an earlier one
            os.kill(pids[target], number)


def strike(instance: Instance, number: signal.Signals, target: str) -> None:
    """Send a signal; a process that it stops goes on after the deadline of the requests."""
    pid = instance.pids()[target]
    os.kill(pid, number)
    if number == STOP:
        time.sleep(FORM.deadline_s + 0.3)
        os.kill(pid, signal.SIGCONT)
    else:
        assert eventually(lambda: gone(pid))


def row(fault: str, found: Outcome) -> None:
    record("supervised", fault=fault, engine="openvino", protocol="rest", **found.row())


@pytest.mark.parametrize(
    ("number", "target"),
    [pytest.param(*each, marks=[] if each in QUICK else long) for each in SURVIVED],
)
def test_the_service_is_back_after_a_signal(
    instance: Instance, number: signal.Signals, target: str
) -> None:
    processes, usage = len(instance.processes()), instance.supervisor_usage()
    files = len(instance.temporary_files())

    found = under_load(instance.load(), lambda: strike(instance, number, target), within_s=90)

    row(told([(number, target)]), found)
    assert found.wrong == []
    if "gateway" not in target or number == STOP:
        assert found.lost == []
    assert eventually(instance.sandbox.is_ready)
    assert eventually(lambda: len(instance.processes()) == processes)
    assert eventually(lambda: instance.supervisor_usage() == usage)
    assert eventually(lambda: len(instance.temporary_files()) == files)


@pytest.mark.parametrize(
    "signals", [ENDINGS[0], *(pytest.param(each, marks=long) for each in ENDINGS[1:])], ids=told
)
def test_nothing_is_left_after_an_end(instance: Instance, signals: Sequence[Signal]) -> None:
    load, processes = instance.load(), instance.processes()

    with load.running():
        assert eventually(lambda: succeeds(load, 0))
        send(instance, signals)
        sent = time.monotonic()
        is_over = eventually(lambda: instance.is_over(processes))
        took_s = time.monotonic() - sent

    record("end", signals=told(signals), processes=len(processes), took_s=round(took_s, 1))
    assert is_over, instance.left(processes)
    assert [fault for each in load.responses if (fault := fault_of(each))] == []
    abandoned = instance.temporary_files()
    if abandoned:  # of a gunicorn that was killed: the next one removes it
        instance.start()
    assert not set(abandoned) & set(instance.temporary_files())

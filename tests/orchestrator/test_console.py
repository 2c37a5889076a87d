from __future__ import annotations

import io
import re

from orchestrator.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_line_has_the_time_in_front() -> None:
    stream = io.StringIO()

    Console(stream).log("serving: STARTING -> READY")

    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d serving: STARTING -> READY\n"
    assert re.fullmatch(line, stream.getvalue())


def test_a_log_line_on_a_terminal_has_no_time() -> None:
    stream = Terminal()

    Console(stream).log("serving: STARTING -> READY")

    assert stream.getvalue() == "serving: STARTING -> READY\n"


def test_progress_on_a_terminal_overwrites_one_line() -> None:
    stream = Terminal()
    console = Console(stream)

    console.progress("model m: LOADING", 1.0)
    console.progress("model m: LOADING", 2.0)
    console.print("ready")

    shown = "1 s: model m: LOADING\r\x1b[K2 s: model m: LOADING\r\x1b[Kready\n"
    assert stream.getvalue() == shown


def test_progress_in_a_log_is_a_line_for_each_change() -> None:
    stream = io.StringIO()
    console = Console(stream)

    for elapsed, line in enumerate(["m: START", "m: START", "m: LOADING"]):
        console.progress(line, elapsed)

    assert [line[20:] for line in stream.getvalue().splitlines()] == [
        "waiting: m: START",
        "waiting: m: LOADING",
    ]


def test_only_a_terminal_gets_the_prompt() -> None:
    stream = io.StringIO()

    Console(stream).prompt("stop? ")

    assert stream.getvalue() == ""


def test_a_line_replaces_the_prompt() -> None:
    stream = Terminal()
    console = Console(stream)

    console.prompt("stop? ")
    console.print("serving died")

    assert stream.getvalue() == "stop? \r\x1b[Kserving died\n"


def test_write_errors_are_ignored() -> None:
    stream = Full()

    Console(stream).print("hello")

    assert stream.getvalue() == ""

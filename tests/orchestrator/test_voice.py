from __future__ import annotations

import io
import re

from orchestrator.voice import Voice


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_line_has_the_time_in_front() -> None:
    stream = io.StringIO()

    Voice(stream).log("serving: STARTING -> READY")

    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d serving: STARTING -> READY\n"
    assert re.fullmatch(line, stream.getvalue())


def test_a_terminal_sees_the_time_pass_by_itself() -> None:
    stream = Terminal()

    Voice(stream).log("serving: STARTING -> READY")

    assert stream.getvalue() == "serving: STARTING -> READY\n"


def test_progress_on_a_terminal_is_one_moving_line() -> None:
    stream = Terminal()
    voice = Voice(stream)

    voice.progress("model m: LOADING", 1.0)
    voice.progress("model m: LOADING", 2.0)
    voice.say("ready")

    shown = "1 s: model m: LOADING\r\x1b[K2 s: model m: LOADING\r\x1b[Kready\n"
    assert stream.getvalue() == shown


def test_progress_in_a_log_is_a_line_for_each_change() -> None:
    stream = io.StringIO()
    voice = Voice(stream)

    for elapsed, line in enumerate(["m: START", "m: START", "m: LOADING"]):
        voice.progress(line, elapsed)

    assert [line[20:] for line in stream.getvalue().splitlines()] == [
        "waiting: m: START",
        "waiting: m: LOADING",
    ]


def test_only_a_terminal_is_asked() -> None:
    stream = io.StringIO()

    Voice(stream).ask("stop? ")

    assert stream.getvalue() == ""


def test_a_line_takes_the_place_of_the_prompt() -> None:
    stream = Terminal()
    voice = Voice(stream)

    voice.ask("stop? ")
    voice.say("serving died")

    assert stream.getvalue() == "stop? \r\x1b[Kserving died\n"


def test_a_voice_that_nobody_can_hear_does_not_raise() -> None:
    stream = Full()

    Voice(stream).say("hello")

    assert stream.getvalue() == ""

from __future__ import annotations

import threading

from flask_server.stopwatch import Stopwatch


def test_stages_add_up_within_the_total() -> None:
    watch = Stopwatch()
    for _ in range(2):
        with watch.stage("decode"):
            pass
    with watch.stage("serving"):
        pass

    parts = dict(part.split(";dur=") for part in watch.header().split(", "))

    assert list(parts) == ["decode", "serving", "total"]
    assert float(parts["decode"]) + float(parts["serving"]) <= float(parts["total"])


def test_threads_that_help_are_not_counted_beside_the_request() -> None:
    watch = Stopwatch()

    def help_out() -> None:
        with watch.stage("decode"):
            pass

    helper = threading.Thread(target=help_out)
    helper.start()
    helper.join()

    assert watch.seconds == {}

"""Several pictures of one request at the same time."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from flask_server.inference import image_pool as image_pool_module
from flask_server.inference.image_pool import ImagePool
from tests.waiting import eventually


def test_every_item_is_worked_on_once_and_keeps_its_place() -> None:
    seen: list[int] = []

    def square(number: int) -> int:
        seen.append(number)
        return number * number

    assert ImagePool(3).map(square, range(100)) == [number**2 for number in range(100)]
    assert sorted(seen) == list(range(100))


def test_nothing_to_do_is_done() -> None:
    assert ImagePool(2).map(str, []) == []


def test_items_are_worked_on_at_the_same_time() -> None:
    meet = threading.Barrier(2, timeout=60)

    def work(_: int) -> int:
        return meet.wait()

    assert sorted(ImagePool(2).map(work, [1, 2])) == [0, 1]


def test_a_single_item_and_a_single_thread_stay_with_the_caller() -> None:
    def work(_: int) -> int:
        return threading.get_ident()

    assert ImagePool(4).map(work, [1]) == [threading.get_ident()]
    assert set(ImagePool(1).map(work, [1, 2, 3])) == {threading.get_ident()}


def test_the_first_item_is_the_callers_own() -> None:
    image_pool = ImagePool(4)
    for _ in range(50):
        assert image_pool.map(lambda _: threading.get_ident(), range(4))[0] == threading.get_ident()


def test_a_caller_that_finds_all_helpers_busy_works_alone() -> None:
    image_pool, busy, go = ImagePool(2), threading.Event(), threading.Event()
    meet = threading.Barrier(2, timeout=60)

    def slow(_: int) -> None:
        meet.wait()
        busy.set()
        go.wait(60)

    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(image_pool.map, slow, [1, 2])
        assert busy.wait(60)

        assert image_pool.map(str, [1, 2, 3]) == ["1", "2", "3"]

        assert not waiting.done()
        go.set()
        waiting.result(60)


def test_helpers_do_not_go_on_for_a_caller_that_failed() -> None:
    here, meet, worked_on = threading.get_ident(), threading.Barrier(2, timeout=60), []

    def work(number: int) -> None:
        worked_on.append(number)
        if number < 2:
            meet.wait()
        if threading.get_ident() == here:
            raise ZeroDivisionError
        failed.wait(60)

    failed = threading.Event()
    image_pool = ImagePool(2)
    with pytest.raises(ZeroDivisionError):
        image_pool.map(work, range(100))
    failed.set()
    image_pool.map(str, range(2))

    assert sorted(worked_on) == [0, 1]


def test_an_error_in_a_helper_reaches_the_caller() -> None:
    here, meet = threading.get_ident(), threading.Barrier(2, timeout=60)

    def work(_: int) -> None:
        meet.wait()
        if threading.get_ident() != here:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ImagePool(2).map(work, [1, 2])


class Image:
    """Something that the test can see vanish."""


@pytest.mark.parametrize("caller_fails", [False, True])
def test_images_of_a_request_whose_helper_fails_are_not_kept(caller_fails: bool) -> None:
    here, meet = threading.get_ident(), threading.Barrier(2, timeout=60)
    caller_has_failed = threading.Event()

    def work(_: Image) -> None:
        meet.wait()
        if threading.get_ident() != here:
            if caller_fails:
                caller_has_failed.wait(60)
            raise ZeroDivisionError
        if caller_fails:
            raise ZeroDivisionError

    images = [Image(), Image()]
    seen = [weakref.ref(each) for each in images]
    gc.disable()
    try:
        with suppress(ZeroDivisionError):
            ImagePool(2).map(work, images)
        caller_has_failed.set()
        del images
        assert eventually(lambda: not any(each() for each in seen))
    finally:
        gc.enable()


def test_a_helper_that_fails_removes_no_item_that_the_caller_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = threading.get_ident()
    taken, seen, gone = threading.Event(), threading.Event(), threading.Event()

    class Items(deque[int]):
        def __len__(self) -> int:
            number = super().__len__()
            if threading.get_ident() == here and number:
                seen.set()
                gone.wait(0.05)  # the helper would need far less
            return number

        def clear(self) -> None:
            super().clear()
            gone.set()

    def work(number: int) -> None:
        if threading.get_ident() != here:
            taken.set()
            seen.wait(60)
            raise ZeroDivisionError
        if number == 0:
            taken.wait(60)

    monkeypatch.setattr(image_pool_module, "deque", Items)

    with pytest.raises(ZeroDivisionError):
        ImagePool(2).map(work, range(3))


def test_without_a_thread_the_caller_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    image_pool = ImagePool(3)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        assert image_pool.map(str, range(5)) == ["0", "1", "2", "3", "4"]
    for _ in range(20):  # helpers find work that nobody waits for any more
        assert image_pool.map(str, range(5)) == ["0", "1", "2", "3", "4"]

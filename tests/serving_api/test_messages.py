from __future__ import annotations

import importlib.util
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from serving_api import messages


@pytest.fixture
def unused() -> ModuleType:
    """A copy of the module that has made no class yet."""
    spec = importlib.util.spec_from_file_location("unused_messages", messages.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_threads_that_begin_at_once_get_the_same_classes(unused: ModuleType) -> None:
    begin, interval = threading.Barrier(8), sys.getswitchinterval()

    def request() -> object:
        begin.wait()
        spec = unused.message("ModelSpec")(name="toy")
        return unused.message("GetModelStatusRequest")(model_spec=spec)

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            requests = [each.result() for each in [pool.submit(request) for _ in range(8)]]
    finally:
        sys.setswitchinterval(interval)

    assert len({type(each) for each in requests}) == 1

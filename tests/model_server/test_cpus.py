from __future__ import annotations

import os

import pytest

from model_server.cpus import usable_cpus


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the affinity cannot be set here")
def test_only_cpus_of_the_affinity_count() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        count = usable_cpus()
    finally:
        os.sched_setaffinity(0, before)

    assert (count, usable_cpus()) == (1, len(before))

"""No mutated input makes a reader fail otherwise than by its documented errors.

``FUZZ_EXAMPLES=5000 pytest tests/fuzz`` looks longer, with other inputs each time; ``make fuzz``
searches for inputs that reach new lines.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.attack.usage import forget_peak, peak_mb
from tests.fuzz.catalogue import TARGETS
from tests.fuzz.mutation import inputs
from tests.fuzz.target import Target, limited_cpu

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
#: Largest growth of memory while all inputs of a target are read, one after another.
MOST_MB = 300.0

by_target = pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
    pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required:UserWarning"),
]


@by_target
def test_seeds_are_read(target: Target) -> None:
    """A target whose seeds are all refused would look at nothing but refusals."""
    with limited_cpu():
        accepted = [target.accepts(seed) for seed in target.seeds()]

    assert any(accepted)


@by_target
def test_inputs_are_read_or_refused(target: Target) -> None:
    seeds = target.seeds()
    forget_peak(os.getpid())
    before = peak_mb(os.getpid())

    @settings(
        max_examples=EXAMPLES or target.examples,
        derandomize=not EXAMPLES,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def examine(data: st.DataObject) -> None:
        made = data.draw(inputs(target, seeds))
        with limited_cpu():
            target.accepts(made)

    examine()

    assert peak_mb(os.getpid()) < before + MOST_MB

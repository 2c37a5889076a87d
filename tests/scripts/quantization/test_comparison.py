"""Scores of two precisions are compared as probabilities, and their speed in turn."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.quantization import comparison
from scripts.quantization.comparison import compare, is_sure, probabilities, speeds

F32 = np.array([[0.9, 0.1], [0.52, 0.48], [0.2, 0.8]], np.float32)


def test_agreement_counts_where_f32_is_sure() -> None:
    int8 = np.array([[0.8, 0.2], [0.4, 0.6], [0.2, 0.8]], np.float32)

    found = compare(F32, int8, "softmax")

    assert (found.images, found.sure, found.agreement) == (3, 2, 1.0)
    assert found.agreement_of_all == pytest.approx(2 / 3)
    assert found.largest_change == pytest.approx(0.12)
    assert found.mean_change == pytest.approx((0.1 + 0.12) / 3)


def test_without_a_sure_image_nothing_agrees() -> None:
    assert compare(F32[1:2], F32[1:2], "softmax").agreement == 0.0


def test_logits_become_probabilities() -> None:
    rows = np.array([[0.0, np.log(3.0)], [1000.0, 1000.0]], np.float32)

    assert probabilities(rows, "none") == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))
    assert probabilities(rows, "sigmoid") is rows


def test_a_single_score_is_sure() -> None:
    assert is_sure(np.array([[0.1]], np.float32)).tolist() == [True]


def test_precisions_are_measured_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_TURN_S", 3.0)
    now, calls = [0.0], []

    def run(name: str, seconds: float) -> None:
        calls.append(name)
        now[0] += seconds

    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    durations = {"f32": 4.0, "bf16": 2.0, "int8": 1.0}
    runs = {name: lambda n=name, s=s: run(n, s) for name, s in durations.items()}

    per_second, speedup = speeds(runs, 8, lambda: None)

    assert per_second == {"f32": 2.0, "bf16": 4.0, "int8": 8.0}
    assert speedup == 2.0
    assert calls[3:9] == ["f32", "bf16", "bf16", "int8", "int8", "int8"]

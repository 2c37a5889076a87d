from __future__ import annotations

import pytest

from model_server.metrics import Metrics


def test_counters_add_up_per_set_of_labels() -> None:
    metrics = Metrics()

    metrics.count("request_count", "m", "OK")
    metrics.count("request_count", "m", "OK", by=2)
    metrics.count("request_count", 'a"\n\\', "OK")

    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 3\n' in metrics.text()
    assert 'model_name="a\\"\\n\\\\",status="OK"} 1\n' in metrics.text()


def test_long_names_that_callers_choose_do_not_stay_in_memory() -> None:
    metrics = Metrics()

    metrics.count("request_count", "m" * 256, "OK")
    for number in range(20):
        metrics.count("request_count", f"{'m' * 1_000_000}{number}", "NOT_FOUND")

    assert f'model_name="{"m" * 256}",status="OK"}} 1\n' in metrics.text()
    lines = [line for line in metrics.text().splitlines() if "NOT_FOUND" in line]
    assert [line.rpartition(" ")[2] for line in lines] == ["20"]
    assert len(metrics.text()) < 10_000


def test_long_names_with_the_same_beginning_are_counted_apart() -> None:
    metrics = Metrics()
    one, other = f"{'m' * 300}/1", f"{'m' * 300}/2"

    for name in (one, other, one):
        metrics.count("request_count", name, "OK")

    lines = [line for line in metrics.text().splitlines() if "…" in line]
    assert sorted(line.rpartition(" ")[2] for line in lines) == ["1", "2"]
    assert all(f'model_name="{"m" * 256}…' in line for line in lines)


def test_every_metric_has_its_type_before_it_has_values() -> None:
    text = Metrics().text()

    assert "# TYPE :tensorflow:serving:request_count counter\n" in text
    assert "# TYPE :tensorflow:serving:request_latency histogram\n" in text
    assert all(line.startswith("# TYPE ") for line in text.splitlines())


def test_histograms_count_what_lies_at_or_below_each_limit() -> None:
    metrics = Metrics()

    for count in (1, 2, 3, 100_000):
        metrics.observe("request_example_counts", count, "m")

    text = metrics.text()
    name = ":tensorflow:serving:request_example_counts"
    assert f'{name}_bucket{{model="m",le="1"}} 1\n' in text
    assert f'{name}_bucket{{model="m",le="2"}} 2\n' in text
    assert f'{name}_bucket{{model="m",le="4"}} 3\n' in text
    assert f'{name}_bucket{{model="m",le="+Inf"}} 4\n' in text
    assert f'{name}_count{{model="m"}} 4\n' in text
    assert f'{name}_sum{{model="m"}} 100006\n' in text


def test_a_large_sum_still_grows_by_small_numbers() -> None:
    metrics = Metrics()

    for microseconds in (3e12, 1234.5):
        metrics.observe("request_latency", microseconds, "m", "predict", "REST")

    labels = 'model_name="m",API="predict",entrypoint="REST"'
    assert f":request_latency_sum{{{labels}}} 3000000001234.5\n" in metrics.text()


def test_latencies_have_the_buckets_of_tensorflow_serving() -> None:
    metrics = Metrics()

    with metrics.timed("request_latency", "m", "predict", "REST"):
        pass

    text = metrics.text()
    assert 'entrypoint="REST",le="10"}' in text
    assert 'entrypoint="REST",le="32.4"}' in text
    assert 'entrypoint="REST",le="104.976"}' in text


def test_failures_are_not_timed() -> None:
    metrics = Metrics()

    with pytest.raises(ValueError, match="x"), metrics.timed("request_latency", "m", "p", "REST"):
        raise ValueError("x")

    assert ":request_latency_count{" not in metrics.text()


def test_the_number_of_label_sets_is_limited() -> None:
    metrics = Metrics()

    for number in range(10_001):
        metrics.count("request_count", str(number), "NOT_FOUND")

    assert 'model_name="9999"' in metrics.text()
    assert 'model_name="10000"' not in metrics.text()

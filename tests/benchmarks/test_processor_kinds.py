"""A processor belongs to the fastest kind whose instructions it has."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import results
from benchmarks.processor_kinds import features, kind_of, known_flags

XEON = ["sse2", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8"]


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (XEON, "amx"),
        (["avx2", "avx512f", "avx512_vnni", "avx512_bf16"], "avx512_bf16"),
        (["avx2", "avx512f"], "avx512"),
        (["avx2", "avx512f", "avx512_vnni"], "avx512_vnni"),
        (["avx2", "avx_vnni"], "avx_vnni"),
        (["avx2"], "avx2"),
        (["sse2"], "other"),
        ([], "other"),
    ],
)
def test_the_kind_is_the_fastest_one(flags: list[str], name: str) -> None:
    assert kind_of(flags).name == name


def test_the_features_are_named_for_people() -> None:
    assert features(XEON) == "AVX2, AVX-512, VNNI, bf16, AMX bf16, AMX int8"
    assert features(["sse2"]) == "none of the features"


def test_flags_that_matter_are_kept() -> None:
    assert known_flags(XEON) == XEON[1:]


def document(flags: list[str], *, short: bool = False) -> dict[str, Any]:
    return {"machine": {"features": flags}, "short": short}


def test_every_kind_has_a_folder_of_its_own() -> None:
    paths = [results.path_of(document(flags)) for flags in (XEON, XEON[:6], [])]

    assert [path.parent.name for path in paths] == ["amx", "avx512_bf16", "other"]
    assert {path.parent.parent for path in paths} == {results.FOLDER}


def test_a_short_run_keeps_the_results_of_whole_ones() -> None:
    assert results.FOLDER not in results.path_of(document(XEON, short=True)).parents

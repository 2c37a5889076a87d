"""Kinds of processors, by the instructions that decide how fast a model is computed.

Ratios between two systems depend on the processor: where inference is fast, the rest of a request
weighs more. So results of different kinds are kept beside each other, and a target may have a bound
for each kind.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of processor."""

    name: str
    """The name of its folder in ``results/``."""

    title: str

    flag: str
    """The flag in ``/proc/cpuinfo`` that all its processors have."""


#: The fastest kind first; a processor belongs to the first one whose flag it has.
KINDS = (
    Kind("amx", "AMX", "amx_bf16"),
    Kind("avx512_bf16", "AVX-512 with bf16", "avx512_bf16"),
    Kind("avx512_vnni", "AVX-512 with VNNI", "avx512_vnni"),
    Kind("avx_vnni", "AVX2 with VNNI", "avx_vnni"),
    Kind("avx512", "AVX-512 without VNNI", "avx512f"),
    Kind("avx2", "AVX2", "avx2"),
)
OTHER = Kind("other", "other processors", "")
AMX = KINDS[0]
#: The kinds with instructions for int8; every processor with bf16 has VNNI as well.
WITH_INT8 = KINDS[:4]

#: The flags of each feature; a processor with one of them has the feature.
FEATURES = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "bf16": ("avx512_bf16",),
    "AMX bf16": ("amx_bf16",),
    "AMX int8": ("amx_int8",),
}


def known_flags(flags: Collection[str]) -> list[str]:
    """Return those of a processor's flags that belong to a feature."""
    return [flag for names in FEATURES.values() for flag in names if flag in flags]


def features(flags: Collection[str]) -> str:
    """Return the names of the features for people."""
    found = [name for name, names in FEATURES.items() if not set(names).isdisjoint(flags)]
    return ", ".join(found) or "none of the features"


def kind_of(flags: Collection[str]) -> Kind:
    """Return the kind of a processor with these flags."""
    return next((kind for kind in KINDS if kind.flag in flags), OTHER)

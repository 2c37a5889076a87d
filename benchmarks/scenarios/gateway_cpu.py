"""CPU time of the gateway per request, in front of a Serving that answers in no time."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.figures import Json
from benchmarks.gateway_cost import (
    decode_and_resize,
    gateway,
    jpeg,
    ratios,
    reduced_decode_and_resize,
)


def gateway_cpu(bench: Bench) -> Json:
    """Hold a 500x375 JPEG against decode and resize alone."""
    picture = jpeg(500, 375, 90)
    count = int(100 * bench.seconds)
    with gateway() as (port, worker):
        mine, bare = ratios(port, worker, picture, lambda: decode_and_resize(picture), count)
    bench.say(f"{mine:.2f} ms, of which decode and resize {bare:.2f} ms")
    return {"cpu_ms": mine, "bare_ms": bare, "beyond_ms": mine - bare, "bytes": len(picture)}


def large_jpeg(bench: Bench) -> Json:
    """Hold a 12-megapixel JPEG against Pillow's decoding at reduced size."""
    picture = jpeg(4000, 3000, 97)
    count = int(8 * bench.seconds)
    with gateway() as (port, worker):
        mine, bare = ratios(
            port, worker, picture, lambda: reduced_decode_and_resize(picture), count
        )
    bench.say(f"{mine:.1f} ms, of which reduced decoding and resize {bare:.1f} ms")
    return {"cpu_ms": mine, "bare_ms": bare, "ratio": mine / bare, "bytes": len(picture)}

"""CPU time of the gateway per request, in front of the stub of TensorFlow Serving."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.figures import Json
from benchmarks.gateway_cost import (
    decode_and_resize,
    gateway,
    jpeg,
    paired_medians_ms,
    reduced_decode_and_resize,
)


def gateway_cpu(bench: Bench) -> Json:
    """Compare a request with a 500x375 JPEG with decode and resize alone."""
    picture = jpeg(500, 375, 90)
    mine, bare = _medians_ms(picture, decode_and_resize, int(100 * bench.seconds))
    bench.say(f"{mine:.2f} ms, of which decode and resize {bare:.2f} ms")
    return {"cpu_ms": mine, "bare_ms": bare, "beyond_ms": mine - bare, "bytes": len(picture)}


def large_jpeg(bench: Bench) -> Json:
    """Compare a request with a 12-megapixel JPEG with Pillow's decoding at reduced size."""
    picture = jpeg(4000, 3000, 97)
    mine, bare = _medians_ms(picture, reduced_decode_and_resize, int(8 * bench.seconds))
    bench.say(f"{mine:.1f} ms, of which reduced decoding and resize {bare:.1f} ms")
    return {"cpu_ms": mine, "bare_ms": bare, "ratio": mine / bare, "bytes": len(picture)}


def _medians_ms(
    picture: bytes, bare_work: Callable[[bytes], None], count: int
) -> tuple[float, float]:
    """Return the CPU milliseconds of the gateway and of the bare work for one picture."""
    with gateway() as (port, worker):
        return paired_medians_ms(port, worker, picture, lambda: bare_work(picture), count)

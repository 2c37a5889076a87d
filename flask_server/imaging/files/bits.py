"""Read numbers that do not begin at whole bytes."""

from __future__ import annotations


class Bits:
    """The bits of some bytes, the highest one of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """Return the next ``count`` bits as a number; raise EOFError if there are fewer."""
        if count > self._left:
            raise EOFError("no more bits")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def flag(self) -> bool:
        """Return whether the next bit is set."""
        return bool(self.take(1))

    def exp_golomb(self) -> int:
        """Return the next number in the code ``ue(v)`` of HEVC, which is ``uvlc()`` in AV1."""
        zeros = 0
        while not self.flag():
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

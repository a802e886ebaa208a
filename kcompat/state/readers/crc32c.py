"""CRC-32C, the checksum of TensorFlow's checkpoint files."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Tuple

import numpy as np

# Castagnoli's polynomial, bits reversed.
_POLYNOMIAL = 0x82F63B78
# Long data is cut into this many pieces of equal length, which are summed side by side.
_LANES = 1 << 13
_MASK_DELTA = 0xA282EAD8


def crc32c(data: Any, crc: int = 0) -> int:
    """The checksum of some bytes, going on from that of the bytes before them."""
    array = np.frombuffer(data, "uint8")
    register = crc ^ 0xFFFFFFFF
    length = len(array) // _LANES // 4 * 4
    if length >= 16:
        register = _shifted(register, length * _LANES) ^ _of_lanes(array[: length * _LANES])
        array = array[length * _LANES :]
    table = _table().tolist()
    for byte in array.tobytes():
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """A checksum as it is stored: rotated and shifted, so that one of data with checksums in it is no less
    good."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


@lru_cache(maxsize=None)
def _table() -> np.ndarray:
    """What each value of the lowest byte adds."""
    table = np.arange(256, dtype="uint32")
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1).astype("uint32")
    return table


@lru_cache(maxsize=None)
def _tables_of_halves() -> Tuple[np.ndarray, np.ndarray]:
    """What each value of the lower and of the upper two bytes becomes in four steps."""
    table = _table()
    tables = []
    for shift in (0, 16):
        register = np.left_shift(np.arange(1 << 16, dtype="uint32"), np.uint32(shift))
        for _ in range(4):
            register = table[register & 0xFF] ^ (register >> 8)
        tables.append(register)
    return tables[0], tables[1]


def _of_lanes(array: np.ndarray) -> int:
    """The register after all bytes, started at 0; it is linear in them."""
    low, high = _tables_of_halves()
    words = array.view("<u4").reshape(_LANES, -1)
    length = 4 * words.shape[1]
    register = np.zeros(_LANES, "uint32")
    for start in range(0, words.shape[1], 64):  # copied, so that the words of one moment are side by side
        for column in np.ascontiguousarray(words[:, start : start + 64].T):
            register ^= column
            register = low.take(register & 0xFFFF) ^ high.take(register >> 16)
    while len(register) > 1:  # neighbours, two by two
        register = _apply(_zeros(length), register[0::2]) ^ register[1::2]
        length *= 2
    return int(register[0])


def _shifted(register: int, length: int) -> int:
    """A register after so many zero bytes."""
    return int(_apply(_zeros(length), np.array([register], "uint32"))[0])


@lru_cache(maxsize=128)
def _zeros(length: int) -> np.ndarray:
    """What each bit of a register becomes after so many zero bytes."""
    bits = np.left_shift(np.uint32(1), np.arange(32, dtype="uint32"))
    if length == 0:
        return bits
    half = _zeros(length // 2)
    both = _apply(half, half)
    return _table()[both & 0xFF] ^ (both >> 8) if length % 2 else both


def _apply(matrix: np.ndarray, registers: np.ndarray) -> np.ndarray:
    result = np.zeros_like(registers)
    for bit in range(32):
        result ^= np.where(registers >> np.uint32(bit) & np.uint32(1), matrix[bit], np.uint32(0))
    return result

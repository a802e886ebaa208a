"""Protocol buffers as far as checkpoints need them: the fields of a message, without its definition."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """Bytes that are no message."""


def varint(data: bytes, start: int) -> Tuple[int, int]:
    """An unsigned number of variable length, and where the next thing begins.

    Raises:
        WireError: it goes on past the end, or is longer than 64 bits.
    """
    value, shift = 0, 0
    for position in range(start, min(start + 10, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    raise WireError("a number at byte {} has no end".format(start))


def fields(data: bytes) -> Dict[int, List[Any]]:
    """The fields of a message: number -> values in their order, each an int or bytes.

    Raises:
        WireError: this is no message.
    """
    found: Dict[int, List[Any]] = {}
    position = 0
    while position < len(data):
        tag, position = varint(data, position)
        number, kind = tag >> 3, tag & 7
        value: Any
        if kind == _VARINT:
            value, position = varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
            value, position = int.from_bytes(data[position : position + size], "little"), position + size
        elif kind == _BYTES:
            size, position = varint(data, position)
            value, position = data[position : position + size], position + size
        else:
            raise WireError("field {} is of the unknown kind {}".format(number, kind))
        if position > len(data) or number == 0:
            raise WireError("field {} goes on past the end".format(number))
        found.setdefault(number, []).append(value)
    return found


def one(message: Dict[int, List[Any]], number: int, default: Any) -> Any:
    """The last value of a field, or a default.

    Raises:
        WireError: it is of another kind than the default.
    """
    value = message[number][-1] if number in message else default
    if type(value) is not type(default):
        raise WireError("field {} is {}".format(number, "a number" if isinstance(value, int) else "bytes"))
    return value


def messages(message: Dict[int, List[Any]], number: int) -> List[Dict[int, List[Any]]]:
    """The messages in a repeated field.

    Raises:
        WireError: these are none.
    """
    values = message.get(number, [])
    if not all(isinstance(value, bytes) for value in values):
        raise WireError("field {} holds numbers".format(number))
    return [fields(value) for value in values]


def text(value: bytes) -> str:
    """Bytes as text.

    Raises:
        WireError: they are no UTF-8.
    """
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError("{!r} is no text".format(value[:40])) from error

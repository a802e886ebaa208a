"""Writes checkpoints of TensorFlow without TensorFlow: also such as it would not write."""

import importlib

import _package
import numpy as np

_READERS = _package.NAME + ".state.readers"
_crc = importlib.import_module(_READERS + ".crc32c")
MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}
_STRING = 7


def varint(number):
    """A number in a protocol buffer or a table."""
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def message(*fields):
    """A message of pairs: a field's number, and an int, bytes or a string."""
    encoded = b""
    for number, value in fields:
        value = value.encode() if isinstance(value, str) else value
        if isinstance(value, bytes):
            encoded += varint(number << 3 | 2) + varint(len(value)) + value
        else:
            encoded += varint(number << 3) + varint(value)
    return encoded


def node(children=(), name="", key="", slots=()):
    """An object of a graph.

    Args:
        children: attribute -> the number of an object.
        name, key: of a variable, its name and that of its tensor.
        slots: triples (a variable's number, what the slot is called, the slot's number).
    """
    fields = [(1, message((1, number), (2, child))) for child, number in dict(children).items()]
    if key:
        fields.append((2, message((1, "VARIABLE_VALUE"), (2, name), (3, key))))
    fields += [(3, message((1, number), (2, slot), (3, own))) for number, slot, own in slots]
    return message(*fields)


def graph(*nodes):
    """The tensor in which a checkpoint of objects has them."""
    return {GRAPH: message(*((1, each) for each in nodes))}


def _masked(data, before=0):
    return _crc.masked(_crc.crc32c(data, before))


def _string(value):
    length = len(value).to_bytes(4, "little")
    check = _masked(length).to_bytes(4, "little")
    crc = _crc.masked(_crc.crc32c(value, _crc.crc32c(check, _crc.crc32c(length))))
    return varint(len(value)) + check + value, crc


def _block(entries):
    """A block of a table, and where it would end: of keys that share no beginning."""
    data = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries
    )
    data += (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    return data + b"\x00" + _masked(data + b"\x00").to_bytes(4, "little"), len(data)


def write(prefix, tensors, big_endian=False):
    """Writes a checkpoint.

    Args:
        prefix: its path, without ".index".
        tensors: name -> an array of numbers, or bytes for a scalar string.
        big_endian: whether the index is to say that the machine was.

    Returns:
        The prefix.
    """
    data, entries = b"", [(b"", message((1, 1), (2, int(big_endian))))]
    for name, value in sorted(tensors.items()):
        if isinstance(value, bytes):
            dtype, shape, (part, crc) = _STRING, (), _string(value)
        else:
            value = np.asarray(value)
            dtype, shape, part = _DTYPES[str(value.dtype)], value.shape, value.tobytes()
            crc = _masked(part)
        dimensions = message(*((2, message((1, size))) for size in shape))
        entry = message((1, dtype), (2, dimensions), (4, len(data)), (5, len(part)), (6, crc))
        entries.append((name.encode(), entry))
        data += part
    block, length = _block(entries)
    index, index_length = _block([(b"~", varint(0) + varint(length))])
    footer = varint(0) + varint(0) + varint(len(block)) + varint(index_length)
    with open(prefix + ".index", "wb") as file:
        file.write(block + index + footer.ljust(40, b"\x00") + MAGIC)
    with open(prefix + ".data-00000-of-00001", "wb") as file:
        file.write(data)
    return prefix

"""TensorFlow's checkpoint files, read without TensorFlow: the index, the data, and their checksums.

`NAME.index` is a sorted table in LevelDB's format, name of a tensor -> where it is. The bytes are in
`NAME.data-00000-of-00001`, or in several such files.
"""

from __future__ import annotations

import os
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from ...errors import StateError
from ..description import LazyArray
from .crc32c import crc32c, masked
from .wire import WireError, fields, messages, one, varint

_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
_FOOTER = 48
# An index holds names and places only. A hundred thousand variables take 20 MB.
_LARGEST_INDEX = 1 << 30

_STRING, _BFLOAT16 = 7, 14
_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    8: "complex64",
    9: "int64",
    10: "bool",
    17: "uint16",
    18: "complex128",
    19: "float16",
    22: "uint32",
    23: "uint64",
}


class Entry(NamedTuple):
    """Where a tensor is.

    Attributes:
        dtype: TensorFlow's number of its dtype.
        shape: its shape.
        shard, offset, size, crc: the data file, the place in it, and the checksum.
        slices: of a partitioned variable, the parts: a (start, length) for each dimension.
    """

    dtype: int
    shape: Tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    slices: List[Tuple[Tuple[int, int], ...]]


class Bundle:
    """A checkpoint of TensorFlow.

    Args:
        prefix: the path without ".index".

    Raises:
        StateError: there is none, or it is damaged. Of the data files, only their length is looked at here.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        try:
            self.entries, self._shards = self._read_index()
        except WireError as error:
            raise self._damaged("index", "{}".format(error)) from error
        self._check_data()

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def shape(self, name: str) -> Tuple[int, ...]:
        """A tensor's shape."""
        return self.entries[name].shape

    def dtype(self, name: str) -> str:
        """The dtype of a tensor of numbers, by name.

        Raises:
            StateError: it is none of numbers.
        """
        number = self.entries[name].dtype
        if number == _BFLOAT16:
            return "bfloat16"
        if number not in _DTYPES:
            raise StateError(
                "{}: {!r} is of TensorFlow's dtype {}; expected numbers.".format(self.prefix, name, number)
            )
        return _DTYPES[number]

    def is_number(self, name: str) -> bool:
        """Whether a tensor is of numbers, not strings."""
        return self.entries[name].dtype == _BFLOAT16 or self.entries[name].dtype in _DTYPES

    def lazy(self, name: str) -> LazyArray:
        """A tensor, read when it is needed; bfloat16 as float32.

        Raises:
            StateError: it is none of numbers.
        """
        dtype = self.dtype(name)
        return LazyArray(
            self.shape(name), "float32" if dtype == "bfloat16" else dtype, lambda: self.read(name)
        )

    def read(self, name: str) -> np.ndarray:
        """A tensor of numbers; bfloat16 as float32.

        Raises:
            StateError: the data is damaged or can't be read.
        """
        entry, dtype = self.entries[name], self.dtype(name)
        if entry.slices:
            return self._put_together(name, entry)
        data = self._bytes(name, entry)
        if dtype == "bfloat16":
            wide = np.frombuffer(data, "<u2").astype("uint32") << np.uint32(16)
            return wide.view("float32").reshape(entry.shape)
        array = np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(entry.shape)
        return array.astype(dtype, copy=False)

    def string(self, name: str) -> bytes:
        """A scalar string.

        Raises:
            StateError: it is none, or the data is damaged.
        """
        entry = self.entries[name]
        if entry.dtype != _STRING or entry.shape != ():
            raise self._damaged("index", "{!r} is no string".format(name))
        data = self._read_at(entry)
        try:
            length, start = varint(data, 0)
        except WireError as error:
            raise self._damaged("data", "{!r}: {}".format(name, error)) from error
        crc = crc32c(length.to_bytes(4 if length < 1 << 32 else 8, "little"))
        if data[start : start + 4] != masked(crc).to_bytes(4, "little"):
            raise self._damaged("data", "the length of {!r} fails its checksum".format(name))
        value = data[start + 4 :]
        if len(value) != length or masked(crc32c(value, crc32c(data[start : start + 4], crc))) != entry.crc:
            raise self._damaged("data", "{!r} fails its checksum".format(name))
        return value

    # Data.

    def _put_together(self, name: str, entry: Entry) -> np.ndarray:
        """A partitioned variable from its parts."""
        parts = []
        for extents in entry.slices:
            part = _slice_key(name, extents)
            lengths = [size if length < 0 else length for (_, length), size in zip(extents, entry.shape)]
            found = self.entries.get(part)
            if found is None or found.slices or (found.dtype, found.shape) != (entry.dtype, tuple(lengths)):
                raise self._damaged("index", "a part of {!r} is missing".format(name))
            region = tuple(slice(start, start + length) for (start, _), length in zip(extents, lengths))
            parts.append((part, region))
        # Before memory is taken: the parts' own sizes have been compared with the files.
        if sum(_size(self.shape(part)) for part, _ in parts) != _size(entry.shape):
            raise self._damaged("index", "the parts of {!r} are not the whole".format(name))
        dtype = self.dtype(name)
        whole = np.zeros(entry.shape, "float32" if dtype == "bfloat16" else dtype)
        for part, region in parts:
            whole[region] = self.read(part)
        return whole

    def _bytes(self, name: str, entry: Entry) -> bytes:
        data = self._read_at(entry)
        if masked(crc32c(data)) != entry.crc:
            raise self._damaged("data", "{!r} fails its checksum".format(name))
        return data

    def _read_at(self, entry: Entry) -> bytes:
        path = self._data_path(entry.shard)
        try:
            with open(path, "rb") as file:
                file.seek(entry.offset)
                data = file.read(entry.size)
        except OSError as error:
            raise StateError("{} can't be read: {}.".format(path, error.strerror)) from error
        if len(data) != entry.size:
            raise self._damaged("data", "{} ends too early".format(os.path.basename(path)))
        return data

    def _data_path(self, shard: int) -> str:
        return "{}.data-{:05d}-of-{:05d}".format(self.prefix, shard, self._shards)

    def _check_data(self) -> None:
        """Whether each tensor is as long as its shape says, and lies in its file."""
        lengths = {}
        for name, entry in self.entries.items():
            if entry.slices:
                continue
            if entry.shard not in lengths:
                path = self._data_path(entry.shard)
                if not os.path.isfile(path):
                    raise StateError(
                        "{0}.index belongs to a checkpoint whose data is in {1}, which is not there. Copy "
                        "all files of a checkpoint together.".format(self.prefix, os.path.basename(path))
                    )
                lengths[entry.shard] = os.path.getsize(path)
            if entry.offset + entry.size > lengths[entry.shard]:
                raise self._damaged(
                    "data",
                    "{!r} is at bytes {} to {}, and the file has {}; it is truncated".format(
                        name, entry.offset, entry.offset + entry.size, lengths[entry.shard]
                    ),
                )
            if self.is_number(name):
                itemsize = 2 if entry.dtype == _BFLOAT16 else np.dtype(_DTYPES[entry.dtype]).itemsize
                if _size(entry.shape) * itemsize != entry.size:
                    raise self._damaged(
                        "index",
                        "{!r} of shape {} has {} bytes".format(name, entry.shape, entry.size),
                    )

    # The index.

    def _read_index(self) -> Tuple[Dict[str, Entry], int]:
        path = self.prefix + ".index"
        try:
            size = os.path.getsize(path)
            if size > _LARGEST_INDEX:
                raise self._damaged("index", "it has {} bytes".format(size))
            with open(path, "rb") as file:
                return self._of_table(file, size)
        except OSError as error:
            raise StateError("{} can't be read: {}.".format(path, error.strerror)) from error

    def _of_table(self, file: BinaryIO, size: int) -> Tuple[Dict[str, Entry], int]:
        file.seek(max(size - _FOOTER, 0))
        footer = file.read(_FOOTER)
        if len(footer) < _FOOTER or footer[-8:] != _MAGIC:
            raise StateError(
                "{}.index is no index of a TensorFlow checkpoint, or is truncated: its last bytes are {!r}; "
                "expected {!r}.".format(self.prefix, footer[-8:], _MAGIC)
            )
        _, position = varint(footer, 0)
        _, position = varint(footer, position)
        entries: Dict[str, Entry] = {}
        header: Optional[bytes] = None
        for _, handle in self._block(file, size, *_handle(footer, position)):
            for key, value in self._block(file, size, *_handle(handle, 0)):
                if key == b"":
                    header = value
                else:
                    entries[key.decode("utf-8", "surrogateescape")] = _entry(value)
        if header is None:
            raise self._damaged("index", "it has no header")
        found = fields(header)
        if one(found, 2, 0) != 0:
            raise StateError(
                "{}.index was written on a machine of the other byte order; only little-endian ones are "
                "read. Take the state on such a machine, with kcompat.state.take(), and save "
                "that.".format(self.prefix)
            )
        return entries, one(found, 1, 1)

    def _block(self, file: BinaryIO, size: int, offset: int, length: int) -> Iterator[Tuple[bytes, bytes]]:
        """The keys and values of a block of the table."""
        if offset + length + 5 > size:
            raise self._damaged("index", "a block lies past the end; it is truncated")
        file.seek(offset)
        data = file.read(length + 5)
        if masked(crc32c(data[: length + 1])).to_bytes(4, "little") != data[length + 1 :]:
            raise self._damaged("index", "the block at byte {} fails its checksum".format(offset))
        if data[length] != 0:
            raise self._damaged("index", "a block is compressed, which TensorFlow does not do")
        count = int.from_bytes(data[length - 4 : length], "little")
        end = length - 4 - 4 * count
        if length < 4 or end < 0:
            raise self._damaged("index", "the block at byte {} has no entries".format(offset))
        position, key = 0, b""
        while position < end:
            shared, position = varint(data, position)
            own, position = varint(data, position)
            long, position = varint(data, position)
            key = key[:shared] + data[position : position + own]
            value = data[position + own : position + own + long]
            position += own + long
            if position > end:
                raise self._damaged("index", "an entry goes on past its block")
            yield key, value

    def _damaged(self, file: str, what: str) -> StateError:
        return StateError(
            "{} is damaged: in its {}, {}.".format(self.prefix, "index" if file == "index" else "data", what)
        )


def _handle(data: bytes, start: int) -> Tuple[int, int]:
    """The place and length of a block."""
    offset, position = varint(data, start)
    length, _ = varint(data, position)
    return offset, length


def _entry(data: bytes) -> Entry:
    message = fields(data)
    dimensions = messages(fields(one(message, 2, b"")), 2)
    slices = []
    for part in messages(message, 7):
        extents = messages(part, 1)
        slices.append(tuple((one(each, 1, 0), one(each, 2, 0) if 2 in each else -1) for each in extents))
    shape = tuple(one(dimension, 1, 0) for dimension in dimensions)
    if len(shape) > 32 or _size(shape) > 1 << 56:
        raise WireError("a shape is {}".format(shape[:32]))
    return Entry(
        dtype=one(message, 1, 0),
        shape=shape,
        shard=one(message, 3, 0),
        offset=one(message, 4, 0),
        size=one(message, 5, 0),
        crc=one(message, 6, 0),
        slices=slices,
    )


def _size(shape: Tuple[int, ...]) -> int:
    """How many elements, in whole numbers of any size."""
    size = 1
    for each in shape:
        size *= each
    return size


# Names of the parts of partitioned variables, in TensorFlow's "ordered code".


def _slice_key(name: str, extents: Tuple[Tuple[int, int], ...]) -> str:
    code = _ordered_number(0) + _ordered_string(name.encode("utf-8", "surrogateescape"))
    code += _ordered_number(len(extents))
    for start, length in extents:
        code += _ordered_signed(start) + _ordered_signed(length)
    return code.decode("utf-8", "surrogateescape")


def _ordered_number(value: int) -> bytes:
    """An unsigned number: its length in bytes, then itself, highest byte first."""
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(data)]) + data


def _ordered_string(value: bytes) -> bytes:
    escapes = {0x00: b"\x00\xff", 0xFF: b"\xff\x00"}
    return b"".join(escapes.get(byte, bytes([byte])) for byte in value) + b"\x00\x01"


def _ordered_signed(value: int) -> bytes:
    """A signed number: as many bytes as it needs, the length in the first bits, flipped for negative ones."""
    magnitude = ~value if value < 0 else value
    length = 1
    while magnitude >> (7 * length - 1):
        length += 1
    if length > 8:
        raise WireError("{} is too large for a part of a variable".format(value))
    data = bytearray(value.to_bytes(length, "big", signed=True))
    header = (0xFF << (8 - length)) & 0xFF
    data[0] ^= header
    return bytes(data)

"""Optimizer state in files: `.safetensors` and `.npz`, written whole or not at all, and never unpickled.

Both are the formats that others read. `.safetensors` is written here, and not by the library of that name,
because that wants all arrays in memory at once: eight bytes that say how long the header is, the header in
JSON, and the arrays one after the other. `.npz` is a zip file of NumPy arrays. A checksum over the whole file
stands in both, in the header's metadata and in the zip file's comment.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import struct
import threading
import uuid
import zipfile
import zlib
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from ..errors import StateError
from .description import LazyArray, State, VariableSlots

__all__ = ["load", "save"]

Progress = Optional[Callable[[int, int], None]]

_FORMAT, _VERSION = "kcompat.state", 1

# safetensors' names of dtypes. bfloat16 is in none of our files: NumPy does not have it.
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "<u1",
    "BOOL": "|b1",
}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}

# The checksum in a file that has none yet, and while it is worked out.
_BLANK = b"crc32:00000000"
_CHECKSUM = re.compile(rb"crc32:[0-9a-f]{8}")

_CHUNK = 1 << 22
_LONGEST_HEADER = 100_000_000  # as safetensors has it
_DESCRIPTION = "description.npy"


def save(state: State, path: Any, progress: Progress = None) -> None:
    """Writes a state to a file.

    The file is written beside its place and moved there when it is whole and on the disk, so that at any
    moment the old file or the new one is there. Of lazy arrays one at a time is in memory.

    Args:
        state: the state.
        path: where to; a file that is there is replaced. The name ends with ".safetensors" or ".npz".
        progress: called with the number of bytes written so far, and that of all.

    Raises:
        StateError: another ending, or something that such a file does not hold.
        OSError: the file can't be written.
    """
    path = os.fspath(path)
    write = {".safetensors": _write_safetensors, ".npz": _write_npz}.get(os.path.splitext(path)[1])
    if write is None:
        raise StateError(
            "State can't be saved as {!r}: expected a name that ends with .safetensors or .npz.".format(path)
        )
    tensors = _tensors(state)
    description = _described(state)
    with _replacing(path) as file:
        write(file, tensors, description, _Told(progress, sum(array.nbytes for array in tensors.values())))


def load(path: Any, progress: Progress = None) -> State:
    """Reads a state that `save` wrote.

    The checksum is gone through once. Arrays are `LazyArray`s, read from the file when they are asked for;
    `state.loaded()` has them all in memory.

    Args:
        path: the file.
        progress: called with the number of bytes read so far, and that of all.

    Raises:
        StateError: the file is damaged, or none that `save` wrote.
        OSError: there is no such file, or it can't be read.
    """
    path = os.fspath(path)
    source = _Source(path)
    try:
        if source.start(4) in (b"PK\x03\x04", b"PK\x05\x06"):
            tensors, description = _read_npz(source, progress)
        else:
            tensors, description = _read_safetensors(source, progress)
        return _state(description, tensors)
    except StateError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise _damaged(path, "what it says of itself makes no sense ({})".format(error)) from error
    except (struct.error, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: str, what: str) -> StateError:
    return StateError("{} is damaged, and nothing was read of it: {}.".format(path, what))


def _foreign(path: str, what: str) -> StateError:
    return StateError(
        "{} {}. kcompat.state.load() reads what kcompat.state.save() wrote; for checkpoints of TensorFlow "
        "and Keras there is kcompat.state.read().".format(path, what)
    )


# What is in a file.


def _tensors(state: State) -> Dict[str, Any]:
    """Every array under the name that it has in a file."""
    return {_tensor_name(*where): array for where, array in state.arrays()}


def _tensor_name(kind: str, key: str, name: str) -> str:
    if kind == "slot":
        return "slots/{}/{}".format(_escaped(key), _escaped(name).replace("/", "%2F"))
    return "{}/{}".format("shared" if kind == "shared" else "weights", _escaped(name))


def _escaped(name: str) -> str:
    """A name without what a zip file does not keep in one."""
    return re.sub(r"[%\\\x00-\x1f]", lambda match: "%{:02X}".format(ord(match.group())), name)


def _described(state: State) -> str:
    """All of a state but its arrays, as JSON."""
    described = {
        "rule": state.rule,
        "config": state.config,
        "step": state.step,
        "variables": [
            {"key": k, "name": v.name, "shape": list(v.shape), "dtype": v.dtype, "slots": list(v.slots)}
            for k, v in state.variables.items()
        ],
        "shared": list(state.shared),
        "weights": None if state.weights is None else list(state.weights),
        "origin": state.origin,
        "convention": state.convention,
    }
    try:
        return json.dumps(described, default=_plain)
    except (TypeError, ValueError) as error:
        raise StateError("The state's configuration can't be saved: {}.".format(error)) from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError("{!r} of type {} has no JSON form".format(value, type(value).__name__))


def _state(description: str, tensors: Mapping[str, LazyArray]) -> State:
    described = json.loads(description)
    taken = set()

    def array(kind: str, key: str, name: str) -> LazyArray:
        found = _tensor_name(kind, key, name)
        taken.add(found)
        return tensors[found]

    variables = {
        v["key"]: VariableSlots(
            v["name"], v["shape"], v["dtype"], {slot: array("slot", v["key"], slot) for slot in v["slots"]}
        )
        for v in described["variables"]
    }
    shared = {name: array("shared", "", name) for name in described["shared"]}
    weights = described["weights"]
    if weights is not None:
        weights = {name: array("weight", "", name) for name in weights}
    if taken != set(tensors):
        raise ValueError("it holds arrays that it does not describe")
    names = ("rule", "config", "step", "origin", "convention")
    return State(variables=variables, shared=shared, weights=weights, **{n: described[n] for n in names})


class _Told:
    """Tells how far a file has got."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)


# Writing.


@contextlib.contextmanager
def _replacing(path: str) -> Iterator[IO[bytes]]:
    """A file that takes the place of another once it is whole, and that is gone if it does not get there."""
    target = os.path.realpath(path)
    directory, name = os.path.split(target)
    _remove_stale(directory, name)
    beside = os.path.join(directory, ".{}.{}.tmp".format(name, uuid.uuid4().hex))
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(os.open(beside, flags, 0o666), "w+b"))
        try:
            _lock(file)
            with contextlib.suppress(OSError):
                os.chmod(beside, os.stat(target).st_mode & 0o7777)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name == "nt":  # which moves no file that is open
                file.close()
            os.replace(beside, target)
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()
                os.remove(beside)
            raise
    _sync_directory(directory)


def _lock(file: IO[bytes]) -> bool:
    """Marks a file as being written by a process that is alive. Returns whether nobody else had."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_stale(directory: str, name: str) -> None:
    """Removes what saves to the same place have left that were killed."""
    pattern = re.compile(re.escape(".{}.".format(name)) + r"[0-9a-f]{32}\.tmp$")
    with contextlib.suppress(OSError):
        for each in os.listdir(directory or "."):
            if pattern.match(each):
                beside = os.path.join(directory, each)
                with contextlib.suppress(OSError), open(beside, "rb") as file:
                    if _lock(file):
                        os.remove(beside)


def _sync_directory(directory: str) -> None:
    with contextlib.suppress(OSError):  # Windows has no descriptor of a directory
        descriptor = os.open(directory or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _in_file(name: str, array: Any) -> np.ndarray:
    """An array as it is in a file: in a row, little-endian."""
    found = np.asarray(array)
    dtype = found.dtype.newbyteorder("<")
    if dtype not in _NAMES:
        raise StateError("{} has dtype {}, which a file of state does not hold.".format(name, found.dtype))
    return np.ascontiguousarray(found, dtype).reshape(found.shape)


def _write_safetensors(file: IO[bytes], tensors: Mapping[str, Any], description: str, told: _Told) -> None:
    metadata = {
        "format": _FORMAT,
        "version": str(_VERSION),
        "checksum": _BLANK.decode(),
        "description": description,
    }
    header: Dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in tensors.items():
        dtype = np.dtype(array.dtype).newbyteorder("<")
        if dtype not in _NAMES:
            raise StateError(
                "{} has dtype {}, which a file of state does not hold.".format(name, array.dtype)
            )
        start, end = end, end + int(array.nbytes)
        header[name] = {"dtype": _NAMES[dtype], "shape": list(array.shape), "data_offsets": [start, end]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    head = struct.pack("<Q", len(encoded)) + encoded
    file.write(head)
    crc = zlib.crc32(head)
    for name, array in tensors.items():
        data = memoryview(_in_file(name, array).data).cast("B") if array.size else memoryview(b"")
        for i in range(0, len(data), _CHUNK):
            chunk = data[i : i + _CHUNK]
            file.write(chunk)
            crc = zlib.crc32(chunk, crc)
            told.add(len(chunk))
    # The first one there is: a name or a description that has such a text comes after it.
    file.seek(head.index(_BLANK))
    file.write(_checksum_text(crc))


def _write_npz(file: IO[bytes], tensors: Mapping[str, Any], description: str, told: _Told) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        said = {"format": _FORMAT, "version": _VERSION, "description": description}
        _write_member(archive, _DESCRIPTION, np.frombuffer(json.dumps(said).encode(), "uint8"))
        for name, array in tensors.items():
            _write_member(archive, name + ".npy", _in_file(name, array))
            told.add(int(array.nbytes))
        archive.comment = _BLANK
    size = file.tell()
    crc = 0
    file.seek(0)
    for chunk in iter(lambda: file.read(_CHUNK), b""):
        crc = zlib.crc32(chunk, crc)
    file.seek(size - len(_BLANK))
    file.write(_checksum_text(crc))


def _write_member(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same state gives the same file
    with archive.open(info, "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _checksum_text(crc: int) -> bytes:
    return "crc32:{:08x}".format(crc & 0xFFFFFFFF).encode()


# Reading.


class _Where(NamedTuple):
    """Where a checksum is in a file."""

    offset: int
    text: bytes


class _Source:
    """A file that is read here and there, by one thread at a time; it stays open while anything needs it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = open(path, "rb")  # closed when nothing refers to it any more
        self.lock = threading.Lock()
        self.size = os.fstat(self.file.fileno()).st_size

    def start(self, count: int) -> bytes:
        self.file.seek(0)
        return self.file.read(count)

    def check(self, checksum: _Where, progress: Progress) -> None:
        """Raises StateError if the file is not what its checksum is of."""
        told = _Told(progress, self.size)
        crc, position = 0, 0
        self.file.seek(0)
        first, last = checksum.offset, checksum.offset + len(checksum.text)
        while True:
            chunk = self.file.read(_CHUNK)
            if not chunk:
                break
            # What stood in the checksum's own place when it was worked out.
            low, high = max(first, position), min(last, position + len(chunk))
            if low < high:
                blank = _BLANK[low - first : high - first]
                chunk = chunk[: low - position] + blank + chunk[high - position :]
            crc = zlib.crc32(chunk, crc)
            position += len(chunk)
            told.add(len(chunk))
        if _checksum_text(crc) != checksum.text or position != self.size:
            raise _damaged(self.path, "its checksum is another than the one that it was written with")

    def array(self, shape: Tuple[int, ...], dtype: np.dtype, offset: int) -> LazyArray:
        """The array at a place in the file."""

        def read() -> np.ndarray:
            array = np.empty(shape, dtype)
            with self.lock:
                self.file.seek(offset)
                count = self.file.readinto(memoryview(array.reshape(-1).data).cast("B")) if array.size else 0
            if count != array.nbytes:
                raise _damaged(self.path, "it has become shorter since it was opened")
            return array

        return LazyArray(shape, dtype, read)


def _checked_entry(path: str, name: str, entry: Mapping[str, Any], start: int) -> Tuple[Any, np.dtype, int]:
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None:
        raise _foreign(path, "has an array {!r} of dtype {}".format(name, entry["dtype"]))
    shape, (first, last) = entry["shape"], entry["data_offsets"]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in [*shape, first, last]):
        raise ValueError("the sizes of {!r}".format(name))
    count = 1
    for size in shape:
        count *= size
    if first != start or last - first != count * np.dtype(dtype).itemsize:
        raise ValueError("the place of {!r}".format(name))
    return tuple(shape), np.dtype(dtype), last


def _read_safetensors(source: _Source, progress: Progress) -> Tuple[Dict[str, LazyArray], str]:
    path, start = source.path, source.start(8)
    if len(start) < 8:
        raise _foreign(path, "is no file of state (it has {} bytes)".format(len(start)))
    (length,) = struct.unpack("<Q", start)
    if length > min(source.size - 8, _LONGEST_HEADER):
        raise _foreign(path, "is no file of state, or its beginning is damaged")
    encoded = source.file.read(length)
    try:
        header = json.loads(encoded.decode())
    except ValueError as error:
        raise _foreign(path, "is no file of state, or its beginning is damaged ({})".format(error)) from error
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else {}
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise _foreign(path, "has no description of an optimizer's state")
    _check_version(path, metadata["version"])
    text = metadata["checksum"].encode()
    if not _CHECKSUM.fullmatch(text):
        raise ValueError("the checksum")
    source.check(_Where(8 + encoded.index(text), text), progress)
    entries: List[Tuple[str, Any]] = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    tensors, end = {}, 0
    for name, entry in entries:
        offset = 8 + length + end
        shape, dtype, end = _checked_entry(path, name, entry, end)
        tensors[name] = source.array(shape, dtype, offset)
    if 8 + length + end != source.size:
        raise _damaged(path, "it has {} bytes, and should have {}".format(source.size, 8 + length + end))
    return tensors, metadata["description"]


def _check_version(path: str, version: Any) -> None:
    if int(version) > _VERSION:
        raise StateError(
            "{} is written in version {} of the format, and this kcompat reads up to {}. Update "
            "kcompat.".format(path, version, _VERSION)
        )


def _read_npz(source: _Source, progress: Progress) -> Tuple[Dict[str, LazyArray], str]:
    path = source.path
    # Before the zip file is taken apart: what is damaged there fails in too many ways.
    offset = max(source.size - len(_BLANK), 0)
    source.file.seek(offset)
    text = source.file.read()
    if not _CHECKSUM.fullmatch(text):
        raise _foreign(path, "is a zip file that does not end as one of state does")
    source.check(_Where(offset, text), progress)
    archive = zipfile.ZipFile(source.file)
    members = archive.infolist()
    names = [member.filename for member in members]
    if _DESCRIPTION not in names:
        raise _foreign(path, "has no description of an optimizer's state")
    if len(set(names)) < len(names):
        raise ValueError("two arrays of one name")
    tensors = {}
    for member in members:
        shape, dtype, offset = _member(source, archive, member)
        tensors[member.filename[: -len(".npy")]] = source.array(shape, dtype, offset)
    described = tensors.pop(_DESCRIPTION[: -len(".npy")])
    if described.nbytes > _LONGEST_HEADER:
        raise ValueError("the description's length")
    said = json.loads(np.asarray(described).tobytes().decode())
    _check_version(path, said["version"])
    return tensors, said["description"]


def _member(
    source: _Source, archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> Tuple[Tuple[int, ...], np.dtype, int]:
    """Shape, dtype and place of an array in a zip file."""
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise ValueError("{!r} is compressed".format(member.filename))
    with archive.open(member) as file:
        head = io.BytesIO(file.read(4096))
    version = np.lib.format.read_magic(head)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, fortran, dtype = read[version](head)
    if fortran or dtype.newbyteorder("<") not in _NAMES:
        raise ValueError("the dtype of {!r}".format(member.filename))
    count = 1
    for size in shape:
        count *= int(size)
    if count * dtype.itemsize != member.file_size - head.tell():
        raise ValueError("the size of {!r}".format(member.filename))
    # The local header's lengths are its own; what it says besides is in the directory, too.
    source.file.seek(member.header_offset + 26)
    name, extra = struct.unpack("<HH", source.file.read(4))
    offset = member.header_offset + 30 + name + extra + head.tell()
    if offset + count * dtype.itemsize > source.size:
        raise ValueError("the place of {!r}".format(member.filename))
    return tuple(shape), dtype, offset

"""HDF5 files, opened with care: nothing outside the file is followed, and no size is believed untested."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Dict, Iterator, List, Optional

import numpy as np

from ...errors import StateError
from ..description import LazyArray

# What HDF5 and h5py raise where a file is damaged.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError)
# The most that deflate makes of a byte is 1032.
_LARGEST_RATIO = 1100
_LONGEST_TEXT = 1 << 28


def h5py_module(path: str) -> Any:
    """The library that reads HDF5.

    Raises:
        StateError: it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise StateError(
            "{} is (or contains) an HDF5 file, and h5py, which reads those, is not installed: pip install "
            "h5py.".format(path)
        ) from error
    return h5py


class H5:
    """An HDF5 file: a path, or a file object that stays open.

    Args:
        path: what to call it in messages; and where it is, unless `file` is given.
        file: a file object with the contents.
    """

    def __init__(self, path: str, file: Any = None) -> None:
        self.path, self._file = path, file
        self._h5py = h5py_module(path)

    @contextlib.contextmanager
    def open(self) -> Iterator[Any]:
        """The file, open; whatever its damage makes HDF5 raise becomes a StateError."""
        try:
            if self._file is not None:
                self._file.seek(0)
            with self._h5py.File(self.path if self._file is None else self._file, "r") as file:
                yield file
        except StateError:
            raise
        except _DAMAGE as error:
            raise self.damaged("{}".format(error)) from error

    def damaged(self, what: str) -> StateError:
        """The error for a file that contradicts itself."""
        return StateError("{} is no HDF5 file of Keras, or is damaged: {}.".format(self.path, what))

    def child(self, group: Any, path: str) -> Any:
        """What is at a path below a group; None if nothing is.

        Raises:
            StateError: it is a link to somewhere else.
        """
        for part in path.split("/"):
            if not isinstance(group, self._h5py.Group) or part not in group:
                return None
            if not isinstance(group.get(part, getlink=True), self._h5py.HardLink):
                raise self.damaged("{!r} is a link to another place, which is not followed".format(part))
            group = group[part]
        return group

    def keys(self, group: Any) -> List[str]:
        """The names in a group."""
        return [str(key) for key in group.keys()]

    def is_group(self, found: Any) -> bool:
        """Whether something is a group."""
        return isinstance(found, self._h5py.Group)

    def texts(self, group: Any, name: str) -> Optional[List[str]]:
        """An attribute that is a list of texts, which Keras writes in parts if long; None without it."""
        if name in group.attrs:
            values = list(group.attrs[name])
        elif name + "0" in group.attrs:
            values, part = [], 0
            while "{}{}".format(name, part) in group.attrs:
                values += list(group.attrs["{}{}".format(name, part)])
                part += 1
        else:
            return None
        return [_text(value) for value in values]

    def json(self, group: Any, name: str) -> Any:
        """An attribute that is JSON; None without it.

        Raises:
            StateError: it is no JSON.
        """
        if name not in group.attrs:
            return None
        return parsed(self.path, name, _text(group.attrs[name]))

    def lazy(self, dataset: Any) -> LazyArray:
        """A dataset of numbers, read when it is needed; bfloat16 as float32.

        Raises:
            StateError: it is none, or none that Keras writes, or its sizes contradict each other.
        """
        where = self._checked(dataset)
        narrow = dataset.attrs.get("dtype") in ("bfloat16", b"bfloat16")

        def read() -> np.ndarray:
            with self.open() as file:
                found = self.child(file, where)
                self._checked(found)
                array = np.asarray(found[()])
            if narrow:
                wide = array.view("<u2").astype("uint32") << np.uint32(16)
                return wide.view("float32").reshape(array.shape)
            return array.astype(array.dtype.newbyteorder("="), copy=False)

        dtype = "float32" if narrow else dataset.dtype.newbyteorder("=")
        return LazyArray(dataset.shape, dtype, read)

    def _checked(self, dataset: Any) -> str:
        if not isinstance(dataset, self._h5py.Dataset):
            raise self.damaged("an array is missing")
        name = str(dataset.name).strip("/")
        if dataset.dtype.kind not in "fiub" and not (
            dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2
        ):
            raise self.damaged("{!r} has dtype {}; expected numbers".format(name, dataset.dtype))
        if dataset.shape is None:
            raise self.damaged("{!r} is empty".format(name))
        if dataset.external or getattr(dataset, "is_virtual", False):
            raise self.damaged("{!r} is kept in another file, which is not read".format(name))
        size = dataset.dtype.itemsize
        for each in dataset.shape:
            size *= int(each)
        stored = dataset.id.get_storage_size()
        if dataset.chunks is None and stored != size or size > _LARGEST_RATIO * (stored + 1):
            raise self.damaged("{!r} of {} bytes has {} in the file".format(name, size, stored))
        return name


def parsed(path: str, name: str, text: Any) -> Dict[str, Any]:
    """JSON that is an object.

    Raises:
        StateError: it is something else.
    """
    try:
        if len(text) > _LONGEST_TEXT:
            raise ValueError("it is too long")
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateError("{}: its {} is no JSON: {}.".format(path, name, error)) from error
    if not isinstance(value, dict):
        raise StateError("{}: its {} is no JSON object.".format(path, name))
    return value


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)

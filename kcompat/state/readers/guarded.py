"""Whether HDF5's library gets through a file: tried in another process, because it may crash on damage.

HDF5 files have no checksums as Keras writes them, and the library believes what a file says of itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from ...errors import StateError

# Touches whatever a reader may touch. An exception of Python is no harm: the reader meets it, too.
_WALK = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
except (ImportError, ValueError, OSError):  # Windows has none
    pass
sys.path[:] = sys.argv[3:]
import h5py

seen = set()

def tried(function, *arguments):
    try:
        return function(*arguments)
    except Exception:
        return None

def walk(found, depth):
    tried(lambda: list(found.attrs.items()))
    if isinstance(found, h5py.Dataset):
        tried(lambda: (found.shape, found.dtype, found.id.get_offset(), found.id.get_storage_size()))
        if tried(lambda: found.chunks) and found.size < 1100 * found.id.get_storage_size():
            tried(lambda: found[()])
    elif isinstance(found, h5py.Group) and depth < 64:
        for name in tried(lambda: list(found.keys())) or ():
            if isinstance(tried(lambda: found.get(name, getlink=True)), h5py.HardLink):
                below = tried(lambda: found[name])
                key = tried(lambda: hash(below.id))
                if below is not None and key not in seen:
                    seen.add(key)
                    walk(below, depth + 1)

def main():
    with h5py.File(sys.argv[1], "r") as file:
        walk(file, 0)

tried(main)
"""
_PATIENCE = 60  # seconds of processor time, and one more for each of so many bytes:
_SPEED = 1 << 24
_MUCH_LONGER = 20  # on a machine that has other things to do


def check(path: str) -> None:
    """Raises StateError if HDF5's library crashes on a file, or does not come to an end with it.

    Where no other process can be started (an interpreter inside another program), nothing is checked.
    """
    python = sys.executable or ""
    if getattr(sys, "frozen", False) or not re.match(r"(python|pypy)", os.path.basename(python).lower()):
        return
    patience = int(_PATIENCE + os.path.getsize(path) / _SPEED)
    command = [python, "-I", "-S", "-c", _WALK, os.path.abspath(path), str(patience), *sys.path]
    nowhere = subprocess.DEVNULL
    try:
        status = subprocess.run(
            command, stdin=nowhere, stdout=nowhere, stderr=nowhere, timeout=patience * _MUCH_LONGER
        ).returncode
    except subprocess.TimeoutExpired:
        status = -1
    except OSError:
        return
    # A signal on POSIX, an exception of the processor on Windows.
    if status < 0 or status >= 0x80000000:
        raise StateError(
            "{} is damaged: HDF5's library crashes on it or comes to no end, in a process of its own.".format(
                path
            )
        )

"""Tox loads this file by itself: it finds more Python versions than those on PATH, and torch for the CPU.

Where pyenv manages the Pythons, PATH has one of them and, for the others, shims that refuse to run.
Their real directories are appended to PATH here, so that `tox` finds them with no set-up.
"""

import glob
import os
import shutil
from typing import List, Optional, Sequence

# The demo needs TensorFlow 2.16 or later together with tf_keras; newest first.
DEMO_PYTHONS = ("3.13", "3.12", "3.11", "3.10")


def pyenv_directories() -> List[str]:
    """Return the directories of the interpreters that pyenv has installed, newest version last."""
    roots = [os.environ.get("PYENV_ROOT"), os.path.expanduser("~/.pyenv")]
    for root in roots:
        if root and os.path.isdir(os.path.join(root, "versions")):
            return sorted(glob.glob(os.path.join(root, "versions", "[0-9]*", "bin")))
    return []


def first_python(versions: Sequence[str]) -> Optional[str]:
    """Return the first of these versions that PATH really has (a pyenv shim is not one)."""
    directories = os.environ.get("PATH", "").split(os.pathsep)
    real = os.pathsep.join(d for d in directories if os.path.basename(d) != "shims")
    for version in versions:
        if shutil.which("python" + version, path=real):
            return version
    return None


known = os.environ.get("PATH", "").split(os.pathsep)
os.environ["PATH"] = os.pathsep.join(known + [d for d in pyenv_directories() if d not in known])
# uv does not read pip's settings. Where pip is told of a directory with packages, a torch for the CPU may be
# there; otherwise uv knows where to get one, and the registry's own comes with several GB for GPUs.
if os.environ.get("PIP_FIND_LINKS"):
    os.environ.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])
else:
    os.environ.setdefault("UV_TORCH_BACKEND", "cpu")

os.environ.setdefault("KCOMPAT_DEMO_PYTHON", first_python(DEMO_PYTHONS) or DEMO_PYTHONS[0])

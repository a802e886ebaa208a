"""The package under test as other processes find it: this checkout's, an installed one, or a vendored copy.

KCOMPAT_TEST_PACKAGE names a vendored copy that the tests are to run against, as in `mylib._vendor.kcompat`;
the library around it has to be on the path, and `kcompat` itself must not be.
"""

import importlib
import importlib.util
import os
import sys

VARIABLE = "KCOMPAT_TEST_PACKAGE"
#: The name that the package under test has.
NAME = os.environ.get(VARIABLE) or "kcompat"
_STAND_IN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendored")

if NAME != "kcompat" and _STAND_IN not in sys.path:
    if importlib.util.find_spec("kcompat") is not None:
        raise ImportError("{}={}, but kcompat itself can be imported as well".format(VARIABLE, NAME))
    sys.path.insert(0, _STAND_IN)


def _folders():
    # The library around a copy is looked for by its first name: its folder is the one above that.
    top = importlib.import_module(NAME.partition(".")[0])
    folder = os.path.dirname(os.path.dirname(os.path.abspath(top.__file__)))
    return [folder] if NAME == "kcompat" else [_STAND_IN, folder]


#: What PYTHONPATH has to have for `import kcompat` to find it.
PATH = os.pathsep.join(_folders())
if NAME != "kcompat":
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [PATH, os.environ.get("PYTHONPATH")]))

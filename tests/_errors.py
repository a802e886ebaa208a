"""Takes down which tests produce which of kcompat's error messages, for docs/errors.md.

Where KCOMPAT_RECORD_ERRORS names a folder, a run leaves a file there: a list of [file, line, test, message]:
the message tells whether the line is still the one that makes it.
"""

import json
import os
import sys

VARIABLE = "KCOMPAT_RECORD_ERRORS"
_seen = {}
_running = [None]


def start():
    """Begin to take down every KcompatError that is made."""
    if VARIABLE not in os.environ:
        return
    from kcompat import errors

    package = os.path.dirname(os.path.abspath(errors.__file__))

    def new(cls, *args, **kwargs):
        frame = sys._getframe(1)
        path = os.path.relpath(frame.f_code.co_filename, package)
        if _running[0] is not None:
            _seen.setdefault((path, frame.f_lineno), (_running[0], str(args[0]) if args else ""))
        return super(errors.KcompatError, cls).__new__(cls, *args, **kwargs)

    errors.KcompatError.__new__ = new


def running(test):
    """Say which test runs, by its node id."""
    _running[0] = test.split("[")[0]


def finish():
    """Write what was seen."""
    if _seen:
        os.makedirs(os.environ[VARIABLE], exist_ok=True)
        path = os.path.join(os.environ[VARIABLE], "errors-{}.json".format(os.getpid()))
        with open(path, "w") as file:
            json.dump(sorted([*place, *test] for place, test in _seen.items()), file, indent=0)

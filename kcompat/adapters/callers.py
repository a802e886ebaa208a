"""Which code of the host is calling: for the few places where it asks one question and means another."""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any, Mapping, Optional


def calling_code(module: str) -> Optional[CodeType]:
    """The code outside this package that is calling just now, if it is in a module whose name ends so.

    In a few places Keras takes an optimizer that it was given for one of its own, and there is no hook.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        # AutoGraph stands between a function that it may not rewrite and what calls that.
        if not name.startswith(__package__) and ".python.autograph." not in name:
            break
        frame = frame.f_back
    return frame.f_code if frame.f_globals.get("__name__", "").endswith(module) else None


def caller(module: str, function: str) -> Optional[Mapping[str, Any]]:
    """The local variables of a function of the host that is running, or None if it is not.

    Args:
        module: how the name of its module ends.
        function: its name.
    """
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == function and frame.f_globals.get("__name__", "").endswith(module):
            return dict(frame.f_locals)
        frame = frame.f_back
    return None

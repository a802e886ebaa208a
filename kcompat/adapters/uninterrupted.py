"""Keeps Ctrl-C from stopping a step half-way, with some variables updated and others not."""

from __future__ import annotations

import signal
import threading
from typing import Any, List

# CPython's functions inside those of the module, which make enums of numbers and take ten times as long.
_fast: Any = getattr(signal, "_signal", signal)
_get, _set = _fast.getsignal, _fast.signal
_SIGINT = int(signal.SIGINT)


class Uninterrupted:
    """Inside, an interrupt (SIGINT) waits for the end: a step is taken wholly or not at all.

    Python delivers signals between two of its instructions, in the main thread; elsewhere this does nothing.
    What a program has made of the signal before (a handler of its own, or to ignore it) stays as it is.
    """

    __slots__ = ("_arrived", "_handler")

    def __init__(self) -> None:
        self._handler: Any = None
        self._arrived: List[Any] = []  # what the handler is to be called with

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            handler = _get(_SIGINT)
            if callable(handler):
                self._handler = handler
                _set(_SIGINT, self._note)

    def _note(self, *arguments: Any) -> None:
        self._arrived.append(arguments)

    def __exit__(self, *error: Any) -> None:
        if self._handler is None:
            return
        _set(_SIGINT, self._handler)
        if self._arrived:
            self._handler(*self._arrived[0])

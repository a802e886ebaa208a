"""Drop-in optimizer classes of the API `get_updates`, whatever the default is here."""

from __future__ import annotations

from .per_api import lazy_classes

__getattr__, __dir__ = lazy_classes(__name__, "get_updates")

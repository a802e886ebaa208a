"""Drop-in optimizer classes of the API `optimizer_v2`, whatever the default is here."""

from __future__ import annotations

from .per_api import lazy_classes

__getattr__, __dir__ = lazy_classes(__name__, "optimizer_v2")

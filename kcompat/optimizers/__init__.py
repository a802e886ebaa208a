"""Drop-in optimizer classes under Keras 3's names, native on the API found here.

`optimizers.tf1`, `optimizers.optimizer_v2` and so on have the classes of one API, whatever the default is.
Classes are made on first access, so importing this module imports no framework.
"""

from __future__ import annotations

from typing import Any, List

from .. import rules as _rules
from ..adapters import optimizer_class as _optimizer_class

NAMES = tuple(sorted(_rules.CATALOGUE))

__all__ = ["NAMES", *NAMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in NAMES:
        # Not stored here: KCOMPAT_API may change, and classes are cached where they are made.
        return _optimizer_class(getattr(_rules, name))
    raise AttributeError(
        "module {!r} has no optimizer {!r}; it has {}".format(__name__, name, ", ".join(NAMES))
    )


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(NAMES))

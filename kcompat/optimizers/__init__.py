"""Drop-in for `keras.optimizers`: every name that the newest Keras has, and the rest of the catalogue.

Classes are native on the API found here, with Keras 3's names and arguments. `optimizers.tf1`,
`optimizers.optimizer_v2` and so on have the classes of one API, whatever the default is, `optimizers.legacy`
those of `optimizer_v2`, `optimizers.schedules` the schedules. `Optimizer` is the host's own base class, for
`isinstance`; an optimizer of one's own is a `kcompat.UpdateRule`. Classes are made on first access, so
importing this module imports no framework.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any, List

from .. import rules as _rules
from ..adapters import optimizer_class as _optimizer_class

NAMES = tuple(sorted(_rules.CATALOGUE))

# What `keras.optimizers` has besides -> the module that defines it.
_OTHERS = {
    "LossScaleOptimizer": ".loss_scale",
    "MultiOptimizer": ".multi",
    "OptimizerMap": ".multi",
    "deserialize": ".identifiers",
    "get": ".identifiers",
    "serialize": ".identifiers",
}
_MODULES = ("legacy", "schedules")

__all__ = ["NAMES", *NAMES, *_OTHERS, *_MODULES, "Optimizer"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in NAMES:
        # Not stored here: KCOMPAT_API may change, and classes are cached where they are made.
        return _optimizer_class(getattr(_rules, name))
    if name in _OTHERS:
        return getattr(_importlib.import_module(_OTHERS[name], __name__), name)
    if name in _MODULES:
        return _importlib.import_module("." + name, __name__)
    if name == "Optimizer":
        from ..environment import host_class, resolve_api

        return host_class(resolve_api())
    raise AttributeError(
        "module {!r} has no optimizer {!r}; it has {}".format(__name__, name, ", ".join(NAMES))
    )


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))

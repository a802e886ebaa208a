"""Optimizers that others wrote against one API's hooks, native on the API found here.

    class Signum(kcompat.hooks.OptimizerV2):  # was: tf.keras.optimizers.Optimizer, of TensorFlow 2.0 to 2.10
        ...

`OptimizerV2`, `TF1Optimizer` and `Optimizer` (Keras 2.11's and Keras 3's) are base classes with the whole
protocol of their generation, on the default API; `base_class(dialect, api)` gives those of another.
`adopt(Class)` makes the native class out of a finished one, and `installed()` lets a package be imported
whose base class is gone. They are made when they are first used: importing this module imports no framework.
"""

from __future__ import annotations

import importlib

# Not typing's own: that module alone costs an interpreter milliseconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List

    from .adopting import adopt
    from .bases import base_class
    from .importing import installed

    Optimizer: Any
    OptimizerV2: Any
    TF1Optimizer: Any

# Name -> dialect.
_BASES = {"OptimizerV2": "optimizer_v2", "TF1Optimizer": "tf1", "Optimizer": "keras"}
_WHERE = {"adopt": ".adopting", "base_class": ".bases", "installed": ".importing"}

# And the base classes, which are made of the host's.
__all__ = ["adopt", "base_class", "installed"]


if not TYPE_CHECKING:  # what a checker does not find above is a mistake

    def __getattr__(name: str) -> Any:
        if name in _BASES:
            # Not stored here: KCOMPAT_API may change, and classes are cached where they are made.
            return __getattr__("base_class")(_BASES[name])
        if name in _WHERE:
            value = getattr(importlib.import_module(_WHERE[name], __name__), name)
            globals()[name] = value
            return value
        raise AttributeError(
            "module {!r} has no attribute {!r}; it has {}".format(__name__, name, ", ".join(__dir__()))
        )


def __dir__() -> List[str]:
    return sorted({*__all__, *_BASES})

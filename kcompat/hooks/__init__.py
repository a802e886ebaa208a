"""Optimizers that others wrote against one API's hooks, native on the API found here.

    class Signum(kcompat.hooks.OptimizerV2):   # was: tf.keras.optimizers.Optimizer, of TensorFlow 2.0 to 2.10
        ...

`OptimizerV2`, `TF1Optimizer` and `Optimizer` (Keras 2.11's and Keras 3's) are base classes that have the whole
protocol of their generation, on the default API; `base_class(dialect, api)` gives those of another.
`adopt(Class)` makes the native class out of a finished one, and `installed()` lets a package be imported
whose base class is gone. They are made when they are first used: importing this module imports no framework.
"""

from __future__ import annotations

from typing import Any, List

# Name -> dialect.
_BASES = {"OptimizerV2": "optimizer_v2", "TF1Optimizer": "tf1", "Optimizer": "keras"}

__all__ = ["Optimizer", "OptimizerV2", "TF1Optimizer", "adopt", "base_class", "installed"]


def __getattr__(name: str) -> Any:
    if name in _BASES:
        from .bases import base_class

        # Not stored here: KCOMPAT_API may change, and classes are cached where they are made.
        return base_class(_BASES[name])
    if name == "base_class":
        from .bases import base_class

        return base_class
    if name == "adopt":
        from .adopting import adopt

        return adopt
    if name == "installed":
        from .importing import installed

        return installed
    raise AttributeError(
        "module {!r} has no attribute {!r}; it has {}".format(__name__, name, ", ".join(__all__))
    )


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))

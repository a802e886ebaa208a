"""Optimizer state as data: taken from any optimizer, put into any other, saved to and read from files.

state = kcompat.state.take(optimizer, model.trainable_variables)
state.save("opt.safetensors")
state = kcompat.state.load("opt.safetensors")  # in another process, release and API
kcompat.state.put(optimizer, model.trainable_variables, state)
state = kcompat.state.read("model.h5")  # what TensorFlow and Keras wrote themselves
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # not typing's own: importing that module costs milliseconds
if TYPE_CHECKING:
    from typing import Any, List

    from .description import LEARNING_RATE_OUTSIDE, LazyArray, State, VariableSlots
    from .files import load, save
    from .moving import put, take
    from .readers import read

# Public name -> the module that defines it. `show` and `diff` need no optimizer, and none of what one needs.
_WHERE = {
    "LEARNING_RATE_OUTSIDE": ".description",
    "LazyArray": ".description",
    "State": ".description",
    "VariableSlots": ".description",
    "load": ".files",
    "put": ".moving",
    "read": ".readers",
    "save": ".files",
    "take": ".moving",
}

__all__ = [
    "LEARNING_RATE_OUTSIDE",
    "LazyArray",
    "State",
    "VariableSlots",
    "load",
    "put",
    "read",
    "save",
    "take",
]


if not TYPE_CHECKING:  # what a checker does not find above is a mistake

    def __getattr__(name: str) -> Any:
        if name in _WHERE:
            value = getattr(importlib.import_module(_WHERE[name], __name__), name)
            globals()[name] = value
            return value
        raise AttributeError(
            "module {!r} has no attribute {!r}; it has {}".format(__name__, name, ", ".join(__all__))
        )


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))

"""kcompat: an optimizer's update rule written once, native on every TensorFlow and Keras optimizer API.

Importing this package imports no framework and not even NumPy: every public name is resolved when it is
first used (PEP 562).
"""

from __future__ import annotations

import importlib

from ._version import __version__

TYPE_CHECKING = False  # not typing's own: importing that module costs milliseconds
if TYPE_CHECKING:
    from typing import Any, List

    from . import addons as addons
    from . import environment as environment
    from . import errors as errors
    from . import hooks as hooks
    from . import namespaces as namespaces
    from . import optimizers as optimizers
    from . import rules as rules
    from . import schedules as schedules
    from . import state as state
    from . import testing as testing
    from . import transforms as transforms
    from .adapters import optimizer, optimizer_class
    from .environment import detect
    from .errors import (
        ApiNotAvailableError,
        DistributionError,
        GradientError,
        HookError,
        HyperparameterError,
        KcompatError,
        NotBuiltError,
        RuleError,
        StateError,
        UnknownArgumentError,
    )
    from .rule import Hyper, UpdateRule

# Public name -> the module that defines it.
_WHERE = {
    "ApiNotAvailableError": ".errors",
    "DistributionError": ".errors",
    "GradientError": ".errors",
    "HookError": ".errors",
    "Hyper": ".rule",
    "HyperparameterError": ".errors",
    "KcompatError": ".errors",
    "NotBuiltError": ".errors",
    "RuleError": ".errors",
    "StateError": ".errors",
    "UnknownArgumentError": ".errors",
    "UpdateRule": ".rule",
    "detect": ".environment",
    "optimizer": ".adapters",
    "optimizer_class": ".adapters",
}

# Submodules that `kcompat.<name>` reaches without an import statement of their own.
_SUBMODULES = (
    "adamw",
    "addons",
    "environment",
    "errors",
    "hooks",
    "namespaces",
    "optimizers",
    "rules",
    "schedules",
    "state",
    "testing",
    "transforms",
)

__all__ = [
    "ApiNotAvailableError",
    "DistributionError",
    "GradientError",
    "HookError",
    "Hyper",
    "HyperparameterError",
    "KcompatError",
    "NotBuiltError",
    "RuleError",
    "StateError",
    "UnknownArgumentError",
    "UpdateRule",
    "__version__",
    "detect",
    "optimizer",
    "optimizer_class",
]


if not TYPE_CHECKING:  # what a checker does not find above is a mistake

    def __getattr__(name: str) -> Any:
        if name in _WHERE:
            value = getattr(importlib.import_module(_WHERE[name], __name__), name)
            globals()[name] = value
            return value
        if name in _SUBMODULES:
            return importlib.import_module("." + name, __name__)
        raise AttributeError(
            "module {!r} has no attribute {!r}; it has {}".format(__name__, name, ", ".join(__all__))
        )


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))

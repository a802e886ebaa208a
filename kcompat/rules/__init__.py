"""The catalogue of update rules: one file per family, each naming its paper."""

from __future__ import annotations

import importlib
from typing import Any, List

# Rule -> the module of its family. Resolved lazily, so that using one rule imports one family.
CATALOGUE = {
    "SGD": ".sgd",
    "Adam": ".adam",
    "AdamW": ".adam",
    "AdaBelief": ".adabelief",
    "COCOB": ".cocob",
    "ConditionalGradient": ".conditional_gradient",
    "LAMB": ".lamb_addons",
    "LazyAdam": ".lazy",
    "NovoGrad": ".novograd",
    "ProximalAdagrad": ".proximal",
    "RectifiedAdam": ".rectified",
    "SGDW": ".decoupled",
    "Yogi": ".proximal",
}

__all__ = ["CATALOGUE", *CATALOGUE]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in CATALOGUE:
        value = getattr(importlib.import_module(CATALOGUE[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(
        "module {!r} has no rule {!r}; it has {}".format(__name__, name, ", ".join(CATALOGUE))
    )


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(CATALOGUE))

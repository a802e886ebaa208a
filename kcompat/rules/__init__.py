"""The catalogue of update rules: one file per family, each naming its paper."""

from __future__ import annotations

import importlib
from typing import Any, List

# Rule -> the module of its family. Resolved lazily, so that using one rule imports one family.
CATALOGUE = {
    "AdaBelief": ".adabelief",
    "AdaBound": ".adabound",
    "Adadelta": ".adadelta",
    "Adafactor": ".adafactor",
    "Adagrad": ".adagrad",
    "Adam": ".adam",
    "Adamax": ".adamax",
    "AdamP": ".adamp",
    "AdamW": ".adam",
    "Adan": ".adan",
    "AdEMAMix": ".ademamix",
    "ADOPT": ".adopt",
    "COCOB": ".cocob",
    "ConditionalGradient": ".conditional_gradient",
    "DAdaptAdam": ".prodigy",
    "Ftrl": ".ftrl",
    "Lamb": ".lamb",
    "LAMB": ".lamb_addons",
    "LARS": ".lars",
    "LazyAdam": ".lazy",
    "Lion": ".lion",
    "Muon": ".muon",
    "Nadam": ".nadam",
    "NadamW": ".nadamw",
    "NovoGrad": ".novograd",
    "Prodigy": ".prodigy",
    "ProximalAdagrad": ".proximal",
    "RectifiedAdam": ".rectified",
    "RMSprop": ".rmsprop",
    "ScheduleFreeAdamW": ".schedule_free",
    "ScheduleFreeSGD": ".schedule_free_sgd",
    "SGD": ".sgd",
    "SGDW": ".sgdw",
    "SOAP": ".soap",
    "Sophia": ".sophia",
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

"""The catalogue of update rules: one file per family, each naming its paper."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

# Rule -> the module of its family. Resolved lazily, so that using one rule imports one family. For a new rule
# the tests ask for a line below, and for files to be written again: tests/test_public_api.py says how.
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

# So that a checker knows each rule, and refuses what is none. One line a rule: a copy with fewer drops some.
if TYPE_CHECKING:
    from .adabelief import AdaBelief as AdaBelief
    from .adabound import AdaBound as AdaBound
    from .adadelta import Adadelta as Adadelta
    from .adafactor import Adafactor as Adafactor
    from .adagrad import Adagrad as Adagrad
    from .adam import Adam as Adam
    from .adam import AdamW as AdamW
    from .adamax import Adamax as Adamax
    from .adamp import AdamP as AdamP
    from .adan import Adan as Adan
    from .ademamix import AdEMAMix as AdEMAMix
    from .adopt import ADOPT as ADOPT
    from .cocob import COCOB as COCOB
    from .conditional_gradient import ConditionalGradient as ConditionalGradient
    from .ftrl import Ftrl as Ftrl
    from .lamb import Lamb as Lamb
    from .lamb_addons import LAMB as LAMB
    from .lars import LARS as LARS
    from .lazy import LazyAdam as LazyAdam
    from .lion import Lion as Lion
    from .muon import Muon as Muon
    from .nadam import Nadam as Nadam
    from .nadamw import NadamW as NadamW
    from .novograd import NovoGrad as NovoGrad
    from .prodigy import DAdaptAdam as DAdaptAdam
    from .prodigy import Prodigy as Prodigy
    from .proximal import ProximalAdagrad as ProximalAdagrad
    from .proximal import Yogi as Yogi
    from .rectified import RectifiedAdam as RectifiedAdam
    from .rmsprop import RMSprop as RMSprop
    from .schedule_free import ScheduleFreeAdamW as ScheduleFreeAdamW
    from .schedule_free_sgd import ScheduleFreeSGD as ScheduleFreeSGD
    from .sgd import SGD as SGD
    from .sgdw import SGDW as SGDW
    from .soap import SOAP as SOAP
    from .sophia import Sophia as Sophia

else:

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

"""Drop-in for `tensorflow_addons.optimizers` 0.23, native on the API found here.

    import kcompat.addons as tfa            # tfa.optimizers.LAMB(...)
    from kcompat.addons import LAMB
    from kcompat.addons.lamb import LAMB    # its modules are there, too

Names, arguments, their order and defaults are those of TensorFlow Addons, and so are the numbers. What
differs:

- The base arguments of every kcompat optimizer (`weight_decay` excepted where the rule has one) come besides.
- Sparse gradients: duplicate rows are summed. RectifiedAdam, AdaBelief, Yogi, SGDW and AdamW treat one as a
  dense gradient with zeros; Addons lets the moments of all rows decay and moves, or decays, only the rows
  present.
- An epsilon of 0 is 0; Addons replaces it with the backend's 1e-7.
- `exclude_from_weight_decay` and `exclude_from_layer_adaptation` match a variable's name with or without
  ":0". On Keras 3 that name is the variable's path, such as "sequential/dense/kernel".
- `decay_var_list` is a keyword argument, and may not change from step to step. `minimize` heeds it, and that
  of Addons does not. SGDW without momentum also decays the rows of sparse gradients.
- Lookahead, MovingAverage, SWA and MultiOptimizer take an update rule, an optimizer of kcompat or its name,
  or a native one, also of another API, whose rule is in the catalogue: its configuration is read off it, and
  what can't be expressed exactly raises. The clipping and decay it was made with take effect; in Addons only
  in MultiOptimizer do they.
- `swap_weights` needs no `tf.distribute` strategy. MultiOptimizer names in a warning the variables that no
  layer has; one in several pairs takes a step with each optimizer in turn, as in Addons, and raises where one
  of these sees all gradients at once.
- MovingAverage reads a variable that is given for num_updates once, as Addons does in eager mode.
- Members that start with an underscore are not there, except for `_get_hyper`, on TensorFlow.
- `fit_bn` computes the exact mean and variance over the data, and trains nothing.
- `exclude_from_weight_decay` as an attribute is every optimizer's method; the patterns are in
  `optimizer.rule`.

Classes are made on first access, so importing this module imports no framework.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, List, Optional

from .adapters import class_of, optimizer_class
from .environment import host_class, resolve_api
from .errors import RuleError
from .rules import CATALOGUE

# Name -> (module of the rule, the rule's name there).
_RULES = {
    "AdaBelief": (".rules.adabelief", "AdaBelief"),
    "AdamW": (".rules.sgdw", "DecoupledAdamW"),
    "COCOB": (".rules.cocob", "COCOB"),
    "ConditionalGradient": (".rules.conditional_gradient", "AddonsConditionalGradient"),
    "LAMB": (".rules.lamb_addons", "LAMB"),
    "LazyAdam": (".rules.lazy", "LazyAdam"),
    "NovoGrad": (".rules.novograd", "NovoGrad"),
    "ProximalAdagrad": (".rules.proximal", "ProximalAdagrad"),
    "RectifiedAdam": (".rules.rectified", "RectifiedAdam"),
    "SGDW": (".rules.sgdw", "SGDW"),
    "Yogi": (".rules.proximal", "Yogi"),
}

# The same of transforms, whose classes take an optimizer.
_WRAPPERS = {
    "Lookahead": (".transforms.lookahead", "Lookahead"),
    "MovingAverage": (".transforms.lookahead", "MovingAverage"),
    "MultiOptimizer": (".transforms.multi", "MultiOptimizer"),
    "SWA": (".transforms.lookahead", "SWA"),
}

_SCHEDULES = (
    "CyclicalLearningRate",
    "ExponentialCyclicalLearningRate",
    "Triangular2CyclicalLearningRate",
    "TriangularCyclicalLearningRate",
)

# Name -> the module that defines it.
_CLASSES = {
    "AveragedOptimizerWrapper": ".adapters.wrappers",
    "DecoupledWeightDecayExtension": ".adapters.decay_variables",
}

# Each module of Addons with the names that it has.
_MODULES = {
    "adabelief": ("AdaBelief",),
    "average_wrapper": ("AveragedOptimizerWrapper",),
    "cocob": ("COCOB",),
    "conditional_gradient": ("ConditionalGradient",),
    "constants": ("KerasLegacyOptimizer",),
    "cyclical_learning_rate": _SCHEDULES,
    "discriminative_layer_training": ("MultiOptimizer",),
    "lamb": ("LAMB",),
    "lazy_adam": ("LazyAdam",),
    "lookahead": ("Lookahead",),
    "moving_average": ("MovingAverage",),
    "novograd": ("NovoGrad",),
    "proximal_adagrad": ("ProximalAdagrad",),
    "rectified_adam": ("RectifiedAdam",),
    "stochastic_weight_averaging": ("SWA",),
    "utils": ("fit_bn", "get_variable_name", "is_variable_matched_by_regexes"),
    "weight_decay_optimizers": (
        "AdamW",
        "DecoupledWeightDecayExtension",
        "SGDW",
        "extend_with_decoupled_weight_decay",
    ),
    "yogi": ("Yogi",),
}

NAMES = (
    *(*_RULES, *_WRAPPERS, *_CLASSES, *_SCHEDULES),
    *("KerasLegacyOptimizer", "extend_with_decoupled_weight_decay"),
)

__all__ = ["NAMES", *NAMES]  # noqa: PLE0604


def extend_with_decoupled_weight_decay(base_optimizer: Any) -> Any:
    """An optimizer class with weight decay that is not multiplied by the learning rate.

    Args:
        base_optimizer: an optimizer class of kcompat; or a rule class; or an optimizer class of Keras' own
            that the catalogue has by its name, such as tf.keras.optimizers.Adam, in whose place the
            catalogue's is extended.

    Returns:
        A class whose arguments are weight_decay, exclude_from_weight_decay and then those of
        `base_optimizer`; of the same API if that is an optimizer class of kcompat, else of the default one.

    Raises:
        RuleError: anything else, or a class that has weight decay already.
    """
    from .rule import UpdateRule
    from .rules.decoupled import extended

    rule = getattr(base_optimizer, "rule_class", None)
    if rule is not None:
        made = extended(rule)
        return class_of(made, base_optimizer.api, base_optimizer._host_class, made.__name__)
    if isinstance(base_optimizer, type):
        if issubclass(base_optimizer, UpdateRule):
            return optimizer_class(extended(base_optimizer))
        module, name = base_optimizer.__module__.split(".")[0], base_optimizer.__name__
        if name in CATALOGUE and module in ("keras", "tf_keras", "tensorflow"):
            family = importlib.import_module(".rules" + CATALOGUE[name], __package__)
            return optimizer_class(extended(getattr(family, name)))
    raise RuleError(
        "extend_with_decoupled_weight_decay({!r}): expected an optimizer class of kcompat, a rule class, or "
        "a class of Keras' own of the name of a rule of the catalogue ({}).".format(
            base_optimizer, ", ".join(CATALOGUE)
        )
    )


def __getattr__(name: str) -> Any:
    if name in _RULES or name in _WRAPPERS:
        module, rule = _RULES.get(name) or _WRAPPERS[name]
        # Not stored here: KCOMPAT_API may change, and classes are cached where they are made.
        return optimizer_class(getattr(importlib.import_module(module, __package__), rule), name=name)
    if name in _CLASSES:
        return getattr(importlib.import_module(_CLASSES[name], __package__), name)
    if name in _SCHEDULES:
        return getattr(importlib.import_module(".optimizers.schedules", __package__), name)
    if name == "KerasLegacyOptimizer":  # the base class that optimizers have here
        return host_class(resolve_api())
    if name == "optimizers":
        return sys.modules[__name__]
    if name in _MODULES:
        return sys.modules["{}.{}".format(__name__, name)]
    raise AttributeError(
        "module {!r} has no optimizer {!r}; it has {}".format(__name__, name, ", ".join(NAMES))
    )


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(NAMES) | set(_MODULES) | {"optimizers"})


def class_named(name: str) -> Optional[type]:
    """The optimizer class of a name, in any case of letters; None if there is none."""
    for each in (*_RULES, *_WRAPPERS):
        if name.lower() == each.lower():
            found: type = __getattr__(each)
            return found
    return None


def get_variable_name(variable: Any) -> str:
    """The name of a variable without TensorFlow's ":0"."""
    name = str(variable.name)
    return name[: -len(":0")] if name.endswith(":0") else name


def is_variable_matched_by_regexes(variable: Any, regexes: Any) -> bool:
    """Whether one of some regular expressions is found in a variable's name.

    Args:
        variable: the variable.
        regexes: a list of strings, or None.
    """
    from .rules.decoupled import matches

    return matches("is_variable_matched_by_regexes", regexes, get_variable_name(variable))


def fit_bn(model: Any, x: Any, *args: Any, **kwargs: Any) -> None:
    """Computes the statistics of a model's batch normalization anew, after SWA changed its weights.

    Args:
        model: a Keras model that has been built.
        x, *args, **kwargs: as for `model.fit`, of which x, batch_size and steps_per_epoch matter.

    Raises:
        RuleError: it is no Keras model, or not built; in a TensorFlow 1 graph, where a layer can't be called
            batch by batch.
    """
    from .adapters.batch_statistics import fit_bn as computed

    computed(model, x, *args, **kwargs)


def _add_modules() -> None:
    """Lets the modules of Addons be imported from here, without a file for each.

    `import kcompat.addons.lamb` finds in sys.modules what importing kcompat.addons has put there.
    """
    for path, names in {**_MODULES, "optimizers": (*NAMES, *_MODULES)}.items():
        full = "{}.{}".format(__name__, path)
        module = ModuleType(full, "The names of tensorflow_addons.optimizers.{}.".format(path))
        module.__package__ = __name__
        module.__dict__.update(__getattr__=_getter(full, names), __all__=list(names))
        sys.modules[full] = module


def _getter(module: str, names: Any) -> Any:
    def get(name: str) -> Any:
        if name in names:
            return getattr(sys.modules[__name__], name)
        raise AttributeError(
            "module {!r} has no attribute {!r}; it has {}".format(module, name, ", ".join(names))
        )

    return get


_add_modules()

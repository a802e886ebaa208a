"""The update rule of an optimizer that a wrapper is given, a native one included.

A native optimizer's configuration is read off it: its class says which API it is of and which rule it has,
its attributes or its `get_config()` which hyperparameters. What can't be expressed exactly raises.
"""

from __future__ import annotations

import importlib
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type

from ..environment import detect, host_classes
from ..errors import RuleError
from ..rule import BASE_ARGUMENTS, UpdateRule, is_source
from ..transforms.arguments import with_base_arguments

# What a subclass may define without changing what the optimizer does.
_HARMLESS = (
    "__init__",
    "__module__",
    "__doc__",
    "__qualname__",
    "__annotations__",
    "__dict__",
    "__weakref__",
    "__slots__",
    "__parameters__",
    "__orig_bases__",
    "__abstractmethods__",
    "__firstlineno__",
    "__static_attributes__",
    "_abc_impl",
    "_keras_api_names",
    "_keras_api_names_v1",
    "_tf_api_names",
    "_tf_api_names_v1",
    "_HAS_AGGREGATE_GRAD",
    "get_config",
    "from_config",
)

# What a configuration holds that says nothing about the update.
_NO_MATTER = ("is_legacy_optimizer", "jit_compile", "name")

# TensorFlow 1's class -> (the module and name of the rule, hyperparameter -> attribute, fixed values).
_TF1: Dict[str, Tuple[str, Mapping[str, str], Mapping[str, Any]]] = {
    "GradientDescentOptimizer": (".sgd:SGD", {"learning_rate": "_learning_rate"}, {}),
    "MomentumOptimizer": (
        ".sgd:SGD",
        {"learning_rate": "_learning_rate", "momentum": "_momentum", "nesterov": "_use_nesterov"},
        {},
    ),
    "AdamOptimizer": (
        ".adam:Adam",
        {"learning_rate": "_lr", "beta_1": "_beta1", "beta_2": "_beta2", "epsilon": "_epsilon"},
        {},
    ),
    "AdagradOptimizer": (
        ".adagrad:Adagrad",
        {"learning_rate": "_learning_rate", "initial_accumulator_value": "_initial_accumulator_value"},
        {"epsilon": 0.0},
    ),
    "AdadeltaOptimizer": (
        ".adadelta:Adadelta",
        {"learning_rate": "_lr", "rho": "_rho", "epsilon": "_epsilon"},
        {},
    ),
    "RMSPropOptimizer": (
        ".older:RMSpropFromOne",
        {
            "learning_rate": "_learning_rate",
            "rho": "_decay",
            "momentum": "_momentum",
            "epsilon": "_epsilon",
            "centered": "_centered",
        },
        {},
    ),
    "FtrlOptimizer": (
        ".ftrl:Ftrl",
        {
            "learning_rate": "_learning_rate",
            "learning_rate_power": "_learning_rate_power",
            "initial_accumulator_value": "_initial_accumulator_value",
            "l1_regularization_strength": "_l1_regularization_strength",
            "l2_regularization_strength": "_l2_regularization_strength",
            "l2_shrinkage_regularization_strength": "_l2_shrinkage_regularization_strength",
        },
        {},
    ),
    "ProximalAdagradOptimizer": (
        ".proximal:ProximalAdagrad",
        {
            "learning_rate": "_learning_rate",
            "initial_accumulator_value": "_initial_accumulator_value",
            "l1_regularization_strength": "_l1_regularization_strength",
            "l2_regularization_strength": "_l2_regularization_strength",
        },
        {},
    ),
}

# Class of Keras -> the module and name of its rule.
_KERAS = {
    "Adadelta": ".adadelta:Adadelta",
    "Adafactor": ".adafactor:Adafactor",
    "Adagrad": ".adagrad:Adagrad",
    "Adam": ".adam:Adam",
    "AdamW": ".adam:AdamW",
    "Adamax": ".adamax:Adamax",
    "Ftrl": ".ftrl:Ftrl",
    "Lamb": ".lamb:Lamb",
    "Lion": ".lion:Lion",
    "Muon": ".muon:Muon",
    "Nadam": ".nadam:Nadam",
    "RMSprop": ".rmsprop:RMSprop",
    "ScheduleFreeAdamW": ".schedule_free:ScheduleFreeAdamW",
    "SGD": ".sgd:SGD",
}

# Where Keras' first two APIs have another rule under the name.
_BEFORE_2_11 = {
    "Adagrad": ".older:OuterAdagrad",
    "Nadam": ".older:SlowNadam",
    "RMSprop": ".older:OuterRMSprop",
}


def rule_of(optimizer: Any, what: str, with_state: bool = False) -> Tuple[UpdateRule, Dict[str, Any]]:
    """The rule of an optimizer, and the base arguments that it was made with.

    Args:
        optimizer: an update rule; an optimizer of kcompat; the name of one of the catalogue, such as "sgd",
            with its defaults; the configuration of one of Keras ({"class_name": ..., "config": ...}); or an
            optimizer of TensorFlow's or Keras' own, of any API here, whose rule is in the catalogue. None of
            them may have been trained with: its state would be lost.
        what: what it is for, for the error.
        with_state: whether its state is what is wanted: of a native optimizer, then, that has been trained
            with too, and also if its next step is not exactly the rule's.

    Returns:
        The rule, and name -> value of the base arguments that are not their defaults. Of a kcompat optimizer
        "excluded" are the variables that `exclude_from_weight_decay` was given.

    Raises:
        RuleError: anything else, or a native optimizer that can't be expressed exactly.
    """
    if isinstance(optimizer, UpdateRule):
        return optimizer, {}
    if isinstance(optimizer, str):
        return _by_name(optimizer, what)(), {}
    if isinstance(optimizer, Mapping) and set(optimizer) >= {"class_name", "config"}:
        return _from_keras_config(optimizer, what)
    if isinstance(optimizer, type):
        raise RuleError(
            "{0} was given the class {1}; expected an optimizer: {1}().".format(what, optimizer.__name__)
        )
    if hasattr(optimizer, "_kc"):
        if optimizer._kc.variables:
            raise _built(optimizer, what)
        base = optimizer._current_base()
        return optimizer._current_rule(), {
            name: value for name, value in base.items() if name != "name" and not _is_default(name, value)
        }
    api = api_of(optimizer)
    if api is None:
        raise RuleError(
            "{} was given {!r}; expected an update rule, an optimizer of kcompat, the name of one, or an "
            "optimizer of TensorFlow or Keras.".format(what, optimizer)
        )
    return _native(optimizer, api, what, with_state)


def is_native(optimizer: Any) -> bool:
    """Whether something is an optimizer of an API that is found here, of kcompat or of the host."""
    return api_of(optimizer) is not None


def class_for_native(cls: type) -> Any:
    """kcompat's optimizer class of the same name and API as one of Keras' own; None if it is none.

    Args:
        cls: the class, such as tf.keras.optimizers.Adam.
    """
    from . import class_of

    for api in detect().apis:
        for _, host in host_classes(api):
            if api != "tf1" and issubclass(cls, host) and cls.__name__ in _KERAS:
                return class_of(_rule_class(_KERAS[cls.__name__]), api, host, cls.__name__)
    return None


def rule_with_base(optimizer: Any, what: str) -> UpdateRule:
    """The rule of an optimizer with its base arguments around it, for one part of several.

    Args:
        optimizer, what: as for `rule_of`.

    Raises:
        RuleError: as `rule_of`; or it excludes variables from weight decay or has a loss_scale_factor, which
            belong to the whole.
    """
    rule, base = rule_of(optimizer, what)
    for name in ("excluded", "loss_scale_factor"):
        if base.get(name):
            raise RuleError(
                "{}: one of the optimizers has {}. {}".format(
                    what,
                    "variables excluded from weight decay" if name == "excluded" else name,
                    "Call exclude_from_weight_decay() of this one."
                    if name == "excluded"
                    else "Give it to this one.",
                )
            )
    base.pop("excluded", None)
    return with_base_arguments(rule, **base)


def _by_name(name: str, what: str) -> Type[UpdateRule]:
    from ..rules import CATALOGUE

    # In any case of letters, as Keras has it; "lamb" is Keras' own, and "LAMB" that of Addons.
    by_lower = {each.lower(): each for each in sorted(CATALOGUE)}
    found = name if name in CATALOGUE else by_lower.get(name.lower())
    if found is None:
        raise RuleError(
            "{} was given {!r}; the catalogue has no optimizer of that name. It has {}.".format(
                what, name, ", ".join(CATALOGUE)
            )
        )
    return _rule_class("{}:{}".format(CATALOGUE[found], found))


def _rule_class(where: str) -> Type[UpdateRule]:
    module, _, name = where.partition(":")
    found: Type[UpdateRule] = getattr(importlib.import_module("...rules" + module, __name__), name)
    return found


def _from_keras_config(described: Mapping[str, Any], what: str) -> Tuple[UpdateRule, Dict[str, Any]]:
    """The rule that a configuration of Keras describes, one of the catalogue's."""
    rule = _by_name(described["class_name"].rpartition(">")[2], what)
    return _from_values(rule, dict(described["config"]), described["class_name"], what)


def _is_default(name: str, value: Any) -> bool:
    if name == "ema_momentum":
        return bool(value == 0.99)
    return not is_source(value) and not value


def _built(optimizer: Any, what: str) -> RuleError:
    return RuleError(
        "{}: {} has been built on variables already, and its state would be lost. Give one that is "
        "new.".format(what, type(optimizer).__name__)
    )


def api_of(optimizer: Any) -> Optional[str]:
    """The API that a native optimizer is of, by its bases; None if it is none."""
    for api in detect().apis:
        if any(isinstance(optimizer, cls) for _, cls in host_classes(api)):
            return api
    return None


def _native(optimizer: Any, api: str, what: str, with_state: bool) -> Tuple[UpdateRule, Dict[str, Any]]:
    cls = own_class(type(optimizer), api, what)
    name = cls.__name__
    if _has_state(optimizer, api) and not with_state:
        raise _built(optimizer, what)
    if api == "tf1":
        return _tf1(optimizer, name, what, with_state), {}
    if cls.__module__.split(".")[0] == "tensorflow_addons":
        from ..rules import CATALOGUE

        if name not in CATALOGUE:
            raise _unknown(cls, what)
        # Its AdamW is not Keras' one.
        where = ".sgdw:DecoupledAdamW" if name == "AdamW" else "{}:{}".format(CATALOGUE[name], name)
    elif name in _KERAS:
        where = _keras_rule(name, api)
    else:
        raise _unknown(cls, what)
    config = _config_of(optimizer)
    config.update(_live(optimizer, config, api))
    _adapt(config, optimizer, name, api)
    if not with_state:
        _check_exact(config, optimizer, name, api, what)
    if name == "RMSprop":
        velocity = is_source(config.get("momentum")) or bool(config.get("momentum"))
        where = _rmsprop_rule(api, velocity, api == "keras_2_11" and _is_experimental(optimizer))
    return _from_values(_rule_class(where), config, name, what)


def _keras_rule(name: str, api: str) -> str:
    before = api in ("get_updates", "optimizer_v2")
    return _BEFORE_2_11.get(name, _KERAS[name]) if before else _KERAS[name]


def _rmsprop_rule(api: str, velocity: bool, experimental: bool) -> str:
    """Where RMSprop is: with momentum, OptimizerV2 takes another kernel, with epsilon inside the root."""
    if experimental or (api in ("get_updates", "optimizer_v2") and not velocity):
        return ".older:OuterRMSprop"
    return ".rmsprop:RMSprop"


def rule_called(
    name: str, api: str, velocity: bool = False, experimental: bool = False
) -> Optional[Type[UpdateRule]]:
    """The rule of a native optimizer that is known by its class's name only, as in a file.

    Args:
        name: the class, such as "Adam" or, of TensorFlow 1, "AdamOptimizer".
        api: the API that it is of.
        velocity: of RMSprop, whether it has momentum.
        experimental: whether it is one of `tf.keras.optimizers.experimental` in TensorFlow 2.9 or 2.10.

    Returns:
        The rule's class; None if the catalogue has none.
    """
    if api == "tf1":
        return _rule_class(_TF1[name][0]) if name in _TF1 else None
    if name == "RMSprop":
        return _rule_class(_rmsprop_rule(api, velocity, experimental))
    return _rule_class(_keras_rule(name, api)) if name in _KERAS else None


def _config_of(optimizer: Any) -> Dict[str, Any]:
    try:
        return dict(optimizer.get_config())
    except AttributeError:
        # OptimizerV2's Ftrl of TensorFlow 1.14 misspells a method there.
        if not hasattr(optimizer, "_serialize_hyperparameter"):
            raise
    config = {name: optimizer._serialize_hyperparameter(name) for name in optimizer._hyper}
    for name in ("initial_accumulator_value", "l2_shrinkage_regularization_strength"):
        config[name] = getattr(optimizer, "_" + name)
    return config


def _unknown(cls: type, what: str) -> RuleError:
    return RuleError(
        "{}: the catalogue has no rule for {}.{}. Give a kcompat optimizer or an update rule.".format(
            what, cls.__module__, cls.__name__
        )
    )


def own_class(cls: type, api: str, what: str) -> type:
    """The class of the host that an optimizer is of: its own, or one that it only constructs otherwise.

    Raises:
        RuleError: a subclass has methods of its own, which the rule would not have.
    """
    roots = {base.__module__.split(".")[0] for _, base in host_classes(api)}
    roots |= {"tensorflow", "tensorflow_core", "tensorflow_estimator", "tensorflow_addons"}
    for each in cls.__mro__:
        if each.__module__.split(".")[0] in roots:
            return each
        own = [name for name in vars(each) if name not in _HARMLESS]
        if own:
            raise RuleError(
                "{}: {} defines {} itself, which a rule of the catalogue would not do. Write its update as a "
                "kcompat.UpdateRule.".format(what, each.__name__, ", ".join(sorted(own)))
            )
    raise _unknown(cls, what)


def _has_state(optimizer: Any, api: str) -> bool:
    """Whether a native optimizer has been built on variables."""
    if api in ("tf1", "optimizer_v2"):
        return bool(getattr(optimizer, "_slots", None))
    if api == "get_updates":
        return bool(getattr(optimizer, "weights", None))
    return bool(getattr(optimizer, "_built", False) or getattr(optimizer, "built", False))


def _tf1(optimizer: Any, name: str, what: str, with_state: bool) -> UpdateRule:
    if name not in _TF1:
        raise _unknown(type(optimizer), what)
    where, attributes, fixed = _TF1[name]
    values = {hyper: getattr(optimizer, attribute) for hyper, attribute in attributes.items()}
    if name == "MomentumOptimizer" and is_source(values["learning_rate"]) and not with_state:
        raise RuleError(
            "{}: MomentumOptimizer keeps the learning rate out of its velocity, which is the same as "
            "kcompat's SGD only for a learning rate that is a number; it is {!r}.".format(
                what, values["learning_rate"]
            )
        )
    beta = getattr(optimizer, "_beta", None)
    if name == "FtrlOptimizer" and beta is not None:
        values["beta"] = beta
    return _rule_class(where)(**values, **fixed)


def _live(optimizer: Any, config: Mapping[str, Any], api: str) -> Dict[str, Any]:
    """Hyperparameters that are schedules, callables and variables, which a configuration only describes."""
    if api == "optimizer_v2":
        candidates = dict(getattr(optimizer, "_hyper", {}))
    else:
        candidates = {"learning_rate": getattr(optimizer, "_learning_rate", None)}
    # Of variables that the optimizer made itself, the numbers are in the configuration.
    given = api == "optimizer_v2" and not getattr(optimizer, "_hypers_created", True)
    return {
        name: value
        for name, value in candidates.items()
        if name in config and is_source(value) and (given or not hasattr(value, "dtype"))
    }


def _adapt(config: Dict[str, Any], optimizer: Any, name: str, api: str) -> None:
    """Changes what one API calls or means otherwise."""
    if "lr" in config:
        config.setdefault("learning_rate", config.pop("lr"))
    if api == "get_updates":
        # They are attributes there; Keras' norm, not tf.keras', is that of all gradients together.
        for clip in ("clipnorm", "clipvalue"):
            value = getattr(optimizer, clip, config.get(clip))
            config.pop(clip, None)
            if value:
                alone = type(optimizer).__module__.startswith("tensorflow") or clip == "clipvalue"
                config[clip if alone else "global_clipnorm"] = value
        if name == "Adagrad":
            config.setdefault("initial_accumulator_value", 0.0)
    if api == "optimizer_v2":
        for clip in ("clipnorm", "clipvalue", "global_clipnorm"):
            value = getattr(optimizer, clip, None)
            if value is not None:
                config[clip] = value
        if name == "Nadam":  # which calls it decay, and takes it as schedule_decay
            config["schedule_decay"] = config.pop("decay", 0.004)


# Where Keras keeps which variables do not decay: patterns have one name up to Keras 3.0, and another since.
_EXCLUDED = (
    "_exclude_from_weight_decay",
    "_exclude_from_weight_decay_names",
    "_exclude_from_weight_decay_pattern",
)


def _check_exact(config: Mapping[str, Any], optimizer: Any, name: str, api: str, what: str) -> None:
    """Raises RuleError for what a native optimizer does that its rule does not."""
    if api in ("keras_2_11", "keras_3") and any(getattr(optimizer, each, None) for each in _EXCLUDED):
        raise RuleError(
            "{}: {} excludes variables from weight decay. Call exclude_from_weight_decay() of the wrapper "
            "instead.".format(what, name)
        )
    if api == "keras_2_11" and config.get("use_ema"):
        raise RuleError(
            "{}: the moving average of this {} starts before the first step, that of kcompat after it. Give "
            "use_ema=True to the wrapper instead.".format(what, name)
        )
    if name == "AdamW" and api == "keras_2_11" and _is_experimental(optimizer):
        raise RuleError(
            "{}: the weight decay of this AdamW leaves only learning_rate * weight_decay of each variable. "
            "Give kcompat.optimizers.AdamW.".format(what)
        )
    if name == "ScheduleFreeAdamW" and _keras_backend() != "jax":
        raise RuleError(
            "{}: Keras' ScheduleFreeAdamW, except on JAX, averages otherwise than its equations, and "
            "kcompat's follows these. Give kcompat.optimizers.ScheduleFreeAdamW.".format(what)
        )


def _is_experimental(optimizer: Any) -> bool:
    """Whether an optimizer of `keras_2_11` is of its first two releases, in TensorFlow 2.9 and 2.10."""
    return not hasattr(optimizer, "_use_weight_decay")


def _keras_backend() -> str:
    """The backend of Keras 3, which is imported already where this is asked."""
    backend: str = importlib.import_module("keras").backend.backend()
    return backend


def _from_values(
    rule: Type[UpdateRule], config: Dict[str, Any], name: str, what: str
) -> Tuple[UpdateRule, Dict[str, Any]]:
    """A rule and base arguments from a configuration.

    Raises:
        RuleError: the configuration has something that neither the rule nor the base arguments have.
    """
    hypers: Dict[str, Any] = {}
    base: Dict[str, Any] = {}
    strange: List[str] = []
    for key, value in config.items():
        if key in rule.hypers:
            hypers[key] = value
        elif key in BASE_ARGUMENTS or key == "decay":
            if key not in _NO_MATTER and not _is_default(key, value):
                base[key] = value
        elif key not in _NO_MATTER and value not in (None, False):
            strange.append("{}={!r}".format(key, value))
    if strange:
        raise RuleError(
            "{}: {} has {}, which kcompat's {} has not.".format(what, name, ", ".join(strange), rule.__name__)
        )
    return rule(**hypers), base

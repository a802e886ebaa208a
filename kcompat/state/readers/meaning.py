"""What a native optimizer's slots mean to a rule: its name, the slots' names, the step, hyperparameters."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type

import numpy as np

from ...adapters.natives import rule_called
from ...errors import HyperparameterError, StateError
from ...rule import BASE_ARGUMENTS, UpdateRule
from ...rules import CATALOGUE
from .. import slot_names
from ..description import LEARNING_RATE_OUTSIDE, LazyArray, State, VariableSlots
from ..hosts import rule_name
from .found import Asked, Found, FoundVariable, nothing

# TensorFlow 1's classes, and what they call their slots in object checkpoints.
_TF1_SLOTS: Mapping[str, Tuple[Tuple[str, ...], ...]] = {
    "AdadeltaOptimizer": (("accum", "accum_update"),),
    "AdagradOptimizer": (("accumulator",),),
    "AdamOptimizer": (("m", "v"),),
    "FtrlOptimizer": (("accum", "linear"),),
    "MomentumOptimizer": (("momentum",),),
    "ProximalAdagradOptimizer": (("accumulator",),),
    "RMSPropOptimizer": (("rms", "momentum"), ("rms", "mg", "momentum")),
}
_V2_SLOTS: Mapping[str, Tuple[Tuple[str, ...], ...]] = {
    "Adadelta": (("accum_grad", "accum_var"),),
    "Adagrad": (("accumulator",),),
    "Adam": (("m", "v"), ("m", "v", "vhat")),
    "Adamax": (("m", "v"),),
    "Ftrl": (("accumulator", "linear"),),
    "Nadam": (("m", "v"),),
    "RMSprop": (("rms",), ("rms", "momentum"), ("rms", "mg"), ("rms", "momentum", "mg")),
    "SGD": (("momentum",),),
}
# Slots that not every optimizer of a class of Keras has.
_OPTIONAL = {(cls, "vhat") for cls in ("Adam", "AdamW", "Lamb", "Nadam")} | {
    ("RMSprop", "momentum"),
    ("RMSprop", "mg"),
    ("Adafactor", "r"),
    ("Adafactor", "c"),
    ("Muon", "v"),
}
# Classes of Keras that its generation before did not have.
_ONLY_KERAS_3 = ("Lamb", "Muon", "ScheduleFreeAdamW")
# Classes whose slots are the same and mean the same: where a file does not tell which it is, either goes on.
_ALIKE = ("Adam", "AdamW")
# Hyperparameters that an optimizer's slots tell: rule's and hosts' names of the slots.
_SIGNS = {"amsgrad": {"vhat", "_velocity_hats"}, "centered": {"mg", "_average_gradients"}}
# What `BASE_ARGUMENTS` are where they are not given.
_DEFAULTS = {"ema_momentum": 0.99}


def state_of(found: Found, asked: Asked) -> State:
    """The state in a rule's terms.

    Raises:
        StateError: it is not known which rule it is, or what a slot means; or it takes a hyperparameter to
            know that, and the file has none.
    """
    if not found.variables and not found.own and found.api in ("tf1", "optimizer_v2"):
        # Only SGD without momentum keeps nothing. The file has that number; RMSprop's, too, with another one.
        if found.config.get("momentum", 1) != 0 or "rho" in found.config:
            raise _without_slots(found, found.cls or found.name)
    cls, is_known = _class_of(found, asked)
    rule, wanted = _rule_of(found, cls, asked)
    if not found.variables and wanted != "SGD":
        raise _without_slots(found, cls)
    config = _config(found, rule, asked)
    slots = {slot for variable in found.variables for slot in variable.slots}
    for hyper, signs in _SIGNS.items():  # what the slots say of the configuration, where nothing else does
        if rule is not None and hyper in rule.hypers and found.variables:
            config.setdefault(hyper, bool(slots & signs))
    names = _rule_names(found, cls)
    variables = _without_unused(
        found, rule, config, [_renamed(found, each, names) for each in found.variables]
    )
    if rule is not None and rule.__name__ == "Adafactor":
        variables = [_factored(each) for each in variables]
    convention: Dict[str, str] = {}
    if found.api == "tf1" and not found.own and cls == "MomentumOptimizer":
        variables, convention = _with_learning_rate(variables, asked)
    shared = dict(found.shared)
    if cls == "Nadam" and not found.own:
        shared.setdefault("mu_product", _mu_product(found, rule, config))
    return State(
        rule=wanted if is_known else None,
        config=config,
        step=found.step,
        variables=State.keyed([VariableSlots(*each) for each in variables]),
        shared=shared,
        weights=found.weights,
        origin="{}, {}{}".format(found.path, found.format, "" if is_known else ", " + " or ".join(_ALIKE)),
        convention=convention,
    )


def _without_slots(found: Found, cls: Optional[str]) -> StateError:
    return nothing(
        found.path,
        "there is a step counter or the like of {}, and no slot of any variable".format(
            cls or "an optimizer"
        ),
        "It was written before the first step, or by a host that leaves the slots out; a tf.train.Checkpoint "
        "of TensorFlow 1's optimizers and of OptimizerV2 holds slots of the variables that are in it, too.",
    )


# Which rule it is.


def _plain(name: str) -> str:
    """A name without what tells copies apart, and spelling."""
    head, _, number = name.rpartition("_")
    name = head if head and number.isdigit() else name
    return name.replace("_", "").lower()


def _class_of(found: Found, asked: Asked) -> Tuple[str, bool]:
    """The host's class; and whether it is that for certain, and not another whose slots mean the same.

    Raises:
        StateError: the file does not tell.
    """
    if found.own:
        return asked.rule or found.cls or found.name or "", True
    classes = {_plain(name): name for name in _known_classes(found.api)}
    if found.api == "tf1":
        classes.update({_plain(name[: -len("Optimizer")]): name for name in _TF1_SLOTS})
    for name in (asked.rule, found.cls):
        if name is not None:
            name = name.rpartition(">")[2]
            if _plain(name) in classes:
                return classes[_plain(name)], True
            if name == "SGD" and found.api == "tf1":
                return "MomentumOptimizer", True
            raise StateError(
                "{}: the optimizer is {}, and is to be one of {}. State of others is not read.".format(
                    found.path, name, ", ".join(sorted(classes.values()))
                )
            )
    fitting = [name for name in _known_classes(found.api) if _fits(found, name)]
    named = classes.get(_plain(found.name)) if found.name else None
    if named in fitting:
        return named, True
    if len(fitting) == 1:
        return fitting[0], True
    if fitting and set(fitting) <= set(_ALIKE):
        return fitting[0], False
    slots = list(dict.fromkeys(slot for variable in found.variables for slot in variable.slots))
    raise StateError(
        "{} does not say which optimizer wrote it{}. Its slots are {}, which {}. Give it: "
        "kcompat.state.read(path, rule={!r}).".format(
            found.path,
            ", and calls it {!r}".format(found.name) if found.name else "",
            ", ".join(slots) or "none",
            "those of {} are".format(" and ".join(fitting)) if fitting else "no optimizer known here has",
            (fitting or ["Adam"])[-1],
        )
    )


def _known_classes(api: str) -> List[str]:
    if api == "tf1":
        return list(_TF1_SLOTS)
    if api in ("optimizer_v2", "get_updates"):
        return list(_V2_SLOTS)
    return [name for name in slot_names.KERAS if api == "keras_3" or name not in _ONLY_KERAS_3]


def _fits(found: Found, cls: str) -> bool:
    """Whether the slots can be those of a class."""
    slots = {slot for variable in found.variables for slot in variable.slots}
    if found.api in ("tf1", "optimizer_v2", "get_updates"):
        table = _TF1_SLOTS if found.api == "tf1" else _V2_SLOTS
        return (not slots and cls in ("SGD", "MomentumOptimizer")) or any(
            set(each) == slots for each in table[cls]
        )
    own = slots - set(slot_names.KERAS_BASE.values())
    if not own:
        return cls == "SGD"
    table_of = slot_names.KERAS[cls]
    needed = [attributes for slot, attributes in table_of.items() if (cls, slot) not in _OPTIONAL]
    known = {attribute for attributes in table_of.values() for attribute in attributes}
    if found.velocity is not None and (found.velocity == "velocity") != (cls == "RMSprop"):
        return False
    # Nadam is told by its product.
    if ("mu_product" in found.shared) != (cls == "Nadam"):
        return False
    return own <= known and all(own & set(attributes) for attributes in needed)


def _rule_of(found: Found, cls: str, asked: Asked) -> Tuple[Optional[Type[UpdateRule]], Optional[str]]:
    """The rule's class, if it is one of ours, and its name."""
    if found.own:
        return _own_rule(cls)
    slots = {slot for variable in found.variables for slot in variable.slots}
    rule = rule_called(cls, found.api, bool(slots & {"momentum", "_momentums"}), found.experimental)
    if rule is None:
        raise AssertionError("{} of {} has no rule".format(cls, found.api))  # a test goes through all
    return rule, rule_name(rule())


def _own_rule(cls: str) -> Tuple[Optional[Type[UpdateRule]], Optional[str]]:
    """The rule that kcompat's name of a class stands for: "Adam", "mylib.optim.Lion", or "adam"."""
    from ... import rules

    name = cls.rpartition(">")[2]
    module, _, last = name.replace(":", ".").rpartition(".")
    if module and not module.startswith("kcompat.rules."):
        return None, "{}:{}".format(module, last)
    by_plain = {_plain(each): each for each in sorted(CATALOGUE, reverse=True)}
    name = last if last in CATALOGUE else by_plain.get(_plain(last), "")
    if name:
        return getattr(rules, name), name
    return None, "{}:{}".format(module, last) if module else None


# Slots.


def _rule_names(found: Found, cls: str) -> Dict[str, str]:
    """Host's slot -> rule's."""
    if found.own or found.by_rule:
        return {}
    if found.api in ("tf1", "optimizer_v2", "get_updates"):
        table = slot_names.TF1 if found.api == "tf1" else slot_names.OPTIMIZER_V2
        return {host: slot for slot, host in table.get(cls, {}).items()}
    names = {host: slot for slot, host in slot_names.KERAS_BASE.items()}
    for slot, attributes in slot_names.KERAS[cls].items():
        names.update(dict.fromkeys(attributes, slot))
    return names


def _renamed(found: Found, variable: FoundVariable, names: Mapping[str, str]) -> FoundVariable:
    slots = {names.get(slot, slot): array for slot, array in variable.slots.items()}
    if len(slots) != len(variable.slots):
        raise StateError(
            "{}: {} has the slots {}, of which two mean the same. Is it another optimizer? Give it: "
            "kcompat.state.read(path, rule=...).".format(
                found.path, variable.name, ", ".join(variable.slots)
            )
        )
    return variable._replace(slots=slots)


def _without_unused(
    found: Found,
    rule: Optional[Type[UpdateRule]],
    config: Mapping[str, Any],
    variables: List[FoundVariable],
) -> List[FoundVariable]:
    """Without velocities that a host keeps although there is no momentum."""
    slot = {"SGD": "m", "RMSprop": "momentum", "RMSpropFromOne": "momentum", "OuterRMSprop": "momentum"}.get(
        rule.__name__ if rule is not None else ""
    )
    held = [variable.slots[slot] for variable in variables if slot in variable.slots]
    if slot is None or not held or found.own or found.api == "optimizer_v2":
        return variables
    if "momentum" in config:
        unused = config["momentum"] == 0
    elif found.api == "tf1" and slot == "momentum":
        raise StateError(
            "{}: TensorFlow 1's RMSPropOptimizer keeps a velocity whether it has momentum or not, and this "
            "file does not say. Give it: kcompat.state.read(path, hyper={{'momentum': 0.9}}), or "
            "0.0.".format(found.path)
        )
    else:  # Keras' SGD of 2.11 to 2.15 keeps one, and leaves it at 0 without momentum
        unused = (
            slot == "m" and found.api == "keras_2_11" and not any(np.asarray(each).any() for each in held)
        )
    if not unused:
        return variables
    return [
        variable._replace(slots={name: a for name, a in variable.slots.items() if name != slot})
        for variable in variables
    ]


def _factored(variable: FoundVariable) -> FoundVariable:
    """Without the placeholders of Keras' Adafactor: factors of what is not factored, and the product."""
    keep = ("v", *slot_names.KERAS_BASE) if len(variable.shape) < 2 else ("r", "c", *slot_names.KERAS_BASE)
    return variable._replace(slots={name: variable.slots[name] for name in keep if name in variable.slots})


def _with_learning_rate(
    variables: List[FoundVariable], asked: Asked
) -> Tuple[List[FoundVariable], Dict[str, str]]:
    """MomentumOptimizer's velocities, which hold no learning rate: with it, or a word about it."""
    rate = asked.number("learning_rate", None)
    if rate is None:
        return variables, {"m": LEARNING_RATE_OUTSIDE}

    def scaled(array: Any) -> LazyArray:
        return LazyArray(array.shape, array.dtype, lambda: np.asarray(array)).map(
            lambda values: values * values.dtype.type(-rate)
        )

    return [
        variable._replace(slots={slot: scaled(array) for slot, array in variable.slots.items()})
        for variable in variables
    ], {}


def _mu_product(found: Found, rule: Optional[Type[UpdateRule]], config: Mapping[str, Any]) -> np.ndarray:
    """Nadam's product of momenta, which some files leave out: it follows from the step and beta_1."""
    if found.step is None:
        raise StateError(
            "{}: Nadam's product of momenta is not there, nor is the step, which it would follow from. Save "
            "a tf.train.Checkpoint, or take the state there with kcompat.state.take().".format(found.path)
        )
    beta = config.get("beta_1", 0.9)
    slowness = config.get("schedule_decay", 0.004) if rule and rule.__name__ == "SlowNadam" else 1.0
    step = np.arange(1, found.step + 1, dtype="float64")
    return np.asarray(np.prod(beta * (1 - 0.5 * 0.96 ** (slowness * step))), "float32")


# Hyperparameters.


def meant(value: Any) -> Any:
    """The number that a float32 was given as: 0.9 for 0.8999999761581421."""
    if isinstance(value, (float, np.floating)) and math.isfinite(value):
        narrow = np.float32(value)
        return float(str(narrow)) if float(narrow) == float(value) else float(value)
    return value


def _config(found: Found, rule: Optional[Type[UpdateRule]], asked: Asked) -> Dict[str, Any]:
    """The hyperparameters that are known, under the rule's names, and base arguments."""
    config: Dict[str, Any] = {}
    for name, value in found.config.items():
        name = {"lr": "learning_rate"}.get(name, name)
        if rule is not None and rule.__name__ == "SlowNadam" and name == "decay":
            name = "schedule_decay"
        known = rule is None or name in rule.hypers
        off = value is None or value is False or value == 0 or value == _DEFAULTS.get(name)
        if known and value is not None:
            config[name] = meant(value)
        elif (name in BASE_ARGUMENTS or name == "decay") and name != "name" and not off:
            config[name] = meant(value)
    for name, value in asked.hyper.items():
        if rule is not None and name not in rule.hypers and name not in BASE_ARGUMENTS:
            raise HyperparameterError(
                "kcompat.state.read(hyper={{{!r}: {!r}}}): {} has {}.".format(
                    name, value, rule.__name__, ", ".join(rule.hypers)
                )
            )
        config[name] = value
    return config


def step_from_power(power: float, beta: float) -> Optional[float]:
    """The number of steps after which TensorFlow 1's power of a beta, beta ** (steps + 1), is what it is."""
    if not 0 < power < 1 or not 0 < beta < 1 or power < 1e-37:  # below, float32 loses digits
        return None
    return math.log(power) / math.log(float(np.float32(beta))) - 1


def step_from_powers(
    path: str, powers: List[Tuple[float, float, str]], counted: Optional[int]
) -> Optional[int]:
    """Steps done, from TensorFlow 1's powers of the betas.

    Args:
        path: the file, for messages.
        powers: each power, its beta, and the hyperparameter's name.
        counted: what a global step in the file says.

    Returns:
        The steps; None if the powers have all become 0 and nothing is counted.

    Raises:
        StateError: they are not powers of these betas.
    """
    for power, beta, name in powers:
        steps = step_from_power(power, beta)
        if steps is None:
            continue
        # Each multiplication in float32 may round by 6e-8.
        slack = 0.02 + 6e-8 * max(steps, 0) / -math.log(beta)
        if counted is not None and abs(steps - counted) <= slack:
            return counted
        if steps > -0.5 and abs(steps - round(steps)) <= slack:
            return int(round(steps))
        raise StateError(
            "{}: {} is no power of {}={}, which would say how many steps were taken. Give it: "
            "kcompat.state.read(path, hyper={{{!r}: ...}}).".format(path, power, name, beta, name)
        )
    return counted

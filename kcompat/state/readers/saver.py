"""Checkpoints of TensorFlow 1's `Saver`: tensors by name, and the names say whose slots they are."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from ...errors import StateError
from .bundle import Bundle
from .found import Asked, Found, FoundVariable, choose, nothing
from .meaning import meant, step_from_powers

# The name that TensorFlow 1's optimizers have by default -> their slots in the order in which they are made.
_SLOTS: Dict[str, Tuple[Tuple[str, ...], ...]] = {
    "Adadelta": (("accum", "accum_update"),),
    "Adagrad": (("accumulator",),),
    "Adam": (("m", "v"),),
    "Ftrl": (("accum", "linear"),),
    "Momentum": (("momentum",),),
    "ProximalAdagrad": (("accumulator",),),
    "RMSProp": (("rms", "momentum"), ("rms", "mg", "momentum")),
}
# Beside its variable, and no slot: the average of tf.train.ExponentialMovingAverage.
_NO_SLOTS = ("ExponentialMovingAverage",)
_POWERS = (("beta1_power", "beta_1", 0.9), ("beta2_power", "beta_2", 0.999))
# What is beside the model's variables, and an optimizer's or the training loop's.
_SCALARS = re.compile(r"(global_step|beta[12]_power(_\d+)?)$")
_FORMAT = "TensorFlow 1 Saver checkpoint"


class _Group(NamedTuple):
    """Tensors that may be the slots of one optimizer: variable -> slots, in the order of their numbers."""

    name: str
    variables: Dict[str, List[str]]


def read(path: str, bundle: Bundle, asked: Asked) -> Found:
    """The optimizer in a checkpoint by names.

    Raises:
        StateError: there is none, or several and none was named; or the file is damaged.
    """
    names = {name for name in bundle.entries if "\x00" not in name and bundle.is_number(name)}
    readers: List[Tuple[str, Callable[[], Tuple[Found, Set[str]]]]] = []
    for prefix, counter in _keras(names, bundle):
        readers.append((prefix, partial(_of_keras, path, bundle, names, prefix, counter)))
    for prefix in _own(names, bundle):
        readers.append((prefix, partial(_of_own, path, bundle, names, prefix)))
    if not readers:
        groups = _groups(names, bundle)
        known = [group for group in groups if _table_name(group.name)]
        for group in known or groups:
            readers.append((group.name, partial(_of_tf1, path, bundle, names, group, asked)))
    if not readers:
        raise nothing(
            path,
            "none of its {} tensors is another one's slot, such as 'W/Adam' beside 'W'".format(len(names)),
            "It was written by a Saver that was given the model's variables only, or by an optimizer without "
            "slots, such as GradientDescentOptimizer.",
        )
    called = [name or "(no name)" for name, _ in readers]
    of_power = asked.optimizer is not None and asked.optimizer in names and len(readers) == 1
    chosen = 0 if of_power else choose(path, called, asked.optimizer)
    found, theirs = readers[chosen][1]()
    for variable in found.variables:
        for array in variable.slots.values():
            array.__array__()  # the checksums are compared now
    if asked.weights:
        found = found._replace(weights=_weights(bundle, names - theirs))
    return found


def _weights(bundle: Bundle, names: Set[str]) -> Dict[str, Any]:
    """What is no optimizer's."""
    slots = {key for group in _groups(names, bundle) for keys in group.variables.values() for key in keys}
    weights = {}
    for name in sorted(names - slots):
        if bundle.shape(name) != () or not _SCALARS.match(name.rpartition("/")[2]):
            weights[name] = bundle.lazy(name)
            weights[name].__array__()
    return weights


def _variable(name: str, bundle: Bundle, slots: Dict[str, str]) -> FoundVariable:
    return FoundVariable(
        name, bundle.shape(name), bundle.dtype(name), {slot: bundle.lazy(key) for slot, key in slots.items()}
    )


# TensorFlow 1's own: W/Adam and W/Adam_1 beside W.


def _groups(names: Set[str], bundle: Bundle) -> List[_Group]:
    """The groups of slots, one an optimizer, in the order of their names."""
    found: Dict[str, Dict[str, Dict[int, str]]] = {}
    for name in sorted(names):
        rest, _, last = name.rpartition("/")
        variable = _owner(rest, names)
        if variable is None or bundle.shape(variable) != bundle.shape(name) or last in _NO_SLOTS:
            continue
        match = re.match(r"(.+?)(?:_(\d+))?$", last)
        if match is not None:
            number = int(match.group(2) or 0)
            found.setdefault(match.group(1), {}).setdefault(variable, {})[number] = name
    groups = []
    for base, variables in found.items():
        count = max(len(slots) for slots in variables.values())
        size = _size(base, count)
        for start in range(0, count, size):
            of_this = {}
            for variable, slots in variables.items():
                keys = [slots[number] for number in sorted(slots)][start : start + size]
                if keys:
                    of_this[variable] = keys
            first = min((key.rpartition("/")[2] for keys in of_this.values() for key in keys), key=len)
            groups.append(_Group(first, of_this))
    return groups


def _owner(rest: str, names: Set[str]) -> Optional[str]:
    """The variable that a slot stands beside; inside a variable scope, the slot has the scope before it."""
    parts = rest.split("/")
    for start in range(len(parts)):
        name = "/".join(parts[start:])
        if name in names:
            return name
    return None


def _table_name(name: str) -> Optional[str]:
    """The default name that an optimizer's name is."""
    base = re.sub(r"_\d+$", "", name)
    return base if base in _SLOTS else None


def _size(base: str, count: int) -> int:
    """How many slots one optimizer of a name has, where a variable has so many of that name."""
    if base == "RMSProp":
        return 2 if count % 3 and count % 2 == 0 else 3
    return len(_SLOTS[base][0]) if base in _SLOTS else count


def _of_tf1(
    path: str, bundle: Bundle, names: Set[str], group: _Group, asked: Asked
) -> Tuple[Found, Set[str]]:
    cls = _tf1_class(path, group, names, asked)
    variables = []
    for variable, keys in group.variables.items():
        slots = [each for each in _SLOTS[cls] if len(each) == len(keys)]
        if not slots:
            raise StateError(
                "{}: {} stand beside {}; {}Optimizer has the slots {}.".format(
                    path, ", ".join(keys), variable, cls, " or ".join(", ".join(each) for each in _SLOTS[cls])
                )
            )
        variables.append(_variable(variable, bundle, dict(zip(slots[0], keys))))
    found = Found(
        path=path,
        format=_FORMAT,
        api="tf1",
        name=group.name,
        cls=cls + "Optimizer",
        config={},
        step=_step(path, bundle, names, cls, asked),
        variables=variables,
        shared={},
    )
    return found, {key for keys in group.variables.values() for key in keys}


def _tf1_class(path: str, group: _Group, names: Set[str], asked: Asked) -> str:
    if asked.rule is not None:
        wanted = {"SGD": "Momentum", "RMSprop": "RMSProp"}.get(asked.rule, asked.rule)
        wanted = wanted[: -len("Optimizer")] if wanted.endswith("Optimizer") else wanted
        if wanted not in _SLOTS:
            raise StateError(
                "{}: state of {} was asked for; of TensorFlow 1 there is {}.".format(
                    path, asked.rule, ", ".join(sorted(_SLOTS))
                )
            )
        return wanted
    named = _table_name(group.name)
    if named is not None:
        return named
    count = max(len(keys) for keys in group.variables.values())
    fitting = [cls for cls, each in _SLOTS.items() if any(len(slots) == count for slots in each)]
    if count == 2 and any(re.match(r"(.*/)?beta1_power$", name) for name in names):
        return "Adam"
    raise StateError(
        "{}: an optimizer called {!r} keeps {} tensors beside each variable, which {}. Say which it is: "
        "kcompat.state.read(path, rule={!r}).".format(
            path,
            group.name,
            count,
            "may be those of {}".format(", ".join(fitting)) if fitting else "no optimizer known here does",
            (fitting or ["Adam"])[0],
        )
    )


def _step(path: str, bundle: Bundle, names: Set[str], cls: str, asked: Asked) -> Optional[int]:
    """Steps done: of Adam as the powers of its betas say, of others the global step."""
    counters = [
        name for name in names if name.rpartition("/")[2] == "global_step" and bundle.shape(name) == ()
    ]
    counted = int(bundle.read(counters[0])) if len(counters) == 1 else None
    if cls != "Adam":
        return counted
    steps = {}
    for name in sorted(names):
        match = re.match(r"((?:.*/)?)beta1_power((?:_\d+)?)$", name)
        if match is None or bundle.shape(name) != ():
            continue
        powers = []
        for power, hyper, default in _POWERS:
            key = match.group(1) + power + match.group(2)
            if key in names:
                beta = float(asked.number(hyper, default))
                powers.append((float(bundle.read(key)), beta, hyper))
        steps[name] = step_from_powers(path, powers, counted)
    if asked.optimizer in steps:
        return steps[asked.optimizer]
    if len(set(steps.values())) > 1:
        raise StateError(
            "{}: several optimizers called Adam have written it, and took different numbers of steps: {}. "
            "Say whose is meant: kcompat.state.read(path, optimizer={!r}). The slots will be those of the "
            "variables of all of them.".format(
                path, ", ".join("{}: {}".format(*item) for item in steps.items()), next(iter(steps))
            )
        )
    return next(iter(steps.values()), counted)


# Keras' OptimizerV2 in a Saver: Adam/W/m beside W, Adam/iter; in TensorFlow 1.13 without "Adam/".


def _keras(names: Set[str], bundle: Bundle) -> List[Tuple[str, str]]:
    """The prefixes of such optimizers, and their counters."""
    return [
        (name.rpartition("/")[0], name)
        for name in sorted(names)
        if name.rpartition("/")[2] == "iter" and bundle.shape(name) == () and bundle.dtype(name) == "int64"
    ]


def _of_keras(
    path: str, bundle: Bundle, names: Set[str], prefix: str, counter: str
) -> Tuple[Found, Set[str]]:
    start = prefix + "/" if prefix else ""
    by_variable: Dict[str, Dict[str, str]] = {}
    scalars = {}
    for name in sorted(names):
        if not name.startswith(start) or name == counter:
            continue
        rest, _, last = name[len(start) :].rpartition("/")
        if not rest and bundle.shape(name) == () and last != "global_step":
            scalars[last] = name
        elif rest in names and rest != name:
            by_variable.setdefault(rest, {})[last] = name
    own = any(name.endswith("_exact") for name in scalars)
    config = {
        name: meant(bundle.read(key).item())
        for name, key in scalars.items()
        if not name.endswith("_exact") and name not in ("momentum_cache", "mu_product")
    }
    config.update(
        {
            name[: -len("_exact")]: bundle.read(key).item()
            for name, key in scalars.items()
            if name.endswith("_exact")
        }
    )
    products = [key for name, key in scalars.items() if name in ("momentum_cache", "mu_product")]
    found = Found(
        path=path,
        format="{}, api optimizer_v2".format(_FORMAT),
        api="optimizer_v2",
        name=prefix.rpartition("/")[2] or None,
        cls=None,
        config=config,
        step=int(bundle.read(counter)),
        variables=[_variable(name, bundle, slots) for name, slots in by_variable.items()],
        shared={"mu_product": bundle.lazy(products[0])} if products else {},
        own=own,
    )
    keys = {key for slots in by_variable.values() for key in slots.values()}
    return found, {counter, *scalars.values(), *keys}


# kcompat's own on TensorFlow 1: W/Adam/m beside W, Adam/iterations, Adam_1/learning_rate and so on.


def _own(names: Set[str], bundle: Bundle) -> List[str]:
    return [
        name.rpartition("/")[0]
        for name in sorted(names)
        if name.rpartition("/")[2] == "iterations" and bundle.shape(name) == () and "/" in name
    ]


def _of_own(path: str, bundle: Bundle, names: Set[str], prefix: str) -> Tuple[Found, Set[str]]:
    optimizer = prefix.rpartition("/")[2]
    by_variable: Dict[str, Dict[str, str]] = {}
    config, shared, theirs = {}, {}, set()
    for name in sorted(names):
        parts = name.split("/")
        owner = "/".join(parts[:-2])
        if len(parts) > 2 and parts[-2] == optimizer and owner in names:
            by_variable.setdefault(owner, {})[parts[-1]] = name
            theirs.add(name)
        elif re.match(re.escape(prefix) + r"(_\d+)?/[^/]+$", name) and bundle.shape(name) == ():
            theirs.add(name)
            if parts[-1] == "iterations":
                continue
            if bundle.dtype(name) == "float64":
                config[parts[-1]] = bundle.read(name).item()
            else:
                shared[parts[-1]] = bundle.lazy(name)
    found = Found(
        path=path,
        format="{} of kcompat".format(_FORMAT),
        api="tf1",
        name=optimizer,
        cls=None,
        config=config,
        step=int(bundle.read(prefix + "/iterations")),
        variables=[_variable(name, bundle, slots) for name, slots in by_variable.items()],
        shared=shared,
        own=True,
    )
    return found, theirs

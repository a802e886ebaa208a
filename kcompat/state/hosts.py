"""An optimizer as a place where state is: the same view of kcompat's own and of every host's native ones.

A view knows which of the host's variables holds which slot, and what a slot means there. It changes nothing
until it is told to build or to assign.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .. import namespaces
from ..adapters import class_of
from ..adapters.base import Adapter
from ..adapters.natives import api_of, own_class, rule_of
from ..contract import check_slots
from ..environment import host_classes
from ..errors import HookError, HyperparameterError, KcompatError, StateError
from ..rule import BASE_ARGUMENTS, UpdateRule, is_source, walk
from ..rules import CATALOGUE
from ..schedules import Schedule, describe_schedule
from ..transforms.arguments import with_base_arguments
from . import slot_names

_PACKAGE = __name__.rpartition(".state.")[0]

# Base arguments that say nothing about the state or the next step where they have these values.
_OFF = {"ema_momentum": 0.99}


class _Nothing(UpdateRule):
    """A rule for adapters that only read and assign."""

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        return param, {}


class Slot(NamedTuple):
    """Where a slot is, and what it means there.

    Attributes:
        variable: the host's variable.
        taken: makes the rule's values of the host's; None where they are the same.
        given: makes the host's values of the rule's.
    """

    variable: Any
    taken: Optional[Callable[[np.ndarray], np.ndarray]] = None
    given: Optional[Callable[[np.ndarray], np.ndarray]] = None


class View:
    """An optimizer as a place where state is.

    Attributes:
        optimizer: the optimizer, without the wrappers that Keras may have put around it.
        outer: what the user has, with them.
        adapter: the adapter that reads and assigns the host's variables.
        rule: the optimizer's rule.
        root: the rule with the base arguments around it.
    """

    def __init__(self, optimizer: Any, outer: Any, adapter: Any, rule: UpdateRule, root: UpdateRule) -> None:
        self.optimizer = optimizer
        self.outer = outer
        self.adapter = adapter
        self.rule = rule
        self.root = root

    # What kcompat's and native optimizers do differently.

    def slots(self, variable: Any) -> Optional[Dict[str, Slot]]:
        """Where the slots of a variable are, or None if the optimizer has not been built on it."""
        raise NotImplementedError

    def shared(self) -> Dict[str, Slot]:
        """Where the values of all variables together are."""
        raise NotImplementedError

    def strangers(self, variables: Sequence[Any]) -> List[str]:
        """The names of variables that the optimizer has state for and that are not among these."""
        raise NotImplementedError

    def step(self) -> Optional[int]:
        """How many steps were taken; None where the host does not count them."""
        raise NotImplementedError

    def set_step(self, step: int) -> None:
        """Sets the number of steps taken."""
        raise NotImplementedError

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the optimizer's variables for these; those it knows are passed over."""
        raise NotImplementedError

    def check_buildable(self, variables: Sequence[Any]) -> None:
        """Raises StateError if `build` would fail."""

    def hyperparameters(self) -> Dict[str, Any]:
        """The configuration as JSON: hyperparameters, and base arguments that are not their defaults."""
        raise NotImplementedError

    def set_hyperparameter(self, name: str, value: Any) -> bool:
        """Sets a hyperparameter to a number, where that takes effect. Returns whether it did."""
        raise NotImplementedError

    def rule_for(self, variable: Any) -> UpdateRule:
        """The rule of one variable, with the base arguments around it."""
        return self.root.for_variable(self.name(variable), self.shape(variable))

    # Whether it knows the slots of a variable before it is built on it.
    plans = True

    # What they have in common.

    def rule_name(self) -> str:
        """The name of the rule in a description."""
        return rule_name(self.rule)

    @property
    def where(self) -> str:
        """The optimizer's class, for messages."""
        return type(self.optimizer).__name__

    def name(self, variable: Any) -> str:
        return str(self.adapter._variable_name(variable))

    def shape(self, variable: Any) -> Tuple[int, ...]:
        return tuple(self.adapter._shape(variable))

    def dtype(self, variable: Any) -> str:
        return str(self.adapter._dtype_name(variable))

    def key(self, variable: Any) -> Any:
        return self.adapter._variable_key(variable)

    def read(self, variable: Any) -> np.ndarray:
        """A variable of the host as NumPy has it: bfloat16 as float32, which holds it exactly."""
        return plain(self.adapter._read_values([variable])[0])

    def planned(self, variable: Any) -> Dict[str, Tuple[int, ...]]:
        """The slots that a variable has or will have, and their shapes."""
        return {name: array.shape for name, array in self._init(variable, zeros=True).items()}

    def initial(self, variable: Any) -> Dict[str, np.ndarray]:
        """The values that a variable's slots start with."""
        return self._init(variable, zeros=False)

    def _init(self, variable: Any, zeros: bool) -> Dict[str, np.ndarray]:
        dtype = "float64" if self.dtype(variable) == "float64" else "float32"
        xp = namespaces.namespace("numpy", dtype)
        value = np.zeros(self.shape(variable), dtype) if zeros else self.read(variable).astype(dtype)
        rule = self.rule_for(variable)
        found = check_slots(rule, xp, rule.init(xp, xp.wrap(value)))
        return {name: np.asarray(xp.unwrap(array)) for name, array in found.items()}

    def planned_shared(self) -> List[str]:
        """The names of the values of all variables together."""
        xp = namespaces.namespace("numpy", "float32")
        return list(check_slots(self.root, xp, self.root.init_shared(xp), "init_shared"))

    def assign(self, slot: Slot, array: np.ndarray) -> None:
        """Gives a slot the rule's value."""
        value = array if slot.given is None else slot.given(np.asarray(array))
        self.adapter._assign_values([(slot.variable, value)])

    def loss_scale(self) -> Dict[str, Any]:
        """The host's variables of a dynamic loss scale around the optimizer: "value" and "good_steps"."""
        outer = self.outer
        state = getattr(outer, "_loss_scale", None)
        found = {
            "value": getattr(outer, "dynamic_scale", getattr(state, "_current_loss_scale", None)),
            "good_steps": getattr(
                outer, "step_counter", getattr(state, "_counter", getattr(state, "_num_good_steps", None))
            ),
        }
        return {name: variable for name, variable in found.items() if hasattr(variable, "assign")}

    def build_outer(self, variables: Sequence[Any]) -> None:
        """Builds Keras 3's LossScaleOptimizer, whose variables come with that."""
        if self.outer is not self.optimizer and self.adapter.api == "keras_3" and not self.outer.built:
            self.outer.build(list(variables))

    def config(self) -> Dict[str, Any]:
        """`hyperparameters()`, and the loss scale if there is one."""
        config = self.hyperparameters()
        scale = self.loss_scale()
        if scale:
            config["loss_scale"] = {
                name: self.adapter._read_values([variable])[0].item() for name, variable in scale.items()
            }
        return config


class OwnView(View):
    """An optimizer of kcompat."""

    def __init__(self, optimizer: Any, outer: Any) -> None:
        state = optimizer._kc
        super().__init__(optimizer, outer, optimizer, state.rule, state.root)

    def rule_for(self, variable: Any) -> UpdateRule:
        rule: UpdateRule = self.adapter._rule_for(variable, self.name(variable), self.shape(variable))
        return rule

    def slots(self, variable: Any) -> Optional[Dict[str, Slot]]:
        known = self.optimizer._kc.variables.get(self.key(variable))
        return None if known is None else {name: Slot(each) for name, each in known.slots.items()}

    def shared(self) -> Dict[str, Slot]:
        return {name: Slot(variable) for name, variable in self.optimizer._kc.shared.items()}

    def strangers(self, variables: Sequence[Any]) -> List[str]:
        given = {self.key(variable) for variable in variables}
        return [
            known.name
            for known in self.optimizer._known_here()
            if known.slots and self.key(known.variable) not in given
        ]

    def step(self) -> Optional[int]:
        waiting = self.optimizer._kc.waiting
        if waiting is not None and waiting.iterations is not None:
            return int(waiting.iterations)
        counter = self.optimizer._iterations_variable()
        return 0 if counter is None else int(self.adapter._read_values([counter])[0])

    def set_step(self, step: int) -> None:
        counter = self.optimizer._iterations_variable()
        self.adapter._assign_values([(counter, np.asarray(step, "int64"))])

    def build(self, variables: Sequence[Any]) -> None:
        self.optimizer.build(variables)
        self.build_outer(variables)
        self.adapter._make_assignable(variables, self._own())
        for variable in variables:
            known = self.optimizer._kc.variables[self.key(variable)]
            if known.unset is not None:  # its slots are given values now
                known.unset.assign(False)
                known.unset = None

    def _own(self) -> List[Any]:
        state = self.optimizer._kc
        held = [hyper.exact for hyper in state.hypers.values()]
        held += [hyper.variable for hyper in state.hypers.values()]
        held = [each for each in held if hasattr(each, "assign")]
        return [*self.optimizer._state_variables(), *held]

    def replaced(self) -> None:
        """Forgets state that was read from elsewhere and waits: all of it has been given anew."""
        state = self.optimizer._kc
        state.waiting = state.waiting_weights = None

    def hyperparameters(self) -> Dict[str, Any]:
        config = Adapter.get_config(self.optimizer)
        del config["name"]
        own = type(self.rule).hypers
        return {
            name: value
            for name, value in config.items()
            if name in own or name not in BASE_ARGUMENTS or (value and value != _OFF.get(name))
        }

    def set_hyperparameter(self, name: str, value: Any) -> bool:
        state = self.optimizer._kc
        for path, part in walk(state.rule):
            for hyper in state.hypers.values():
                if hyper.rule is part and path + hyper.name == name:
                    if hyper.kind != "number":
                        return False
                    try:
                        self.optimizer._set_number(hyper, value)
                    except HyperparameterError:
                        return False
                    return True
        return False


class HookedView(OwnView):
    """An optimizer that is written against hooks: what it keeps is what these make, under their names.

    The state of an optimizer inside a wrapper has the attribute's name in front ("inner.m").
    """

    plans = False

    def __init__(self, optimizer: Any, outer: Any, what: str) -> None:
        super().__init__(optimizer, outer)
        if optimizer._kc_dialect == "get_updates":
            raise StateError(
                "{}: {} is written against get_updates(), which makes a list of weights without names, so "
                "that nothing tells whose they are. Use get_weights() and set_weights(), or Keras' "
                "files.".format(what, self.where)
            )
        # By what stands before their slots' names; a wrapper may be inside another.
        self._parts: Dict[str, Any] = {"": optimizer}
        self._counting: Dict[str, Any] = {}
        self._look_inside("", optimizer)

    def _look_inside(self, prefix: str, around: Any) -> None:
        for name, inner in around._inner_optimizers().items():
            inside = "{}{}.".format(prefix, name)
            self._parts[inside] = inner
            if around._counts_for_itself(inner):
                self._counting[inside] = inner
            self._look_inside(inside, inner)

    def rule_name(self) -> str:
        cls = type(self.optimizer)
        cls = vars(cls).get("_adopted_from", (cls,))[0]
        # TensorFlow 1.15 to 2.0 call their own package so.
        module = re.sub(r"^tensorflow_core\b", "tensorflow", cls.__module__)
        return "{}:{}".format(module, cls.__qualname__)

    def slots(self, variable: Any) -> Optional[Dict[str, Slot]]:
        found: Dict[str, Slot] = {}
        built = False
        for prefix, part in self._parts.items():
            known = part._kc.variables.get(self.key(variable))
            built = built or known is not None
            if known is not None:
                found.update((prefix + name, Slot(each)) for name, each in known.slots.items())
        return found if built else None

    def shared(self) -> Dict[str, Slot]:
        found: Dict[str, Slot] = {}
        for prefix, part in self._parts.items():
            found.update((prefix + name, Slot(each)) for name, each in part._kc.shared.items())
        for prefix, part in self._counting.items():
            counter = part._iterations_variable()
            if counter is not None:
                found[prefix + part._kc_steps] = Slot(counter)
        return found

    def planned(self, variable: Any) -> Dict[str, Tuple[int, ...]]:
        slots = self.slots(variable) or {}
        return {name: self.shape(slot.variable) for name, slot in slots.items()}

    def planned_shared(self) -> List[str]:
        return list(self.shared())

    def initial(self, variable: Any) -> Dict[str, np.ndarray]:
        # Only of one that has taken no step: `put` refuses the others.
        return {name: self.read(slot.variable) for name, slot in (self.slots(variable) or {}).items()}

    def _numbers(self) -> Dict[str, Tuple[Any, Any]]:
        """Name of each hyperparameter that the hooks have -> the optimizer that it is of, and itself."""
        return {
            prefix + name: (part, hyper)
            for prefix, part in self._parts.items()
            for name, hyper in part._kc.attributes.items()
        }

    def hyperparameters(self) -> Dict[str, Any]:
        config = super().hyperparameters()
        try:
            theirs = self.optimizer.get_config()
        except (NotImplementedError, HookError):  # a class without one
            theirs = {}
        for name, value in theirs.items():
            if name not in BASE_ARGUMENTS and isinstance(value, (bool, int, float, str)):
                config[name] = value
        for name, (part, hyper) in self._numbers().items():
            config[name] = part._config_value(hyper)
        return config

    def set_hyperparameter(self, name: str, value: Any) -> bool:
        part, hyper = self._numbers().get(name, (None, None))
        if part is None or hyper.kind != "number":
            return False
        try:
            part._set_number(hyper, value)
        except HyperparameterError:
            return False
        return True

    def replaced(self) -> None:
        for part in self._parts.values():
            part._kc.waiting = part._kc.waiting_weights = None


class NativeView(View):
    """A native optimizer whose rule is in the catalogue: one subclass for each way of keeping slots."""

    api = ""

    def __init__(self, optimizer: Any, outer: Any, adapter: Any, rule: UpdateRule, base: Mapping[str, Any]):
        around = {name: value for name, value in base.items() if name in BASE_ARGUMENTS and name != "name"}
        super().__init__(optimizer, outer, adapter, rule, with_base_arguments(rule, **around))
        self.base = base
        self.cls = own_class(type(optimizer), self.api, "state").__name__
        reason = adapter._why_not_moved(rule)
        if reason:
            raise StateError(
                "{}: {}. Move it on another release, or train with kcompat's class from the start.".format(
                    self.cls, reason
                )
            )

    @property
    def where(self) -> str:
        return self.cls

    def _counter(self) -> Any:
        """The host's counter of steps."""
        return self.optimizer.iterations

    def step(self) -> Optional[int]:
        return int(self.adapter._read_values([self._counter()])[0])

    def set_step(self, step: int) -> None:
        self.adapter._assign_values([(self._counter(), np.asarray(step, "int64"))])

    def shared(self) -> Dict[str, Slot]:
        names = slot_names.SHARED.get(self.api, {}).get(self.cls, {})
        found = {name: getattr(self.optimizer, attribute, None) for name, attribute in names.items()}
        return {name: Slot(variable) for name, variable in found.items() if variable is not None}

    def hyperparameters(self) -> Dict[str, Any]:
        config: Dict[str, Any] = {}
        for name, value in [*self.rule._hyper_values.items(), *self.base.items()]:
            if name in BASE_ARGUMENTS and name not in type(self.rule).hypers and value == _OFF.get(name):
                continue
            if not is_source(value):
                config[name] = value
            elif isinstance(value, Schedule):
                config[name] = describe_schedule(value)
            elif hasattr(value, "get_config"):
                config[name] = self.adapter._schedule_to_config(value)
            else:
                number = self._number_if_known(value)
                if number is not None:
                    config[name] = number
        return config

    def _number_if_known(self, source: Any) -> Optional[float]:
        """The value of a hyperparameter now, or None where it can't be had (a tensor that must be fed)."""
        try:
            return self.number(source)
        except Exception as error:  # TensorFlow's errors have no base that is here
            logging.getLogger(__name__).info("A hyperparameter can't be read: %s", error)
            return None

    def number(self, source: Any) -> float:
        """The value of a hyperparameter now: a number, a callable, a variable or a tensor."""
        if hasattr(source, "get_config"):
            source = source(self.step() or 0)
        elif callable(source) and not hasattr(source, "dtype"):
            source = source()
        if isinstance(source, (int, float, np.generic, np.ndarray)):
            return float(source)
        if hasattr(source, "assign"):
            return float(self.adapter._read_values([source])[0])
        return float(source.numpy() if hasattr(source, "numpy") else self.adapter._evaluate(source))

    def set_hyperparameter(self, name: str, value: Any) -> bool:
        if name != "learning_rate" or is_source(self.rule._hyper_values["learning_rate"]):
            return False
        self.optimizer.learning_rate = value
        return True

    def _named(self, keys: Iterable[Any], variables: Sequence[Any]) -> List[Any]:
        given = {self.host_key(variable) for variable in variables}
        return [key for key in keys if key not in given]

    def host_key(self, variable: Any) -> Any:
        """What the host tells this variable by."""
        raise NotImplementedError


class TF1View(NativeView):
    """A native optimizer of `tf.compat.v1.train`: slots by name, and no counter."""

    api = "tf1"

    def host_key(self, variable: Any) -> Any:
        return self.key(variable)

    def slots(self, variable: Any) -> Optional[Dict[str, Slot]]:
        names = slot_names.tf1(self.cls, tuple(self.planned(variable)))
        found = {name: self.optimizer.get_slot(variable, host) for name, host in names.items()}
        if any(each is None for each in found.values()):
            return None
        if self.cls != "MomentumOptimizer":
            return {name: Slot(each) for name, each in found.items()}
        # Its accumulator is the sum of gradients, and the learning rate comes in outside.
        return {"m": Slot(found["m"], lambda a: a * -self._rate(a), lambda m: m / -self._rate(m))}

    def _rate(self, array: np.ndarray) -> Any:
        rate = self._number_if_known(self.rule._hyper_values["learning_rate"])
        if not rate:
            raise StateError(
                "{}: its learning rate {}. It keeps the learning rate out of its velocity, and kcompat and "
                "Keras keep it in, so that the one can't be had from the other.".format(
                    self.cls, "is 0" if rate == 0 else "can't be read here"
                )
            )
        return array.dtype.type(rate)

    def strangers(self, variables: Sequence[Any]) -> List[str]:
        given = set()
        for variable in variables:
            slots = [self.optimizer.get_slot(variable, name) for name in self.optimizer.get_slot_names()]
            given |= {id(slot) for slot in slots}
        found: Dict[str, None] = {}
        for slots in self.optimizer._slots.values():
            for slot in slots.values():
                if id(slot) not in given and self.adapter._belongs_here(slot):
                    found[slot.name.split(":")[0].rpartition("/")[0]] = None
        return list(found)

    def _powers(self) -> List[Tuple[float, Any]]:
        """Adam's betas, with the variables that hold their powers (one more than the steps taken)."""
        if self.cls != "AdamOptimizer":
            return []
        held = [self.optimizer._get_non_slot_variable(n, graph=self.adapter._graph()) for n in _POWERS]
        betas = [self.number(self.rule._hyper_values[name]) for name in ("beta_1", "beta_2")]
        return [(beta, variable) for beta, variable in zip(betas, held) if variable is not None]

    def step(self) -> Optional[int]:
        for beta, variable in self._powers():
            power = float(self.adapter._read_values([variable])[0])
            # Below that, float32 has lost digits, and then everything.
            if 0 < beta < 1 and 1e-30 < power < 1:
                return int(round(math.log(power) / math.log(beta))) - 1
        return None

    def set_step(self, step: int) -> None:
        for beta, variable in self._powers():
            self.adapter._assign_values([(variable, np.asarray(beta ** (step + 1)))])

    def build(self, variables: Sequence[Any]) -> None:
        with contextlib.ExitStack() as stack:
            if self.adapter._graph() is not None:
                stack.enter_context(self.adapter._graph().as_default())
            self.optimizer._create_slots(variables)
        own = [variable for _, variable in self._powers()]
        own += [slot.variable for v in variables for slot in (self.slots(v) or {}).values()]
        own += [each for each in self.optimizer.variables() if self.adapter._belongs_here(each)]
        self.adapter._make_assignable(variables, own)

    def set_hyperparameter(self, name: str, value: Any) -> bool:
        return False  # they are numbers, and may have been made constants of a graph already


_POWERS = ("beta1_power", "beta2_power")


class OptimizerV2View(NativeView):
    """A native OptimizerV2, of Keras or of TensorFlow Addons: slots by name."""

    api = "optimizer_v2"

    def host_key(self, variable: Any) -> Any:
        return self.adapter._host_module()._var_key(variable)

    def slots(self, variable: Any) -> Optional[Dict[str, Slot]]:
        slots = self.optimizer._slots.get(self.host_key(variable))
        if not slots:
            return None
        names = slot_names.optimizer_v2(self.cls, tuple(self.planned(variable)))
        if not set(names.values()) <= set(slots):
            return None
        return {name: Slot(slots[host]) for name, host in names.items()}

    def strangers(self, variables: Sequence[Any]) -> List[str]:
        found = self.optimizer._slots
        left = [found[key] for key in self._named(found, variables)]
        return [next(iter(s.values())).name.split(":")[0].rpartition("/")[0] for s in left if s]

    def build(self, variables: Sequence[Any]) -> None:
        self._counter()
        self.optimizer._create_hypers()
        self.optimizer._create_slots(variables)
        self.adapter._make_assignable(variables, self.optimizer.variables())

    def set_hyperparameter(self, name: str, value: Any) -> bool:
        if name not in self.optimizer._hyper or is_source(self.rule._hyper_values[name]):
            return False
        self.optimizer._set_hyper(name, value)
        return True


class KerasView(NativeView):
    """A native optimizer of keras_2_11 or keras_3: lists of slots, in the order of the variables."""

    def _index(self, variable: Any) -> Optional[int]:
        raise NotImplementedError

    def slots(self, variable: Any) -> Optional[Dict[str, Slot]]:
        index = self._index(variable)
        if index is None:
            return None
        named = slot_names.KERAS[self.cls]
        found = {}
        for name in self.planned(variable):
            attributes = (slot_names.KERAS_BASE[name],) if name in slot_names.KERAS_BASE else named[name]
            lists = [getattr(self.optimizer, attribute, None) for attribute in attributes]
            held = next((each for each in lists if each), None)
            if held is None or held[index] is None:
                raise StateError(
                    "{}: this release keeps the slot {!r} of {} elsewhere than in {}.".format(
                        self.cls, name, self.name(variable), " or ".join(attributes)
                    )
                )
            found[name] = Slot(held[index])
        return found

    def check_buildable(self, variables: Sequence[Any]) -> None:
        new = [self.name(variable) for variable in variables if self._index(variable) is None]
        if new and self._is_built():
            raise StateError(
                "{}: it was built without the variables {}, and Keras' own optimizers can't be built on more "
                "later. Make a new optimizer.".format(self.cls, ", ".join(new))
            )

    def _is_built(self) -> bool:
        raise NotImplementedError


class Keras211View(KerasView):
    """A native optimizer of keras_2_11."""

    api = "keras_2_11"

    def host_key(self, variable: Any) -> Any:
        return self.optimizer._var_key(variable)

    def _counter(self) -> Any:
        return self.optimizer._iterations

    def _is_built(self) -> bool:
        return bool(getattr(self.optimizer, "_built", False))

    def _index(self, variable: Any) -> Optional[int]:
        return getattr(self.optimizer, "_index_dict", {}).get(self.host_key(variable))

    def strangers(self, variables: Sequence[Any]) -> List[str]:
        left = self._named(getattr(self.optimizer, "_index_dict", {}), variables)
        return [str(key) for key in left]

    def build(self, variables: Sequence[Any]) -> None:
        if not self._is_built():
            self.optimizer.build(list(variables))

    def set_step(self, step: int) -> None:
        super().set_step(step)
        if hasattr(self.optimizer, "_u_product_counter"):  # Nadam counts in Python how often it has advanced
            self.optimizer._u_product_counter = step + 1


class Keras3View(KerasView):
    """A native optimizer of Keras 3, on any backend."""

    api = "keras_3"

    def host_key(self, variable: Any) -> Any:
        return self.optimizer._var_key(variable)

    def _counter(self) -> Any:
        # Keras up to 3.5 has no other, and later ones divide by gradient_accumulation_steps.
        found = getattr(self.optimizer, "_iterations", None)
        return self.optimizer.iterations if found is None else found

    def _is_built(self) -> bool:
        return bool(self.optimizer.built)

    def _index(self, variable: Any) -> Optional[int]:
        return self.optimizer._trainable_variables_indices.get(self.host_key(variable))

    def strangers(self, variables: Sequence[Any]) -> List[str]:
        given = {self.host_key(variable) for variable in variables}
        known = self.optimizer._trainable_variables
        return [self.name(each) for each in known if self.host_key(each) not in given]

    def build(self, variables: Sequence[Any]) -> None:
        if not self._is_built():
            self.optimizer.build(list(variables))
        self.build_outer(variables)


class GetUpdatesView(NativeView):
    """A native optimizer of Keras 2.2 or 2.3: one list of weights, in the order of the variables."""

    api = "get_updates"

    def bind(self, variables: Sequence[Any]) -> None:
        """Takes these for the model's trainable variables, in its order: the optimizer does not name them."""
        self._order = {self.key(variable): i for i, variable in enumerate(variables)}
        held = list(self.optimizer.weights)
        names = [n for n in slot_names.GET_UPDATES[self.cls] if n != "vhat" or len(held) > 2]
        count = len(self._order)
        if not held:
            self._held: Dict[str, List[Any]] = {}
            return
        first = len(held) - count * len(names)
        if first not in (0, 1, 2):
            raise StateError(
                "{}: its list of weights has {} arrays, which are not {} for each of {} variables. Give the "
                "model's trainable variables, all of them in its order.".format(
                    self.cls, len(held), len(names), count
                )
            )
        self._held = {n: held[first + i * count : first + (i + 1) * count] for i, n in enumerate(names)}
        for name, slots in self._held.items():
            for variable, slot in zip(variables, slots):
                if name != "vhat" and self.shape(slot) != self.shape(variable):
                    raise StateError(
                        "{}: its slot {!r} number {} has shape {}, and the variable {!r} in that place has "
                        "{}. Give the model's trainable variables, all of them in its order.".format(
                            self.cls,
                            name,
                            self._order[self.key(variable)],
                            self.shape(slot),
                            self.name(variable),
                            self.shape(variable),
                        )
                    )

    def slots(self, variable: Any) -> Optional[Dict[str, Slot]]:
        if not self._held:
            return None
        index = self._order[self.key(variable)]
        return {name: Slot(self._held[name][index]) for name in self.planned(variable)}

    def strangers(self, variables: Sequence[Any]) -> List[str]:
        return []

    def check_buildable(self, variables: Sequence[Any]) -> None:
        if not self._held:
            raise StateError(
                "{}: it has no weights before its training step is made, and Keras makes that with the first "
                "batch. Call model._make_train_function() first.".format(self.cls)
            )

    def build(self, variables: Sequence[Any]) -> None:
        pass

    def set_hyperparameter(self, name: str, value: Any) -> bool:
        attribute = "lr" if name == "learning_rate" and hasattr(self.optimizer, "lr") else name
        variable = getattr(self.optimizer, attribute, None)
        if not hasattr(variable, "assign"):
            return False
        self.adapter._assign_values([(variable, np.asarray(value))])
        return True


_VIEWS = {view.api: view for view in (TF1View, OptimizerV2View, Keras211View, Keras3View, GetUpdatesView)}


def view_of(optimizer: Any, variables: Sequence[Any], what: str) -> View:
    """The view of an optimizer.

    Args:
        optimizer: an optimizer of kcompat, or a native one whose rule is in the catalogue; also with Keras'
            LossScaleOptimizer or TFOptimizer around it.
        variables: the model's variables.
        what: what it is for, for errors.

    Raises:
        StateError: it is anything else.
    """
    outer = optimizer
    optimizer = _unwrapped(optimizer)
    if hasattr(optimizer, "_kc"):
        hooked = hasattr(type(optimizer), "_kc_dialect")
        return HookedView(optimizer, outer, what) if hooked else OwnView(optimizer, outer)
    api = None if isinstance(optimizer, (type, str, UpdateRule)) else api_of(optimizer)
    if api is None:
        raise StateError(
            "{} was given {!r}; expected an optimizer of kcompat, TensorFlow or Keras.".format(
                what, optimizer
            )
        )
    try:
        rule, base = rule_of(optimizer, what, with_state=True)
    except KcompatError as error:
        raise StateError(str(error)) from error
    except ImportError as error:  # a vendored copy with some rules only
        raise StateError(
            "{}: this copy of kcompat does not have the rule of {} ({}).".format(
                what, type(optimizer).__name__, error
            )
        ) from error
    host = next(cls for _, cls in host_classes(api) if isinstance(optimizer, cls))
    adapter_class = class_of(_Nothing, api, host, _Nothing.__name__)
    # Not constructed: it only reads and assigns variables of this host, and has none of its own.
    adapter = object.__new__(adapter_class)
    view = _VIEWS[api](optimizer, outer, adapter, rule, base)
    if isinstance(view, GetUpdatesView):
        view.bind(variables)
    return view


def _unwrapped(optimizer: Any) -> Any:
    """The optimizer inside Keras' and TensorFlow's own wrappers."""
    while not hasattr(type(optimizer), "rule_class"):
        name = type(optimizer).__name__
        if "LossScaleOptimizer" in name:
            inner = getattr(optimizer, "inner_optimizer", getattr(optimizer, "_optimizer", None))
        elif name == "TFOptimizer":
            inner = optimizer.optimizer
        else:
            return optimizer
        optimizer = inner
    return optimizer


def plain(array: Any) -> np.ndarray:
    """An array in a dtype of NumPy's own: bfloat16 as float32."""
    array = np.asarray(array)
    return array if array.dtype.kind in "fiub" else array.astype("float32")


def rule_name(rule: UpdateRule) -> str:
    """The name of a rule in a description: its own in the catalogue, "module:Class" elsewhere."""
    cls = type(rule)
    if cls.__module__.startswith(_PACKAGE + ".rules.") and cls.__name__ in CATALOGUE:
        return cls.__name__
    module = cls.__module__
    if module.startswith(_PACKAGE + "."):  # whatever a copy's package is called
        module = "kcompat" + module[len(_PACKAGE) :]
    return "{}:{}".format(module, cls.__qualname__)

"""What every adapter shares: construction, hyperparameters and configuration, independent of the host."""

from __future__ import annotations

import inspect
import re
import warnings
from typing import Any, Dict, Iterable, List, Mapping, Optional, Set, Tuple, Type

from .. import namespaces
from ..errors import GradientError, HyperparameterError, NotBuiltError, UnknownArgumentError, nearest
from ..rule import BASE_ARGUMENTS, Hyper, UpdateRule, dynamic_hypers, kind_of, walk
from ..rules.decoupled import Decoupled
from ..schedules import Schedule, describe_schedule
from ..transforms import without_weight_decay
from ..transforms.arguments import with_base_arguments
from ..transforms.base import describe, rule_class_from
from .decay_variables import DecoupledWeightDecayExtension
from .described import description
from .overrides import check_overrides
from .registration import register
from .saving import SavedState, Saving
from .wrappers import mixin_of, signature_of

# Base arguments that are transforms around the rule, and readable and settable on the optimizer.
TRANSFORM_ARGUMENTS = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm")

# Base arguments of Keras 3 whose names its own code reads, and the values that switch them off. The host is
# always given those: what the user gave is a transform.
_OFF = {
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}

# What configurations of other generations hold besides: it says nothing about the update.
_FOREIGN_CONFIG = ("is_legacy_optimizer", "jit_compile", "update_rule")

# Base arguments that are in every configuration.
_CONFIG_ALWAYS = frozenset(BASE_ARGUMENTS) - {"name"}

# What `exclude_from_weight_decay` was given, in a configuration.
_EXCLUDED = "exclude_from_weight_decay"

_warned: Set[str] = set()


def warn_once(key: str, message: str) -> None:
    """Warns the first time that `key` is met in this process."""
    if key not in _warned:
        _warned.add(key)
        warnings.warn(message, stacklevel=4)


class HyperState:
    """One dynamic hyperparameter: where its value comes from, and the host's variables for it.

    Attributes:
        path: where it is in the tree of rules, such as "inner.learning_rate".
        name: its own name.
        host_name: what the host calls it: its name, or where another one has that, its path.
        rule: the rule that has it.
        declaration: its `Hyper`.
        source: a number, schedule, callable, variable or tensor.
        variable: the host's variable for a number, or None while there is none.
        exact: a float64 variable that holds the number exactly where `variable` is only float32.
    """

    __slots__ = ("declaration", "exact", "host_name", "name", "path", "rule", "source", "variable")

    def __init__(self, path: str, rule: UpdateRule, declaration: Hyper, source: Any) -> None:
        self.path = path
        self.name = self.host_name = path.rpartition(".")[2]
        self.rule = rule
        self.declaration = declaration
        self.source = source
        self.variable: Any = None
        self.exact: Any = None

    @property
    def kind(self) -> str:
        return kind_of(self.source)


class VariableState:
    """What an optimizer keeps for one variable: its rule, its slots (host variables) and its namespace.

    `shape` is that of the variable; `way` is how it is updated, once that has been found out (`plan.Way`);
    `unset` is a variable that is True as long as slots that start from the parameter could not, or None.
    """

    __slots__ = ("checked", "name", "rule", "shape", "slots", "unset", "variable", "way", "xp")

    def __init__(self, variable: Any, name: str, shape: Tuple[int, ...], rule: UpdateRule, xp: Any) -> None:
        self.variable = variable
        self.name = name
        self.shape = shape
        self.rule = rule
        self.xp = xp
        self.slots: Dict[str, Any] = {}
        self.checked = False
        self.way: Any = None
        self.unset: Any = None


class Excluded:
    """The variables that weight decay leaves out.

    Attributes:
        keys: keys of variables, in this process.
        names: exact names of variables.
        patterns: regular expressions, searched for in the name.
    """

    def __init__(
        self, keys: Iterable[Any] = (), names: Iterable[str] = (), patterns: Iterable[str] = ()
    ) -> None:
        self.keys = set(keys)
        self.names = sorted(names)
        self.patterns = list(patterns)

    def __bool__(self) -> bool:
        return bool(self.keys or self.names or self.patterns)

    def has(self, key: Any, name: str) -> bool:
        # Keys mean nothing in another process or of another copy of the model; names are for those.
        if key in self.keys or any(re.search(pattern, name) for pattern in self.patterns):
            return True
        return not self.keys and name in self.names

    def __reduce__(self) -> Any:
        return Excluded, ((), self.names, self.patterns)


class OptimizerState:
    """Everything kcompat keeps on an optimizer, in one plain object that no host tries to track."""

    def __init__(self, rule: UpdateRule, root: UpdateRule, base: Mapping[str, Any]) -> None:
        self.rule = rule
        self.root = root
        self.base = dict(base)
        self.hypers: Dict[str, HyperState] = {
            path: HyperState(path, part, declaration, value)
            for path, (part, declaration, value) in dynamic_hypers(root).items()
        }
        # Of several hyperparameters of one name, the optimizer's attribute means the outermost.
        self.attributes: Dict[str, HyperState] = {}
        for hyper in self.hypers.values():
            if self.attributes.setdefault(hyper.name, hyper) is not hyper:
                hyper.host_name = hyper.path.replace(".", "_")
        self.static = {
            name: value
            for _, part in reversed(list(walk(rule)))
            for name, value in part._hyper_values.items()
            if type(part).hypers[name].static
        }
        self.variables: Dict[Any, VariableState] = {}
        # Names given to variables that have none of their own.
        self.names: Dict[Any, str] = {}
        self.shared: Dict[str, Any] = {}
        # With gradient accumulation, the number of updates in each TensorFlow 1 graph.
        self.updates: Dict[Any, Any] = {}
        self.excluded = Excluded()
        # Whether the order of `variables` is that of a list which held them all, and whether it is that of a
        # checkpoint.
        self.ordered = True
        self.restored = False
        # State read from a file or a pickle, for variables that are not there yet.
        self.waiting: Optional[SavedState] = None
        # Weights that Keras 3 has set before the optimizer was built.
        self.waiting_weights: Optional[List[Any]] = None
        self.traced = False
        # While Keras 3's `apply` of a subclass is called: what apply_gradients was given beside the pairs.
        self.in_apply = False
        self.given: Optional[Dict[str, Any]] = None
        # Whether some variable's slots could not be set yet.
        self.unset = False
        # In a step that kernels may take part in: their scalar arguments, worked out once for all variables.
        self.kernel_scalars: Optional[Dict[Any, Any]] = None
        # What is compiled of the step, on a framework where something is: an object of the adapter's.
        self.compiled: Any = None
        # Keys of variables that were asked for before: id -> (the variable, its key).
        self.keys: Dict[int, Tuple[Any, Any]] = {}
        # The shapes of slots, by rule, namespace and shape of the variable.
        self.slot_shapes: Dict[Any, Dict[str, Tuple[int, ...]]] = {}
        # While variables are built: initial slots, by rule, namespace and shape. Whoever writes has a copy.
        self.initial: Dict[Any, Any] = {}
        # Zeros that stand for parameters where initial slots are made in a graph.
        self.zeros: Dict[Any, Any] = {}
        # On PyTorch, what takes the last step again.
        self.repeat: Any = None
        self.ready = False
        # Whether the host's own code is running, which must see what it was given.
        self.in_host = False


def _base_argument(name: str, doc: str) -> property:
    """A property for a base argument that Keras 3's own code reads."""

    def get(self: Adapter) -> Any:
        state = self._kc
        if not state.ready or state.in_host:
            return _OFF[name]
        if name in state.attributes:
            return self._get_argument(name)
        return state.base.get(name, _OFF[name])

    def set_(self: Adapter, value: Any) -> None:
        self._set_argument(name, value)

    return property(get, set_, doc=doc)


class Adapter(Saving):
    """The base of all adapters, mixed into the host's optimizer class in front of it."""

    api = ""
    # Whether its classes are registered with Keras.
    registered = True
    # Base arguments that mean nothing on this API.
    without: Tuple[str, ...] = ()
    in_place_of_loss_scale = "Use the host's LossScaleOptimizer."
    rule_class: Type[UpdateRule]
    _kc: OptimizerState

    @classmethod
    def make_class(cls, rule: Type[UpdateRule], host: type, name: str) -> type:
        """A class of this adapter over a host's base class, for one rule."""
        namespace: Dict[str, Any] = {
            "rule_class": rule,
            "__doc__": rule.__doc__,
            "__module__": rule.__module__,
            "__signature__": cls._constructor_signature(rule),
        }
        bases: Tuple[type, ...] = (cls, host)
        if issubclass(rule, Decoupled):
            bases = (DecoupledWeightDecayExtension, *bases)
        mixin = mixin_of(rule)
        if mixin is not None:
            bases = (mixin, *bases)
            namespace["__signature__"] = signature_of(rule, cls._constructor_signature(rule))
        made: Any = type(name, bases, namespace)
        made._made_with = (rule, cls.api, name)
        made._made = made
        made._host_class = host
        if cls.registered:
            register(made, host, cls.api, name)
        return made

    @staticmethod
    def _constructor_signature(rule: Type[UpdateRule]) -> inspect.Signature:
        own = list(rule._signature().parameters.values())
        only = inspect.Parameter.KEYWORD_ONLY
        base = [
            inspect.Parameter(name, only, default=_OFF.get(name))
            for name in BASE_ARGUMENTS
            if name not in rule.hypers
        ]
        return inspect.Signature(own + base)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        rule_class = type(self).rule_class
        check_overrides(type(self))
        base = {name: kwargs.pop(name) for name in _base_names(rule_class) if name in kwargs}
        _check_known(type(self).__name__, rule_class, kwargs)
        if "lr" in kwargs:
            warn_once("lr", "The argument lr is deprecated; use learning_rate.")
            if "learning_rate" in kwargs or (args and next(iter(rule_class.hypers), "") == "learning_rate"):
                raise UnknownArgumentError(
                    "{}() was given both learning_rate and its old name lr.".format(type(self).__name__)
                )
            kwargs["learning_rate"] = kwargs.pop("lr")
        for old, new in rule_class.old_names.items():
            if old in kwargs:
                text = "{}({}=...): the argument is called {} now.".format(type(self).__name__, old, new)
                warnings.warn(text, DeprecationWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
        # A schedule may be given as what Keras' schedules.serialize() made of it.
        given = dict(zip(rule_class.hypers, args))
        revived = self._revived(rule_class, given, None)
        args = (*(revived[name] for name in given), *args[len(given) :])
        self._set_up(rule_class(*args, **self._revived(rule_class, kwargs, None)), base)

    @classmethod
    def from_rule(cls, rule: UpdateRule, **base_arguments: Any) -> Any:
        """An optimizer that runs this very rule; arguments as `kcompat.optimizer`."""
        cls._check_base_arguments("optimizer", rule, base_arguments)
        self = cls.__new__(cls)
        self._set_up(rule, base_arguments)
        return self

    @staticmethod
    def _check_base_arguments(where: str, rule: UpdateRule, given: Iterable[str]) -> None:
        names = _base_names(type(rule))
        for name in given:
            if name not in names:
                raise UnknownArgumentError(
                    "{}() has no argument {!r}; it has {}. Hyperparameters go to the rule.{}".format(
                        where, name, ", ".join(names), nearest(name, names)
                    )
                )

    def _set_up(self, rule: UpdateRule, base: Mapping[str, Any]) -> None:
        for name in self.without:
            if base.get(name) is not None:
                raise UnknownArgumentError(
                    "{}({}={!r}): the training loops of the API {} know nothing of it. {}".format(
                        type(self).__name__, name, base[name], self.api, self.in_place_of_loss_scale
                    )
                )
        if not isinstance(base.get("name", ""), (str, type(None))):
            raise HyperparameterError(
                "{}(name={!r}): expected a string.".format(type(self).__name__, base["name"])
            )
        if base.get("decay"):
            warn_once(
                "decay", "The argument decay is deprecated; use a learning-rate schedule (inverse time)."
            )
        transforms: Dict[str, Any] = {name: base.get(name) for name in (*TRANSFORM_ARGUMENTS, "decay")}
        transforms.update((name, base.get(name, off)) for name, off in _OFF.items())
        state = OptimizerState(rule, with_base_arguments(rule, **transforms), base)
        object.__setattr__(self, "_kc", state)
        self._host_init(base.get("name"))
        state.ready = True

    def _host(self) -> Any:
        """The host's own methods, past everything that kcompat overrides."""
        return super()

    def __repr__(self) -> str:
        # Keras has this in its error for a model's optimizer that is not its own.
        return description(self, type(self)._host_class)

    # What an adapter defines.

    def _host_init(self, name: Optional[str]) -> None:
        """Calls the host's constructor."""
        raise NotImplementedError

    def _schedule_to_config(self, schedule: Any) -> Any:
        """A schedule object as the host's JSON."""
        raise NotImplementedError

    @classmethod
    def _schedule_from_config(cls, config: Mapping[str, Any], custom_objects: Any) -> Any:
        raise NotImplementedError

    def _assign_number(self, hyper: HyperState, number: float) -> None:
        """Gives the host's variables of a hyperparameter a new number."""
        raise NotImplementedError

    def _read_number(self, hyper: HyperState) -> float:
        """A hyperparameter's number now: the host's variable may have been assigned directly."""
        raise NotImplementedError

    def _public_hyper(self, hyper: HyperState) -> Any:
        """What reading the hyperparameter as an attribute gives."""
        raise NotImplementedError

    def _source_changed(self, hyper: HyperState) -> None:
        """Called after a hyperparameter's source became another kind of thing."""

    # Hyperparameters.

    def _set_hyper_source(self, name: str, value: Any) -> None:
        """Sets a hyperparameter; it takes effect at the next step.

        Raises:
            HyperparameterError: a bad value, a static hyperparameter, one that would change which slots there
                are, or a change of kind (number to schedule, say) after the step has been traced.
        """
        state = self._kc
        where = type(self).__name__
        if name not in state.attributes:
            raise HyperparameterError(
                "{}.{} = {!r}: it was not given when the optimizer was made, and can't be added later. Make "
                "a new optimizer with {}=.".format(where, name, value, name)
            )
        hyper = state.attributes[name]
        if value is None and name == "loss_scale_factor":
            value = 1.0  # so Keras' LossScaleOptimizer takes the factor away
        value = hyper.declaration.check(value, where)
        same_kind = hyper.kind == kind_of(value) == "number"
        if not same_kind and state.traced:
            raise HyperparameterError(
                "{}.{} = {!r}: it is a {} now, and the training step that uses it has been traced, so a {} "
                "would have no effect. Make a new optimizer (or set a number, if it is one).".format(
                    where, name, value, hyper.kind, kind_of(value)
                )
            )
        self._check_layout(hyper, value)
        if same_kind:
            self._set_number(hyper, value)
        else:
            hyper.source = value
            self._source_changed(hyper)

    def _set_number(self, hyper: HyperState, number: Any) -> None:
        """Replaces a hyperparameter's number, which has been checked, by another."""
        if self._has_variable(hyper):
            self._assign_number(hyper, float(number))
            hyper.source = number
        else:
            hyper.source = number
            self._source_changed(hyper)

    def _has_variable(self, hyper: HyperState) -> bool:
        return hyper.variable is not None

    def _check_layout(self, hyper: HyperState, value: Any) -> None:
        """Raises if the rule would keep other slots with this value (SGD's momentum from or to 0)."""
        rule = hyper.rule
        before, after = _slot_names(rule), _slot_names(rule, {hyper.name: value})
        if before != after:
            raise HyperparameterError(
                "{}.{} = {!r}: with this value the rule keeps the slots {} instead of {}. Make a new "
                "optimizer.".format(type(self).__name__, hyper.name, value, _listed(after), _listed(before))
            )

    @property
    def rule(self) -> UpdateRule:
        """The update rule, with the hyperparameters that the optimizer was made with."""
        return self._kc.rule

    @property
    def learning_rate(self) -> Any:
        """The learning rate: the host's variable where it is a number, else its current value."""
        return self._get_attribute("learning_rate")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._set_hyper_source("learning_rate", value)

    @property
    def lr(self) -> Any:
        """Another name of `learning_rate`."""
        return self._get_attribute("learning_rate")

    @lr.setter
    def lr(self, value: Any) -> None:
        self._set_hyper_source("learning_rate", value)

    @property
    def weight_decay(self) -> Any:
        """The decoupled weight decay, or None."""
        return self._get_argument("weight_decay")

    @weight_decay.setter
    def weight_decay(self, value: Any) -> None:
        self._set_argument("weight_decay", value)

    @property
    def clipnorm(self) -> Any:
        """The largest norm of one variable's gradient, or None."""
        return self._get_argument("clipnorm")

    @clipnorm.setter
    def clipnorm(self, value: Any) -> None:
        self._set_argument("clipnorm", value)

    @property
    def clipvalue(self) -> Any:
        """The largest absolute value of a gradient's element, or None."""
        return self._get_argument("clipvalue")

    @clipvalue.setter
    def clipvalue(self, value: Any) -> None:
        self._set_argument("clipvalue", value)

    @property
    def global_clipnorm(self) -> Any:
        """The largest norm of all gradients together, or None."""
        return self._get_argument("global_clipnorm")

    @global_clipnorm.setter
    def global_clipnorm(self, value: Any) -> None:
        self._set_argument("global_clipnorm", value)

    use_ema = _base_argument("use_ema", "Whether a moving average of the variables is kept.")
    ema_momentum = _base_argument("ema_momentum", "The fraction of the average kept in a step.")
    ema_overwrite_frequency = _base_argument(
        "ema_overwrite_frequency", "Updates between two replacements of the variables by their averages."
    )
    loss_scale_factor = _base_argument("loss_scale_factor", "What the loss is multiplied by, or None.")
    gradient_accumulation_steps = _base_argument(
        "gradient_accumulation_steps", "Steps that make one update, or None."
    )

    def _get_attribute(self, name: str) -> Any:
        if name not in self._kc.attributes:
            raise AttributeError("{} has no hyperparameter {!r}.".format(type(self).__name__, name))
        return self._public_hyper(self._kc.attributes[name])

    def _get_argument(self, name: str) -> Any:
        # The host's constructor checks these; two parts of a rule may clip in two ways.
        hyper = self._kc.attributes.get(name) if self._kc.ready else None
        return None if hyper is None else self._current_number(hyper)

    def _set_argument(self, name: str, value: Any) -> None:
        # The host's constructor assigns these; what it is given is not what the user gave.
        if self._kc.ready and not (value is None and name not in self._kc.attributes):
            if value is None:
                raise HyperparameterError(
                    "{}.{} = None: it can't be taken away once the optimizer is made. Make a new one.".format(
                        type(self).__name__, name
                    )
                )
            self._set_hyper_source(name, value)

    def _current_number(self, hyper: HyperState) -> Any:
        if hyper.kind != "number":
            return hyper.source
        return self._read_number(hyper) if self._has_variable(hyper) else hyper.source

    def __getattr__(self, name: str) -> Any:
        # Only called for what neither the adapter nor the host has: the rule's hyperparameters.
        state = self.__dict__.get("_kc")
        if state is not None:
            if name in state.attributes:
                return self._current_number(state.attributes[name])
            if name in state.static:
                return state.static[name]
        host = getattr(super(), "__getattr__", None)
        if host is not None:
            return host(name)
        raise AttributeError("{!r} object has no attribute {!r}".format(type(self).__name__, name))

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__.get("_kc")
        if state is not None and state.ready:
            # Before the host's own __setattr__: OptimizerV2's goes to its variables, past every check.
            if name in TRANSFORM_ARGUMENTS:
                self._set_argument(name, value)
                return
            if name in state.attributes or name == "lr":
                self._set_hyper_source("learning_rate" if name == "lr" else name, value)
                return
            if name in state.static:
                raise HyperparameterError(
                    "{}.{} = {!r}: it decides the rule's structure and can't change. Make a new "
                    "optimizer.".format(type(self).__name__, name, value)
                )
        super().__setattr__(name, value)

    # Variables.

    def exclude_from_weight_decay(
        self, var_list: Optional[Iterable[Any]] = None, var_names: Optional[Iterable[str]] = None
    ) -> None:
        """Excludes variables from weight decay. To be called before the optimizer is built.

        Args:
            var_list: variables to exclude.
            var_names: regular expressions, searched for in a variable's name.

        Raises:
            NotBuiltError: the optimizer is built already.
            HyperparameterError: `var_names` is one string, which as a list is its letters.
        """
        if self._kc.variables:
            raise NotBuiltError(
                "exclude_from_weight_decay() was called after {} was built; call it before the first "
                "step.".format(type(self).__name__)
            )
        if isinstance(var_names, str):
            raise HyperparameterError(
                "exclude_from_weight_decay(var_names={0!r}): expected a list of patterns, such as "
                "[{0!r}].".format(var_names)
            )
        variables = list(var_list or ())
        self._kc.excluded = Excluded(
            [self._variable_key(variable) for variable in variables],
            [self._variable_name(variable) for variable in variables],
            var_names or (),
        )

    def _variable_name(self, variable: Any) -> str:
        """The name by which a rule and a file know a variable."""
        raise NotImplementedError

    def _variable_key(self, variable: Any) -> Any:
        raise NotImplementedError

    def _rule_for(self, variable: Any, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        rule = self._kc.root.for_variable(name, shape)
        if self._kc.excluded and self._kc.excluded.has(self._variable_key(variable), name):
            rule = without_weight_decay(rule)
        return rule

    # Configuration.

    def get_config(self) -> Dict[str, Any]:
        """The configuration as the host stores it: JSON, and `from_config` gives the optimizer back."""
        state = self._kc
        config: Dict[str, Any] = {"name": self._config_name()}
        config.update(self._rule_config(state.rule))
        base = self._current_base()
        config.update((name, value) for name, value in base.items() if name in _CONFIG_ALWAYS)
        if base.get("decay"):
            config["decay"] = base["decay"]
        if state.excluded:
            key = _excluded_key(type(state.rule))
            config[key] = {"names": state.excluded.names, "patterns": state.excluded.patterns}
        return config

    def _rule_config(self, rule: UpdateRule) -> Dict[str, Any]:
        """The configuration of a rule in the tree, with the hyperparameters' values of now."""
        values = {hyper.name: hyper for hyper in self._kc.hypers.values() if hyper.rule is rule}
        config = {
            name: self._config_value(values[name]) if name in values else rule._hyper_values[name]
            for name in type(rule).hypers
        }
        for name, child in rule.children().items():
            config[name] = dict(describe(type(child)), config=self._rule_config(child))
        return config

    def _current_rule(self, rule: Optional[UpdateRule] = None) -> UpdateRule:
        """The rule (or one inside it), with the hyperparameters' values of now."""
        rule = self._kc.rule if rule is None else rule
        changes: Dict[str, Any] = {
            hyper.name: self._current_number(hyper)
            for hyper in self._kc.hypers.values()
            if hyper.rule is rule
        }
        changes.update((name, self._current_rule(child)) for name, child in rule.children().items())
        return rule.replace(**changes)

    def _current_base(self) -> Dict[str, Any]:
        """The base arguments, with their values of now, and the variables excluded from weight decay."""
        state = self._kc
        # Not those of a rule inside, which may have the same names.
        inside = [part for _, part in walk(state.rule)]
        around = {h.name: h for h in state.hypers.values() if not any(h.rule is part for part in inside)}
        current: Dict[str, Any] = {"excluded": state.excluded}
        for name in _base_names(type(state.rule)):
            if name == "name":
                current[name] = self._config_name()
            elif name in around:
                current[name] = self._current_number(around[name])
            else:
                current[name] = state.base.get(name, _OFF.get(name))
        return current

    def _config_name(self) -> str:
        return str(getattr(self, "name", None) or getattr(self, "_name", None) or type(self).__name__)

    def _config_value(self, hyper: HyperState) -> Any:
        if hyper.kind == "number":
            return self._current_number(hyper)
        if isinstance(hyper.source, Schedule):
            return describe_schedule(hyper.source)
        if hasattr(hyper.source, "get_config"):
            return self._schedule_to_config(hyper.source)
        warnings.warn(
            "{}.{} is {!r}, which has no configuration; its value now is stored instead.".format(
                type(self).__name__, hyper.name, hyper.source
            ),
            stacklevel=3,
        )
        return self._read_number(hyper)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """The optimizer that `get_config` described.

        Args:
            config: what `get_config` gave; that of a native optimizer of the same rule, of any generation,
                will do where its arguments have the same names.
            custom_objects: name -> class, for schedules that the host does not know.
        """
        config = {name: value for name, value in config.items() if name not in _FOREIGN_CONFIG}
        excluded = config.pop(_excluded_key(cls.rule_class), None)
        if config.get("decay", None) == 0:
            del config["decay"]
        if "lr" in config and "learning_rate" in cls.rule_class.hypers:  # Keras' name until 2.2
            config.setdefault("learning_rate", config.pop("lr"))
        made = cls(**cls._revived(cls.rule_class, config, custom_objects))
        if excluded:
            made._kc.excluded = Excluded((), excluded["names"], excluded["patterns"])
        return made

    @classmethod
    def _revived(
        cls, rule: Type[UpdateRule], config: Mapping[str, Any], custom_objects: Any
    ) -> Dict[str, Any]:
        """A rule's configuration with schedules in place of their descriptions, also in the rules inside."""
        revived = dict(config)
        for name, value in config.items():
            hyper = rule.hypers.get(name)
            if not isinstance(value, Mapping):
                continue
            if hyper is not None and not hyper.static and "class_name" in value:
                revived[name] = cls._schedule_from_config(value, custom_objects)
            elif hyper is None and set(value) == {"module", "class", "config"}:
                inside = cls._revived(rule_class_from(value), value["config"], custom_objects)
                revived[name] = dict(value, config=inside)
        return revived


def as_pairs(where: str, grads_and_vars: Any) -> List[Tuple[Any, Any]]:
    """The pairs (gradient, variable) that a step was given, as a list.

    Args:
        where: the optimizer's name, for the error.
        grads_and_vars: a list or another iterable of pairs.

    Raises:
        GradientError: anything else.
    """
    expected = "expected a list of pairs (gradient, variable), such as zip(gradients, variables)"
    one_thing = isinstance(grads_and_vars, (Mapping, str)) or hasattr(grads_and_vars, "dtype")
    if one_thing or not hasattr(grads_and_vars, "__iter__"):
        raise GradientError(
            "{}.apply_gradients() was given {}; {}.".format(where, in_words(grads_and_vars), expected)
        )
    pairs = []
    for i, pair in enumerate(grads_and_vars):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise GradientError(
                "{}.apply_gradients(): item {} of the list is {}; {}.".format(
                    where, i, in_words(pair), expected
                )
            )
        pairs.append((pair[0], pair[1]))
    return pairs


def in_words(value: Any) -> str:
    """A value in an error message: its type with its shape or length, and itself if it is short."""
    kind = type(value).__name__
    if value is None or isinstance(value, (bool, int, float, str)):
        return "{!r:.60}".format(value)
    if isinstance(value, (list, tuple, dict)):
        return "a {} of {}".format(kind, len(value))
    shape = getattr(value, "shape", None)
    return "an object of type {}{}".format(kind, "" if shape is None else " of shape {}".format(shape))


def _excluded_key(rule: Type[UpdateRule]) -> str:
    """Where a configuration has what `exclude_from_weight_decay` was given."""
    return "excluded_variables" if _EXCLUDED in rule.hypers else _EXCLUDED


def _base_names(rule: Type[UpdateRule]) -> List[str]:
    return [name for name in (*BASE_ARGUMENTS, "decay") if name not in rule.hypers]


def _check_known(where: str, rule: Type[UpdateRule], kwargs: Mapping[str, Any]) -> None:
    known = [*rule.hypers, *_base_names(rule)]
    for name in kwargs:
        if name in rule.hypers or name in rule.old_names or rule.takes_child(name):
            continue
        if name == "lr" and "learning_rate" in rule.hypers:
            continue
        raise UnknownArgumentError(
            "{}() has no argument {!r}; it has {}.{}".format(
                where, name, ", ".join(known), nearest(name, known)
            )
        )


def _slot_names(rule: UpdateRule, changes: Optional[Mapping[str, Any]] = None) -> Tuple[str, ...]:
    """The slots that a rule keeps for a small matrix, with some hyperparameters changed."""
    if changes:
        # Not rule.replace(): that runs the whole contract check, and a learning rate is set often.
        copy = object.__new__(type(rule))
        copy.__dict__.update(rule.__dict__, _hyper_values={**rule._hyper_values, **changes})
        rule = copy
    xp = namespaces.namespace("numpy", "float32")
    try:
        return tuple(sorted(rule.init(xp, xp.zeros((2, 2)))))
    except Exception:  # a rule for other shapes; what it keeps is not known, and is checked when it is built
        return ()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"

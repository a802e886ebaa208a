"""The update rule and its hyperparameters: what a rule author writes, shared by all that run it."""

from __future__ import annotations

import copy
import inspect
import math
import numbers
import re
from types import MappingProxyType
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar, overload

from .errors import HyperparameterError, RuleError, UnknownArgumentError, nearest

RuleT = TypeVar("RuleT", bound="UpdateRule")

# Arguments that every optimizer class takes besides its rule's hyperparameters (Keras 3's names). A rule
# may declare `weight_decay` itself and then handles it; the others stay the optimizer's.
BASE_ARGUMENTS = (
    "name",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)

_RESERVED = frozenset(BASE_ARGUMENTS) - {"weight_decay"} | {"lr", "inner", "api", "variables", "iterations"}


class _Required:
    def __repr__(self) -> str:
        return "<required>"


REQUIRED = _Required()


def is_source(value: Any) -> bool:
    """Whether `value` is where a hyperparameter's value comes from (schedule, callable, variable, tensor)
    rather than a number.

    NumPy scalars and 0-d arrays are numbers.
    """
    if isinstance(value, (numbers.Number, str, bytes, list, tuple, dict, type(None))):
        return False
    if callable(value):
        return True
    return hasattr(value, "dtype") and not type(value).__module__.startswith("numpy")


def takes_step(function: Any) -> bool:
    """Whether a callable is a schedule (takes the number of steps done) rather than a function of nothing.

    Args:
        function: a schedule object of any Keras, or any callable.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin that says nothing of itself
        return False
    return any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters
    )


def kind_of(value: Any) -> str:
    """ "number", "schedule", "callable" (of nothing), or "tensor" (a variable or a tensor)."""
    if not is_source(value):
        return "number"
    if hasattr(value, "dtype") and not callable(value):
        return "tensor"
    return "schedule" if takes_step(value) else "callable"


class Hyper:
    """A hyperparameter, declared as a class attribute of an `UpdateRule`.

    A numeric hyperparameter is *dynamic*: `update` finds it on `hyper` as a scalar array, and it may be set
    again between steps, or be a schedule, a callable or a variable. One whose default is a bool, a string,
    None, a list, a tuple or a dict, or that says `static=True`, is *static*: a plain Python value that
    decides the rule's structure, may steer Python branches, and cannot change once an optimizer is made.

    Args:
        default: the value when none is given; without it the hyperparameter is required.
        doc: one line for `help()` and the documentation, with the unit where there is one.
        static: see above; None decides by the type of `default`.
        ge, gt, le, lt: bounds of a number (greater or equal, greater, less or equal, less), checked when a
            number is given or set. NaN is never accepted.
    """

    __slots__ = ("default", "doc", "ge", "gt", "le", "lt", "name", "static")

    def __init__(
        self,
        default: Any = REQUIRED,
        doc: str = "",
        *,
        static: Optional[bool] = None,
        ge: Optional[float] = None,
        gt: Optional[float] = None,
        le: Optional[float] = None,
        lt: Optional[float] = None,
    ) -> None:
        self.default: Any = default
        self.doc: str = doc
        if static is None:
            static = default is not REQUIRED and (
                isinstance(default, bool) or not (isinstance(default, numbers.Real) or is_source(default))
            )
        self.static: bool = static
        self.ge: Optional[float] = ge
        self.gt: Optional[float] = gt
        self.le: Optional[float] = le
        self.lt: Optional[float] = lt
        self.name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Hyper: ...

    @overload
    def __get__(self, instance: UpdateRule, owner: type) -> Any: ...

    def __get__(self, instance: Optional[UpdateRule], owner: type) -> Any:
        if instance is None:
            return self
        return instance._hyper_values[self.name]

    def __set__(self, instance: UpdateRule, value: Any) -> None:
        raise RuleError(
            "{}.{} was assigned, but a rule is immutable. Make another with rule.replace({}=...), or set it "
            "on the optimizer.".format(type(instance).__name__, self.name, self.name)
        )

    def check(self, value: Any, where: str) -> Any:
        """The value in its plain Python form.

        Args:
            value: what was given.
            where: how the error names the rule, such as "Adam".

        Raises:
            HyperparameterError: not a number, NaN, or out of bounds; of a flag, neither True nor False.
        """
        if self.static:
            if type(value).__module__.startswith("numpy") and getattr(value, "shape", None) == ():
                value = value.item()
            # Of what is true in Python, "no" and "False" would switch a flag on.
            if isinstance(self.default, bool) and not (isinstance(value, int) and value in (0, 1)):
                raise HyperparameterError(
                    "{}({}={!r}): expected True or False.".format(where, self.name, value)
                )
            # A copy, which changing the caller's or the class's own list does not change. JSON has no tuples.
            value = copy.deepcopy(value)
            return tuple(value) if isinstance(self.default, tuple) and isinstance(value, list) else value
        if isinstance(value, Mapping):
            value = _described_schedule(value)
        if is_source(value):
            if not callable(value):
                _check_scalar_source("{}({}=...)".format(where, self.name), value)
            return value
        given = value
        if type(value).__module__.startswith("numpy") and getattr(value, "shape", None) == ():
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise HyperparameterError(
                "{}({}={!r}): expected a number, a schedule, a callable or a variable.".format(
                    where, self.name, given
                )
            )
        number = float(value)
        bounds = [
            (self.ge, number >= self.ge if self.ge is not None else True, ">="),
            (self.gt, number > self.gt if self.gt is not None else True, ">"),
            (self.le, number <= self.le if self.le is not None else True, "<="),
            (self.lt, number < self.lt if self.lt is not None else True, "<"),
        ]
        if math.isnan(number) or not all(ok for _, ok, _ in bounds):
            expected = " and ".join("{} {}".format(sign, b) for b, _, sign in bounds if b is not None)
            raise HyperparameterError(
                "{}({}={!r}): expected a number{}.".format(
                    where, self.name, given, " " + expected if expected else " that is not NaN"
                )
            )
        return int(value) if isinstance(value, numbers.Integral) else number

    def __repr__(self) -> str:
        return "Hyper({}{})".format(
            "" if self.default is REQUIRED else repr(self.default), ", static=True" if self.static else ""
        )


def of_another_copy(thing: Any) -> str:
    """What an error adds where a rule or its class is of another copy of this package; "" otherwise."""
    for each in (thing if isinstance(thing, type) else type(thing)).__mro__:
        if each.__name__ == "UpdateRule" and each is not UpdateRule:
            text = " It is a rule of another copy of kcompat, {0}: use that copy's functions and commands "
            return (text + "(python -m {0}).").format(each.__module__.rpartition(".")[0])
    return ""


class UpdateRule:
    """An optimizer's update rule: pure functions over arrays, independent of every framework.

    A subclass declares its hyperparameters as class attributes (`Hyper`), which become its constructor's
    arguments in declared order, and defines `update`, and `init` if it keeps state. A mistake (an unknown
    hyperparameter, a slot dropped or invented, a name that `xp` lacks, a shape or dtype that changes) is
    told when the rule is constructed, by running it once on small NumPy arrays.

    Class attributes:
        old_names: former names of hyperparameters -> their names; an optimizer takes these with a warning.
        sparse: what a sparse gradient means. "dense": every row of the parameter takes part, exactly as if
            the gradient were dense. "rows": only the rows present are read, updated and written. Duplicate
            indices are summed first in both.
    """

    sparse = "dense"
    old_names: Mapping[str, str] = MappingProxyType({})

    #: Hyperparameters by name, in the order of the constructor's arguments.
    hypers: Mapping[str, Hyper] = MappingProxyType({})

    __signature__: inspect.Signature
    _hyper_values: Dict[str, Any]
    _origin: Optional[UpdateRule] = None
    # The transforms that base arguments stand for have hyperparameters of those names.
    _base_names_allowed = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Hyper)}
        hypers: Dict[str, Hyper] = {}
        for base in reversed(cls.__mro__):  # of several bases, too; declared again, it moves to the end
            declared = {name: value for name, value in vars(base).items() if isinstance(value, Hyper)}
            hypers = {name: value for name, value in hypers.items() if name not in declared}
            hypers.update(declared)
        cls.hypers = MappingProxyType(
            {name: value for name, value in hypers.items() if getattr(cls, name, None) is value}
        )
        for name in own:
            taken = name in _RESERVED and not cls._base_names_allowed
            if taken or name.startswith("_") or hasattr(UpdateRule, name):
                raise RuleError(
                    "{}.{}: a hyperparameter can't have this name, because the rule or the optimizer uses "
                    "it. Choose another.".format(cls.__name__, name)
                )
        if cls.sparse not in ("dense", "rows"):
            raise RuleError(
                '{}.sparse = {!r}: expected "dense" (every row moves) or "rows" (only the rows '
                "present).".format(cls.__name__, cls.sparse)
            )
        for method, expected in (
            ("init", ("xp", "param")),
            ("update", ("xp", "grad", "param", "slots", "hyper", "step")),
        ):
            _check_signature(cls, method, expected)
        cls.__signature__ = cls._shown_signature()

    @classmethod
    def _signature(cls) -> inspect.Signature:
        kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
        seen_default = False
        parameters = []
        for name, hyper in cls.hypers.items():
            required = hyper.default is REQUIRED
            # Python wants arguments without a default first; a required one after that is keyword-only.
            if required and seen_default:
                kind = inspect.Parameter.KEYWORD_ONLY
            seen_default = seen_default or not required
            parameters.append(
                inspect.Parameter(name, kind, default=inspect.Parameter.empty if required else hyper.default)
            )
        return inspect.Signature(parameters)

    @classmethod
    def _shown_signature(cls) -> inspect.Signature:
        """What `help()` and `inspect.signature` are told: all that the constructor takes."""
        return cls._signature()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        values = bind_arguments(type(self).__name__, type(self).hypers, args, kwargs)
        object.__setattr__(self, "_hyper_values", values)
        self._after_init()

    def _after_init(self) -> None:
        from .contract import check_contract  # it needs NumPy, which importing this module must not

        check_contract(self)

    def __setattr__(self, name: str, value: Any) -> None:
        raise RuleError(
            "{}.{} was assigned, but a rule is immutable: state belongs in slots, and another configuration "
            "is another rule (rule.replace(...)).".format(type(self).__name__, name)
        )

    # What a rule author writes.

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        """The slots of one variable before its first step.

        Args:
            xp: the array namespace (names of the Python array API standard).
            param: the variable's value, any shape, in the compute dtype (float32 for float32 and narrower
                variables, float64 for float64).

        Returns:
            slot name -> array of any shape, in the compute dtype. Empty by default.
        """
        return {}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        """One step of one variable: pure, no assignment, no Python branch on an array's value.

        Args:
            xp: the array namespace.
            grad: the gradient, of the parameter's shape (with `sparse = "rows"`: of the rows present), in
                the compute dtype.
            param: the parameter (with `sparse = "rows"`: its rows).
            slots: slot name -> array, read-only, as `init` or the step before left them.
            hyper: the hyperparameters as attributes: scalars for dynamic ones, Python values for static ones.
            step: scalar; 1 in the first step, the same for all variables.

        Returns:
            The new parameter and the new slots: the same shapes, dtypes and slot names.
        """
        raise NotImplementedError("{} does not define update()".format(type(self).__name__))

    def init_shared(self, xp: Any) -> Mapping[str, Any]:
        """Optional: scalars that belong to all variables together (such as Prodigy's distance).

        Args:
            xp: the array namespace.

        Returns:
            name -> scalar array, in the compute dtype. `prepare` gets and returns them; `update` finds
            them on `hyper`.
        """
        return {}

    def prepare(
        self,
        xp: Any,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Mapping[str, Any]],
        shared: Mapping[str, Any],
        hyper: Any,
        step: Any,
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        """Optional: sees the whole list once a step, before any variable is updated.

        Args:
            xp: the array namespace.
            grads, params, slots: one entry a variable that has a gradient in this step, as for `update`.
            shared: what `init_shared` or the step before returned.
            hyper, step: as in `update`.

        Returns:
            The gradients that `update` is to see (same shapes), and the new shared scalars.
        """
        return grads, shared

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        """Optional: the rule for one variable, asked once, when the optimizer is built on it.

        Args:
            name: the variable's name in the host.
            shape: its shape.

        Returns:
            `self` by default.
        """
        return self

    def swap(
        self, xp: Any, param: Any, slots: Mapping[str, Any], hyper: Any, averaged: bool
    ) -> Tuple[Any, Mapping[str, Any]]:
        """Optional: exchanges the parameter that trains with the average to evaluate, or back.

        For rules that keep an average of each parameter; `optimizer.swap_averages()` calls it.

        Args:
            xp: the array namespace.
            param, slots, hyper: as in `update`.
            averaged: True if the parameter is the one that trains and its average is asked for; False if it
                is the average and what trains is to come back.

        Returns:
            The parameter and all slots, those of other rules as they were given.
        """
        return param, slots

    # What everybody else uses.

    @property
    def has_averages(self) -> bool:
        """Whether `swap` does anything, here or in a rule inside."""
        return type(self).swap is not UpdateRule.swap

    @property
    def needs_all(self) -> bool:
        """Whether `prepare` does anything, here or in a rule inside."""
        return type(self).prepare is not UpdateRule.prepare

    def children(self) -> Mapping[str, UpdateRule]:
        """The rules inside this one, by attribute name; empty for a plain rule."""
        return {}

    @classmethod
    def takes_child(cls, name: str) -> bool:
        """Whether the constructor has an argument of this name for a rule inside."""
        return False

    def config(self) -> Dict[str, Any]:
        """The whole configuration; JSON, and `Rule(**config)` gives the rule back.

        Raises:
            HyperparameterError: a hyperparameter is a callable or variable, which has no JSON form.
        """
        return {
            name: _plain("{}.{}".format(type(self).__name__, name), value)
            for name, value in self._hyper_values.items()
        }

    def replace(self: RuleT, **changes: Any) -> RuleT:
        """A copy with some hyperparameters changed."""
        return type(self)(**{**self._hyper_values, **changes})

    @property
    def origin(self) -> UpdateRule:
        """The rule whose hyperparameters this one shares: itself, unless made by a transform's copy."""
        return self._origin or self

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, UpdateRule):
            return NotImplemented
        if self._hyper_values != other._hyper_values or self.children() != other.children():
            return False
        # Also what `for_variable` has set, such as a variable's factor: equal rules take equal steps.
        compared = {"_origin", "_hyper_values", *self.children()}
        mine, others = ({k: v for k, v in vars(each).items() if k not in compared} for each in (self, other))
        return mine.keys() == others.keys() and all(_is_same(mine[name], others[name]) for name in mine)

    def __hash__(self) -> int:
        # Not their repr: 1 equals 1.0, and so must its hash.
        return hash((type(self), tuple(map(_hashable, self._hyper_values.values()))))

    def __repr__(self) -> str:
        inside = ["{}={!r}".format(name, rule) for name, rule in self.children().items()]
        inside += ["{}={!r}".format(name, value) for name, value in self._hyper_values.items()]
        return "{}({})".format(type(self).__name__, ", ".join(inside))


def _check_signature(cls: type, method: str, expected: Tuple[str, ...]) -> None:
    function = getattr(cls, method)
    try:
        parameters = list(inspect.signature(function).parameters.values())[1:]
    except (TypeError, ValueError):  # a builtin or a C function says nothing about itself
        return
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return
    required = [p for p in parameters if p.default is inspect.Parameter.empty and p.kind is not p.VAR_KEYWORD]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < len(expected) or len(required) > len(expected):
        raise RuleError(
            "{}.{}({}): expected {}(self, {}).".format(
                cls.__name__, method, ", ".join(p.name for p in parameters), method, ", ".join(expected)
            )
        )


def _is_same(one: Any, other: Any) -> bool:
    """Whether two attributes are the same thing, or equal ones of which that can be told."""
    try:
        return one is other or bool(one == other)
    except Exception:  # such as two arrays, whose comparison is an array
        return False


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:  # a list or a dict: equal ones have equal hashes, and so have unequal ones
        return None
    return value


def _check_scalar_source(where: str, value: Any) -> None:
    """Raises HyperparameterError if a variable or tensor can't be a number."""
    shape = getattr(value, "shape", None)
    try:
        rank = 0 if shape is None else len(shape)
    except ValueError:  # TensorFlow does not know yet
        rank = 0
    dtype = str(getattr(value.dtype, "name", value.dtype))
    if rank or not re.search("float|int", dtype):
        raise HyperparameterError(
            "{}: was given a {} of shape {} and dtype {}; expected a scalar, of a floating or integer "
            "dtype.".format(where, type(value).__name__, shape, dtype)
        )


def _described_schedule(value: Mapping[str, Any]) -> Any:
    """The schedule that a configuration describes; anything else as it is, for the check to refuse."""
    from .schedules import is_description, schedule_from

    return schedule_from(value) if is_description(value) else value


def _plain(where: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(where, item) for item in value]
    if is_source(value):
        from .schedules import Schedule, describe_schedule  # it needs NumPy

        if isinstance(value, Schedule):
            return describe_schedule(value)
        raise HyperparameterError(
            "{} is {!r}, which has no JSON form. Give a number or a schedule of kcompat.schedules, or keep "
            "the schedule on the optimizer, whose get_config() can serialize one of Keras.".format(
                where, value
            )
        )
    return value


def bind_arguments(
    where: str, hypers: Mapping[str, Hyper], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Dict[str, Any]:
    """Checked hyperparameter values from a call's arguments.

    Raises:
        UnknownArgumentError: too many arguments, one unknown, given twice or missing.
        HyperparameterError: a value that `Hyper.check` refuses.
    """
    names = list(hypers)
    if len(args) > len(names):
        raise UnknownArgumentError(
            "{}() was given {} arguments, and takes {}: {}.".format(
                where, len(args), len(names), ", ".join(names) or "none"
            )
        )
    given = dict(zip(names, args))
    for name, value in kwargs.items():
        if name not in hypers:
            raise UnknownArgumentError(
                "{}() has no hyperparameter {!r}; it has {}.{}".format(
                    where, name, ", ".join(names) or "none", nearest(name, names)
                )
            )
        if name in given:
            raise UnknownArgumentError("{}() was given {!r} twice.".format(where, name))
        given[name] = value
    values = {}
    for name, hyper in hypers.items():
        if name not in given and hyper.default is REQUIRED:
            raise UnknownArgumentError("{}() needs the hyperparameter {!r}.".format(where, name))
        values[name] = hyper.check(given.get(name, hyper.default), where)
    return values


class HyperValues:
    """The `hyper` that `update` is given: hyperparameters as attributes, read-only.

    Scalars for dynamic ones, Python values for static ones. Of a transform, the namespace of the rule inside
    is the attribute of its name (`hyper.inner`), and a name not its own is looked up there.
    """

    __slots__ = ("_children", "_own", "_shared", "_where")

    _own: Mapping[str, Any]
    _children: Mapping[str, HyperValues]
    _shared: Mapping[str, Any]
    _where: str

    def __init__(
        self,
        where: str,
        own: Mapping[str, Any],
        children: Mapping[str, HyperValues],
        shared: Mapping[str, Any],
    ) -> None:
        set_ = object.__setattr__
        set_(self, "_where", where)
        set_(self, "_own", own)
        set_(self, "_children", children)
        set_(self, "_shared", shared)

    def __getattr__(self, name: str) -> Any:
        if name in self._own:
            return self._own[name]
        if name in self._children:
            return self._children[name]
        for child in self._children.values():
            if not name.startswith("_") and name in child:
                return getattr(child, name)
        if name in self._shared:
            return self._shared[name]
        names = sorted(self._names())
        raise AttributeError(
            "{} has no hyperparameter {!r}; it has {}.{}".format(
                self._where,
                name,
                ", ".join(names) or "none",
                nearest(name, names),
            )
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("hyper.{} was assigned, but update() is pure: hyper is read-only.".format(name))

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def _names(self) -> List[str]:
        names = [*self._own, *self._shared]
        for child in self._children.values():
            names += child._names()
        return names

    def replace(self, **changes: Any) -> HyperValues:
        """A copy in which some values are others, wherever in the tree their names are found.

        Raises:
            AttributeError: a name that no rule here has.
        """
        for name in changes:
            if name not in self:
                getattr(self, name)  # raises, with the names that there are
        own = {name: changes.get(name, value) for name, value in self._own.items()}
        children = {
            name: child.replace(**{k: v for k, v in changes.items() if k in child and k not in self._own})
            for name, child in self._children.items()
        }
        shared = {name: changes.get(name, value) for name, value in self._shared.items()}
        return HyperValues(self._where, own, children, shared)

    def mapped(self, name: str, function: Callable[[Any], Any]) -> HyperValues:
        """A copy in which every hyperparameter of this name in the tree is what the function makes of it.

        Unlike `replace`, it keeps rules side by side (`Partition`) that have different values different.
        """
        own = {key: function(value) if key == name else value for key, value in self._own.items()}
        children = {key: child.mapped(name, function) for key, child in self._children.items()}
        return HyperValues(self._where, own, children, self._shared)

    def over(self, function: Callable[[Any], Any]) -> HyperValues:
        """A copy in which every value in the tree, shared ones too, is what the function makes of it."""
        own = {key: function(value) for key, value in self._own.items()}
        children = {key: child.over(function) for key, child in self._children.items()}
        shared = {key: function(value) for key, value in self._shared.items()}
        return HyperValues(self._where, own, children, shared)

    def sharing(self, shared: Mapping[str, Any]) -> HyperValues:
        """A copy, also of those of the rules inside, that finds other shared scalars."""
        children = {key: child.sharing(shared) for key, child in self._children.items()}
        return HyperValues(self._where, self._own, children, shared)

    def __repr__(self) -> str:
        return "hyper({})".format(", ".join("{}={!r}".format(n, getattr(self, n)) for n in self._names()))


def walk(rule: UpdateRule, path: str = "") -> Iterator[Tuple[str, UpdateRule]]:
    """Every rule of a tree with its path: "" for the root, "inner." for the rule inside, and so on."""
    yield path, rule
    for name, child in rule.children().items():
        for item in walk(child, path + name + "."):
            yield item


def dynamic_hypers(rule: UpdateRule) -> Dict[str, Tuple[UpdateRule, Hyper, Any]]:
    """The dynamic hyperparameters of a tree: path -> (the rule that has it, its declaration, its value)."""
    found = {}
    for path, part in walk(rule):
        for name, hyper in type(part).hypers.items():
            if not hyper.static:
                found[path + name] = (part, hyper, part._hyper_values[name])
    return found


def hyper_values(
    rule: UpdateRule,
    scalars: Mapping[Tuple[int, str], Any],
    xp: Any,
    shared: Mapping[str, Any] = MappingProxyType({}),
) -> HyperValues:
    """The `hyper` of a rule.

    Args:
        rule: any rule of a tree, or one made from it by `for_variable`.
        scalars: (id of the rule that has it, name) -> scalar, for every dynamic hyperparameter of the tree. A
            rule that is not in the tree uses the numbers it was constructed with.
        xp: the array namespace, for such numbers.
        shared: the scalars of all variables together.
    """
    own = {}
    origin = rule.origin
    for name, hyper in type(rule).hypers.items():
        value = rule._hyper_values[name]
        if not hyper.static:
            key = (id(origin), name)
            value = scalars[key] if key in scalars else xp.scalar(value)
        own[name] = value
    children = {name: hyper_values(child, scalars, xp, shared) for name, child in rule.children().items()}
    return HyperValues(type(rule).__name__, own, children, shared)

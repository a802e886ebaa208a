"""Checks that a rule keeps its contract, by running it on small NumPy arrays when it is constructed."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, List, Mapping, Set, Tuple

from . import namespaces
from .errors import KcompatError, RuleError, nearest
from .rule import UpdateRule, dynamic_hypers, hyper_values, is_source

# Shapes of every rank that a layer's weights commonly have; a rule made for matrices may refuse some.
_SHAPES = ((3, 2), (3,), (), (2, 3, 2, 2))
_checked: Set[Tuple[type, str]] = set()


def check_contract(rule: UpdateRule) -> None:
    """Runs two steps of a rule and checks slot names, shapes, dtypes and names used.

    Args:
        rule: a rule just constructed. The same class with the same configuration is checked once.

    Raises:
        RuleError: the rule breaks the contract; the message says where and what to do.
    """
    key = (type(rule), repr(rule))
    if key in _checked:
        return
    if type(rule).update is UpdateRule.update:
        raise RuleError(
            "{0} does not define update(self, xp, grad, param, slots, hyper, step).".format(
                type(rule).__name__
            )
        )
    refused: List[BaseException] = []
    tried = 0
    for dtype in ("float64", "float32"):
        xp = namespaces.namespace("numpy", dtype)
        for shape in _SHAPES:
            tried += 1
            try:
                _check_shape(rule, xp, shape)
            except KcompatError:
                raise
            except (AttributeError, TypeError) as error:
                raise RuleError("{}: {}".format(type(rule).__name__, error)) from error
            except Exception as error:  # a rule may refuse a shape, in whatever way, but not all of them
                refused.append(error)
    if len(refused) == tried:
        raise RuleError(
            "{} fails on every shape it was tried on ({}): {}: {}".format(
                type(rule).__name__,
                ", ".join(map(str, _SHAPES)),
                type(refused[0]).__name__,
                refused[0],
            )
        ) from refused[0]
    if len(_checked) > 4096:  # a program that makes endless configurations must not grow this without end
        _checked.clear()
    _checked.add(key)


class _Guarded(Dict[str, Any]):
    """A rule's hyperparameters in the trial steps, in which its dynamic ones are to be read from `hyper`."""

    def __init__(self, rule: UpdateRule) -> None:
        super().__init__(rule._hyper_values)
        self._rule = type(rule)

    def __getitem__(self, name: str) -> Any:
        if not self._rule.hypers[name].static:
            raise RuleError(
                "{0}: self.{1} was read in update() or prepare(). That is what the rule was made with, for "
                "good: setting {1} on the optimizer would have no effect. Read hyper.{1} (or declare {1} "
                "with static=True).".format(self._rule.__name__, name)
            )
        return super().__getitem__(name)


def _guarded(rule: UpdateRule) -> UpdateRule:
    """A copy of a tree of rules in which reading a dynamic hyperparameter off a rule raises RuleError."""
    copy = object.__new__(type(rule))
    copy.__dict__.update(rule.__dict__, _hyper_values=_Guarded(rule))
    for name, child in rule.children().items():
        if copy.__dict__.get(name) is child:
            copy.__dict__[name] = _guarded(child)
    return copy


def trial_scalars(xp: Any, *trees: UpdateRule) -> Dict[Tuple[int, str], Any]:
    """The hyperparameters of trees of rules, as `hyper_values` wants them, for a trial of a rule.

    Those that are no numbers, whose values only an optimizer knows, are 0.001.
    """
    return {
        (id(part.origin), path.rpartition(".")[2]): xp.scalar(0.001 if is_source(value) else value)
        for tree in trees
        for path, (part, _, value) in dynamic_hypers(tree).items()
    }


def _check_shape(rule: UpdateRule, xp: Any, shape: Tuple[int, ...]) -> None:
    import numpy as np

    size = int(np.prod(shape, dtype=int))
    base = np.linspace(-1.0, 1.0, size).reshape(shape) if size > 1 else np.full(shape, 0.5)
    dtype = xp.unwrap(xp.zeros(())).dtype
    param = xp.wrap(np.asarray(base, dtype))
    name = "variable"
    # As in a training step: the whole rule prepares, and the one for the variable updates.
    root = rule
    rule = root.for_variable(name, shape)
    if not isinstance(rule, UpdateRule):
        raise RuleError("for_variable() returned {!r}; expected an UpdateRule.".format(rule))
    with np.errstate(all="ignore"):
        slots = check_slots(rule, xp, rule.init(xp, param))
        shared = check_slots(root, xp, root.init_shared(xp), "init_shared")
        scalars = trial_scalars(xp, rule, root)
        guarded_root, guarded = _guarded(root), _guarded(rule)
        for step in (1, 2):
            grad = xp.wrap(np.asarray(base * (0.5 if step == 1 else -2.0) + 0.25, dtype))
            step_ = xp.scalar(float(step))
            hyper = hyper_values(rule, scalars, xp, MappingProxyType(shared))
            if root.needs_all:
                hyper = hyper_values(root, scalars, xp, MappingProxyType(shared))
                prepared = guarded_root.prepare(
                    xp, [grad], [param], [MappingProxyType(slots)], MappingProxyType(shared), hyper, step_
                )
                if not isinstance(prepared, tuple) or len(prepared) != 2:
                    raise RuleError(
                        "{}.prepare() returned {}; expected the pair (gradients, new_shared).".format(
                            type(root).__name__, type(prepared).__name__
                        )
                    )
                grads, new_shared = prepared
                shared = check_same(root, xp, "prepare", shared, new_shared)
                grads = list(grads)
                # A transform may hand its own update() more than the rule inside gets.
                if len(grads) != 1 or not (root.children() or tuple(grads[0].shape) == shape):
                    raise RuleError(
                        "{}.prepare() returned gradients of other shapes or number.".format(
                            type(root).__name__
                        )
                    )
                grad = grads[0]
                hyper = hyper_values(rule, scalars, xp, MappingProxyType(shared))
            try:
                result = guarded.update(xp, grad, param, MappingProxyType(slots), hyper, step_)
            except KeyError as error:
                missing = error.args[0] if error.args else error
                raise RuleError(
                    "{}.update() reads slot {!r}, which init() does not create (it creates {}).{}".format(
                        type(rule).__name__,
                        missing,
                        ", ".join(sorted(slots)) or "none",
                        nearest(str(missing), list(slots)),
                    )
                ) from error
            param, slots = check_result(rule, xp, param, slots, result)


def check_slots(rule: UpdateRule, xp: Any, slots: Any, method: str = "init") -> Dict[str, Any]:
    """The slots that `init` returned, as arrays of the compute dtype.

    Raises:
        RuleError: not a mapping, a name that is no string, or an array of another dtype.
    """
    where = "{}.{}()".format(type(rule).__name__, method)
    if not isinstance(slots, Mapping):
        raise RuleError("{} returned {!r}; expected a dict of slot name -> array.".format(where, slots))
    checked = {}
    for name, value in slots.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise RuleError("{}: slot name {!r}; expected an identifier.".format(where, name))
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = xp.full((), float(value))
        value = xp.wrap(xp.unwrap(value))
        if value.dtype != xp.compute_dtype:
            raise RuleError(
                "{}: slot {!r} has dtype {}; expected the compute dtype {} (xp.zeros(...) without a dtype "
                "has it, and xp.astype(x, param.dtype) converts).".format(
                    where, name, _name(value.dtype), _name(xp.compute_dtype)
                )
            )
        checked[name] = value
    return checked


def check_same(rule: UpdateRule, xp: Any, method: str, old: Mapping[str, Any], new: Any) -> Dict[str, Any]:
    """The new slots, with the names, shapes and dtypes of the old ones.

    Raises:
        RuleError: a slot dropped or invented, or of another shape or dtype.
    """
    where = "{}.{}()".format(type(rule).__name__, method)
    if not isinstance(new, Mapping):
        raise RuleError("{} returned slots {!r}; expected a dict of slot name -> array.".format(where, new))
    dropped, invented = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    if dropped or invented:
        raise RuleError(
            "{} {}; it must return exactly the slots that init creates: {}.".format(
                where,
                " and ".join(
                    words + " " + ", ".join(map(repr, names))
                    for words, names in (("drops slot", dropped), ("invents slot", invented))
                    if names
                ),
                ", ".join(sorted(old)) or "none",
            )
        )
    checked = {}
    for name, value in new.items():
        checked[name] = _check_array(xp, value, old[name], "{}: slot {!r}".format(where, name))
    return checked


def check_result(
    rule: UpdateRule, xp: Any, param: Any, slots: Mapping[str, Any], result: Any
) -> Tuple[Any, Dict[str, Any]]:
    """What `update` returned, checked against what it was given.

    Raises:
        RuleError: not a pair, other slots, or other shapes or dtypes.
    """
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuleError(
            "{}.update() returned {}; expected the pair (new_param, new_slots).".format(
                type(rule).__name__, type(result).__name__
            )
        )
    new_param = _check_array(xp, result[0], param, "{}.update(): the parameter".format(type(rule).__name__))
    return new_param, check_same(rule, xp, "update", slots, result[1])


def _check_array(xp: Any, value: Any, like: Any, what: str) -> Any:
    value = xp.wrap(xp.unwrap(value))
    shape, expected = tuple(value.shape), tuple(like.shape)
    same = len(shape) == len(expected) and all(
        a == b or a is None or b is None for a, b in zip(shape, expected)
    )
    if not same:
        raise RuleError("{} has shape {}; expected {}, which it had before.".format(what, shape, expected))
    if value.dtype != like.dtype:
        raise RuleError(
            "{} has dtype {}; expected {}, which it had before.".format(
                what, _name(value.dtype), _name(like.dtype)
            )
        )
    return value


def _name(dtype: Any) -> str:
    return getattr(dtype, "name", None) or str(dtype)


def init_reads_param(rule: UpdateRule) -> bool:
    """Whether a rule's initial slots depend on the parameter's value, not just on its shape and dtype.

    In a TensorFlow 1 graph the value is only known once the variable is initialized, so adapters want to know
    before they make it part of a slot's initializer.
    """
    import numpy as np

    xp = namespaces.namespace("numpy", "float64")
    try:
        with np.errstate(all="ignore"):
            first, second = (
                {
                    name: np.asarray(xp.unwrap(value))
                    for name, value in rule.init(xp, xp.wrap(np.full((3, 2), fill))).items()
                }
                for fill in (0.5, -1.25)
            )
    except Exception:  # the rule refuses this shape: nothing is known, so its slots may depend on the value
        return True
    return any(not np.array_equal(first[name], second[name]) for name in first)

"""Whether a rule treats each element of a variable by itself, so that it may be run on any part of one.

This is proven, not declared: the rule's update is run once on arrays that hold nothing, in a namespace that
knows the elementwise functions and no other. What a rule does depends on no value, and on a shape only if it
asks for it, which that namespace refuses: what is elementwise there is so for every variable.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Callable, Dict, Iterable, Tuple

from . import namespaces
from .contract import trial_scalars
from .namespaces.array import Array
from .namespaces.base import Backend, Namespace
from .rule import UpdateRule, hyper_values

__all__ = ["is_elementwise"]


class _Symbol:
    """Stands for an array without a value or shape."""

    def __init__(self, elements: bool, dtype: Any) -> None:
        self.elements = elements  # whether it has one value for each element of the parameter, or one for all
        self.dtype = dtype


class _Proof(Backend):
    """Elementwise functions of symbols. What else a namespace asks of its backend is not implemented."""

    name = "symbols"
    reductions: Dict[str, Callable[..., Any]] = {}

    def __init__(self) -> None:
        numpy = namespaces.namespace("numpy")
        self.dtypes = dict(numpy._b.dtypes)
        self.weak_dtype = self.dtypes["float64"]
        self.ops = dict.fromkeys(numpy._ops, self._function)

    @staticmethod
    def _function(*raws: Any) -> Any:
        # The namespace knows the dtype of the result.
        return _Symbol(any(raw.elements for raw in raws), None)

    def is_array(self, obj: Any) -> bool:
        return False  # none from outside

    def as_array(self, obj: Any) -> Any:
        return obj

    def constant(self, value: Any, dtype: Any) -> Any:
        if getattr(value, "shape", ()) != ():
            raise NotImplementedError("an array of constants, which has a shape")
        return _Symbol(False, dtype)

    def dtype(self, dtype: Any) -> Any:
        return namespaces.namespace("numpy")._dtype(dtype)

    def cast(self, raw: Any, dtype: Any) -> Any:
        return _Symbol(raw.elements, dtype)

    def shape(self, raw: Any) -> Tuple[Any, ...]:
        if raw.elements:
            raise NotImplementedError("the shape of the parameter")
        return ()

    def where(self, condition: Any, x1: Any, x2: Any) -> Any:
        return self._function(condition, x1, x2)


def is_elementwise(
    rule: UpdateRule, slots: Iterable[str], shared: Iterable[str] = (), dtype: str = "float32"
) -> bool:
    """Whether a rule's update of an element depends on nothing but that element, of every array.

    Args:
        rule: the rule for one variable.
        slots: the names of its slots, all of which have the variable's shape.
        shared: the names of the scalars that it shares with the rules of other variables.
        dtype: the compute dtype.

    Returns:
        True where it is proven. False for a rule that asks for a shape, even if nothing comes of it.
    """
    xp = Namespace(_Proof(), dtype)

    def array(elements: bool) -> Array:
        return Array(xp, _Symbol(elements, xp.compute_dtype), xp.compute_dtype)

    old = {name: array(True) for name in slots}
    shared_scalars = MappingProxyType({name: array(False) for name in shared})
    try:
        hyper = hyper_values(rule, trial_scalars(xp, rule), xp, shared_scalars)
        param, new = rule.update(xp, array(True), array(True), MappingProxyType(old), hyper, xp.scalar(1.0))
    except Exception:  # whatever a rule does when it is refused something; a real step tells what is wrong
        return False
    return set(new) == set(old) and all(_for_each(value, xp) for value in (param, *new.values()))


def _for_each(value: Any, xp: Namespace) -> bool:
    """Whether this is an array of the compute dtype with a value for each element."""
    return type(value) is Array and value._dtype == xp.compute_dtype and value._raw.elements

"""Eager steps that JAX compiles: a rule's update of one variable as one function, compiled once a shape."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, List, Optional, Sequence, Tuple

import jax
import numpy as np

from ..contract import check_result
from ..namespaces.array import Array, weak_value
from ..namespaces.base import shared_scalars
from ..rule import HyperValues, UpdateRule
from .step_scalars import arrays_of, replaced

_TINY = np.finfo(np.float32).tiny

# As close as float32 needs it: below 1e-24, parts of a number begin to be lost.
_CLOSE = 2.0**-26


def singles(numbers: Sequence[float]) -> Optional[np.ndarray]:
    """Float64 numbers as sums of three of float32, which JAX takes whether it has float64 or not.

    Returns:
        An array (3, numbers), or None if one is beyond what float32 holds.
    """
    exact = np.asarray(numbers, np.float64)
    parts = np.empty((3, *exact.shape), np.float32)
    rest, total = exact, np.zeros_like(exact)
    with np.errstate(all="ignore"):
        for i in range(3):
            single = rest.astype(np.float32)
            # Compilers make zero of what is below the normal numbers.
            parts[i] = np.where(np.abs(single) < _TINY, np.copysign(0.0, exact), single)
            total = total + parts[i]
            rest = np.where(np.isfinite(exact), rest - parts[i], 0.0)
        close = np.abs(total - exact) <= np.abs(exact) * _CLOSE
    return parts if np.all(close | (total == exact) | np.isnan(exact)) else None


class JittedStep:
    """One step of a rule on variables of any shape, as a function that JAX compiles once a shape.

    Args:
        rule: the rule.
        xp: its array namespace.
        names: the names of its slots.

    Attributes:
        traces: how often it has been traced.
    """

    def __init__(self, rule: UpdateRule, xp: Any, names: Sequence[str]) -> None:
        self._rule = rule
        self._xp = xp
        self._names = list(names)
        self._function = jax.jit(self._run)
        # Where the first step's scalars stood, and this step's as the function is given them.
        self._places: Any = None
        self._given: Tuple[Any, Any, Any] = (None, None, None)
        self.traces = 0

    def __call__(
        self, values: Sequence[Any], grad: Any, hyper: HyperValues, step: float
    ) -> Optional[List[Any]]:
        """The new values of a variable and its slots, in the dtypes that they have.

        Args:
            values: the variable's and its slots' arrays.
            grad: the gradient, in the compute dtype.
            hyper, step: as the rule is given them.

        Returns:
            None if a scalar can't be handed over, because it is not known or beyond float32.

        Raises:
            jax.errors.JAXTypeError, jax.errors.JAXIndexError: the rule can't be traced.
        """
        scalars = self._scalars(hyper, step)
        return None if scalars is None else self._function(values, grad, *scalars)

    def _scalars(self, hyper: HyperValues, step: float) -> Any:
        if self._given[0] is not hyper or self._given[1] != step:  # once for all variables
            places = hyper, self._xp.scalar(step)
            arrays = arrays_of(*places)
            numbers = [weak_value(array) for array in arrays if array._dtype is None]
            parts = singles(numbers) if all(isinstance(number, float) for number in numbers) else None
            others = [self._xp.unwrap(array) for array in arrays if array._dtype is not None]
            self._places = self._places or places
            self._given = hyper, step, None if parts is None else (jax.numpy.asarray(parts), others)
        return self._given[2]

    def _run(self, values: Sequence[Any], grad: Any, parts: Any, others: Sequence[Any]) -> List[Any]:
        self.traces += 1
        xp, weak, strong = self._xp, iter(range(parts.shape[1])), iter(others)

        def given(array: Array) -> Any:
            if array._dtype is not None:
                return xp.wrap(next(strong))
            high, middle, low = (xp.scalar(part) for part in parts[:, next(weak)])
            return high + middle + low

        with shared_scalars():  # what is traced here is of use here only
            hyper, step = replaced(self._places[0], self._places[1], given)
            param, *slots = [xp.wrap(value.astype(xp.compute_dtype)) for value in values]
            before = dict(zip(self._names, slots))
            result = self._rule.update(xp, xp.wrap(grad), param, MappingProxyType(before), hyper, step)
            new_param, new = check_result(self._rule, xp, param, before, result)
        arrays = [new_param, *[new[name] for name in self._names]]
        return [xp.unwrap(array).astype(value.dtype) for array, value in zip(arrays, values)]

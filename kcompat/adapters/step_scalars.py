"""The arrays in a rule's `hyper` and `step`: taken out and put back where a step is compiled."""

from __future__ import annotations

from typing import Any, Callable, List, Tuple

from ..namespaces.array import Array
from ..rule import HyperValues


def replaced(hyper: HyperValues, step: Any, function: Callable[[Array], Array]) -> Tuple[HyperValues, Any]:
    """A rule's `hyper` and `step` with other arrays."""
    return hyper.over(lambda value: function(value) if isinstance(value, Array) else value), function(step)


def arrays_of(hyper: HyperValues, step: Any) -> List[Array]:
    """The arrays in a rule's `hyper` and `step`, in a fixed order."""
    found: List[Array] = []

    def keep(array: Array) -> Array:
        found.append(array)
        return array

    replaced(hyper, step, keep)
    return found

"""Eager steps on TensorFlow that are like one before, taken again without looking everything up."""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from ..rule import UpdateRule, hyper_values
from .base import VariableState
from .kernels_tensorflow import assign_part

# What takes a step: it is given the step's scalars, whatever they are, and the gradients.
Take = Callable[[Any, Sequence[Any]], None]


class Repeat:
    """An eager step, to be taken again with other gradients: for as long as everything else is as it was.

    What is checked for each variable in any step, and looked up for it, takes longer than its update.

    Args:
        variables: the step's list of variables.
        known: their states.
        grads: their gradients, all dense.
        memory: variables and slots of the host's that hold their values in another object, each with that.
        take: what takes the step.
        scalars: what gives its scalars, of the number of steps done and of the step's.
        traced: whether that is a traced function.

    Attributes:
        variables, take, scalars, traced: as they were given.
    """

    def __init__(
        self,
        variables: Sequence[Any],
        known: Sequence[VariableState],
        grads: Sequence[Any],
        memory: Sequence[Tuple[Any, Any]],
        take: Take,
        scalars: Callable[[Any, Any], Any],
        traced: bool,
    ) -> None:
        self.variables = list(variables)  # held, so that no others get their ids
        self.traced = traced
        self._expected = [(type(grad), grad.dtype, each.shape) for grad, each in zip(grads, known)]
        self._memory = list(memory)
        self.take = take
        self.scalars = scalars

    def fits(self, grads: Sequence[Any]) -> bool:
        """Whether these gradients of the same variables are like those of the step."""
        return all(
            type(grad) is kind and grad.dtype is dtype and grad._shape_tuple() == shape
            for grad, (kind, dtype, shape) in zip(grads, self._expected)
        ) and all(variable._value is memory for variable, memory in self._memory)


def is_plain(grad: Any) -> bool:
    """Whether a gradient is a dense tensor that has its value."""
    return type(grad).__name__ == "EagerTensor"


class _Group:
    """The variables of one rule.

    Attributes:
        rule: the rule.
        kernel: what updates all that are not large, or None.
        calls: of each of those, its place in the list, the variable, and its kernel but for gradient and
            scalars.
        large: of each that is large, its place, its compiled step, and the variable with its slots.
    """

    def __init__(self, rule: UpdateRule) -> None:
        self.rule = rule
        self.kernel: Any = None
        self.calls: List[Tuple[int, Any, Callable[..., Any]]] = []
        self.large: List[Tuple[int, Any, Sequence[Any]]] = []


def kernels_again(
    known: Sequence[VariableState], natives: Sequence[Sequence[Any]]
) -> Take:
    """What takes a step in which each variable has a kernel of its own, or a compiled step.

    Args:
        known: the states; their ways have no transforms around kernels.
        natives: TensorFlow's variable and slots of each.

    Returns:
        what takes it; its scalars are those for each namespace, and the step's number.
    """
    groups: Dict[Any, _Group] = {}
    for i, (each, (native, *slots)) in enumerate(zip(known, natives)):
        # Not by equality: equal rules in two places of a tree may have been given different numbers since.
        group = groups.setdefault((id(each.rule), each.xp), _Group(each.rule))
        if each.way.large is not None:
            group.large.append((i, each.way.large, [native, *slots]))
            continue
        group.kernel = kernel = each.way.kernel
        operation, arguments = kernel.call(native, dict(zip(each.slots, slots)))
        group.calls.append((i, native, functools.partial(operation, **arguments)))

    def take(given: Tuple[Mapping[Any, Mapping[Any, Any]], Any], grads: Sequence[Any]) -> None:
        scalars, step = given
        todo = [
            (group, xp, hyper_values(group.rule, scalars[xp], xp), xp.scalar(step))
            for (_, xp), group in groups.items()
        ]
        for group, xp, hyper, number in todo:
            for i, large, variables in group.large:
                large(variables, grads[i], hyper, number)
            if group.kernel is None:
                continue
            arguments, rest = group.kernel.numbers(xp, hyper, number)
            name = group.kernel.gradient
            for i, native, call in group.calls:
                if rest is not None:
                    assign_part(native, rest)
                arguments[name] = grads[i]
                call(**arguments)

    return take

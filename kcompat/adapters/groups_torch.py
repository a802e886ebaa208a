"""Variables that are updated together on PyTorch, in one call of a kernel; and steps like the one before."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import torch

from ..namespaces.array import weak_value
from ..rule import UpdateRule, hyper_values
from .base import VariableState
from .kernels import once_for_all
from .kernels_torch import Variables
from .plan import Way, the_rule


def tensor(variable: Any) -> Any:
    """A variable's memory: not its `value`, which is this with much around it, and rounded under autocast."""
    if isinstance(variable, torch.Tensor):
        return variable
    memory = getattr(variable, "_value", None)  # no public name either
    return variable.value if memory is None else memory


class Group:
    """What one call of a kernel is given: the tensors of its variables, and what they have in common.

    Attributes:
        way, xp, rule: the variables' way, namespace and rule; where transforms do something else to each
            variable, the rule of one of them.
        variables: the tensors.
        around: what the step multiplies parameters by or None, the hyperparameters, the number of the step.
        indices: the places of the variables in the step's list.
    """

    def __init__(self, way: Way, xp: Any, rule: UpdateRule, around: Tuple[Any, Any, Any]) -> None:
        self.way = way
        self.xp = xp
        self.rule = rule
        self.around = around
        self.variables = Variables([], [], {name: [] for name in way.kernel.slots})
        self.indices: List[int] = []

    def add(self, index: int, param: Any, grad: Any, slots: Sequence[Any]) -> None:
        """Adds one variable."""
        self.indices.append(index)
        self.variables.params.append(param)
        self.variables.grads.append(grad)
        for tensors, slot in zip(self.variables.slots.values(), slots):
            tensors.append(slot)

    def is_contiguous(self) -> bool:
        """Whether the tensors that are written still are rows of elements."""
        return all(
            each.is_contiguous()
            for tensors in (self.variables.params, *self.variables.slots.values())
            for each in tensors
        )

    def run(self) -> None:
        """Takes the step."""
        factor, hyper, step = self.around
        if factor is not None:
            torch._foreach_mul_(self.variables.params, float(weak_value(factor)))
        self.way.kernel.run(self.xp, self.variables, hyper, step)


def _around(way: Way, xp: Any, hyper: Any, step: Any) -> Any:
    """What a group's `around` is, if transforms do the same to all its variables; None else."""
    step = xp.scalar(step)
    return (None, hyper, step) if way.chain is None else once_for_all(way.chain, xp, hyper, step)


class Groups:
    """The groups of one step.

    Args:
        step: the step's number.
    """

    def __init__(self, step: Any) -> None:
        self._step = step
        self._around: Dict[Any, Any] = {}
        self._groups: Dict[Any, Group] = {}
        self._changed: List[Tuple[Any, Any]] = []
        # Whether every variable's transforms did what they do to all.
        self.uniform = True

    def add(self, index: int, known: VariableState, variable: Any, grad: Any, hyper: Any) -> bool:
        """Adds a variable to the group that it belongs to; False where its rule has to run.

        Args:
            index: its place in the step's list.
            known: its state, whose way is a kernel's.
            variable: the variable.
            grad: its gradient, an array of the state's namespace.
            hyper: the hyperparameters of its rule.
        """
        xp, way = known.xp, known.way
        param, slots = tensor(variable), [tensor(known.slots[name]) for name in way.kernel.slots]
        if not all(each.is_contiguous() for each in (param, *slots)):
            return False
        around = self._same_around(known, param.dtype, hyper)
        if around is None:
            self.uniform = False
            before = xp.wrap(param)
            found = way.chain.run(xp, grad, before, hyper, xp.scalar(self._step))
            if found is None:
                known.way = the_rule("the transforms around it change more than what it is given")
                return False
            grad, after, hyper, step = found
            if after is not before:
                self._changed.append((param, xp.unwrap(after)))
            # One object for all that have the same. It holds them, so that no others get their id.
            around = self._around.setdefault((id(hyper), weak_value(step)), (None, hyper, step))
        key = way.kernel, id(around), param.dtype, param.device
        if key not in self._groups:
            self._groups[key] = Group(way, xp, known.rule, around)
        self._groups[key].add(index, param, xp.unwrap(grad).contiguous(), slots)
        return True

    def _same_around(self, known: VariableState, dtype: Any, hyper: Any) -> Any:
        """What the transforms of a rule do to all its variables, if they do."""
        key = id(known.rule), id(hyper), dtype
        if key not in self._around:
            # A parameter that is narrower would be rounded between its decay and its step.
            exact = known.way.chain is None or dtype == known.xp.compute_dtype
            self._around[key] = _around(known.way, known.xp, hyper, self._step) if exact else None
        return self._around[key]

    def run(self) -> List[Group]:
        """Takes the step. Returns the groups."""
        for param, value in self._changed:
            param.copy_(value)
        groups = list(self._groups.values())
        for group in groups:
            group.run()
        return groups


class Repeat:
    """A step, to be taken again with other gradients: for as long as everything else is as it was.

    What is checked for each variable in any step, and looked up for it, takes longer than its update.

    Args:
        variables: the step's list of variables, each with its slots.
        groups: the groups that all of them are in.
    """

    def __init__(self, variables: Sequence[Tuple[Any, Iterable[Any]]], groups: Sequence[Group]) -> None:
        self._variables = [variable for variable, _ in variables]  # held, so that no others get their ids
        self._ids = [id(variable) for variable in self._variables]
        self._groups = list(groups)
        places = {}
        for group in groups:
            dtype = group.xp.compute_dtype
            places.update({i: (dtype, p) for i, p in zip(group.indices, group.variables.params)})
        self._expected = [(dtype, p.shape, p.device) for _, (dtype, p) in sorted(places.items())]
        # The tensors that Keras' variables are: others take their place where a model is moved, say.
        self._memory = [
            (each, tensor(each))
            for variable, slots in variables
            for each in (variable, *slots)
            if not isinstance(each, torch.Tensor)
        ]
        for group in groups:
            group.variables.grads.clear()

    def fits(self, pairs: Sequence[Tuple[Any, Any]]) -> bool:
        """Whether these gradients and variables are like those of the step."""
        return (
            [id(variable) for _, variable in pairs] == self._ids
            and all(
                type(grad) is torch.Tensor
                and grad.dtype is dtype
                and grad.layout is torch.strided
                and grad.shape == shape
                and grad.device == device
                and grad.is_contiguous()
                for (grad, _), (dtype, shape, device) in zip(pairs, self._expected)
            )
            and all(variable._value is memory for variable, memory in self._memory)
            and all(group.is_contiguous() for group in self._groups)
        )

    def namespaces(self) -> List[Any]:
        """The namespaces of the groups."""
        return [group.xp for group in self._groups]

    def run(self, grads: Sequence[Any], scalars: Mapping[Any, Mapping[Any, Any]], step: Any) -> bool:
        """Takes the step; False, with nothing done, if a transform now does something else.

        Args:
            grads: the gradients, which fit.
            scalars: the hyperparameters for each namespace, as `hyper_values` wants them.
            step: the step's number.
        """
        around = [
            _around(group.way, group.xp, hyper_values(group.rule, scalars[group.xp], group.xp), step)
            for group in self._groups
        ]
        if None in around:
            return False
        for group, each in zip(self._groups, around):
            group.around = each
            group.variables.grads[:] = [grads[i] for i in group.indices]
            group.run()
            group.variables.grads.clear()
        return True

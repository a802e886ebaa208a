"""What kernels have in common, whatever framework they are of: for which rules, and inside which transforms.

A kernel takes a whole step of a rule, in place. It may do so where the rule is exactly one of the catalogue,
and nothing but the gradient, the hyperparameters and the parameter before the step is changed by the
transforms around it.
"""

from __future__ import annotations

import functools
from typing import Any, Iterator, List, Mapping, NoReturn, Optional, Tuple

from .. import rules
from ..namespaces.array import Array
from ..rule import UpdateRule
from ..transforms.base import Transform


def catalogue_name(rule: UpdateRule) -> str:
    """The name of a rule of the catalogue; "" for any other. A subclass of one may do anything."""
    name = type(rule).__name__
    return name if name in rules.CATALOGUE and type(rule) is getattr(rules, name) else ""


# The transforms around a rule.


class _SlotsAreRead(Exception):
    """A transform looked at slots, which are not read where a kernel is to run."""


class _Unread(Mapping[str, Any]):
    """Stands for the slots: whoever looks at them can't be around a kernel."""

    def __getitem__(self, name: str) -> NoReturn:
        raise _SlotsAreRead

    def __iter__(self) -> Iterator[str]:
        raise _SlotsAreRead

    def __len__(self) -> NoReturn:
        raise _SlotsAreRead


class _Seen:
    """Mixed into a rule's class: takes down what its transforms hand to it, and changes nothing."""

    calls: List[Any]

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        self.calls.append((grad, param, hyper, step))
        return param, slots


@functools.lru_cache(maxsize=None)
def _seen_class(cls: type) -> type:
    return type(cls.__name__, (_Seen, cls), {})


def _seen(rule: UpdateRule) -> Any:
    """A copy of a rule that takes down what it is given; to its transforms it looks as the rule does."""
    cls: Any = type(rule)
    copy: Any = object.__new__(_seen_class(cls))
    copy.__dict__.update(rule.__dict__, calls=[])
    return copy


def inside(rule: UpdateRule) -> UpdateRule:
    """The rule inside all transforms: itself, if it is none."""
    while isinstance(rule, Transform):
        rule = rule.inner
    return rule


class Chain:
    """The transforms of one variable's rule, around a kernel in place of the rule inside."""

    def __init__(self, rule: UpdateRule) -> None:
        self._seen = _seen(inside(rule))
        self._around = self._with_seen(rule)

    def _with_seen(self, rule: UpdateRule) -> UpdateRule:
        if isinstance(rule, Transform):
            return rule.around(self._with_seen(rule.inner))
        seen: UpdateRule = self._seen
        return seen

    def run(
        self, xp: Any, grad: Any, param: Any, hyper: Any, step: Any
    ) -> Optional[Tuple[Any, Any, Any, Any]]:
        """What the rule inside is given: gradient, parameter, hyperparameters and step.

        Returns:
            None if the transforms do more than that: they use slots, or change the rule's result.
        """
        calls: List[Any] = self._seen.calls
        slots = _Unread()
        try:
            result = self._around.update(xp, grad, param, slots, hyper, step)
            if len(calls) != 1 or result[0] is not calls[0][1] or result[1] is not slots:
                return None
            found: Tuple[Any, Any, Any, Any] = calls[0]
            return found
        except _SlotsAreRead:
            return None
        finally:
            del calls[:]


class Scaled:
    """Stands for a parameter that is only multiplied by numbers, as weight decay does, before its step.

    Attributes:
        factor: what it has been multiplied by, a weak scalar; None if by nothing.
    """

    def __init__(self, factor: Any = None) -> None:
        self.factor = factor

    def __mul__(self, factor: Any) -> Scaled:
        if type(factor) is not Array or factor._dtype is not None:
            return NotImplemented
        return Scaled(factor if self.factor is None else self.factor * factor)

    __rmul__ = __mul__


class _Untouched:
    """Stands for a gradient that transforms hand on as it is."""


def once_for_all(chain: Chain, xp: Any, hyper: Any, step: Any) -> Optional[Tuple[Any, Any, Any]]:
    """What transforms around a rule do, if it is the same to every variable.

    Returns:
        (what each parameter is to be multiplied by or None, the rule's hyperparameters, the step); None if
        the transforms look at gradients or parameters.
    """
    grad, param = _Untouched(), Scaled()
    try:
        found = chain.run(xp, grad, param, hyper, step)
    except Exception:  # from whatever a transform does with these; with arrays it may work
        return None
    if found is None or found[0] is not grad or type(found[1]) is not Scaled:
        return None
    return found[1].factor, found[2], found[3]

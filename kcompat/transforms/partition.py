"""Different rules, or learning rates, for different variables."""

from __future__ import annotations

import inspect
import re
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

from ..errors import HyperparameterError, RuleError
from ..rule import Hyper, HyperValues, UpdateRule, dynamic_hypers, walk
from .base import Transform, describe, rule_from
from .patterns import check_patterns, matches

Part = Tuple[Any, Union[UpdateRule, Mapping[str, Any]]]


class Partition(Transform):
    """Different rules for different variables: the first part whose pattern fits, else the rule given first.

        Partition(AdamW(1e-3), [["embedding", SGD(0.1)], [{"ndim": [1]}, Adam(1e-3)]])

    A pattern is a regular expression, searched for in the variable's name, or a dict of "name" and "ndim";
    for any other choice, subclass and define `part_of`. A rule that sees all gradients at once sees those of
    its own variables only; to tell them, each variable of a part then has an empty slot, a scalar `part_0`
    and so on, and the shared scalars of a part's rule have its name in front.

    `optimizer.learning_rate` is that of the rule given first. A part's own may be a schedule or a variable.

    Args:
        inner: the rule for all other variables.
        parts: pairs [pattern, rule], the rule or its description.
        patterns, part_0, part_1, ...: the same, as the configuration has it.

    Raises:
        HyperparameterError: a bad pattern.
        RuleError: no pairs, no rules, a Partition inside (its parts belong in this one's list), or rules of
            which some are `sparse = "rows"` and some "dense", which a transform around this could not tell.
    """

    patterns = Hyper([], "the pattern of each part", static=True)

    _count = 0

    def __init__(
        self,
        inner: Union[UpdateRule, Mapping[str, Any]],
        parts: Sequence[Part] = (),
        **kwargs: Any,
    ) -> None:
        rules: List[Any] = [pair[1] for pair in _pairs(parts)]
        patterns = list(kwargs.pop("patterns", [])) + [pair[0] for pair in parts]
        while "part_{}".format(len(rules)) in kwargs:
            rules.append(kwargs.pop("part_{}".format(len(rules))))
        if len(rules) != len(patterns):
            raise RuleError(
                "Partition: {} patterns and {} rules; expected pairs [pattern, rule].".format(
                    len(patterns), len(rules)
                )
            )
        check_patterns("Partition(parts=...)", patterns)
        rules = [rule_from(r) if isinstance(r, Mapping) else r for r in rules]
        for i, rule in enumerate(rules):
            if not isinstance(rule, UpdateRule):
                raise RuleError("Partition: the rule of part {} is {!r}; expected one.".format(i, rule))
            object.__setattr__(self, "part_{}".format(i), rule)
        object.__setattr__(self, "_count", len(rules))
        super().__init__(inner, patterns=patterns, **kwargs)

    @classmethod
    def _shown_signature(cls) -> inspect.Signature:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parts = inspect.Parameter("parts", kind, default=())
        return inspect.Signature([inspect.Parameter("inner", kind), parts])

    def _after_init(self) -> None:
        for name, child in self.children().items():
            if child.sparse != self.inner.sparse:
                raise RuleError(
                    'Partition: {} is sparse = "{}" and {}, {}, is "{}". Give rules of one kind.'.format(
                        type(self.inner).__name__, self.inner.sparse, name, type(child).__name__, child.sparse
                    )
                )
            if any(isinstance(part, Partition) for _, part in walk(child)):
                raise RuleError(
                    "Partition: {} has a Partition inside. Put its parts into this one's list.".format(name)
                )
        super()._after_init()

    def children(self) -> Mapping[str, UpdateRule]:
        names = ["part_{}".format(i) for i in range(self._count)]
        return {"inner": self.inner, **{name: getattr(self, name) for name in names}}

    @classmethod
    def takes_child(cls, name: str) -> bool:
        return name in ("inner", "parts") or re.match(r"part_\d+\Z", name) is not None

    def replace(self, **changes: Any) -> Partition:
        return type(self)(**{**self.children(), **self._hyper_values, **changes})

    def config(self) -> Dict[str, Any]:
        parts = {
            name: dict(describe(type(child)), config=child.config())
            for name, child in self.children().items()
        }
        return {**super().config(), **parts}

    @property
    def needs_all(self) -> bool:
        return any(child.needs_all for child in self.children().values())

    @property
    def has_averages(self) -> bool:
        return any(child.has_averages for child in self.children().values())

    def part_of(self, name: str, shape: Tuple[int, ...]) -> int:
        """The number of the part that a variable belongs to, or -1 for the rule given first.

        Args:
            name: the variable's name in the host.
            shape: its shape.
        """
        for i, pattern in enumerate(self.patterns):
            if matches(pattern, name, shape):
                return i
        return -1

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        number = self.part_of(name, shape)
        if number < 0:
            return self.inner.for_variable(name, shape)
        part = "part_{}".format(number)
        rule: UpdateRule = getattr(self, part).for_variable(name, shape)
        return _Part(rule, part=part) if self.needs_all else rule

    def init_shared(self, xp: Any) -> Mapping[str, Any]:
        shared = dict(self.inner.init_shared(xp))
        for name, child in self.children().items():
            if name != "inner":
                shared.update((name + "_" + key, value) for key, value in child.init_shared(xp).items())
        return shared

    def prepare(
        self,
        xp: Any,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Mapping[str, Any]],
        shared: Mapping[str, Any],
        hyper: HyperValues,
        step: Any,
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        children = self.children()
        owners = [next((n for n in children if n in slot), "inner") for slot in slots]
        result, changed = list(grads), dict(shared)
        for name, child in children.items():
            mine = [i for i, owner in enumerate(owners) if owner == name]
            if not mine or not child.needs_all:
                continue
            seen, new = _prepared(
                name,
                child,
                xp,
                [grads[i] for i in mine],
                [params[i] for i in mine],
                [slots[i] for i in mine],
                shared,
                getattr(hyper, name),
                step,
            )
            changed.update(new)
            for i, grad in zip(mine, seen):
                result[i] = grad
        return result, changed


class _Part(Transform):
    """The rule of one variable of a part, where a rule of the partition sees all gradients at once."""

    part = Hyper(doc="the part's name", static=True)

    def _after_init(self) -> None:
        """Nothing to check: the rule inside has been."""

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return self.slots_with(self.inner.init(xp, param), **{self.part: xp.zeros(())})

    def init_shared(self, xp: Any) -> Mapping[str, Any]:
        return {self.part + "_" + name: value for name, value in self.inner.init_shared(xp).items()}

    def prepare(
        self,
        xp: Any,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Mapping[str, Any]],
        shared: Mapping[str, Any],
        hyper: HyperValues,
        step: Any,
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        seen, new = _prepared(self.part, self.inner, xp, grads, params, slots, shared, hyper.inner, step)
        return seen, {**shared, **new}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        inside = {name: value for name, value in slots.items() if name != self.part}
        own = hyper.inner.sharing(_own(self.part, hyper._shared))
        param, new = self.inner.update(xp, grad, param, inside, own, step)
        return param, {**slots, **new}

    def swap(
        self, xp: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, averaged: bool
    ) -> Tuple[Any, Mapping[str, Any]]:
        inside = {name: value for name, value in slots.items() if name != self.part}
        param, new = self.inner.swap(xp, param, inside, hyper.inner, averaged)
        return param, {**slots, **new}

    @property
    def has_averages(self) -> bool:
        return self.inner.has_averages


def _prepared(
    name: str,
    rule: UpdateRule,
    xp: Any,
    grads: Sequence[Any],
    params: Sequence[Any],
    slots: Sequence[Mapping[str, Any]],
    shared: Mapping[str, Any],
    hyper: HyperValues,
    step: Any,
) -> Tuple[Sequence[Any], Dict[str, Any]]:
    """What a part's rule makes of its variables' gradients, and of the shared scalars that are its own."""
    own = _own(name, shared)
    inside = [{key: value for key, value in slot.items() if key != name} for slot in slots]
    seen, new = rule.prepare(xp, grads, params, inside, own, hyper.sharing(own), step)
    front = "" if name == "inner" else name + "_"
    return seen, {front + key: value for key, value in new.items()}


def _own(name: str, shared: Mapping[str, Any]) -> Mapping[str, Any]:
    """The shared scalars of a part, under the names that its rule gave them."""
    if name == "inner":
        found = {key: value for key, value in shared.items() if not re.match(r"part_\d+_", key)}
    else:
        found = {key[len(name) + 1 :]: value for key, value in shared.items() if key.startswith(name + "_")}
    return MappingProxyType(found)


class LearningRateMultipliers(Transform):
    """Multiplies the learning rate for some variables: discriminative, layer-wise rates.

    The first pattern that fits decides; where none does, the factor is 1. What a rule makes of the learning
    rate while it sees all gradients at once stays as it is. Decoupled weight decay inside is multiplied, too.

    Args:
        inner: the rule.
        multipliers: pairs [pattern, factor], or a dict of them; patterns as in `Partition`.

    Raises:
        HyperparameterError: a bad pattern, or a factor that is no number or negative.
        RuleError: the rule has no learning rate.
    """

    multipliers = Hyper([], "pairs [pattern, factor]", static=True)

    _factor = 1.0

    def __init__(
        self, inner: Union[UpdateRule, Mapping[str, Any]], multipliers: Any = (), **kwargs: Any
    ) -> None:
        pairs = multipliers.items() if isinstance(multipliers, Mapping) else multipliers
        super().__init__(inner, multipliers=[list(pair) for pair in _pairs(list(pairs))], **kwargs)

    def _after_init(self) -> None:
        check_patterns("LearningRateMultipliers", [pattern for pattern, _ in self.multipliers])
        for pattern, factor in self.multipliers:
            if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not factor >= 0:
                raise HyperparameterError(
                    "LearningRateMultipliers: the factor of {!r} is {!r}; expected a number that is not "
                    "negative.".format(pattern, factor)
                )
        require_learning_rate(self.inner, "multipliers")
        super()._after_init()

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        copy = self.around(self.inner.for_variable(name, shape))
        fitting = (factor for pattern, factor in self.multipliers if matches(pattern, name, shape))
        copy.__dict__["_factor"] = float(next(fitting, 1.0))
        return copy

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        inside = hyper.inner
        if self._factor != 1:
            inside = inside.mapped("learning_rate", lambda rate: rate * self._factor)
        return self.inner.update(xp, grad, param, slots, inside, step)


def require_learning_rate(rule: UpdateRule, what: str) -> None:
    """Raises RuleError if no rule of a tree has a learning rate."""
    if not any(path.rpartition(".")[2] == "learning_rate" for path in dynamic_hypers(rule)):
        raise RuleError("{} change the learning rate, and {} has none.".format(what, type(rule).__name__))


def _pairs(given: Any) -> Any:
    if isinstance(given, (str, Mapping)) or any(
        isinstance(pair, (str, Mapping)) or len(pair) != 2 for pair in given
    ):
        raise RuleError("{!r}: expected a list of pairs, such as [[pattern, value]].".format(given))
    return given

"""A partition of variables by their names, as TensorFlow Addons' MultiOptimizer makes it of layers."""

from __future__ import annotations

import inspect
import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..errors import RuleError
from ..rule import HyperValues, UpdateRule
from .base import Transform, describe, rule_from
from .partition import Partition


class Still(UpdateRule):
    """Leaves the parameter as it is: the rule of variables that no optimizer was given for.

    No slots.
    """

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        return param, {}


class StillRows(Still):
    """`Still`, beside rules that update only the rows present."""

    sparse = "rows"


class MultiOptimizer(Partition):
    """Different rules for the variables of different layers; a variable of none stays as it is.

    A `Partition` whose patterns are whole names.

    Args:
        inner: the rule of a variable in none; `arguments` makes both.
        parts: pairs [pattern, rule], as `Partition` takes them.
    """

    @staticmethod
    def arguments(parts: Sequence[Tuple[Sequence[str], UpdateRule]]) -> Tuple[UpdateRule, List[Any]]:
        """What to construct it with: the rule of all other variables, and the parts.

        Args:
            parts: pairs (names of variables, their rule). A variable that is in several is trained with each
                rule in turn.

        Raises:
            RuleError: rules that can't take a step in turn.
        """
        rows = parts[0][1].sparse == "rows"
        of_names: Dict[str, List[int]] = {}
        for number, (names, _) in enumerate(parts):
            for name in names:
                owners = of_names.setdefault(name, [])
                if number not in owners:
                    owners.append(number)
        together: Dict[Tuple[int, ...], List[str]] = {}
        for name, owners in of_names.items():
            together.setdefault(tuple(owners), []).append(name)
        pairs = []
        for numbers, names in sorted(together.items()):
            rule = parts[numbers[0]][1]
            for number in numbers[1:]:
                rule = InTurn(rule, parts[number][1])
            pattern = r"\A(?:{})\Z".format("|".join(re.escape(name) for name in sorted(names)))
            pairs.append([pattern, rule])
        return StillRows() if rows else Still(), pairs


class InTurn(Transform):
    """Two rules, one after the other: the second starts where the first has gone, with the same gradient.

    Args:
        inner: the first rule, whose learning rate is the optimizer's.
        then: the second, or its description.

    Slots: those of both, the second's with `then_` in front.

    Raises:
        RuleError: a rule that sees all gradients at once or keeps averages; or one is `sparse = "rows"` and
            the other not.
    """

    then: UpdateRule

    def __init__(self, inner: Any, then: Any, **kwargs: Any) -> None:
        then = rule_from(then) if isinstance(then, Mapping) else then
        if not isinstance(then, UpdateRule):
            raise RuleError("InTurn(then={!r}): expected an update rule.".format(then))
        object.__setattr__(self, "then", then)
        super().__init__(inner, **kwargs)

    @classmethod
    def _shown_signature(cls) -> inspect.Signature:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature([inspect.Parameter(name, kind) for name in ("inner", "then")])

    def _after_init(self) -> None:
        for rule in (self.inner, self.then):
            if rule.needs_all or rule.has_averages or rule.sparse != self.inner.sparse:
                raise RuleError(
                    "{} can't take its step in turn with another rule: it {}.".format(
                        type(rule).__name__,
                        "sees all gradients at once"
                        if rule.needs_all
                        else "keeps averages"
                        if rule.has_averages
                        else 'is sparse = "{}" and the other is not'.format(rule.sparse),
                    )
                )
        super()._after_init()

    def children(self) -> Mapping[str, UpdateRule]:
        return {"inner": self.inner, "then": self.then}

    @classmethod
    def takes_child(cls, name: str) -> bool:
        return name in ("inner", "then")

    def replace(self, **changes: Any) -> InTurn:
        return type(self)(**{**self.children(), **changes})

    def config(self) -> Dict[str, Any]:
        return {**super().config(), "then": dict(describe(type(self.then)), config=self.then.config())}

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        copy = self.around(self.inner.for_variable(name, shape))
        copy.__dict__["then"] = self.then.for_variable(name, shape)
        return copy

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        second = {"then_" + name: value for name, value in self.then.init(xp, param).items()}
        return self.slots_with(self.inner.init(xp, param), **second)

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        second = {name[len("then_") :]: slots[name] for name in slots if name.startswith("then_")}
        first = {name: value for name, value in slots.items() if not name.startswith("then_")}
        param, new = self.inner.update(xp, grad, param, first, hyper.inner, step)
        param, newer = self.then.update(xp, grad, param, second, hyper.then, step)
        return param, {**new, **{"then_" + name: value for name, value in newer.items()}}


class ByPath(Partition):
    """Different rules by the whole path of a variable, as Keras 3's OptimizerMap chooses them.

    A pattern is a path or a regular expression that fits all of it; a path that is given as such comes first.

    Args:
        inner: the rule for variables that no pattern fits.
        parts: pairs [pattern, rule], as `Partition` takes them.

    Raises:
        RuleError: several patterns fit a variable.
    """

    def part_of(self, name: str, shape: Tuple[int, ...]) -> int:
        patterns = list(self.patterns)
        if name in patterns:
            return patterns.index(name)
        fitting = [i for i, pattern in enumerate(patterns) if re.fullmatch(pattern, name)]
        if len(fitting) > 1:
            raise RuleError(
                "The variable {!r} fits {}; expected one optimizer for each.".format(
                    name, " and ".join(repr(patterns[i]) for i in fitting)
                )
            )
        return fitting[0] if fitting else -1

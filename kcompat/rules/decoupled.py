"""Weight decay that is not multiplied by the learning rate, for any rule. SGDW and AdamW with it: sgdw.py.

Loshchilov & Hutter 2019, arXiv:1711.05101, as TensorFlow Addons has it: the parameter first loses
weight_decay * itself, then the rule takes its step from there. Where the learning rate has a schedule, the
weight decay is to be given the same (the paper's multiplier eta_t). `rules.AdamW` and the base argument
weight_decay are Keras' form, in which the decay is multiplied by the learning rate.

With a sparse gradient, every row decays if the rule is `sparse = "dense"`, as with a dense one; only the rows
present if it is "rows". (In TensorFlow Addons it is always only these.)
"""

from __future__ import annotations

import importlib
import re
from typing import Any, Dict, Mapping, Tuple, Type

from ..errors import HyperparameterError, RuleError
from ..rule import Hyper, UpdateRule


def matches(where: str, patterns: Any, name: str) -> bool:
    """Whether one of the patterns is found in a variable's name, with or without TensorFlow's ":0" at its
    end.

    TensorFlow Addons 0.23 searches in the name with it.

    Raises:
        HyperparameterError: `patterns` is neither None nor a list of regular expressions.
    """
    if patterns is None:
        return False
    if not isinstance(patterns, (list, tuple)) or not all(isinstance(p, str) for p in patterns):
        raise HyperparameterError(
            "{}: patterns of variables to exclude were given as {!r}; expected a list of strings, such as "
            '["bias"].'.format(where, patterns)
        )
    try:
        return any(re.search(pattern, text) for pattern in patterns for text in (name, name + ":0"))
    except re.error as error:
        raise HyperparameterError(
            "{}: {!r} in the patterns of variables to exclude is no regular expression: {}.".format(
                where, error.pattern, error
            )
        ) from error


class Decoupled(UpdateRule):
    """The base of every rule with such a decay: mixed in, in front of a rule that has none.

    Slots: those of the rule.

    Raises:
        HyperparameterError: exclude_from_weight_decay is no list of patterns.
    """

    weight_decay = Hyper(doc="fraction of the parameter taken off a step", ge=0)
    exclude_from_weight_decay = Hyper(None, "patterns of the names of variables that do not decay")

    _decays = True

    def _after_init(self) -> None:
        matches(type(self).__name__, self.exclude_from_weight_decay, "")
        super()._after_init()

    def with_decay(self, decays: bool) -> UpdateRule:
        """The rule for a variable that decays or does not, sharing this one's hyperparameters."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, _origin=self.origin, _decays=decays)
        return copy

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        rule = super().for_variable(name, shape)
        if not isinstance(rule, Decoupled):
            raise RuleError(
                "{}: for the variable {!r} the rule answers with another, {}, which would not decay. Extend "
                "that rule too, or let for_variable return rules of its own class.".format(
                    type(self).__name__, name, type(rule).__name__
                )
            )
        if matches(type(self).__name__, self.exclude_from_weight_decay, name):
            return rule.with_decay(False)
        return rule

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        if self._decays:
            param = param * (1 - hyper.weight_decay)
        return super().update(xp, grad, param, slots, hyper, step)


_SUFFIX = "WithDecoupledWeightDecay"
_extended: Dict[type, Type[UpdateRule]] = {}


def extended(rule: Type[UpdateRule]) -> Type[UpdateRule]:
    """A rule with such a decay: its arguments are weight_decay, exclude_from_weight_decay and then the
    rule's.

    Args:
        rule: the class of a rule without weight decay.

    Returns:
        A subclass of it, the same every time. Those of rules of the catalogue are also attributes of this
        module, such as `AdamWithDecoupledWeightDecay`, by which a pickle finds them.

    Raises:
        RuleError: no rule class, or one that has weight decay already.
    """
    if not (isinstance(rule, type) and issubclass(rule, UpdateRule)):
        raise RuleError("{!r}: expected a subclass of UpdateRule to give weight decay to.".format(rule))
    taken = [name for name in Decoupled.hypers if name in rule.hypers]
    if taken:
        raise RuleError(
            "{} has a hyperparameter {} of its own, and can't be given another.".format(
                rule.__name__, " and ".join(taken)
            )
        )
    if rule not in _extended:
        # In this order: Addons' extension takes its own two arguments first.
        namespace: Dict[str, Any] = {**Decoupled.hypers, **rule.hypers}
        namespace["__doc__"] = "{} with weight decay that is not multiplied by the learning rate.".format(
            rule.__name__
        )
        ours = rule.__module__.startswith(__name__.rpartition(".")[0] + ".")
        namespace["__module__"] = __name__ if ours else rule.__module__
        _extended[rule] = type(rule.__name__ + _SUFFIX, (Decoupled, rule), namespace)
    return _extended[rule]


def __getattr__(name: str) -> Any:
    if name.endswith(_SUFFIX):
        from . import CATALOGUE

        base = name[: -len(_SUFFIX)]
        if base in CATALOGUE:
            module = importlib.import_module(CATALOGUE[base], __name__.rpartition(".")[0])
            return extended(getattr(module, base))
    raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))

"""Decoupled weight decay, as a transform of any rule, and rules without it for excluded variables."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..errors import RuleError
from ..rule import Hyper, HyperValues, UpdateRule, dynamic_hypers
from .base import Transform


class DecoupledWeightDecay(Transform):
    """Takes weight_decay * learning_rate * param off the parameter before the rule's own step.

    Loshchilov & Hutter 2019, arXiv:1711.05101, in the form that Keras 2.11 and later give it: the decay is
    multiplied by the learning rate, and the rule's step starts from the decayed parameter. With sparse
    gradients every row decays if the rule is `sparse = "dense"`, only the rows present if it is "rows".

    Raises:
        RuleError: the rule has no learning rate.
    """

    weight_decay = Hyper(doc="fraction of the parameter taken off a step, times the learning rate", ge=0)

    def _after_init(self) -> None:
        if not any(path.rpartition(".")[2] == "learning_rate" for path in dynamic_hypers(self.inner)):
            raise RuleError(
                "weight_decay is multiplied by the learning rate, and {} has none. Leave weight_decay "
                "out.".format(type(self.inner).__name__)
            )
        super()._after_init()

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        param = param * (1 - hyper.weight_decay * hyper.learning_rate)
        return self.inner.update(xp, grad, param, slots, hyper.inner, step)


class _NoDecay(Transform):
    """A rule that has a weight_decay of its own, with that at zero."""

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        # Muon has one for each kind of variable, and which kind this one is only the rule knows.
        names = [name for name in type(self.inner).hypers if name.endswith("weight_decay")]
        hyper = hyper.inner.replace(**{name: xp.scalar(0.0) for name in names})
        return self.inner.update(xp, grad, param, slots, hyper, step)


def without_weight_decay(rule: UpdateRule) -> UpdateRule:
    """The rule for a variable that is excluded from weight decay.

    Args:
        rule: any rule.

    Returns:
        The same rule with `DecoupledWeightDecay` taken out and a `weight_decay` of its own held at zero;
        `rule` itself if it has neither. Its other hyperparameters stay shared with `rule`.
    """
    if isinstance(rule, DecoupledWeightDecay):
        return without_weight_decay(rule.inner)
    if isinstance(rule, Transform):
        inner = without_weight_decay(rule.inner)
        return rule if inner is rule.inner else rule.around(inner)
    if "weight_decay" in type(rule).hypers:
        return _NoDecay(rule)
    return rule

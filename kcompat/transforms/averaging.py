"""Averages of the weights over training: the exponential moving average that Keras has had since 2.11."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Tuple

from ..errors import HyperparameterError, RuleError
from ..rule import Hyper, HyperValues
from .base import Transform


class ExponentialMovingAverage(Transform):
    """Keeps a moving average of each parameter, and puts it in the parameter's place now and then.

    As Keras 3 has it: the first step copies the parameter; from then on
    average = ema_momentum * average + (1 - ema_momentum) * param, with the parameter after its update. Every
    `ema_overwrite_frequency` updates the parameter becomes its average. Keras 2.11 to 2.15 start the average
    at the parameter's value before the first step.

    Slots: average, like the parameter.

    Args:
        inner: the rule inside.
        ema_momentum: the fraction of the average that is kept.
        ema_overwrite_frequency: after how many updates the parameter becomes its average; None for never.
        accumulation: how many steps make one update, where gradients are accumulated.

    Raises:
        RuleError: the rule is `sparse = "rows"`, which leaves rows alone that an average would have to move.
    """

    ema_momentum = Hyper(0.99, "fraction of the average kept in a step", ge=0, le=1)
    ema_overwrite_frequency = Hyper(None, "updates between two replacements of the parameter; None for never")
    accumulation = Hyper(1, "steps that make one update", static=True)

    def _after_init(self) -> None:
        every: Optional[int] = self.ema_overwrite_frequency
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise HyperparameterError(
                "ema_overwrite_frequency={!r}: expected an integer of at least 1, or None.".format(every)
            )
        if self.inner.sparse == "rows":
            raise RuleError(
                'use_ema with {}: its sparse = "rows" leaves the rows that are not present alone, but their '
                "average moves on.".format(type(self.inner).__name__)
            )
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return self.slots_with(self.inner.init(xp, param), average=param * 1)

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        old = {name: value for name, value in slots.items() if name != "average"}
        param, new = self.inner.update(xp, grad, param, old, hyper.inner, step)
        done = xp.floor((step - 1) / self.accumulation)  # updates done before this step
        kept = xp.where(done > 0, hyper.ema_momentum, 0.0)
        average = kept * slots["average"] + (1 - kept) * param
        if self.ema_overwrite_frequency:
            due = xp.remainder(done + 1, float(self.ema_overwrite_frequency)) == 0
            param = xp.where(due, average, param)
        return param, {**new, "average": average}

    def swap(
        self, xp: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, averaged: bool
    ) -> Tuple[Any, Mapping[str, Any]]:
        return slots["average"], {**slots, "average": param}

"""Gradient accumulation, and the unscaling of gradients of a scaled loss."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence, Tuple

from ..errors import HyperparameterError, RuleError
from ..rule import Hyper, HyperValues
from .base import GradientTransform, Transform


class GradientAccumulation(Transform):
    """Updates every `gradient_accumulation_steps` steps, with the mean of the gradients since the last one.

    As Keras 3 has it: steps in between change neither parameters nor slots; the rule sees the number of the
    update as its step, while schedules see the number of steps done.

    Slots: accumulated, like the parameter.

    Raises:
        HyperparameterError: the number is no integer of at least 2.
        RuleError: the rule is `sparse = "rows"`: an accumulated gradient has all rows.
    """

    gradient_accumulation_steps = Hyper(doc="steps that make one update", static=True)

    def _after_init(self) -> None:
        steps = self.gradient_accumulation_steps
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
            raise HyperparameterError(
                "gradient_accumulation_steps={!r}: expected an integer of at least 2, or None.".format(steps)
            )
        if self.inner.sparse == "rows":
            raise RuleError(
                'gradient_accumulation_steps with {}: its sparse = "rows" wants the rows of one step, and an '
                "accumulated gradient has all rows.".format(type(self.inner).__name__)
            )
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return self.slots_with(self.inner.init(xp, param), accumulated=xp.zeros_like(param))

    def _phase(self, xp: Any, step: Any) -> Tuple[Any, Any]:
        """Whether this step updates, and which update it is or belongs to."""
        count = float(self.gradient_accumulation_steps)
        return xp.remainder(step, count) == 0, xp.floor((step - 1) / count) + 1

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
        due, update = self._phase(xp, step)
        totals = [slot["accumulated"] + grad for slot, grad in zip(slots, grads)]
        means = [total / self.gradient_accumulation_steps for total in totals]
        inside = [_without(slot) for slot in slots]
        seen, new = self.inner.prepare(xp, means, params, inside, shared, hyper.inner, update)
        # The sum is wanted again in `update`, beside what the rule inside made of the mean.
        pairs = [xp.stack([total, grad]) for total, grad in zip(totals, seen)]
        return pairs, {name: xp.where(due, new[name], shared[name]) for name in shared}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        due, update = self._phase(xp, step)
        if self.prepared:
            total, mean = grad[0], grad[1]
        else:
            total = slots["accumulated"] + grad
            mean = total / self.gradient_accumulation_steps
        old = _without(slots)
        moved, new = self.inner.update(xp, mean, param, old, hyper.inner, update)
        result = {name: xp.where(due, new[name], old[name]) for name in old}
        result["accumulated"] = xp.where(due, xp.zeros_like(total), total)
        return xp.where(due, moved, param), result


class UnscaleGradients(GradientTransform):
    """Divides gradients by loss_scale_factor, by which the loss was multiplied.

    Raises:
        HyperparameterError: the factor is not positive.
    """

    loss_scale_factor = Hyper(doc="what the loss was multiplied by", gt=0)

    def change(self, xp: Any, grad: Any, hyper: HyperValues) -> Any:
        return grad / hyper.loss_scale_factor


def _without(slots: Mapping[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in slots.items() if name != "accumulated"}

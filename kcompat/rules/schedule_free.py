"""Schedule-free learning: an average in place of a learning-rate schedule."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._hypers import Fixed


class ScheduleFreeAdamW(UpdateRule):
    """Schedule-Free AdamW: Defazio et al. 2024, arXiv:2405.15682, algorithm 1, with equal weights.

    The sequence z takes the steps, z -= learning_rate * g / (sqrt(v_hat) + epsilon); x is its average,
    x += (z - x) / step; and the parameter is what gradients are taken at, y = (1 - beta_1) * z + beta_1 * x.
    x is not kept but had back from y and z. It is what to evaluate and to ship: `swap_averages()` puts it in
    the parameter's place and, called again, y back (to rounding).

    As in Keras, steps weigh the same in the average, where the paper weighs them by the square of the
    learning rate; the two differ if that changes, in warm-up as elsewhere. `weight_decay` is the optimizer's
    and shrinks y before the step, while the paper decays z, by y. Keras, except on JAX, computes x from the
    new z rather than the old one that its code names: its assignment changes what it had set aside. The
    equations above hold here on every backend.

    Slots: z, which starts as the parameter, and v, both like the parameter.
    """

    learning_rate = Hyper(0.0025, "step size", ge=0)
    # Fixed, because x is had back with the beta_1 that y was made with.
    beta_1 = Fixed(0.9, "weight of the average in the parameter", gt=0, le=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-8, "added to the root of the second moment", ge=0)
    warmup_steps = Fixed(0, "steps in which the learning rate grows to its value", ge=0, whole=True)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"z": param * 1, "v": xp.zeros_like(param)}

    def _average(self, param: Any, slots: Mapping[str, Any]) -> Any:
        """x, from the parameter y and z."""
        return (param - (1 - self.beta_1) * slots["z"]) / self.beta_1

    def _between(self, x: Any, z: Any) -> Any:
        """y, from x and z."""
        return (1 - self.beta_1) * z + self.beta_1 * x

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        rate = hyper.learning_rate
        if self.warmup_steps:
            rate = rate * xp.minimum(step / self.warmup_steps, 1.0)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        root = xp.sqrt(v / (1 - hyper.beta_2**step)) + hyper.epsilon
        x = self._average(param, slots)
        z = slots["z"] - rate * grad / root
        x = x + (z - x) / step
        return self._between(x, z), {"z": z, "v": v}

    def swap(
        self, xp: Any, param: Any, slots: Mapping[str, Any], hyper: Any, averaged: bool
    ) -> Tuple[Any, Mapping[str, Any]]:
        return self._average(param, slots) if averaged else self._between(param, slots["z"]), slots

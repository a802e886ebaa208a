"""FTRL-Proximal: follow the regularized leader."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._hypers import Fixed


class Ftrl(UpdateRule):
    """FTRL-Proximal: McMahan et al. 2013, "Ad click prediction: a view from the trenches", algorithm 1.

    With p = -learning_rate_power (the paper's is 1/2) and h = g + 2 * l2_shrinkage * w:
    n' = n + g**2, z += h - (n'**p - n**p) / learning_rate * w, and then w = 0 where abs(z) <= l1, elsewhere
    w = (sign(z) * l1 - z) / (n'**p / learning_rate + beta / learning_rate + 2 * l2).

    The factor 2 of l2 is TensorFlow's and Keras', not the paper's, and n starts at initial_accumulator_value
    rather than 0. The parameter is a function of n and z alone, so a weight whose gradient is 0 in the first
    step becomes 0. A sparse gradient is a dense one here, as in Keras 3, so rows that are not present do that
    as well, and shrink; TensorFlow 1 and tf.keras before 2.11 leave them alone. Where n, l2 and beta are all
    0 and no gradient has come yet, Keras divides 0 by 0; the weight is 0 here.

    The learning rate divides, so a schedule must not reach 0.

    Slots: accumulator (n) and linear (z), like the parameter.
    """

    learning_rate = Hyper(0.001, "step size", gt=0)
    learning_rate_power = Hyper(-0.5, "how the step falls with the sum of squares; 0 for not at all", le=0)
    initial_accumulator_value = Fixed(0.1, "what the sum of squares starts at", ge=0)
    l1_regularization_strength = Hyper(0.0, "strength of the L1 penalty", ge=0)
    l2_regularization_strength = Hyper(0.0, "strength of the L2 penalty, which stabilizes", ge=0)
    l2_shrinkage_regularization_strength = Hyper(0.0, "strength of the L2 penalty on the loss", ge=0)
    beta = Hyper(0.0, "the paper's beta, divided by the learning rate")

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        start = xp.full_like(param, self.initial_accumulator_value)
        return {"accumulator": start, "linear": xp.zeros_like(param)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        power, l1 = -hyper.learning_rate_power, hyper.l1_regularization_strength
        n = slots["accumulator"] + xp.square(grad)
        powered = n**power
        pull = (powered - slots["accumulator"] ** power) / hyper.learning_rate
        shrunk = grad + 2 * hyper.l2_shrinkage_regularization_strength * param
        z = slots["linear"] + shrunk - pull * param
        scale = (powered + hyper.beta) / hyper.learning_rate + 2 * hyper.l2_regularization_strength
        moved = (xp.sign(z) * l1 - z) / scale
        return xp.where(xp.abs(z) <= l1, 0.0, moved), {"accumulator": n, "linear": z}

"""Lion: the sign of an interpolated momentum."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule


class Lion(UpdateRule):
    """Lion: Chen et al. 2023, arXiv:2302.06675, algorithm 2.

    w -= learning_rate * sign(beta_1 * m + (1 - beta_1) * g), then m = beta_2 * m + (1 - beta_2) * g. Weight
    decay, part of the paper's algorithm, is the optimizer's `weight_decay`: it multiplies the learning rate
    and is off by default, as in Keras.

    Slots: momentum, like the parameter.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "weight of the momentum in the step's direction", gt=0, le=1)
    beta_2 = Hyper(0.99, "decay rate of the momentum", ge=0, le=1)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"momentum": xp.zeros_like(param)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        m = slots["momentum"]
        direction = xp.sign(m * hyper.beta_1 + grad * (1 - hyper.beta_1))
        return param - hyper.learning_rate * direction, {
            "momentum": m * hyper.beta_2 + grad * (1 - hyper.beta_2)
        }

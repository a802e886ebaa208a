"""Adamax: Adam with the infinity norm."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule


class Adamax(UpdateRule):
    """Adamax: Kingma & Ba 2015, arXiv:1412.6980, algorithm 2.

    The paper divides by the norm alone; epsilon is added to it here, as in Keras. PyTorch adds epsilon to
    the gradient's size before the maximum is taken.

    Slots: m, the first moment, and v, the exponentially weighted infinity norm (u in the paper), both like
    the parameter.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the infinity norm", ge=0, lt=1)
    epsilon = Hyper(1e-7, "added to the infinity norm", ge=0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {name: xp.zeros_like(param) for name in ("m", "v")}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        rate = hyper.learning_rate / (1 - hyper.beta_1**step)
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        v = xp.maximum(hyper.beta_2 * slots["v"], xp.abs(grad))
        return param - rate * m / (v + hyper.epsilon), {"m": m, "v": v}

"""The update rules, written once for every framework."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ._vendor.kcompat import Hyper, UpdateRule


class DiffGrad(UpdateRule):
    """diffGrad: Dubey et al. 2019, arXiv:1909.11015, algorithm 1.

    Adam whose step is braked where the gradient stays as it was: with x = 1 / (1 + exp(-|g_before - g|)),

        w -= learning_rate * x * m_hat / (sqrt(v_hat) + epsilon)

    where m_hat and v_hat are Adam's moments, with bias correction. x is between 1/2, where the gradient is
    the same as in the step before, and 1. The gradient before the first one is zero.

    Slots: m, v and previous (the gradient of the step before), like the parameter.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-8, "added to the root of the second moment", ge=0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        """Zeros."""
        return {name: xp.zeros_like(param) for name in ("m", "v", "previous")}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        """One step of one variable."""
        m = hyper.beta_1 * slots["m"] + (1 - hyper.beta_1) * grad
        v = hyper.beta_2 * slots["v"] + (1 - hyper.beta_2) * xp.square(grad)
        m_hat = m / (1 - hyper.beta_1**step)
        v_hat = v / (1 - hyper.beta_2**step)
        friction = 1 / (1 + xp.exp(-xp.abs(slots["previous"] - grad)))
        new = param - hyper.learning_rate * friction * m_hat / (xp.sqrt(v_hat) + hyper.epsilon)
        return new, {"m": m, "v": v, "previous": grad}

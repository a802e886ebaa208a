"""LAMB: Adam's step scaled to each variable's own norm."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule


class Lamb(UpdateRule):
    """LAMB: You et al. 2020, arXiv:1904.00962, algorithm 2, with the identity as its function phi.

    u = m_hat / (sqrt(v_hat) + epsilon) and w -= learning_rate * norm(w) / norm(u) * u; the ratio is 1 where
    either norm is 0. The paper's weight decay is part of u; here it is the optimizer's `weight_decay`, which
    as in Keras shrinks the parameter beforehand and takes no part in the ratio.

    Slots: m and v, like the parameter.
    """

    learning_rate = Hyper(0.001, "step size, a fraction of the variable's norm", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-7, "added to the root of the second moment", ge=0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {name: xp.zeros_like(param) for name in ("m", "v")}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        move = m / (1 - hyper.beta_1**step)
        move = move / (xp.sqrt(v / (1 - hyper.beta_2**step)) + hyper.epsilon)
        size, length = _norm(xp, param), _norm(xp, move)
        both = xp.logical_and(size > 0, length > 0)
        ratio = xp.where(both, size / xp.where(both, length, 1.0), 1.0)
        return param - hyper.learning_rate * ratio * move, {"m": m, "v": v}


def _norm(xp: Any, x: Any) -> Any:
    """The Euclidean norm of all elements together."""
    return xp.sqrt(xp.sum(xp.square(x)))

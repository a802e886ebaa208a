"""LARS: a learning rate of its own for every layer."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._static import check_flags


class LARS(UpdateRule):
    """Layer-wise adaptive rate scaling: You, Gitman & Ginsburg 2017, arXiv:1708.03888, algorithm 1.

    trust = trust_coefficient * |w| / (|g| + weight_decay * |w| + epsilon), over a whole variable;
    m = momentum * m + learning_rate * trust * (g + weight_decay * w); w -= m. The trust is 1 where w or its
    gradient is 0. nesterov: w -= momentum * m + learning_rate * trust * (g + weight_decay * w), with the new
    m. As in the paper, and in TensorFlow 1's contrib LARSOptimizer, the learning rate is inside the velocity,
    and the two norms are added. optax takes the norm of the sum; others keep the learning rate outside the
    velocity, which differs once it changes.

    Large-batch training usually leaves biases and normalisation parameters out; `exclude_vectors` does so for
    variables of fewer than two dimensions, which then have plain momentum without decay.

    Slots: m, like the parameter.
    """

    learning_rate = Hyper(0.1, "step size, before the trust ratio", ge=0)
    momentum = Hyper(0.9, "fraction of the velocity kept", ge=0, lt=1)
    weight_decay = Hyper(1e-4, "times the parameter, added to the gradient", ge=0)
    trust_coefficient = Hyper(0.001, "the trust ratio where there is no decay is this times |w| / |g|", ge=0)
    epsilon = Hyper(0.0, "added to the denominator of the trust ratio", ge=0)
    nesterov = Hyper(False, "whether to use Nesterov momentum")
    exclude_vectors = Hyper(False, "whether variables of fewer than two dimensions take plain momentum steps")

    def _after_init(self) -> None:
        check_flags(self, "nesterov", "exclude_vectors")
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"m": xp.zeros_like(param)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        if self.exclude_vectors and param.ndim < 2:
            move = hyper.learning_rate * grad
        else:
            weight, slope = xp.sqrt(xp.sum(xp.square(param))), xp.sqrt(xp.sum(xp.square(grad)))
            both = xp.logical_and(weight > 0, slope > 0)
            below = slope + hyper.weight_decay * weight + hyper.epsilon
            # The inner `where` keeps 0 / 0 out of a branch that is not taken.
            trust = xp.where(both, hyper.trust_coefficient * weight / xp.where(both, below, 1.0), 1.0)
            move = hyper.learning_rate * trust * (grad + hyper.weight_decay * param)
        m = hyper.momentum * slots["m"] + move
        return param - (hyper.momentum * m + move if self.nesterov else m), {"m": m}

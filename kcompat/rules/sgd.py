"""Stochastic gradient descent, with momentum and Nesterov momentum."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._static import check_flags


class SGD(UpdateRule):
    """Gradient descent, with momentum if that is not 0.

    Keras' convention, in which the velocity holds the learning rate: v = momentum * v - learning_rate * g,
    and w += v, or with nesterov w += momentum * v - learning_rate * g (Sutskever et al. 2013, eq. 3 and 4,
    rewritten for the look-ahead point). TensorFlow 1's MomentumOptimizer keeps the learning rate outside,
    which differs once the learning rate changes.

    Slots: m, like the parameter, if momentum is not 0.
    """

    learning_rate = Hyper(0.01, "step size", ge=0)
    momentum = Hyper(0.0, "fraction of the velocity kept; 0 keeps no velocity", ge=0, le=1)
    nesterov = Hyper(False, "whether to use Nesterov momentum")

    def _after_init(self) -> None:
        check_flags(self, "nesterov")
        super()._after_init()

    @property
    def has_velocity(self) -> bool:
        """Whether the rule keeps a velocity: momentum was not the number 0 when it was constructed."""
        return not (isinstance(self.momentum, (int, float)) and self.momentum == 0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"m": xp.zeros_like(param)} if self.has_velocity else {}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        move = hyper.learning_rate * grad
        if not slots:
            return param - move, {}
        m = hyper.momentum * slots["m"] - move
        return param + (hyper.momentum * m - move if self.nesterov else m), {"m": m}

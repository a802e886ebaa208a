"""RMSprop: gradients divided by the root of their recent mean square."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._hypers import Flag


class RMSprop(UpdateRule):
    """RMSprop: Tieleman & Hinton 2012, lecture 6.5 of "Neural Networks for Machine Learning".

    s = rho * s + (1 - rho) * g**2, and w -= learning_rate * g / sqrt(s + epsilon). With momentum the quotient
    goes through a velocity, as in Graves 2013, arXiv:1308.0850, eq. 38 to 41: u = momentum * u +
    learning_rate * g / sqrt(s + epsilon), and w -= u. centered, in the same place: s less the square of the
    gradient's own moving average, an estimate of its variance.

    Epsilon is inside the root and the averages start at 0, as in Keras 2.11 and later. Earlier tf.keras adds
    epsilon to the root itself unless there is momentum; TensorFlow 1's RMSPropOptimizer starts s at 1;
    PyTorch adds epsilon to the root. A variance that rounding makes negative counts as 0, where Keras has
    the root of a negative number as soon as it exceeds epsilon.

    Slots: rms; momentum, if momentum is not 0; mg, the mean gradient, with centered; all like the parameter.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    rho = Hyper(0.9, "decay rate of the averages", ge=0, le=1)
    momentum = Hyper(0.0, "fraction of the velocity kept; 0 keeps no velocity", ge=0, le=1)
    epsilon = Hyper(1e-7, "added to the mean square, inside the root", gt=0)
    centered = Flag(False, "whether to divide by the standard deviation rather than the root mean square")

    @property
    def has_velocity(self) -> bool:
        """Whether the rule keeps a velocity: momentum was not the number 0 when it was constructed."""
        return not (isinstance(self.momentum, (int, float)) and self.momentum == 0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        names = ["rms"] + ["momentum"] * self.has_velocity + ["mg"] * self.centered
        return {name: xp.zeros_like(param) for name in names}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        rms = slots["rms"] + (xp.square(grad) - slots["rms"]) * (1 - hyper.rho)
        new: Dict[str, Any] = {"rms": rms}
        square = rms
        if self.centered:
            mean = new["mg"] = slots["mg"] + (grad - slots["mg"]) * (1 - hyper.rho)
            square = xp.maximum(rms - xp.square(mean), 0.0)
        move = hyper.learning_rate * grad / xp.sqrt(square + hyper.epsilon)
        if "momentum" in slots:
            move = new["momentum"] = hyper.momentum * slots["momentum"] + move
        return param - move, new

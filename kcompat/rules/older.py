"""Rules as TensorFlow's and Keras' own optimizers had them before Keras 2.11, where those differ.

They stand in for a native optimizer that a wrapper such as Lookahead is given; see `adapters.natives`. They
are no part of the catalogue: its rules are those of Keras 3.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence, Tuple

from ..rule import Hyper
from .adagrad import Adagrad
from .nadam import Nadam
from .rmsprop import RMSprop


class OuterRMSprop(RMSprop):
    """RMSprop with epsilon added to the root: w -= learning_rate * g / (sqrt(s) + epsilon).

    As in Keras before 2.11, without momentum; otherwise `RMSprop`.

    Slots: those of `RMSprop`.
    """

    epsilon = Hyper(1e-7, "added to the root of the mean square", ge=0)

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        rms = slots["rms"] + (xp.square(grad) - slots["rms"]) * (1 - hyper.rho)
        new: Dict[str, Any] = {"rms": rms}
        square = rms
        if self.centered:
            mean = new["mg"] = slots["mg"] + (grad - slots["mg"]) * (1 - hyper.rho)
            square = xp.maximum(rms - xp.square(mean), 0.0)
        move = hyper.learning_rate * grad / (xp.sqrt(square) + hyper.epsilon)
        if "momentum" in slots:
            move = new["momentum"] = hyper.momentum * slots["momentum"] + move
        return param - move, new


class RMSpropFromOne(RMSprop):
    """RMSprop whose mean square starts at 1, as that of TensorFlow 1's RMSPropOptimizer does.

    Slots: those of `RMSprop`.
    """

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {**super().init(xp, param), "rms": xp.full_like(param, 1.0)}


class OuterAdagrad(Adagrad):
    """Adagrad with epsilon added to the root: w -= learning_rate * g / (sqrt(s) + epsilon).

    As in Keras before 2.11; otherwise `Adagrad`.

    Slots: those of `Adagrad`.
    """

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        accumulator = slots["accumulator"] + xp.square(grad)
        move = hyper.learning_rate * grad / (xp.sqrt(accumulator) + hyper.epsilon)
        return param - move, {"accumulator": accumulator}


class SlowNadam(Nadam):
    """Nadam with the paper's warm-up, mu_t = beta_1 * (1 - 0.5 * 0.96**(t * schedule_decay)).

    As in Keras before 2.11; otherwise `Nadam`.

    Slots and shared: those of `Nadam`.
    """

    schedule_decay = Hyper(0.004, "how fast the warm-up is", ge=0)

    def prepare(
        self,
        xp: Any,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Mapping[str, Any]],
        shared: Mapping[str, Any],
        hyper: Any,
        step: Any,
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        return grads, {"mu_product": shared["mu_product"] * _mu(hyper, step)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        following = _mu(hyper, step + 1)
        of_m = following / (1 - hyper.mu_product * following)
        of_grad = (1 - _mu(hyper, step)) / (1 - hyper.mu_product)
        root = xp.sqrt(v / (1 - hyper.beta_2**step)) + hyper.epsilon
        return param - hyper.learning_rate * (of_m * m + of_grad * grad) / root, {"m": m, "v": v}


def _mu(hyper: Any, step: Any) -> Any:
    """The momentum of a step."""
    return hyper.beta_1 * (1 - 0.5 * 0.96 ** (hyper.schedule_decay * step))


class NadamOfKerasAdamW(SlowNadam):
    """Nadam as keras-adamw's NadamW has it: mu_t where the paper has mu_(t+1), and epsilon inside the root.

    w -= learning_rate * (mu_t * m / (1 - product of mu up to t + 1) + (1 - mu_t) * g / (1 - product up to t))
    / sqrt(v_hat + epsilon).

    Slots and shared: those of `Nadam`.
    """

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        mu = _mu(hyper, step)
        of_m = mu / (1 - hyper.mu_product * _mu(hyper, step + 1))
        of_grad = (1 - mu) / (1 - hyper.mu_product)
        root = xp.sqrt(v / (1 - hyper.beta_2**step) + hyper.epsilon)
        return param - hyper.learning_rate * (of_m * m + of_grad * grad) / root, {"m": m, "v": v}

"""Nadam: Adam with Nesterov momentum."""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Tuple

from ..rule import Hyper, UpdateRule


class Nadam(UpdateRule):
    """Nadam: Dozat 2016, "Incorporating Nesterov Momentum into Adam", algorithm 2 with its warm-up of beta_1.

    mu_t = beta_1 * (1 - 0.5 * 0.96**t), where the paper has 0.96**(t / 250). Keras 2.11 and later leave the
    250 out, which ends the warm-up within a hundred steps, and so it is here. Earlier Keras and tf.keras have
    it, as schedule_decay=0.004, and so has PyTorch's NAdam, which with momentum_decay=1 is the same as this.
    Epsilon is added to the root of the bias-corrected second moment.

    The product of all mu so far belongs to all variables together and advances in every step, also for a
    variable that has no gradient in it.

    Slots: m and v, like the parameter. Shared: mu_product.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-7, "added to the root of the second moment", ge=0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {name: xp.zeros_like(param) for name in ("m", "v")}

    def init_shared(self, xp: Any) -> Mapping[str, Any]:
        return {"mu_product": xp.ones(())}

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
    return hyper.beta_1 * (1 - 0.5 * 0.96**step)

"""NadamW: Adam with Nesterov momentum and decoupled weight decay."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._static import check_number


class NadamW(UpdateRule):
    """Nesterov-accelerated Adam (Dozat 2016) with decoupled decay (Loshchilov & Hutter, arXiv:1711.05101).

    With `momentum_decay=None` the momentum is constant, as in the NadamW of optax and of MLCommons' AlgoPerf:
    the step is beta_1 * m / (1 - beta_1**(t + 1)) + (1 - beta_1) * g / (1 - beta_1**t), over the corrected
    root of v plus epsilon. With a number it follows Dozat's schedule,
    mu_t = beta_1 * (1 - 0.5 * 0.96**(t * momentum_decay)), as PyTorch's NAdam does (0.004 there; Keras' Nadam
    amounts to 1): the step is mu_(t+1) * m / (1 - product of mu up to t + 1)
    + (1 - mu_t) * g / (1 - product up to t). In both, m and v are Adam's, and the parameter first loses
    weight_decay * learning_rate of itself. Epsilon is added to the corrected root, as in algorithm 1 of Adam.

    Slots: m and v, like the parameter; mu_product, a scalar, with momentum_decay.

    Raises:
        HyperparameterError: momentum_decay is neither None nor a number of at least 0.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    weight_decay = Hyper(1e-4, "fraction of the parameter taken off a step, times the learning rate", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-8, "added to the root of the corrected second moment", ge=0)
    momentum_decay = Hyper(None, "speed of Dozat's momentum schedule; None for constant momentum")

    def _after_init(self) -> None:
        check_number(self, "momentum_decay", least=0)
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        slots = {"m": xp.zeros_like(param), "v": xp.zeros_like(param)}
        if self.momentum_decay is not None:
            slots["mu_product"] = xp.ones(())
        return slots

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        beta = hyper.beta_1
        m = slots["m"] + (grad - slots["m"]) * (1 - beta)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        new = {"m": m, "v": v}
        if self.momentum_decay is None:
            ahead = beta / (1 - beta ** (step + 1))
            now = (1 - beta) / (1 - beta**step)
        else:
            mu = beta * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))
            mu_next = beta * (1 - 0.5 * 0.96 ** ((step + 1) * self.momentum_decay))
            product = new["mu_product"] = slots["mu_product"] * mu
            ahead = mu_next / (1 - product * mu_next)
            now = (1 - mu) / (1 - product)
        root = xp.sqrt(v / (1 - hyper.beta_2**step)) + hyper.epsilon
        param = param * (1 - hyper.weight_decay * hyper.learning_rate)
        return param - hyper.learning_rate * (ahead * m + now * grad) / root, new

"""Adan: adaptive Nesterov momentum."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._static import check_flags


class Adan(UpdateRule):
    """Adan: Xie, Zhou, Li, Lin & Yan 2022, arXiv:2208.06677, algorithm 1, with the authors' code's details.

    The betas are the fractions kept, 1 minus the paper's, as in the authors' code. All three moments are
    bias-corrected, the difference of gradients is 0 in a variable's first step (the paper starts v at 0,
    too), and epsilon is added to the corrected root. Decay divides the parameter by 1 + learning_rate *
    weight_decay after the step (the proximal form of the paper); with no_prox it multiplies by
    1 - learning_rate * weight_decay before. The authors' max_grad_norm is an optimizer's global_clipnorm.

    Slots: m, v (of differences), n (second moment) and previous (the gradient), like the parameter; seen,
    a scalar, 0 until the variable's first step.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.98, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.92, "decay rate of the moment of gradient differences", ge=0, lt=1)
    beta_3 = Hyper(0.99, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-8, "added to the root of the corrected second moment", ge=0)
    weight_decay = Hyper(0.0, "decay, times the learning rate", ge=0)
    no_prox = Hyper(False, "whether to decay by multiplication before the step")

    def _after_init(self) -> None:
        check_flags(self, "no_prox")
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        slots = {name: xp.zeros_like(param) for name in ("m", "v", "n", "previous")}
        return {**slots, "seen": xp.zeros(())}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        rate, decay = hyper.learning_rate, hyper.learning_rate * hyper.weight_decay
        difference = (grad - slots["previous"]) * slots["seen"]
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        v = slots["v"] + (difference - slots["v"]) * (1 - hyper.beta_2)
        ahead = xp.square(grad + hyper.beta_2 * difference)
        n = slots["n"] + (ahead - slots["n"]) * (1 - hyper.beta_3)
        root = xp.sqrt(n / (1 - hyper.beta_3**step)) + hyper.epsilon
        move = m / (1 - hyper.beta_1**step) + v * (hyper.beta_2 / (1 - hyper.beta_2**step))
        if self.no_prox:
            param = param * (1 - decay) - rate * move / root
        else:
            param = (param - rate * move / root) / (1 + decay)
        new = {"m": m, "v": v, "n": n, "previous": grad, "seen": xp.ones_like(slots["seen"])}
        return param, new

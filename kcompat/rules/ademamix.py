"""AdEMAMix: Adam with a fast and a slow average of gradients."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._static import check_count


class AdEMAMix(UpdateRule):
    """AdEMAMix: Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137, algorithm 1, with its schedulers.

    w -= learning_rate * ((m_fast / (1 - beta_1**t) + alpha_t * m_slow) / (sqrt(v / (1 - beta_2**t)) +
    epsilon) + weight_decay * w). The slow average is not bias-corrected. Over the first `alpha_warmup` steps
    alpha_t grows linearly from 0, and over the first `beta_3_warmup` steps beta_3 grows from beta_1 so that
    the half-life of the average grows linearly (the paper, section 3); None for no warm-up, with which
    long runs are apt to diverge early. Both are usually the number of steps of the run. The default alpha is
    that of the authors' code, 2; the paper uses 5 to 8.

    Slots: m_fast, m_slow and v, like the parameter.

    Raises:
        HyperparameterError: a warm-up is neither None nor an integer of at least 1.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the fast average", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    beta_3 = Hyper(0.9999, "decay rate of the slow average, after its warm-up", gt=0, lt=1)
    alpha = Hyper(2.0, "weight of the slow average, after its warm-up", ge=0)
    epsilon = Hyper(1e-8, "added to the root of the corrected second moment", ge=0)
    weight_decay = Hyper(0.0, "fraction of the parameter taken off a step, times the learning rate", ge=0)
    alpha_warmup = Hyper(None, "steps over which alpha grows; None for none")
    beta_3_warmup = Hyper(None, "steps over which beta_3 grows from beta_1; None for none")

    def _after_init(self) -> None:
        check_count(self, "alpha_warmup", optional=True)
        check_count(self, "beta_3_warmup", optional=True)
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {name: xp.zeros_like(param) for name in ("m_fast", "m_slow", "v")}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        alpha, beta_3 = hyper.alpha, hyper.beta_3
        if self.alpha_warmup is not None:
            alpha = alpha * xp.minimum(step / self.alpha_warmup, 1.0)
        if self.beta_3_warmup is not None:
            done = xp.minimum(step / self.beta_3_warmup, 1.0)
            # The half-life is ln(0.5) / ln(beta), so what grows linearly is 1 / ln(beta). A start of 0
            # has no logarithm; the authors' code, too, takes 1e-8 then.
            start, end = xp.log(xp.maximum(hyper.beta_1, 1e-8)), xp.log(beta_3)
            beta_3 = xp.minimum(xp.exp(1 / ((1 - done) / start + done / end)), beta_3)
        fast = slots["m_fast"] + (grad - slots["m_fast"]) * (1 - hyper.beta_1)
        slow = slots["m_slow"] + (grad - slots["m_slow"]) * (1 - beta_3)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        root = xp.sqrt(v / (1 - hyper.beta_2**step)) + hyper.epsilon
        move = (fast / (1 - hyper.beta_1**step) + alpha * slow) / root + hyper.weight_decay * param
        return param - hyper.learning_rate * move, {"m_fast": fast, "m_slow": slow, "v": v}

"""AdaBound and AMSBound: Adam whose step sizes are bounded ever more tightly, towards those of SGD."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._static import check_flags, check_number


class AdaBound(UpdateRule):
    """AdaBound: Luo, Xiong, Liu & Sun 2019, arXiv:1902.09843, algorithm 2; with `amsbound`, AMSBound (3).

    The authors' code is followed where it departs from the paper: Adam's bias correction is in the step size
    that is clipped, the bounds are final_lr * (1 - 1 / (gamma * t + 1)) and final_lr * (1 + 1 / (gamma * t)),
    the step size does not fall with the root of t, and weight decay is added to the gradient.

    final_lr falls as the learning rate does: it is multiplied by learning_rate / base, where base is the
    learning rate of the variable's first step that was not 0, or `base_learning_rate` if that is given.
    Give it with a schedule that warms up, whose first rate is not the one that final_lr belongs to.

    Slots: m, v, and vhat with amsbound, like the parameter; base, a scalar, unless base_learning_rate is
    given.

    Raises:
        HyperparameterError: amsbound is no bool, or base_learning_rate no positive number.
    """

    learning_rate = Hyper(0.001, "Adam's step size, before clipping", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    final_lr = Hyper(0.1, "step size of the SGD that it becomes", ge=0)
    gamma = Hyper(0.001, "speed at which the bounds close", gt=0)
    epsilon = Hyper(1e-8, "added to the root of the second moment", ge=0)
    weight_decay = Hyper(0.0, "times the parameter, added to the gradient", ge=0)
    amsbound = Hyper(False, "whether to divide by the largest second moment so far")
    base_learning_rate = Hyper(None, "learning rate that final_lr belongs to; None for the first one met")

    def _after_init(self) -> None:
        check_flags(self, "amsbound")
        check_number(self, "base_learning_rate", above=0)
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        names = ("m", "v", "vhat") if self.amsbound else ("m", "v")
        slots = {name: xp.zeros_like(param) for name in names}
        if self.base_learning_rate is None:
            slots["base"] = xp.zeros(())
        return slots

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        rate = hyper.learning_rate
        grad = grad + hyper.weight_decay * param
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        new = {"m": m, "v": v}
        if self.base_learning_rate is None:
            base = new["base"] = xp.where(slots["base"] > 0, slots["base"], rate)
            # While the rate has been 0 only, so is the step.
            final = hyper.final_lr * rate / xp.where(base > 0, base, 1.0)
        else:
            final = hyper.final_lr * rate / self.base_learning_rate
        if self.amsbound:
            v = new["vhat"] = xp.maximum(slots["vhat"], v)
        corrected = rate * xp.sqrt(1 - hyper.beta_2**step) / (1 - hyper.beta_1**step)
        lower = final * (1 - 1 / (hyper.gamma * step + 1))
        upper = final * (1 + 1 / (hyper.gamma * step))
        size = xp.minimum(xp.maximum(corrected / (xp.sqrt(v) + hyper.epsilon), lower), upper)
        return param - size * m, new

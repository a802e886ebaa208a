"""Sophia: steps divided by an estimate of the Hessian's diagonal, and clipped."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._static import check_count, check_flags


class Sophia(UpdateRule):
    """Sophia-G: Liu, Li, Hall, Liang & Ma 2023, arXiv:2305.14342, algorithms 2 and 3.

    w loses learning_rate * weight_decay of itself; m = beta_1 * m + (1 - beta_1) * g; then
    w -= learning_rate * sign(m) * min(|m| / (rho * h + epsilon), 1). Every k = `hessian_every` steps (1, k +
    1, …) h = beta_2 * h + (1 - beta_2) * batch_size * g**2, before it is used. The Gauss-Newton-Bartlett
    estimate takes for that g the mean gradient over a batch of `batch_size` examples (tokens, for a language
    model) whose labels are *sampled from the model's own output*. Where g comes from, a rule can't decide:

    - By default it is the gradient that is there anyway, of the true labels. h is then the diagonal of the
      empirical Fisher, not of the Gauss-Newton matrix: cheaper, biased while the model fits badly, and not
      what the paper analyses.
    - With `sampled_labels` every (k + 1)-th call, beginning with the first, takes nothing but h from its
      gradient, and moves neither w nor m. Give that call the gradient of the loss on sampled labels, and the
      k others that of the true ones, and it is the paper's method. Those calls count as steps of the
      optimizer.

    The authors' code multiplies h by batch_size where it is used, not where it is kept: the same numbers, and
    another h slot. There, with epsilon = 1e-15, a first h of 0 gives sign steps, as it does here.

    Slots: m and h, like the parameter.

    Raises:
        HyperparameterError: hessian_every is no integer of at least 1, or sampled_labels no bool.
    """

    learning_rate = Hyper(1e-4, "step size, and the largest step of a weight", ge=0)
    beta_1 = Hyper(0.965, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.99, "decay rate of the Hessian estimate", ge=0, lt=1)
    rho = Hyper(0.04, "times the Hessian estimate; larger clips fewer weights", gt=0)
    weight_decay = Hyper(0.1, "fraction of the parameter taken off a step, times the learning rate", ge=0)
    batch_size = Hyper(5120.0, "examples (tokens) that the loss is the mean over", gt=0)
    epsilon = Hyper(1e-15, "added to the denominator", ge=0)
    hessian_every = Hyper(10, "steps between two Hessian estimates", static=True)
    sampled_labels = Hyper(False, "whether calls 1, k + 2, 2k + 3, … bring gradients for the Hessian only")

    def _after_init(self) -> None:
        check_count(self, "hessian_every")
        check_flags(self, "sampled_labels")
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"m": xp.zeros_like(param), "h": xp.zeros_like(param)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        period = float(self.hessian_every + 1 if self.sampled_labels else self.hessian_every)
        due = xp.remainder(step - 1, period) == 0
        h = slots["h"] + (hyper.batch_size * xp.square(grad) - slots["h"]) * (1 - hyper.beta_2)
        h = xp.where(due, h, slots["h"])
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        below = hyper.rho * h + hyper.epsilon
        # Where epsilon is 0 and nothing is known of the Hessian, the step is clipped.
        ratio = xp.where(below > 0, xp.minimum(xp.abs(m) / xp.where(below > 0, below, 1.0), 1.0), 1.0)
        new = param * (1 - hyper.learning_rate * hyper.weight_decay)
        new = new - hyper.learning_rate * xp.sign(m) * ratio
        if self.sampled_labels:
            new, m = xp.where(due, param, new), xp.where(due, slots["m"], m)
        return new, {"m": m, "h": h}

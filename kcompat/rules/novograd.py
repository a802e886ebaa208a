"""NovoGrad."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule


class NovoGrad(UpdateRule):
    """NovoGrad: Ginsburg et al. 2019, arXiv:1905.11286, algorithm 1, as TensorFlow Addons has it.

    The second moment is one number a variable, of the gradient's norm: in the first step v = ||g||^2, then
    v = beta_2 * v + (1 - beta_2) * ||g||^2. The momentum m = beta_1 * m - learning_rate * (g / (sqrt(v) +
    epsilon) + weight_decay * w) holds the learning rate, and w += m; in the paper the learning rate is
    outside, which differs once it changes. With grad_averaging what is in brackets is multiplied by
    1 - beta_1 from the second step on.

    Of a sparse gradient, only the rows present have their momentum and parameter updated.

    Slots: m, like the parameter; v, and vhat with amsgrad, scalars.
    """

    sparse = "rows"

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the momentum", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the squared norm", ge=0, lt=1)
    epsilon = Hyper(1e-7, "added to the root of the second moment", ge=0)
    weight_decay = Hyper(0.0, "fraction of the parameter added to the normalized gradient", ge=0)
    grad_averaging = Hyper(False, "whether the momentum is an average")
    amsgrad = Hyper(False, "whether to divide by the largest second moment so far")

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        slots = {"m": xp.zeros_like(param), "v": xp.zeros(())}
        if self.amsgrad:
            slots["vhat"] = xp.zeros(())
        return slots

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        kept = xp.where(step > 1, hyper.beta_2, 0.0)
        v = kept * slots["v"] + (1 - kept) * xp.sum(xp.square(grad))
        new = {"v": v}
        if self.amsgrad:
            v = new["vhat"] = xp.maximum(slots["vhat"], v)
        move = grad / (xp.sqrt(v) + hyper.epsilon) + hyper.weight_decay * param
        if self.grad_averaging:
            move = move * xp.where(step > 1, 1 - hyper.beta_1, 1.0)
        m = new["m"] = hyper.beta_1 * slots["m"] - hyper.learning_rate * move
        return param + m, new

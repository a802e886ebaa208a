"""AdaBelief."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper
from .rectified import Rectified


class AdaBelief(Rectified):
    """AdaBelief: Zhuang et al. 2020, arXiv:2010.07468, algorithm 1, as TensorFlow Addons has it.

    Adam whose second moment is that of the gradient's distance from its own average:
    v = beta_2 * v + (1 - beta_2) * (g - m)^2 + epsilon, where m holds g already; epsilon is added to v in
    each step, and to the corrected root again. With `rectify` the step is RAdam's (`RectifiedAdam`), which
    has the warm-up and weight decay described there too. amsgrad takes the maximum of the uncorrected v, as
    Addons does.

    A sparse gradient is a dense one with zeros. (In TensorFlow Addons only the rows present move, and the
    others' v decays without its (g - m)^2.)

    Slots: m, v, and vhat with amsgrad, all like the parameter.

    Raises:
        HyperparameterError: total_steps is no integer or negative.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-14, "added to the second moment and to its corrected root", ge=0)
    weight_decay = Hyper(0.0, "fraction of the parameter added to the step", ge=0)
    amsgrad = Hyper(False, "whether to divide by the largest second moment so far")
    rectify = Hyper(True, "whether to rectify the step, as RAdam does")
    sma_threshold = Hyper(5.0, "length of the moving average from which the step is adaptive")
    total_steps = Hyper(0, "steps of warm-up and decay together; 0 for neither", static=True)
    warmup_proportion = Hyper(0.1, "fraction of total_steps in which the learning rate rises", ge=0, le=1)
    min_lr = Hyper(0.0, "learning rate after total_steps", ge=0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        names = ("m", "v", "vhat") if self.amsgrad else ("m", "v")
        return {name: xp.zeros_like(param) for name in names}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        m = hyper.beta_1 * slots["m"] + (1 - hyper.beta_1) * grad
        v = hyper.beta_2 * slots["v"] + (1 - hyper.beta_2) * xp.square(grad - m) + hyper.epsilon
        new = {"m": m, "v": v}
        if self.amsgrad:
            v = new["vhat"] = xp.maximum(slots["vhat"], v)
        mean = m / (1 - hyper.beta_1**step)
        move = mean / (xp.sqrt(v / (1 - hyper.beta_2**step)) + hyper.epsilon)
        if self.rectify:
            adapts, factor = self.rectification(xp, hyper, step)
            move = xp.where(adapts, factor * move, mean)
        return param - self.rate(xp, hyper, step) * (move + hyper.weight_decay * param), new

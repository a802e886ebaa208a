"""Adam and its closest relatives: AMSGrad, AdamW."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule


class Adam(UpdateRule):
    """Adam: Kingma & Ba 2015, arXiv:1412.6980, in the form before section 2.1 ("epsilon hat").

    The bias corrections are folded into the learning rate and epsilon is added to the uncorrected root, as
    TensorFlow and Keras have always done; in algorithm 1 of the paper it is added to the corrected one.
    amsgrad: Reddi et al. 2018, the maximum taken of the uncorrected second moment, as Keras does.

    Slots: m, v, and vhat with amsgrad, all like the parameter.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-7, "added to the root of the second moment", ge=0)
    amsgrad = Hyper(False, "whether to divide by the largest second moment so far")

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        names = ("m", "v", "vhat") if self.amsgrad else ("m", "v")
        return {name: xp.zeros_like(param) for name in names}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        rate = hyper.learning_rate * xp.sqrt(1 - hyper.beta_2**step) / (1 - hyper.beta_1**step)
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        new = {"m": m, "v": v}
        if self.amsgrad:
            v = new["vhat"] = xp.maximum(slots["vhat"], v)
        return param - rate * m / (xp.sqrt(v) + hyper.epsilon), new


class AdamW(Adam):
    """Adam with decoupled weight decay: Loshchilov & Hutter 2019, arXiv:1711.05101.

    As in Keras, the parameter first loses weight_decay * learning_rate of itself, then Adam's step is taken.

    Slots: those of Adam.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    weight_decay = Hyper(0.004, "fraction of the parameter taken off a step, times the learning rate", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-7, "added to the root of the second moment", ge=0)
    amsgrad = Hyper(False, "whether to divide by the largest second moment so far")

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        param = param * (1 - hyper.weight_decay * hyper.learning_rate)
        return super().update(xp, grad, param, slots, hyper, step)

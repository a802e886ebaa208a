"""ADOPT: Adam that converges with any beta_2."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._static import check_flags, check_number


class ADOPT(UpdateRule):
    """ADOPT: Taniguchi et al. 2024, arXiv:2411.02853, algorithm 2 (with clipping).

    A variable's first step only sets v to the squared gradient. From then on the gradient is divided by
    max(sqrt(v), epsilon) with the v of before, clipped to n**clip_exponent in absolute value, n being the
    number of steps that the variable has done, averaged into m, and only then does v take in the gradient.
    The authors' code adds the weight decay to the gradient unless `decouple`; in the first step nothing
    decays.

    Slots: m and v, like the parameter; count, a scalar, the variable's own steps.

    Raises:
        HyperparameterError: clip_exponent is neither None nor a number of at least 0, or decouple no bool.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.9999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-6, "least value of the root of the second moment", gt=0)
    weight_decay = Hyper(0.0, "decay: added to the gradient or, decoupled, taken off", ge=0)
    decouple = Hyper(False, "whether to decay as AdamW does")
    clip_exponent = Hyper(0.25, "step n clips at n - 1 to this power; None for no clipping", static=True)

    def _after_init(self) -> None:
        check_flags(self, "decouple")
        check_number(self, "clip_exponent", least=0)
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"m": xp.zeros_like(param), "v": xp.zeros_like(param), "count": xp.zeros(())}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        first, started = slots["count"] == 0, xp.astype(slots["count"] > 0, param.dtype)
        if not self.decouple:
            grad = grad + hyper.weight_decay * param
        scaled = grad / xp.maximum(xp.sqrt(slots["v"]), hyper.epsilon)
        if self.clip_exponent is not None:
            limit = xp.where(first, 1.0, slots["count"]) ** self.clip_exponent
            scaled = xp.minimum(xp.maximum(scaled, -limit), limit)
        m = xp.where(first, slots["m"], slots["m"] + (scaled - slots["m"]) * (1 - hyper.beta_1))
        square = xp.square(grad)
        v = xp.where(first, square, slots["v"] + (square - slots["v"]) * (1 - hyper.beta_2))
        move = m
        if self.decouple:
            move = m + hyper.weight_decay * param
        return param - hyper.learning_rate * started * move, {"m": m, "v": v, "count": slots["count"] + 1}

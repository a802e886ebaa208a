"""Schedule-free SGD: averaging of the iterates in place of a learning-rate schedule."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule


class ScheduleFreeSGD(UpdateRule):
    """Schedule-Free SGD: Defazio et al. 2024, arXiv:2405.15682, equations (3) to (5), as the authors' code.

    The parameter that trains is y = (1 - momentum) * z + momentum * x, z takes the plain gradient steps, and
    x, their weighted average, is what to evaluate and save. x is not kept but follows from y and z:
    `optimizer.swap_averages()` puts it in the parameter's place, and the training point back. Don't train in
    between. A step has the weight t**r * (largest learning rate so far)**weight_lr_power; the learning rate
    grows linearly over the first `warmup_steps`. Weight decay is added to the gradient, at y.

    The authors' code sums the weights for all variables together; here each variable has its own sum, so that
    one that joins late, or has no gradient now and then, averages its own steps only.

    Slots: z, like the parameter; weight_sum and rate_max, scalars.
    """

    learning_rate = Hyper(1.0, "step size of z", ge=0)
    momentum = Hyper(0.9, "share of the average in the point that trains", gt=0, lt=1)
    weight_decay = Hyper(0.0, "times the parameter, added to the gradient", ge=0)
    warmup_steps = Hyper(0, "steps over which the learning rate grows to its value", ge=0)
    r = Hyper(0.0, "power of the step in the average's weights", ge=0)
    weight_lr_power = Hyper(2.0, "power of the largest learning rate in the average's weights", ge=0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"z": param * 1, "weight_sum": xp.zeros(()), "rate_max": xp.zeros(())}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        rate = hyper.learning_rate * xp.minimum(step / xp.maximum(hyper.warmup_steps, 1.0), 1.0)
        rate_max = xp.maximum(slots["rate_max"], rate)
        weight = step**hyper.r * rate_max**hyper.weight_lr_power
        total = slots["weight_sum"] + weight
        share = xp.where(total > 0, weight / xp.where(total > 0, total, 1.0), 0.0)
        grad = grad + hyper.weight_decay * param
        # y by its own recurrence, which does without x.
        y = param + (slots["z"] - param) * share + grad * (rate * (hyper.momentum * (1 - share) - 1))
        return y, {"z": slots["z"] - rate * grad, "weight_sum": total, "rate_max": rate_max}

    def swap(
        self, xp: Any, param: Any, slots: Mapping[str, Any], hyper: Any, averaged: bool
    ) -> Tuple[Any, Mapping[str, Any]]:
        share = 1 - 1 / hyper.momentum if averaged else 1 - hyper.momentum
        return param + (slots["z"] - param) * share, slots

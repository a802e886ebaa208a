"""Learning-rate-free Adam: D-Adaptation and Prodigy, which estimate the distance to the solution."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence, Tuple

from ..rule import Hyper, UpdateRule
from ._static import check_flags, check_number


class DAdaptAdam(UpdateRule):
    """Adam with D-Adaptation: Defazio & Mishchenko 2023, arXiv:2301.07733, algorithm 5, as the authors' code.

    d, a lower bound of the distance to the solution, multiplies the learning rate, which is left at 1 and may
    be scheduled from there. It grows with what the gradients of all variables together say and never falls; a
    step uses the d of before. The code departs from the paper in that m holds d * learning_rate, so that a
    step is m / (sqrt(v) + epsilon), and in its optional bias correction of the rate. `decouple=False` adds
    the weight decay to the gradient, as the authors' default has it. Their layer_scale and distributed
    reduction are left out; where replicas each see part of the variables, d would be of that part.

    Slots: m, v and s (the weighted sum of gradients), like the parameter. Shared: d, d_used (that of the
    step before) and numerator, scalars.

    Raises:
        HyperparameterError: d0 or growth_rate is out of bounds, or a flag no bool.
    """

    learning_rate = Hyper(1.0, "what d is multiplied by", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-8, "added to the root of the second moment", gt=0)
    weight_decay = Hyper(0.0, "decay: added to the gradient or, decoupled, taken off times d", ge=0)
    d0 = Hyper(1e-6, "first estimate of the distance", static=True)
    growth_rate = Hyper(None, "largest factor by which d grows in a step; None for no limit")
    decouple = Hyper(False, "whether to decay as AdamW does")
    use_bias_correction = Hyper(False, "whether to correct the moments' bias")

    def _after_init(self) -> None:
        check_number(self, "d0", above=0, optional=False)
        check_number(self, "growth_rate", least=1)
        check_flags(self, "decouple", "use_bias_correction")
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {name: xp.zeros_like(param) for name in ("m", "v", "s")}

    def init_shared(self, xp: Any) -> Mapping[str, Any]:
        return {"d": xp.full((), self.d0), "d_used": xp.full((), self.d0), "numerator": xp.zeros(())}

    def prepare(
        self,
        xp: Any,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Mapping[str, Any]],
        shared: Mapping[str, Any],
        hyper: Any,
        step: Any,
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        d, kept = shared["d"], xp.sqrt(hyper.beta_2)
        rate = d * _rate(self, xp, hyper, step)
        grads = _decayed(self, grads, params, hyper)
        inner: Any = 0.0
        size: Any = 0.0
        for grad, old in zip(grads, slots):
            inner = inner + xp.sum(grad * old["s"] / (xp.sqrt(old["v"]) + hyper.epsilon))
            size = size + xp.sum(xp.abs(kept * old["s"] + (1 - kept) * rate * grad))
        numerator = kept * shared["numerator"] + (1 - kept) * rate * inner
        # Without a gradient other than 0 so far nothing is learned.
        estimate = xp.where(size > 0, numerator / ((1 - kept) * xp.where(size > 0, size, 1.0)), d)
        if self.growth_rate is not None:
            estimate = xp.minimum(estimate, d * self.growth_rate)
        return grads, {"d": xp.maximum(d, estimate), "d_used": d, "numerator": numerator}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        rate, kept = hyper.d_used * _rate(self, xp, hyper, step), xp.sqrt(hyper.beta_2)
        m = hyper.beta_1 * slots["m"] + (1 - hyper.beta_1) * rate * grad
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        s = kept * slots["s"] + (1 - kept) * rate * grad
        if self.decouple:
            param = param * (1 - hyper.weight_decay * rate)
        return param - m / (xp.sqrt(v) + hyper.epsilon), {"m": m, "v": v, "s": s}


class Prodigy(UpdateRule):
    """Prodigy: Mishchenko & Defazio 2023, arXiv:2306.06101, algorithm 4, as the authors' code.

    As DAdaptAdam, with an estimate of the distance from <g, w_0 - w> that grows faster. d multiplies the
    gradients in m and v, and the step is d * learning_rate * m / (sqrt(v) + d * epsilon), of which only the d
    by epsilon is the new one. The learning rate is left at 1 and may be scheduled from there; `d_coef` is
    the authors' preferred way to tune. `use_bias_correction` (off in the authors' code, on in optax)
    multiplies the rate by Adam's correction, `safeguard_warmup` leaves the learning rate out of the
    denominator of the estimate, `decouple=False` adds the decay to the gradient. The authors' slice_p and
    distributed reduction are left out; where replicas each see part of the variables, d would be of that
    part.

    A variable's w_0 is its value when its slots are made. In a step at learning rate 0, in which the authors'
    code does nothing, the moments go on.

    Slots: m, v, s (the weighted sum of gradients) and w0, like the parameter. Shared: d, d_used (that of the
    step before), d_max and numerator, scalars.

    Raises:
        HyperparameterError: d0, growth_rate or beta_3 is out of bounds, or a flag no bool.
    """

    learning_rate = Hyper(1.0, "what d is multiplied by", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    beta_3 = Hyper(None, "decay rate of the sums that d is estimated from; None for the root of beta_2")
    epsilon = Hyper(1e-8, "added, times d, to the root of the second moment", gt=0)
    weight_decay = Hyper(0.0, "decay: taken off times d and the learning rate or, coupled, added", ge=0)
    d0 = Hyper(1e-6, "first estimate of the distance", static=True)
    d_coef = Hyper(1.0, "what the estimate of the distance is multiplied by", gt=0)
    growth_rate = Hyper(None, "largest factor by which d grows in a step; None for no limit")
    decouple = Hyper(True, "whether to decay as AdamW does")
    use_bias_correction = Hyper(False, "whether to correct the moments' bias")
    safeguard_warmup = Hyper(False, "whether the estimate's denominator leaves out the learning rate")

    def _after_init(self) -> None:
        check_number(self, "d0", above=0, optional=False)
        check_number(self, "growth_rate", least=1)
        check_number(self, "beta_3", least=0, below=1)
        check_flags(self, "decouple", "use_bias_correction", "safeguard_warmup")
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {**{name: xp.zeros_like(param) for name in ("m", "v", "s")}, "w0": param * 1}

    def init_shared(self, xp: Any) -> Mapping[str, Any]:
        shared = {name: xp.full((), self.d0) for name in ("d", "d_used", "d_max")}
        return {**shared, "numerator": xp.zeros(())}

    def prepare(
        self,
        xp: Any,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Mapping[str, Any]],
        shared: Mapping[str, Any],
        hyper: Any,
        step: Any,
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        d = shared["d"]
        rate = d * _rate(self, xp, hyper, step)
        grads = _decayed(self, grads, params, hyper)
        inner: Any = 0.0
        size: Any = 0.0
        for grad, param, old in zip(grads, params, slots):
            inner = inner + xp.sum(grad * (old["w0"] - param))
            size = size + xp.sum(xp.abs(self._sum(xp, old["s"], grad, d, hyper, step)))
        numerator = self._kept(xp, hyper) * shared["numerator"] + (d / self.d0) * rate * inner
        estimate = hyper.d_coef * numerator / xp.where(size > 0, size, 1.0)
        # Without a gradient other than 0 so far nothing is learned.
        estimate = xp.where(size > 0, estimate, d)
        d_max = xp.maximum(shared["d_max"], estimate)
        grown = d_max
        if self.growth_rate is not None:
            # The first estimate is taken as it is: d0 says nothing about the distance.
            start = xp.where(d == self.d0, xp.maximum(d, estimate), d)
            grown = xp.minimum(d_max, start * self.growth_rate)
        return grads, {"d": grown, "d_used": d, "d_max": d_max, "numerator": numerator}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        d = hyper.d_used
        rate = d * _rate(self, xp, hyper, step)
        scaled = d * grad
        m = slots["m"] + (scaled - slots["m"]) * (1 - hyper.beta_1)
        v = slots["v"] + (xp.square(scaled) - slots["v"]) * (1 - hyper.beta_2)
        s = self._sum(xp, slots["s"], grad, d, hyper, step)
        if self.decouple:
            param = param * (1 - hyper.weight_decay * rate)
        param = param - rate * m / (xp.sqrt(v) + hyper.d * hyper.epsilon)
        return param, {"m": m, "v": v, "s": s, "w0": slots["w0"]}

    def _kept(self, xp: Any, hyper: Any) -> Any:
        return xp.sqrt(hyper.beta_2) if self.beta_3 is None else self.beta_3

    def _sum(self, xp: Any, s: Any, grad: Any, d: Any, hyper: Any, step: Any) -> Any:
        """The weighted sum of gradients after this step; d by d0, so that it is not tiny."""
        weight = d if self.safeguard_warmup else d * _rate(self, xp, hyper, step)
        return self._kept(xp, hyper) * s + (d / self.d0) * weight * grad


def _rate(rule: Any, xp: Any, hyper: Any, step: Any) -> Any:
    """The learning rate, with Adam's bias correction if the rule wants it."""
    if not rule.use_bias_correction:
        return hyper.learning_rate
    return hyper.learning_rate * xp.sqrt(1 - hyper.beta_2**step) / (1 - hyper.beta_1**step)


def _decayed(rule: Any, grads: Sequence[Any], params: Sequence[Any], hyper: Any) -> List[Any]:
    """The gradients, with coupled weight decay added."""
    if rule.decouple:
        return list(grads)
    return [grad + hyper.weight_decay * param for grad, param in zip(grads, params)]

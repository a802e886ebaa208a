"""keras-adamw's scheme: one factor, eta_t, anneals the learning rate and the weight decay together."""

from __future__ import annotations

import math
from typing import Any, Mapping, Sequence, Tuple

from ..errors import HyperparameterError, RuleError
from ..rule import Hyper, HyperValues, UpdateRule
from .base import Transform
from .decay import NormalizedWeightDecay, normalized_decay
from .partition import require_learning_rate
from .patterns import matches


class AnnealedWeightDecay(NormalizedWeightDecay):
    """Normalized weight decay whose eta_t multiplies the rule's learning rate, too.

    Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2 with appendix B, in the form that keras-adamw
    gives it. Arguments are those of `NormalizedWeightDecay`.

    Raises:
        RuleError: the rule has no learning rate.
    """

    def _after_init(self) -> None:
        require_learning_rate(self.inner, "Annealed weight decay: it would")
        super()._after_init()

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        copy = self.around(self.inner.for_variable(name, shape))
        fitting = ((l1, l2) for pattern, l1, l2 in self.weight_decays if matches(pattern, name, shape))
        copy.__dict__["_factors"] = tuple(map(float, next(fitting, (0.0, 0.0))))
        return copy

    def prepare(
        self,
        xp: Any,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Mapping[str, Any]],
        shared: Mapping[str, Any],
        hyper: HyperValues,
        step: Any,
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        return super().prepare(xp, grads, params, slots, shared, _scaled(hyper, hyper.eta_t), step)

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        return super().update(xp, grad, param, slots, _scaled(hyper, hyper.eta_t), step)


class WarmRestarts(Transform):
    """keras-adamw's scheme with its variables: t_cur and eta_t are state, which may be set between steps.

    A step multiplies the rule's learning rate, and the normalized decay of Loshchilov & Hutter 2019,
    arXiv:1711.05101, appendix B, by eta_t as it stands. After that t_cur goes up by 1, or from
    total_iterations - 1 to 0 with `autorestart`, and eta_t becomes
    eta_min + (eta_max - eta_min) * (1 + cos(pi * t_cur / (total_iterations - 1))) / 2, with
    `use_cosine_annealing`. So t_cur = -1 begins a new cycle with the step after next.

    Shared scalars: t_cur and eta_t of the next step; eta_t_applied, which the last step took.

    Args:
        inner: the rule.
        weight_decays: name of a variable -> (l1, l2), or l2 alone; with or without ":0".
        lr_multipliers: part of a variable's name -> factor of its learning rate; the first that fits.
        total_iterations: steps of a cycle, which normalize the decay. Up to 1, nothing decays or is annealed.
        total_iterations_wd: what normalizes the decay, if not total_iterations.
        use_cosine_annealing: whether eta_t follows t_cur.
        autorestart: whether a new cycle begins by itself.
        eta_min, eta_max: bounds of eta_t.
        t_cur, eta_t: what they are in the first step.

    Raises:
        HyperparameterError: a bad decay, factor or number.
        RuleError: the rule has no learning rate, or a shared scalar of one of these names.
    """

    weight_decays = Hyper({}, "name of a variable -> (l1, l2)", static=True)
    lr_multipliers = Hyper({}, "part of a variable's name -> factor", static=True)
    total_iterations = Hyper(0, "steps of a cycle", static=True)
    total_iterations_wd = Hyper(None, "steps that normalize the decay, if others")
    use_cosine_annealing = Hyper(False, "whether eta_t follows t_cur")
    autorestart = Hyper(False, "whether a new cycle begins by itself")
    eta_min = Hyper(0.0, "least eta_t")
    eta_max = Hyper(1.0, "largest eta_t")
    t_cur = Hyper(0, "where in its cycle the first step is", static=True)
    eta_t = Hyper(1.0, "the factor of the first step", static=True)

    _factors = (1.0, 0.0, 0.0)

    def _after_init(self) -> None:
        values = self._hyper_values
        values["weight_decays"] = {
            str(name): _l1_and_l2(name, given) for name, given in dict(values["weight_decays"]).items()
        }
        values["lr_multipliers"] = dict(values["lr_multipliers"])
        for name, factor in values["lr_multipliers"].items():
            if not _is_number(factor) or not factor >= 0:
                raise HyperparameterError(
                    "WarmRestarts: the factor of {!r} is {!r}; expected a number that is not "
                    "negative.".format(name, factor)
                )
        for name in ("total_iterations", "total_iterations_wd", "t_cur"):
            number = values[name] or 0
            if not _is_number(number) or number != int(number) or not (number >= 0 or name == "t_cur"):
                raise HyperparameterError(
                    "WarmRestarts({}={!r}): expected a whole number{}.".format(
                        name, number, "" if name == "t_cur" else " that is not negative"
                    )
                )
        if not _is_number(values["eta_t"]):
            raise HyperparameterError("WarmRestarts(eta_t={!r}): expected a number.".format(values["eta_t"]))
        require_learning_rate(self.inner, "Warm restarts: they would")
        super()._after_init()

    @property
    def needs_all(self) -> bool:
        return True

    def init_shared(self, xp: Any) -> Mapping[str, Any]:
        inside = self.inner.init_shared(xp)
        eta_t = xp.zeros(()) + float(self.eta_t)
        own = {"t_cur": xp.zeros(()) + float(self.t_cur), "eta_t": eta_t, "eta_t_applied": eta_t}
        for name in own:
            if name in inside:
                raise RuleError(
                    "WarmRestarts: the rule inside, {}, has a shared scalar {!r} too.".format(
                        type(self.inner).__name__, name
                    )
                )
        return {**inside, **own}

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        copy = self.around(self.inner.for_variable(name, shape))
        fitting = (factor for part, factor in self.lr_multipliers.items() if _bare(part) in name)
        decays = {_bare(key): value for key, value in self.weight_decays.items()}
        l1, l2 = decays.get(_bare(name), (0.0, 0.0)) if self.total_iterations > 1 else (0.0, 0.0)
        copy.__dict__["_factors"] = (float(next(fitting, 1.0)), l1, l2)
        return copy

    def prepare(
        self,
        xp: Any,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Mapping[str, Any]],
        shared: Mapping[str, Any],
        hyper: HyperValues,
        step: Any,
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        t_cur, eta_t = shared["t_cur"], shared["eta_t"]
        inside = {name: shared[name] for name in shared if name not in ("t_cur", "eta_t", "eta_t_applied")}
        seen, new = super().prepare(xp, grads, params, slots, inside, _scaled(hyper, xp.scalar(eta_t)), step)
        own = {"t_cur": t_cur + 1, "eta_t": eta_t, "eta_t_applied": eta_t}
        if self.autorestart:
            own["t_cur"] = xp.where(t_cur == self.total_iterations - 1, xp.zeros(()), t_cur + 1)
        if self.use_cosine_annealing and self.total_iterations > 1:
            half = 0.5 * (1 + xp.cos(math.pi * own["t_cur"] / (self.total_iterations - 1)))
            own["eta_t"] = hyper.eta_min + (hyper.eta_max - hyper.eta_min) * half
        return seen, {**new, **own}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        multiplier, l1, l2 = self._factors
        eta_t = xp.scalar(hyper.eta_t_applied)
        moved, new = super().update(xp, grad, param, slots, _scaled(hyper, eta_t * multiplier), step)
        if l1 or l2:
            steps = self.total_iterations_wd or self.total_iterations
            moved = moved - eta_t * normalized_decay(xp, param, l1, l2, steps)
        return moved, new


def _scaled(hyper: HyperValues, factor: Any) -> HyperValues:
    """The same hyperparameters with the learning rate of the rules inside times a factor."""
    inner = hyper.inner.mapped("learning_rate", lambda rate: rate * factor)
    return HyperValues(hyper._where, hyper._own, {"inner": inner}, hyper._shared)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _l1_and_l2(name: str, given: Any) -> Tuple[float, float]:
    found = tuple(given) if isinstance(given, (list, tuple)) else (0.0, given)
    if len(found) != 2 or not all(_is_number(each) and each >= 0 for each in found):
        raise HyperparameterError(
            "WarmRestarts: the weight decay of {!r} is {!r}; expected (l1, l2), two numbers that are not "
            "negative.".format(name, given)
        )
    return float(found[0]), float(found[1])


def _bare(name: str) -> str:
    return name[: -len(":0")] if name.endswith(":0") else name

"""keras-adamw's scheme: one factor, eta_t, anneals the learning rate and the weight decay together."""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Tuple

from ..rule import HyperValues, UpdateRule
from .decay import NormalizedWeightDecay
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

    def _annealed(self, hyper: HyperValues) -> HyperValues:
        return HyperValues(
            hyper._where,
            hyper._own,
            {"inner": hyper.inner.mapped("learning_rate", lambda rate: rate * hyper.eta_t)},
            hyper._shared,
        )

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
        return super().prepare(xp, grads, params, slots, shared, self._annealed(hyper), step)

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        return super().update(xp, grad, param, slots, self._annealed(hyper), step)

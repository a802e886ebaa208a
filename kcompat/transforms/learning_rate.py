"""Inverse-time decay of the learning rate: the `decay` argument that Keras 2's optimizers had."""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Tuple

from ..errors import RuleError
from ..rule import Hyper, HyperValues, dynamic_hypers
from .base import Transform


class InverseTimeDecay(Transform):
    """Divides the learning rate by 1 + decay * (number of steps done), as Keras 1 and 2 did.

    Raises:
        RuleError: the rule has no learning rate.
    """

    decay = Hyper(doc="how fast the learning rate falls, per step", ge=0)

    def _after_init(self) -> None:
        if not any(path.rpartition(".")[2] == "learning_rate" for path in dynamic_hypers(self.inner)):
            raise RuleError(
                "decay divides the learning rate, and {} has none. Leave decay out.".format(
                    type(self.inner).__name__
                )
            )
        super()._after_init()

    def _decayed(self, hyper: HyperValues, step: Any) -> HyperValues:
        divisor = 1 + hyper.decay * (step - 1)
        return hyper.inner.mapped("learning_rate", lambda rate: rate / divisor)

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
        if not self.inner.needs_all:
            return grads, shared
        return self.inner.prepare(xp, grads, params, slots, shared, self._decayed(hyper, step), step)

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        return self.inner.update(xp, grad, param, slots, self._decayed(hyper, step), step)

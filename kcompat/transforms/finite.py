"""Steps with a NaN or an infinity in a gradient, left out."""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Tuple

from ..errors import RuleError
from ..rule import HyperValues
from .base import Transform


class SkipNonFinite(Transform):
    """Leaves out a step in which any gradient has a NaN or an infinity: no parameter and no slot changes.

    The host counts the step all the same, and schedules see it; the rule inside does not, so its bias
    corrections are those of the steps that were taken.

    Shared scalars: skipped_steps, how many were left out; step_is_finite, 1 if the last one was taken.

    Raises:
        RuleError: the rule inside has a shared scalar of one of these names.
    """

    @property
    def needs_all(self) -> bool:
        return True

    def init_shared(self, xp: Any) -> Mapping[str, Any]:
        inside = self.inner.init_shared(xp)
        own = {"skipped_steps": xp.zeros(()), "step_is_finite": xp.ones(())}
        for name in own:
            if name in inside:
                raise RuleError(
                    "SkipNonFinite: the rule inside, {}, has a shared scalar {!r} too.".format(
                        type(self.inner).__name__, name
                    )
                )
        return {**inside, **own}

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
        finite = xp.all(xp.isfinite(grads[0]))
        for grad in grads[1:]:
            finite = finite & xp.all(xp.isfinite(grad))
        skipped = shared["skipped_steps"] + xp.where(finite, xp.zeros(()), xp.ones(()))
        # Zeros, so that what is worked out for nothing has no NaN in it: some hosts are told to stop at one.
        grads = [xp.where(finite, grad, 0.0) for grad in grads]
        old = {name: shared[name] for name in shared if name not in ("skipped_steps", "step_is_finite")}
        step = _taken(xp, step, skipped)
        seen, new = super().prepare(xp, grads, params, slots, old, hyper, step)
        kept = {name: xp.where(finite, new[name], old[name]) for name in old}
        is_finite = xp.where(finite, xp.ones(()), xp.zeros(()))
        return seen, {**kept, "skipped_steps": skipped, "step_is_finite": is_finite}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        finite = hyper.step_is_finite > 0.5
        step = _taken(xp, step, hyper.skipped_steps)
        moved, new = self.inner.update(xp, grad, param, slots, hyper.inner, step)
        kept = {name: xp.where(finite, new[name], slots[name]) for name in slots}
        return xp.where(finite, moved, param), kept


def _taken(xp: Any, step: Any, skipped: Any) -> Any:
    """Which of the steps that were taken this is; in one that is left out, any that divides nothing by 0."""
    return xp.maximum(step - xp.scalar(skipped), 1.0)

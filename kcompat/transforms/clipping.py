"""Gradient clipping: by value, by each variable's norm, by the norm of all gradients together.

What is clipped is the gradient after duplicate indices of a sparse gradient were summed, and after it was
aggregated over replicas.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Tuple

from ..rule import Hyper, HyperValues
from .base import GradientTransform, Transform


class ClipByValue(GradientTransform):
    """Clips every element of every gradient to [-clipvalue, clipvalue]."""

    clipvalue = Hyper(doc="largest absolute value of an element", ge=0)

    def change(self, xp: Any, grad: Any, hyper: HyperValues) -> Any:
        return xp.clip(grad, -hyper.clipvalue, hyper.clipvalue)


class ClipByNorm(GradientTransform):
    """Scales each variable's gradient so that its L2 norm is at most clipnorm.

    A gradient whose norm is not larger is left as it is. One with a NaN or Inf becomes NaN, where it is not
    finite or the norm is not.
    """

    clipnorm = Hyper(doc="largest L2 norm of one variable's gradient", ge=0)

    def change(self, xp: Any, grad: Any, hyper: HyperValues) -> Any:
        return grad * _scale(xp, xp.linalg.vector_norm(grad), hyper.clipnorm)


class ClipByGlobalNorm(Transform):
    """Scales all gradients by one factor so that the L2 norm over all of them is at most global_clipnorm."""

    global_clipnorm = Hyper(doc="largest L2 norm over all gradients", ge=0)

    @property
    def needs_all(self) -> bool:
        return True

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
        total = sum(xp.sum(xp.square(grad)) for grad in grads)
        scale = _scale(xp, xp.sqrt(total), hyper.global_clipnorm)
        grads = [grad * scale for grad in grads]
        return super().prepare(xp, grads, params, slots, shared, hyper, step)


def _scale(xp: Any, norm: Any, limit: Any) -> Any:
    """limit/norm where the norm is larger than the limit, else 1; 0 for a limit and norm of 0."""
    one = xp.ones_like(norm)
    return xp.where(norm > limit, limit / xp.where(norm > limit, norm, one), one)

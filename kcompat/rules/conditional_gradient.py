"""The conditional gradient (Frank-Wolfe) method."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..errors import HyperparameterError
from ..rule import Hyper, UpdateRule


class ConditionalGradient(UpdateRule):
    """Frank-Wolfe over a ball of radius lambda_: Jaggi 2013 (ICML), Ravi et al. 2018, arXiv:1803.06453.

    w = learning_rate * w - (1 - learning_rate) * lambda_ * s, where -lambda_ * s is the point of the ball at
    which the gradient's linear model is smallest. learning_rate is the fraction of w that is kept, as in
    TensorFlow Addons; 1 stands still.

    ord "fro": s = g / (||g|| + epsilon), over all elements. ord "nuclear": s = u v^T of the gradient's
    largest singular value, which has no epsilon; scalars and vectors are matrices of one row, so s = g /
    ||g||; where g is 0 so is s (Addons has whatever vectors its SVD gives for 0). With equal largest singular
    values s is not unique.

    Of a sparse gradient, only the rows present are updated. No slots; `AddonsConditionalGradient` has that
    of Addons, which is never read.

    Raises:
        HyperparameterError: another `ord`.
        ValueError: ord is "nuclear" and a variable has more than two axes.
    """

    sparse = "rows"

    learning_rate = Hyper(doc="fraction of the parameter kept in a step", ge=0, le=1)
    lambda_ = Hyper(0.01, "radius of the ball", ge=0)
    epsilon = Hyper(1e-7, "added to the gradient's norm (ord fro)", ge=0)
    ord = Hyper("fro", '"fro" or "nuclear": the norm of the ball')

    def _after_init(self) -> None:
        if self.ord not in ("fro", "nuclear"):
            raise HyperparameterError(
                'ConditionalGradient(ord={!r}): expected "fro" or "nuclear".'.format(self.ord)
            )
        super()._after_init()

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        if self.ord == "nuclear" and len(shape) > 2:
            raise ValueError(
                'ConditionalGradient(ord="nuclear"): the variable {!r} has shape {}; expected at most '
                'two axes, for the nuclear norm is that of a matrix. Use ord="fro".'.format(name, shape)
            )
        return self

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        if self.ord == "fro":
            corner = grad / (xp.linalg.vector_norm(grad) + hyper.epsilon)
        else:
            corner = _leading(xp, grad)
        rate = hyper.learning_rate
        return rate * param - (1 - rate) * hyper.lambda_ * corner, {}


class AddonsConditionalGradient(ConditionalGradient):
    """The same with the slot that TensorFlow Addons makes and never uses, so that its checkpoints fit.

    Slots: conditional_gradient, zeros like the parameter.
    """

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"conditional_gradient": xp.zeros_like(param)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        return super().update(xp, grad, param, slots, hyper, step)[0], slots


def _leading(xp: Any, grad: Any) -> Any:
    """u v^T of the largest singular value, or 0 for a gradient of 0."""
    if 0 in grad.shape:
        return grad
    if grad.ndim < 2:
        size = xp.linalg.vector_norm(grad)
        return grad / xp.where(size > 0, size, 1.0)
    u, s, vh = xp.linalg.svd(grad, full_matrices=False)
    outer = xp.expand_dims(u[:, 0], axis=1) * xp.expand_dims(vh[0, :], axis=0)
    return xp.where(s[0] > 0, outer, 0.0)

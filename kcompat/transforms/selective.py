"""Transforms of gradients, of some variables only: AGC, gradient centralization, L1 and L2 penalties."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence, Tuple

from ..errors import RuleError
from ..rule import Hyper, HyperValues, UpdateRule
from .base import Transform
from .patterns import check_patterns, selected


class SelectiveGradientTransform(Transform):
    """A transform that changes each gradient by itself, of the variables that `include` and `exclude` leave.

    A subclass declares the hyperparameters `include` and `exclude` and defines `change`. Where a rule inside
    sees all gradients at once, a variable that is left out is known by an empty slot: a scalar, named as
    `marker` says.

    What `change` is given as the parameter is its value before the step if a rule inside sees all gradients
    at once; else transforms around this one, such as weight decay, have changed it already. Put this one
    around those, and there is no difference.
    """

    _applies = True

    def _after_init(self) -> None:
        for name in ("include", "exclude"):
            check_patterns("{}({}=...)".format(type(self).__name__, name), self._hyper_values[name])
        super()._after_init()

    def change(self, xp: Any, grad: Any, param: Any, hyper: HyperValues) -> Any:
        """The gradient that the rule inside is to see.

        Args:
            xp: the array namespace.
            grad, param: one variable's gradient and its value, of the same shape.
            hyper: this transform's hyperparameters.
        """
        raise NotImplementedError("{} does not define change()".format(type(self).__name__))

    @property
    def marker(self) -> str:
        """The slot by which a variable that is left out is known."""
        return "without_{}".format(type(self).__name__)

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        inner = self.inner.for_variable(name, shape)
        values = self._hyper_values
        if selected(values["include"], values["exclude"], name, shape):
            return self if inner is self.inner else self.around(inner)
        if not self.needs_all:
            return inner
        copy = self.around(inner)
        copy.__dict__["_applies"] = False
        return copy

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        slots = self.inner.init(xp, param)
        return slots if self._applies else self.slots_with(slots, **{self.marker: xp.zeros(())})

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
        grads = [
            grad if self.marker in slot else self.change(xp, grad, param, hyper)
            for grad, param, slot in zip(grads, params, slots)
        ]
        inside = [self._inside(slot) for slot in slots]
        return super().prepare(xp, grads, params, inside, shared, hyper, step)

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        if self._applies and not self.prepared:
            grad = self.change(xp, grad, param, hyper)
        param, new = self.inner.update(xp, grad, param, self._inside(slots), hyper.inner, step)
        return param, {**slots, **new}

    def swap(
        self, xp: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, averaged: bool
    ) -> Tuple[Any, Mapping[str, Any]]:
        param, new = self.inner.swap(xp, param, self._inside(slots), hyper.inner, averaged)
        return param, {**slots, **new}

    @property
    def has_averages(self) -> bool:
        return self.inner.has_averages

    def _inside(self, slots: Mapping[str, Any]) -> Dict[str, Any]:
        return {name: value for name, value in slots.items() if name != self.marker}


class AdaptiveGradientClipping(SelectiveGradientTransform):
    """AGC: Brock et al. 2021, arXiv:2102.06171, equation 3.

    Each unit's gradient G is scaled to at most clipping * max(|W|, epsilon) / |G|, with the norms of that
    unit's gradient and weights. The units are the last axis, as Keras lays out kernels (inputs first); a
    vector or scalar is one unit. The paper leaves the last layer's variables out: `exclude=["head"]`.

    Args:
        inner: the rule inside.
        clipping: the largest norm of a unit's gradient, as a part of that of its weights.
        epsilon: the least that such a norm of weights counts for.
        include, exclude: which variables, as in `WeightDecay`; all by default.

    Raises:
        RuleError: the rule is `sparse = "rows"`: a unit's norm is over all rows.
    """

    clipping = Hyper(0.01, "largest norm of a unit's gradient, as a fraction of its weights' norm", ge=0)
    epsilon = Hyper(1e-3, "least norm of a unit's weights", ge=0)
    include = Hyper([], "patterns of the variables that are meant; all, if there are none")
    exclude = Hyper([], "patterns of variables that are left out")

    def _after_init(self) -> None:
        _refuse_rows(self, "a unit's norm")
        super()._after_init()

    def change(self, xp: Any, grad: Any, param: Any, hyper: HyperValues) -> Any:
        limit = hyper.clipping * xp.maximum(_unit_norms(xp, param), hyper.epsilon)
        norm = _unit_norms(xp, grad)
        over = norm > limit
        return grad * xp.where(over, limit / xp.where(over, norm, 1.0), 1.0)


class GradientCentralization(SelectiveGradientTransform):
    """Takes the mean off each unit's gradient: Yong et al. 2020, arXiv:2004.01461, equation 1.

    The units are the last axis, as Keras lays out kernels; the gradients of vectors and scalars are left
    alone.

    Args:
        inner: the rule inside.
        include, exclude: which variables, as in `WeightDecay`; all by default.

    Raises:
        RuleError: the rule is `sparse = "rows"`: the mean is over all rows.
    """

    include = Hyper([], "patterns of the variables that are meant; all, if there are none")
    exclude = Hyper([], "patterns of variables that are left out")

    def _after_init(self) -> None:
        _refuse_rows(self, "the mean")
        super()._after_init()

    def change(self, xp: Any, grad: Any, param: Any, hyper: HyperValues) -> Any:
        if grad.ndim < 2 or grad.size == 0:
            return grad
        return grad - xp.mean(grad, axis=tuple(range(grad.ndim - 1)), keepdims=True)


class Regularization(SelectiveGradientTransform):
    """Adds to each gradient that of a penalty l1 * sum(|w|) + l2 * sum(w**2): coupled decay.

    The penalty is that of `keras.regularizers.L1L2`, so the gradient gets l1 * sign(w) + 2 * l2 * w. What
    PyTorch calls weight_decay is 2 * l2. With sparse gradients every row is penalized if the rule is
    `sparse = "dense"`, only the rows present if it is "rows".

    Args:
        inner: the rule inside.
        l1: the factor of the sum of absolute values.
        l2: the factor of the sum of squares.
        include, exclude: which variables, as in `WeightDecay`; all by default.
    """

    l1 = Hyper(0.0, "factor of the sum of absolute values", ge=0)
    l2 = Hyper(0.0, "factor of the sum of squares", ge=0)
    include = Hyper([], "patterns of the variables that are meant; all, if there are none")
    exclude = Hyper([], "patterns of variables that are left out")

    def change(self, xp: Any, grad: Any, param: Any, hyper: HyperValues) -> Any:
        return grad + hyper.l1 * xp.sign(param) + 2 * hyper.l2 * param


def _unit_norms(xp: Any, x: Any) -> Any:
    axes = tuple(range(x.ndim - 1)) if x.ndim > 1 else tuple(range(x.ndim))
    return xp.sqrt(xp.sum(xp.square(x), axis=axes, keepdims=True)) if axes else xp.abs(x)


def _refuse_rows(transform: Transform, what: str) -> None:
    if transform.inner.sparse == "rows":
        raise RuleError(
            '{} with {}: its sparse = "rows" shows only the rows that are present, and {} is over all of '
            "them.".format(type(transform).__name__, type(transform.inner).__name__, what)
        )

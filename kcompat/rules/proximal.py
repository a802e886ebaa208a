"""Adaptive rules with a proximal step for l1 and l2 regularization: ProximalAdagrad, Yogi."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..errors import HyperparameterError
from ..rule import Hyper, UpdateRule


def proximal(xp: Any, param: Any, rate: Any, l1: Any, l2: Any) -> Any:
    """The proximal operator of l1 * |w| + l2 / 2 * w^2 with step size `rate`: Duchi & Singer 2009, FOBOS.

    sign(w) * max(|w| - rate * l1, 0) / (1 + rate * l2). With l1 = l2 = 0 it is `param` itself.

    Args:
        xp: the array namespace.
        param: the parameter after its gradient step.
        rate: the step size, of the parameter's shape.
        l1, l2: the strengths, scalars.
    """
    return xp.sign(param) * xp.maximum(xp.abs(param) - rate * l1, 0) / (1 + rate * l2)


class ProximalAdagrad(UpdateRule):
    """Adagrad with a proximal step: Duchi et al. 2011 (JMLR 12), Duchi & Singer 2009 (FOBOS).

    TensorFlow's: accumulator += g^2, rate = learning_rate / sqrt(accumulator), and the proximal operator of
    the l1 and l2 strengths follows the step w - rate * g. There is no epsilon: where the accumulator is 0
    because initial_accumulator_value is and the gradient too, the parameter is left alone (TensorFlow makes
    it NaN).

    Of a sparse gradient, only the rows present are updated, and shrink.

    Slots: accumulator, like the parameter.
    """

    sparse = "rows"

    learning_rate = Hyper(0.001, "step size", ge=0)
    initial_accumulator_value = Hyper(0.1, "what the accumulator starts at", ge=0, static=True)
    l1_regularization_strength = Hyper(0.0, "strength of l1 regularization", ge=0)
    l2_regularization_strength = Hyper(0.0, "strength of l2 regularization", ge=0)

    def _after_init(self) -> None:
        _check_start("ProximalAdagrad", self.initial_accumulator_value)
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"accumulator": xp.full_like(param, self.initial_accumulator_value)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        accumulator = slots["accumulator"] + xp.square(grad)
        seen = accumulator > 0
        rate = xp.where(seen, hyper.learning_rate / xp.sqrt(xp.where(seen, accumulator, 1.0)), 0.0)
        moved = param - rate * grad
        moved = proximal(xp, moved, rate, hyper.l1_regularization_strength, hyper.l2_regularization_strength)
        return moved, {"accumulator": accumulator}


class Yogi(UpdateRule):
    """Yogi: Zaheer et al. 2018 (NeurIPS), as TensorFlow Addons has it.

    Adam whose second moment moves towards g^2 by a step of the size of g^2, not of the difference:
    v += (1 - beta2) * sign(g^2 - v) * g^2; activation "tanh" has tanh(10 (g^2 - v)) for the sign. The bias
    corrections are folded into the learning rate and epsilon is added to the uncorrected root, as in `Adam`.
    The proximal operator of the l1 and l2 strengths follows the step.

    With beta1 = 0 there is no first moment, and the step is the gradient's. A sparse gradient is a dense one
    with zeros. (In TensorFlow Addons the first moment of all rows decays, and only the rows present move.)

    Slots: v, starting at initial_accumulator_value, and m if beta1 is not 0, both like the parameter.

    Raises:
        HyperparameterError: another activation, or a start that is no number of at least 0.
    """

    learning_rate = Hyper(0.01, "step size", ge=0)
    beta1 = Hyper(0.9, "decay rate of the first moment; 0 keeps none", ge=0, lt=1)
    beta2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-3, "added to the root of the second moment", ge=0)
    l1_regularization_strength = Hyper(0.0, "strength of l1 regularization", ge=0)
    l2_regularization_strength = Hyper(0.0, "strength of l2 regularization", ge=0)
    initial_accumulator_value = Hyper(1e-6, "what the second moment starts at", ge=0, static=True)
    activation = Hyper("sign", '"sign" or "tanh": how the second moment moves')

    def _after_init(self) -> None:
        if self.activation not in ("sign", "tanh"):
            raise HyperparameterError(
                'Yogi(activation={!r}): expected "sign" or "tanh".'.format(self.activation)
            )
        _check_start("Yogi", self.initial_accumulator_value)
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        slots = {"v": xp.full_like(param, self.initial_accumulator_value)}
        if not (isinstance(self.beta1, (int, float)) and self.beta1 == 0):
            slots["m"] = xp.zeros_like(param)
        return slots

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        square = xp.square(grad)
        away = square - slots["v"]
        towards = xp.sign(away) if self.activation == "sign" else xp.tanh(10 * away)
        v = slots["v"] + (1 - hyper.beta2) * towards * square
        new = {"v": v}
        move = grad
        if "m" in slots:
            move = new["m"] = hyper.beta1 * slots["m"] + (1 - hyper.beta1) * grad
        rate = hyper.learning_rate * xp.sqrt(1 - hyper.beta2**step) / (1 - hyper.beta1**step)
        rate = rate / (xp.sqrt(v) + hyper.epsilon)
        moved = proximal(
            xp, param - rate * move, rate, hyper.l1_regularization_strength, hyper.l2_regularization_strength
        )
        return moved, new


def _check_start(where: str, value: Any) -> None:
    """Raises HyperparameterError if an accumulator can't start at `value`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise HyperparameterError(
            "{}(initial_accumulator_value={!r}): expected a number of at least 0.".format(where, value)
        )

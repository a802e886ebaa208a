"""Adagrad: gradients divided by the root of the sum of their squares."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._hypers import Fixed


class Adagrad(UpdateRule):
    """Adagrad, diagonal form: Duchi et al. 2011, JMLR 12, fig. 1.

    s += g**2, and w -= learning_rate * g / sqrt(s + epsilon). The paper adds its delta to the root and starts
    s at 0. Epsilon inside the root is what Keras 2.11 and later have; tf.keras before that and PyTorch add
    it to the root, TensorFlow 1's AdagradOptimizer has none.

    Slots: accumulator, like the parameter, initial_accumulator_value everywhere.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    initial_accumulator_value = Fixed(0.1, "what the sum of squares starts at", ge=0)
    epsilon = Hyper(1e-7, "added to the sum of squares, inside the root", ge=0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"accumulator": xp.full_like(param, self.initial_accumulator_value)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        accumulator = slots["accumulator"] + xp.square(grad)
        move = hyper.learning_rate * grad / xp.sqrt(accumulator + hyper.epsilon)
        return param - move, {"accumulator": accumulator}

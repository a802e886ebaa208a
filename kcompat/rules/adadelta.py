"""Adadelta: a step as large as recent steps were, in units of the parameter."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule


class Adadelta(UpdateRule):
    """Adadelta: Zeiler 2012, arXiv:1212.5701, algorithm 1.

    The paper has no learning rate; 1.0 gives its form. The default is Keras', 0.001.

    Slots: accum_grad and accum_var, the mean squares of gradients and of steps (before they are multiplied
    by the learning rate), both like the parameter.
    """

    learning_rate = Hyper(0.001, "factor of the step; 1.0 is the paper's form", ge=0)
    rho = Hyper(0.95, "decay rate of the mean squares", ge=0, le=1)
    epsilon = Hyper(1e-7, "added to the mean squares, inside the roots", ge=0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {name: xp.zeros_like(param) for name in ("accum_grad", "accum_var")}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        of_grads = hyper.rho * slots["accum_grad"] + (1 - hyper.rho) * xp.square(grad)
        move = xp.sqrt(slots["accum_var"] + hyper.epsilon) / xp.sqrt(of_grads + hyper.epsilon) * grad
        of_moves = hyper.rho * slots["accum_var"] + (1 - hyper.rho) * xp.square(move)
        return param - hyper.learning_rate * move, {"accum_grad": of_grads, "accum_var": of_moves}

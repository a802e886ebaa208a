"""Adafactor: second moments kept as a row and a column."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._hypers import Flag


class Adafactor(UpdateRule):
    """Adafactor: Shazeer & Stern 2018, arXiv:1804.04235, algorithms 4 and 5, without momentum.

    The second moment of an array of two or more dimensions is the product of the means over its last and over
    its second last axis; other axes are a batch of matrices. With beta_2 = 1 - step**beta_2_decay,
    u = g / sqrt(second moment) and rho = min(learning_rate, 1 / sqrt(step)):
    w -= max(epsilon_2, rms(w)) * rho * u / max(1, rms(u) / clip_threshold).

    Arguments and defaults are those of Keras. There relative_step changes nothing, whatever its documentation
    says, and so it is here: the learning rate is always capped by 1 / sqrt(step), a schedule's value too. Two
    departures:

    - A weight whose row and column have had no gradient does not move. Keras forms the product of their
      epsilon_1, which is 0 in float32, divides 0 by 0, and the whole variable is NaN.
    - The product is not kept as a slot: it would cost the memory that the factors save, and no step reads
      what the step before left there.

    Slots: r and c, of the parameter's shape without its last and without its second last axis; v, like the
    parameter, if it has fewer than two dimensions.
    """

    learning_rate = Hyper(0.001, "relative step size, a fraction of the parameter's root mean square", ge=0)
    beta_2_decay = Hyper(-0.8, "exponent of the step in 1 - beta_2", le=0)
    epsilon_1 = Hyper(1e-30, "added to the squared gradient", ge=0)
    epsilon_2 = Hyper(1e-3, "least root mean square that the step is relative to", ge=0)
    clip_threshold = Hyper(1.0, "largest root mean square of a step before it is scaled", gt=0)
    relative_step = Flag(True, "Keras' argument, which has no effect")

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        shape = tuple(param.shape)
        if len(shape) < 2 or 0 in shape:  # of nothing there is no mean
            return {"v": xp.zeros_like(param)}
        return {"r": xp.zeros(shape[:-1]), "c": xp.zeros((*shape[:-2], shape[-1]))}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        rho = xp.minimum(hyper.learning_rate, 1 / xp.sqrt(step))
        fresh = step**hyper.beta_2_decay  # 1 - beta_2
        square = xp.square(grad) + hyper.epsilon_1
        if "v" in slots:
            v = slots["v"] + (square - slots["v"]) * fresh
            new = {"v": v}
            move = grad / xp.sqrt(v)
        else:
            r = slots["r"] + (xp.mean(square, axis=-1) - slots["r"]) * fresh
            c = slots["c"] + (xp.mean(square, axis=-2) - slots["c"]) * fresh
            new = {"r": r, "c": c}
            # Divided one by one: in float32 the product r * c of two small ones is 0.
            by_row = xp.sqrt(r) / xp.sqrt(xp.mean(r, axis=-1, keepdims=True))
            move = grad / xp.expand_dims(by_row, axis=-1) / xp.expand_dims(xp.sqrt(c), axis=-2)
        move = move / xp.maximum(1.0, _rms(xp, move) / hyper.clip_threshold)
        return param - xp.maximum(hyper.epsilon_2, _rms(xp, param)) * rho * move, new


def _rms(xp: Any, x: Any) -> Any:
    """The root mean square of an array."""
    return xp.sqrt(xp.mean(xp.square(x)))

"""Right rules that look wrong: legal, and unusual in one way each. The kit must find nothing in them."""

import numpy as np
from _rules import ByName, Distance, Factored, LazyMomentum, SignMomentum

from kcompat import Hyper, UpdateRule, rules


class MatrixOnly(UpdateRule):
    """Refuses what is no matrix, by an error of its own."""

    learning_rate = Hyper(0.1)

    def init(self, xp, param):
        if param.ndim != 2:
            raise ValueError("matrices only")
        return {"m": xp.zeros_like(param)}

    def update(self, xp, grad, param, slots, hyper, step):
        m = 0.9 * slots["m"] + grad
        return param - hyper.learning_rate * m / (xp.linalg.matrix_norm(m) + 1e-6), {"m": m}


class SmallestSoFar(UpdateRule):
    """A slot that begins as infinity, and one as a copy of the parameter."""

    learning_rate = Hyper(0.1)

    def init(self, xp, param):
        return {"low": xp.full(param.shape, float("inf")), "start": param}

    def update(self, xp, grad, param, slots, hyper, step):
        low = xp.minimum(slots["low"], xp.abs(grad))
        move = xp.where(low > 0, grad / (low + 1), 0.0)
        return param - hyper.learning_rate * xp.tanh(move), {"low": low, "start": slots["start"]}


class SignSGD(UpdateRule):
    """Jumps where a gradient is zero, and keeps no state."""

    learning_rate = Hyper(0.01)

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * xp.sign(grad), {}


class Switches(UpdateRule):
    """Another step in the first ones, told by `step`; a flag, a list and None as static hyperparameters."""

    learning_rate = Hyper(0.01)
    warmup = Hyper(2)
    powers = Hyper([0.5, 1.0])
    limit = Hyper(None)
    unused = Hyper(0.5)

    def update(self, xp, grad, param, slots, hyper, step):
        size = hyper.powers[0] * xp.abs(grad) ** hyper.powers[1]
        if hyper.limit is not None:
            size = xp.minimum(size, hyper.limit)
        factor = xp.where(step <= hyper.warmup, step / hyper.warmup, 1.0)
        return param - hyper.learning_rate * factor * xp.sign(grad) * size, {}


class NoRate(UpdateRule):
    """No learning rate, no hyperparameter at all."""

    def update(self, xp, grad, param, slots, hyper, step):
        return param - grad / (xp.abs(grad) + 1) / step, {}


class NumPyNumbers(UpdateRule):
    """NumPy's numbers where they round nothing."""

    learning_rate = Hyper(0.1)

    def update(self, xp, grad, param, slots, hyper, step):
        return param - np.float64(0.1) * hyper.learning_rate * np.float32(0.5) * grad, {}


RIGHT = {
    "adam": rules.Adam,
    "amsgrad": rules.Adam(0.1, amsgrad=True),
    "adamw": rules.AdamW,
    "sgd": rules.SGD,
    "nesterov": rules.SGD(0.1, momentum=0.9, nesterov=True),
    "scheduled": rules.SGD(lambda done: 0.1 / (done + 1)),
    "sign_momentum": SignMomentum,
    "factored": Factored,
    "factored_cubic": Factored(power=3),
    "lazy_momentum": LazyMomentum,
    "distance": Distance,
    "by_name": ByName,
    "matrix_only": MatrixOnly,
    "smallest_so_far": SmallestSoFar,
    "sign_sgd": SignSGD,
    "switches": Switches,
    "no_rate": NoRate,
    "numpy_numbers": NumPyNumbers,
}

"""What every environment trains: variables, gradients and rules, and where a run without a break ends.

An embedding with sparse gradients, a dense layer, a variable in float16, one that joins late and one that is
frozen. Gradients come from a fixed seed, so that NumPy knows the whole run.
"""

import numpy as np

import kcompat
from kcompat import rules, testing
from kcompat.rules.older import RMSpropFromOne

BREAK, STEPS = 4, 8
LATE = 2  # steps before the late variable joins in

SHAPES = {
    "table": (6, 3),
    "kernel": (3, 4),
    "bias": (4,),
    "late": (2, 3),
    "frozen": (3,),
    "half": (4, 2),
}
RTOL, ATOL = 1e-5, 1e-6
# A variable in float16 rounds in every step; what is compared closely are its slots.
HALF = {"rtol": 2e-3, "atol": 2e-3}


class Custom(kcompat.UpdateRule):
    """Momentum over the gradient's sign and size, a mean for each row, and a count: a rule of nobody's."""

    learning_rate = kcompat.Hyper(0.05)
    momentum = kcompat.Hyper(0.9)

    def init(self, xp, param):
        return {"m": xp.zeros_like(param), "row": xp.zeros(param.shape[:1]), "count": xp.zeros(())}

    def update(self, xp, grad, param, slots, hyper, step):
        m = hyper.momentum * slots["m"] + grad / (1 + xp.abs(grad))
        axes = tuple(range(1, param.ndim))
        row = slots["row"] + 0.1 * (xp.mean(xp.square(grad), axis=axes) if axes else xp.square(grad))
        count = slots["count"] + 1
        scale = 1 + xp.sqrt(row)
        for _ in axes:
            scale = xp.expand_dims(scale, axis=-1)
        return param - hyper.learning_rate * m / scale / xp.sqrt(count), {"m": m, "row": row, "count": count}


RULES = {
    "adam": rules.Adam(0.05, epsilon=1e-3),
    "adamw": rules.AdamW(0.05, weight_decay=0.1, epsilon=1e-3),
    "momentum": rules.SGD(0.05, momentum=0.9),
    "rmsprop": rules.RMSprop(0.02, momentum=0.5, epsilon=1e-2),
    "custom": Custom(),
}
# What is trained: "full" by kcompat, with an average of each variable and one in float16; "plain" by kcompat
# without, as a native optimizer has it; "native" by that.
KINDS = ("full", "plain", "native")
BASE = {"full": {"use_ema": True, "ema_momentum": 0.8}, "plain": {}, "native": {}}
# From which kind one may go on as which.
JOURNEYS = {"full": ("full",), "plain": ("plain", "native"), "native": ("plain",)}

# Native optimizers: rule -> (TensorFlow 1's class and arguments, Keras' class and arguments).
NATIVE = {
    "adam": (("AdamOptimizer", {"learning_rate": 0.05, "epsilon": 1e-3}), ("Adam", {"epsilon": 1e-3})),
    "adamw": (None, ("AdamW", {"weight_decay": 0.1, "epsilon": 1e-3})),
    "momentum": (
        ("MomentumOptimizer", {"learning_rate": 0.05, "momentum": 0.9}),
        ("SGD", {"momentum": 0.9}),
    ),
    "rmsprop": (
        ("RMSPropOptimizer", {"learning_rate": 0.02, "decay": 0.9, "momentum": 0.5, "epsilon": 1e-2}),
        ("RMSprop", {"rho": 0.9, "momentum": 0.5, "epsilon": 1e-2}),
    ),
}
RATES = {"adam": 0.05, "adamw": 0.05, "momentum": 0.05, "rmsprop": 0.02}


def names(kind):
    """The variables of a run: natives keep a narrow variable's slots as narrow, and lose digits."""
    return [name for name in SHAPES if kind == "full" or name != "half"]


def start():
    """name -> starting value."""
    random = np.random.RandomState(7)
    values = {name: random.randn(*shape).astype("float32") for name, shape in SHAPES.items()}
    values["half"] = values["half"].astype("float16")
    return values


def gradients():
    """A list over steps of name -> array, (values, rows) for the table, or None."""
    random = np.random.RandomState(8)
    found = []
    for step in range(STEPS):
        size = 10 ** random.uniform(-1, 1)
        row = {name: (random.randn(*shape) * size).astype("float32") for name, shape in SHAPES.items()}
        # Every row once: what hosts do with rows that are absent or there twice is another matter.
        order = random.permutation(SHAPES["table"][0])
        row["table"] = row["table"][order], order.astype("int64")
        row["half"] = row["half"].astype("float16")
        row["frozen"] = None
        if step < LATE:
            row["late"] = None
        found.append(row)
    return found


_ends = {}


def end(rule, kind, from_one=False):
    """The values and slots after all steps without a break: name -> value, name -> slot -> value.

    `from_one` is RMSprop as TensorFlow 1 begins it, with a mean square of 1.
    """
    if (rule, kind, from_one) not in _ends:
        which, values, steps = names(kind), start(), gradients()
        params, slots = testing.reference(
            RMSpropFromOne(**RULES[rule].config()) if from_one and rule == "rmsprop" else RULES[rule],
            [values[name].astype("float32") for name in which],
            [[row[name] for name in which] for row in steps],
            names=which,
            **BASE[kind],
        )
        _ends[rule, kind, from_one] = dict(zip(which, params)), dict(zip(which, slots))
    return _ends[rule, kind, from_one]

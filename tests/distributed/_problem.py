"""What the programs of this folder train, and with which optimizers: the same in every process and engine."""

import json
import traceback

import numpy as np

import kcompat
from kcompat import rules, transforms

# Can be divided by 2, 3 and 4.
BATCH = 12
STEPS = 4


def start():
    """Starting values of an embedding, whose gradient is sparse, of a matrix and of a vector."""
    random = np.random.RandomState(3)
    arrays = random.randn(7, 3), random.randn(3, 2), np.zeros(2)
    return [array.astype("float32") for array in arrays]


def batches(steps=STEPS):
    """Global batches (rows, targets): rows occur several times, on one replica and on several."""
    random = np.random.RandomState(4)
    size = 10 ** random.uniform(-0.7, 0.5, steps)
    rows = [random.choice([0, 1, 1, 3, 4], BATCH).astype("int32") for _ in range(steps)]
    return [(r, (random.randn(BATCH, 2) * s).astype("float32")) for r, s in zip(rows, size)]


# name -> (rule, base arguments). Epsilon is large, so that a gradient near 0 does not blow rounding up.
def _adam(**others):
    return rules.Adam(0.05, epsilon=1e-2, **others)


def _lookahead():
    return transforms.Lookahead(_adam(), sync_period=2, slow_step_size=0.5)


CASES = {
    "sum": lambda: (rules.SGD(0.01), {}),
    "momentum": lambda: (rules.SGD(0.05, momentum=0.9), {}),
    "adam": lambda: (_adam(), {}),
    "global_clipnorm": lambda: (_adam(), {"global_clipnorm": 0.5}),
    "clipnorm": lambda: (rules.SGD(0.1), {"clipnorm": 0.5}),
    "ema": lambda: (_adam(), {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2}),
    "averages": lambda: (_adam(), {"use_ema": True, "ema_momentum": 0.9}),
    "everything": lambda: (_adam(), {"use_ema": True, "gradient_accumulation_steps": 2, "clipnorm": 1.0}),
    "accumulation": lambda: (_adam(), {"gradient_accumulation_steps": 2}),
    "lookahead": lambda: (_lookahead(), {}),
    "weight_decay": lambda: (rules.AdamW(0.05, weight_decay=0.1, epsilon=1e-2), {}),
    "row_and_column": lambda: (rules.Adafactor(0.05, epsilon_1=1e-4), {}),
    "shared": lambda: (rules.Prodigy(1.0, d0=1e-3, epsilon=1e-2), {}),
    "lazy": lambda: (rules.LazyAdam(0.05, epsilon=1e-2), {}),
    "skip": lambda: (transforms.SkipNonFinite(_adam()), {}),
}


def optimizer(name, api):
    """The optimizer of a case."""
    rule, base = CASES[name]()
    return kcompat.optimizer(rule, api=api, **base)


def loss(variables, rows, targets):
    """The loss in TensorFlow, summed over the examples and divided by the size of the global batch."""
    import tensorflow as tf

    table, kernel, bias = variables
    outputs = tf.matmul(tf.gather(table, rows), kernel) + bias
    return tf.reduce_sum(tf.square(outputs - targets)) / BATCH


def assert_same(got, want, what):
    """Two lists of arrays agree as two orders of summation do."""
    assert len(got) == len(want), what
    for one, other in zip(got, want):
        other = np.asarray(other)
        scale = max(1e-3, float(np.abs(other).max())) if other.size else 1.0
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * scale, err_msg=what)


def report(cases):
    """Runs functions by name and prints, as JSON, None for each that went well, or its traceback."""
    found = {}
    for name, function in cases.items():
        try:
            function()
            found[name] = None
        except Exception:
            found[name] = traceback.format_exc()
    print(json.dumps(found), flush=True)

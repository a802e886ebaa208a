"""Lookahead, moving average and SWA against TensorFlow Addons' wrappers; cyclical learning rates, too.

Not collected by default: it wants tensorflow-addons 0.23 and TensorFlow 2.12 to 2.15.
"""

import numpy as np
import pytest

import kcompat
from kcompat import rules, schedules
from kcompat import transforms as T

tfa = pytest.importorskip("tensorflow_addons")
tf = pytest.importorskip("tensorflow")

STEPS = 25
SHAPES = [(3, 2), (4,)]


def data():
    random = np.random.RandomState(3)
    params = [random.randn(*shape).astype("float32") for shape in SHAPES]
    sizes = 10.0 ** random.uniform(-2, 0.5, STEPS)
    return params, [[(random.randn(*s) * size).astype("float32") for s in SHAPES] for size in sizes]


def train(optimizer, slot):
    params, gradients = data()
    variables = [tf.Variable(p) for p in params]
    for row in gradients:
        optimizer.apply_gradients(list(zip(map(tf.constant, row), variables)))
    return [v.numpy() for v in variables], [optimizer.get_slot(v, slot).numpy() for v in variables]


LOOKAHEAD = [{}, {"sync_period": 4, "slow_step_size": 0.3}, {"sync_period": 1, "slow_step_size": 0.9}]
AVERAGE = [
    {},
    {"average_decay": 0.7},
    {"average_decay": 0.7, "start_step": 6},
    {"average_decay": 0.7, "start_step": 4, "dynamic_decay": True},
    {"average_decay": 0.9, "num_updates": 7},
]
SWA = [{}, {"start_averaging": 3, "average_period": 2}, {"start_averaging": 0, "average_period": 1}]
CASES = [
    *[("Lookahead", "slow", each) for each in LOOKAHEAD],
    *[("MovingAverage", "average", each) for each in AVERAGE],
    *[("SWA", "average", each) for each in SWA],
]


@pytest.mark.parametrize("name,slot,arguments", CASES)
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_agrees_with_addons(name, slot, arguments, rule):
    legacy = tf.keras.optimizers.legacy
    native, ours = {
        "sgd": (legacy.SGD(0.1, momentum=0.5), rules.SGD(0.1, momentum=0.5)),
        "adam": (legacy.Adam(0.05), rules.Adam(0.05)),
    }[rule]
    theirs = train(getattr(tfa.optimizers, name)(native, **arguments), slot)
    got = train(kcompat.optimizer(getattr(T, name)(ours, **arguments)), slot)
    for one, other in zip(theirs, got):
        for left, right in zip(one, other):
            np.testing.assert_allclose(left, right, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "name,arguments",
    [
        ("TriangularCyclicalLearningRate", {}),
        ("Triangular2CyclicalLearningRate", {}),
        ("Triangular2CyclicalLearningRate", {"scale_mode": "iterations"}),
        ("ExponentialCyclicalLearningRate", {"gamma": 0.9}),
        ("ExponentialCyclicalLearningRate", {"gamma": 0.9, "scale_mode": "cycle"}),
    ],
)
def test_cyclical_learning_rates(name, arguments):
    theirs = getattr(tfa.optimizers, name)(0.1, 0.5, 4, **arguments)
    ours = getattr(schedules, name)(0.1, 0.5, 4, **arguments)
    for step in range(40):
        # Not int64: with scale_mode="iterations" theirs fails on it.
        got = theirs(tf.constant(step, tf.float32))
        assert float(got) == pytest.approx(ours(step), rel=1e-6, abs=1e-7)


def test_a_cyclical_learning_rate_of_a_function():
    theirs = tfa.optimizers.CyclicalLearningRate(0.1, 0.5, 4, lambda x: 1 / (1.5 ** (x - 1)))
    ours = schedules.CyclicalLearningRate(0.1, 0.5, 4, lambda x: 1 / (1.5 ** (x - 1)))
    for step in range(40):
        assert float(theirs(tf.constant(step, tf.float32))) == pytest.approx(ours(step), rel=1e-6)

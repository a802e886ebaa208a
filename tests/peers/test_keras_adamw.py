"""`kcompat.adamw` against keras-adamw itself.

Not collected by default. It needs TensorFlow 2.3 with keras-adamw 1.38:

    TF_KERAS=1 pytest tests/peers/test_keras_adamw.py
"""

import inspect
import os
import sys

os.environ["TF_KERAS"] = "1"

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
pytestmark = pytest.mark.filterwarnings("ignore")
theirs = pytest.importorskip("keras_adamw")

import tensorflow as tf  # noqa: E402
from _modes import starting_values, varied_gradients  # noqa: E402

from kcompat import adamw  # noqa: E402

STEPS = 40
SHAPES = [(3, 2), (4,), (5,)]
NAMES = ["dense/kernel", "dense/bias", "out/kernel"]
DECAYS = {"dense/kernel:0": (0.01, 0.02), "out/kernel:0": (0.0, 0.05)}
OPTIONS = {
    "plain": {},
    "decays": {"weight_decays": DECAYS, "total_iterations": 10},
    "decays_wd": {"weight_decays": DECAYS, "total_iterations": 10, "total_iterations_wd": 50},
    "annealing": {"use_cosine_annealing": True, "total_iterations": 8, "weight_decays": DECAYS},
    "bounds": {
        "use_cosine_annealing": True,
        "total_iterations": 8,
        "eta_min": 0.1,
        "weight_decays": DECAYS,
    },
    "no_restart": {"use_cosine_annealing": True, "total_iterations": 8, "autorestart": False},
    "multipliers": {"lr_multipliers": {"dense": 0.3, "out": 2.0}},
    "too_few": {"use_cosine_annealing": True, "total_iterations": 1, "weight_decays": DECAYS},
    "clipped": {"clipnorm": 0.5, "lr_multipliers": {"out/kernel": 0.5}},
}
RULES = {
    "AdamW": {"learning_rate": 0.02, "epsilon": 0.01, "beta_2": 0.9, "amsgrad": True},
    "NadamW": {"learning_rate": 0.02, "epsilon": 0.01, "beta_2": 0.9},
    "SGDW": {"learning_rate": 0.02, "momentum": 0.8, "nesterov": True},
}


def train(optimizer):
    variables = [tf.Variable(v, name=n) for v, n in zip(starting_values(SHAPES), NAMES)]
    for row in varied_gradients(SHAPES, STEPS):
        # keras-adamw's releases of TensorFlow don't clip in apply_gradients.
        grads = [tf.constant(g) for g in row]
        if type(optimizer).__module__.startswith("keras_adamw") and getattr(optimizer, "clipnorm", None):
            grads = [tf.clip_by_norm(g, optimizer.clipnorm) for g in grads]
        optimizer.apply_gradients(list(zip(grads, variables)))
    return [v.numpy() for v in variables]


@pytest.mark.parametrize("options", sorted(OPTIONS))
@pytest.mark.parametrize("name", sorted(RULES))
def test_same_numbers(name, options):
    arguments = {**RULES[name], **OPTIONS[options]}
    want = train(getattr(theirs, name)(**arguments))
    got = train(getattr(adamw, name)(**arguments))
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", sorted(RULES))
def test_restart_by_hand(name):
    """What users set between steps: t_cur at the end of a cycle, as the README has it, and eta_t."""
    K, results = tf.keras.backend, []
    for module in (theirs, adamw):
        optimizer = getattr(module, name)(
            **RULES[name],
            use_cosine_annealing=True,
            total_iterations=6,
            autorestart=False,
            weight_decays=DECAYS,
            t_cur=2,
            eta_max=0.8,
        )
        variables = [tf.Variable(v, name=n) for v, n in zip(starting_values(SHAPES), NAMES)]
        seen = []
        for i, row in enumerate(varied_gradients(SHAPES, 16)):
            if i in (4, 9):
                K.set_value(optimizer.t_cur, -1)
            if i == 12:
                K.set_value(optimizer.eta_t, 0.3)
            seen.append((int(module.K_eval(optimizer.t_cur, K)), float(K.get_value(optimizer.eta_t))))
            optimizer.apply_gradients(list(zip(map(tf.constant, row), variables)))
        config = optimizer.get_config()
        assert (config["t_cur"], config["total_iterations"]) == (int(K.get_value(optimizer.t_cur)), 6)
        results.append((seen, [v.numpy() for v in variables]))
    np.testing.assert_allclose(results[1][0], results[0][0], atol=1e-6)
    for got, want in zip(results[1][1], results[0][1]):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", sorted(RULES))
def test_signature(name):
    wanted = list(inspect.signature(getattr(theirs, name).__init__).parameters.values())[1:]
    got = list(inspect.signature(getattr(adamw, name)).parameters.values())
    assert [(p.name, p.default, p.kind) for p in got] == [(p.name, p.default, p.kind) for p in wanted]


def test_decay_is_heeded():
    """keras-adamw's AdamW takes the argument and does nothing with it."""
    plain, decayed = (train(theirs.AdamW(0.02, decay=decay)) for decay in (0.0, 0.5))
    np.testing.assert_array_equal(plain[0], decayed[0])
    got = train(adamw.AdamW(0.02, decay=0.5))
    assert np.abs(got[0] - plain[0]).max() > 1e-2


def test_model():
    keras = tf.keras
    data = np.random.RandomState(0).randn(32, 6, 4).astype("float32")
    results = []
    for module in (theirs, adamw):
        keras.backend.clear_session()
        tf.random.set_seed(3)
        l1_l2 = keras.regularizers.l1_l2
        model = keras.Sequential(
            [
                keras.Input((6, 4)),
                keras.layers.LSTM(
                    3, kernel_regularizer=l1_l2(1e-3, 1e-3), recurrent_regularizer=l1_l2(0.0, 1e-2)
                ),
                keras.layers.Dense(2, kernel_regularizer=l1_l2(1e-2, 0.0), bias_regularizer=l1_l2(0.0, 1e-2)),
            ]
        )
        if module is theirs:
            # With zero_penalties it zeroes them before it reads them, and nothing decays.
            decays = theirs.get_weight_decays(model)
            assert not theirs.get_weight_decays(model, zero_penalties=True)
            assert len(decays) == 4
            arguments = {"weight_decays": decays}
        else:
            arguments = {"model": model}
        optimizer = module.AdamW(0.01, total_iterations=12, use_cosine_annealing=True, **arguments)
        assert float(sum(model.losses)) == 0
        model.compile(optimizer, "mse")
        model.fit(data, data[:, 0, :2], epochs=3, batch_size=8, shuffle=False, verbose=0)
        results.append(model.get_weights())
    for got, want in zip(results[1], results[0]):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)

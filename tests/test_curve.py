"""One small training, whose curve is the same everywhere; docs/make_support.py draws all of them."""

import json

import numpy as np
import pytest
from _apis import APIS
from _modes import modes_of

import kcompat
from kcompat.testing import reference
from kcompat.testing.running import Training

STEPS = 60
RULE = kcompat.rules.AdamW(0.1, weight_decay=0.001)


def _moons():
    """Two half circles in each other, with noise."""
    random = np.random.RandomState(3)
    angle, label = random.uniform(0, np.pi, 512), random.randint(0, 2, 512)
    sign = 1 - 2 * label
    points = np.stack([sign * np.cos(angle) + label, sign * np.sin(angle) + 0.5 * label], 1)
    return points + 0.1 * random.randn(512, 2), label


POINTS, LABELS = _moons()


def _start(dtype):
    random = np.random.RandomState(4)
    shapes = [(2, 16), (16,), (16, 2), (2,)]
    return [np.asarray(0.5 * random.randn(*shape), dtype) for shape in shapes]


def _loss_and_gradients(params):
    """Softmax cross-entropy of a network with one hidden layer, and its gradients."""
    w, b, u, c = params
    x, y = POINTS.astype(w.dtype), np.eye(2, dtype=w.dtype)[LABELS]
    hidden = np.tanh(x @ w + b)
    scores = hidden @ u + c
    scores = scores - scores.max(1, keepdims=True)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    d = (p - y) / np.asarray(len(x), w.dtype)
    back = (d @ u.T) * (1 - hidden**2)
    loss = -np.log(p[np.arange(len(x)), LABELS]).mean()
    return float(loss), [x.T @ back, back.sum(0), hidden.T @ d, d.sum(0)]


def _curve(step):
    """The losses of a training: `step` takes gradients and gives the new parameters."""
    losses, params = [], step(None)
    for _ in range(STEPS):
        loss, gradients = _loss_and_gradients(params)
        losses.append(loss)
        params = step(gradients)
    return losses


def _in_numpy():
    start, done = _start("float64"), []

    def step(gradients):
        if gradients is None:
            return start
        done.append(gradients)
        return reference(RULE, start, done)[0]

    return _curve(step)


@pytest.mark.parametrize("api", APIS)
def test_the_training_curve_is_that_of_numpy(api, record_property):
    start = _start("float32")
    with Training(api, modes_of(api)[0], lambda: kcompat.optimizer(RULE, api=api), start) as training:

        def step(gradients):
            if gradients is None:
                return start
            training.step(gradients)
            return training.values()

        losses = _curve(step)
    record_property("curve", json.dumps([round(loss, 6) for loss in losses]))
    wanted = _in_numpy()
    assert wanted[-1] < 0.1 * wanted[0]
    np.testing.assert_allclose(losses, wanted, rtol=1e-3, atol=1e-5)

"""diffGrad against its paper, on every optimizer API that is installed."""

import os

import numpy as np
import pytest
import undertow
from undertow import _vendor
from undertow._vendor.kcompat import vendoring
from undertow._vendor.kcompat.testing import reference, rule_tests
from undertow.rules import DiffGrad


def algorithm_1(grad, param, slots, hyper, step):
    """One step, as the paper has it."""
    m = hyper.beta_1 * slots["m"] + (1 - hyper.beta_1) * grad
    v = hyper.beta_2 * slots["v"] + (1 - hyper.beta_2) * grad**2
    m_hat = m / (1 - hyper.beta_1**step)
    v_hat = v / (1 - hyper.beta_2**step)
    friction = 1 / (1 + np.exp(-np.abs(slots["previous"] - grad)))
    param = param - hyper.learning_rate * friction * m_hat / (np.sqrt(v_hat) + hyper.epsilon)
    return param, {"m": m, "v": v, "previous": grad}


test_diffgrad = rule_tests(DiffGrad, reference=algorithm_1)


def test_friction_is_half_where_the_gradient_stays():
    """Then each step is half of Adam's, which for a gradient that stays is the learning rate."""
    rule = DiffGrad(learning_rate=0.1, epsilon=0.0)
    gradients = [[np.array([3.0, -2e-5])]] * 4
    before = reference(rule, [np.zeros(2)], gradients[:3])[0][0]
    after = reference(rule, [np.zeros(2)], gradients)[0][0]
    np.testing.assert_allclose(after - before, [-0.05, 0.05], rtol=1e-12)


def test_a_model_is_trained_by_the_class_that_is_the_default_here():
    """A line is found again, by way of the installed Keras' own `compile` and `fit`."""
    keras = pytest.importorskip("tensorflow").keras
    model = keras.models.Sequential([keras.layers.Dense(1, input_shape=(1,))])
    model.compile(optimizer=undertow.DiffGrad(learning_rate=0.1), loss="mse")
    x = np.linspace(-1, 1, 32, dtype="float32")[:, None]
    model.fit(x, 3 * x + 1, batch_size=8, epochs=80, verbose=0)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose([kernel[0, 0], bias[0]], [3, 1], atol=0.1)


def test_the_class_of_each_api_takes_the_paper_s_defaults(kcompat_api):
    """And is made with no argument but Keras' own."""
    optimizer = undertow.for_api(kcompat_api)(name="ours")
    config = optimizer.get_config()
    assert [config[name] for name in ("beta_1", "beta_2", "epsilon")] == [0.9, 0.999, 1e-8]


def test_the_copy_of_kcompat_is_whole_and_unchanged():
    """Installed from the wheel, too: its data files are easily forgotten."""
    found = vendoring.check(os.path.dirname(_vendor.__file__))
    assert found.ok, found

"""What `get_updates()` gives on Keras 2.3, where nothing orders its step counter; once ordered, ours."""

import importlib

import _apis
import numpy as np
import pytest
from _modes import starting_values, varied_gradients

import kcompat

tf = pytest.importorskip("tensorflow", reason="hooks are TensorFlow's")

import _hooked  # noqa: E402

KERAS = kcompat.environment.installed().get("keras")

at_home = pytest.mark.skipif("get_updates" not in _apis.APIS, reason="get_updates() is not at home here")
on_keras_2_3 = pytest.mark.skipif(
    "get_updates" not in _apis.APIS or KERAS is None or not KERAS.version.startswith("2.3."),
    reason="only Keras 2.3 takes these classes as they are, and counts in resource variables",
)

SHAPES = [(3, 2), (5, 2)]
START, GRADIENTS = starting_values(SHAPES), varied_gradients(SHAPES, 5)


class CountedFirst(kcompat.rules.Adam):
    """Adam whose counter has been moved on before it is read."""

    def update(self, xp, grad, param, slots, hyper, step):
        return super().update(xp, grad, param, slots, hyper, step + 1)


def trained(monkeypatch, counted_first):
    """Steps by Keras' own function, in which the counter is counted before or after everything is read."""
    import keras

    K, add, cast, counts = keras.backend, keras.backend.update_add, keras.backend.cast, []
    make = _hooked.adam_of_get_updates(keras.optimizers.Optimizer, K)

    def update_add(variable, number):
        # Before: it is counted now, and what reads it waits. After: it is counted when the step is over.
        counts.append(add(variable, number))
        return counts[0] if counted_first else tf.no_op()

    def waiting(value, dtype):
        with tf.control_dependencies([counts[0].op]):
            return cast(value.read_value() if counts and hasattr(value, "read_value") else value, dtype)

    monkeypatch.setattr(K, "update_add", update_add)
    monkeypatch.setattr(K, "cast", waiting if counted_first else cast)
    variables = [K.variable(value) for value in START]
    feeds = [K.placeholder(value.shape) for value in START]
    loss = tf.add_n([tf.reduce_sum(feed * variable) for feed, variable in zip(feeds, variables)])
    step = K.function(feeds, [loss], updates=make(0.01, epsilon=1e-3).get_updates(loss, variables))
    for row in GRADIENTS:
        step(row)
        if not counted_first:
            K.get_session().run(counts)
    return [K.get_value(variable) for variable in variables]


@on_keras_2_3
@pytest.mark.parametrize("counted_first, rule", [(False, kcompat.rules.Adam), (True, CountedFirst)])
def test_the_order_of_the_counter_is_all_that_differs(monkeypatch, counted_first, rule):
    expected = kcompat.testing.reference(rule(0.01, epsilon=1e-3), START, GRADIENTS)[0]
    for got, want in zip(trained(monkeypatch, counted_first), expected):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


@at_home
def test_pairs_are_updates_at_home():
    host = kcompat.environment.host_class("get_updates")
    package = "tensorflow.keras" if host.__module__.startswith("tensorflow") else "keras"
    K = importlib.import_module(package + ".backend")
    gradients = varied_gradients(SHAPES, 4)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        K.set_session(session)
        optimizer = _hooked.pairs_of_get_updates(host, K)()
        variables = [K.variable(value) for value in START]
        feeds = [K.placeholder(value.shape) for value in START]
        loss = tf.add_n([tf.reduce_sum(feed * variable) for feed, variable in zip(feeds, variables)])
        step = K.function(feeds, [loss], updates=optimizer.get_updates(loss, variables))
        for row in gradients:
            step(row)
        got = K.batch_get_value([*variables, *optimizer.weights[1:], optimizer.scale])
    K.clear_session()
    params, moments, scale = _hooked.steps_of_pairs(START, gradients)
    for value, want in zip(got, [*params, *moments, scale]):
        np.testing.assert_allclose(value, want, rtol=2e-5, atol=1e-6)

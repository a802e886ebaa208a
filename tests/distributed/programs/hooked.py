"""Optimizers that are written against hooks, under a MirroredStrategy of two devices.

python hooked.py API
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

import _hooked
import _problem
import tensorflow as tf
import tensorflow_strategies as one
from _problem import assert_same, report

import kcompat
from kcompat import hooks

one.logical_cpus(4)
STRATEGY = one.make_strategy("mirrored2")


def written(dialect, api):
    """Adam, as it is written in a dialect, with the base class for an API."""
    base = hooks.base_class("keras" if dialect.startswith("keras") else dialect, api)
    if dialect == "keras_3":
        return _hooked.adam_of_keras_3(base, hooks_ops())
    return getattr(_hooked, "adam_of_" + dialect)(base)


def hooks_ops():
    """What such a class imports as `keras.ops`: for Keras before 3, kcompat's."""
    import importlib

    return importlib.import_module(hooks.__name__ + ".ops")


def trains_as_one_device(dialect, api):
    def run():
        with STRATEGY.scope():
            variables, optimizer = one.make_variables(api), written(dialect, api)(0.05, epsilon=1e-2)
        natives = [one.native(variable) for variable in variables]

        def step(rows, targets):
            with tf.GradientTape() as tape:
                value = _problem.loss(natives, rows, targets)
            grads = [tf.convert_to_tensor(grad) for grad in tape.gradient(value, natives)]
            optimizer.apply_gradients(zip(grads, variables))
            return tf.constant(0)

        traced = tf.function(lambda r, t: one.run_on_replicas(STRATEGY, step, (r, t)))
        for rows, targets in one.shares(STRATEGY):
            traced(rows, targets)
        rule = kcompat.rules.Adam(0.05, epsilon=1e-2)
        assert_same(one.values(variables), one.expected(rule), dialect)

    return run


def refuses(dialect, api):
    def run():
        with STRATEGY.scope():
            variables, optimizer = one.make_variables(api), written(dialect, api)(0.05)
        before = one.values(variables)

        def step():
            optimizer.apply_gradients([(tf.ones(variable.shape), variable) for variable in variables])
            return tf.constant(0)

        try:
            one.run_on_replicas(STRATEGY, step, ())
        except kcompat.HookError as error:
            assert "distribution strategy" in str(error), error
        else:
            raise AssertionError("nothing was raised")
        assert_same(one.values(variables), before, dialect)

    return run


if __name__ == "__main__":
    (api,) = sys.argv[1:]
    cases = {name: trains_as_one_device(name, api) for name in ("optimizer_v2", "keras_2_11", "keras_3")}
    if api != "tf1":
        cases["tf1"] = refuses("tf1", api)
    report(cases)

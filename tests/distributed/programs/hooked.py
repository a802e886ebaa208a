"""Optimizers that are written against hooks, under a MirroredStrategy of two devices.

python hooked.py API
"""

import importlib
import sys

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
        return _hooked.adam_of_keras_3(base, importlib.import_module(hooks.__name__ + ".ops"))
    return getattr(_hooked, "adam_of_" + dialect)(base)


def trains_as_one_device(dialect, api):
    def run():
        with STRATEGY.scope():
            variables, optimizer = one.make_variables(api), written(dialect, api)(0.05, epsilon=1e-2)
        natives = [one.native(variable) for variable in variables]

        def step(rows, targets):
            with tf.GradientTape() as tape:
                value = _problem.loss(natives, rows, targets)
            grads = tape.gradient(value, natives)
            if dialect == "keras_3":  # whose operations are those of arrays
                grads = [tf.convert_to_tensor(grad) for grad in grads]
            optimizer.apply_gradients(list(zip(grads, variables)))

        traced = tf.function(lambda r, t: one.void(one.run_on_replicas(STRATEGY, step, (r, t))))
        for rows, targets in one.shares(STRATEGY):
            traced(rows, targets)
        expected, _, done = one.alone("adam", api)
        assert one.steps_done(optimizer) == done
        assert_same(one.values(variables), expected, dialect)
        one.check_copies(STRATEGY, natives, expected)

    return run


def refuses(dialect, api):
    def run():
        with STRATEGY.scope():
            variables, optimizer = one.make_variables(api), written(dialect, api)(0.05)
        before = one.values(variables)

        def step():
            optimizer.apply_gradients([(tf.ones(variable.shape), variable) for variable in variables])

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

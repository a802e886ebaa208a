"""Trains under a MirroredStrategy in a TensorFlow 1 graph, and compares with training on one device.

python tensorflow_graph.py API HOW [CASE ...]; HOW is "session" or "fit" (Keras' graph mode).
"""

import contextlib
import functools
import sys

import _problem
import numpy as np
import tensorflow as tf
from _problem import assert_same, report

import kcompat

v1 = tf.compat.v1
v1.disable_eager_execution()
CONFIG = v1.ConfigProto(device_count={"CPU": 2})


def make_strategy():
    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])


def variables_here():
    names = ("table", "kernel", "bias")
    pairs = zip(names, _problem.start())
    return [v1.get_variable(name, initializer=value, use_resource=True) for name, value in pairs]


def dataset():
    rows, targets = zip(*_problem.batches())
    data = np.concatenate(rows), np.concatenate(targets)
    return tf.data.Dataset.from_tensor_slices(data).batch(_problem.BATCH, drop_remainder=True)


def slots_of(optimizer, variables):
    found = {}
    for i, variable in enumerate(variables):
        for name in optimizer.get_slot_names():
            with contextlib.suppress(KeyError):
                found[i, name] = optimizer.get_slot(variable, name)
    return found


def train(optimizer, variables, counter, rows, targets):
    loss = _problem.loss(variables, rows, targets)
    pairs = list(zip(tf.gradients(loss, variables), variables))
    return optimizer.apply_gradients(pairs, global_step=counter)


def alone(case, api):
    with tf.Graph().as_default():
        variables, optimizer = variables_here(), _problem.optimizer(case, api)
        counter = v1.train.get_or_create_global_step()
        iterator = v1.data.make_initializable_iterator(dataset())
        step = train(optimizer, variables, counter, *iterator.get_next())
        with v1.Session(config=CONFIG) as session:
            session.run([v1.global_variables_initializer(), iterator.initializer])
            for _ in range(_problem.STEPS):
                session.run(step)
            slots = session.run(slots_of(optimizer, variables))
            return session.run(variables), slots, session.run(optimizer.iterations)


def local(strategy, value):
    results = getattr(strategy, "experimental_local_results", None) or strategy.unwrap
    return results(value)


def session(case, api):
    """Trains with a session."""
    expected, expected_slots, done = alone(case, api)
    with tf.Graph().as_default():
        strategy = make_strategy()
        with strategy.scope():
            variables, optimizer = variables_here(), _problem.optimizer(case, api)
            counter = v1.train.get_or_create_global_step()
            iterator = strategy.make_dataset_iterator(dataset())
            start = iterator.initialize()

            def on_replica(inputs):
                return train(optimizer, variables, counter, *inputs)

            step = tf.group(*local(strategy, strategy.experimental_run(on_replica, iterator)))
        slots = slots_of(optimizer, variables)
        for key, slot in slots.items():
            of_slot, of_variable = local(strategy, slot), local(strategy, variables[key[0]])
            assert [each.device for each in of_slot] == [each.device for each in of_variable]
        with v1.Session(config=CONFIG) as running:
            running.run([v1.global_variables_initializer(), start])
            for _ in range(_problem.STEPS):
                running.run(step)
            assert running.run(counter) == _problem.STEPS
            assert running.run(local(strategy, optimizer.iterations)[0]) == done
            for copy in (0, 1):
                got = running.run([local(strategy, variable)[copy] for variable in variables])
                assert_same(got, expected, "values")
                for key, slot in slots.items():
                    got = running.run([local(strategy, slot)[copy]])
                    assert_same(got, [expected_slots[key]], str(key))


def trained_by_fit(case, api):
    table, kernel, bias = _problem.start()
    layers = tf.keras.layers
    rows = layers.Input((1,), dtype="int32")
    vectors = layers.Flatten()(layers.Embedding(*table.shape)(rows))
    model = tf.keras.models.Model(rows, layers.Dense(kernel.shape[1])(vectors))
    optimizer = _problem.optimizer(case, api)
    model.compile(optimizer=optimizer, loss="mse")
    model.set_weights([table, kernel, bias])
    data, targets = zip(*_problem.batches())
    data, targets = np.concatenate(data)[:, None], np.concatenate(targets)
    model.fit(data, targets, batch_size=_problem.BATCH, epochs=1, shuffle=False, verbose=0)
    return model.get_weights(), tf.keras.backend.get_value(optimizer.iterations)


def fit(case, api):
    """Trains by Keras' `fit`, in its graph."""
    results = []
    for strategy in (None, make_strategy()):
        tf.keras.backend.clear_session()
        v1.keras.backend.set_session(v1.Session(config=CONFIG))
        with strategy.scope() if strategy else contextlib.ExitStack():
            results.append(trained_by_fit(case, api))
    (expected, expected_steps), (got, steps) = results
    assert_same(got, expected, "values")
    assert steps == expected_steps


def refused(api):
    """In the cross-replica context, and outside of the scope: an error in words, and nothing is made."""
    with tf.Graph().as_default():
        strategy = make_strategy()
        with strategy.scope():
            variables, optimizer = variables_here(), _problem.optimizer("adam", api)
            pairs = [(tf.ones(variable.shape), variable) for variable in variables]
            raises(lambda: optimizer.apply_gradients(pairs), "cross-replica context of a MirroredStrategy")
        raises(lambda: optimizer.apply_gradients(pairs), "in the scope of another", kcompat.GradientError)
        assert not optimizer.get_slot_names()
        with strategy.scope():
            optimizer.build(variables)
        raises(lambda: optimizer.apply_gradients(pairs), "is taken in that of no strategy")


def raises(function, words, kind=kcompat.DistributionError):
    try:
        function()
    except kind as error:
        assert words in str(error) and "strategy." in str(error), error
        return
    raise AssertionError("nothing was raised")


def main(api, how, cases):
    run = {"session": session, "fit": fit}[how]
    made = {case: functools.partial(run, case, api) for case in cases or list(_problem.CASES)}
    made["refused"] = functools.partial(refused, api)
    report(made)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

"""`tf.estimator.train_and_evaluate`, and compares with training in a session.

python estimator.py HOW FOLDER [CASE ...]; HOW is mirrored (a MirroredStrategy), resumed (trained in two
parts) or cluster (one of the processes that TF_CONFIG tells about: a chief and a parameter server).
"""

import functools
import json
import os
import sys

import _problem
import numpy as np
import tensorflow as tf
import tensorflow_graph as one
from _problem import assert_same, report

v1 = tf.compat.v1
v1.logging.set_verbosity(v1.logging.ERROR)


def model_function(features, labels, mode, params):
    variables = one.variables_here()
    loss = _problem.loss(variables, features, labels)
    if mode != tf.estimator.ModeKeys.TRAIN:
        return tf.estimator.EstimatorSpec(mode, loss=loss)
    optimizer = _problem.optimizer(params["case"], "tf1")
    counter = v1.train.get_global_step()
    step = optimizer.apply_gradients(list(zip(tf.gradients(loss, variables), variables)), global_step=counter)
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=step)


def batches(count):
    """The batches, each in as many parts as there are replicas."""
    rows, targets = zip(*_problem.batches())
    data = np.concatenate(rows), np.concatenate(targets)
    return tf.data.Dataset.from_tensor_slices(data).batch(_problem.BATCH // count, drop_remainder=True)


def trained(how, folder, case):
    strategy = one.make_strategy() if how == "mirrored" else None
    config = tf.estimator.RunConfig(
        model_dir=folder,
        train_distribute=strategy,
        session_config=one.CONFIG if how != "cluster" else None,
        save_checkpoints_steps=1,
        tf_random_seed=1,
    )
    estimator = tf.estimator.Estimator(model_function, params={"case": case}, config=config)
    count = strategy.num_replicas_in_sync if strategy else 1

    def input_function(skip=0):
        return batches(count).skip(skip)

    stops = [2, _problem.STEPS] if how == "resumed" else [_problem.STEPS]
    for start, stop in zip([0] + stops, stops):
        train = tf.estimator.TrainSpec(functools.partial(input_function, start), max_steps=stop)
        evaluate = tf.estimator.EvalSpec(lambda: batches(1), steps=1, start_delay_secs=0, throttle_secs=0)
        tf.estimator.train_and_evaluate(estimator, train, evaluate)
    return estimator


def compare(how, folder, case):
    expected, slots, _ = one.alone(case, "tf1")
    estimator = trained(how, os.path.join(folder, case), case)
    names = "table", "kernel", "bias"
    assert int(estimator.get_variable_value("global_step")) == _problem.STEPS
    assert_same([estimator.get_variable_value(name) for name in names], expected, "values")
    stored = estimator.get_variable_names()
    for (i, slot), value in slots.items():
        (name,) = [each for each in stored if each.startswith(names[i] + "/") and each.endswith("/" + slot)]
        assert_same([estimator.get_variable_value(name)], [value], name)


def main(how, folder, cases):
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {}).get("type", "chief")
    if task != "chief":
        trained(how, os.path.join(folder, cases[0]), cases[0])
        report({task: lambda: None})
        return
    report({case: functools.partial(compare, how, folder, case) for case in cases})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

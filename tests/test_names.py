"""The names that users of other packages know: wrappers of optimizers, native ones included."""

import inspect
import warnings

import _arrays
import numpy as np
import pytest
from _apis import APIS
from _modes import modes_of, run, starting_values, varied_gradients

import kcompat
from kcompat import rules, testing, transforms

SHAPES = [(3, 2), (4,)]
STEPS = 12

# name -> (tf1's class and arguments, that of Keras and its arguments). Epsilons are large, to show.
RATE = {"learning_rate": 0.05}
NATIVES = {
    "sgd": ("GradientDescentOptimizer", RATE, "SGD", RATE),
    "momentum": ("MomentumOptimizer", dict(RATE, momentum=0.8), "SGD", dict(RATE, momentum=0.8)),
    "nesterov": (
        "MomentumOptimizer",
        dict(RATE, momentum=0.8, use_nesterov=True),
        "SGD",
        dict(RATE, momentum=0.8, nesterov=True),
    ),
    "adam": (
        "AdamOptimizer",
        dict(RATE, beta1=0.8, beta2=0.9, epsilon=0.02),
        "Adam",
        dict(RATE, beta_1=0.8, beta_2=0.9, epsilon=0.02),
    ),
    "amsgrad": (None, {}, "Adam", dict(RATE, beta_2=0.8, epsilon=0.02, amsgrad=True)),
    "adagrad": (
        "AdagradOptimizer",
        dict(RATE, initial_accumulator_value=0.3),
        "Adagrad",
        dict(RATE, epsilon=0.02),
    ),
    "adadelta": (
        "AdadeltaOptimizer",
        dict(learning_rate=0.5, rho=0.8, epsilon=0.02),
        "Adadelta",
        dict(learning_rate=0.5, rho=0.8, epsilon=0.02),
    ),
    "rmsprop": (
        "RMSPropOptimizer",
        dict(RATE, decay=0.8, epsilon=0.02),
        "RMSprop",
        dict(RATE, rho=0.8, epsilon=0.02),
    ),
    "rmsprop_all": (
        "RMSPropOptimizer",
        dict(RATE, decay=0.8, momentum=0.7, epsilon=0.02, centered=True),
        "RMSprop",
        dict(RATE, rho=0.8, momentum=0.7, epsilon=0.02, centered=True),
    ),
    "ftrl": (
        "FtrlOptimizer",
        dict(RATE, l1_regularization_strength=0.01, l2_shrinkage_regularization_strength=0.02),
        "Ftrl",
        dict(RATE, l1_regularization_strength=0.01, l2_shrinkage_regularization_strength=0.02),
    ),
    "proximal_adagrad": (
        "ProximalAdagradOptimizer",
        dict(RATE, l1_regularization_strength=0.01, l2_regularization_strength=0.02),
        None,
        {},
    ),
    "adamax": (None, {}, "Adamax", dict(RATE, beta_1=0.8, beta_2=0.9, epsilon=0.02)),
    "nadam": (None, {}, "Nadam", dict(RATE, beta_1=0.8, beta_2=0.9, epsilon=0.02)),
    "adamw": (None, {}, "AdamW", dict(RATE, weight_decay=0.1, epsilon=0.02)),
    "adafactor": (None, {}, "Adafactor", dict(RATE, clip_threshold=0.7)),
    "lion": (None, {}, "Lion", dict(learning_rate=0.05, beta_1=0.7)),
    "lamb": (None, {}, "Lamb", dict(RATE, epsilon=0.02)),
    "schedule_free": (None, {}, "ScheduleFreeAdamW", dict(RATE, epsilon=0.02)),
    "clipnorm": (None, {}, "SGD", dict(RATE, clipnorm=0.5)),
    "clipvalue": (None, {}, "SGD", dict(RATE, momentum=0.9, clipvalue=0.1)),
    "global_clipnorm": (None, {}, "SGD", dict(RATE, global_clipnorm=0.5)),
    "decay": (None, {}, "SGD", dict(RATE, decay=0.3)),
    "weight_decay": (None, {}, "SGD", dict(RATE, weight_decay=0.3)),
    "ema": (None, {}, "SGD", dict(RATE, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=3)),
}


def keras_of(api):
    """The module with an API's own optimizers."""
    host = kcompat.environment.host_class(api)
    root = host.__module__.split(".")[0]
    if root.startswith("tensorflow"):
        import tensorflow as tf

        found = tf.keras.optimizers
    else:
        found = __import__(root).optimizers
        if not hasattr(found, "SGD"):  # the package keras that TensorFlow 2.6 brings
            import tensorflow as tf

            found = tf.keras.optimizers
    for name in ("", "legacy", "experimental"):
        module = getattr(found, name, None) if name else found
        if isinstance(getattr(module, "SGD", None), type) and issubclass(module.SGD, host):
            return module
    return None


def native(api, name):
    """A native optimizer, or a skip where there is none."""
    tf1, tf1_arguments, keras, arguments = NATIVES[name]
    if api == "tf1":
        if tf1 is None:
            pytest.skip("TensorFlow 1 has none")
        import tensorflow as tf

        return getattr(tf.compat.v1.train, tf1)(**tf1_arguments)
    module = keras_of(api)
    if module is None or keras is None or not hasattr(module, keras):
        pytest.skip("Keras has none here")
    made = getattr(module, keras)
    if api == "get_updates":
        arguments = dict(arguments)
        if "lr" in inspect.signature(made).parameters:
            arguments["lr"] = arguments.pop("learning_rate")
    try:
        return made(**arguments)
    except (TypeError, ValueError) as error:
        if api == "keras_3" and "decay" not in arguments:
            raise
        pytest.skip("{} takes no such argument here: {}".format(keras, error))


def train(api, optimizer, params, gradients):
    """The parameters after a native optimizer's own steps."""
    if api == "keras_3":
        variables = [_arrays.variable(p, "v{}".format(i)) for i, p in enumerate(params)]
        backend = _arrays.backend(api)
        for row in gradients:
            grads = [_arrays.gradient(g, p, backend) for g, p in zip(row, params)]
            optimizer.apply_gradients(list(zip(grads, variables)))
        return [_arrays.to_numpy(v) for v in variables]
    import tensorflow as tf

    if api != "get_updates" and tf.executing_eagerly():
        variables = [tf.Variable(p) for p in params]
        for row in gradients:
            optimizer.apply_gradients(list(zip(map(tf.constant, row), variables)))
        return [v.numpy() for v in variables]
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        if api == "get_updates":
            optimizer = optimizer()
        variables = [v1.get_variable("v{}".format(i), initializer=p) for i, p in enumerate(params)]
        holders = [v1.placeholder(p.dtype, p.shape) for p in params]
        with v1.Session(graph=graph) as session:
            if api == "get_updates":
                loss = sum(tf.reduce_sum(h * v) for h, v in zip(holders, variables))
                updates = optimizer.get_updates(loss, variables)
                ops = [v1.assign(*u) if isinstance(u, tuple) else u for u in updates]
            else:
                ops = optimizer.apply_gradients(list(zip(holders, variables)))
            session.run(v1.global_variables_initializer())
            for row in gradients:
                session.run(ops, dict(zip(holders, row)))
            return session.run(variables)

"""Small training tasks with known gradients, and what trains them: Keras models, loops, native optimizers.

A task's gradients are computed in NumPy at the oracle's own parameters, step by step, so that what is
compared is a whole training run and not the optimizer alone.
"""

import inspect

import numpy as np
from _arrays import backend
from _modes import as_gradient, make_variable, to_numpy

import kcompat
from kcompat import rules
from kcompat.environment import host_class
from kcompat.testing import reference

STEPS = 8
BATCH = 3

# name -> (rule, base arguments). Epsilon is large, so that a gradient near 0 does not blow rounding up.
TRAINED = {
    "adam": (rules.Adam(0.05, epsilon=1e-3), {}),
    "momentum": (rules.SGD(0.02, momentum=0.9), {}),
    "clipped": (rules.Adam(0.05, epsilon=1e-2), {"clipnorm": 0.3}),
}


class Linear:
    """Linear regression: one dense layer."""

    names = ("kernel", "bias")

    def start(self):
        random = np.random.RandomState(3)
        return [random.randn(3, 2).astype("float32"), random.randn(2).astype("float32")]

    def data(self, steps=STEPS):
        """Inputs and targets of all batches in a row; the targets' size varies from batch to batch."""
        random = np.random.RandomState(4)
        size = 10 ** random.uniform(-1, 0.7, (steps, 1, 1))
        x = random.randn(steps * BATCH, 3).astype("float32")
        y = (random.randn(steps, BATCH, 2) * size).reshape(-1, 2).astype("float32")
        return x, y

    def batches(self, steps=STEPS):
        x, y = self.data(steps)
        return [(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, len(x), BATCH)]

    def model(self, keras):
        """A Keras model of it, at the starting values."""
        inputs = keras.layers.Input((3,))
        model = keras.models.Model(inputs, keras.layers.Dense(2)(inputs))
        model.set_weights(self.start())
        return model

    def loss(self, variables, x, y):
        """The loss in TensorFlow."""
        import tensorflow as tf

        kernel, bias = variables
        return tf.reduce_mean(tf.square(tf.matmul(x, kernel) + bias - y))

    def gradients(self, params, x, y):
        """The gradients in NumPy, those of sparse lookups as (values, indices)."""
        kernel, bias = params
        error = 2 * (x @ kernel + bias - y) / y.size
        return [x.T @ error, error.sum(0)]


class Embedded(Linear):
    """An embedding whose ids repeat inside a batch, and a dense layer: a sparse and two dense gradients."""

    names = ("embeddings", "kernel", "bias")
    rows, ids, width = 9, 3, 2

    def start(self):
        random = np.random.RandomState(5)
        shapes = (self.rows, self.width), (self.ids * self.width, 2), (2,)
        return [random.randn(*shape).astype("float32") for shape in shapes]

    def data(self, steps=STEPS):
        y = super().data(steps)[1]
        x = np.random.RandomState(6).randint(0, self.rows, (len(y), self.ids)).astype("int32")
        x[:, 1] = x[:, 0]  # twice in each example
        x[::BATCH] = x[1::BATCH]  # and two examples of each batch are the same
        return x, y

    def model(self, keras):
        inputs = keras.layers.Input((self.ids,), dtype="int32")
        flat = keras.layers.Flatten()(keras.layers.Embedding(self.rows, self.width)(inputs))
        model = keras.models.Model(inputs, keras.layers.Dense(2)(flat))
        model.set_weights(self.start())
        return model

    def loss(self, variables, x, y):
        import tensorflow as tf

        table, kernel, bias = variables
        flat = tf.reshape(tf.gather(table, x), (BATCH, self.ids * self.width))
        return super().loss([kernel, bias], flat, y)

    def gradients(self, params, x, y):
        table, kernel, bias = params
        flat = table[x].reshape(len(x), -1)
        error = 2 * (flat @ kernel + bias - y) / y.size
        return [((error @ kernel.T).reshape(-1, self.width), x.reshape(-1)), flat.T @ error, error.sum(0)]


TASKS = {"linear": Linear(), "embedded": Embedded()}


def oracle(rule, task, steps=STEPS, **base):
    """Parameters of a training run in NumPy float64."""
    params = task.start()
    done = []
    for x, y in task.batches(steps):
        current = reference(rule, params, done, **base)[0] if done else [p.astype("float64") for p in params]
        done.append(task.gradients(current, x, y))
    return reference(rule, params, done, **base)[0]


_oracles = {}


def expected(name, task, steps=STEPS):
    """The oracle's run of one of `TRAINED` on one of `TASKS`."""
    if (name, task, steps) not in _oracles:
        rule, base = TRAINED[name]
        _oracles[name, task, steps] = oracle(rule, TASKS[task], steps, **base)
    return _oracles[name, task, steps]


def assert_close(got, want, rtol=1e-5, atol=1e-6):
    assert len(got) == len(want)
    for i, (left, right) in enumerate(zip(got, want)):
        np.testing.assert_allclose(left, right, rtol=rtol, atol=atol, err_msg="variable {}".format(i))


def differ(got, want, by=1e-3):
    """Whether any parameter is clearly another one."""
    return max(np.abs(left - right).max() for left, right in zip(got, want)) > by


# Which Keras.


def keras_of(api):
    """The Keras whose models take optimizers of this API, or None."""
    import tensorflow as tf

    if api == "tf1":
        # tf.keras of TensorFlow up to 2.15, and tf_keras, wrap it; Keras 3 can't interpret it.
        optimizer = kcompat.optimizer(rules.SGD(0.1), api=api)
        try:
            tf.keras.optimizers.get(optimizer)
        except ValueError:
            return None
        return tf.keras
    package = host_class(api).__module__.split(".")[0]
    if tf.keras.Model.__module__.split(".")[0] == package:
        return tf.keras
    import importlib

    return importlib.import_module(package)


def native(api, name):
    """The host's own optimizer class of this name and API, or None."""
    if backend(api) != "tensorflow":
        import keras

        return getattr(keras.optimizers, name, None)
    import tensorflow as tf

    if api == "tf1":
        return getattr(tf.compat.v1.train, name, None)
    keras = keras_of(api)
    for space in ("", "experimental", "legacy"):
        found = getattr(getattr(keras.optimizers, space, None) if space else keras.optimizers, name, None)
        if isinstance(found, type) and issubclass(found, host_class(api)):
            return found
    return None


def accepts(function, argument):
    """Whether a function names this argument."""
    return argument in inspect.signature(function).parameters


# Training with given gradients, whichever of eager mode and a session is there.


def given_gradients(api, make, params, gradients):
    """Parameters after applying gradients with the optimizer that `make()` gives, native or not."""
    import tensorflow as tf

    if tf.executing_eagerly():
        optimizer = make()
        variables = [make_variable(api, p, "v{}".format(i)) for i, p in enumerate(params)]
        for row in gradients:
            grads = [as_gradient(g, p) for g, p in zip(row, params)]
            optimizer.apply_gradients(list(zip(grads, variables)))
        return [to_numpy(v) for v in variables]
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [make_variable(api, p, "v{}".format(i), "graph") for i, p in enumerate(params)]
        optimizer = make()
        holders, grads = [], []
        for g, p in zip(gradients[0], params):
            parts = g if isinstance(g, tuple) else (g,)
            made = [v1.placeholder(part.dtype, part.shape) for part in parts]
            holders += made
            grads.append(as_gradient(tuple(made) if isinstance(g, tuple) else made[0], p))
        step = optimizer.apply_gradients(list(zip(grads, variables)))
        session.run(v1.global_variables_initializer())
        for row in gradients:
            flat = [part for g in row for part in (g if isinstance(g, tuple) else (g,))]
            session.run(step, dict(zip(holders, flat)))
        return session.run([v.read_value() for v in variables])

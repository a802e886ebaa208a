"""Training as users do it: Keras' fit, custom loops, minimize, sessions, estimators, checkpoints.

Every way of training that an API has here ends where the NumPy oracle does, and where the host's own
optimizer does, if that is right. TensorFlow decides once a process whether it is eager, so the last test runs
this file a second time, the other way round: eager mode on TensorFlow 1, TensorFlow 1's behaviour on
TensorFlow 2.
"""

import inspect
import os
import subprocess
import sys

import _package
import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import make_variable, starting_values, to_numpy, varied_gradients
from _rules import Distance, Factored, LazyMomentum
from _training import (
    BATCH,
    STEPS,
    TASKS,
    TRAINED,
    accepts,
    assert_close,
    differ,
    expected,
    given_gradients,
    keras_of,
    native,
    oracle,
)

import kcompat
from kcompat import rules
from kcompat.environment import host_class
from kcompat.testing import reference

# Keras 3 on JAX and PyTorch trains in test_keras_3_arrays.
APIS = on_tensorflow(ALL)


def _eager():
    if not APIS:  # no framework here
        return False
    import tensorflow as tf

    return tf.executing_eagerly()


EAGER = _eager()

# The APIs that take part in eager mode here, and those in sessions. Keras 3 has no sessions: its variables
# can't be run in one, which kcompat says.
EAGER_APIS = [api for api in APIS if EAGER]
SESSION_APIS = [api for api in APIS if api != "keras_3"]


# Keras' own training.


def _fit_ways(api):
    """How a Keras model can be trained with this API here."""
    keras = keras_of(api)
    if keras is None:  # tf1 where tf.keras is Keras 3, which does not take it
        return []
    if not EAGER:
        # Keras' graph mode asks an optimizer for `get_updates`, which update_step optimizers of every
        # release lack. What tf1 gives is wrapped in one that has it.
        return ["fit", "train_on_batch"] if api in ("tf1", "get_updates", "optimizer_v2") else []
    if api == "get_updates":  # what it belongs to trains in graphs only
        return []
    ways = ["fit", "train_on_batch"]
    if hasattr(keras.models.Model, "run_eagerly"):
        ways.append("fit_eagerly")
    if accepts(keras.models.Model.compile, "jit_compile"):
        ways.append("fit_jit")
    return ways


def _train(model, way, optimizer, task, steps=STEPS):
    """Trains a model on a task's batches, in their order."""
    arguments = {"fit_eagerly": {"run_eagerly": True}, "fit_jit": {"jit_compile": True}}.get(way, {})
    model.compile(optimizer=optimizer, loss="mse", **arguments)
    if way == "train_on_batch":
        for x, y in TASKS[task].batches(steps):
            model.train_on_batch(x, y)
    else:
        x, y = TASKS[task].data(steps)
        model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    return _weights(model, task)


def _weights(model, task):
    # In 2.9 the variables of an update_step optimizer, native or not, follow among the model's weights.
    return model.get_weights()[: len(TASKS[task].names)]


def _model(api, task):
    keras = keras_of(api)
    if not EAGER:
        keras.backend.clear_session()  # else the graphs of all tests become one
    return TASKS[task].model(keras)


FIT = [
    (api, way, task, name)
    for api in APIS
    for way in _fit_ways(api)
    for task in sorted(TASKS)
    for name in sorted(TRAINED)
    # The dense task is a part of the sparse one, and the ways differ in what is around a step: one rule each
    # will do.
    if (way == "fit" and (task == "embedded" or name == "clipped"))
    or (way == "train_on_batch" and (task, name) == ("linear", "adam"))
    or (task, name) == ("embedded", "clipped")
]
NEAR = [("embedded", "adam"), ("embedded", "clipped")]


@pytest.mark.parametrize(
    "api,way,task,name",
    [
        pytest.param(*row, marks=() if row[2:] in NEAR else pytest.mark.wide)
        for row in FIT
    ],
)
def test_keras_training(api, way, task, name):
    rule, base = TRAINED[name]
    optimizer = kcompat.optimizer(rule, api=api, **base)
    got = _train(_model(api, task), way, optimizer, task)
    assert_close(got, expected(name, task))
    if EAGER:
        assert int(to_numpy(optimizer.iterations)) == STEPS


@pytest.mark.wide
@pytest.mark.parametrize(
    "api,way", sorted({(api, way) for api, way, _, _ in FIT if way in ("fit", "fit_jit")})
)
def test_keras_training_with_a_rule_of_rows(api, way):
    rule = LazyMomentum(0.02)
    got = _train(_model(api, "embedded"), way, kcompat.optimizer(rule, api=api), "embedded")
    assert_close(got, oracle(rule, TASKS["embedded"]))


@pytest.mark.parametrize("api", sorted({row[0] for row in FIT}))
def test_keras_goes_on_where_it_stopped(api):
    """A second fit continues; after a second compile too, as it is the same optimizer."""
    rule, base = TRAINED["adam"]
    optimizer = kcompat.optimizer(rule, api=api, **base)
    model, (x, y), half = _model(api, "embedded"), TASKS["embedded"].data(), STEPS // 2 * BATCH
    for part in (slice(0, half), slice(half, None)):
        model.compile(optimizer=optimizer, loss="mse")
        model.fit(x[part], y[part], batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    # tf1: Keras wraps it anew in each compile; its state is its own all the same.
    assert_close(_weights(model, "embedded"), expected("adam", "embedded"))


def test_the_tasks_tell_the_mistakes_apart():
    """Not to clip, and to clip before duplicate rows are summed, gives other parameters."""
    rule, base = TRAINED["clipped"]
    task = TASKS["embedded"]
    right = expected("clipped", "embedded")
    assert differ(oracle(rule, task), right)
    params, early = task.start(), []
    squares = []
    for x, y in task.batches():
        (values, ids), *rest = task.gradients(reference(rule, params, early)[0] if early else params, x, y)
        clip = base["clipnorm"] / max(np.sqrt((values**2).sum()), base["clipnorm"])
        rest = [g * (base["clipnorm"] / max(np.sqrt((g**2).sum()), base["clipnorm"])) for g in rest]
        early.append([(values * clip, ids), *rest])
        squares.append(ids)
    assert differ(reference(rule, params, early)[0], right)
    assert all(len(np.unique(ids)) < len(ids) for ids in squares)
    assert any(len(np.unique(ids)) < len(params[0]) for ids in squares)


# Custom loops.


def _tape_step(optimizer, variables, task, x, y, tape_of):
    with tape_of() as tape:
        loss = task.loss(variables, x, y)
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))


def _minimize_callable(optimizer, variables, task, x, y, tape_of):
    optimizer.minimize(lambda: task.loss(variables, x, y), var_list=variables)


def _minimize_var_list_callable(optimizer, variables, task, x, y, tape_of):
    optimizer.minimize(lambda: task.loss(variables, x, y), var_list=lambda: variables)


def _minimize_watched(optimizer, variables, task, x, y, tape_of):
    optimizer.minimize(lambda: task.loss(variables, x, y), var_list=None)


def _minimize_tape(optimizer, variables, task, x, y, tape_of):
    with tape_of() as tape:
        loss = task.loss(variables, x, y)
    optimizer.minimize(loss, var_list=variables, tape=tape)


def _minimize_tape_var_list_callable(optimizer, variables, task, x, y, tape_of):
    with tape_of() as tape:
        loss = task.loss(variables, x, y)
    optimizer.minimize(loss, var_list=lambda: variables, tape=tape)


def _compute_gradients(optimizer, variables, task, x, y, tape_of):
    pairs = optimizer.compute_gradients(lambda: task.loss(variables, x, y), var_list=variables)
    assert [variable is other for (_, variable), other in zip(pairs, variables)]
    optimizer.apply_gradients(pairs)


LOOPS = {
    "tape": _tape_step,
    "minimize": _minimize_callable,
    "minimize_var_list_callable": _minimize_var_list_callable,
    "minimize_watched": _minimize_watched,
    "minimize_tape": _minimize_tape,
    "minimize_tape_var_list_callable": _minimize_tape_var_list_callable,
    "compute_gradients": _compute_gradients,
}
# Traced, these say all: the others are the same code by then.
TRACED_LOOPS = ("tape", "minimize", "minimize_tape")


def _loops(api):
    import tensorflow as tf

    # OptimizerV2 never had compute_gradients (its own is private).
    names = [name for name in sorted(LOOPS) if name != "compute_gradients" or api != "optimizer_v2"]
    ways = [(api, name, False) for name in names]
    if hasattr(tf, "function"):  # not in TensorFlow 1.13
        ways += [(api, name, True) for name in TRACED_LOOPS]
    return ways


@pytest.mark.parametrize("api,loop,traced", [way for api in EAGER_APIS for way in _loops(api)])
def test_custom_loop(api, loop, traced):
    import tensorflow as tf

    rule, base = TRAINED["clipped"]
    task = TASKS["embedded"]
    optimizer = kcompat.optimizer(rule, api=api, **base)
    variables = [make_variable(api, p, n) for p, n in zip(task.start(), task.names)]

    def step(x, y):
        LOOPS[loop](optimizer, variables, task, x, y, tf.GradientTape)

    if traced:
        step = tf.function(step)
    for x, y in task.batches():
        step(tf.constant(x), tf.constant(y))
    assert_close([to_numpy(v) for v in variables], expected("clipped", "embedded"))
    assert int(to_numpy(optimizer.iterations)) == STEPS


# Sessions.


def _graph_minimize(optimizer, loss, variables):
    return optimizer.minimize(loss, var_list=variables)


def _graph_minimize_trainable(optimizer, loss, variables):
    return optimizer.minimize(loss, var_list=None)


def _graph_minimize_var_list_callable(optimizer, loss, variables):
    return optimizer.minimize(loss, var_list=lambda: variables)


def _graph_compute_gradients(optimizer, loss, variables):
    return optimizer.apply_gradients(optimizer.compute_gradients(loss, var_list=variables))


def _graph_get_gradients(optimizer, loss, variables):
    return optimizer.apply_gradients(zip(optimizer.get_gradients(loss, variables), variables))


def _graph_get_updates(optimizer, loss, variables):
    return optimizer.get_updates(loss, variables)


def _graph_ways(api):
    ways = {
        "minimize": _graph_minimize,
        "minimize_trainable": _graph_minimize_trainable,
        "minimize_var_list_callable": _graph_minimize_var_list_callable,
    }
    if api in ("get_updates", "optimizer_v2"):
        # What Keras' graph mode calls.
        ways.update(get_gradients=_graph_get_gradients, get_updates=_graph_get_updates)
    if api != "optimizer_v2":
        ways.update(compute_gradients=_graph_compute_gradients)
    return ways


SESSION_WAYS = [(api, way) for api in SESSION_APIS for way in sorted(_graph_ways(api))]


@pytest.mark.parametrize("api,way", SESSION_WAYS)
def test_session(api, way):
    import tensorflow as tf

    v1 = tf.compat.v1
    rule, base = TRAINED["clipped"]
    task = TASKS["embedded"]
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [make_variable(api, p, n, "graph") for p, n in zip(task.start(), task.names)]
        (first_x, first_y) = task.batches()[0]
        x, y = v1.placeholder(tf.int32, first_x.shape), v1.placeholder(tf.float32, first_y.shape)
        optimizer = kcompat.optimizer(rule, api=api, **base)
        step = _graph_ways(api)[way](optimizer, task.loss(variables, x, y), variables)
        session.run(v1.global_variables_initializer())
        for batch in task.batches():
            session.run(step, dict(zip((x, y), batch)))
        assert_close(session.run(variables), expected("clipped", "embedded"))
        assert session.run(tf.convert_to_tensor(optimizer.iterations)) == STEPS


def _graph_of(task, use_resource=True):
    """A TensorFlow 1 graph that trains a task: placeholders, variables, global step, the step to run."""
    import tensorflow as tf

    v1 = tf.compat.v1
    first_x, first_y = task.batches()[0]
    x = v1.placeholder(tf.as_dtype(first_x.dtype), first_x.shape)
    y = v1.placeholder(tf.float32, first_y.shape)
    variables = [
        v1.get_variable(n, initializer=p, use_resource=use_resource) for p, n in zip(task.start(), task.names)
    ]
    global_step = v1.train.get_or_create_global_step()
    rule, base = TRAINED["clipped"]
    optimizer = kcompat.optimizer(rule, api="tf1", **base)
    step = optimizer.minimize(task.loss(variables, x, y), global_step=global_step, var_list=variables)
    return (x, y), variables, global_step, step


TF1 = [api for api in APIS if api == "tf1"]


@pytest.mark.wide
@pytest.mark.parametrize("api", TF1)
@pytest.mark.parametrize("use_resource", [True, False])
def test_monitored_training_session(api, use_resource, tmp_path):
    """It finalizes the graph, counts with the global step, stops at one, and goes on from what it saved."""
    import tensorflow as tf

    v1 = tf.compat.v1
    task = TASKS["embedded"]
    batches = iter(task.batches())
    for last in (STEPS // 2, STEPS):
        with tf.Graph().as_default():
            feed, variables, global_step, step = _graph_of(task, use_resource)
            with v1.train.MonitoredTrainingSession(
                checkpoint_dir=str(tmp_path),
                hooks=[v1.train.StopAtStepHook(last_step=last)],
                save_summaries_steps=None,
                save_summaries_secs=None,
                log_step_count_steps=None,
            ) as session:
                while not session.should_stop():
                    session.run(step, dict(zip(feed, next(batches))))
                    # Past the hooks, since the session may have been told to stop.
                    values = session.run_step_fn(
                        lambda step_context: step_context.session.run([*variables, global_step])  # noqa: B023
                    )
        assert values.pop() == last
    assert_close(values, expected("clipped", "embedded"))


@pytest.mark.parametrize("api", TF1)
@pytest.mark.parametrize("use_resource", [True, False])
def test_saver_resumes_exactly(api, use_resource, tmp_path):
    import tensorflow as tf

    v1 = tf.compat.v1
    task = TASKS["embedded"]
    batches = task.batches()
    path = str(tmp_path / "model.ckpt")

    def train(part, restore=False, save=False):
        with tf.Graph().as_default(), v1.Session() as session:
            feed, variables, global_step, step = _graph_of(task, use_resource)
            saver = v1.train.Saver()
            if restore:
                saver.restore(session, path)  # instead of initializing
            else:
                session.run(v1.global_variables_initializer())
            for batch in part:
                session.run(step, dict(zip(feed, batch)))
            if save:
                saver.save(session, path, write_meta_graph=False)
            return session.run([*variables, global_step])

    whole = train(batches)
    train(batches[:3], save=True)
    resumed = train(batches[3:], restore=True)
    for left, right in zip(whole, resumed):
        assert np.array_equal(left, right)
    assert_close(whole[:-1], expected("clipped", "embedded"))


def _has_estimators():
    if not TF1:
        return False
    import tensorflow as tf

    try:
        return hasattr(tf.compat.v1.estimator, "Estimator")
    except (AttributeError, ImportError):  # gone in 2.16
        return False


@pytest.mark.parametrize("api", TF1 if _has_estimators() else [])
def test_estimator(api, tmp_path):
    import tensorflow as tf

    v1 = tf.compat.v1
    task = TASKS["embedded"]
    rule, base = TRAINED["clipped"]

    def model(features, labels, mode):
        variables = [v1.get_variable(n, initializer=p) for p, n in zip(task.start(), task.names)]
        loss = task.loss(variables, features, labels)
        optimizer = kcompat.optimizer(rule, api=api, **base)
        step = optimizer.minimize(loss, global_step=v1.train.get_global_step())
        return v1.estimator.EstimatorSpec(mode, loss=loss, train_op=step)

    def batches():
        x, y = task.data()
        return tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH, drop_remainder=True)

    config = v1.estimator.RunConfig(str(tmp_path), save_summary_steps=None, log_step_count_steps=None)
    estimator = v1.estimator.Estimator(model, config=config)
    # The second call starts from the checkpoint of the first.
    estimator.train(batches, steps=3)
    estimator.train(lambda: batches().skip(3))
    assert_close([estimator.get_variable_value(n) for n in task.names], expected("clipped", "embedded"))


# Agreement with the host's own optimizers.

SHAPES = [(3, 2), (6, 3)]
AGREE_STEPS = 20

# For each of kcompat's: (the name of the native class, its arguments), on tf1 and on the Keras APIs.
_ADAM = {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 0.01}
NATIVES = {
    "sgd": (
        rules.SGD(0.05),
        ("GradientDescentOptimizer", {"learning_rate": 0.05}),
        ("SGD", {"learning_rate": 0.05}),
    ),
    # With a fixed learning rate, to have it inside the velocity or outside (tf1) is the same.
    "momentum": (
        rules.SGD(0.05, momentum=0.9),
        ("MomentumOptimizer", {"learning_rate": 0.05, "momentum": 0.9}),
        ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    ),
    "nesterov": (
        rules.SGD(0.05, momentum=0.9, nesterov=True),
        ("MomentumOptimizer", {"learning_rate": 0.05, "momentum": 0.9, "use_nesterov": True}),
        ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    ),
    "adam": (
        rules.Adam(**_ADAM),
        ("AdamOptimizer", {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.95, "epsilon": 0.01}),
        ("Adam", _ADAM),
    ),
    "amsgrad": (
        rules.Adam(amsgrad=True, **_ADAM),
        None,  # TensorFlow 1 has none
        ("Adam", dict(_ADAM, amsgrad=True)),
    ),
    "adamw": (
        rules.AdamW(weight_decay=0.1, **_ADAM),
        None,
        ("AdamW", dict(_ADAM, weight_decay=0.1)),
    ),
}


def _native(api, name):
    """A function that makes the host's own optimizer for one of `NATIVES`, or None if there is none."""
    spec = NATIVES[name][1 if api == "tf1" else 2]
    host = spec and native(api, spec[0])
    return host and (lambda: host(**spec[1]))


# In a session no native Keras 3 optimizer runs, and a native update_step optimizer counts the step and
# updates nothing: there is no comparison. That of get_updates knows Keras' hook only, and is compared in
# test_get_updates.
AGREE = [
    (api, name)
    for api in APIS
    for name in sorted(NATIVES)
    if ((EAGER and api != "get_updates") or api in ("tf1", "optimizer_v2")) and _native(api, name)
]
# Momentum's sparse updates are lazy on tf1 and optimizer_v2, which is another optimizer than the dense one.
AGREE_SPARSE = [(api, name) for api, name in AGREE if name in ("sgd", "adam", "amsgrad", "adamw")]


def _sums_duplicates(api):
    """Whether the host sums the gradients of duplicate ids before it squares them."""
    # Keras 3 never does; its predecessor from 2.10 on, in a method that says so.
    return api in ("tf1", "optimizer_v2") or hasattr(host_class(api), "_deduplicate_sparse_grad")


def _decay_is_right(api, make):
    """Whether the host's weight decay takes off weight_decay * learning_rate of a parameter."""
    one, zero = [np.ones(1, "float32")], [[np.zeros(1, "float32")]]
    (left,) = given_gradients(api, make, one, zero)
    return abs(left[0] - (1 - 0.05 * 0.1)) < 1e-6


@pytest.mark.parametrize("api,name", AGREE)
def test_agrees_with_the_host_dense(api, name):
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, AGREE_STEPS)
    rule, make = NATIVES[name][0], _native(api, name)
    ours = given_gradients(api, lambda: kcompat.optimizer(rule, api=api), params, gradients)
    theirs = given_gradients(api, make, params, gradients)
    assert_close(ours, reference(rule, params, gradients)[0])
    if name == "adamw" and not _decay_is_right(api, make):
        # Keras 2.9 multiplies the parameter by weight_decay * learning_rate, in place of subtracting that.
        (left,) = given_gradients(api, make, [np.ones(1, "float32")], [[np.zeros(1, "float32")]])
        np.testing.assert_allclose(left, 0.05 * 0.1, rtol=1e-5)
        assert host_class(api).__module__ == "keras.optimizers.optimizer_experimental.optimizer"
        assert differ(theirs, ours)
    else:
        assert_close(ours, theirs)


@pytest.mark.parametrize("api,name", AGREE_SPARSE)
def test_agrees_with_the_host_sparse(api, name):
    """Where the host is right. Where it squares gradients of duplicate ids one by one, kcompat does not."""
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, AGREE_STEPS, sparse={1})
    rule, make = NATIVES[name][0], _native(api, name)
    ours = given_gradients(api, lambda: kcompat.optimizer(rule, api=api), params, gradients)
    theirs = given_gradients(api, make, params, gradients)
    assert_close(ours, reference(rule, params, gradients)[0])
    if name == "adamw" and not _decay_is_right(api, make):
        assert differ(theirs, ours)
    elif name != "sgd" and not _sums_duplicates(api):
        assert differ(theirs, ours)
    else:
        assert_close(ours, theirs)


# The class is a native one.


@pytest.mark.parametrize("api", APIS)
def test_the_class_is_native(api):
    host = host_class(api)
    made = kcompat.optimizer_class(rules.Adam, api)
    assert issubclass(made, host) and made is not host
    assert kcompat.optimizer_class(rules.Adam, api) is made
    assert kcompat.optimizer_class(LazyMomentum, api) is not made
    # Keras' first generation saves a class by its name alone.
    assert made.__name__ == (kcompat.__name__ + ".Adam" if api == "get_updates" else "Adam")
    assert made.__qualname__ == "Adam"
    assert made.__module__ == rules.Adam.__module__
    assert made.__doc__ == rules.Adam.__doc__
    assert list(inspect.signature(made).parameters)[:2] == ["learning_rate", "beta_1"]
    other = kcompat.optimizer_class(rules.Adam, api, name="Adam2")
    assert other.__qualname__ == "Adam2" and other is not made
    assert isinstance(kcompat.optimizer(rules.Adam(), api=api), made)


# With TensorFlow 1's behaviour, Keras 2.12 and later puts an OptimizerV2 of the same name in the place of
# every update_step optimizer.
AS_IT_IS = [api for api in APIS if api in ("get_updates", "optimizer_v2") or (EAGER and api != "tf1")]


@pytest.mark.parametrize("api", AS_IT_IS)
def test_keras_takes_the_optimizer_as_it_is(api):
    optimizer = kcompat.optimizer(rules.Adam(), api=api)
    keras = keras_of(api)
    assert keras.optimizers.get(optimizer) is optimizer
    if _fit_ways(api):
        model = _model(api, "linear")
        model.compile(optimizer=optimizer, loss="mse")
        assert model.optimizer is optimizer


@pytest.mark.parametrize("api", [api for api in TF1 if _fit_ways(api)])
def test_keras_wraps_a_tf1_optimizer(api):
    optimizer = kcompat.optimizer(rules.Adam(), api=api)
    assert keras_of(api).optimizers.get(optimizer).optimizer is optimizer


@pytest.mark.parametrize("api", [api for api in APIS if api != "tf1" and _fit_ways(api)])
def test_the_weights_of_a_model_with_its_optimizer(api):
    """Keras 2.9 takes an update_step optimizer, native or not, for a part of the model."""
    import tensorflow as tf

    model = _model(api, "linear")
    model.compile(optimizer=kcompat.optimizer(rules.Adam(0.1), api), loss="mse")
    model.fit(*TASKS["linear"].data(), batch_size=BATCH, verbose=0)
    is_part = isinstance(model.optimizer, getattr(tf, "Module", ()))
    assert (len(model.weights) > 2) == is_part
    assert [tuple(weight.shape) for weight in model.weights[:2]] == [(3, 2), (2,)]


# Checkpoints.


# Slots like the variables; slots of other shapes; a scalar that belongs to all variables.
SAVED = {"clipped": TRAINED["clipped"], "factored": (Factored(0.02), {}), "distance": (Distance(0.1), {})}


def _checkpointed(api, with_model, name):
    """A fresh training run: variables, the optimizer, the checkpoint that holds them."""
    import tensorflow as tf

    task = TASKS["embedded"]
    rule, base = SAVED[name]
    optimizer = kcompat.optimizer(rule, api=api, **base)
    if with_model:
        model = _model(api, "embedded")
        variables = list(model.trainable_variables)
        checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    else:
        variables = [make_variable(api, p, n) for p, n in zip(task.start(), task.names)]
        # Under names of their own: a list would be wrapped, differently from release to release.
        checkpoint = tf.train.Checkpoint(optimizer=optimizer, **dict(zip(task.names, variables)))
    return variables, optimizer, checkpoint


def _steps(optimizer, variables, batches):
    import tensorflow as tf

    for x, y in batches:
        _tape_step(optimizer, variables, TASKS["embedded"], tf.constant(x), tf.constant(y), tf.GradientTape)


CHECKPOINTS = [
    (api, with_model, name)
    for api in EAGER_APIS
    # Keras 3.0's optimizers are nothing that TensorFlow can save.
    if api != "keras_3" or hasattr(host_class(api), "_trackable_children")
    # Nor are those of Keras' first generation, which HDF5 files hold.
    if api != "get_updates"
    for with_model in (False, True)
    # Of tf1, a Keras model is no part.
    if not (with_model and api == "tf1")
    for name in sorted(SAVED)
    if name == "clipped" or not with_model
]


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("api,with_model,name", CHECKPOINTS)
def test_checkpoint_resumes_exactly(api, with_model, name, deferred, tmp_path):
    """Restored into fresh objects, after the slots exist or (deferred) before, training goes on the same."""
    batches = TASKS["embedded"].batches()
    variables, optimizer, checkpoint = _checkpointed(api, with_model, name)
    _steps(optimizer, variables, batches[:3])
    path = checkpoint.save(str(tmp_path / "ckpt"))
    _steps(optimizer, variables, batches[3:])
    whole = [to_numpy(v) for v in variables]
    assert_close(whole, oracle(SAVED[name][0], TASKS["embedded"], **SAVED[name][1]))

    variables, optimizer, checkpoint = _checkpointed(api, with_model, name)
    if not deferred:
        optimizer.build(variables)
    status = checkpoint.restore(path)
    _steps(optimizer, variables, batches[3:])
    status.assert_consumed()
    assert int(to_numpy(optimizer.iterations)) == STEPS
    for got, want in zip(variables, whole):
        assert np.array_equal(to_numpy(got), want)


# The other way round.

OTHER_WAY = """
import sys
import pytest
import tensorflow as tf
v1 = tf.compat.v1
# Not asked of tf.executing_eagerly(): in 1.13 the answer alone makes a graph, and then it is too late.
(v1.enable_eager_execution if hasattr(tf, "Session") else v1.disable_v2_behavior)()
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.wide
@pytest.mark.parametrize("tensorflow", ["tensorflow"] if APIS else [])
def test_the_other_way_round(tensorflow):
    """This file again: eager where TensorFlow is not by default, and as TensorFlow 1 where it is."""
    here = os.path.dirname(os.path.abspath(__file__))
    ours = [_package.PATH, os.environ.get("PYTHONPATH")]
    done = subprocess.run(
        [
            *(sys.executable, "-c", OTHER_WAY, "-q", "-p", "no:cacheprovider", "--no-header"),
            # Without itself, and without what takes long and is the same there. Loops and checkpoints are for
            # eager mode, and so are collected only on TensorFlow 1.
            *("-k", "adam or clipped or loop or checkpoint or test_session or saver or goes_on"),
            *("-W", "ignore", os.path.basename(__file__)),
        ],
        cwd=here,
        # TensorFlow, imported first, may put on the path what pytest would then take for plugins.
        env=dict(
            os.environ, PYTHONPATH=os.pathsep.join(filter(None, ours)), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    assert done.returncode == 0, done.stdout[-20000:]
    assert " passed" in done.stdout

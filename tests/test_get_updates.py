"""Keras' first optimizer API: what Keras does with it, on every package that has it here.

The tests that run on all APIs have it too, by way of `apply_gradients`; here is `get_updates` itself, in
`fit`, callbacks and files. TensorFlow 1.13 with Keras 2.2 beside it has two hosts; those take the first.
"""

import copy
import importlib
import json
import pickle

import numpy as np
import pytest
from _apis import APIS
from _modes import modes_of, starting_values, varied_gradients
from _rules import Distance, Factored, LazyMomentum, SignMomentum
from _steps import steps
from _training import BATCH, STEPS, TASKS, TRAINED, Embedded, Linear, assert_close, expected, keras_of, oracle

import kcompat
from kcompat import environment, rules
from kcompat.testing import reference

API = "get_updates"


def _package(place):
    """What a user calls the host: "tf.keras" of "tf.keras.optimizers.Optimizer"."""
    return place.partition(".optimizers")[0].partition(".train")[0]


HOSTS = [_package(place) for place, _ in environment.host_classes(API)] if API in APIS else []
on_hosts = pytest.mark.parametrize("host", HOSTS)

# The APIs that Keras trains in a graph here: TensorFlow 1's.
GRAPH_APIS = [api for api in APIS if api != "tf1" and modes_of(api)[0] == "graph"]


def keras_at(host):
    if host != "tf.keras":
        return importlib.import_module(host)
    import tensorflow as tf

    return tf.keras


def optimizer(host, rule, **base):
    return kcompat.optimizer(rule, API, host, **base)


def fresh(host, task="linear"):
    """A new model in a new graph."""
    keras = keras_at(host)
    keras.backend.clear_session()
    return TASKS[task].model(keras)


def fit(model, task="linear", first=0, last=STEPS, **arguments):
    x, y = TASKS[task].data()
    part = slice(first * BATCH, last * BATCH)
    return model.fit(
        x[part], y[part], **{"batch_size": BATCH, "epochs": 1, "shuffle": False, "verbose": 0, **arguments}
    )


def compiled(host, task, rule, **base):
    model = fresh(host, task)
    model.compile(optimizer=optimizer(host, rule, **base), loss="mse")
    return model


def mean_of(keras):
    """A loss whose gradient is known: the mean of the predictions."""
    return lambda y, prediction: keras.backend.mean(prediction)


def unit(host, make):
    """A model whose only weight has a gradient of 1, and a function that trains it one step.

    The function returns how far the weight moved down, and the loss that Keras reported, which is the weight.
    """
    keras = keras_at(host)
    keras.backend.clear_session()
    inputs = keras.layers.Input((1,))
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.models.Model(inputs, layer(inputs))

    def compile_():
        model.compile(optimizer=model.made, loss=mean_of(keras))

    model.made, model.compile_again = make(keras), compile_
    compile_()

    def step():
        before = float(model.get_weights()[0])
        loss = float(model.train_on_batch(np.ones((2, 1)), np.ones((2, 1))))
        assert loss == before
        return before - float(model.get_weights()[0])

    return model, step


# Which package.


@pytest.mark.parametrize("api", APIS)
def test_every_host_of_an_api_can_be_had(api):
    places = environment.host_classes(api)
    first = {}  # of each package: 2.9 and 2.10 have a subclass of OptimizerV2 in tf.keras, too
    for place, base in places:
        found = kcompat.optimizer_class(rules.Adam, api, host=place.rpartition(".")[0])
        assert issubclass(found, base)
        first.setdefault(_package(place), found)
    for host, found in first.items():
        assert kcompat.optimizer_class(rules.Adam, api, host=host) is found
        assert type(kcompat.optimizer(rules.Adam(), api, host)) is found
    assert kcompat.optimizer_class(rules.Adam, api) is first[_package(places[0][0])]
    assert len(set(first.values())) == len(first)
    with pytest.raises(kcompat.ApiNotAvailableError, match="no host 'kearas' here; it is in " + places[0][0]):
        kcompat.optimizer_class(rules.Adam, api, host="kearas")


@on_hosts
def test_keras_takes_it_as_it_is(host):
    keras = keras_at(host)
    made = optimizer(host, rules.Adam())
    assert isinstance(made, keras.optimizers.Optimizer)
    assert keras.optimizers.get(made) is made
    assert made.name == "Adam" and optimizer(host, rules.Adam(), name="mine").name == "mine"


@pytest.mark.parametrize("host", [host for host in HOSTS if host == "keras"])
def test_keras_takes_a_tf1_optimizer_too(host):
    rule, base = TRAINED["clipped"]
    model = fresh(host, "embedded")
    model.compile(optimizer=kcompat.optimizer(rule, "tf1", **base), loss="mse")
    fit(model, "embedded")
    assert_close(model.get_weights(), expected("clipped", "embedded"))


# Training.


# Of the first host, test_training has them.
FIT = [(host, "fit", "embedded", name) for host in HOSTS[1:] for name in sorted(TRAINED)]
FIT += [(host, "train_on_batch", "linear", "adam") for host in HOSTS[1:]]


@pytest.mark.parametrize("host,way,task,name", FIT)
def test_fit(host, way, task, name):
    rule, base = TRAINED[name]
    model = compiled(host, task, rule, **base)
    if way == "fit":
        fit(model, task)
    else:
        for x, y in TASKS[task].batches():
            model.train_on_batch(x, y)
    assert_close(model.get_weights(), expected(name, task))
    assert keras_at(host).backend.get_value(model.optimizer.iterations) == STEPS


@on_hosts
def test_fit_in_float64(host):
    """As the oracle computes, to the last digits; natively the learning rate is float32's 0.0500000007."""
    keras = keras_at(host)
    keras.backend.set_floatx("float64")
    try:
        rule, base = rules.Adam(0.05, epsilon=1e-3), {"clipnorm": 0.3, "weight_decay": 0.1}
        model = compiled(host, "embedded", rule, **base)
        assert all(weight.dtype == np.float64 for weight in model.get_weights())
        fit(model, "embedded")
        assert_close(model.get_weights(), oracle(rule, TASKS["embedded"], **base), rtol=1e-12, atol=1e-12)
    finally:
        keras.backend.set_floatx("float32")


@on_hosts
def test_identical_fits_are_equal_to_the_last_bit(host):
    """Those of Keras' own Adam differ by up to 0.02."""
    rule, base = TRAINED["clipped"]
    runs = []
    for _ in range(3):
        model = compiled(host, "embedded", rule, weight_decay=0.01, **base)
        fit(model, "embedded")
        runs.append(model.get_weights() + model.optimizer.get_weights())
    for run in runs[1:]:
        for left, right in zip(runs[0], run):
            assert left.tobytes() == right.tobytes()


def _closure(operations):
    """Everything that must run before or with these operations of a graph."""
    pending, seen = list(operations), set()
    while pending:
        operation = pending.pop()
        if operation not in seen:
            seen.add(operation)
            pending += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
    return seen


def _unordered(loss, updates):
    """Names of the variables that a training step writes without waiting for what reads them in it."""
    step = _closure([getattr(each, "op", each) for each in [loss, *updates]])
    readers, writers = {}, {}
    for operation in step:
        for tensor in operation.inputs:
            if tensor.op.type in ("VarHandleOp", "VariableV2"):
                kinds = ("Assign", "Scatter", "ResourceScatter", "Apply", "ResourceApply")
                writes = operation.type.startswith(kinds)
                (writers if writes else readers).setdefault(tensor.op.name, []).append(operation)
    assert any(name.startswith("dense") for name in readers) and len(writers) > 3
    return {
        name
        for name, found in writers.items()
        for writer in found
        if not set(readers.get(name, ())) <= _closure([writer])
    }


@on_hosts
def test_writes_wait_for_reads(host):
    """Not in Keras' own Adam, which reads its step counter or a weight before or after it is written."""
    keras = keras_at(host)
    rule, base = TRAINED["clipped"]
    for make, ordered in (
        (lambda: optimizer(host, rule, **base), True),
        (lambda: keras.optimizers.Adam(0.05), False),
    ):
        model = fresh(host, "embedded")
        model.compile(optimizer=make(), loss="mse")
        updates = model.optimizer.get_updates(loss=model.total_loss, params=model.trainable_weights)
        assert (not _unordered(model.total_loss, updates)) is ordered


@on_hosts
def test_constraints(host):
    """Of a dense layer and of an embedding, whose rule sees only the rows present."""
    keras = keras_at(host)
    for rule in (rules.SGD(0.5), LazyMomentum(0.5, 0.0)):
        keras.backend.clear_session()
        inputs = keras.layers.Input((1,), dtype="int32")
        table = keras.layers.Embedding(3, 1, embeddings_constraint=keras.constraints.non_neg())
        hidden = keras.layers.Flatten()(table(inputs))
        dense = keras.layers.Dense(1, use_bias=False, kernel_constraint=keras.constraints.max_norm(0.25))
        model = keras.models.Model(inputs, dense(hidden))
        model.set_weights([np.array([[0.5], [4.0], [2.0]]), np.array([[1.0]])])
        model.compile(optimizer=optimizer(host, rule), loss=mean_of(keras))
        model.train_on_batch(np.array([[0], [0], [1]]), np.ones((3, 1)))
        # Moved by 0.5 times 2/3 and 1/3; by 0.5 times 5/3, and scaled to a norm of 0.25.
        after = [np.array([[0.5 - 1 / 3], [4 - 1 / 6], [2.0]]), np.array([[1 / 6]])]
        assert_close(model.get_weights(), after, rtol=1e-4)
        for _ in range(3):
            model.train_on_batch(np.array([[0], [0], [0]]), -np.ones((3, 1)))
        assert_close(model.get_weights()[:1], [np.array([[0.0], [4 - 1 / 6], [2.0]])], atol=0.2)
        assert model.get_weights()[0].min() >= 0 and abs(model.get_weights()[1]) <= 0.2501


@on_hosts
def test_averages_are_put_in_place(host):
    """By the user: Keras calls `finalize_variable_values` from 2.11 on."""
    base = {"use_ema": True, "ema_momentum": 0.5}
    model = compiled(host, "linear", rules.SGD(0.05), **base)
    fit(model)
    slots = [model.optimizer.get_slot(v, "average") for v in model.trainable_weights]
    averages = keras_at(host).backend.batch_get_value(slots)
    assert np.abs(averages[0] - model.get_weights()[0]).max() > 1e-3
    model.optimizer.finalize_variable_values(model.trainable_weights)
    for got, want in zip(model.get_weights(), averages):
        assert np.array_equal(got, want)


GRAPHS = [(api, mode) for api in APIS for mode in modes_of(api) if mode in ("graph", "graph_ref")]


@pytest.mark.parametrize("api,mode", GRAPHS)
def test_averages_in_a_graph(api, mode):
    """`finalize_variable_values` assigns, in the session that there is, or raises."""

    def make():
        return kcompat.optimizer(rules.SGD(1.0), api, use_ema=True, ema_momentum=0.5)

    with steps(api, mode, make) as training:
        training.step()
        training.step()
        training.optimizer.finalize_variable_values(training.variables)
        assert training.values()[0].tolist() == [-1.5, -1.5]
        import tensorflow as tf

        with tf.Graph().as_default(), tf.compat.v1.Session():
            with pytest.raises(kcompat.NotBuiltError, match="session"):
                training.optimizer.finalize_variable_values(training.variables)


# The learning rate, as Keras' users and callbacks set it.


@on_hosts
def test_keras_sets_the_learning_rate(host):
    keras = keras_at(host)
    set_value, get_value = keras.backend.set_value, keras.backend.get_value
    model, step = unit(host, lambda keras: optimizer(host, rules.SGD(1)))
    assert get_value(model.optimizer.lr) == 1 and get_value(model.optimizer.iterations) == 0
    set_value(model.optimizer.lr, 0.5)  # before the first step
    assert step() == 0.5
    set_value(model.optimizer.lr, 0.25)
    assert step() == 0.25
    model.optimizer.lr = 0.125
    assert get_value(model.optimizer.learning_rate) == 0.125
    assert step() == 0.125
    model.optimizer.learning_rate = 2
    assert step() == 2
    assert get_value(model.optimizer.iterations) == 4


@on_hosts
def test_setting_the_learning_rate_before_keras_has_a_session(host):
    model, step = unit(host, lambda keras: optimizer(host, rules.SGD(1, momentum=0.5)))
    _ = model.optimizer.lr  # which makes the variable
    model.optimizer.lr, model.optimizer.momentum = 0.5, 0.25
    assert model.optimizer.get_config()["learning_rate"] == 0.5
    assert [step(), step()] == [0.5, 0.625]


@on_hosts
def test_a_learning_rate_that_is_assigned_takes_effect(host):
    """Keras up to 2.2 replaces the attribute, and trains on with the variable; Keras 2.3 raises."""
    keras = keras_at(host)
    model, step = unit(host, lambda keras: keras.optimizers.SGD(0.5))
    assert step() == 0.5
    if hasattr(keras.optimizers.Optimizer, "lr"):  # a property
        with pytest.raises(AttributeError):
            model.optimizer.lr = 0.25
    else:
        model.optimizer.lr = 0.25
        assert step() == 0.5
    model, step = unit(host, lambda keras: optimizer(host, rules.SGD(0.5)))
    assert step() == 0.5
    model.optimizer.lr = 0.25
    assert step() == 0.25


@on_hosts
def test_callbacks_set_the_learning_rate(host):
    keras = keras_at(host)
    rule = rules.Adam(0.1, epsilon=1e-3)
    rates = [0.1, 0.05, 0.2, 0.025]
    model = compiled(host, "linear", rule)
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: rates[epoch])
    history = fit(model, last=1, epochs=4, callbacks=[scheduler]).history
    # The same batch in each epoch; its gradient is at the oracle's own parameters.
    task, done, params = Linear(), [], Linear().start()
    changes = {step: {"learning_rate": float(np.float32(rate))} for step, rate in enumerate(rates, 1)}
    for _ in rates:
        current = reference(rule, params, done, set_hyper=changes)[0] if done else params
        done.append(task.gradients(current, *task.batches()[0]))
    assert_close(model.get_weights(), reference(rule, params, done, set_hyper=changes)[0])
    if "lr" in history:
        np.testing.assert_allclose(history["lr"], rates, rtol=1e-6)

    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="loss", factor=0.5, patience=1, min_delta=1e9, verbose=0
    )
    fit(model, last=1, epochs=3, callbacks=[plateau])
    assert keras.backend.get_value(model.optimizer.lr) == np.float32(0.025 / 4)
    assert model.optimizer.get_config()["learning_rate"] == pytest.approx(0.025 / 4, rel=1e-6)


@pytest.mark.parametrize("api", GRAPH_APIS)
def test_config_has_what_keras_set(api):
    """In Keras' own session, which is nobody's default."""
    backend = keras_of(api).backend
    backend.clear_session()
    model = TASKS["linear"].model(keras_of(api))
    made = kcompat.optimizer(rules.SGD(0.5), api)
    model.compile(optimizer=made, loss="mse")
    model.train_on_batch(*TASKS["linear"].batches()[0])
    assert made.get_config()["learning_rate"] == 0.5
    backend.set_value(made.lr, 0.25)
    assert made.get_config()["learning_rate"] == 0.25
    backend.clear_session()


@on_hosts
def test_a_session_of_the_users_own(host):
    import tensorflow as tf

    keras = keras_at(host)
    model, step = unit(host, lambda keras: optimizer(host, rules.SGD(0.5)))
    session = tf.compat.v1.Session()
    keras.backend.set_session(session)
    assert step() == 0.5
    model.optimizer.lr = 0.25
    assert step() == 0.25
    keras.backend.clear_session()


# The same optimizer again.


@on_hosts
def test_compiling_again_keeps_the_slots(host):
    """Keras makes new ones: momentum is lost without a word, and the step counter goes on."""
    model, step = unit(host, lambda keras: keras.optimizers.SGD(1.0, momentum=0.5))
    assert [step(), step()] == [1.0, 1.5]
    model.compile_again()
    assert step() == 1.0 and keras_at(host).backend.get_value(model.optimizer.iterations) == 3
    model, step = unit(host, lambda keras: optimizer(host, rules.SGD(1.0, momentum=0.5)))
    assert [step(), step()] == [1.0, 1.5]
    model.compile_again()
    assert step() == 1.75
    assert keras_at(host).backend.get_value(model.optimizer.iterations) == 3


@on_hosts
def test_weights_are_those_of_the_model_trained_last(host):
    """In its variables' order, which is the one in a file, however the optimizer was built."""
    model = compiled(host, "embedded", rules.SGD(0.05, momentum=0.9))
    made, variables = model.optimizer, model.trainable_weights
    assert made.weights == []
    made.build(variables[::-1])
    slots = [made.get_slot(variable, "m") for variable in variables]
    assert made.weights == made.variables == [made.iterations, *slots[::-1]]
    fit(model, "embedded")
    assert made.weights == [made.iterations, *slots]
    model.layers[1].trainable = False
    model.compile(optimizer=made, loss="mse")
    table = model.get_weights()[0]
    fit(model, "embedded")
    assert made.weights == [made.iterations, *slots[1:]] and set(made.variables) == {made.iterations, *slots}
    assert np.array_equal(model.get_weights()[0], table)
    with pytest.raises(AttributeError, match="set_weights"):
        made.weights = []


@on_hosts
def test_a_layer_that_is_trained_later(host):
    """Its slots are made when the model is compiled again; the others go on."""
    rule, task, frozen = rules.Adam(0.05, epsilon=1e-2), Embedded(), 3
    model = fresh(host, "embedded")
    made = optimizer(host, rule)
    for first, last in ((0, frozen), (frozen, STEPS)):
        model.layers[1].trainable = first > 0
        model.compile(optimizer=made, loss="mse")
        fit(model, "embedded", first, last)
    done = []
    for x, y in task.batches():
        current = reference(rule, task.start(), done)[0] if done else task.start()
        row = task.gradients(current, x, y)
        done.append([None, *row[1:]] if len(done) < frozen else row)
    assert_close(model.get_weights(), reference(rule, task.start(), done)[0])


@on_hosts
def test_what_this_keras_does_not_have(host):
    with pytest.raises(TypeError, match="loss_scale_factor=2.0.*no mixed precision"):
        optimizer(host, rules.SGD(0.5), loss_scale_factor=2.0)


@on_hosts
def test_get_and_set_weights(host):
    rule = rules.SGD(0.05, momentum=0.9)
    model = compiled(host, "linear", rule)
    fit(model, last=3)
    weights, values = model.optimizer.get_weights(), model.get_weights()
    assert weights[0] == 3 and weights[0].dtype == np.int64
    assert [weight.shape for weight in weights[1:]] == [(3, 2), (2,)]
    fit(model, first=3)
    whole = model.get_weights()
    for wrong in (weights[:-1], [*weights[:-1], np.zeros(3)], []):
        with pytest.raises(ValueError, match="weight"):
            model.optimizer.set_weights(wrong)
    model.set_weights(values)
    model.optimizer.set_weights(weights)
    fit(model, first=3)
    for got, want in zip(model.get_weights(), whole):
        assert np.array_equal(got, want)


@on_hosts
def test_clear_session_between_making_and_using(host):
    made = optimizer(host, rules.SGD(0.5))
    model, step = unit(host, lambda keras: made)
    assert step() == 0.5
    with pytest.raises(kcompat.NotBuiltError, match="another graph.*Make a new optimizer"):
        unit(host, lambda keras: made)[1]()


# Files and copies.


# A rule with slots like its variables; one with slots of other shapes; with a scalar of all variables.
SAVED = {
    "adam": (
        rules.Adam(0.05, epsilon=1e-2),
        {"clipnorm": 0.3, "use_ema": True, "gradient_accumulation_steps": 2},
    ),
    "factored": (Factored(0.02), {}),
    "distance": (Distance(0.1), {}),
}


RESUMED = [(host, name) for host in HOSTS for name in sorted(SAVED) if host == HOSTS[0] or name == "adam"]


@pytest.mark.parametrize("host,name", RESUMED)
def test_a_saved_model_goes_on_exactly(host, name, tmp_path):
    keras = keras_at(host)
    rule, base = SAVED[name]
    path = str(tmp_path / "model.h5")
    model = compiled(host, "embedded", rule, **base)
    fit(model, "embedded", last=3)
    model.save(path)
    config = model.optimizer.get_config()
    fit(model, "embedded", first=3)
    whole = model.get_weights() + model.optimizer.get_weights()
    assert_close(model.get_weights(), oracle(rule, TASKS["embedded"], **base))
    kind = type(model.optimizer)
    for custom_objects in (None, {kind.__qualname__: kind})[: 2 if name == "adam" else 1]:
        keras.backend.clear_session()
        model = keras.models.load_model(path, custom_objects=custom_objects)
        assert type(model.optimizer) is kind and model.optimizer.get_config() == config
        fit(model, "embedded", first=3)
        for got, want in zip(model.get_weights() + model.optimizer.get_weights(), whole):
            assert np.array_equal(got, want)


@on_hosts
def test_a_file_names_the_class_with_its_package(host, tmp_path):
    """Keras takes a class called Adam for its own, whatever custom_objects says."""
    import h5py

    keras = keras_at(host)
    mine = type("Adam", (keras.optimizers.SGD,), {})
    loaded = keras.optimizers.deserialize({"class_name": "Adam", "config": {}}, custom_objects={"Adam": mine})
    assert type(loaded) is keras.optimizers.Adam

    path = str(tmp_path / "model.h5")
    model = compiled(host, "linear", rules.Adam(0.5))
    model.save(path)
    with h5py.File(path, "r") as file:
        config = file.attrs["training_config"]
    saved = json.loads(config.decode() if isinstance(config, bytes) else config)["optimizer_config"]
    assert saved["class_name"] == kcompat.__name__ + ".Adam" and saved["config"]["learning_rate"] == 0.5
    # Other packages' rules keep their names, unless Keras has them.
    assert kcompat.optimizer_class(SignMomentum, API, host=host).__name__ == "SignMomentum"
    other = kcompat.optimizer_class(SignMomentum, API, name="adam", host=host)
    assert other.__name__ == "_rules.adam"
    assert type(keras.optimizers.deserialize(copy.deepcopy(saved))) is type(model.optimizer)
    # Nor is what somebody else has registered replaced.
    custom = keras.utils.get_custom_objects()
    custom["Taken"] = mean_of
    taken = kcompat.optimizer_class(SignMomentum, API, name="Taken", host=host)
    assert taken.__name__ == "Taken" and custom.pop("Taken") is mean_of
    # What custom_objects has under the name without the package's is what is used.
    given = {"Adam": kcompat.optimizer_class(rules.Adam, API, name="Adam3", host=host)}
    assert type(keras.optimizers.deserialize(saved, custom_objects=given)) is given["Adam"]


@on_hosts
def test_copying_and_pickling(host):
    """Of the configuration. State is in variables of a graph, and can't go along: that raises."""
    rule = rules.Adam(0.5, amsgrad=True)
    made = optimizer(host, rule, clipnorm=2.0, weight_decay=0.25, gradient_accumulation_steps=3, name="mine")
    made.lr, made.clipnorm = 0.125, 1.0
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again is not made and type(again) is type(made)
        assert again.get_config() == made.get_config()
        assert again.get_config()["clipnorm"] == 1.0 and again.get_config()["learning_rate"] == 0.125
    rate = optimizer(host, rules.SGD(lambda step: 0.5))
    assert copy.deepcopy(rate).get_config()["learning_rate"] == 0.5
    made.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(kcompat.StateError, match="exclude_from_weight_decay"):
        copy.deepcopy(made)
    model = compiled(host, "linear", rule)
    fit(model, last=1)
    for function in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(kcompat.StateError, match="variables of a TensorFlow graph.*set_weights"):
            function(model.optimizer)


@pytest.mark.parametrize("host", [host for host in HOSTS if host == "keras"])  # tf.keras can't
def test_a_pickled_model_goes_on_exactly(host):
    model = compiled(host, "linear", TRAINED["adam"][0])
    fit(model, last=3)
    data = pickle.dumps(model)
    fit(model, first=3)
    whole = model.get_weights()
    model = pickle.loads(data)
    fit(model, first=3)
    for got, want in zip(model.get_weights(), whole):
        assert np.array_equal(got, want)


# The hook itself.


class Given:
    """Runs `get_updates` on given gradients, by way of `get_gradients`, which native optimizers call too."""

    def __init__(self, params, gradients):
        self.params, self.gradients = params, gradients

    def train(self, make):
        import tensorflow as tf

        v1 = tf.compat.v1
        with tf.Graph().as_default(), v1.Session() as session:
            variables = [
                v1.get_variable("v{}".format(i), initializer=p, use_resource=True)
                for i, p in enumerate(self.params)
            ]
            holders = [v1.placeholder(v.dtype.base_dtype, v.shape) for v in variables]
            made = make()
            made.get_gradients = lambda loss, params: holders
            updates = made.get_updates(loss=None, params=variables)
            assert made.updates is updates
            session.run(v1.global_variables_initializer())
            for row in self.gradients:
                session.run(updates, dict(zip(holders, row)))
            return session.run(variables)


@on_hosts
def test_agrees_with_the_host(host):
    """With its SGD, whose steps need no order but that of their data."""
    params, gradients = starting_values([(3, 2), (4,)]), varied_gradients([(3, 2), (4,)], 10)
    given = Given(params, gradients)
    for arguments in ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}):
        rule = rules.SGD(0.05, **arguments)
        ours = given.train(lambda rule=rule: optimizer(host, rule))
        theirs = given.train(lambda a=arguments: keras_at(host).optimizers.SGD(0.05, **a))
        assert_close(ours, reference(rule, params, gradients)[0])
        assert_close(ours, theirs)


@on_hosts
def test_a_naive_rule_and_sparse_gradients(host):
    """A number times the gradient of an embedding is a TypeError; here rows are summed, and made dense."""
    keras = keras_at(host)

    class Naive(keras.optimizers.Optimizer):
        def get_updates(self, loss, params):
            return [(p, p - 0.1 * g) for p, g in zip(params, self.get_gradients(loss, params))]

    model = fresh(host, "embedded")
    model.compile(optimizer=Naive(), loss="mse")
    with pytest.raises(TypeError, match="IndexedSlices"):
        fit(model, "embedded")
    model = compiled(host, "embedded", rules.SGD(0.1))
    fit(model, "embedded")
    assert_close(model.get_weights(), oracle(rules.SGD(0.1), Embedded()))


@on_hosts
def test_gradients_that_are_asked_for(host):
    """Unclipped; of one variable, as the TensorBoard callback asks; an error names those that have none."""
    keras = keras_at(host)
    model = compiled(host, "linear", rules.SGD(0.1), clipnorm=1e-6)
    kernel, bias = model.trainable_weights
    x, y = TASKS["linear"].batches()[0]
    (single,) = model.optimizer.get_gradients(keras.backend.sum(kernel * kernel), kernel)
    assert np.array_equal(keras.backend.get_value(single), 2 * Linear().start()[0])
    with pytest.raises(ValueError, match="no gradient for the variables 'dense.*bias'"):
        model.optimizer.get_gradients(keras.backend.sum(kernel), [kernel, bias])
    with pytest.raises(ValueError, match="no gradient"):
        model.optimizer.get_updates(keras.backend.sum(kernel), [kernel, bias])
    model.train_on_batch(x, y)  # nothing was half built
    assert keras.backend.get_value(model.optimizer.iterations) == 1


@on_hosts
def test_configs_of_keras_2_2_are_understood(host):
    kind = kcompat.optimizer_class(rules.SGD, API, host=host)
    old = {"lr": 0.25, "momentum": 0.5, "decay": 0.0, "nesterov": False}
    assert kind.from_config(old).get_config()["learning_rate"] == 0.25


@on_hosts
def test_the_other_gradients_of_the_surface(host):
    """`compute_gradients` and `apply_gradients` in a graph, with a counter that other APIs know."""
    import tensorflow as tf

    keras = keras_at(host)
    keras.backend.clear_session()
    variable = keras.backend.variable(np.ones(2), name="v")
    made = optimizer(host, rules.SGD(0.5))
    counter = keras.backend.variable(0, dtype="int64", name="counter")
    pairs = made.compute_gradients(tf.reduce_sum(variable * 2.0), var_list=[variable])
    step = made.apply_gradients(pairs, global_step=counter)
    session = keras.backend.get_session()
    session.run(tf.compat.v1.global_variables_initializer())
    session.run(step)
    assert keras.backend.get_value(variable).tolist() == [0.0, 0.0]
    assert keras.backend.get_value(counter) == keras.backend.get_value(made.iterations) == 1


def test_every_host_was_tested():
    assert API not in APIS or HOSTS


# State of Keras' own optimizers, which keep one list of weights.


def native(host):
    model = fresh(host)
    model.compile(optimizer=keras_at(host).optimizers.SGD(0.05, momentum=0.9), loss="mse")
    return model


@on_hosts
def test_weights_of_a_native_optimizer_are_those_of_its_variables(host):
    state = kcompat.state
    model = native(host)
    variables = model.trainable_weights
    others = [keras_at(host).backend.zeros((3, 2)) for _ in range(2)]
    described = state.State("SGD", {"momentum": 0.9}, 1, {})
    with pytest.raises(kcompat.StateError, match=r"no weights before .* Call model._make_train_function"):
        state.put(model.optimizer, variables, described, partial=True)
    fit(model, last=1)
    with pytest.raises(kcompat.StateError, match="in that place has .* Give the model's trainable variables"):
        state.take(model.optimizer, variables[::-1])
    with pytest.raises(kcompat.StateError, match=r"list of weights has \d arrays, which are not 1 for each"):
        state.take(model.optimizer, [*variables, *others])

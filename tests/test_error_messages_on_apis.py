"""Errors that only an optimizer API can meet: each says what to do, and nothing was set."""

import importlib
import os
import pickle

import _package
import numpy as np
import pytest
from _apis import APIS
from _modes import modes_of

import kcompat
from kcompat import errors

ARRAYS = [api for api in APIS if api == "keras_3"]
EAGER = [api for api in APIS if modes_of(api)[0] != "graph"]
BACKEND = kcompat.detect().keras_backend
pytestmark = pytest.mark.wide


def raises(error, words):
    return pytest.raises(getattr(errors, error), match=words)


@pytest.fixture(params=APIS)
def addons(request, monkeypatch):
    monkeypatch.setenv("KCOMPAT_API", request.param)
    return importlib.import_module(_package.NAME + ".addons")


def sgd(api, **arguments):
    return kcompat.optimizer(kcompat.rules.SGD(0.1, momentum=0.9), api=api, **arguments)


def test_decay_is_given_to_a_class_of_optimizers(addons):
    with raises("RuleError", "expected an optimizer class of kcompat"):
        addons.extend_with_decoupled_weight_decay(3)


def test_several_optimizers_are_at_least_one(addons):
    with raises("RuleError", "expected at least one optimizer"):
        addons.MultiOptimizer([])


def test_what_belongs_to_the_whole_is_refused_in_a_part(addons):
    part = sgd(None)
    part.exclude_from_weight_decay(var_names=["bias"])
    with raises("RuleError", "one of the optimizers has variables excluded from weight decay"):
        addons.Lookahead(addons.MultiOptimizer(optimizer_specs=[{"optimizer": part, "weights": ["w:0"]}]))


@pytest.mark.skipif("tf1" not in APIS, reason="Keras' optimizers keep weights until they are built")
def test_weights_want_slots():
    optimizer = sgd("tf1")
    with raises("StateError", r"has no slots yet. Call .*build\(variables\) first"):
        optimizer.set_weights([np.ones(2), np.ones(2)])


@pytest.mark.skipif("tf1" not in APIS, reason="a session is TensorFlow's")
def test_state_of_a_graph_wants_a_session():
    import tensorflow as tf

    with tf.Graph().as_default():
        variable = tf.compat.v1.get_variable("w", [2], initializer=tf.compat.v1.ones_initializer())
        optimizer = sgd("tf1")
        optimizer.apply_gradients([(tf.ones([2]), variable)])
        weights = [np.zeros(()), np.ones(2)]
        with raises("StateError", "Reading the state of .* needs a session"):
            optimizer.get_weights()
        with raises("StateError", "Setting the state of .* needs a session"):
            optimizer.set_weights(weights)
        with raises("HyperparameterError", "needs a session: set it inside"):
            optimizer.learning_rate = 0.5
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            optimizer.set_weights(weights)
            np.testing.assert_array_equal(optimizer.get_weights()[1], np.ones(2))


@pytest.mark.skipif("tf1" not in APIS, reason="MomentumOptimizer is TensorFlow 1's")
def test_momentum_of_tensorflow_1_wants_a_number_as_its_rate(monkeypatch):
    import tensorflow as tf

    monkeypatch.setenv("KCOMPAT_API", "tf1")
    native = tf.compat.v1.train.MomentumOptimizer(lambda: 0.1, 0.9)
    with raises("RuleError", "only for a learning rate that is a number"):
        importlib.import_module(_package.NAME + ".addons").Lookahead(native)


@pytest.mark.skipif(not set(APIS) & {"keras_2_11", "keras_3"}, reason="a model of TensorFlow 2 or Keras 3")
def test_statistics_of_batches_want_weights():
    if "keras_3" in APIS:
        import keras
    else:
        from tensorflow import keras

    model = keras.Sequential([keras.layers.BatchNormalization()])
    with raises("RuleError", "the model has no weights yet; build or train it first"):
        importlib.import_module(_package.NAME + ".adapters.batch_statistics").fit_bn(model, np.ones((2, 3)))


@pytest.mark.parametrize("api", ARRAYS)
def test_a_pair_is_gradient_and_variable(api):
    import keras

    optimizer, variable = sgd(api), keras.Variable(np.ones(2, "float32"))
    with raises("GradientError", "as a variable; expected a"):
        optimizer.apply_gradients([(variable, np.ones(2))])
    with raises("GradientError", "expected a"):
        optimizer.apply_gradients([(object(), variable)])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable.value), np.ones(2))


@pytest.mark.parametrize("api", [api for api in APIS if api in ("keras_2_11", "keras_3")])
def test_built_natives_are_not_wrapped(api, monkeypatch):
    monkeypatch.setenv("KCOMPAT_API", api)
    addons = importlib.import_module(_package.NAME + ".addons")
    if api == "keras_3":
        import keras

        native, variable = keras.optimizers.SGD(0.1, momentum=0.9), keras.Variable(np.ones(2, "float32"))
    else:
        import tensorflow as tf

        native = getattr(tf.keras.optimizers, "experimental", tf.keras.optimizers).SGD(0.1, momentum=0.9)
        variable = tf.Variable(np.ones(2, "float32"))
    native.build([variable])
    with raises("RuleError", "has been built on variables already"):
        addons.Lookahead(native)


def keras_and_variable(api, name="w"):
    """The Keras of an API, or None, and an eager variable."""
    if api == "keras_3":
        import keras

        return keras, keras.Variable(np.ones(2, "float32"), name=name)
    import tensorflow as tf

    return tf.keras if api != "tf1" else None, tf.Variable(np.ones(2, "float32"), name=name)


def stepped(api, optimizer, variable):
    """The optimizer after a step."""
    if api == "keras_3":
        import keras

        gradient = keras.ops.ones(2)
    else:
        import tensorflow as tf

        gradient = tf.ones([2])
    optimizer.apply_gradients([(gradient, variable)])
    return optimizer


@pytest.mark.parametrize("api", EAGER)
def test_a_copy_waits_for_its_variables(api):
    (_, one), (_, two) = keras_and_variable(api, "one"), keras_and_variable(api, "two")
    optimizer = stepped(api, stepped(api, sgd(api), one), two)
    copy = pickle.loads(pickle.dumps(optimizer))
    with raises("StateError", r"has state that waits for its variables. Call .*build\(variables\) first"):
        copy.get_weights()
    with raises("StateError", "was loaded with state of two, which waits for those variables. Give"):
        kcompat.state.take(copy, [one])
    assert kcompat.state.take(copy, [one, two]).step == 2


@pytest.mark.parametrize("api", [api for api in EAGER if api in ("keras_2_11", "keras_3")])
def test_native_optimizers_that_can_not_take_all(api, monkeypatch):
    monkeypatch.setenv("KCOMPAT_API", api)
    addons = importlib.import_module(_package.NAME + ".addons")
    keras, one = keras_and_variable(api, "one")
    _, two = keras_and_variable(api, "two")
    optimizers = getattr(keras.optimizers, "experimental", keras.optimizers)
    native = optimizers.Adam(0.1)
    native.build([one])
    state = kcompat.state.take(stepped(api, kcompat.optimizer(kcompat.rules.Adam(0.1), api), one), [one])
    with raises("StateError", "was built without the variables two, and .* can't be built on more later"):
        kcompat.state.put(native, [one, two], state, partial=True)
    with monkeypatch.context() as patch:
        patch.setattr(native, "_velocities", [])
        with raises("StateError", "this release keeps the slot 'v' of one elsewhere than in _velocities"):
            kcompat.state.take(native, [one])
    with monkeypatch.context() as patch:
        patch.setitem(importlib.import_module("sys").modules, _package.NAME + ".rules.adam", None)
        with raises("StateError", "this copy of kcompat does not have the rule of Adam"):
            kcompat.state.take(native, [one])
    if hasattr(native, "exclude_from_weight_decay"):
        decaying = optimizers.Adam(0.1, weight_decay=0.1)
        decaying.exclude_from_weight_decay(var_names=["bias"])
        with raises("RuleError", "Adam excludes variables from weight decay. Call exclude_from_weight_decay"):
            addons.Lookahead(decaying)


@pytest.mark.skipif("tf1" not in APIS, reason="a session is TensorFlow's")
def test_a_native_s_state_of_a_graph_wants_a_session():
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default():
        variable = v1.get_variable("w", [2], initializer=v1.ones_initializer())
        state = kcompat.state.State(
            "Adagrad",
            {"learning_rate": 0.1},
            3,
            {"w": kcompat.state.VariableSlots("w", (2,), "float32", {"accumulator": np.ones(2, "float32")})},
        )
        with raises("StateError", "Setting the state of an optimizer in a TensorFlow 1 graph needs a"):
            kcompat.state.put(v1.train.AdagradOptimizer(0.1), [variable], state)


@pytest.mark.skipif("tf1" not in APIS, reason="elsewhere Keras says so")
def test_an_optimizer_that_is_nowhere(monkeypatch):
    monkeypatch.setenv("KCOMPAT_API", "tf1")
    with raises("HyperparameterError", "there is no optimizer 'Nowhere' here; give its class in custom_obj"):
        kcompat.optimizers.deserialize({"class_name": "Nowhere", "config": {}})


@pytest.mark.skipif(not set(APIS) & {"optimizer_v2", "keras_2_11"}, reason="Keras 2, in a graph")
def test_statistics_of_batches_want_eager_execution():
    import tensorflow as tf

    fit_bn = importlib.import_module(_package.NAME + ".adapters.batch_statistics").fit_bn
    with tf.Graph().as_default():
        model = tf.keras.Sequential([tf.keras.layers.BatchNormalization(input_shape=(3,))])
        with raises("RuleError", "in which calling it computes nothing. Build it in eager mode"):
            fit_bn(model, np.ones((2, 3), "float32"))


@pytest.mark.parametrize("api", [api for api in EAGER if api in ("optimizer_v2", "keras_2_11", "keras_3")])
def test_layers_of_one_name_in_several_optimizers(api, monkeypatch):
    monkeypatch.setenv("KCOMPAT_API", api)
    addons = importlib.import_module(_package.NAME + ".addons")
    keras, _ = keras_and_variable(api)
    layers = [keras.layers.Dense(1, name="same") for _ in range(2)]
    for layer in layers:
        layer.build((None, 3))
    parts = [(sgd(api), layer) for layer in layers]
    variables = {variable.name for layer in layers for variable in layer.trainable_variables}
    if len(variables) == 2 or api == "keras_3":
        with raises("RuleError", "two variables in different pairs have the name .*. Name their layers"):
            addons.MultiOptimizer(parts)


@pytest.mark.skipif(not ARRAYS or BACKEND != "jax", reason="BCOO is JAX's")
def test_a_sparse_gradient_of_jax_has_rows():
    import jax.numpy as jnp
    import keras
    from jax.experimental.sparse import BCOO

    table = keras.Variable(np.ones((3, 2), "float32"))
    with raises("GradientError", "with n_sparse=2, n_batch=0: expected a BCOO with one sparse dimension"):
        sgd("keras_3").apply_gradients([(BCOO.fromdense(jnp.ones((3, 2))), table)])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(table.value), np.ones((3, 2)))


@pytest.mark.skipif(not ARRAYS or BACKEND != "torch", reason="layouts are PyTorch's")
def test_a_sparse_gradient_of_torch_has_rows():
    import keras
    import torch

    table = keras.Variable(np.ones((3, 2), "float32"))
    with raises("GradientError", "A sparse gradient of layout torch.sparse_csr: expected sparse_coo"):
        sgd("keras_3").apply_gradients([(torch.ones(3, 2).to_sparse_csr(), table)])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(table.value), np.ones((3, 2)))


@pytest.mark.skipif(not ARRAYS, reason="backends are Keras 3's")
def test_a_backend_without_training(monkeypatch):
    adapter = importlib.import_module(_package.NAME + ".adapters.keras_3")
    monkeypatch.setattr(adapter.keras.backend, "backend", lambda: "numpy")
    with raises("ApiNotAvailableError", "on its backend 'numpy' here, on which nothing can be trained"):
        adapter.Keras3Adapter  # noqa: B018


DISTRIBUTED = [api for api in EAGER if api != "keras_3" or BACKEND == "tensorflow"]


@pytest.mark.parametrize("api", DISTRIBUTED)
def test_what_a_strategy_can_not_do(api):
    import tensorflow as tf

    central = tf.distribute.experimental.CentralStorageStrategy(["cpu:0"])
    with central.scope():
        _, variable = keras_and_variable(api)
        optimizer = sgd(api)
    with raises("DistributionError", "gradients are summed where the variable is, and can't be left as they"):
        central.run(
            lambda: optimizer.apply_gradients([(tf.ones([2]), variable)], skip_gradients_aggregation=True)
        )
    mirrored = tf.distribute.MirroredStrategy(["cpu:0"])
    with mirrored.scope():
        _, variable = keras_and_variable(api)
        optimizer = sgd(api)
    mirrored.extended._use_merge_call = lambda: False  # as on TPUs
    with raises("DistributionError", "or runs on TPUs, has no context of all replicas. Compile the computat"):
        mirrored.run(lambda: optimizer.apply_gradients([(tf.ones([2]), variable)]))
    np.testing.assert_array_equal(np.asarray(variable), np.ones(2))


DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "checkpoints")


@pytest.mark.skipif(not APIS, reason="h5py comes with TensorFlow and Keras")
def test_files_of_keras_that_are_of_no_optimizer_known():
    pytest.importorskip("h5py", reason="there is no h5py here")
    with raises("StateError", "the optimizer is Nope, and the catalogue has no rule for it"):
        kcompat.state.read(os.path.join(DATA, "tf2.22-adam.h5"), rule="Nope")
    with raises("StateError", "the optimizer is called 'Nope', and its variables are kept by position"):
        kcompat.state.read(os.path.join(DATA, "tf2.22-adam.keras"), rule="Nope")

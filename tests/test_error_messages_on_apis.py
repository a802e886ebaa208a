"""Errors that only an optimizer API can meet: each says what to do, and nothing was set."""

import importlib

import _package
import numpy as np
import pytest
from _apis import APIS

import kcompat
from kcompat import errors

ARRAYS = [api for api in APIS if api == "keras_3"]
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

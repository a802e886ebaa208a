"""Moving averages of the variables put in their place for a while, and taken out again."""

import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import api_modes, make_variable, modes_of, to_numpy, varied_gradients
from _rules import Previous
from _steps import steps
from _training import assert_close

import kcompat
from kcompat import rules
from kcompat.environment import host_class
from kcompat.testing import reference

# Keras 3 on JAX and PyTorch: test_keras_3_arrays.
APIS = on_tensorflow(ALL)

API_MODES = api_modes(APIS)


def fits_tf_keras(api):
    """Whether models of tf.keras take optimizers of this API, in eager mode."""
    import tensorflow as tf

    if not tf.executing_eagerly() or api == "get_updates":
        return False
    root = tf.keras.Model.__module__.split(".")[0]
    if api == "tf1":
        return not hasattr(tf.keras, "ops")
    return host_class(api).__module__.split(".")[0] == root


START = [np.array([1.0, -2.0]), np.array([[0.5], [3.0]])]
RULE = rules.Adam(0.1)
EMA = {"use_ema": True, "ema_momentum": 0.75}
GRADIENTS = varied_gradients([(2,), (2, 1)], 5)

everywhere = pytest.mark.parametrize("api,mode", API_MODES)
first = pytest.mark.parametrize("api,mode", [(api, modes_of(api)[0]) for api in APIS])


def swapper(training, *variables):
    """A function that exchanges the averages, in the way of the mode."""
    import tensorflow as tf

    arguments = [list(variables)] if variables else []
    if training.session is not None:
        training.build()
        operation = training.optimizer.swap_averages(*arguments)
        return lambda: training.session.run(operation)
    if training.mode == "function":

        @tf.function
        def swap():
            training.optimizer.swap_averages(*arguments)

        return swap
    return lambda: training.optimizer.swap_averages(*arguments)


def given(training, row):
    """One step with these gradients, each of its own values."""
    import tensorflow as tf

    training.build()
    if training.session is not None:
        operation, holders = training._step
        training.session.run(operation, dict(zip(holders, row)))
    else:
        training._apply([tf.convert_to_tensor(grad) for grad in row])


@pytest.mark.wide
@everywhere
def test_evaluating_with_the_averages_does_not_disturb_training(api, mode):
    want, slots = reference(RULE, START, GRADIENTS, **EMA)
    want_half, slots_half = reference(RULE, START, GRADIENTS[:3], **EMA)
    with steps(api, mode, lambda: kcompat.optimizer(RULE, api, **EMA), *START) as training:
        for row in GRADIENTS[:3]:
            given(training, row)
        before, swap = training.state(), swapper(training)
        swap()
        assert_close(training.values(), [each["average"] for each in slots_half])
        averages = [training.read(training.optimizer.get_slot(v, "average")) for v in training.variables]
        assert_close(averages, want_half)
        swap()
        np.testing.assert_equal(training.state(), before)  # exactly
        for row in GRADIENTS[3:]:
            given(training, row)
        assert_close(training.values(), want)
        averages = [training.read(training.optimizer.get_slot(v, "average")) for v in training.variables]
        assert_close(averages, [each["average"] for each in slots])


@first
def test_some_variables(api, mode):
    with steps(api, mode, lambda: kcompat.optimizer(RULE, api, **EMA), *START) as training:
        for row in GRADIENTS[:3]:
            given(training, row)
        first, second = training.values()
        average = training.read(training.optimizer.get_slot(training.variables[1], "average"))
        swapper(training, training.variables[1])()
        assert_close(training.values(), [first, average], rtol=0, atol=0)
        assert np.abs(average - second).max() > 1e-3


@first
def test_what_there_is_not(api, mode):
    with steps(api, mode, lambda: kcompat.optimizer(RULE, api)) as training:
        training.step()
        with pytest.raises(kcompat.HyperparameterError, match="use_ema=True"):
            training.optimizer.swap_averages()
    with steps(api, mode, lambda: kcompat.optimizer(RULE, api, **EMA)) as training:
        with pytest.raises(kcompat.NotBuiltError, match="no averages yet"):
            training.optimizer.swap_averages()
        training.step()
        other = make_variable(api, np.zeros(3, "float32"), "other", mode)
        before = training.state()
        with pytest.raises(kcompat.NotBuiltError, match="other"):
            training.optimizer.swap_averages([*training.variables, other])
        np.testing.assert_equal(training.state(), before)


@pytest.mark.parametrize("api", [api for api in APIS if "graph" in modes_of(api) and api == "tf1"])
def test_each_graph_has_its_own(api):
    """One optimizer in two graphs: what is swapped is what belongs to the graph."""
    import tensorflow as tf

    optimizer = kcompat.optimizer(RULE, api, **EMA)
    for size in (2, 3):
        with steps(api, "graph", lambda: optimizer, np.ones(size)) as training:
            training.step()
            training.step()
            (before,), swap = training.values(), swapper(training)
            average = training.read(optimizer.get_slot(training.variables[0], "average"))
            swap()
            assert_close(training.values(), [average], rtol=0, atol=0)
            assert np.abs(before - average).max() > 1e-3
            assert tf.compat.v1.get_default_graph() is training.session.graph


@pytest.mark.wide
@pytest.mark.parametrize("api", [api for api in APIS if fits_tf_keras(api)])
def test_a_model_that_is_built_while_it_trains(api):
    """Its variables have no value yet when slots that start from the parameter are made."""
    import tensorflow as tf

    x, y = np.array([[1.0, 2.0], [3.0, -1.0]], "float32"), np.ones((2, 1), "float32")
    ends = []
    for built in (True, False):
        model = tf.keras.Sequential([tf.keras.layers.Dense(1, kernel_initializer="ones")])
        if built:
            model.build((None, 2))
        optimizer = kcompat.optimizer(Previous(0.1), api, use_ema=True)
        model.compile(optimizer=optimizer, loss="mse")
        model.fit(x, y, epochs=3, batch_size=2, verbose=0)
        slots = [
            to_numpy(optimizer.get_slot(variable, name))
            for variable in model.trainable_variables
            for name in optimizer.get_slot_names()
        ]
        ends.append([*model.get_weights(), *slots])
    assert_close(ends[1], ends[0])
    assert len(ends[0]) == 2 + 2 * 3
    assert np.abs(ends[0][0] - 1).max() > 0.01

"""Traps of the releases: where a host silently does something else, kcompat does the right thing or raises.

Each test has two halves: the host's own optimizer, on the releases where the trap is, so that the test tells
when a host changes; and kcompat's, everywhere.
"""

import importlib

import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import api_modes, make_variable, modes_of, to_numpy
from _rules import LazyMomentum
from _steps import listed, steps
from _training import native

import kcompat
from kcompat import rules
from kcompat.environment import host_class
from kcompat.testing import reference

APIS = on_tensorflow(ALL)
API_MODES = api_modes(APIS)
WAYS = [(api, modes_of(api)[0]) for api in APIS]
EAGER = [(api, mode) for api, mode in WAYS if mode == "eager"]


def on(api, mode=None):
    """The parameters of a test about one API, in one mode or in all."""
    chosen = [each for each in API_MODES if each[0] == api and mode in (None, each[1])]
    return pytest.mark.parametrize("api,mode", chosen)


def everywhere(ways):
    return pytest.mark.parametrize("api,mode", ways)


def version(api):
    """(major, minor) of what the API is part of: TensorFlow, Keras or tf_keras."""
    root = host_class(api).__module__.split(".")[0]
    module = importlib.import_module("tensorflow" if root.startswith("tensorflow") else root)
    return tuple(int(part) for part in module.__version__.split(".")[:2])


def sgd(api, *args, **kwargs):
    return kcompat.optimizer_class(rules.SGD, api)(*args, **kwargs)


def native_sgd(api, *args, **kwargs):
    return native(api, "GradientDescentOptimizer" if api == "tf1" else "SGD")(*args, **kwargs)


def native_adam(api, *args, **kwargs):
    return native(api, "AdamOptimizer" if api == "tf1" else "Adam")(*args, **kwargs)


def slices(training, values, indices):
    """Makes every step's gradient of the first variable a sparse one."""
    import tensorflow as tf

    plain = training._apply

    def apply(grads):
        shape = tf.constant(tuple(grads[0].shape), tf.int64)
        dense = tf.constant(np.asarray(values, "float32").reshape(len(indices), -1))
        return plain([tf.IndexedSlices(dense, tf.constant(indices), shape), *grads[1:]])

    training._apply = apply
    return training


# Modes.


@on("keras_2_11", "graph")
def test_keras_2_11_updates_nothing_in_a_graph(api, mode):
    """2.11 and later return an operation that counts the step and leaves the variables as they are."""
    import tensorflow as tf

    with steps(api, mode, lambda: native_sgd(api, 0.5)) as training:
        if version(api) <= (2, 10):
            pairs = [(tf.ones(2), training.variables[0])]
            assert training.optimizer.apply_gradients(pairs) is None
        else:
            assert training.move() == 0
            assert training.iterations() == 1
    with steps(api, mode, lambda: sgd(api, 0.5, momentum=0.5)) as training:
        assert [training.move(), training.move()] == [0.5, 0.75]
        assert training.iterations() == 2


@on("keras_3", "eager")
def test_keras_3_has_no_graphs(api, mode):
    import tensorflow as tf

    with tf.Graph().as_default():
        variable = tf.compat.v1.get_variable("v", initializer=np.zeros(2, "float32"))
        with pytest.raises(RuntimeError, match='TensorFlow 1 graphs.*"tf1"'):
            sgd(api, 0.5).apply_gradients([(tf.ones(2), variable)])


@pytest.mark.parametrize("api", [api for api in APIS if api in ("optimizer_v2", "keras_2_11")])
def test_the_keras_apis_have_no_reference_variables(api):
    """Natively ValueError on optimizer_v2, AttributeError on keras_2_11."""
    import tensorflow as tf

    for make in (native_sgd, sgd):
        with tf.Graph().as_default():
            variable = make_variable(api, np.zeros(2, "float32"), "v", "graph_ref")
            optimizer = make(api, 0.5)
            if make is native_sgd:
                with pytest.raises((ValueError, AttributeError, NotImplementedError)):
                    optimizer.apply_gradients([(tf.ones(2), variable)])
                continue
            with pytest.raises(kcompat.GradientError, match="'v' is a reference variable.*tf1"):
                optimizer.apply_gradients([(tf.ones(2), variable)])


@everywhere(EAGER)
def test_tracing_again_builds_nothing_again(api, mode):
    """keras_2_11 calls build() in every trace and in every call."""
    import tensorflow as tf

    optimizer = kcompat.optimizer_class(rules.Adam, api)(0.1)
    variables = [make_variable(api, np.ones(2, "float32"), "v")]

    def train(grad):
        optimizer.apply_gradients([(grad, variables[0])])

    tf.function(train)(tf.ones(2))
    slot, count = optimizer.get_slot(variables[0], "m"), len(listed(optimizer))
    tf.function(train)(tf.ones(2))
    train(tf.ones(2))
    optimizer.build(variables)
    assert optimizer.get_slot(variables[0], "m") is slot and len(listed(optimizer)) == count
    (param,), (slots,) = reference(rules.Adam(0.1), [np.ones(2)], [[np.ones(2)]] * 3)
    np.testing.assert_allclose(to_numpy(variables[0]), param, rtol=1e-6)
    np.testing.assert_allclose(to_numpy(slot), slots["m"], rtol=1e-6)


@everywhere(EAGER)
def test_minimize_takes_a_callable_or_a_tensor_and_its_tape(api, mode):
    """tf1 has no tape=, optimizer_v2 has it since 2.4, and keras_3 has no minimize() at all."""
    import tensorflow as tf

    if api == "keras_3":
        assert not hasattr(host_class(api), "minimize")
    with steps(api, mode, lambda: sgd(api, 0.5)) as training:
        (variable,) = training.variables
        training.optimizer.minimize(lambda: tf.reduce_sum(variable * 1.0), var_list=[variable])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(variable * 1.0)
        training.optimizer.minimize(loss, var_list=[variable], tape=tape)
        assert training.values()[0].tolist() == [-1.0, -1.0] and training.iterations() == 2
        with pytest.raises((ValueError, RuntimeError)):
            training.optimizer.minimize(loss, var_list=[variable])


@on("keras_3")
def test_keras_3_takes_a_plain_tensorflow_variable(api, mode):
    import tensorflow as tf

    with steps(api, mode, lambda: sgd(api, 0.5, momentum=0.5)) as training:
        training.variables[0] = tf.Variable(np.zeros(2, "float32"))
        assert [training.move(), training.move()] == [0.5, 0.75]


@everywhere([(api, mode) for api, mode in API_MODES if mode != "function"])
def test_what_apply_gradients_returns(api, mode):
    """In a graph the operation to run; keras_2_11 of 2.9 and 2.10 gives None there."""
    import tensorflow as tf

    with steps(api, mode, lambda: sgd(api, 0.5)) as training:
        returned = training.optimizer.apply_gradients([(tf.ones(2), training.variables[0])])
        if mode != "eager":
            assert isinstance(returned, tf.Operation)
        elif api == "tf1":
            assert returned is None
        else:
            assert int(to_numpy(returned)) == 1


@everywhere([(api, mode) for api, mode in API_MODES if mode == "function"])
def test_a_python_if_in_the_loss_or_its_layers(api, mode):
    """AutoGraph rewrites a layer's `if` on a tensor only where it is not switched off around the loss.

    Keras 3 gives layers to AutoGraph in fit() only. The loss itself is rewritten on no host.
    """
    import tensorflow as tf

    class Doubling(tf.keras.layers.Layer):
        def call(self, x):
            if tf.reduce_sum(x) > 0:
                return x * 2
            return x

    with steps(api, mode, lambda: sgd(api, 0.25), np.ones(2)) as training:
        (variable,) = training.variables
        layer = (lambda x: x * 2) if hasattr(tf.keras, "ops") else Doubling()

        def loss():
            return tf.reduce_sum(layer(variable * 1.0))

        def loss_with_if():
            if tf.reduce_sum(variable * 1.0) > 0:
                return loss()
            return tf.constant(0.0)

        @tf.function
        def train():
            chosen = loss if api == "tf1" else loss_with_if
            training.optimizer.minimize(chosen, var_list=[variable])

        train()
        assert training.values()[0].tolist() == [0.5, 0.5]


# The list of gradients.


@everywhere(API_MODES)
def test_a_variable_may_come_after_the_first_step(api, mode):
    """Natively KeyError on keras_2_11 and ValueError on keras_3."""
    import tensorflow as tf

    def train(make):
        with steps(api, mode, make, np.zeros(2), np.zeros(3)) as training:
            optimizer, (first, second) = training.optimizer, training.variables
            operations = [
                optimizer.apply_gradients([(tf.ones(2), first)]),
                optimizer.apply_gradients([(tf.ones(2), first), (tf.ones(3), second)]),
            ]
            if training.session is not None:
                training.session.run(tf.compat.v1.global_variables_initializer())
                for operation in operations:
                    training.session.run(operation)
            assert [value[0] for value in training.values()] == [-1.0, -0.5]

    if mode == "eager" and api in ("keras_2_11", "keras_3"):
        with pytest.raises((KeyError, ValueError)):
            train(lambda: native_sgd(api, 0.5))
    if mode != "function":  # an eager step's operations, as far as this test goes
        train(lambda: sgd(api, 0.5))


@everywhere(WAYS)
def test_a_gradient_after_none(api, mode):
    """keras_2_11 of 2.9 and 2.10 knows only the variables that had a gradient, and raises KeyError."""
    import tensorflow as tf

    def train(make):
        with steps(api, mode, make, np.zeros(2), np.zeros(2)) as training:
            first, second = training.variables
            if training.session is not None:
                training.optimizer.apply_gradients([(tf.ones(2), first), (None, second)])
            else:
                training.optimizer.apply_gradients([(tf.ones(2), first), (None, second)])
                assert training.values()[1].tolist() == [0, 0]
            assert training.step()[1].tolist() == [0.5, 0.5]

    if api == "keras_2_11" and version(api) <= (2, 10) and mode == "eager":
        with pytest.raises(KeyError):
            train(lambda: native_sgd(api, 0.5))
    train(lambda: sgd(api, 0.5))


@everywhere(WAYS)
def test_an_empty_list_is_an_error(api, mode):
    """keras_2_11 since 2.10 takes it for a step that does nothing."""
    if api == "keras_2_11" and version(api) >= (2, 11):
        native_sgd(api, 0.5).apply_gradients([])
    with pytest.raises(kcompat.GradientError, match="No variables provided"):
        sgd(api, 0.5).apply_gradients([])


@everywhere(WAYS)
def test_a_misspelt_argument_of_apply_gradients(api, mode):
    """keras_2_11 since 2.11 swallows it."""
    import tensorflow as tf

    with steps(api, mode, lambda: native_sgd(api, 0.5)) as training:
        pairs = [(tf.ones(2), training.variables[0])]
        if api == "keras_2_11" and version(api) >= (2, 11):
            training.optimizer.apply_gradients(pairs, globalstep=1)
        elif api != "get_updates":  # which has no such method
            with pytest.raises(TypeError):
                training.optimizer.apply_gradients(pairs, globalstep=1)
        with pytest.raises(TypeError, match="globalstep"):
            sgd(api, 0.5).apply_gradients(pairs, globalstep=1)


# Sparse gradients.


@everywhere(API_MODES)
def test_duplicate_rows_are_summed_before_the_rule_squares_them(api, mode):
    """keras_2_11 of 2.9 and keras_3 add the squares up, instead of squaring the sum."""
    if mode == "eager":
        with steps(api, mode, lambda: native_adam(api, 0.5), np.zeros((3, 1))) as training:
            moved = float(slices(training, [1.0, 1.0], [2, 2]).step()[0][2, 0])
        wrong = api == "keras_3" or (api == "keras_2_11" and version(api) == (2, 9))
        assert moved == pytest.approx(0.5 * 2**0.5 if wrong else 0.5, rel=1e-4)
    adam = kcompat.optimizer_class(rules.Adam, api)
    with steps(api, mode, lambda: adam(0.5), np.zeros((3, 1))) as training:
        moved = float(slices(training, [1.0, 1.0], [2, 2]).step()[0][2, 0])
        assert moved == pytest.approx(0.5, rel=1e-4)


@everywhere(API_MODES)
def test_rows_are_summed_before_they_are_clipped(api, mode):
    """Every native clipping goes first: two rows of 1, clipped to 0.1 each, make 0.2."""
    for base, apart in (({"clipvalue": 0.1}, 0.2), ({"clipnorm": 0.1}, 0.1 * 2**0.5)):
        # Where the host clips in apply_gradients at all: see the next test.
        clips = api in ("keras_2_11", "keras_3") or (api == "optimizer_v2" and version(api) >= (2, 4))
        if mode == "eager" and clips:
            with steps(api, mode, lambda b=base: native_sgd(api, 1.0, **b), np.zeros((3, 1))) as training:
                moved = float(slices(training, [1.0, 1.0], [1, 1]).step()[0][1, 0])
            assert moved == pytest.approx(apart, rel=1e-5)
        with steps(api, mode, lambda b=base: sgd(api, 1.0, **b), np.zeros((3, 1))) as training:
            moved = float(slices(training, [1.0, 1.0], [1, 1]).step()[0][1, 0])
        assert moved == pytest.approx(0.1, rel=1e-5)


@everywhere(WAYS)
def test_apply_gradients_clips(api, mode):
    """optimizer_v2 up to 2.3 clips in minimize() only."""
    if api == "optimizer_v2":
        with steps(api, mode, lambda: native_sgd(api, 1.0, clipvalue=0.5)) as training:
            assert training.move() == (1 if version(api) <= (2, 3) else 0.5)
    with steps(api, mode, lambda: sgd(api, 1.0, clipvalue=0.5)) as training:
        assert training.move() == 0.5


@everywhere(API_MODES)
def test_rows_that_are_absent_move_with_the_momentum(api, mode):
    """As if the gradient were dense; natively only on keras_2_11 and keras_3. A rule of rows leaves them."""
    for make, moved in (
        (lambda: sgd(api, 1.0, momentum=0.5), [1.5, 0.5]),
        (lambda: kcompat.optimizer(LazyMomentum(1.0, 0.5), api), [1.5, 0.0]),
    ):
        with steps(api, mode, make, np.zeros((3, 1)), np.zeros(1)) as training:
            training.step(1.0, 1.0)  # dense: every row has momentum
            assert slices_step(training, [1]) == moved


def slices_step(training, indices):
    """One sparse step; how far a row that is present and one that is absent moved."""
    if training.mode != "eager":
        training._step = None  # another step is traced; in a graph its variables are initialized already
    before = training.values()[0]
    slices(training, [1.0] * len(indices), indices)
    if training.session is None:
        training.step()
    else:
        import tensorflow as tf

        ones = [tf.ones(variable.shape) for variable in training.variables]
        training.session.run(training._apply(ones))
    moved = before - training.values()[0]
    return [float(moved[indices[0], 0]), float(moved[2, 0])]


# The learning rate.


@everywhere(API_MODES)
def test_an_int_learning_rate_does_not_truncate(api, mode):
    """On optimizer_v2 it becomes an int variable, in which 0.5 is 0."""
    for make in (native_sgd, sgd):
        if make is native_sgd and (api != "optimizer_v2" or mode != "eager"):
            continue
        with steps(api, mode, lambda make=make: make(api, 1)) as training:
            assert training.move() == 1
            training.optimizer.learning_rate = 0.5
            assert training.move() == (0 if make is native_sgd else 0.5)


@everywhere(API_MODES)
def test_a_callable_is_not_frozen(api, mode):
    """keras_2_11 calls it once, in the constructor."""
    for make in (native_sgd, sgd):
        if make is native_sgd and (api != "keras_2_11" or mode == "graph"):
            continue
        rate = [0.5]
        with steps(api, mode, lambda make=make, rate=rate: make(api, lambda: rate[0])) as training:
            assert training.move() == 0.5
            rate[0] = 0.25
            assert training.move() == (0.5 if make is native_sgd else 0.25)


@everywhere(API_MODES)
def test_a_variable_is_not_copied(api, mode):
    """keras_2_11 takes its value in the constructor."""
    import tensorflow as tf

    for make in (native_sgd, sgd):
        if make is native_sgd and (api != "keras_2_11" or mode == "graph"):
            continue
        made = []

        def build(make=make, made=made):
            made.append(tf.Variable(0.5))
            return make(api, made[0])

        with steps(api, mode, build) as training:
            assert training.move() == 0.5
            training.assign(made[0], 0.25)
            assert training.move() == (0.5 if make is native_sgd else 0.25)


@on("keras_3", "eager")
def test_keras_3_takes_what_other_numbers_there_are(api, mode):
    """Natively a ValueError, each of them."""
    import tensorflow as tf

    for rate in (1, np.float32(1), tf.Variable(1.0), tf.constant(1.0)):
        with pytest.raises(ValueError):
            native_sgd(api, rate)
        with steps(api, mode, lambda rate=rate: sgd(api, rate)) as training:
            assert training.move() == 1


@on("keras_3", "eager")
def test_a_callable_on_keras_3_is_given_nothing_and_can_be_replaced(api, mode):
    """Keras 3.0 calls it with the step; later ones can't set a learning rate that was a callable."""
    if version(api) == (3, 0):
        with steps(api, mode, lambda: native_sgd(api, lambda: 0.5)) as training, pytest.raises(TypeError):
            training.step()
    else:
        optimizer = native_sgd(api, lambda: 0.5)
        with pytest.raises(AttributeError):
            optimizer.learning_rate = 0.25
    with steps(api, mode, lambda: sgd(api, lambda: 0.5)) as training:
        assert training.move() == 0.5
        training.optimizer.learning_rate = 0.25
        assert training.move() == 0.25


@everywhere(WAYS)
def test_lr_is_no_dead_attribute(api, mode):
    """On keras_3 and tf1 `optimizer.lr = x` makes an attribute that nothing reads."""
    if api in ("keras_3", "tf1"):
        with steps(api, mode, lambda: native_sgd(api, 0.5)) as training:
            training.optimizer.lr = 0.25
            assert training.move() == 0.5
    with steps(api, mode, lambda: sgd(api, 0.5)) as training:
        training.optimizer.lr = 0.25
        assert training.move() == 0.25
        training.optimizer.lr = 0.125
        assert training.move() == 0.125


def _schedules(api):
    import tensorflow as tf

    if api == "keras_3":
        import keras

        return keras.optimizers.schedules
    return getattr(tf.keras.optimizers, "schedules", None)


@everywhere([(api, mode) for api, mode in API_MODES if _schedules(api)])  # not in TensorFlow 1.13
def test_a_schedule_is_given_the_step_as_int64(api, mode):
    """optimizer_v2 gives float32, which can't count beyond 2**24; tf1 gives nothing (TypeError)."""
    seen = []

    class Half(_schedules(api).LearningRateSchedule):
        def __call__(self, step):
            seen.append(step)
            return 0.5

        def get_config(self):
            return {}

    if api == "tf1" and mode != "function":
        with pytest.raises(TypeError), steps(api, mode, lambda: native_sgd(api, Half())) as training:
            training.step()
        del seen[:]
    with steps(api, mode, lambda: sgd(api, Half())) as training:
        assert training.move() == 0.5
    assert seen and all(step.dtype.name == "int64" for step in seen)


@everywhere([(api, mode) for api, mode in API_MODES if _schedules(api)])
def test_a_schedule_can_be_replaced_before_it_is_traced(api, mode):
    """keras_2_11 and keras_3 raise TypeError, whether it was traced or not."""
    if api in ("keras_2_11", "keras_3") and mode == "eager":
        optimizer = native_sgd(api, _schedules(api).ExponentialDecay(0.5, 1, 0.5))
        with pytest.raises(TypeError):
            optimizer.learning_rate = 0.25
    with steps(api, mode, lambda: sgd(api, _schedules(api).ExponentialDecay(0.5, 1, 0.5))) as training:
        training.optimizer.learning_rate = 0.25
        assert [training.move(), training.move()] == [0.25, 0.25]
        training.optimizer.learning_rate = 0.125
        assert training.move() == 0.125


@everywhere(API_MODES)
def test_the_momentum_has_the_learning_rate_inside(api, mode):
    """tf1's MomentumOptimizer has it outside, which shows once the rate changes."""
    rates = [1.0]
    if api == "tf1" and mode == "eager":
        momentum = native(api, "MomentumOptimizer")
        with steps(api, mode, lambda: momentum(lambda: rates[0], 0.5)) as training:
            assert training.move() == 1
            rates[0] = 0.0
            assert training.move() == 0
            rates[0] = 1.0
    with steps(api, mode, lambda: sgd(api, lambda: rates[0], momentum=0.5)) as training:
        assert training.move() == 1
        rates[0] = 0.0
        assert training.move() == 0.5


# What natives of one name compute.


def native_move(api, name, tf1_name, grad, *args, **kwargs):
    """How far a native optimizer moves in its first step, or None where there is none of this name."""
    make = native(api, tf1_name if api == "tf1" else name)
    if make is None:
        return None
    with steps(api, "eager", lambda: make(*args, **kwargs)) as training:
        return float(training.step(grad)[0][0])


def own_move(api, mode, rule, grad):
    with steps(api, mode, lambda: kcompat.optimizer(rule, api)) as training:
        return float(training.step(grad)[0][0])


@everywhere(WAYS)
def test_rmsprop_starts_at_zero_and_has_epsilon_inside_the_root(api, mode):
    inside, outside, from_one = 1 / 0.15**0.5, 1 / (0.1**0.5 + 0.05), 1 / 1.05**0.5
    if mode == "eager":
        moved = native_move(api, "RMSprop", "RMSPropOptimizer", 1.0, 1.0, 0.9, 0.0, 0.05)
        old = api == "optimizer_v2" or (api == "keras_2_11" and version(api) <= (2, 10))
        assert moved == pytest.approx(from_one if api == "tf1" else outside if old else inside, rel=1e-5)
    assert own_move(api, mode, rules.RMSprop(1.0, 0.9, epsilon=0.05), 1.0) == pytest.approx(inside, rel=1e-5)


@everywhere(WAYS)
def test_centered_rmsprop_averages_the_gradient(api, mode):
    """2.9 and 2.10 average its square, and take the root of what is negative."""
    if api == "keras_2_11" and version(api) <= (2, 10) and mode == "eager":
        assert np.isnan(native_move(api, "RMSprop", "", 10.0, 1.0, centered=True))
    moved = own_move(api, mode, rules.RMSprop(1.0, 0.9, epsilon=0.05, centered=True), 10.0)
    assert moved == pytest.approx(10 / (10 - 1 + 0.05) ** 0.5, rel=1e-5)


@everywhere(WAYS)
def test_adagrad_has_epsilon_inside_the_root(api, mode):
    inside, outside, without = 0.1 / 0.16**0.5, 0.1 / (0.11**0.5 + 0.05), 0.1 / 0.11**0.5
    if mode == "eager":
        more = () if api == "tf1" else (0.05,)
        moved = native_move(api, "Adagrad", "AdagradOptimizer", 0.1, 1.0, 0.1, *more)
        want = {"tf1": without, "optimizer_v2": outside}.get(api, inside)
        assert moved == pytest.approx(want, rel=1e-5)
    assert own_move(api, mode, rules.Adagrad(1.0, epsilon=0.05), 0.1) == pytest.approx(inside, rel=1e-5)


# Precision.


@everywhere(WAYS)
def test_float64_variables_have_float64_hyperparameters(api, mode):
    """Natively the learning rate is a float32 variable: 0.10000000149."""
    import tensorflow as tf

    def move(make):
        with steps(api, mode, make) as training:
            training.variables[0] = make_variable(api, np.zeros(2), "wide", mode)
            return training.move()

    if mode == "eager":
        assert tf.executing_eagerly()
        assert move(lambda: native_sgd(api, 0.1)) == float(np.float32(0.1)) or api == "tf1"
    assert move(lambda: sgd(api, 0.1)) == 0.1


@everywhere(EAGER)
def test_bfloat16_variables_train(api, mode):
    """Natively Adam's second moment is frozen, since 0.999 is 1 in bfloat16; on tf1 it explodes."""
    import tensorflow as tf

    def moved(make):
        start = np.ones(4, tf.bfloat16.as_numpy_dtype)
        variable, optimizer = make_variable(api, start, "narrow"), make(api, 0.125)
        for _ in range(3):
            optimizer.apply_gradients([(tf.ones(4, tf.bfloat16), variable)])
        return float(1 - to_numpy(variable)[0])

    far = moved(native_adam)
    assert far > 2 if api == "tf1" else far == 0
    assert moved(lambda api, rate: kcompat.optimizer_class(rules.Adam, api)(rate)) == pytest.approx(0.375)


# Arguments and configurations.


@everywhere(WAYS)
def test_adamw_decays_by_the_learning_rate_times_the_decay(api, mode):
    """In 2.9 the variable is multiplied by that product. TensorFlow 1 and optimizer_v2 have no AdamW."""
    if api == "keras_2_11" and version(api) == (2, 9) and mode == "eager":
        make = native(api, "AdamW")
        with steps(api, mode, lambda: make(0.1, weight_decay=0.01), np.ones(2)) as training:
            training.step(0.0)
            assert training.values()[0][0] == pytest.approx(0.001, rel=1e-4)
    adamw = kcompat.optimizer_class(rules.AdamW, api)
    adam = kcompat.optimizer_class(rules.Adam, api)
    for make in (adamw, adam):
        with steps(api, mode, lambda make=make: make(0.1, weight_decay=0.01), np.ones(2)) as training:
            training.step(0.0)
            assert training.values()[0][0] == pytest.approx(0.999, rel=1e-6)


@everywhere(WAYS)
def test_weight_decay_is_an_argument_everywhere(api, mode):
    """tf1, optimizer_v2 and keras_2_11 of 2.9 and 2.10 don't know it. All rows decay, present or not."""
    if api in ("tf1", "optimizer_v2") or (api == "keras_2_11" and version(api) <= (2, 10)):
        with pytest.raises(TypeError):
            native_sgd(api, 0.5, weight_decay=0.1)
    with steps(api, mode, lambda: sgd(api, 0.5, weight_decay=0.5), np.ones((3, 1))) as training:
        slices(training, [1.0], [1]).step()
        assert training.values()[0][:, 0].tolist() == [0.75, 0.25, 0.75]


@everywhere(WAYS)
def test_the_average_starts_at_the_first_updated_value(api, mode):
    """keras_2_11 starts it at the value before the first step: 0.875 after the second one, not 0.85."""
    ema = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}

    def train(make):
        with steps(api, mode, make, np.ones(2)) as training:
            return [float(training.step() and training.values()[0][0]) for _ in range(3)]

    if api == "keras_2_11" and version(api) >= (2, 11):
        assert train(lambda: native_sgd(api, 0.1, **ema)) == pytest.approx([0.9, 0.875, 0.775])
    assert train(lambda: sgd(api, 0.1, **ema)) == pytest.approx([0.9, 0.85, 0.75])


@everywhere(WAYS)
def test_iterations_count_updates_with_gradient_accumulation(api, mode):
    """Keras 3.0 to 3.5 count calls; up to Keras 2 there is no accumulation."""
    with steps(api, mode, lambda: sgd(api, 0.5, gradient_accumulation_steps=2)) as training:
        counts = []
        for _ in range(4):
            training.step()
            counts.append(training.iterations())
        assert counts == [0, 1, 1, 2]


@pytest.mark.parametrize("api", APIS)
def test_configs_of_other_generations_are_understood(api):
    """The others don't know keras_2_11's is_legacy_optimizer and jit_compile, keras_3 no decay."""
    v2 = {"name": "SGD", "learning_rate": 0.5, "decay": 0.0, "momentum": 0.0, "nesterov": False}
    new = {
        "name": "SGD",
        "weight_decay": None,
        "clipnorm": None,
        "global_clipnorm": None,
        "clipvalue": None,
        "use_ema": False,
        "ema_momentum": 0.99,
        "ema_overwrite_frequency": None,
        "jit_compile": True,
        "is_legacy_optimizer": False,
        "learning_rate": 0.5,
        "momentum": 0.0,
        "nesterov": False,
    }
    keras_3 = {**new, "loss_scale_factor": None, "gradient_accumulation_steps": None}
    del keras_3["jit_compile"], keras_3["is_legacy_optimizer"]
    for config in (v2, new, keras_3):
        with steps(api, modes_of(api)[0], lambda c=config: type(sgd(api)).from_config(c)) as training:
            assert training.move() == 0.5


@everywhere(WAYS)
def test_iterations_are_counted_on_every_api(api, mode):
    """tf1 has no counter of its own, only the global_step that it is given."""
    if api == "tf1":
        assert not hasattr(native_sgd(api, 0.5), "iterations")
    with steps(api, mode, lambda: sgd(api, 0.5)) as training:
        if mode == "eager":  # in a graph the counter has no value before it is initialized
            assert training.iterations() == 0
        training.step()
        training.step()
        assert training.read(training.optimizer.iterations).dtype == np.int64
        assert training.iterations() == 2


@everywhere(WAYS)
def test_the_default_epsilon_is_the_same(api, mode):
    """tf1's AdamOptimizer has 1e-8, the Keras APIs 1e-7."""
    assert kcompat.optimizer_class(rules.Adam, api)().epsilon == 1e-7


@on("tf1", "graph_ref")
def test_tf1_slots_are_named_after_the_slot(api, mode):
    """The host's own are called after the optimizer, with a number by order of creation."""
    import tensorflow as tf

    def names(make):
        with tf.Graph().as_default():
            variable = make_variable(api, np.zeros(2, "float32"), "w", mode)
            make().apply_gradients([(tf.ones(2), variable)])
            return {v.op.name for v in tf.compat.v1.global_variables()}

    assert {"w/Adam", "w/Adam_1"} <= names(lambda: native_adam(api, 0.1))
    assert {"w/Adam/m", "w/Adam/v"} <= names(lambda: kcompat.optimizer(rules.Adam(), api))

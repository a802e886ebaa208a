"""Optimizers that are written against `get_updates()`, on the other APIs."""

import types

import _apis
import numpy as np
import pytest
from _modes import api_modes, as_gradient, run, starting_values, varied_gradients

import kcompat
from kcompat import hooks

tf = pytest.importorskip("tensorflow", reason="hooks are TensorFlow's")

import _hooked  # noqa: E402

APIS = _apis.with_hooks()
FIRST = [next(pair for pair in api_modes([api]) if pair[1] != "graph_ref") for api in APIS]
START = starting_values([(3, 2), (5, 2)])
GRADIENTS = varied_gradients([(3, 2), (5, 2)], 5, sparse={1})
RULE = kcompat.rules.Adam(0.01, epsilon=1e-3)

eager = pytest.mark.skipif(not tf.executing_eagerly(), reason="in TensorFlow 1, eager mode is off")
pytestmark = [
    pytest.mark.wide,
    pytest.mark.skipif(not APIS, reason="no API here takes the hooks of another"),
]


def written(api):
    """The class, as a package has it that is imported in `installed()`."""
    with hooks.installed(api):
        from keras import backend as K

        return _hooked.adam_of_get_updates(tf.keras.optimizers.Optimizer, K)


def close(values, expected):
    for got, want in zip(values, expected):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


def pairs(row, variables):
    return [(as_gradient(grad, var), var) for grad, var in zip(row, variables)]


def eager_variables(values):
    return [tf.Variable(value, name="v{}".format(i)) for i, value in enumerate(values)]


@pytest.mark.parametrize("api, mode", FIRST)
def test_it_agrees_with_numpy(api, mode):
    make = written(api)
    result = run(api, mode, None, START, GRADIENTS, make=lambda: make(0.01, epsilon=1e-3))
    params, slots = kcompat.testing.reference(RULE, START, GRADIENTS)
    close(result.params, params)
    assert issubclass(make, kcompat.environment.host_class(api))
    for ours, theirs in zip(result.slots, slots):
        assert set(ours) == {"m", "v"}
        close([ours["m"], ours["v"]], [theirs["m"], theirs["v"]])


@eager
@pytest.mark.parametrize("api", APIS)
def test_its_learning_rate_is_live_and_its_state_travels(api):
    make = written(api)
    optimizer, variables = make(0.01, epsilon=1e-3), eager_variables(START)
    assert optimizer.get_config()["learning_rate"] == pytest.approx(0.01)

    @tf.function
    def step(grads):
        optimizer.apply_gradients(zip(grads, variables))

    dense = [[np.ones_like(value) * (i + 1) for value in START] for i in range(4)]
    for row in dense[:2]:
        step([tf.constant(grad) for grad in row])
    weights = optimizer.get_weights()
    twin, others = make(0.01, epsilon=1e-3), eager_variables([v.numpy() for v in variables])
    twin.build(others)
    twin.set_weights(weights)
    for row in dense[2:]:
        step([tf.constant(grad) for grad in row])
        twin.apply_gradients([(tf.constant(grad), v) for grad, v in zip(row, others)])
    for ours, theirs in zip(variables, others):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    before = [variable.numpy() for variable in variables]
    optimizer.learning_rate = 0.0
    step([tf.constant(grad) for grad in dense[0]])
    for variable, value in zip(variables, before):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert int(optimizer.iterations.numpy()) == 5


@eager
@pytest.mark.parametrize("api", APIS)
def test_clipping_by_the_norm_of_all(api):
    optimizer, variables = written(api)(0.01, epsilon=1e-3, clipnorm=0.5), eager_variables(START)
    for row in GRADIENTS:
        optimizer.apply_gradients(pairs(row, variables))
    rule = kcompat.transforms.ClipByGlobalNorm(RULE, 0.5)
    close([v.numpy() for v in variables], kcompat.testing.reference(rule, START, GRADIENTS)[0])


@eager
def test_a_missing_gradient_and_a_late_variable_are_named():
    optimizer, variables = written(APIS[0])(0.01), eager_variables(START)
    optimizer.apply_gradients(pairs(GRADIENTS[0], variables))
    before = variables[0].numpy()
    with pytest.raises(kcompat.GradientError, match="v1"):
        optimizer.apply_gradients(pairs(GRADIENTS[0], variables)[:1])
    late = tf.Variable(START[0], name="late")
    with pytest.raises(kcompat.GradientError, match="late"):
        optimizer.apply_gradients([*pairs(GRADIENTS[0], variables), (tf.ones_like(late), late)])
    np.testing.assert_array_equal(variables[0].numpy(), before)


@eager
def test_what_has_no_place_here_is_named():
    with hooks.installed(APIS[0]):
        from keras import backend as K

        class OfItsLoss(tf.keras.optimizers.Optimizer):
            def get_updates(self, loss, params):
                return [K.update(p, p - loss.mean()) for p in params]

        class OfASession(tf.keras.optimizers.Optimizer):
            def get_updates(self, loss, params):
                return K.get_session()

        class OfItsCounter(tf.keras.optimizers.Optimizer):
            def get_updates(self, loss, params):
                return self.iterations.assign_add(1)

        class OfChance(tf.keras.optimizers.Optimizer):
            def get_updates(self, loss, params):
                return [K.update(p, K.random_uniform_variable(K.int_shape(p), 0, 1)) for p in params]

    (variable,) = eager_variables(START[:1])
    cases = (
        (OfItsLoss, "the loss itself"),
        (OfASession, "get_session"),
        (OfItsCounter, "assign_add"),
        (OfChance, "random_uniform_variable"),
    )
    for cls, reason in cases:
        with pytest.raises(kcompat.HookError, match=reason):
            cls().apply_gradients([(tf.ones_like(variable), variable)])


@pytest.mark.wide
@eager
def test_an_identity_is_a_variable():
    with hooks.installed(APIS[0]):
        from keras import backend as K

        class Rotated(tf.keras.optimizers.Optimizer):
            def get_updates(self, loss, params):
                grads = self.get_gradients(loss, params)
                return [K.update(p, p - K.dot(g, K.eye(2))) for p, g in zip(params, grads)]

    (variable,) = eager_variables(START[:1])
    Rotated().apply_gradients([(tf.ones_like(variable), variable)])
    np.testing.assert_allclose(variable.numpy(), START[0] - 1, rtol=1e-6)


def test_a_backend_that_is_not_ours_is_named():
    names = {"K": types.ModuleType("keras.backend")}
    exec("def get_updates(self, loss, params):\n    return [K.update(p, p) for p in params]\n", names)
    cls = type("Foreign", (), {"get_updates": names["get_updates"]})
    with pytest.raises(kcompat.HookError, match="installed"):
        hooks.adopt(cls, APIS[0])


@eager
@pytest.mark.parametrize("api", APIS)
def test_a_variable_as_a_new_value_is_read_before_it_is_written(api):
    with hooks.installed(api):
        from keras import backend as K

        class Swapped(tf.keras.optimizers.Optimizer):
            def get_updates(self, loss, params):
                return [K.update(params[0], params[1]), K.update(params[1], params[0])]

            def get_config(self):
                return {}

    variables = eager_variables([np.float32([1, 2]), np.float32([3, 4])])
    Swapped().apply_gradients([(tf.ones_like(variable), variable) for variable in variables])
    np.testing.assert_array_equal([variable.numpy() for variable in variables], [[3, 4], [1, 2]])


def of_pairs(api):
    """As `written`, of the class that gives pairs."""
    with hooks.installed(api):
        from keras import backend as K

        return _hooked.pairs_of_get_updates(tf.keras.optimizers.Optimizer, K)


DENSE = varied_gradients([(3, 2), (5, 2)], 4)


@pytest.mark.parametrize("api, mode", FIRST)
def test_pairs_are_written(api, mode):
    result = run(api, mode, None, START, DENSE, make=of_pairs(api))
    params, moments, _ = _hooked.steps_of_pairs(START, DENSE)
    close(result.params, params)
    close([slots["m"] for slots in result.slots], moments)


@eager
@pytest.mark.parametrize("api", APIS)
def test_pairs_of_a_state_variable_and_of_a_number(api):
    optimizer, variables = of_pairs(api)(), eager_variables(START)
    for row in DENSE:
        optimizer.apply_gradients(pairs(row, variables))
    close([v.numpy() for v in variables], _hooked.steps_of_pairs(START, DENSE)[0])
    close([optimizer.scale.numpy(), optimizer.seen.numpy()], [_hooked.steps_of_pairs(START, DENSE)[2], 3.0])
    assert int(optimizer.iterations.numpy()) == len(DENSE)


def around(api):
    """A wrapper around what gives pairs, which changes each of them, and gives all of it twice."""
    with hooks.installed(api):
        from keras import backend as K

        class Doubling(tf.keras.optimizers.Optimizer):
            def __init__(self, optimizer, **kwargs):
                super().__init__(**kwargs)
                self.optimizer = optimizer

            def get_updates(self, loss, params):
                self.updates = []
                for update in self.optimizer.get_updates(loss, params):
                    mine = isinstance(update, tuple) and any(update[0] is each for each in params)
                    self.updates.append((update[0], 2 * update[1] - update[0]) if mine else update)
                self.updates += [K.update_add(params[0], K.zeros(K.int_shape(params[0]))), *self.updates]
                return self.updates

            def get_config(self):
                return {}

        return Doubling


@eager
@pytest.mark.parametrize("api", APIS)
def test_pairs_inside_a_wrapper(api):
    inner, variables = of_pairs(api)(), eager_variables(START)
    optimizer = around(api)(inner)
    for row in DENSE:
        optimizer.apply_gradients(pairs(row, variables))
    doubled = [[2 * grad for grad in row] for row in DENSE]
    close([v.numpy() for v in variables], _hooked.steps_of_pairs(START, doubled)[0])
    assert float(inner.scale.numpy()) == 0.5**5
    assert int(optimizer.iterations.numpy()) == len(DENSE)


def of_list(make):
    """What returns in get_updates() what `make` gives for (K, itself, the parameter, its gradient)."""
    with hooks.installed(APIS[0]):
        from keras import backend as K

        class Listed(tf.keras.optimizers.Optimizer):
            def __init__(self):
                super().__init__()
                self.iterations = K.variable(0, dtype="int64", name="iterations")
                self.number = K.variable([1.0], name="number")
                # As of a class that makes an update once, for all steps.
                self.early = K.update(K.variable(0.0), 1.0)

            def get_updates(self, loss, params):
                (grad,) = self.get_gradients(loss, params)
                return make(K, self, params[0], grad)

    return Listed()


def counted(optimizer):
    return optimizer.iterations, optimizer.iterations + 1


def twice(updates):
    return updates + updates


ORDERS = [
    # The list tells in which order; the steps are of 1.
    ("a pair after K.update", 3.0, lambda K, o, p, g: [K.update(p, p - g), (p, p + 3 * g)]),
    ("K.update after a pair", -1.0, lambda K, o, p, g: [(p, p + 3 * g), K.update(p, p - g)]),
    ("a pair between", 5.0, lambda K, o, p, g: [K.update(p, p - g), (p, p + 3 * g), K.update(p, p + 5 * g)]),
    ("one tensor for two", -1.0, lambda K, o, p, g: one_for_two(K, o, p, p - g)),
    ("all of it twice", -1.0, lambda K, o, p, g: twice([K.update_sub(p, g), counted(o)])),
    ("a pair on what is not updated", 0.5, lambda K, o, p, g: [(p, p + K.update(o.number, o.number * 0.5))]),
    ("the old value of a variable", 1.0, lambda K, o, p, g: [K.update(o.number, [7.0]), (p, o.number)]),
    ("lists and operations", -1.0, lambda K, o, p, g: [[K.update(p, p)], tf.group(K.update(p, p - g))]),
    ("what it assigns itself", -1.0, lambda K, o, p, g: [p.assign_sub(g), g, tf.no_op()]),
    ("a tuple of updates", 2.0, lambda K, o, p, g: ((p, 2 * g),)),
]


def one_for_two(K, optimizer, param, value):
    """Both variables are given one tensor, and a pair between them another."""
    first, second = K.update(optimizer.number, value), K.update(param, value)
    return [first, (param, value + 9), second]


@eager
@pytest.mark.parametrize("name, expected, make", ORDERS, ids=[each[0] for each in ORDERS])
def test_pairs_and_updates_in_the_order_of_the_list(name, expected, make):
    optimizer, variable = of_list(make), tf.Variable([0.0], name="v0")
    optimizer.apply_gradients([(tf.ones_like(variable), variable)])
    np.testing.assert_allclose(variable.numpy(), [expected])
    assert int(optimizer.iterations.numpy()) == 1


@eager
@pytest.mark.parametrize("listed", [list, twice])
def test_a_pair_on_the_counter_counts_a_step(listed):
    optimizer = of_list(
        lambda K, o, p, g: listed([counted(o), (p, p + K.cast(o.iterations + 1, K.dtype(p)))])
    )
    variable = tf.Variable([0.0], name="v0")
    for _ in range(3):
        optimizer.apply_gradients([(tf.ones_like(variable), variable)])
    np.testing.assert_allclose(variable.numpy(), [1 + 2 + 3])
    assert int(optimizer.iterations.numpy()) == 3


@eager
def test_what_is_no_update_is_named():
    cases = (
        ("None among", lambda K, o, p, g: [K.update(p, p - g), None]),
        ("no operation that this call has made", lambda K, o, p, g: [o.early]),
        ("no operation that this call has made", lambda K, o, p, g: [p]),
        ("no operation that this call has made", lambda K, o, p, g: [[p, p - g]]),
        ("no operation that this call has made", lambda K, o, p, g: [[(p, p - g)]]),
        ("no pair of a variable and its new value", lambda K, o, p, g: [("update", p, p - g)]),
        ("no pair of a variable and its new value", lambda K, o, p, g: [("v0", p - g)]),
        ("returns None; expected the list", lambda K, o, p, g: o.updates.append((p, p - g))),
        ("updates .*, which is no variable here", lambda K, o, p, g: [(p - g, p)]),
    )
    for reason, make in cases:
        variable = tf.Variable([0.0], name="v0")
        with pytest.raises(kcompat.HookError, match=r"get_updates\(\) .*" + reason):
            of_list(make).apply_gradients([(tf.ones_like(variable), variable)])
        np.testing.assert_array_equal(variable.numpy(), [0.0])

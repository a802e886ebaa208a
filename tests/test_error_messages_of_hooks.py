"""Errors of classes that are written against another API's hooks: each says what to do."""

import contextlib
import importlib

import _apis
import _package
import numpy as np
import pytest

import kcompat
from kcompat import errors, hooks

tf = pytest.importorskip("tensorflow", reason="hooks are TensorFlow's")

APIS = _apis.with_hooks()
eager = pytest.mark.skipif(not tf.executing_eagerly(), reason="in TensorFlow 1, eager mode is off")
pytestmark = [
    pytest.mark.wide,
    pytest.mark.skipif(not APIS, reason="no API here takes the hooks of another"),
]
on_apis = pytest.mark.parametrize("api", APIS)
# A dialect at home on an API is the host's own class, whose errors are the host's.
AWAY = {
    dialect: next((api for api in APIS if not api.startswith(dialect)), None)
    for dialect in ("tf1", "optimizer_v2", "keras")
}


def away(dialect):
    """The base class of a dialect on an API that is another one's."""
    if AWAY[dialect] is None:
        pytest.skip("there is no API here but the one that {} is of".format(dialect))
    return hooks.base_class(dialect, AWAY[dialect])


@contextlib.contextmanager
def raises(error, words):
    """The error, and variables as they were."""
    with pytest.raises(getattr(errors, error), match=words):
        yield


def step(optimizer, variable=None):
    variable = tf.Variable(np.ones(2, "float32"), name="w") if variable is None else variable
    try:
        optimizer.apply_gradients([(tf.ones_like(variable), variable)])
    except errors.KcompatError:
        np.testing.assert_array_equal(np.asarray(variable), np.ones(2))
        raise
    return variable


def test_dialects_that_are_none():
    with raises("HookError", "There is no dialect 'keras_4'; expected one of tf1, optimizer_v2, keras"):
        hooks.base_class("keras_4")
    bases = importlib.import_module(_package.NAME + ".hooks.bases")
    with raises("HookError", "The API get_updates has no base class for other generations' hooks"):
        bases.check_backend("get_updates")


def test_a_class_on_another_generation_s_optimizer():
    newer = [api for api in APIS if api in ("keras_2_11", "keras_3")]
    if not newer:
        pytest.skip("tf.keras' optimizers are those of OptimizerV2 here")
    base = kcompat.environment.host_class(newer[-1])
    adam = tf.keras.optimizers.Adam
    if not issubclass(adam, base):
        pytest.skip("the newest optimizers are not what tf.keras.optimizers has here")

    class Mine(adam):
        def _resource_apply_dense(self, grad, var, apply_state=None):
            return super()._resource_apply_dense(grad, var, apply_state)

    with raises("HookError", "which here is an optimizer of another API .* without the hooks that it calls"):
        hooks.adopt(Mine, APIS[0])


def test_an_optimizer_that_is_gone(monkeypatch):
    newer = [api for api in APIS if api in ("keras_2_11", "keras_3")]
    if not newer or kcompat.detect().default not in newer:
        pytest.skip("tf.keras' optimizers are those of OptimizerV2 here")
    importing = importlib.import_module(_package.NAME + ".hooks.importing")
    monkeypatch.setattr(importing, "bundled", lambda name: None)
    monkeypatch.setattr(importing._Names, "_legacy_module", staticmethod(lambda: None))
    with hooks.installed(newer[-1]), raises("HookError", "OptimizerV2 optimizer Nadam, which .* has not any"):

        class Mine(tf.keras.optimizers.Nadam):
            def _resource_apply_dense(self, grad, var, apply_state=None):
                return super()._resource_apply_dense(grad, var, apply_state)


class TestTensorFlow1:
    """Classes of `tf.train`."""

    def test_arguments(self):
        base = away("tf1")
        with raises("HyperparameterError", r"Optimizer\(name=''\): expected a name"):
            base(False, "")

        class Mine(base):
            def __init__(self, rate, name="Mine"):
                super().__init__(False, name)

        with raises("StateError", r"get_config\(\): the argument rate is .*, which has no configuration"):
            Mine(lambda: 0.1).get_config()
        assert Mine(0.1).get_config() == {"rate": 0.1}

    @eager
    def test_operations_of_reference_variables(self):
        class Mine(away("tf1")):
            def __init__(self):
                super().__init__(False, "Mine")

            def _apply_dense(self, grad, var):
                return var.ref_only(grad)

        with raises("HookError", "failed on a resource variable, the only kind there is here: Attrib"):
            step(Mine())

    @eager
    def test_variables_of_one_name(self):
        class Mine(away("tf1")):
            def __init__(self):
                super().__init__(False, "Mine")

            def apply_gradients(self, grads_and_vars, global_step=None, name=None):
                for grad, var in grads_and_vars:
                    mean = tf.compat.v1.get_variable(var.name.split(":")[0] + "/mean", var.shape)
                    var.assign_sub(grad + 0.0 * mean)

        optimizer = Mine()
        first, second = (tf.Variable(np.ones(2, "float32"), name="w") for _ in range(2))
        optimizer.apply_gradients([(tf.ones([2]), first), (tf.ones([2]), second)])
        before = [np.array(variable) for variable in (first, second)]
        with raises("GradientError", "several variables have the same name, after which its apply_gradients"):
            optimizer.apply_gradients([(tf.ones([2]), second), (tf.ones([2]), first)])
        np.testing.assert_array_equal([np.array(variable) for variable in (first, second)], before)

    @eager
    def test_finish_in_a_strategy(self):
        class Mine(away("tf1")):
            def __init__(self):
                super().__init__(False, "Mine")

            def _resource_apply_dense(self, grad, handle):
                return handle.assign_sub(grad)

            def _finish(self, update_ops, name_scope):
                return tf.group(*update_ops)

        with raises("HookError", r"_finish\(\) of a class of TensorFlow 1 does not run under a distribution"):
            in_a_strategy(Mine)


def in_a_strategy(make):
    """A step of an optimizer under a strategy that has copies of variables."""
    strategy = tf.distribute.MirroredStrategy(["cpu:0"])
    with strategy.scope():
        variable = tf.Variable(np.ones(2, "float32"), name="w")
        optimizer = make()
    run = getattr(strategy, "run", None) or strategy.experimental_run_v2
    run(lambda: optimizer.apply_gradients([(tf.ones([2]), variable)]))


class TestOptimizerV2:
    def test_arguments(self):
        base = away("optimizer_v2")
        with raises("HyperparameterError", r"\(clipnorm=-1\.0\): expected at least 0"):
            base("Mine", clipnorm=-1.0)
        with raises("HyperparameterError", "expected one of clipnorm and global_clipnorm, got both"):
            base("Mine", clipnorm=1.0, global_clipnorm=1.0)
        with raises("HyperparameterError", "the hyperparameter 'rate' is None; expected a number"):
            base("Mine")._set_hyper("rate", None)
        optimizer = base("Mine", gradient_transformers=[lambda pairs: pairs])
        with raises("HyperparameterError", "clipnorm can't be set: gradient_transformers are in its place"):
            optimizer.clipnorm = 1.0

    @eager
    def test_what_a_traced_step_can_not_change(self):
        class Mine(away("optimizer_v2")):
            def __init__(self):
                super().__init__("Mine")
                self._set_hyper("learning_rate", 0.1)
                self._set_hyper("nesterov", True)

            def _resource_apply_dense(self, grad, var, apply_state=None):
                return var.assign_sub(0.1 * grad)

        optimizer, variable = Mine(), tf.Variable(np.ones(2, "float32"), name="w")
        tf.function(lambda: optimizer.apply_gradients([(tf.ones([2]), variable)]) and None)()
        with raises("HyperparameterError", "'nesterov' can't become False, because the training step"):
            optimizer._set_hyper("nesterov", False)
        with raises("HyperparameterError", "clipnorm = 1.0: the training step has been traced"):
            optimizer.clipnorm = 1.0


class TestKeras:
    """Classes of `update_step`."""

    def test_arguments(self):
        base = away("keras")
        with raises("UnknownArgumentError", "no argument 'clip_norm'; the base class takes .*Did you mean"):
            base(0.1, clip_norm=1.0)
        with raises("HyperparameterError", "expected one of clipnorm, clipvalue and global_clipnorm"):
            base(0.1, clipnorm=1.0, clipvalue=1.0)

    @eager
    def test_gradients_and_variables_that_do_not_pair(self):
        class Mine(away("keras")):
            def update_step(self, gradient, variable, learning_rate):
                variable.assign_sub(learning_rate * gradient)

        variable = tf.Variable(np.ones(2, "float32"), name="w")
        with raises("GradientError", r"Mine.apply\(\) was given 2 gradients for 1 variables"):
            Mine(0.1).apply([tf.ones([2]), tf.ones([2])], [variable])
        np.testing.assert_array_equal(np.array(variable), np.ones(2))

    @eager
    def test_what_a_traced_step_can_not_change(self):
        class Mine(away("keras")):
            def update_step(self, gradient, variable, learning_rate):
                variable.assign_sub(learning_rate * gradient)

        optimizer, variable = Mine(0.1), tf.Variable(np.ones(2, "float32"), name="w")
        tf.function(lambda: optimizer.apply_gradients([(tf.ones([2]), variable)]) and None)()
        with raises("HyperparameterError", "use_ema = True: the training step has been traced"):
            optimizer.use_ema = True


@pytest.fixture
def first(monkeypatch):
    """The base class of `get_updates()` and Keras' backend, as a module of that time imports them."""
    with hooks.installed(APIS[0]):
        from keras import backend

        yield hooks.base_class("get_updates", APIS[0]), backend


class TestGetUpdates:
    def test_arguments(self, first):
        with raises("UnknownArgumentError", "no argument 'clip_norm'; it takes clipnorm, .*Did you mean"):
            first[0](clip_norm=1.0)

    @eager
    def test_what_it_has_to_be(self, first):
        base, K = first
        with raises("HookError", r"does not define get_updates\(loss, params\)"):
            step(type("Empty", (base,), {})())

        class OfOthers(base):
            def get_updates(self, loss, params):
                self.get_gradients(loss, [K.variable(0.0, name="other")])
                return []

        with raises("HookError", r"asks for gradients of .*, which this step is not given"):
            step(OfOthers())

        class OfItsRate(base):
            def __init__(self):
                super().__init__()
                self.learning_rate = K.variable(0.1, name="learning_rate")

            def get_updates(self, loss, params):
                return [K.update(self.learning_rate, 0.2)]

        with raises("HookError", r"updates .*, which is no variable here: what it reads as its"):
            step(OfItsRate())

    @eager
    def test_variables_that_another_step_does_not_make(self, first):
        base, K = first

        class More(base):
            calls = 0

            def get_updates(self, loss, params):
                type(self).calls += 1
                slots = [K.zeros(K.int_shape(params[0])) for _ in range(self.calls)]
                return [K.update(params[0], params[0] - slots[0])]

        with raises("HookError", r"makes \d variables in this step, and made \d when it was built"):
            step(More())

    def test_gradients_outside_of_a_step(self):
        api = next((api for api in APIS if api in ("tf1", "keras_2_11", "keras_3")), None)
        if api is None:
            pytest.skip("there is an API only that has get_gradients() itself")
        with hooks.installed(api), raises("HookError", "is called outside of a step: here a step is given"):
            hooks.base_class("get_updates", api)().get_gradients(None, [])

    @eager
    def test_a_strategy(self, first):
        base, K = first

        class Mine(base):
            def get_updates(self, loss, params):
                return [K.update(p, p - g) for p, g in zip(params, self.get_gradients(loss, params))]

        with raises("HookError", "updates all variables in one graph, and does not run under a"):
            in_a_strategy(Mine)

"""Classes derived from an optimizer class: what they override is called as the host calls it, or refused."""

import numpy as np
import pytest
from _apis import APIS
from _arrays import backend
from _modes import modes_of
from _steps import steps

import kcompat
from kcompat import rules
from kcompat.adapters.overrides import _PASSED_OVER

EAGER = [api for api in APIS if "eager" in modes_of(api)]
ON_TENSORFLOW = [api for api in APIS if backend(api) == "tensorflow"]
KERAS_3 = [api for api in APIS if api == "keras_3"]


def base(api):
    return kcompat.optimizer_class(rules.SGD, api)


def halved(pairs):
    return [(None if grad is None else grad * 0.5, variable) for grad, variable in pairs]


def sums_in_minimize(api):
    """A class such as Horovod makes: it changes gradients where the host's minimize computes them."""
    if api == "optimizer_v2":

        class Distributed(base(api)):
            def _compute_gradients(self, loss, var_list, grad_loss=None, **kwargs):
                return halved(super()._compute_gradients(loss, var_list, grad_loss, **kwargs))
    else:

        class Distributed(base(api)):
            def compute_gradients(self, loss, var_list, **kwargs):
                return halved(super().compute_gradients(loss, var_list, **kwargs))

    return Distributed


@pytest.mark.parametrize("api", [api for api in EAGER if backend(api) != "torch"])
def test_minimize_computes_gradients_by_the_method_of_the_host(api):
    def make():
        return sums_in_minimize(api)(learning_rate=0.5)

    with steps(api, "eager", make, np.ones(2, "float32")) as training:
        (weight,) = training.variables

        def loss():
            return 2.0 * (weight[0] + weight[1])

        training.optimizer.minimize(loss, var_list=[weight])
        np.testing.assert_allclose(training.values()[0], 0.5)


@pytest.mark.parametrize("api", [api for api in ON_TENSORFLOW if api in ("optimizer_v2", "keras_2_11")])
@pytest.mark.wide
def test_fit_computes_gradients_by_it(api):
    import tensorflow as tf

    if not hasattr(tf.keras.Model, "train_step"):
        pytest.skip("fit computes gradients itself up to TensorFlow 2.1, for the host's own classes, too")
    if api == "optimizer_v2" and not _has_tape(api):
        pytest.skip("fit of TensorFlow 2.2 and 2.3 computes gradients itself, and asks for their sum alone")

    def trained(optimizer):
        layer = tf.keras.layers.Dense(1, use_bias=False, input_shape=(2,), kernel_initializer="ones")
        model = tf.keras.Sequential([layer])
        model.compile(optimizer, "mse")
        x, y = np.array([[1.0, 2.0], [3.0, 1.0]], "float32"), np.array([[1.0], [0.0]], "float32")
        model.fit(x, y, batch_size=2, epochs=1, verbose=0)
        return model.get_weights()[0]

    expected = trained(base(api)(learning_rate=0.05))
    np.testing.assert_allclose(trained(sums_in_minimize(api)(learning_rate=0.1)), expected, rtol=1e-6)


def _has_tape(api):
    import inspect

    return "tape" in inspect.signature(base(api)._host_class._compute_gradients).parameters


@pytest.mark.parametrize("api", [api for api in EAGER if api in ("optimizer_v2", "keras_2_11")])
def test_a_subclass_sums_gradients_itself(api):
    name = "_aggregate_gradients" if api == "optimizer_v2" else "aggregate_gradients"
    if not hasattr(base(api)._host_class, name):
        pytest.skip("this release's optimizers have no {}".format(name))

    def aggregate(self, pairs):
        self.asked = [variable is not None for _, variable in pairs]
        return halved(pairs)

    made = type("Sums", (base(api),), {name: aggregate, "asked": None})
    with steps(api, "eager", lambda: made(learning_rate=0.5), np.ones(2, "float32")) as training:
        training.step(np.full(2, 2.0, "float32"))
        np.testing.assert_allclose(training.values()[0], 0.5)
        assert training.optimizer.asked == [True]


@pytest.mark.parametrize("api", KERAS_3)
@pytest.mark.parametrize("mode", ["apply", "apply_gradients", "fit"])
def test_apply_is_called_as_keras_3_calls_it(api, mode):
    import keras

    class Halves(base(api)):
        applied = 0

        def apply(self, grads, trainable_variables=None):
            type(self).applied += 1
            return super().apply([grad * 0.5 for grad in grads], trainable_variables)

    def trained(optimizer):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        model.set_weights([np.ones((2, 1), "float32")])
        if mode == "fit":
            model.compile(optimizer, "mse")
            x, y = np.array([[1.0, 2.0], [3.0, 1.0]], "float32"), np.array([[1.0], [0.0]], "float32")
            model.fit(x, y, batch_size=2, epochs=1, verbose=0)
        else:
            (weight,) = model.trainable_variables
            optimizer.build([weight])
            grads = [keras.ops.ones((2, 1))]
            if mode == "apply":
                optimizer.apply(grads, [weight])
            else:
                optimizer.apply_gradients(zip(grads, [weight]))
        return model.get_weights()[0]

    expected = trained(base(api)(learning_rate=0.05))
    np.testing.assert_allclose(trained(Halves(learning_rate=0.1)), expected, rtol=1e-6)
    assert Halves.applied == 1


@pytest.mark.parametrize("api", KERAS_3)
def test_both_methods_of_keras_3_overridden(api):
    """Each is called once, apply_gradients first, as at home."""
    calls = []

    class Both(base(api)):
        def apply_gradients(self, grads_and_vars, **kwargs):
            calls.append("apply_gradients")
            return super().apply_gradients(grads_and_vars, **kwargs)

        def apply(self, grads, trainable_variables=None):
            calls.append("apply")
            return super().apply(grads, trainable_variables)

    with steps(api, "eager", lambda: Both(learning_rate=0.5), np.ones(2, "float32")) as training:
        training.step(np.full(2, 2.0, "float32"))
        np.testing.assert_allclose(training.values()[0], 0.0)
    assert calls == ["apply_gradients", "apply"]


@pytest.mark.parametrize("api", APIS)
def test_what_would_not_be_called_is_refused(api):
    for name in _PASSED_OVER[api].split():
        made = type("Changed", (base(api),), {name: lambda self, *args, **kwargs: None})
        with pytest.raises(kcompat.HookError, match="Changed overrides {}\\(\\), which".format(name)):
            made(learning_rate=0.1)


@pytest.mark.parametrize("api", [api for api in APIS if api != "get_updates"])
def test_a_mixin_that_would_not_be_called_is_refused(api):
    """As TensorFlow Addons' DecoupledWeightDecayExtension, in front of a class, is."""
    name = _PASSED_OVER[api].split()[-1]
    mixin = type("Mixin", (), {name: lambda self, *args, **kwargs: None})
    with pytest.raises(kcompat.HookError, match="Mixed: Mixin overrides {}".format(name)):
        type("Mixed", (mixin, base(api)), {})(learning_rate=0.1)


@pytest.mark.parametrize("api", APIS)
def test_what_is_called_is_not(api):
    class Named(base(api)):
        def get_config(self):
            return dict(super().get_config(), more=1)

        def helper(self):
            return 2

    assert Named(learning_rate=0.1).helper() == 2

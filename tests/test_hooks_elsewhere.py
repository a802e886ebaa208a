"""Where hooks that call TensorFlow have no place: Keras 3 on another backend."""

import _apis
import pytest

import kcompat
from kcompat import hooks

BACKEND = kcompat.detect().keras_backend

pytestmark = pytest.mark.skipif(
    "keras_3" not in _apis.APIS or BACKEND in (None, "tensorflow"),
    reason="Keras 3 does not run on JAX or PyTorch here",
)


@pytest.mark.parametrize("dialect", ["optimizer_v2", "keras", "tf1"])
def test_the_error_names_the_backend(dialect):
    with pytest.raises(kcompat.HookError, match=BACKEND):
        hooks.base_class(dialect, "keras_3")


def test_a_class_of_keras_3_is_native_as_it_is():
    import keras

    class Mine(keras.optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, gradient * learning_rate)

    assert hooks.adopt(Mine, "keras_3") is Mine

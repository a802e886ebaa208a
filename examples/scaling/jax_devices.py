"""Keras 3 on JAX: data parallel, model parallel, and slots that are divided among data-parallel devices.

KERAS_BACKEND=jax python jax_devices.py
On one machine, to try it: XLA_FLAGS=--xla_force_host_platform_device_count=4

Keras 3.5 and later.
"""

import functools
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from kcompat.optimizers import AdamW

BATCH = 64


def make_model():
    """A small network."""
    inputs = keras.layers.Input((8,))
    hidden = keras.layers.Dense(16, activation="tanh", name="hidden")(inputs)
    return keras.models.Model(inputs, keras.layers.Dense(4, name="last")(hidden))


def data():
    """Points and what is to be learned of them."""
    random = np.random.RandomState(0)
    x = random.randn(1024, 8).astype("float32")
    return x, np.tanh(x @ random.randn(8, 4).astype("float32"))


def fit(distribution):
    """With `fit`: slots of a variable's shape are divided as the variable is, others are on every device."""
    keras.distribution.set_distribution(distribution)
    model = make_model()
    optimizer = AdamW(1e-2, weight_decay=1e-4, global_clipnorm=1.0)
    model.compile(optimizer=optimizer, loss="mse")
    losses = model.fit(*data(), batch_size=BATCH, epochs=3, verbose=0).history["loss"]
    kernel = model.get_layer("hidden").kernel
    slot = optimizer.get_slot(kernel, "m")
    print(type(distribution).__name__, kernel.value.sharding.spec, slot.value.sharding.spec, losses[-1])
    assert slot.value.sharding.is_equivalent_to(kernel.value.sharding, 2)
    assert losses[-1] < losses[0]


def with_divided_slots(devices):
    """Data parallel, each device with its part of the slots only: a loop of one's own, compiled by JAX.

    XLA sums the gradients where they are needed, updates each part where its slots are, and gathers the
    parameters.
    """
    keras.distribution.set_distribution(None)
    mesh = jax.sharding.Mesh(np.array(devices), ["batch"])
    everywhere, by_batch = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("batch",)))
    model = make_model()
    optimizer = AdamW(1e-2, weight_decay=1e-4, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    def place(variable):
        divisible = variable.shape and variable.shape[0] % len(devices) == 0
        return by_batch if divisible else everywhere

    places = [place(variable) for variable in optimizer.variables]
    parameters = [jax.device_put(v.value, everywhere) for v in model.trainable_variables]
    state = [jax.device_put(v.value, where) for v, where in zip(optimizer.variables, places)]

    def loss_of(parameters, x, y):
        return keras.ops.mean((model.stateless_call(parameters, [], x)[0] - y) ** 2)

    @functools.partial(jax.jit, donate_argnums=(0, 1), out_shardings=(everywhere, places, everywhere))
    def step(parameters, state, x, y):
        loss, grads = jax.value_and_grad(loss_of)(parameters, x, y)
        parameters, state = optimizer.stateless_apply(state, grads, parameters)
        return list(parameters), list(state), loss

    x, y = data()
    losses = []
    for _ in range(3):
        for i in range(0, len(x), BATCH):
            batch = [jax.device_put(each[i : i + BATCH], by_batch) for each in (x, y)]
            parameters, state, loss = step(parameters, state, *batch)
        losses.append(float(loss))
    slots = [each for each in state if each.ndim]
    held = sum(each.addressable_shards[0].data.nbytes for each in slots)
    print("slots: {} bytes, of which a device has {}".format(sum(each.nbytes for each in slots), held))
    assert losses[-1] < losses[0] and held < sum(each.nbytes for each in slots)


def main():
    """Trains in three ways."""
    devices = keras.distribution.list_devices()
    fit(keras.distribution.DataParallel(devices=devices))
    mesh = keras.distribution.DeviceMesh((len(devices) // 2, 2), ["batch", "model"], devices)
    layouts = keras.distribution.LayoutMap(mesh)
    layouts["hidden/kernel"] = (None, "model")
    layouts["hidden/bias"] = ("model",)
    fit(keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch"))
    with_divided_slots(jax.devices())


if __name__ == "__main__":
    main()

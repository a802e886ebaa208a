"""Trains under Keras 3's distributions on several JAX devices, and compares with training on one device.

python jax_devices.py DISTRIBUTION HOW [CASE ...]; DISTRIBUTION is data or model, HOW is fit, loop or eager.
The devices are parts of the CPU: XLA_FLAGS=--xla_force_host_platform_device_count=4.
"""

import functools
import sys

import _problem
import jax
import keras
import numpy as np
from _problem import assert_same, report

DEVICES = 4


def distribution(name):
    devices = keras.distribution.list_devices("cpu")
    assert len(devices) == DEVICES, devices
    if name == "data":
        return keras.distribution.DataParallel(devices=devices)
    mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"], devices)
    layouts = keras.distribution.LayoutMap(mesh)
    # Patterns that optimizers' slots of other shapes match, too.
    layouts[".*kernel.*"] = (None, "model")
    layouts[".*bias.*"] = ("model",)
    try:
        return keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    except TypeError:  # before Keras 3.5
        return keras.distribution.ModelParallel(mesh, layouts, batch_dim_name="batch")


def model(dtype=None):
    inputs = keras.layers.Input((4,))
    hidden = keras.layers.Dense(8, activation="tanh", name="first", dtype=dtype)(inputs)
    made = keras.models.Model(inputs, keras.layers.Dense(2, name="second", dtype=dtype)(hidden))
    random = np.random.RandomState(3)
    made.set_weights([random.randn(*weight.shape).astype("float32") for weight in made.get_weights()])
    return made


def data():
    random = np.random.RandomState(4)
    size = 10 ** random.uniform(-0.7, 0.5, (_problem.STEPS, 1, 1))
    targets = (random.randn(_problem.STEPS, _problem.BATCH, 2) * size).reshape(-1, 2)
    return random.randn(len(targets), 4).astype("float32"), targets.astype("float32")


def by_fit(trained, optimizer):
    trained.compile(optimizer=optimizer, loss="mse")
    trained.fit(*data(), batch_size=_problem.BATCH, epochs=1, shuffle=False, verbose=0)


def by_loop(trained, optimizer):
    """Keras' stateless loop."""
    optimizer.build(trained.trainable_variables)
    inputs, targets = data()

    def loss(parameters, x, y):
        outputs, _ = trained.stateless_call(parameters, [], x)
        return keras.ops.mean((outputs - y) ** 2)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(parameters, state, x, y):
        return optimizer.stateless_apply(state, jax.grad(loss)(parameters, x, y), parameters)

    parameters = [variable.value for variable in trained.trainable_variables]
    state = [variable.value for variable in optimizer.variables]
    for i in range(0, len(inputs), _problem.BATCH):
        batch = slice(i, i + _problem.BATCH)
        parameters, state = step(parameters, state, inputs[batch], targets[batch])
    for variables, values in ((trained.trainable_variables, parameters), (optimizer.variables, state)):
        for variable, value in zip(variables, values):
            variable.assign(value)


def by_eager_steps(trained, optimizer):
    """A loop in which nothing is compiled by the program."""
    inputs, targets = data()

    def loss(parameters, x, y):
        outputs, _ = trained.stateless_call(parameters, [], x)
        return keras.ops.mean((outputs - y) ** 2)

    for i in range(0, len(inputs), _problem.BATCH):
        batch = slice(i, i + _problem.BATCH)
        parameters = [variable.value for variable in trained.trainable_variables]
        grads = jax.grad(loss)(parameters, inputs[batch], targets[batch])
        optimizer.apply(grads, trained.trainable_variables)
    distributed = keras.distribution.distribution() is not None
    assert {line.why == "the variable is distributed" for line in optimizer.plan()} == {distributed}


def slots_of(optimizer, variables):
    for variable in variables:
        for name in optimizer.get_slot_names():
            try:
                yield variable, name, optimizer.get_slot(variable, name)
            except KeyError:  # a matrix and a vector may have other slots
                pass


def trains(name, how, case):
    train = {"fit": by_fit, "loop": by_loop, "eager": by_eager_steps}[how]
    keras.distribution.set_distribution(None)
    alone, optimizer = model(), _problem.optimizer(case, "keras_3")
    train(alone, optimizer)
    expected = alone.get_weights()
    expected_slots = [np.asarray(slot.value) for _, _, slot in slots_of(optimizer, alone.trainable_variables)]
    keras.distribution.set_distribution(distribution(name))
    trained, optimizer = model(), _problem.optimizer(case, "keras_3")
    train(trained, optimizer)
    assert_same(trained.get_weights(), expected, "values")
    slots = list(slots_of(optimizer, trained.trainable_variables))
    assert_same([np.asarray(slot.value) for _, _, slot in slots], expected_slots, "slots")
    check_places(name, trained, slots)


def check_places(name, trained, slots):
    """Slots are where their variables are; those of other shapes on every device."""
    for variable in trained.trainable_variables:
        assert len(variable.value.sharding.device_set) == DEVICES
        assert variable.value.sharding.is_fully_replicated == (name == "data"), variable.path
    for variable, slot_name, slot in slots:
        where = slot.value.sharding
        if slot.shape == variable.shape:
            assert where.is_equivalent_to(variable.value.sharding, len(slot.shape)), (slot_name, where)
        else:
            assert where.is_fully_replicated, (slot_name, where)
            assert len(where.device_set) == DEVICES


def narrow(name):
    """Slots are wider than variables in bfloat16, and where these are."""
    keras.distribution.set_distribution(distribution(name))
    trained, optimizer = model("bfloat16"), _problem.optimizer("adam", "keras_3")
    by_fit(trained, optimizer)
    slots = list(slots_of(optimizer, trained.trainable_variables))
    assert {keras.backend.standardize_dtype(slot.dtype) for _, _, slot in slots} == {"float32"}
    check_places(name, trained, slots)


def as_the_hosts(name):
    """Each slot has the sharding of the slot of Keras' own Adam."""
    keras.distribution.set_distribution(distribution(name))
    trained, optimizer, host = model(), _problem.optimizer("adam", "keras_3"), keras.optimizers.Adam()
    for each in (optimizer, host):
        each.build(trained.trainable_variables)
    for i, variable in enumerate(trained.trainable_variables):
        for slot_name, slots in (("m", host._momentums), ("v", host._velocities)):
            slot = optimizer.get_slot(variable, slot_name)
            shardings = slot.value.sharding, slots[i].value.sharding
            assert shardings[0].is_equivalent_to(shardings[1], len(slot.shape)), shardings
            assert type(slot) is type(slots[i]) and slot.dtype == slots[i].dtype


def main(name, how, cases):
    made = {case: functools.partial(trains, name, how, case) for case in cases}
    made["slots as Keras'"] = functools.partial(as_the_hosts, name)
    made["bfloat16"] = functools.partial(narrow, name)
    report(made)


if __name__ == "__main__":
    main(*sys.argv[1:3], sys.argv[3:])

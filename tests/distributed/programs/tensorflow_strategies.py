"""Trains under a strategy of TensorFlow, and compares with training on one device.

python tensorflow_strategies.py STRATEGY API LOOP [CASE ...]; STRATEGY is mirrored2, mirrored4, one, central,
workers (one of several processes, which TF_CONFIG tells about) or servers (its parameter servers and workers
are in this process), and LOOP is function, eager or fit.
"""

import contextlib
import functools
import json
import os
import sys

import _problem
import numpy as np
import tensorflow as tf
from _problem import assert_same, report

v1 = tf.compat.v1


def logical_cpus(count):
    """Splits the CPU into several devices."""
    config = getattr(tf.config, "experimental", None) if hasattr(tf, "config") else None
    if hasattr(config, "set_virtual_device_configuration"):
        cpu = config.list_physical_devices("CPU")[0]
        config.set_virtual_device_configuration(cpu, [config.VirtualDeviceConfiguration()] * count)


def make_strategy(name):
    devices = ["/cpu:{}".format(i) for i in range(4)]
    if name == "mirrored2":
        return tf.distribute.MirroredStrategy(devices[:2])
    if name == "mirrored4":
        return tf.distribute.MirroredStrategy(devices)
    if name == "one":
        return tf.distribute.OneDeviceStrategy(devices[1])
    if name == "workers":
        make = getattr(tf.distribute, "MultiWorkerMirroredStrategy", None)
        return (make or tf.distribute.experimental.MultiWorkerMirroredStrategy)()
    assert name == "central", name
    return tf.distribute.experimental.CentralStorageStrategy(devices[:2], devices[0])


def run_on_replicas(strategy, function, args):
    run = getattr(strategy, "run", None) or strategy.experimental_run_v2
    return run(function, args=args)


def make_variables(api):
    names = ("table", "kernel", "bias")
    if api == "keras_3":
        import keras

        return [keras.Variable(value, name=name) for value, name in zip(_problem.start(), names)]
    return [v1.Variable(value, name=name, use_resource=True) for value, name in zip(_problem.start(), names)]


def native(variable):
    """TensorFlow's variable behind one of Keras 3."""
    value = getattr(variable, "value", None)
    return value if isinstance(value, tf.Variable) else variable


def values(variables):
    return [native(variable).numpy() for variable in variables]


def steps_done(optimizer):
    done = native(optimizer.iterations)
    return int(done.numpy() if hasattr(done, "numpy") else done.read_value().numpy())


def slots_of(optimizer, variables):
    names = optimizer.get_slot_names()
    found = {}
    for i, variable in enumerate(variables):
        for name in names:
            with contextlib.suppress(KeyError):  # a matrix and a vector may have other slots
                found[i, name] = native(optimizer.get_slot(variable, name))
    return found


def cluster():
    """The cluster that this process is one of, and which one it is; empty where there is none."""
    return json.loads(os.environ.get("TF_CONFIG", "{}"))


def shares(strategy):
    """The global batches as each replica has them: (rows, targets) of all replicas, batch by batch."""
    count = strategy.num_replicas_in_sync

    def of_worker(context):
        rows, targets = zip(*_problem.batches())
        data = np.concatenate(rows), np.concatenate(targets)
        shards = tf.data.Dataset.from_tensor_slices(data).batch(_problem.BATCH // count)
        workers, index = context.num_input_pipelines, context.input_pipeline_id
        if workers == 1 and cluster():  # in TensorFlow 2.0 each worker is the only one
            workers, index = len(cluster()["cluster"]["worker"]), cluster()["task"]["index"]
        return shards.shard(workers, index)

    names = "distribute_datasets_from_function", "experimental_distribute_datasets_from_function"
    distribute = next(getattr(strategy, name) for name in names if hasattr(strategy, name))
    return distribute(of_worker)


def train(optimizer, variables, rows, targets):
    """One step on one replica."""
    natives = [native(variable) for variable in variables]
    with tf.GradientTape() as tape:
        loss = _problem.loss(natives, rows, targets)
    return optimizer.apply_gradients(list(zip(tape.gradient(loss, natives), variables)))


def alone(case, api):
    """Values and slots of training on one device, with the global batch."""
    variables, optimizer = make_variables(api), _problem.optimizer(case, api)
    step = tf.function(lambda rows, targets: void(train(optimizer, variables, rows, targets)))
    for rows, targets in _problem.batches():
        step(tf.constant(rows), tf.constant(targets))
    slots = {key: slot.numpy() for key, slot in slots_of(optimizer, variables).items()}
    return values(variables), slots, steps_done(optimizer)


def void(_):
    return None


def loop(strategy, case, api, eager=False, outside=False):
    """Trains with a loop of one's own."""
    expected, expected_slots, done = alone(case, api)
    optimizer = _problem.optimizer(case, api) if outside else None
    with strategy.scope():
        variables = make_variables(api)
        optimizer = optimizer or _problem.optimizer(case, api)

    def step(rows, targets):
        run_on_replicas(strategy, lambda r, t: void(train(optimizer, variables, r, t)), (rows, targets))

    step = step if eager else tf.function(step)
    for rows, targets in shares(strategy):
        step(rows, targets)
    assert steps_done(optimizer) == done
    assert_same(values(variables), expected, "values")
    check_copies(strategy, [native(variable) for variable in variables], expected)
    slots = slots_of(optimizer, variables)
    for key, slot in slots.items():
        check_copies(strategy, [slot], [expected_slots[key]])
        check_place(strategy, slot, native(variables[key[0]]))
    assert {line.path for line in optimizer.plan()} == {"rule"}


def skips(strategy, api):
    """A gradient that is no number on one replica: no replica takes the step, and the next one is taken."""
    with strategy.scope():
        variables, optimizer = make_variables(api), _problem.optimizer("skip", api)
        optimizer.build(variables)
    natives = [native(variable) for variable in variables]

    @tf.function
    def step(bad):
        def on_replica():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            if cluster():  # in TensorFlow 2.0 each worker's is the first
                replica = cluster()["task"]["index"]
            last = tf.equal(tf.cast(replica, tf.int32), strategy.num_replicas_in_sync - 1)
            size = tf.where(tf.logical_and(last, bad), float("nan"), 0.5)
            optimizer.apply_gradients([(tf.ones(v.shape) * size, variable) for v, variable in pairs])

        run_on_replicas(strategy, on_replica, ())

    pairs = list(zip(natives, variables))
    step(tf.constant(False))
    before = values(variables)
    slots = {key: slot.numpy() for key, slot in slots_of(optimizer, variables).items()}
    step(tf.constant(True))
    check_copies(strategy, natives, before)
    for key, slot in slots_of(optimizer, variables).items():
        if key[1] in ("m", "v"):
            check_copies(strategy, [slot], [slots[key]])
    step(tf.constant(False))
    assert all((new != old).any() for new, old in zip(values(variables), before))


def local(strategy, variable):
    return strategy.experimental_local_results(variable)


def check_place(strategy, slot, variable):
    """A slot is mirrored as its variable is, and where that is."""
    kinds = [type(each).__name__ for each in (slot, variable)]
    assert len({"Mirrored" in kind for kind in kinds}) == 1, kinds
    of_slot, of_variable = local(strategy, slot), local(strategy, variable)
    assert [each.device for each in of_slot] == [each.device for each in of_variable]
    places = {"OneDeviceStrategy": "CPU:1", "CentralStorageStrategy": "CPU:0"}
    place = next((places[cls.__name__] for cls in type(strategy).__mro__ if cls.__name__ in places), "")
    assert all(each.device.endswith(place) for each in of_slot), [each.device for each in of_slot]


def hosts_slots(api, variables):
    """The first slot of each variable that the host's own Adam makes."""
    if api == "tf1":
        optimizer = v1.train.AdamOptimizer()
        optimizer._create_slots(variables)
        return [optimizer.get_slot(variable, "m") for variable in variables]
    keras = keras_of(api)
    if api == "keras_3":
        optimizer = keras.optimizers.Adam()
    elif api == "optimizer_v2":
        optimizer = getattr(keras.optimizers, "legacy", keras.optimizers).Adam()
        optimizer._create_slots(variables)
        return [optimizer.get_slot(variable, "m") for variable in variables]
    else:
        places = [keras.optimizers, getattr(keras.optimizers, "experimental", None)]
        classes = [getattr(place, "Adam", None) for place in places]
        optimizer = next(cls for cls in classes if hasattr(cls, "update_step"))()
    optimizer.build(variables)
    return [native(slot) for slot in optimizer._momentums]


def placed_as_the_hosts(strategy, api):
    """Slots are of the kind, and on the devices, that the slots of the host's own Adam are."""
    with strategy.scope():
        variables, optimizer = make_variables(api), _problem.optimizer("adam", api)
        optimizer.build(variables)
        # Of the same variables: parameter servers get new ones in turn.
        theirs = hosts_slots(api, variables)
    for variable, other in zip(variables, theirs):
        slot = native(optimizer.get_slot(variable, "m"))
        assert type(slot) is type(other), (type(slot), type(other))
        assert slot.dtype == other.dtype and slot.shape == other.shape
        for name in ("aggregation", "synchronization", "trainable"):
            both = [attribute(each, name) for each in (slot, other)]
            assert both[0] == both[1], (name, both)
        devices = [[each.device for each in local(strategy, kind)] for kind in (slot, other)]
        assert devices[0] == devices[1], devices


def attribute(variable, name):
    """An attribute of a variable, or None: those of TensorFlow 2.0 that are not mirrored have not all."""
    try:
        return getattr(variable, name, None)
    except NotImplementedError:
        return None


def check_copies(strategy, variables, expected):
    """Every copy holds the expected value."""
    for variable, want in zip(variables, expected):
        for each in local(strategy, variable):
            assert_same([each.numpy()], [want], each.name)


def make_model(keras):
    table, kernel, bias = _problem.start()
    rows = keras.layers.Input((1,), dtype="int32")
    vectors = keras.layers.Flatten()(keras.layers.Embedding(*table.shape)(rows))
    model = keras.models.Model(rows, keras.layers.Dense(kernel.shape[1])(vectors))
    model.set_weights([table, kernel, bias])
    return model


def trained_by_fit(case, api, keras, outside=None):
    """A model after `fit`, and its optimizer."""
    model = make_model(keras)
    optimizer = outside or _problem.optimizer(case, api)
    model.compile(optimizer=optimizer, loss="mse")
    rows, targets = zip(*_problem.batches())
    data = np.concatenate(rows)[:, None], np.concatenate(targets)
    model.fit(*data, batch_size=_problem.BATCH, epochs=1, shuffle=False, verbose=0)
    return model, optimizer


def fit(strategy, case, api, outside=False):
    """Trains by Keras' `fit`."""
    keras = keras_of(api)
    # TensorFlow 2.0's fit takes any process of a cluster for one of several, with a strategy or without.
    process = os.environ.pop("TF_CONFIG", None)
    expected, alone = trained_by_fit(case, api, keras)
    if process is not None:
        os.environ["TF_CONFIG"] = process
    optimizer = _problem.optimizer(case, api) if outside else None
    with strategy.scope():
        model, optimizer = trained_by_fit(case, api, keras, optimizer)
    assert steps_done(optimizer) == steps_done(alone)
    variables = [native(variable) for variable in model.trainable_variables]
    check_copies(strategy, variables, expected.get_weights())
    want = slots_of(alone, expected.trainable_variables)
    for key, slot in slots_of(optimizer, model.trainable_variables).items():
        check_copies(strategy, [slot], [want[key].numpy()])
        check_place(strategy, slot, variables[key[0]])


def keras_of(api):
    """The Keras whose models take optimizers of an API."""
    if api == "keras_3":
        import keras

        return keras
    return tf.keras


def main(name, api, how, cases):
    if name != "workers":
        logical_cpus(4)
    strategy = make_strategy(name)
    cases = cases or list(_problem.CASES)
    made = {}
    for case in cases:
        if how == "fit":
            made[case] = functools.partial(fit, strategy, case, api)
        else:
            made[case] = functools.partial(loop, strategy, case, api, eager=how == "eager")
    if how == "function":
        made["adam, made outside the scope"] = functools.partial(loop, strategy, "adam", api, outside=True)
        made["slots as the host's"] = functools.partial(placed_as_the_hosts, strategy, api)
        made["a NaN of one replica"] = functools.partial(skips, strategy, api)
    report(made)


if __name__ == "__main__":
    main(*sys.argv[1:4], sys.argv[4:])

"""State out of files that native optimizers wrote, in every format, against the slots of those optimizers."""

import contextlib
import glob
import importlib
import inspect
import io
import json
import os
import random
import shutil
import zipfile

import make_checkpoints as natives
import numpy as np
import pytest
from _apis import APIS
from _modes import modes_of
from _steps import steps
from _training import keras_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kcompat
from kcompat import state
from kcompat.errors import StateError
from kcompat.state.readers.bundle import Bundle
from kcompat.state.readers.crc32c import crc32c

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "checkpoints")
FILES = sorted(
    name[: -len(".index")] if name.endswith(".index") else name
    for name in os.listdir(DATA)
    if name.endswith((".index", ".h5", ".keras"))
)
WITHOUT_TENSORFLOW = os.environ.get("KERAS_BACKEND") in ("jax", "torch")
# Keras 3.15 forgets the optimizer's configuration when it has written HDF5: that comes after .keras.
FORMATS = ("-ckpt", ".keras", ".h5", ".weights.h5")
GRAPHS = pytest.mark.skipif("tf1" not in APIS, reason="a Saver needs TensorFlow's graphs")


def h5py_is_here():
    try:
        import h5py  # noqa: F401
    except ImportError:
        return False
    return True


def needs_h5py(name):
    return name.endswith((".h5", ".keras")) and not h5py_is_here()


def compare(read, expected, step=natives.STEPS):
    """A state against slots by name: the same variables, slots and numbers, and nothing else."""
    assert read.step == step
    assert {v.name for v in read.variables.values()} == set(expected)
    for variable in read.variables.values():
        slots = expected[variable.name]
        assert set(variable.slots) == set(slots), variable.name
        for slot, array in slots.items():
            np.testing.assert_array_equal(np.asarray(variable.slots[slot]), array, slot)


# Committed files, on every release and without TensorFlow.


def expected_of(name):
    stem = name
    for suffix in ("-ckpt", ".weights.h5", ".h5", ".keras"):
        stem = stem[: -len(suffix)] if stem.endswith(suffix) else stem
    with open(os.path.join(DATA, stem + ".json")) as file:
        return json.load(file)


def options(name, expected):
    if name.endswith(".weights.h5"):  # its variables are kept by position, and the layers' order isn't there
        return {"variables": expected["names"]}
    return {"learning_rate": natives.RATE} if "momentum" in name else {}


@pytest.mark.parametrize("name", FILES)
def test_committed_files(name):
    path = os.path.join(DATA, name)
    expected = expected_of(name)
    if needs_h5py(name):
        with pytest.raises(StateError, match="pip install h5py"):
            state.read(path)
        return
    read = state.read(path, weights=True, **options(name, expected))
    assert read.rule == {"MomentumOptimizer": "SGD", "AdamOptimizer": "Adam"}.get(
        expected["rule"], expected["rule"]
    )
    slots = {
        each: {slot: np.asarray(array, "float32") for slot, array in slots.items()}
        for each, slots in expected["slots"].items()
    }
    if "momentum" in name:
        for each in slots.values():
            each["m"] = each["m"] * np.float32(-natives.RATE)
    compare(read, slots)
    weights = {
        name: np.asarray(value, "float32") for name, value in zip(expected["names"], expected["weights"])
    }
    if name.endswith(".weights.h5"):
        assert sorted(a.shape for a in read.weights.values()) == sorted(a.shape for a in weights.values())
    else:
        assert set(weights) == set(read.weights)
        for each, array in weights.items():
            np.testing.assert_array_equal(np.asarray(read.weights[each]), array)


CONTINUED = [name for name in FILES if name.startswith(("tf1.15", "tf2.10", "keras3", "tf2.15", "tf2.22"))]


@pytest.mark.parametrize("name", CONTINUED)
@pytest.mark.skipif(not APIS, reason="there is no optimizer to go on with")
def test_training_goes_on(name):
    """Files of TensorFlow 1.15, 2.10 and others: the next steps here are those that the writer took."""
    if needs_h5py(name):
        pytest.skip("{} is an HDF5 file, and there is no h5py here".format(name))
    expected = expected_of(name)
    read = state.read(os.path.join(DATA, name), **{**options(name, expected), "learning_rate": natives.RATE})
    # The hyperparameters that a checkpoint does not hold: TensorFlow 1's epsilon is another one.
    if read.rule == "SGD":
        rule = kcompat.rules.SGD(natives.RATE, momentum=expected["config"]["momentum"])
    else:
        rule = kcompat.rules.Adam(natives.RATE, epsilon=1e-8 if name.startswith("tf1") else 1e-7)
    weights = [np.asarray(value, "float32") for value in expected["weights"]]
    for api in APIS:
        with steps(api, modes_of(api)[0], lambda api=api: kcompat.optimizer(rule, api), *weights) as made:
            made.build()
            state.put(made.optimizer, made.variables, read, dict(zip(expected["names"], made.variables)))
            for step in range(natives.STEPS, natives.STEPS + natives.MORE):
                made.step(*natives.gradients(weights, step))
            for value, after in zip(made.values(), expected["after"]):
                np.testing.assert_allclose(value, np.asarray(after), rtol=1e-5, atol=1e-7)


# What this release's own optimizers write.


def hosts():
    """(label, Keras, its optimizers) for each family of native optimizers that is here."""
    try:
        if WITHOUT_TENSORFLOW:
            import keras
        else:
            import tensorflow as tf

            keras = tf.keras
            keras.optimizers.Adam  # noqa: B018
    except (ImportError, AttributeError):
        return []
    found = [("keras", keras, keras.optimizers)]
    for label in ("legacy", "experimental"):
        module = getattr(keras.optimizers, label, None)
        adam = getattr(module, "Adam", None)
        # In 2.9 and 2.10, `legacy` has empty subclasses of what is in `keras.optimizers`.
        new = isinstance(adam, type) and not issubclass(adam, keras.optimizers.Adam)
        if new and not issubclass(keras.optimizers.Adam, adam) and hasattr(adam, "apply_gradients"):
            found.append((label, keras, module))
    return found


HOSTS = hosts() if APIS else []
BY_APPLY = [
    host for host in HOSTS if hasattr(host[2].Adam, "apply_gradients") or hasattr(host[2].Adam, "update_step")
]


def is_zip_host():
    """Whether the first of the native families saves `.keras` files as zip files, with its state."""
    cls = BY_APPLY[0][2].Adam
    return hasattr(cls, "save_own_variables") and not hasattr(cls, "get_slot_names")


@contextlib.contextmanager
def trained(host, case, make=natives.model):
    """A compiled model with a native optimizer that has taken steps, and its trainable variables."""
    _, keras, optimizers = host
    cls, arguments = natives.CASES[case]
    if not hasattr(optimizers, cls):
        pytest.skip("this Keras has no {}".format(cls))
    keras.backend.clear_session()
    made = make(keras)
    optimizer = getattr(optimizers, cls)(learning_rate=natives.RATE, **arguments)
    made.compile(optimizer, "mse")
    natives.train(optimizer, made.trainable_variables)
    yield made, optimizer, cls, made.trainable_variables


def is_v2(optimizer):
    return hasattr(optimizer, "get_slot_names")


def is_of_early_keras_3(cls):
    """Whether it is of a Keras 3 whose optimizers TensorFlow can't save, and whose HDF5 files fail (3.0)."""
    return hasattr(cls, "stateless_apply") and "layout" not in inspect.signature(cls.add_variable).parameters


def write_checkpoint(made, optimizer, path):
    import tensorflow as tf

    checkpoint = tf.train.Checkpoint(network=made, trainer=optimizer)
    if tf.executing_eagerly():
        return checkpoint.write(path)
    return checkpoint.write(path, session=natives._backend().get_session())


def is_keras_3(optimizer):
    return type(optimizer).__module__.startswith("keras.src.optimizers") and hasattr(
        type(optimizer), "_backend_update_step"
    )


def check_formats(host, case, folder, formats, make=natives.model):
    with trained(host, case, make) as (made, optimizer, cls, variables):
        live = natives.slots_of(optimizer, cls, variables)
        names = [natives.name_of(variable) for variable in variables]
        for kind in formats:
            path = os.path.join(folder, "model" + kind)
            if kind == "-ckpt":
                if WITHOUT_TENSORFLOW:
                    continue
                path = write_checkpoint(made, optimizer, path)
            elif kind == "-weights":
                made.save_weights(path)
            elif kind == ".weights.h5":
                made.save_weights(path)
            else:
                made.save(path)
            check_read(host, case, path, kind, live, cls, names, optimizer)


def check_read(host, case, path, kind, live, cls, names, optimizer):
    arguments = {}
    zipped = os.path.isfile(path) and zipfile.is_zipfile(path)
    later = not is_v2(optimizer)
    if kind in (".weights.h5",):
        arguments = {"rule": cls, "variables": names, "hyper": {"momentum": 0.0, **natives.CASES[case][1]}}
        arguments["hyper"] = {
            name: value
            for name, value in arguments["hyper"].items()
            if name in getattr(kcompat.rules, cls).hypers
        }
    lost = (is_v2(optimizer) and zipped) or (host[0] == "experimental" and kind in (".h5", ".keras"))
    if kind == ".weights.h5" and not writes_state_beside_weights(path):
        lost = True
    if lost:
        with pytest.raises(StateError, match="holds no optimizer state"):
            state.read(path, **arguments)
        return
    asked = False
    try:
        read = state.read(path, weights=True, **arguments)
    except StateError as error:
        # TensorFlow 2.13's zip files do not tell the order of a nested model's layers.
        if kind != ".keras" or "Give the variables in the order" not in str(error):
            raise
        asked, read = True, state.read(path, weights=True, variables=names, **arguments)
    assert (read.rule or "").rpartition("Outer")[2].rpartition("Slow")[2] == cls
    expected = live
    if kind == ".keras" and zipped and later and not is_keras_3(optimizer) and not asked:
        # Before Keras 3, models inside do not name their variables; the file's path does.
        expected = {}
        for name, slots in live.items():
            inside = name.startswith(("dense/", "dense_1/"))
            expected["inner/" + name if inside else name] = slots
    compare(read, expected)
    assert len(read.weights) >= len(names)
    if cls == "Nadam":
        assert read.shared["mu_product"].shape == ()
        np.testing.assert_allclose(np.asarray(read.shared["mu_product"]), product_of(optimizer), rtol=1e-6)


def writes_state_beside_weights(path):
    import h5py

    with h5py.File(path, "r") as file:
        return "optimizer" in file and bool(len(file["optimizer"].get("vars", ())))


def product_of(optimizer):
    for name in ("_u_product", "_m_cache"):
        if getattr(optimizer, name, None) is not None:
            return natives.value_of(getattr(optimizer, name))
    raise AssertionError("Nadam without a product")


def label(host):
    return host[0] if isinstance(host, tuple) else None  # of an empty set, pytest asks, too


@pytest.mark.parametrize("host", BY_APPLY, ids=label)
def test_adam_of_this_release(host, tmp_path):
    formats = (".keras",) if is_of_early_keras_3(host[2].Adam) else ("-ckpt", ".h5", ".keras")
    check_formats(host, "adam", str(tmp_path), formats)


@pytest.mark.wide
@pytest.mark.parametrize("case", [case for case in natives.CASES if case != "adam"])
@pytest.mark.parametrize("host", BY_APPLY, ids=label)
def test_every_optimizer_of_this_release(host, case, tmp_path):
    check_formats(host, case, str(tmp_path), FORMATS, natives.small_model)


@pytest.mark.wide
@pytest.mark.parametrize("host", BY_APPLY, ids=label)
def test_inside_a_loss_scale_optimizer(host, tmp_path):
    """What is read is the state of the optimizer inside."""
    _, keras, optimizers = host
    wrapper = getattr(getattr(keras, "mixed_precision", None), "LossScaleOptimizer", None)
    wrapper = getattr(optimizers, "LossScaleOptimizer", wrapper)
    if wrapper is None or WITHOUT_TENSORFLOW or host[0] == "experimental":
        pytest.skip("there is none for it here")
    keras.backend.clear_session()
    made = natives.small_model(keras)
    optimizer = wrapper(optimizers.Adam(natives.RATE))
    variables = made.trainable_variables
    made.compile(optimizer, "mse")
    natives.train(optimizer, variables)
    inner = getattr(optimizer, "inner_optimizer", None) or optimizer._optimizer
    live = natives.slots_of(inner, "Adam", variables)
    path = write_checkpoint(made, optimizer, str(tmp_path / "checkpoint"))
    compare(state.read(path, rule="Adam"), live)
    made.save(str(tmp_path / "model.h5"))
    compare(state.read(str(tmp_path / "model.h5")), live)
    if not is_v2(inner) and not hasattr(keras.optimizers, "legacy") or is_keras_3(inner):
        made.save(str(tmp_path / "model.keras"))
        compare(state.read(str(tmp_path / "model.keras")), live)


@pytest.mark.wide
@pytest.mark.skipif(WITHOUT_TENSORFLOW, reason="a checkpoint needs TensorFlow")
@pytest.mark.parametrize("host", BY_APPLY, ids=label)
def test_checkpoints_of_an_optimizer_alone(host, tmp_path):
    """Built by hand, so that its slots are not called after it, and saved without the model."""
    import tensorflow as tf

    if is_of_early_keras_3(host[2].Adam):
        pytest.skip("TensorFlow can't save its optimizers")
    _, keras, optimizers = host
    keras.backend.clear_session()
    made, optimizer = natives.model(keras), optimizers.Adam(learning_rate=natives.RATE)
    if not is_v2(optimizer):
        optimizer.build(made.trainable_variables)
    natives.train(optimizer, made.trainable_variables)
    live = natives.slots_of(optimizer, "Adam", made.trainable_variables)
    session = {} if tf.executing_eagerly() else {"session": natives._backend().get_session()}
    path = tf.train.Checkpoint(trainer=optimizer).write(str(tmp_path / "alone"), **session)
    if is_v2(optimizer):  # TensorFlow leaves out slots of variables that are not in the checkpoint
        with pytest.raises(StateError, match="holds no optimizer state"):
            state.read(path)
        return
    read = state.read(path)
    assert read.rule in ("Adam", None)  # Adam's slots are AdamW's
    compare(read, live)


@pytest.mark.wide
@pytest.mark.skipif(not BY_APPLY or not is_zip_host(), reason="there is no Keras here that writes such files")
def test_what_could_be_averages_is_asked_about(tmp_path):
    _, keras, optimizers = BY_APPLY[0]
    keras.backend.clear_session()
    made, optimizer = natives.model(keras), optimizers.SGD(learning_rate=natives.RATE, use_ema=True)
    made.compile(optimizer, "mse")
    natives.train(optimizer, made.trainable_variables)
    names = [natives.name_of(variable) for variable in made.trainable_variables]
    path = str(tmp_path / "m.weights.h5")
    made.save_weights(path)
    arguments = {"rule": "SGD", "variables": names}
    if is_keras_3(optimizer):  # SGD of before keeps a velocity, too
        with pytest.raises(StateError, match="more than one way.*use_ema"):
            state.read(path, **arguments)
    read = state.read(path, hyper={"use_ema": True, "momentum": 0.0}, **arguments)
    assert read.slot_names == ["average"]


def test_factors_are_told_apart_by_their_shapes():
    split = importlib.import_module(state.__name__ + ".readers.positions").split

    def arrays(*shapes):
        return [np.zeros((), "int64"), *(np.zeros(shape, "float32") for shape in shapes)]

    factored, plain = [(3,), (4,), (3, 4)], [(4,)]
    found = split("f", "keras_2_11", "Adafactor", {}, arrays(*factored, *plain, *plain))
    assert [sorted(each) for each in found.slots] == [["c", "r", "v"], ["v"], ["v"]]
    found = split("f", "keras_2_11", "Adafactor", {"use_ema": True}, arrays((3, 4), (4,), *factored, *plain))
    assert [sorted(each) for each in found.slots] == [["average", "c", "r", "v"], ["average", "v"]]
    for wrong in ([(3,), (3, 4)], [(4,), (3,), (3, 4)]):
        with pytest.raises(StateError, match="does not keep arrays of the shapes"):
            split("f", "keras_2_11", "Adafactor", {}, arrays(*wrong))


@pytest.mark.wide
@pytest.mark.parametrize("host", BY_APPLY, ids=label)
def test_saved_models(host, tmp_path):
    if WITHOUT_TENSORFLOW:
        pytest.skip("only TensorFlow writes SavedModels")
    with trained(host, "adam", natives.small_model) as (made, optimizer, cls, variables):
        path = str(tmp_path / "saved")
        if is_keras_3(optimizer):
            made.export(path)
            with pytest.raises(StateError, match=r"holds no optimizer state.*export"):
                state.read(path)
            return
        try:
            made.save(path, save_format="tf")
        except (ValueError, NotImplementedError, AttributeError, TypeError) as error:
            pytest.skip("this release does not write one in a graph: {}".format(error))
        read = state.read(path)
        compare(read, natives.slots_of(optimizer, cls, variables))
        assert read.config["beta_1"] == 0.9 and read.config["learning_rate"] == natives.RATE
        made.save_weights(str(tmp_path / "weights"))
        compare(state.read(str(tmp_path / "weights")), natives.slots_of(optimizer, cls, variables))


# Keras' first API keeps all of one slot, then all of the next; up to 2.2 without names.
FIRST_SLOTS = {
    "Adadelta": ("accum_grad", "accum_var"),
    "Adagrad": ("accumulator",),
    "Adam": ("m", "v", "vhat"),
    "Adamax": ("m", "v"),
    "Nadam": ("m", "v"),
    "RMSprop": ("rms",),
    "SGD": ("m",),
}
FIRST_CASES = [
    case for case, (cls, _) in natives.CASES.items() if cls in FIRST_SLOTS and case != "rmsprop_all"
]


@pytest.mark.skipif("get_updates" not in APIS, reason="there is no Keras of the first API here")
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case == "adam" else pytest.mark.wide) for case in FIRST_CASES]
)
def test_hdf5_of_the_first_api(case, tmp_path):
    keras = keras_of("get_updates")
    keras.backend.clear_session()
    cls, arguments = natives.CASES[case]
    made = (natives.model if case == "sgd" else natives.small_model)(keras)
    optimizer = getattr(keras.optimizers, cls)(lr=natives.RATE, **arguments)
    made.compile(optimizer, "mse")
    generator = np.random.RandomState(0)
    for _ in range(natives.STEPS):
        made.train_on_batch(generator.randint(0, 3, (8, 2)), generator.randn(8, 1))
    made.save(str(tmp_path / "model.h5"))
    names = [natives.name_of(v) for v in made.trainable_weights]
    values = keras.backend.batch_get_value(optimizer.weights)
    while values[0].shape == ():  # the counter, and a product of Nadam's
        del values[0]
    live = {name: {} for name in names}
    for i, slot in enumerate(FIRST_SLOTS[cls]):
        for name, value in zip(names, values[i * len(names) :]):
            if slot != "vhat" or case == "amsgrad":
                live[name][slot] = value
    read = state.read(str(tmp_path / "model.h5"), weights=True)
    compare(read, live, read.step)
    assert read.step in (
        (natives.STEPS,) if cls in ("Adam", "Adamax", "Nadam", "SGD") else (natives.STEPS, None)
    )
    assert read.config["learning_rate"] == natives.RATE
    if cls == "Nadam":
        # Keras 2.3 stores it. Before, it follows from the step.
        steps_taken = np.arange(1, natives.STEPS + 1)
        product = np.prod(0.9 * (1 - 0.5 * 0.96 ** (steps_taken * 0.004)))
        stored = [each for each in optimizer.weights if "m_schedule" in each.name]
        product = keras.backend.get_value(stored[0]) if stored else product
        np.testing.assert_allclose(np.asarray(read.shared["mu_product"]), product, rtol=1e-6)


@pytest.mark.skipif(WITHOUT_TENSORFLOW or not BY_APPLY, reason="needs TensorFlow and its Keras")
def test_several_optimizers_in_one_checkpoint(tmp_path):
    import tensorflow as tf

    if not tf.executing_eagerly():
        pytest.skip("objects are saved here in eager mode")
    keras, optimizers = BY_APPLY[0][1:]
    if is_of_early_keras_3(optimizers.Adam):
        pytest.skip("Keras 3.0's optimizers are nothing that TensorFlow can save")
    made = natives.small_model(keras)
    first, second = optimizers.Adam(0.01), optimizers.SGD(0.02, momentum=0.5)
    natives.train(first, made.trainable_variables)
    natives.train(second, made.trainable_variables, steps=1)
    path = tf.train.Checkpoint(net=made, gen=first, dis=second).write(str(tmp_path / "both"))
    with pytest.raises(StateError, match="holds 2 optimizers: gen, dis.*optimizer='gen'|dis, gen"):
        state.read(path)
    compare(state.read(path, optimizer="gen"), natives.slots_of(first, "Adam", made.trainable_variables))
    read = state.read(path, optimizer="dis")
    compare(read, natives.slots_of(second, "SGD", made.trainable_variables), 1)
    with pytest.raises(StateError, match="'other'; it has"):
        state.read(path, optimizer="other")


# TensorFlow 1's Saver.


@contextlib.contextmanager
def saved_by_tf1(case, folder, **arguments):
    """A Saver's checkpoint of a native optimizer, with a partitioned variable and names counted up."""
    import tensorflow as tf

    v1 = tf.compat.v1
    cls, own, slots = natives.TF1_CASES[case]
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [
            v1.get_variable(
                "layer/kernel", (3, 2), initializer=v1.constant_initializer(0.5), use_resource=False
            ),
            v1.get_variable("layer_1/kernel", (3, 2), initializer=v1.constant_initializer(0.2)),
            v1.get_variable("bias", (2,), initializer=v1.zeros_initializer(), use_resource=True),
        ]
        optimizer = getattr(v1.train, cls)(natives.RATE, **{**own, **arguments})
        counter = v1.train.get_or_create_global_step()
        operations = [
            optimizer.apply_gradients(
                list(zip(map(tf.constant, natives.gradients(variables, i)), variables)), counter
            )
            for i in range(natives.STEPS)
        ]
        session.run(v1.global_variables_initializer())
        for operation in operations:
            session.run(operation)
        path = v1.train.Saver().save(session, os.path.join(folder, "model.ckpt"), counter)
        live = {
            variable.op.name: {
                slot: session.run(optimizer.get_slot(variable, host)) for host, slot in slots.items()
            }
            for variable in variables
        }
        yield path, live, variables, session


@GRAPHS
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=() if c in ("adam", "momentum") else pytest.mark.wide) for c in natives.TF1_CASES],
)
def test_saver_of_this_release(case, tmp_path):
    with saved_by_tf1(case, str(tmp_path)) as (path, live, variables, session):
        arguments = {"learning_rate": natives.RATE} if case == "momentum" else {}
        if case.startswith("rmsprop"):
            with pytest.raises(StateError, match="hyper={'momentum'"):
                state.read(path)
            arguments = {"hyper": {"momentum": 0.8 if case == "rmsprop_all" else 0.0}}
        read = state.read(path, weights=True, **arguments)
        if case == "momentum":
            for slots in live.values():
                slots["m"] = slots["m"] * np.float32(-natives.RATE)
            assert state.read(path).convention == {"m": state.LEARNING_RATE_OUTSIDE}
        compare(read, live)
        for variable in variables:
            np.testing.assert_array_equal(np.asarray(read.weights[variable.op.name]), session.run(variable))
        assert len(read.weights) == len(variables)
        compare(state.read(str(tmp_path), **arguments), live)  # the latest of the directory


@GRAPHS
@pytest.mark.wide
def test_saver_with_other_names_and_betas(tmp_path):
    with saved_by_tf1("adam", str(tmp_path), name="trainer", beta1=0.8) as (path, live, _, _):
        with pytest.raises(StateError, match="no power of beta_1=0.9"):
            state.read(path)
        read = state.read(path, hyper={"beta_1": 0.8})
        compare(read, live)
        assert read.rule == "Adam" and read.config["beta_1"] == 0.8
    with saved_by_tf1("momentum", str(tmp_path), name="mine") as (path, _, _, _):
        with pytest.raises(StateError, match="'mine' keeps 1 tensors.*Adagrad, Momentum"):
            state.read(path)
        assert state.read(path, rule="SGD").rule == "SGD"


@GRAPHS
@pytest.mark.wide
def test_saver_without_an_optimizer(tmp_path):
    import tensorflow as tf

    with saved_by_tf1("adam", str(tmp_path)) as (_, _, variables, session):
        path = tf.compat.v1.train.Saver(variables).save(session, str(tmp_path / "weights"))
        with pytest.raises(StateError, match="holds no optimizer state"):
            state.read(path)


# TensorFlow's own reader, bfloat16, checksums.


def test_checksum_of_known_bytes():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0
    data = np.random.RandomState(0).bytes(1 << 20)
    assert crc32c(data) == crc32c(data[777:], crc32c(data[:777]))


@pytest.mark.wide
@GRAPHS
def test_every_tensor_is_what_tensorflow_reads(tmp_path):
    import tensorflow as tf

    v1 = tf.compat.v1
    dtypes = ["float32", "float64", "float16", "int32", "int64", "uint8", "bool", "bfloat16", "complex64"]
    values = {name: np.random.RandomState(1).randn(3, 5) * 3 for name in dtypes}
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in values.items():
            v1.get_variable(name, initializer=tf.cast(value, name))
        v1.get_variable("empty", (0, 4))
        v1.get_variable("large", (700, 500))  # past what is summed byte by byte
        v1.get_variable("parts", (7, 3, 2), partitioner=v1.fixed_size_partitioner(3))
        v1.get_variable("columns", (4, 300), partitioner=v1.fixed_size_partitioner(2, axis=1))
        session.run(v1.global_variables_initializer())
        path = v1.train.Saver().save(session, str(tmp_path / "all"))
    bundle, reader = Bundle(path), v1.train.NewCheckpointReader(path)
    names = set(reader.get_variable_to_shape_map())
    assert names == {name for name in bundle.entries if "\x00" not in name}
    for name in names:
        np.testing.assert_array_equal(
            bundle.read(name), reader.get_tensor(name).astype(bundle.read(name).dtype)
        )


# Damage. Whatever is done to a file, it is a StateError, or the state.


def copied(name, folder):
    """The files of a committed checkpoint, in a directory of their own."""
    files = [path for path in glob.glob(os.path.join(DATA, name) + "*") if not path.endswith(".json")]
    return [shutil.copy(path, folder) for path in files if path.endswith((name, ".index", "-of-00001"))]


def attempt(name, folder):
    """Reads a file, arrays too; None if that was an error in words."""
    path = os.path.join(folder, name)
    try:
        read = state.read(path, weights=True, **options(name, expected_of(name)))
        return read.loaded()
    except StateError as error:
        assert name in str(error) or "the variables given do not fit" in str(error)
        return None


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("tf1.15", "tf2.10", "tf2.22"))])
def test_truncated_files(name, tmp_path):
    if needs_h5py(name):
        pytest.skip("there is no h5py here")
    for path in copied(name, str(tmp_path)):
        whole = open(path, "rb").read()
        for quarter in range(4):
            with open(path, "wb") as file:
                file.write(whole[: len(whole) * quarter // 4])
            assert attempt(name, str(tmp_path)) is None
        with open(path, "wb") as file:
            file.write(whole)
    assert attempt(name, str(tmp_path)) is not None


@pytest.mark.wide
@pytest.mark.parametrize("name", ["tf1.15-saver-adam", "tf2.10-adam-ckpt", "tf2.22-adam-ckpt"])
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 30))
def test_flipped_bits_in_checkpoints(name, seed, tmp_path_factory):
    """Every bit of a checkpoint is under a checksum: a flipped one is told, or means nothing."""
    folder = str(tmp_path_factory.mktemp("flipped"))
    intact = state.read(os.path.join(DATA, name), weights=True)
    generator = random.Random(seed)
    flip(generator.choice(sorted(copied(name, folder))), generator)
    read = attempt(name, folder)
    assert read is None or not read.diff(intact)


@pytest.mark.parametrize("name", ["tf2.15-adam.keras", "tf2.22-adam.keras"])
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 30))
def test_flipped_bits_in_zip_files(name, seed, tmp_path_factory):
    """A zip file has checksums, which are compared before HDF5 sees anything.

    A plain HDF5 file has none, so that a flipped number is not told.
    """
    if needs_h5py(name):
        pytest.skip("there is no h5py here")
    folder = str(tmp_path_factory.mktemp("flipped"))
    flip(copied(name, folder)[0], random.Random(seed))
    read = attempt(name, folder)
    assert read is None or not read.diff(state.read(os.path.join(DATA, name), weights=True))


def flip(path, generator):
    with open(path, "r+b") as file:
        content = bytearray(file.read())
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        file.seek(0)
        file.write(bytes(content))


def test_foreign_files(tmp_path):
    foreign = tmp_path / "foreign"
    for content in (b"", b"\x80\x04K\x01.", b"PK\x03\x04 and so on", b"\x89HDF\r\n\x1a\n and so on", b"text"):
        foreign.write_bytes(content)
        with pytest.raises(StateError, match="foreign"):
            state.read(str(foreign))
    (tmp_path / "foreign.index").write_bytes(b"x" * 100)
    with pytest.raises(StateError, match="no index of a TensorFlow checkpoint"):
        state.read(str(tmp_path / "foreign.index"))
    with pytest.raises(StateError, match=r"There is no .*absent"):
        state.read(str(tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(StateError, match="is a directory with no checkpoint"):
        state.read(str(tmp_path / "empty"))


def test_a_missing_shard_is_named(tmp_path):
    for path in copied("tf2.10-adam-ckpt", str(tmp_path)):
        if not path.endswith(".index"):
            os.remove(path)
    with pytest.raises(StateError, match="data-00000-of-00001, which is not there"):
        state.read(str(tmp_path / "tf2.10-adam-ckpt"))


@pytest.mark.skipif(not h5py_is_here(), reason="there is no h5py here")
def test_sizes_that_lie_are_refused(tmp_path):
    import h5py

    path = str(shutil.copy(os.path.join(DATA, "tf2.10-adam.h5"), str(tmp_path)))
    with h5py.File(path, "r+") as file:
        group = file["optimizer_weights/Adam/out/kernel"]
        del group["m:0"]
        group.create_dataset("m:0", shape=(1 << 40,), dtype="float32", chunks=(1 << 20,))
    with pytest.raises(StateError, match="has 0 in the file"):
        state.read(path)
    other = str(tmp_path / "other.h5")
    with h5py.File(other, "w") as file:
        file["secret"] = np.zeros((4, 1), "float32")
    with h5py.File(path, "r+") as file:
        group = file["optimizer_weights/Adam/out/kernel"]
        del group["m:0"]
        group["m:0"] = h5py.ExternalLink(other, "secret")
    with pytest.raises(StateError, match="link to another place"):
        state.read(path)


@pytest.mark.wide
@pytest.mark.skipif(not h5py_is_here(), reason="there is no h5py here")
@pytest.mark.parametrize("name", ["tf2.10-adam.h5", "keras3-jax-adam.weights.h5"])
def test_damaged_hdf5_is_an_error_or_other_numbers(name, tmp_path):
    generator = random.Random(name)
    (path,) = copied(name, str(tmp_path))
    whole = open(path, "rb").read()
    for _ in range(4):
        damaged = bytearray(whole)
        start = generator.randrange(len(whole))
        damaged[start : start + 16] = bytes(generator.randrange(256) for _ in range(16))
        with open(path, "wb") as file:
            file.write(bytes(damaged[: len(whole)]))
        attempt(name, str(tmp_path))


@pytest.mark.skipif(not h5py_is_here(), reason="there is no h5py here")
@pytest.mark.skipif(os.name == "nt", reason="abort() is POSIX")
def test_a_crash_of_the_library_is_an_error(monkeypatch):
    """HDF5 is tried on a file in another process, which is made to crash here."""
    path = os.path.join(DATA, "tf2.10-adam.h5")
    guarded = importlib.import_module(state.__name__ + ".readers.guarded")
    monkeypatch.setattr(guarded, "_WALK", "import os; os.abort()")
    with pytest.raises(StateError, match="HDF5's library crashes on it"):
        state.read(path)
    monkeypatch.setattr(guarded, "_WALK", "import no_such_module")  # nothing can be tried there
    assert state.read(path).rule == "Adam"


@pytest.mark.skipif(not h5py_is_here(), reason="there is no h5py here")
def test_a_zip_bomb_is_refused(tmp_path):
    path = str(tmp_path / "bomb.keras")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"\0" * 1000)
    content = bytearray(open(path, "rb").read())
    # The directory's entry of the second member, whose size becomes 4 GB.
    place = content.rindex(b"PK\x01\x02")
    content[place + 24 : place + 28] = b"\xff\xff\xff\x7f"
    open(path, "wb").write(bytes(content))
    with pytest.raises(StateError, match="more than can be"):
        state.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"layers": [' * 3)
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(StateError, match=r"config.json is no JSON"):
        state.read(path)


def test_nothing_is_unpickled():
    """No module of the readers imports what runs code that stands in a file."""
    import kcompat.state.readers as readers

    for path in glob.glob(os.path.join(os.path.dirname(readers.__file__), "*.py")):
        with io.open(path, encoding="utf-8") as file:
            text = file.read()
        for name in (
            "import pickle",
            "marshal",
            "eval(",
            "exec(",
            "allow_pickle=True",
            "import tensorflow\n",
            "import keras\n",
        ):
            assert name not in text, (path, name)


@pytest.mark.wide
@pytest.mark.skipif(not BY_APPLY or not is_zip_host(), reason="there is no Keras here that writes such files")
def test_an_order_that_the_file_does_not_tell(tmp_path):
    """Attributes stand in a file by their names: two layers of one shape, made in the other order."""
    keras, optimizers = BY_APPLY[0][1:]

    class Pair(keras.layers.Layer):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            self.second = keras.layers.Dense(3, name="made_first")
            self.first = keras.layers.Dense(3, name="made_second")

        def build(self, shape):
            self.second.build(shape)
            self.first.build(shape)
            self.built = True

        def call(self, x):
            return self.first(self.second(x))

    keras.backend.clear_session()
    ids = keras.layers.Input((3,))
    made = keras.Model(ids, Pair(name="pair")(ids))
    optimizer = optimizers.Adam(natives.RATE)
    variables = made.trainable_variables
    made.compile(optimizer, "mse")
    natives.train(optimizer, variables)
    path = str(tmp_path / "pair.keras")
    made.save(path)
    with pytest.raises(StateError, match="does not tell whose they are"):
        state.read(path)
    read = state.read(path, variables=variables)
    for variable, momentum in zip(read.variables.values(), optimizer._momentums):
        np.testing.assert_array_equal(np.asarray(variable.slots["m"]), natives.value_of(momentum))
    assert len(read.variables) == 4


def test_variables_that_do_not_fit(tmp_path):
    name = "keras3-jax-adam.weights.h5"
    if needs_h5py(name):
        pytest.skip("there is no h5py here")
    path = os.path.join(DATA, name)
    with pytest.raises(StateError, match="2 variables were given; the optimizer has slots of 3"):
        state.read(path, variables=["a", "b"])
    shapes = [np.zeros((3, 2)), np.zeros((4, 1)), np.zeros((2,))]
    with pytest.raises(StateError, match=r"parameter_2 has \(2,\), and the slots at its place \(1,\)"):
        state.read(path, variables=shapes)
    read = state.read(path)  # shapes allow one order only, and the file has the layers' names
    assert [v.name for v in read.variables.values()] == expected_of(name)["names"]
    assert os.path.exists(path) and not os.listdir(str(tmp_path))

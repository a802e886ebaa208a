"""Checkpoints written by TensorFlow's and Keras' own optimizers, in every format, and what is in them.

`python tests/make_checkpoints.py tests/data/checkpoints NAME` writes those named NAME-* there, with whatever
TensorFlow or Keras runs it; kcompat is not used. `tests/test_state_readers.py` reads these, and what the
release under test writes.
"""

import json
import os
import sys

import numpy as np

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

STEPS, MORE = 3, 3
RATE = 0.05

# name -> class, arguments.
CASES = {
    "sgd": ("SGD", {"momentum": 0.9}),
    "adam": ("Adam", {}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "adamw": ("AdamW", {}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_all": ("RMSprop", {"momentum": 0.8, "centered": True}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {}),
    "ftrl": ("Ftrl", {}),
    "nadam": ("Nadam", {}),
    "adamax": ("Adamax", {}),
}
# OptimizerV2's slots that the rule calls otherwise.
V2_SLOTS = {"SGD": {"momentum": "m"}}
# The later optimizers' lists of slots, and what the rule calls each.
LISTS = {
    "SGD": {"momentums": "m"},
    "Adam": {"_momentums": "m", "_velocities": "v", "_velocity_hats": "vhat"},
    "AdamW": {"_momentums": "m", "_velocities": "v"},
    "RMSprop": {"_velocities": "rms", "_momentums": "momentum", "_average_gradients": "mg"},
    "Adagrad": {"_accumulators": "accumulator"},
    "Adadelta": {"_accumulated_grads": "accum_grad", "_accumulated_delta_vars": "accum_var"},
    "Ftrl": {"_accumulators": "accumulator", "_linears": "linear"},
    "Nadam": {"_momentums": "m", "_velocities": "v"},
    "Adamax": {"_m": "m", "_u": "v"},
}
# TensorFlow 1: name -> class, arguments, {its slot: the rule's}.
TF1_CASES = {
    "adam": ("AdamOptimizer", {}, {"m": "m", "v": "v"}),
    "momentum": ("MomentumOptimizer", {"momentum": 0.9}, {"momentum": "m"}),
    "rmsprop": ("RMSPropOptimizer", {}, {"rms": "rms"}),
    "rmsprop_all": (
        "RMSPropOptimizer",
        {"momentum": 0.8, "centered": True},
        {"rms": "rms", "momentum": "momentum", "mg": "mg"},
    ),
    "adagrad": ("AdagradOptimizer", {}, {"accumulator": "accumulator"}),
    "adadelta": ("AdadeltaOptimizer", {}, {"accum": "accum_grad", "accum_update": "accum_var"}),
    "ftrl": ("FtrlOptimizer", {}, {"accum": "accumulator", "linear": "linear"}),
}


def name_of(variable):
    return str(getattr(variable, "path", None) or variable.name).split(":")[0]


def value_of(variable):
    """A variable's value; of a TensorFlow 1 graph in Keras' session."""
    if hasattr(variable, "detach"):
        return variable.detach().cpu().numpy()
    value = getattr(variable, "numpy", None)
    try:
        return np.array(value() if value is not None else variable)
    except (RuntimeError, NotImplementedError, AttributeError, TypeError):
        return np.array(_backend().get_value(variable))


def _backend():
    import tensorflow as tf

    return tf.compat.v1.keras.backend if hasattr(tf, "compat") else tf.keras.backend


def gradients(variables, step):
    """Gradients of different sizes and signs, the same for the same shapes."""
    random = np.random.RandomState(100 + step)
    shapes = [tuple(int(size) for size in variable.shape) for variable in variables]
    return [(random.randn(*shape) * 10.0 ** random.randint(-2, 1)).astype("float32") for shape in shapes]


def small_model(keras):
    """An embedding and a layer."""
    ids = keras.layers.Input((2,), name="ids")
    x = keras.layers.Embedding(3, 2, name="words")(ids)
    x = keras.layers.Flatten()(x)
    return keras.Model(ids, keras.layers.Dense(1, name="out")(x))


def model(keras):
    """A model with a frozen layer, one with variables that are not trained, and a model inside."""
    ids = keras.layers.Input((2,), name="ids")
    x = keras.layers.Embedding(4, 3, name="words")(ids)
    x = keras.layers.Flatten()(x)
    frozen = keras.layers.Dense(3, name="frozen")
    x = frozen(x)
    frozen.trainable = False
    x = keras.layers.BatchNormalization(name="norm")(x)
    inner = keras.Sequential([keras.layers.Dense(3, input_shape=(3,)), keras.layers.Dense(2)], name="inner")
    x = keras.layers.Dense(2)(inner(x))
    return keras.Model(ids, keras.layers.Dense(1, name="out")(x))


def train(optimizer, variables, steps=STEPS, start=0):
    """Some steps with `gradients`, in whatever mode and on whatever backend this is."""
    for step in range(start, start + steps):
        grads = gradients(variables, step)
        backend = _keras_backend(variables)
        if backend == "tensorflow":
            _tensorflow_step(optimizer, variables, grads)
            continue
        if backend == "torch":
            import torch

            grads = [torch.from_numpy(grad) for grad in grads]
        else:
            import jax.numpy as jnp

            grads = [jnp.asarray(grad) for grad in grads]
        optimizer.apply(grads, variables)


def _keras_backend(variables):
    if type(variables[0]).__module__.startswith("keras.src.backend"):
        import keras

        return keras.backend.backend()
    return "tensorflow"


def _tensorflow_step(optimizer, variables, grads):
    import tensorflow as tf

    operation = optimizer.apply_gradients([(tf.constant(grad), v) for grad, v in zip(grads, variables)])
    if (
        tf.compat.v1.executing_eagerly_outside_functions()
        if hasattr(tf.compat.v1, "executing_eagerly_outside_functions")
        else tf.executing_eagerly()
    ):
        return
    session = _backend().get_session()
    session.run(operation)


def slots_of(optimizer, cls, variables):
    """Name of each variable -> rule's slot -> value, read off a native optimizer."""
    if hasattr(optimizer, "get_slot_names"):
        names = {name: V2_SLOTS.get(cls, {}).get(name, name) for name in optimizer.get_slot_names()}
        return {
            name_of(v): {slot: value_of(optimizer.get_slot(v, host)) for host, slot in names.items()}
            for v in variables
        }
    found = {name_of(variable): {} for variable in variables}
    for attribute, slot in LISTS[cls].items():
        for variable, own in zip(variables, getattr(optimizer, attribute, None) or []):
            found[name_of(variable)][slot] = value_of(own)
    return found


# Committed files.


def _expected(optimizer, cls, variables, config, slots=None):
    state = {
        "rule": cls,
        "config": config,
        "steps": STEPS,
        "names": [name_of(v) for v in variables],
        "weights": [value_of(v).tolist() for v in variables],
        "slots": slots or slots_of(optimizer, cls, variables),
    }
    train(optimizer, variables, MORE, STEPS)
    state["after"] = [value_of(v).tolist() for v in variables]
    return state


def _write_keras(directory, prefix, keras, optimizers, cls, config, formats):
    keras.backend.clear_session()
    made = small_model(keras)
    optimizer = getattr(optimizers, cls)(learning_rate=RATE, **config)
    variables = made.trainable_variables
    made.compile(optimizer, "mse")
    train(optimizer, variables)
    for suffix in formats:
        path = os.path.join(directory, "{}-{}{}".format(prefix, cls.lower(), suffix))
        if suffix == "-ckpt":
            import tensorflow as tf

            tf.train.Checkpoint(net=made, optimizer=optimizer).write(path)
        elif suffix == ".weights.h5":
            made.save_weights(path)
        else:
            made.save(path)
    expected = _expected(optimizer, cls, variables, dict(config, learning_rate=RATE))
    _write_expected(directory, "{}-{}".format(prefix, cls.lower()), expected)


def _write_saver(directory, prefix, cls, config, slots):
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        with v1.variable_scope("layer"):
            start = v1.constant_initializer(0.5)
            partitioner = v1.fixed_size_partitioner(2)
            kernel = v1.get_variable("kernel", (3, 2), initializer=start, partitioner=partitioner)
            bias = v1.get_variable("bias", (2,), initializer=start, use_resource=True)
        optimizer = getattr(v1.train, cls)(RATE, **config)
        counter = v1.train.get_or_create_global_step()
        whole = [tf.convert_to_tensor(kernel), bias]
        feeds = [v1.placeholder("float32", variable.shape) for variable in whole]
        parts = list(zip(tf.split(feeds[0], [2, 1]), list(kernel))) + [(feeds[1], bias)]
        operation = optimizer.apply_gradients(parts, global_step=counter)
        session.run(v1.global_variables_initializer())

        def step(number):
            session.run(operation, dict(zip(feeds, gradients(whole, number))))

        def values(tensors):
            return [array.tolist() for array in session.run(tensors)]

        for number in range(STEPS):
            step(number)
        v1.train.Saver().save(session, os.path.join(directory, prefix), write_meta_graph=False)
        os.remove(os.path.join(directory, "checkpoint"))
        found = {}
        for host, slot in slots.items():
            of_parts = [optimizer.get_slot(part, host) for part in list(kernel)]
            found.setdefault("layer/kernel", {})[slot] = np.concatenate(session.run(of_parts))
            found.setdefault("layer/bias", {})[slot] = session.run(optimizer.get_slot(bias, host))
        expected = {
            "rule": cls,
            "config": dict(config, learning_rate=RATE),
            "steps": STEPS,
            "names": ["layer/kernel", "layer/bias"],
            "weights": values(whole),
            "slots": found,
        }
        for number in range(STEPS, STEPS + MORE):
            step(number)
        expected["after"] = values(whole)
    _write_expected(directory, prefix, expected)


def _write_expected(directory, prefix, expected):
    slots = expected["slots"]
    expected["slots"] = {
        name: {slot: np.asarray(array).tolist() for slot, array in each.items()}
        for name, each in slots.items()
    }
    with open(os.path.join(directory, prefix + ".json"), "w") as file:
        json.dump(expected, file, indent=None, sort_keys=True)
        file.write("\n")


def main(directory, name):
    """Writes the files of one release: its name, as in "tf2.10"."""
    os.makedirs(directory, exist_ok=True)
    if name == "tf1.15":
        _write_saver(directory, "tf1.15-saver-adam", "AdamOptimizer", {}, {"m": "m", "v": "v"})
        _write_saver(
            directory, "tf1.15-saver-momentum", "MomentumOptimizer", {"momentum": 0.9}, {"momentum": "m"}
        )
        return
    if name.startswith("keras3-"):
        import keras

        _write_keras(directory, name, keras, keras.optimizers, "Adam", {}, (".keras", ".weights.h5"))
        return
    import tensorflow as tf

    keras = tf.keras
    formats = {
        "tf2.4": ("-ckpt",),
        "tf2.9": ("-ckpt",),
        "tf2.10": (".h5", "-ckpt"),
        "tf2.11": ("-ckpt",),
        "tf2.15": (".h5", ".keras"),
        "tf2.22": (".h5", ".keras", "-ckpt"),
    }[name]
    optimizers = keras.optimizers.experimental if name == "tf2.9" else keras.optimizers
    _write_keras(directory, name, keras, optimizers, "Adam", {}, formats)


if __name__ == "__main__":
    main(*sys.argv[1:])

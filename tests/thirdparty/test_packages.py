"""Optimizer packages of other people, unmodified, against the numbers that they give on their home release.

`home.json` has those numbers: of TensorFlow 2.10 for OptimizerV2's, of 2.11 for lion-tf. KCOMPAT_WRITE_HOME=1
writes them anew, there. keras-lookahead has none: on Keras 2.3, what reads the step counter and what counts
it race, and runs differ from each other by a step. Here its numbers are those of its formula.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import sys
import types

import _hooked
import numpy as np
import pytest
import tensorflow as tf

import kcompat
from kcompat import hooks

HERE = os.path.dirname(os.path.abspath(__file__))
HOME = os.path.join(HERE, "home.json")
WRITE = os.environ.get("KCOMPAT_WRITE_HOME")
VERSION = tuple(int(part) for part in tf.__version__.split(".")[:2])

# TensorFlow Addons as a whole does not import on Keras 3; its optimizers do without the rest.
addons = types.ModuleType("tensorflow_addons")
addons.__path__ = list(importlib.util.find_spec("tensorflow_addons").submodule_search_locations)
sys.modules["tensorflow_addons"] = addons
TFA = "tensorflow_addons.optimizers"

RADAM = ("keras_radam", "RAdam", {"learning_rate": 0.01})
# Name -> (module, class, arguments, whether it takes sparse gradients).
CASES = {
    "adabelief-tf": (
        "adabelief_tf",
        "AdaBeliefOptimizer",
        {"learning_rate": 0.01, "epsilon": 1e-3, "print_change_log": False},
        True,
    ),
    "adabelief-tf-warmup": (
        "adabelief_tf",
        "AdaBeliefOptimizer",
        {
            "learning_rate": 0.01,
            "epsilon": 1e-3,
            "weight_decay": 0.01,
            "amsgrad": True,
            "total_steps": 5,
            "print_change_log": False,
        },
        True,
    ),
    "keras-rectified-adam": (
        "keras_radam",
        "RAdam",
        {"learning_rate": 0.01, "epsilon": 1e-3, "total_steps": 5, "weight_decay": 0.01},
        True,
    ),
    "keras-adabound": (
        "keras_adabound",
        "AdaBound",
        {"learning_rate": 0.01, "amsgrad": True, "weight_decay": 0.01, "clipnorm": 1.0},
        True,
    ),
    "lion-tf": ("lion_tf", "Lion", {"learning_rate": 0.01}, True),
    "AdamW": (TFA, "AdamW", {"weight_decay": 0.01, "learning_rate": 0.01, "epsilon": 1e-3}, True),
    "SGDW": (TFA, "SGDW", {"weight_decay": 0.01, "learning_rate": 0.01, "momentum": 0.9}, True),
    "LazyAdam": (TFA, "LazyAdam", {"learning_rate": 0.01, "epsilon": 1e-3}, True),
    "RectifiedAdam": (
        TFA,
        "RectifiedAdam",
        {"learning_rate": 0.01, "epsilon": 1e-3, "weight_decay": 0.01},
        True,
    ),
    "LAMB": (TFA, "LAMB", {"learning_rate": 0.01, "epsilon": 1e-3}, True),
    "NovoGrad": (TFA, "NovoGrad", {"learning_rate": 0.01, "epsilon": 1e-3}, True),
    "Yogi": (TFA, "Yogi", {"learning_rate": 0.01, "epsilon": 1e-3}, True),
    "AdaBelief": (TFA, "AdaBelief", {"learning_rate": 0.01, "epsilon": 1e-3}, True),
    "COCOB": (TFA, "COCOB", {}, False),
    "ProximalAdagrad": (TFA, "ProximalAdagrad", {"learning_rate": 0.01}, True),
    "ConditionalGradient": (TFA, "ConditionalGradient", {"learning_rate": 0.9, "lambda_": 1.0}, True),
    "Lookahead": (TFA, "Lookahead", {"optimizer": RADAM, "sync_period": 2}, True),
    "MovingAverage": (TFA, "MovingAverage", {"optimizer": RADAM, "average_decay": 0.9}, True),
    "SWA": (TFA, "SWA", {"optimizer": RADAM, "start_averaging": 1, "average_period": 2}, True),
}
if VERSION < (2, 0):
    # Its hook calls a function of Keras that makes a variable in each step there.
    del CASES["MovingAverage"]


def imported(module, name):
    with contextlib.ExitStack() as stack:
        if not WRITE:
            stack.enter_context(hooks.installed())
        return getattr(importlib.import_module(module), name)


def make(module, name, arguments):
    cls = imported(module, name)
    return cls(**{key: make(*each) if isinstance(each, tuple) else each for key, each in arguments.items()})


def rows(sparse):
    random = np.random.RandomState(0)
    out = []
    for _ in range(6):
        dense, part = random.randn(3, 2).astype("float32"), random.randn(3, 2).astype("float32")
        if not sparse:
            full = np.zeros((5, 2), "float32")
            np.add.at(full, [0, 1, 1], part)
            part = full
        out.append((dense, part))
    return out


def sparse_of(values):
    return tf.IndexedSlices(values, tf.constant([0, 1, 1]), tf.constant([5, 2]))


def train(optimizer, sparse):
    """Six steps, two of them eager and four traced; in TensorFlow 1 in a session."""
    start = [np.linspace(-1, 1, n).reshape(-1, 2).astype("float32") for n in (6, 10)]
    second = sparse_of if sparse else (lambda values: values)
    if not tf.executing_eagerly():
        v1 = tf.compat.v1
        with tf.Graph().as_default(), v1.Session() as session:
            variables = [
                v1.get_variable("v{}".format(i), initializer=value, use_resource=True)
                for i, value in enumerate(start)
            ]
            feeds = [v1.placeholder(tf.float32, row.shape) for row in rows(sparse)[0]]
            step = optimizer.apply_gradients([(feeds[0], variables[0]), (second(feeds[1]), variables[1])])
            session.run(v1.global_variables_initializer())
            for row in rows(sparse):
                session.run(step, dict(zip(feeds, row)))
            return session.run(variables)
    variables = [tf.Variable(value, name="v{}".format(i)) for i, value in enumerate(start)]

    def step(first, other):
        optimizer.apply_gradients([(first, variables[0]), (second(other), variables[1])])

    traced = tf.function(step)
    for i, row in enumerate(rows(sparse)):
        (step if i < 2 else traced)(*[tf.constant(values) for values in row])
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_of_its_home_release(case):
    module, name, arguments, sparse = CASES[case]
    got = train(make(module, name, arguments), sparse)
    home = {}
    if os.path.exists(HOME):
        with open(HOME) as file:
            home = json.load(file)
    if WRITE:
        home[case] = [value.tolist() for value in got]
        with open(HOME, "w") as file:
            json.dump(home, file, indent=1)
            file.write("\n")
    for ours, theirs in zip(got, home[case]):
        np.testing.assert_allclose(ours, np.asarray(theirs, "float32"), rtol=1e-6, atol=1e-7)


def adopted(module, name, api):
    """The class as a package has it that is imported without more, where that is possible, and adopted."""
    return hooks.adopt(imported(module, name), api)


@pytest.mark.parametrize("api", [api for api in kcompat.detect().apis if api != "get_updates"])
@pytest.mark.parametrize("case", ["adabelief-tf", "lion-tf", "RectifiedAdam", "AdamW"])
def test_adopted_by_every_api(case, api):
    module, name, arguments, sparse = CASES[case]
    optimizer = adopted(module, name, api)(**arguments)
    if not tf.executing_eagerly() and api == "optimizer_v2":
        pytest.skip("its hyperparameters are initialized by a session of Keras'")
    with open(HOME) as file:
        home = json.load(file)
    for ours, theirs in zip(train(optimizer, sparse), home[case]):
        np.testing.assert_allclose(ours, np.asarray(theirs, "float32"), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("case", [case for case in CASES if not case.endswith("warmup")])
def test_a_model_is_saved_and_loaded(case, tmp_path):
    module, name, arguments, _ = CASES[case]
    optimizer = make(module, name, arguments)
    api = kcompat.environment.lineage(type(optimizer))
    zipped = api == "keras_3" or (api == "keras_2_11" and VERSION >= (2, 13))
    layers = [tf.keras.layers.Dense(4, activation="tanh", input_shape=(3,)), tf.keras.layers.Dense(1)]
    model = tf.keras.Sequential(layers)
    model.compile(optimizer, loss=tf.keras.losses.MeanSquaredError())
    random = np.random.RandomState(0)
    x = random.randn(32, 3).astype("float32")
    y = x.sum(1, keepdims=True)
    model.fit(x, y, epochs=2, verbose=0, shuffle=False)
    path = str(tmp_path / ("model.keras" if zipped else "model.h5"))
    model.save(path)
    custom = {each.__name__: each for each in (type(optimizer), imported(*RADAM[:2]))}
    with tf.keras.utils.CustomObjectScope(custom):
        loaded = tf.keras.models.load_model(path, custom_objects=custom)
    assert type(loaded.optimizer) is type(optimizer)
    for each in (model, loaded):
        each.fit(x, y, epochs=2, verbose=0, shuffle=False)
    for ours, theirs in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_keras_lookahead_around_a_class_of_its_dialect():
    pytest.importorskip("distutils", reason="keras-lookahead imports distutils")
    with hooks.installed():
        from keras import backend
        from keras_lookahead import Lookahead

        inner = _hooked.adam_of_get_updates(tf.keras.optimizers.Optimizer, backend)
    got = train(Lookahead(inner(0.01, epsilon=1e-3), sync_period=2), False)
    start = [np.linspace(-1, 1, n).reshape(-1, 2).astype("float32") for n in (6, 10)]
    rule = kcompat.transforms.Lookahead(kcompat.rules.Adam(0.01, epsilon=1e-3), 2, 0.5)
    for ours, theirs in zip(got, kcompat.testing.reference(rule, start, rows(False))[0]):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-7)

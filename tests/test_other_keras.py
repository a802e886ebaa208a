"""Optimizers, models and variables of several Keras in one process: right, or refused with what to do."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import to_numpy
from _training import TASKS, assert_close, oracle

import kcompat
from kcompat import rules
from kcompat.environment import host_class
from kcompat.testing import reference

# Keras 3 on JAX and PyTorch: test_keras_3_arrays.
APIS = on_tensorflow(ALL)

RULE = rules.Adam(0.05, epsilon=1e-3)
STEPS = 2


def _found():
    """root package -> each Keras that is here and has models of its own."""
    if not APIS:
        return {}
    import tensorflow as tf

    if not tf.executing_eagerly():
        return {}  # TensorFlow 1: standalone Keras beside it has graphs and sessions of its own
    found = {_root(tf.keras.Model): tf.keras}
    for name in ("keras", "tf_keras"):
        if name in found or importlib.util.find_spec(name) is None:
            continue
        # Keras 2.15 and tf_keras 2.15 overwrite each other's loaders once both are imported, so that neither
        # loads a model any more (SavedModel raises, .keras hangs), whatever its optimizer.
        if "tf_keras" in found:
            from importlib.metadata import version

            if version(name).startswith("2."):
                continue
        found[name] = importlib.import_module(name)
    return found


def _root(cls):
    return cls.__module__.split(".")[0]


KERAS = _found()
PAIRS = [(api, root) for api in APIS for root in sorted(KERAS)]
pairs = pytest.mark.parametrize("api,root", PAIRS)


def is_keras_3(root):
    return hasattr(KERAS[root], "ops")


def fits(api, root):
    """Whether models of this Keras take optimizers of this API."""
    if api == "tf1":
        return not is_keras_3(root)  # Keras 2 wraps it
    return _root(host_class(api)) == root


def version_of(root):
    import tensorflow as tf

    if root.startswith("tensorflow"):
        return "TensorFlow " + tf.__version__
    return "{} {}".format(root, importlib.import_module(root).__version__)


def trained(keras, optimizer):
    model = TASKS["linear"].model(keras)
    model.compile(optimizer=optimizer, loss="mse")
    x, y = TASKS["linear"].data(STEPS)
    model.fit(x, y, batch_size=len(x) // STEPS, epochs=1, shuffle=False, verbose=0)
    return model.get_weights()[:2]


@pairs
def test_a_model_takes_its_own_or_says_which(api, root):
    optimizer = kcompat.optimizer(RULE, api=api)
    want = oracle(RULE, TASKS["linear"], STEPS)
    if fits(api, root):
        assert_close(trained(KERAS[root], optimizer), want)
        return
    model = TASKS["linear"].model(KERAS[root])
    with pytest.raises(ValueError, match="Could not interpret optimizer identifier") as raised:
        model.compile(optimizer=optimizer, loss="mse")
    message = str(raised.value)
    own = "tensorflow" if api == "tf1" else _root(host_class(api))
    assert "Adam of {}, an optimizer of ".format(kcompat.__name__) in message
    assert version_of(own) in message and "API " + api in message
    assert "A model of " + version_of(root) in message
    advice = re.search(re.escape(kcompat.__name__) + r"\.optimizers\.(\w+)", message)
    if advice is None:  # keras 2.5 beside TensorFlow 2.5, whose tf.keras is another
        assert "takes none of {}'s; use tf.keras".format(kcompat.__name__) in message
        return
    if "TF_USE_LEGACY_KERAS=1" in message:
        _advice_works_in_another_process(advice.group(1), root)
        return
    module = importlib.import_module("kcompat.optimizers." + advice.group(1))
    assert_close(trained(KERAS[root], module.Adam(0.05, epsilon=1e-3)), want)


def _advice_works_in_another_process(api, root):
    code = "import {root}, kcompat.optimizers.{api} as m; {root}.optimizers.get(m.Adam())"
    subprocess.run(
        [sys.executable, "-c", code.format(root=root, api=api)],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
    )


@pairs
def test_variables_of_each_keras(api, root):
    """Those of Keras 2 are TensorFlow's, which every API takes. Those of Keras 3 are not."""
    import tensorflow as tf

    layer = KERAS[root].layers.Dense(2)
    layer.build((None, 3))
    variables = list(layer.trainable_variables)
    start = [to_numpy(v) for v in variables]
    gradients = [[np.full(v.shape, size, "float32") for v in start] for size in (0.5, 2.0)]
    optimizer = kcompat.optimizer(RULE, api=api)

    def step(row):
        optimizer.apply_gradients([(tf.constant(g), v) for g, v in zip(row, variables)])

    if is_keras_3(root) and api != "keras_3":
        for use in (
            lambda: step(gradients[0]),
            lambda: optimizer.build(variables),
            lambda: optimizer.get_slot(variables[0], "m"),
        ):
            with pytest.raises(kcompat.GradientError, match=r"(?s)kernel.*keras_3.*`value`"):
                use()
        assert_close([to_numpy(v) for v in variables], start, rtol=0, atol=0)
        variables = [v.value for v in variables]  # as the message says
    for row in gradients:
        step(row)
    want, slots = reference(RULE, start, gradients)
    assert_close([to_numpy(v) for v in layer.trainable_variables], want)
    assert_close([to_numpy(optimizer.get_slot(v, "m")) for v in variables], [s["m"] for s in slots])


def _converts(api):
    """Not in 2.9 and 2.10, where this API is an experiment."""
    get = KERAS[_root(host_class(api))].optimizers.get
    return hasattr(sys.modules[get.__module__], "convert_to_legacy_optimizer")


@pytest.mark.parametrize("api", [api for api in APIS if api == "keras_2_11" and _converts(api)])
def test_keras_does_not_put_an_optimizer_of_its_own_in_place(api, monkeypatch):
    """Since 2.11, without TensorFlow 2's behavior, compile makes an OptimizerV2 of the same name."""
    keras = KERAS[_root(host_class(api))]
    get = keras.optimizers.get
    module = sys.modules[get.__module__]
    monkeypatch.setattr(module.tf.__internal__.tf2, "enabled", lambda: False)
    native = keras.optimizers.Adam(0.05)
    assert get(native) is not native
    with pytest.raises(kcompat.ApiNotAvailableError, match=r"kcompat\.optimizers\.optimizer_v2"):
        get(kcompat.optimizer(RULE, api=api))
    optimizer = kcompat.optimizer(RULE, api="optimizer_v2")
    assert get(optimizer) is optimizer


@pytest.mark.parametrize("api", APIS)
def test_the_text_of_an_optimizer(api):
    text = repr(kcompat.optimizer(RULE, api=api))
    assert re.match(r"<Adam of {}, an optimizer of [\w.]+ .*\(API {}\)".format(kcompat.__name__, api), text)
    assert version_of_host(api) in text


def version_of_host(api):
    root = _root(host_class(api))
    return version_of("tensorflow" if root.startswith("tensorflow") else root)

"""The pages that say what takes the place of another package's names: each has every name of that package."""

import os
import re

import pytest
from _apis import APIS

PAGES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs")
pytestmark = [
    pytest.mark.wide,
    pytest.mark.skipif("tf1" not in APIS, reason="the packages are TensorFlow's"),
    pytest.mark.skipif(not os.path.isdir(PAGES), reason="the documentation is not here"),
]


def missing(page, names):
    """The names that no code on a page has."""
    with open(os.path.join(PAGES, page + ".md"), encoding="utf-8") as file:
        text = file.read()
    blocks = re.findall(r"^```.*?^```", text, re.M | re.S)
    code = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    words = set(re.findall(r"\w+", " ".join(code + blocks)))
    return sorted(set(names) - words)


def public(of):
    return [name for name in dir(of) if not name.startswith("_")]


def test_tensorflow_addons():
    tfa = pytest.importorskip("tensorflow_addons", reason="TensorFlow Addons is not here")
    assert missing("from_tensorflow_addons", public(tfa.optimizers)) == []


def test_keras_adamw():
    keras_adamw = pytest.importorskip("keras_adamw", reason="keras-adamw is not here")
    assert missing("from_keras_adamw", public(keras_adamw)) == []


@pytest.mark.skipif("keras_2_11" not in APIS, reason="the release has no optimizers called legacy")
def test_legacy():
    import tensorflow as tf

    legacy = tf.keras.optimizers.legacy
    assert missing("from_keras_legacy", public(legacy) + public(legacy.Optimizer)) == []


def test_tf_train():
    import tensorflow as tf

    train = tf.compat.v1.train
    names = [
        name
        for name in public(train)
        if name.endswith("Optimizer") or "decay" in name or name.startswith(("piecewise", "ExponentialMov"))
    ]
    assert len(names) > 15
    assert missing("from_tf_train", [name for name in names if name != "Optimizer"]) == []

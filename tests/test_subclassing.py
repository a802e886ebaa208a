"""docs/subclassing.md is right about the hosts installed here: its tables of hooks, its order of calls."""

import inspect
import os
import re

import numpy as np
import pytest
from _apis import APIS

import kcompat
from kcompat.environment import host_class, parse_version

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "subclassing.md")
SECTION = re.compile(r"^## `(\w+)`")
HOOK = re.compile(r"^\| `(\w+)(\(.*\))` \| ([^|]+) \|")
ORDER = re.compile(r"^\*\*In one step:\*\* (.*)\.$")


def _sections():
    """API -> (rows of hook, signature and releases; the order of calls)."""
    found, api = {}, None
    with open(PAGE, encoding="utf-8") as page:
        for line in page:
            if line.startswith("## "):
                match = SECTION.match(line)
                api = match.group(1) if match else None
            elif api is not None:
                rows, order = found.setdefault(api, ([], []))
                if HOOK.match(line):
                    rows.append(HOOK.match(line).groups())
                if ORDER.match(line):
                    order += re.findall("`(.*?)`", line)
    return found


SECTIONS = _sections()


def _release(api):
    """The release of what an API's host came with: Keras 3's, tf_keras' or TensorFlow's."""
    found = kcompat.detect()
    root = host_class(api).__module__.split(".")[0]
    text = {"tf_keras": found.tf_keras}.get(root, found.keras if api == "keras_3" else found.tensorflow)
    return tuple(parse_version(text).release[:2])


def _holds(releases, release):
    """Whether words such as "1.15 and later" or "2.9, 2.10" name a release."""
    numbers = [tuple(int(part) for part in each.split(".")) for each in re.findall(r"\d+\.\d+", releases)]
    if releases == "all":
        return True
    if "and later" in releases:
        return release >= numbers[0]
    if "up to" in releases:
        return release <= numbers[0]
    return release in numbers


def test_the_page_speaks_of_every_api():
    assert set(SECTIONS) == {"tf1", "get_updates", "optimizer_v2", "keras_2_11", "keras_3"}
    assert all(len(rows) >= 5 for rows, _ in SECTIONS.values())


@pytest.mark.parametrize("api", APIS)
def test_hooks_and_their_arguments(api):
    host, release = host_class(api), _release(api)
    named, held = set(), set()
    for name, signature, releases in SECTIONS[api][0]:
        named.add(name)
        if not _holds(releases.strip(), release):
            continue
        held.add(name)
        assert str(inspect.signature(getattr(host, name))) == signature, (name, releases)
    for name in named - held:
        assert not hasattr(host, name), "the page says that {} does not have {}".format(release, name)


def _recording(host, hooks, calls):
    """A subclass of the host's class that takes down the calls of its hooks, and does nothing else."""

    def recorder(name):
        own = getattr(host, name, None)

        def hook(self, *args, **kwargs):
            calls.append(name)
            if name in ("build", "_prepare", "_finish", "_resource_apply_sparse_duplicate_indices"):
                return own(self, *args, **kwargs)
            if name.startswith("_resource_apply"):
                import tensorflow as tf

                return tf.no_op()
            return None

        return hook

    def get_config(self):
        return {}

    members = {name: recorder(name) for name in hooks}
    return type("Recording", (host,), dict(members, get_config=get_config))


def _made(api, cls):
    if api == "tf1":
        return cls(False, "Recording")
    if api == "keras_3":
        return cls(learning_rate=0.1)
    made = cls(name="Recording")
    if api == "optimizer_v2":
        made._set_hyper("learning_rate", 0.1)
    else:
        made._learning_rate = made._build_learning_rate(0.1)
    return made


@pytest.mark.parametrize("api", [api for api in APIS if SECTIONS[api][1]])
def test_the_order_of_calls(api):
    expected, calls = SECTIONS[api][1], []
    optimizer = _made(api, _recording(host_class(api), expected, calls))
    if api == "keras_3":
        import keras

        variable = keras.Variable(np.ones(2, "float32"))
        optimizer.apply_gradients([(keras.ops.ones(2), variable)])
        assert calls == expected
        return
    import tensorflow as tf

    values = np.ones((2, 2), "float32")
    make = tf.Variable
    if not tf.executing_eagerly():
        tf.compat.v1.reset_default_graph()

        def make(value):
            return tf.compat.v1.get_variable("v", initializer=value, use_resource=True)

    dense = make(values)
    pairs = [(tf.ones((2, 2)), dense)]
    if any("sparse" in name for name in expected):
        with tf.compat.v1.variable_scope("rows"):
            sparse = make(values)
        pairs.append((tf.IndexedSlices(tf.ones((2, 2)), tf.constant([0, 0]), tf.constant([2, 2])), sparse))
    if api == "keras_2_11":
        optimizer.build([dense])
        calls.clear()
    optimizer.apply_gradients(pairs)
    assert list(dict.fromkeys(calls)) == expected

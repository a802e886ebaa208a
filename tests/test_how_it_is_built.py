"""docs/how_it_is_built.md is right about one step: its order, and how each API comes to it."""

import contextlib
import importlib
import os
import re

import numpy as np
import pytest
from _apis import APIS
from _modes import as_gradient, make_variable, modes_of
from _training import TASKS, keras_of

import kcompat
from kcompat.adapters import step
from kcompat.environment import host_class
from kcompat.testing.running import array_gradient, backend

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "how_it_is_built.md")

# What the wide environments have; Keras' first optimizer is in none of them.
EVERYWHERE = [pytest.param(api, marks=() if api == "get_updates" else pytest.mark.wide) for api in APIS]


def _section():
    with open(PAGE, encoding="utf-8") as page:
        return page.read().partition("## One step\n")[2].partition("\n## ")[0]


def _stages():
    """The methods that the numbered list names, in its order."""
    items = re.findall(r"^\d\. (.*(?:\n   .*)*)", _section(), re.MULTILINE)
    return [name for item in items for name in re.findall(r"`(_\w+)`", item)]


def _table():
    """API -> the names in its row: what a step begins with, what makes slots, the hooks for one variable."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", _section(), re.MULTILINE)
    return {api: [re.findall(r"`(\w+)`", cell) for cell in row.split("|")[:3]] for api, row in rows}


# Where a step begins that Keras 3 takes in `fit`, and what it comes through.
BEGINS = {
    "tensorflow": ["apply_gradients"],
    "torch": ["apply", "apply_gradients"],
    "jax": ["stateless_apply", "apply", "apply_gradients"],
}


class Seen(kcompat.UpdateRule):
    """A rule without a kernel that sees all gradients at once, so that no stage of a step is left out."""

    learning_rate = kcompat.Hyper(0.1)

    def init(self, xp, param):
        return {"last": xp.zeros_like(param)}

    def prepare(self, xp, grads, params, slots, shared, hyper, step):
        return list(grads), {}

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad, {"last": grad}


def _recording(api, names, calls):
    """An optimizer's class that takes down the first calls of these of its methods."""
    made = kcompat.optimizer_class(Seen, api=api)

    def recorder(name):
        def method(self, *args, **kwargs):
            if name not in calls:
                calls.append(name)
            return getattr(super(recording, self), name)(*args, **kwargs)

        return method

    methods = {name: recorder(name) for name in names if hasattr(made, name)}
    # As if it were kcompat's own: a user's class that overrides what is not called is refused.
    recording = type("Recording", (made,), dict(methods, __module__=kcompat.__name__ + ".recording"))
    return recording


@contextlib.contextmanager
def _variable(api):
    """A variable of two rows, and a gradient of it that names one of them twice, where the API takes that."""
    sparse = (np.ones((2, 2), "float32"), np.array([1, 1]))
    with contextlib.ExitStack() as stack:
        mode = "eager" if "eager" in modes_of(api) else "graph"
        if mode == "graph":
            import tensorflow as tf

            stack.enter_context(tf.Graph().as_default())
        value = np.ones((2, 2), "float32")
        variable = make_variable(api, value, "v", mode)
        if backend(api) == "tensorflow":
            yield variable, as_gradient(sparse, value)
        else:
            yield variable, array_gradient(sparse, value, backend(api))


def _hooks_of(api):
    return _table()[api][2]


def test_the_page_speaks_of_every_api():
    assert set(_table()) == {"tf1", "get_updates", "optimizer_v2", "keras_2_11", "keras_3"}
    assert len(_stages()) == 9
    assert all(hasattr(step.StepAdapter, name) for name in set(_stages()) - {"_checked_pairs"})


@pytest.mark.parametrize("api", EVERYWHERE)
def test_the_order_of_a_step(api):
    calls, hooks = [], _hooks_of(api)
    with _variable(api) as (variable, gradient):
        optimizer = _recording(api, _stages() + hooks, calls)()
        optimizer.apply_gradients([(gradient, variable)])
    assert calls == _stages()  # and none of the hooks for one variable


@pytest.mark.parametrize("api", EVERYWHERE)
def test_what_a_step_begins_with(api):
    calls, (begins, makes, _) = [], _table()[api]
    first = BEGINS[backend(api)] if api == "keras_3" else begins
    assert set(first) <= set(begins)
    recording = _recording(api, set(first) | set(makes), calls)
    if api == "tf1":
        with _variable(api) as (variable, gradient):
            recording().apply_gradients([(gradient, variable)])
    else:
        task = TASKS["linear"]
        on_tensorflow = backend(api) == "tensorflow"
        model = task.model(keras_of(api) if on_tensorflow else importlib.import_module("keras"))
        model.compile(recording(), "mse")
        x, y = task.batches(1)[0]
        model.fit(x, y, epochs=1, verbose=0)
    assert [name for name in calls if name in first] == first
    assert [name for name in calls if name in makes] == makes
    assert all(hasattr(host_class(api), name) for name in [*begins, *makes])


@pytest.mark.parametrize("api", EVERYWHERE)
def test_hooks_for_one_variable(api):
    made = kcompat.optimizer_class(Seen, api=api)
    defined = {name: each for cls in reversed(made.__mro__) for name, each in vars(cls).items()}
    reaching = {
        name
        for name, each in defined.items()
        if "_update_one" in getattr(getattr(each, "__code__", None), "co_names", ())
    }
    assert reaching == set(_hooks_of(api))
    assert all(hasattr(host_class(api), name) for name in reaching)

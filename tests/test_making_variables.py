"""The optimizer's variables are made fast, and are what they would be if they were made slowly."""

import contextlib
import re

import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import make_variable, modes_of, to_numpy

import kcompat
from kcompat import rules

APIS = [api for api in on_tensorflow(ALL) if "eager" in modes_of(api)]
pytestmark = pytest.mark.parametrize("api", APIS)


def optimizer(api, count):
    import tensorflow as tf

    made = kcompat.optimizer(rules.Adagrad(0.5), api)
    value = np.ones((2, 3), np.float32)
    variables = [make_variable(api, value, "w{}".format(i)) for i in range(count)]
    step = [(tf.ones((2, 3)), variable) for variable in variables]
    return made, variables, step


def told(made):
    """What each of an optimizer's variables says of itself, without numbers that count on."""
    found = []
    for variable in made.variables if not callable(made.variables) else made.variables():
        native = made._native(variable)
        handle = getattr(native.handle, "_name", ""), getattr(native.handle, "_unique_id", "")
        found.append((variable.name, native.name, native._shared_name, native._unique_id) + handle)
    return [[re.sub("_[0-9]+", "", str(name)) for name in names] for names in found]


@pytest.mark.parametrize("inside", ["eager", "function"])
def test_names_are_the_hosts(api, inside, monkeypatch):
    import tensorflow as tf

    from kcompat.adapters import tensorflow_base

    def run():
        made, _, step = optimizer(api, 2)

        def take():
            made.apply_gradients(step)

        (tf.function(take) if inside == "function" else take)()
        return made

    fast = told(run())
    monkeypatch.setattr(tensorflow_base, "renamed_when_made", contextlib.ExitStack)
    assert fast == told(run())
    assert len(fast) >= 3 and "kcompat_state" not in str(fast)


def test_variables_that_start_alike_go_their_own_ways(api):
    made, variables, step = optimizer(api, 3)
    made.apply_gradients(step)
    made.apply_gradients(step[:1])
    slots = [to_numpy(made.get_slot(variable, "accumulator")) for variable in variables]
    np.testing.assert_allclose([slot[0, 0] for slot in slots], [2.1, 1.1, 1.1], rtol=1e-6)
    moved = 0.5 / np.sqrt([1.1, 2.1])
    expected = [1 - moved.sum(), 1 - moved[0], 1 - moved[0]]
    np.testing.assert_allclose([to_numpy(each)[1, 2] for each in variables], expected, rtol=1e-6)

"""State of optimizers that are written against hooks, taken on one API and put on another."""

import itertools

import numpy as np
import pytest

import kcompat
from kcompat import hooks
from kcompat.testing.running import Training

tf = pytest.importorskip("tensorflow", reason="hooks are TensorFlow's")

import _hooked  # noqa: E402
from test_hooks import FIRST, GRADIENTS, START, close, dense, eager, eager_variables, written  # noqa: E402

pytestmark = pytest.mark.wide

ROWS = dense(GRADIENTS)
RULE = kcompat.rules.Adam(0.01, epsilon=1e-3)
DIALECTS = ["optimizer_v2", "tf1", "keras_2_11", "keras_3"]
WAYS = list(itertools.product(FIRST, repeat=2))


def ours(dialect, api):
    """A class of a dialect, where it is not the host's own."""
    made = written(dialect, api)
    _hooked.skip_at_home(made)
    return made


def moved(one, other, make):
    """The values after two steps on one API and the rest on another."""
    with Training(*one, make(one[0]), START) as training:
        training.build(ROWS)
        for row in ROWS[:2]:
            training.step(row)
        state = kcompat.state.take(training.optimizer, training.variables)
        values = training.values()
    with Training(*other, make(other[0]), values) as training:
        training.build(ROWS)
        kcompat.state.put(training.optimizer, training.variables, state, by_order=True)
        for row in ROWS[2:]:
            training.step(row)
        return training.values(), training.iterations(), state


@pytest.mark.parametrize("one, other", WAYS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_class_goes_on_where_it_was(dialect, one, other):
    classes = {api: ours(dialect, api) for api in (one[0], other[0])}
    values, steps, state = moved(one, other, lambda api: lambda: classes[api](0.01, epsilon=1e-3))
    close(values, kcompat.testing.reference(RULE, START, GRADIENTS)[0])
    assert steps == len(ROWS)
    assert state.rule.endswith(classes[one[0]].__qualname__)
    assert all(each.slots for each in state.variables.values())


@pytest.mark.parametrize("one, other", WAYS)
def test_hyperparameters_come_along(one, other):
    classes = {api: ours("optimizer_v2", api) for api in (one[0], other[0])}
    rates = iter([0.01, 0.5])
    values, _, _ = moved(one, other, lambda api: lambda: classes[api](next(rates), epsilon=1e-3))
    close(values, kcompat.testing.reference(RULE, START, GRADIENTS)[0])


@pytest.mark.parametrize("one, other", WAYS)
def test_a_wrapper_and_the_optimizer_inside(one, other):
    inner = {api: ours("optimizer_v2", api) for api in (one[0], other[0])}
    outer = {api: _hooked.lookahead_of_optimizer_v2(hooks.base_class("optimizer_v2", api)) for api in inner}
    values, _, state = moved(one, other, lambda api: lambda: outer[api](inner[api](0.01, epsilon=1e-3)))
    rule = kcompat.transforms.Lookahead(RULE, 2, 0.5)
    close(values, kcompat.testing.reference(rule, START, ROWS)[0])
    assert "_optimizer.m" in next(iter(state.variables.values())).slots


@pytest.mark.parametrize("api", [api for api, _ in FIRST])
def test_a_wrapper_inside_a_wrapper(api):
    """All three have their slots in the state."""
    inner, base = ours("optimizer_v2", api), hooks.base_class("optimizer_v2", api)
    middle, outer = _hooked.lookahead_of_optimizer_v2(base), _hooked.accumulator_of_optimizer_v2(base, False)

    def make(name):
        return lambda: outer(middle(inner(0.01, epsilon=1e-3)))

    way = next(each for each in FIRST if each[0] == api)
    values, _, state = moved(way, way, make)
    with Training(*way, make(api), START) as training:
        training.build(ROWS)
        for row in ROWS:
            training.step(row)
        close(values, training.values())
    assert {name.count(".") for name in next(iter(state.variables.values())).slots} == {0, 1, 2}


@eager
@pytest.mark.parametrize("api", [api for api, _ in FIRST])
def test_state_that_does_not_fit_leaves_all_as_it_was(api):
    make = ours("optimizer_v2", api)
    optimizer, variables = make(0.01), eager_variables(START)
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in variables])
    state = kcompat.state.take(optimizer, variables)
    key = next(iter(state.variables))
    held = state.variables[key]

    def with_slots(**slots):
        changed = kcompat.state.VariableSlots(held.name, held.shape, held.dtype, slots)
        return state.replace(variables=dict(state.variables, **{key: changed}))

    twin = make(0.5)
    for bad, said in [
        (state.replace(rule="Adam"), "rule"),
        (with_slots(m=held.slots["m"]), "nothing is saved in v"),
        (with_slots(m=held.slots["m"], v=held.slots["v"], u=held.slots["v"]), "u of"),
        (with_slots(m=held.slots["m"], v=np.zeros([9], "float32")), "shape"),
        (with_slots(), "nothing is saved of"),
        (state.replace(shared={"power": np.zeros([], "float32")}), "power"),
    ]:
        before = [np.array(each) for each in optimizer.get_weights()]
        with pytest.raises(kcompat.StateError, match=said):
            kcompat.state.put(optimizer, variables, bad)
        for was, now in zip(before, optimizer.get_weights()):
            np.testing.assert_array_equal(was, now)
    with pytest.raises(kcompat.StateError, match="rule"):
        kcompat.state.put(twin, variables, state.replace(rule="Adam"))
    assert not twin._kc.variables


def test_of_get_updates_nothing_tells_whose_the_weights_are():
    api = FIRST[0][0]
    with hooks.installed(api=api):
        backend = tf.keras.backend
    made = _hooked.adam_of_get_updates(hooks.base_class("get_updates", api), backend)
    _hooked.skip_at_home(made)
    with pytest.raises(kcompat.StateError, match="without names"):
        kcompat.state.take(made(), eager_variables(START))

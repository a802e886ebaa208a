"""A step that fails half-way, as where memory ends: nothing of it was taken, or a warning says so.

Interrupts, and processes that are killed: tests/distributed.
"""

import numpy as np
import pytest
from _apis import APIS
from _arrays import backend
from _modes import api_modes, modes_of, starting_values, varied_gradients
from _steps import failing, steps

import kcompat
from kcompat import rules
from kcompat.adapters import step as step_module
from kcompat.testing import reference

EAGER = [api for api in APIS if "eager" in modes_of(api)]
LATER = [(api, mode) for api, mode in api_modes(APIS) if mode in ("function", "graph", "graph_ref")]
SHAPES = (4, 3), (3,), (5,)


class Hungry(kcompat.UpdateRule):
    """Looks at a variable as a whole, so that nothing but its own operations can update it."""

    learning_rate = kcompat.Hyper(0.1)
    fails_at = None  # the shape of the variable for which there is no memory

    @classmethod
    def fails(cls, shape):
        return tuple(shape) == Hungry.fails_at

    def init(self, xp, param):
        return {"m": xp.zeros_like(param)}

    def update(self, xp, grad, param, slots, hyper, step):
        if self.fails(param.shape):
            raise MemoryError("no memory for {}".format(param.shape))
        m = 0.9 * slots["m"] + grad / (1 + xp.sqrt(xp.sum(grad * grad)))
        return param - hyper.learning_rate * m, {"m": m}


@pytest.fixture
def fails(monkeypatch):
    """Sets the variable for which memory ends; afterwards it is there again."""
    if any(backend(api) == "jax" for api in APIS):
        from kcompat.adapters.compiled_jax import JittedStep

        call = JittedStep.__call__

        def full(self, values, *others):  # as what is compiled no longer calls the rule
            if Hungry.fails(values[0].shape):
                raise MemoryError("no memory for {}".format(values[0].shape))
            return call(self, values, *others)

        monkeypatch.setattr(JittedStep, "__call__", full)

    def at(shape):
        Hungry.fails_at = shape

    yield at
    Hungry.fails_at = None


def assert_same(got, want):
    (values, slots, done), (expected, expected_slots, steps_done) = got, want
    assert done == steps_done
    for value, other in zip(values, expected):
        np.testing.assert_array_equal(value, other)
    for each, others in zip(slots, expected_slots):
        for name in others:
            np.testing.assert_array_equal(each[name], others[name])


@pytest.mark.wide
@pytest.mark.parametrize("api", EAGER)
def test_where_a_rule_fails_nothing_has_been_written(api, fails):
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 3)

    def make():
        return kcompat.optimizer(Hungry(), api=api, use_ema=True)

    with steps(api, "eager", make, *params) as training:
        for row in gradients[:2]:
            training.step(*row)
        before = training.state()
        fails(SHAPES[-1])
        with pytest.raises(MemoryError):
            training.step(*gradients[2])
        assert_same(training.state(), before)
        fails(None)
        training.step(*gradients[2])
        expected, _ = reference(Hungry(), params, gradients)
        for value, want in zip(training.values(), expected):
            np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-6)


@pytest.mark.wide
@pytest.mark.parametrize("api", EAGER)
def test_a_part_of_a_step_is_told(api, fails, monkeypatch):
    """Where new values beside the old ones would take much memory, they are written one by one."""

    def make():
        return kcompat.optimizer(Hungry(), api=api)

    with steps(api, "eager", make, *starting_values(SHAPES)) as training:
        training.step()
        values, _, done = training.state()
        monkeypatch.setattr(step_module, "_AHEAD", 0)
        fails(SHAPES[-1])
        with pytest.raises(MemoryError), pytest.warns(
            RuntimeWarning, match="MemoryError while it wrote its 3"
        ):
            training.step()
        new, _, now = training.state()
        assert now == done
        assert (new[0] != values[0]).any() and (new[2] == values[2]).all()
        monkeypatch.undo()
        fails(None)


class Slow(Hungry):
    """Its operations, not the code that makes them, find no memory."""

    def update(self, xp, grad, param, slots, hyper, step):
        if not isinstance(xp.unwrap(grad), np.ndarray):
            grad = xp.wrap(failing(xp.unwrap(grad), Hungry.fails))
        return super().update(xp, grad, param, slots, hyper, step)


# A kernel, an elementwise rule whose variables are put together, and one that looks at a variable as a whole.
CASES = {
    "kernel": (lambda: rules.SGD(0.1, momentum=0.9), {}),
    "elementwise": (lambda: rules.Lion(0.1), {}),
    "whole": (Hungry, {"use_ema": True}),
    "operations": (Slow, {}),
}


@pytest.mark.wide
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("api", "mode"), LATER)
def test_where_memory_ends_in_a_graph_nothing_has_been_written(api, mode, case, fails):
    """While the last gradient is computed, or what the rule makes of it."""
    import tensorflow as tf

    shapes = [*SHAPES, (3,), (2,), (6,)] if case == "elementwise" else SHAPES  # so few are not put together
    params, gradients = starting_values(shapes), varied_gradients(shapes, 3)
    rule, base = CASES[case]

    def make():
        return kcompat.optimizer(rule(), api=api, **base)

    with steps(api, mode, make, *params) as training:
        taken = training._apply
        if rule is not Slow:
            training._apply = lambda grads: taken([*grads[:-1], failing(grads[-1], Hungry.fails)])
        for row in gradients[:2]:
            training.step(*row)
        before = training.state()
        fails(shapes[-1])
        with pytest.raises(tf.errors.ResourceExhaustedError):
            training.step(*gradients[2])
        assert_same(training.state(), before)
        fails(None)
        training.step(*gradients[2])
        expected, _ = reference(rule(), params, gradients)
        assert training.iterations() == 3
        for value, want in zip(training.values(), expected):
            np.testing.assert_allclose(value, want, rtol=2e-5, atol=1e-6)

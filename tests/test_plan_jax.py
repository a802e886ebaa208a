"""The plan of a step on JAX: eager steps run as functions that JAX compiles, once a shape."""

import numpy as np
import pytest
from _apis import APIS
from _arrays import Jitted, backend, gradient, to_numpy, variable
from _modes import assert_agree, run, starting_values, varied_gradients
from _rules import Factored, LazyMomentum

import kcompat
from kcompat import rules
from kcompat.testing import reference

JAX = [api for api in APIS if backend(api) == "jax"]
pytestmark = pytest.mark.parametrize("api", JAX)
SHAPES = [(3, 2), (6, 3), (), (3, 2)]

PLANNED = {
    "adam": (rules.Adam(0.05, epsilon=1e-3), {}),
    "clipped_and_decayed": (rules.SGD(0.05, 0.9), {"weight_decay": 0.3, "global_clipnorm": 0.7}),
    "scheduled": (rules.SGD(kcompat.schedules.ExponentialDecay(0.05, 2, 0.5), 0.9), {}),
    "of_scalars_of_all": (rules.Prodigy(1.0), {}),
    "of_matrices": (rules.Muon(0.05), {}),
    "other_shapes": (Factored(0.02), {}),
    "averaged": (rules.Adam(0.05, epsilon=1e-3), {"use_ema": True, "ema_momentum": 0.5}),
}


def ones(*shape):
    return np.ones(shape, "float32")


def steps_of(optimizer, shapes=SHAPES, count=4):
    """Eager steps; gives variables, and what the step compiled for one of them is counted by."""
    params, gradients = starting_values(shapes), varied_gradients(shapes, count)
    variables = [variable(param, "v{}".format(i)) for i, param in enumerate(params)]
    for grads in gradients:
        optimizer.apply([gradient(g, g, "jax") for g in grads], variables)
    return params, gradients, variables


def compiled(optimizer):
    return list(optimizer._kc.compiled.values())


@pytest.mark.parametrize("plan", ["auto", "plain"])
@pytest.mark.parametrize("name", sorted(PLANNED))
def test_compiled_or_not_it_is_the_rule(api, name, plan, monkeypatch):
    monkeypatch.setenv("KCOMPAT_PLAN", plan)
    rule, base = PLANNED[name]
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 12)
    expected = reference(rule, params, gradients, **base)
    assert_agree(run(api, "eager", rule, params, gradients, **base), expected)
    optimizer = kcompat.optimizer(rule, api, **base)
    steps_of(optimizer)
    compiled = "jit", "JAX compiles an eager step, once a shape"
    path = compiled if plan == "auto" else ("rule", "KCOMPAT_PLAN=plain")
    assert {line[3:] for line in optimizer.plan()} == {path}


def test_compiled_once_a_shape_whatever_the_rate(api):
    optimizer = kcompat.optimizer(rules.Adam(0.1), api)
    _, _, variables = steps_of(optimizer)
    (step,) = compiled(optimizer)
    assert step.traces == 3
    for rate in (0.3, 0.2, 0.7):
        optimizer.learning_rate = rate
        optimizer.beta_1 = 0.5 + rate / 10
        optimizer.apply([v.value for v in variables], variables)
    assert step.traces == 3


def test_a_changed_number_is_the_next_steps(api):
    optimizer = kcompat.optimizer(rules.SGD(0.5), api)
    weight = variable(0 * ones(2), "w")
    for rate, expected in ((0.5, -0.5), (0.25, -0.75), (1 / 3, -0.75 - 1 / 3)):
        optimizer.learning_rate = rate
        optimizer.apply([ones(2)], [weight])
        np.testing.assert_allclose(to_numpy(weight), expected, rtol=1e-7)


def test_a_rule_that_asks_for_values_runs_operation_by_operation(api):
    class Looks(kcompat.UpdateRule):
        learning_rate = kcompat.Hyper(0.1)

        def update(self, xp, grad, param, slots, hyper, step):
            largest = float(np.max(np.asarray(xp.unwrap(grad))))
            return param - hyper.learning_rate * largest, {}

    optimizer, weight = kcompat.optimizer(Looks(0.5), api), variable(0 * ones(2), "w")
    for _ in range(2):
        optimizer.apply([np.array([1.0, 2.0], "float32")], [weight])
    np.testing.assert_allclose(to_numpy(weight), -2.0)
    (line,) = optimizer.plan()
    assert (line.path, line.why) == ("rule", "Looks can't be traced")


@pytest.mark.parametrize("number", [1e-60, 1e60])
def test_numbers_beyond_float32_are_not_handed_over(api, number):
    """Inside of what JAX compiles they would be 0 or infinite before the rule has done anything with them."""

    class Scaled(kcompat.UpdateRule):
        learning_rate = kcompat.Hyper(0.1)
        scale = kcompat.Hyper(1.0)

        def update(self, xp, grad, param, slots, hyper, step):
            return param - hyper.learning_rate * (hyper.scale / number) * grad, {}

    optimizer, weight = kcompat.optimizer(Scaled(0.5, scale=number), api), variable(0 * ones(2), "w")
    optimizer.apply([ones(2)], [weight])
    np.testing.assert_allclose(to_numpy(weight), -0.5)
    assert compiled(optimizer)[0].traces == 0


def test_numbers_in_three_parts(api):
    from kcompat.adapters.compiled_jax import singles

    numbers = [0.1, 1 / 3, -2.5e-7, 1e-30, 3e38, 0.0, -0.0, np.inf, -np.inf, np.nan, 12345678.9]
    parts = singles(numbers)
    assert parts.dtype == np.float32
    high, middle, low = parts.astype("float64")
    total = high + middle + low
    np.testing.assert_allclose(total, numbers, rtol=2.0**-26)
    assert list(total[:3]) == numbers[:3]
    assert list(np.signbit(total[5:7])) == [False, True]
    for number in (1e-39, 1e39, -1e39):
        assert singles([0.1, number]) is None


def test_rows_run_operation_by_operation(api):
    """How many there are differs from step to step, and each number of them would be compiled."""
    from jax.experimental.sparse import BCOO

    optimizer = kcompat.optimizer(LazyMomentum(0.05, 0.9), api)
    table = variable(0 * ones(6, 3), "table")
    for rows in ([[1]], [[0], [4]]):
        optimizer.apply([BCOO((ones(len(rows), 3), np.array(rows)), shape=(6, 3))], [table])
    assert compiled(optimizer)[0].traces == 0


def test_eager_and_jitted_steps_by_turns(api):
    optimizer = kcompat.optimizer(rules.Adam(0.05, epsilon=1e-3), api)
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 6)
    variables = [variable(param, "v{}".format(i)) for i, param in enumerate(params)]
    optimizer.build(variables)
    jitted = Jitted(optimizer, variables)
    for i, grads in enumerate(gradients):
        arrays = [gradient(g, g, "jax") for g in grads]
        jitted.apply(arrays) if i % 2 else optimizer.apply(arrays, variables)
    expected = reference(rules.Adam(0.05, epsilon=1e-3), params, gradients)[0]
    for weight, value in zip(variables, expected):
        np.testing.assert_allclose(to_numpy(weight), value, rtol=1e-5, atol=1e-6)


def test_the_old_values_are_not_taken_away(api):
    """A program may hold what a variable held: nothing is donated."""
    optimizer, weight = kcompat.optimizer(rules.Adam(0.1), api), variable(ones(3), "w")
    held = weight.value
    optimizer.apply([ones(3)], [weight])
    np.testing.assert_array_equal(np.asarray(held), ones(3))

"""Every API and mode agrees with the rule run in NumPy float64, dense and sparse, over 50 steps."""

import os
import subprocess
import sys

import numpy as np
import pytest
from _apis import APIS
from _arrays import backend, has_float64
from _modes import (
    api_modes,
    assert_agree,
    largest_difference,
    modes_of,
    numpy_type,
    run,
    starting_values,
    varied_gradients,
)
from _rules import ByName, Distance, Factored, LazyMomentum, Previous, SignMomentum

import kcompat
from kcompat import rules
from kcompat.testing import reference

STEPS = 50
# A matrix, an embedding with sparse gradients, a vector; and every other shape that a variable may have.
SHAPES = [(3, 2), (6, 3), (4,)]
ALL_SHAPES = [*SHAPES, (), (0, 3), (2, 1, 3), (2, 1, 2, 1), (1, 2, 1, 2, 1)]
SPARSE = {1}

RULES = {
    "sgd": rules.SGD(0.05),
    "momentum": rules.SGD(0.05, momentum=0.9),
    "nesterov": rules.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": rules.Adam(0.05, epsilon=1e-3),
    "amsgrad": rules.Adam(0.05, beta_2=0.9, amsgrad=True),
    "adamw": rules.AdamW(0.05, weight_decay=0.1),
    "sign_momentum": SignMomentum(0.01),
    "factored": Factored(power=3),
    "lazy_momentum": LazyMomentum(0.02),
    "distance": Distance(0.1),
    "by_name": ByName(0.02),
    "previous": Previous(0.02),
}

BASES = {
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.3},
    "global_clipnorm": {"global_clipnorm": 1.5},
    "weight_decay": {"weight_decay": 0.1},
    "all": {"global_clipnorm": 1.5, "weight_decay": 0.1, "decay": 0.05},
    "ema": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    "accumulation": {"gradient_accumulation_steps": 3, "clipnorm": 0.5, "use_ema": True},
    "accumulation_of_all": {"gradient_accumulation_steps": 2, "global_clipnorm": 1.0},
}

API_MODES = api_modes(APIS)
# JAX has no float64 unless it is told to; test_jax_with_float64 does.
DOUBLE = [(api, mode) for api, mode in API_MODES if has_float64(api)]
# Base arguments are transforms of the rule, the same code in every mode: together in each mode, and
# each alone in the first.
BASE_CASES = [
    pytest.param(*(api, mode, name), marks=() if name in ("all", "accumulation") else pytest.mark.wide)
    for api, mode in API_MODES
    for name in sorted(BASES)
    if name in ("all", "accumulation") or mode == modes_of(api)[0]
]
# One rule of each kind in each mode; all of them in the mode that an API's users have first.
KINDS = ("adam", "lazy_momentum")
CASES = [
    pytest.param(
        *(api, mode, name),
        marks=() if name in KINDS or mode == modes_of(api)[0] else pytest.mark.wide,
    )
    for api, mode in API_MODES
    for name in sorted(RULES)
]


@pytest.mark.parametrize("api,mode,name", CASES)
def test_agrees_with_the_oracle(api, mode, name, record_property):
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, STEPS, sparse=SPARSE)
    result = run(api, mode, RULES[name], params, gradients)
    expected = reference(RULES[name], params, gradients)
    record_property("difference", largest_difference(result, expected))  # for docs/support.md
    assert_agree(result, expected)
    assert result.iterations == STEPS


def first_mode(ways):
    """Each API in the mode that its users have first; the others are wide."""
    return [
        pytest.param(api, mode, marks=() if mode == modes_of(api)[0] else pytest.mark.wide)
        for api, mode in ways
    ]


@pytest.mark.parametrize("api,mode", first_mode(API_MODES))
def test_every_shape(api, mode):
    params, gradients = starting_values(ALL_SHAPES), varied_gradients(ALL_SHAPES, 6, sparse=SPARSE)
    rule = RULES["factored"]
    assert_agree(run(api, mode, rule, params, gradients), reference(rule, params, gradients))


@pytest.mark.filterwarnings("ignore:The argument decay")
@pytest.mark.parametrize("api,mode,name", BASE_CASES)
def test_base_arguments_agree_with_the_oracle(api, mode, name):
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 12, sparse=SPARSE)
    rule = rules.Adam(0.02)
    result = run(api, mode, rule, params, gradients, **BASES[name])
    assert_agree(result, reference(rule, params, gradients, **BASES[name]))
    assert result.iterations == 12 // BASES[name].get("gradient_accumulation_steps", 1)


@pytest.mark.parametrize("api,mode", DOUBLE)
@pytest.mark.parametrize("name", ["adam", pytest.param("factored", marks=pytest.mark.wide)])
def test_float64_agrees_to_1e_12(api, mode, name, record_property):
    params = starting_values(SHAPES, dtype="float64")
    gradients = varied_gradients(SHAPES, STEPS, dtype="float64", sparse=SPARSE)
    base = {"clipnorm": 0.7, "weight_decay": 0.1} if name == "adam" else {}
    result = run(api, mode, RULES[name], params, gradients, **base)
    assert all(value.dtype == np.float64 for value in result.params)
    expected = reference(RULES[name], params, gradients, **base)
    record_property("difference", largest_difference(result, expected))
    assert_agree(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("api,mode", DOUBLE)
def test_float32_and_float64_variables_together(api, mode):
    shapes = [(3, 2), (2, 2)]
    params = [p.astype(d) for p, d in zip(starting_values(shapes), ("float32", "float64"))]
    gradients = [[g.astype(p.dtype) for g, p in zip(row, params)] for row in varied_gradients(shapes, STEPS)]
    rule = rules.Adam(0.02)
    result = run(api, mode, rule, params, gradients, global_clipnorm=1.0)
    expected, _ = reference(rule, params, gradients, global_clipnorm=1.0)
    np.testing.assert_allclose(result.params[0], expected[0], rtol=1e-5, atol=1e-6)
    # The norm is taken over both, so it has the float32 gradients' rounding, and no more than that.
    np.testing.assert_allclose(result.params[1], expected[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("api,mode", first_mode(API_MODES))
@pytest.mark.parametrize("dtype,digits", [("float16", 11), ("bfloat16", 8)])
def test_low_precision_variables_train(api, mode, dtype, digits):
    """Natively bfloat16 explodes on tf1 and is frozen elsewhere, because 0.999 rounds to 1."""
    kind = numpy_type(dtype)
    shapes = [(3, 2), (4, 3)]
    # Values that the narrow type holds exactly, so that both runs start from and see the same numbers.
    params = [p.astype(kind) for p in starting_values(shapes)]
    gradients = [
        [
            tuple(part.astype(kind) if part.dtype.kind == "f" else part for part in g)
            if isinstance(g, tuple)
            else g.astype(kind)
            for g in row
        ]
        for row in varied_gradients(shapes, 20, sparse={1})
    ]
    rule = rules.Adam(0.1)
    result = run(api, mode, rule, params, gradients)
    # The parameter is rounded to the narrow type in each step; the moments never are.
    wide_params = [p.astype("float32") for p in params]
    wide = [
        [(g[0].astype("float32"), g[1]) if isinstance(g, tuple) else g.astype("float32") for g in row]
        for row in gradients
    ]
    expected, slots = reference(rule, wide_params, wide)
    for got, want, start in zip(result.params, expected, wide_params):
        got = np.asarray(got, "float32")
        assert np.abs(want - start).max() > 0.3
        np.testing.assert_allclose(got, want, atol=20 * 2.0**-digits * np.abs(want).max())
    for got, want in zip(result.slots, slots):
        for name in want:
            assert got[name].dtype == np.float32
            np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("api,mode", API_MODES)
def test_none_gradients_and_late_variables(api, mode):
    """A None gradient leaves a variable and its slots as they are; one first seen later joins in."""
    shapes = [*SHAPES, ()]
    params, gradients = starting_values(shapes), varied_gradients(shapes, 12, sparse=SPARSE)
    for step, row in enumerate(gradients):
        if step < 5:
            row[0] = row[1] = None
        elif step % 3 == 1:
            row[2] = None
        row[3] = None
    rule = rules.Adam(0.05)
    result = run(api, mode, rule, params, gradients)
    expected, slots = reference(rule, params, gradients)
    slots[3] = {}  # it never had a gradient
    assert_agree(result, (expected, slots))
    assert np.array_equal(result.params[3], params[3])


JAX = [api for api in APIS if backend(api) == "jax"]


@pytest.mark.parametrize("api", [api for api in JAX if not has_float64(api)])
def test_jax_with_float64(api):
    """This file again, where JAX has float64."""
    here = os.path.abspath(__file__)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", here],
        cwd=os.path.dirname(here),
        env=dict(os.environ, JAX_ENABLE_X64="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    assert done.returncode == 0, done.stdout[-20000:]
    assert " passed" in done.stdout


def test_the_oracle_itself():
    """The oracle against Adam written down independently, in plain NumPy."""
    params, gradients = starting_values([(3, 2)]), varied_gradients([(3, 2)], STEPS)
    w, m, v = params[0].astype("float64"), np.zeros((3, 2)), np.zeros((3, 2))
    for t, (g,) in enumerate(gradients, 1):
        g = g.astype("float64")
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        w = w - 0.05 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-3)
    got, slots = reference(RULES["adam"], params, gradients)
    np.testing.assert_allclose(got[0], w, rtol=1e-12)
    np.testing.assert_allclose(slots[0]["v"], v, rtol=1e-12)


def test_every_api_was_tested():
    assert kcompat.detect().apis == () or APIS

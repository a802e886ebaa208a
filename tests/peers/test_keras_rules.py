"""Keras' rules against PyTorch and optax, where these have the same optimizer with the same convention.

Not collected by default: `pytest tests/peers`, where torch and optax are installed.
"""

import os
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import jax
import optax
import torch
from _modes import starting_values, varied_gradients
from optax import contrib

from kcompat import rules
from kcompat.testing import reference

STEPS = 60
SHAPES = [(5, 2), (2, 3), (4,), ()]
MATRICES = SHAPES[:2]


def data(shapes):
    params = starting_values(shapes, dtype="float64")
    gradients = varied_gradients(shapes, STEPS, dtype="float64")
    return params, [[np.asarray(g * 0.97**t) for g in row] for t, row in enumerate(gradients)]


@pytest.fixture
def float64():
    """JAX with float64, for one test."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def of_torch(cls, params, gradients, **arguments):
    weights = [torch.tensor(p, requires_grad=True) for p in params]
    optimizer = cls(weights, **arguments)
    for row in gradients:
        for weight, grad in zip(weights, row):
            weight.grad = torch.tensor(grad)
        optimizer.step()
    return [weight.detach().numpy() for weight in weights]


def of_optax(transform, params, gradients, evaluated=None):
    weights = [jax.numpy.asarray(p) for p in params]
    state = transform.init(weights)
    update = jax.jit(transform.update)
    for row in gradients:
        updates, state = update([jax.numpy.asarray(g) for g in row], state, weights)
        weights = optax.apply_updates(weights, updates)
    if evaluated is not None:
        weights = evaluated(state, weights)
    return [np.asarray(weight) for weight in weights]


def assert_same(got, want, starts, rtol=1e-9):
    assert max(np.abs(w - s).max() for w, s in zip(want, starts)) > 0.1
    for value, expected in zip(got, want):
        np.testing.assert_allclose(value, expected, rtol=rtol, atol=rtol)


# PyTorch adds epsilon to the root, or elsewhere, where Keras has it inside: there it is 0 in both, or nearly.
TORCH = {
    "adadelta": (
        rules.Adadelta(0.5, rho=0.8, epsilon=0.02),
        (torch.optim.Adadelta, {"lr": 0.5, "rho": 0.8, "eps": 0.02}),
    ),
    "adafactor": (rules.Adafactor(0.1), (torch.optim.Adafactor, {"lr": 0.1})),
    "adafactor_arguments": (
        rules.Adafactor(0.5, beta_2_decay=-0.5, epsilon_2=0.9, clip_threshold=1.25),
        (torch.optim.Adafactor, {"lr": 0.5, "beta2_decay": -0.5, "eps": (None, 0.9), "d": 1.25}),
    ),
    "adagrad": (
        rules.Adagrad(0.2, initial_accumulator_value=0.3, epsilon=0.0),
        (torch.optim.Adagrad, {"lr": 0.2, "initial_accumulator_value": 0.3, "eps": 0.0}),
    ),
    "adamax": (
        rules.Adamax(0.1, beta_2=0.9, epsilon=0.0),
        (torch.optim.Adamax, {"lr": 0.1, "betas": (0.9, 0.9), "eps": 0.0}),
    ),
    "nadam": (
        rules.Nadam(0.1, beta_2=0.9, epsilon=0.1),
        (torch.optim.NAdam, {"lr": 0.1, "betas": (0.9, 0.9), "eps": 0.1, "momentum_decay": 1.0}),
    ),
    "rmsprop_both": (
        rules.RMSprop(0.02, momentum=0.8, epsilon=1e-300, centered=True),
        (torch.optim.RMSprop, {"lr": 0.02, "alpha": 0.9, "eps": 0.0, "momentum": 0.8, "centered": True}),
    ),
}


@pytest.mark.parametrize("name", sorted(TORCH))
def test_same_as_torch(name):
    rule, (cls, arguments) = TORCH[name]
    params, gradients = data(SHAPES)
    got, _ = reference(rule, params, gradients)
    assert_same(got, of_torch(cls, params, gradients, **arguments), params)


OPTAX = {
    "adagrad": (
        rules.Adagrad(0.2, initial_accumulator_value=0.3, epsilon=0.2),
        lambda: optax.adagrad(0.2, initial_accumulator_value=0.3, eps=0.2),
    ),
    "lamb": (rules.Lamb(0.05, epsilon=0.1), lambda: optax.lamb(0.05, eps=0.1)),
    "lion": (
        rules.Lion(0.02, beta_1=0.6, beta_2=0.8),
        lambda: optax.lion(0.02, b1=0.6, b2=0.8, weight_decay=0.0),
    ),
    "rmsprop": (
        rules.RMSprop(0.05, rho=0.8, epsilon=0.1),
        lambda: optax.rmsprop(0.05, decay=0.8, eps=0.1),
    ),
    "rmsprop_both": (
        rules.RMSprop(0.02, momentum=0.8, epsilon=0.1, centered=True),
        lambda: optax.rmsprop(0.02, decay=0.9, eps=0.1, momentum=0.8, centered=True),
    ),
}


@pytest.mark.parametrize("name", sorted(OPTAX))
def test_same_as_optax(name, float64):
    rule, transform = OPTAX[name]
    params, gradients = data(SHAPES)
    got, _ = reference(rule, params, gradients)
    assert_same(got, of_optax(transform(), params, gradients), params, rtol=1e-7)


def test_schedule_free_as_optax(float64):
    rule = rules.ScheduleFreeAdamW(0.1, beta_1=0.8, beta_2=0.9, epsilon=0.1)
    params, gradients = data(SHAPES)
    transform = contrib.schedule_free_adamw(0.1, b1=0.8, b2=0.9, eps=0.1)
    got, slots = reference(rule, params, gradients)
    assert_same(got, of_optax(transform, params, gradients), params, rtol=1e-6)
    averages = of_optax(transform, params, gradients, evaluated=contrib.schedule_free_eval_params)
    mine = [(value - 0.2 * slot["z"]) / 0.8 for value, slot in zip(got, slots)]
    assert_same(mine, averages, params, rtol=1e-6)


def test_muon_as_optax(float64):
    """Without Nesterov: optax corrects the bias of the look-ahead, which Keras does not."""
    params, gradients = data(MATRICES)
    rule = rules.Muon(0.1, weight_decay=None, momentum=0.8, nesterov=False)
    transform = contrib.muon(
        0.1, beta=0.8, eps=1e-12, weight_decay=0.0, nesterov=False, consistent_rms=0.2, adaptive=False
    )
    got, _ = reference(rule, params, gradients)
    assert_same(got, of_optax(transform, params, gradients), params, rtol=1e-4)


def test_muon_as_torch():
    """PyTorch iterates in bfloat16."""
    params, gradients = data(MATRICES)
    rule = rules.Muon(0.1, weight_decay=0.05, momentum=0.8)
    want = of_torch(
        torch.optim.Muon,
        params,
        gradients,
        lr=0.1,
        weight_decay=0.05,
        momentum=0.8,
        adjust_lr_fn="match_rms_adamw",
    )
    got, _ = reference(rule, params, gradients)
    assert_same(got, want, params, rtol=0.03)

"""SGD, Adam and AdamW against PyTorch and optax, in float64.

Not collected by default: `tox run -e peers-torch`.
"""

import jax
import optax
import pytest
import torch
from test_keras_rules import SHAPES, assert_same, data, of_optax, of_torch

from kcompat import rules
from kcompat.testing import reference

# Keras adds epsilon to the uncorrected root of the second moment, the others to the corrected one: it is 0.
ADAM = {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.0}
CASES = {
    "sgd": (rules.SGD(0.02), (torch.optim.SGD, {"lr": 0.02}), lambda: optax.sgd(0.02)),
    "sgd_momentum": (
        rules.SGD(0.02, momentum=0.8),
        (torch.optim.SGD, {"lr": 0.02, "momentum": 0.8}),
        lambda: optax.sgd(0.02, momentum=0.8),
    ),
    "sgd_nesterov": (
        rules.SGD(0.02, momentum=0.8, nesterov=True),
        (torch.optim.SGD, {"lr": 0.02, "momentum": 0.8, "nesterov": True}),
        lambda: optax.sgd(0.02, momentum=0.8, nesterov=True),
    ),
    "adam": (
        rules.Adam(0.1, 0.8, 0.9, epsilon=0.0),
        (torch.optim.Adam, ADAM),
        lambda: optax.adam(0.1, 0.8, 0.9, eps=0.0),
    ),
    # optax takes the largest of the corrected second moments.
    "adam_amsgrad": (
        rules.Adam(0.1, 0.8, 0.9, epsilon=0.0, amsgrad=True),
        (torch.optim.Adam, dict(ADAM, amsgrad=True)),
        None,
    ),
    "adamw": (
        rules.AdamW(0.1, 0.05, 0.8, 0.9, epsilon=0.0),
        (torch.optim.AdamW, dict(ADAM, weight_decay=0.05)),
        lambda: optax.adamw(0.1, 0.8, 0.9, eps=0.0, weight_decay=0.05),
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_same_as_torch(name):
    rule, (cls, arguments), _ = CASES[name]
    params, gradients = data(SHAPES)
    got, _ = reference(rule, params, gradients)
    assert_same(got, of_torch(cls, params, gradients, **arguments), params)


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if case[2]))
def test_same_as_optax(name):
    rule, _, transform = CASES[name]
    params, gradients = data(SHAPES)
    got, _ = reference(rule, params, gradients)
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        assert_same(got, of_optax(transform(), params, gradients), params)
    finally:
        jax.config.update("jax_enable_x64", before)

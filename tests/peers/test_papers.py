"""The rules of the papers against other people's implementations, in float64.

Needs torch, optax, schedulefree, prodigyopt, dadaptation, pytorch_optimizer, and no Keras. Not
collected by default: `python -m pytest --noconftest tests/peers/test_papers.py`.
"""

import contextlib
import io
import math

import dadaptation
import jax
import numpy as np
import optax
import optax.contrib
import prodigyopt
import pytest
import pytorch_optimizer
import schedulefree
import torch
import torch_optimizer

from kcompat import rules
from kcompat.testing import reference

jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)  # some keep scalars in it

STEPS = 60
SHAPES = [(4, 3), (3, 2, 2), (5,)]


@pytest.fixture
def data():
    """Starting values, and gradients that vary in size and sign and shrink."""
    random = np.random.RandomState(5)
    params = [random.randn(*shape) for shape in SHAPES]
    gradients = [
        [random.randn(*shape) * 10.0 ** random.uniform(-2, 0.5) * 30.0 ** (-t / STEPS) for shape in SHAPES]
        for t in range(STEPS)
    ]
    return params, gradients


def with_torch(make, data, rates=None, after=None, **options):
    """Parameters after training with a torch optimizer."""
    params, gradients = data
    tensors = [torch.nn.Parameter(torch.tensor(p)) for p in params]
    with contextlib.redirect_stdout(io.StringIO()):  # some print
        optimizer = make(tensors, **options)
    if hasattr(optimizer, "train"):
        optimizer.train()
    for t, row in enumerate(gradients):
        if rates is not None:
            optimizer.param_groups[0]["lr"] = rates(t)
        for tensor, grad in zip(tensors, row):
            tensor.grad = torch.tensor(grad)
        optimizer.step()
    if after is not None:
        after(optimizer)
    return [tensor.detach().numpy() for tensor in tensors]


def with_optax(make, data):
    """Parameters after training with an optax transformation."""
    params, gradients = data
    params = [jax.numpy.asarray(p) for p in params]
    state = make.init(params)
    update = jax.jit(make.update)
    for row in gradients:
        updates, state = update([jax.numpy.asarray(g) for g in row], state, params)
        params = optax.apply_updates(params, updates)
    return [np.asarray(p) for p in params]


def assert_same(rule, expected, data, rtol=1e-9):
    params, gradients = data
    got, slots = reference(rule, params, gradients)
    for a, b, start in zip(got, expected, params):
        assert np.abs(a - start).max() > 1e-3
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-11)
    return slots


def rate(done):
    return 0.02 / (1 + 0.1 * done)


def test_nadamw_of_optax(data):
    peer = optax.nadamw(0.01, b1=0.8, b2=0.95, eps=1e-3, weight_decay=0.1)
    assert_same(rules.NadamW(0.01, 0.1, 0.8, 0.95, 1e-3), with_optax(peer, data), data)


def test_nadamw_of_torch(data):
    peer = with_torch(
        torch.optim.NAdam,
        data,
        lr=0.01,
        betas=(0.8, 0.95),
        eps=1e-3,
        weight_decay=0.1,
        momentum_decay=0.02,
        decoupled_weight_decay=True,
    )
    assert_same(rules.NadamW(0.01, 0.1, 0.8, 0.95, 1e-3, momentum_decay=0.02), peer, data)


@pytest.mark.parametrize("nesterov", [False, True])
def test_lars_of_optax(data, nesterov):
    """Without decay: optax takes the norm of g + decay * w, the paper |g| + decay * |w|."""
    peer = optax.lars(0.05, trust_coefficient=0.5, eps=1e-3, momentum=0.8, nesterov=nesterov)
    assert_same(rules.LARS(0.05, 0.8, 0.0, 0.5, 1e-3, nesterov=nesterov), with_optax(peer, data), data)


def test_lars_of_pytorch_optimizer(data):
    """It leaves vectors without trust ratio and decay, and has the learning rate, constant here, outside."""
    peer = with_torch(
        pytorch_optimizer.LARS, data, lr=0.05, momentum=0.8, weight_decay=0.1, trust_coefficient=0.5
    )
    assert_same(rules.LARS(0.05, 0.8, 0.1, 0.5, exclude_vectors=True), peer, data)


@pytest.mark.parametrize("amsbound", [False, True])
def test_adabound_of_torch_optimizer(data, amsbound):
    """A learning rate that falls: final_lr falls along."""
    options = {"lr": rate(0), "betas": (0.8, 0.95), "final_lr": 0.05, "gamma": 0.1, "eps": 1e-3}
    peer = with_torch(
        torch_optimizer.AdaBound, data, rate, weight_decay=0.1, amsbound=amsbound, **options
    )
    rule = rules.AdaBound(rate, 0.8, 0.95, 0.05, 0.1, 1e-3, 0.1, amsbound=amsbound)
    assert_same(rule, peer, data)
    assert_same(rule.replace(base_learning_rate=rate(0)), peer, data)


@pytest.mark.parametrize("nesterov", [False, True])
def test_adamp_of_torch_optimizer(data, nesterov):
    """With channels first, as theirs, and a small epsilon, because it adds that to the norms in the cosine.

    The authors' later code only bounds them by it. pytorch_optimizer adds epsilon before the bias correction.
    """
    options = {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-12, "delta": 0.7, "wd_ratio": 0.2}
    peer = with_torch(torch_optimizer.AdamP, data, weight_decay=0.1, nesterov=nesterov, **options)
    rule = rules.AdamP(0.01, 0.8, 0.95, 1e-12, 0.1, 0.7, 0.2, nesterov=nesterov, channel_axis=0)
    assert_same(rule, peer, data)


@pytest.mark.parametrize("no_prox", [False, True])
def test_adan_of_pytorch_optimizer(data, no_prox):
    """adan-pytorch departs from the authors' code: no moment takes in the first gradient."""
    peer = with_torch(
        pytorch_optimizer.Adan,
        data,
        lr=0.01,
        betas=(0.9, 0.8, 0.95),
        eps=1e-3,
        weight_decay=0.1,
        weight_decouple=no_prox,
    )
    assert_same(rules.Adan(0.01, 0.9, 0.8, 0.95, 1e-3, 0.1, no_prox=no_prox), peer, data)


@pytest.mark.parametrize("warmup", [None, 40])
def test_ademamix_of_pytorch_optimizer(data, warmup):
    """Its decay comes before the step; that is the same, because the step does not read the parameter."""
    peer = with_torch(
        pytorch_optimizer.AdEMAMix,
        data,
        lr=0.01,
        betas=(0.8, 0.95, 0.99),
        alpha=3.0,
        t_alpha_beta3=warmup,
        eps=1e-3,
        weight_decay=0.1,
        weight_decouple=True,
    )
    rule = rules.AdEMAMix(
        0.01, 0.8, 0.95, 0.99, 3.0, 1e-3, 0.1, alpha_warmup=warmup, beta_3_warmup=warmup
    )
    assert_same(rule, peer, data)


def test_ademamix_of_optax(data):
    peer = optax.contrib.ademamix(0.01, 0.8, 0.95, 0.99, 3.0, 1e-3, weight_decay=0.1)
    assert_same(rules.AdEMAMix(0.01, 0.8, 0.95, 0.99, 3.0, 1e-3, 0.1), with_optax(peer, data), data)


@pytest.mark.parametrize("clip", [False, True])
def test_adopt_of_optax(data, clip):
    """Without decay, which optax takes off in the first step, too."""
    peer = optax.contrib.adopt(0.01, 0.8, 0.95, 0.1, use_clipping=clip)
    rule = rules.ADOPT(0.01, 0.8, 0.95, 0.1, clip_exponent=0.25 if clip else None)
    assert_same(rule, with_optax(peer, data), data)


def test_adopt_of_pytorch_optimizer(data):
    """It counts the clipping from 2, so its function is given one less."""
    peer = with_torch(
        pytorch_optimizer.ADOPT,
        data,
        lr=0.01,
        betas=(0.8, 0.95),
        eps=0.1,
        weight_decay=0.1,
        weight_decouple=False,
        clip_lambda=lambda step: (step - 1) ** 0.25,
    )
    assert_same(rules.ADOPT(0.01, 0.8, 0.95, 0.1, 0.1), peer, data)


@pytest.mark.parametrize("weighted", [False, True])
def test_schedule_free_sgd_of_its_authors(data, weighted):
    options = {"warmup_steps": 10, "r": 0.5, "weight_lr_power": 1.5} if weighted else {}
    averages = []

    def after(optimizer):
        averages.extend(p.detach().numpy().copy() for p in optimizer.param_groups[0]["params"])
        optimizer.eval()

    expected = with_torch(
        schedulefree.SGDScheduleFree, data, rate, after, lr=0.02, momentum=0.8, weight_decay=0.1, **options
    )
    rule = rules.ScheduleFreeSGD(rate, 0.8, 0.1, **options)
    assert_same(rule, averages, data)
    params, gradients = data
    got, slots = reference(rule, params, gradients)
    for y, slot, x in zip(got, slots, expected):
        np.testing.assert_allclose(y + (1 - 1 / 0.8) * (slot["z"] - y), x, rtol=1e-9)


def test_sophia_of_optax(data):
    """With the gradient's square as its Hessian, which it takes after a step, and the moment corrected.

    So its Hessian is a step late: it is given first, in a step of zero gradient, the square of the next.
    The bias correction of the moment is undone by a beta_1 of 0.
    """
    params, gradients = data
    shifted = [[np.zeros_like(g) for g in gradients[0]], *gradients]
    squares = [[3.0 * g**2 for g in row] for row in [*gradients, gradients[-1]]]

    def hessian(updates, state, params=None, obj_fn=None):
        del updates, params, obj_fn
        return jax.tree.map(lambda s: s[state], stacked), state + 1

    stacked = [np.stack([row[i] for row in squares]) for i in range(len(SHAPES))]
    stacked = [jax.numpy.asarray(s) for s in stacked]
    peer = optax.contrib.sophia(
        0.01,
        b1=0.0,
        b2=0.8,
        eps=1e-12,
        weight_decay=0.0,
        gamma=0.4,
        clip_threshold=1.0,
        update_interval=1,
        hessian_diagonal_fn=optax.GradientTransformationExtraArgs(lambda params: 0, hessian),
    )
    rule = rules.Sophia(0.01, 0.0, 0.8, 0.4, 0.0, 3.0, 0.0, hessian_every=1)
    assert_same(rule, with_optax(peer, (params, shifted)), data)


@pytest.mark.parametrize("decouple,correct,growth", [(False, False, None), (True, True, 1.1)])
def test_dadapt_adam_of_its_authors(data, decouple, correct, growth):
    peer = with_torch(
        dadaptation.DAdaptAdam,
        data,
        lr=0.8,
        betas=(0.8, 0.95),
        eps=1e-3,
        weight_decay=0.1,
        decouple=decouple,
        use_bias_correction=correct,
        d0=1e-3,
        growth_rate=growth or math.inf,
    )
    rule = rules.DAdaptAdam(0.8, 0.8, 0.95, 1e-3, 0.1, 1e-3, growth, decouple, correct)
    assert_same(rule, peer, data)


def test_dadapt_adamw_of_optax(data):
    peer = optax.contrib.dadapt_adamw(0.8, (0.8, 0.95), 1e-3, 1e-3, 0.1)
    rule = rules.DAdaptAdam(
        0.8, 0.8, 0.95, 1e-3, 0.1, 1e-3, decouple=True, use_bias_correction=True
    )
    assert_same(rule, with_optax(peer, data), data)


@pytest.mark.parametrize(
    "decouple,correct,guard,growth,beta_3", [(True, False, False, None, None), (False, True, True, 1.1, 0.9)]
)
def test_prodigy_of_its_authors(data, decouple, correct, guard, growth, beta_3):
    peer = with_torch(
        prodigyopt.Prodigy,
        data,
        lr=0.8,
        betas=(0.8, 0.95),
        beta3=beta_3,
        eps=1e-2,
        weight_decay=0.1,
        decouple=decouple,
        use_bias_correction=correct,
        safeguard_warmup=guard,
        d0=1e-3,
        d_coef=1.5,
        growth_rate=growth or math.inf,
    )
    rule = rules.Prodigy(
        0.8, 0.8, 0.95, beta_3, 1e-2, 0.1, 1e-3, 1.5, growth, decouple, correct, guard
    )
    assert_same(rule, peer, data)


def test_prodigy_of_optax(data):
    peer = optax.contrib.prodigy(0.8, (0.8, 0.95), None, 1e-2, 1e-3, 1.5, 0.1)
    rule = rules.Prodigy(
        0.8, 0.8, 0.95, None, 1e-2, 0.1, 1e-3, 1.5, use_bias_correction=True
    )
    assert_same(rule, with_optax(peer, data), data)


@pytest.mark.parametrize(
    "options",
    [
        {"precondition_frequency": 3, "shampoo_beta": 0.85},
        {"precondition_frequency": 4, "correct_bias": False, "normalize_gradient": True},
    ],
)
def test_soap_of_pytorch_optimizer(data, options):
    """Its QR is of float32, so the bases differ by that; it puts epsilon beside the root mean square."""
    peer = with_torch(
        pytorch_optimizer.SOAP,
        data,
        lr=0.01,
        betas=(0.9, 0.8),
        eps=1e-3 if "normalize_gradient" not in options else 1e-8,
        weight_decay=0.1,
        **options,
    )
    rule = rules.SOAP(
        0.01,
        0.9,
        0.8,
        epsilon=1e-3 if "normalize_gradient" not in options else 1e-8,
        weight_decay=0.1,
        **options,
    )
    assert_same(rule, peer, data, rtol=1e-4)

"""The rules that Keras has: against their equations in plain NumPy, against Keras itself, on every API."""

import inspect

import numpy as np
import pytest
from _apis import APIS
from _arrays import has_float64
from _modes import assert_agree, modes_of, run, starting_values, varied_gradients

import kcompat
from kcompat import rules
from kcompat.testing import reference

# A tall matrix, a wide one, a vector, a scalar and a batch of matrices.
SHAPES = [(5, 2), (2, 3), (4,), (), (2, 3, 2)]

# Epsilons are as large as what they are added to, so that one in the wrong place is seen. Learning rates are
# exact in float32, which is what Keras keeps them in.
RULES = {
    "adadelta": rules.Adadelta(0.5, epsilon=0.02),
    "adadelta_rho": rules.Adadelta(1.0, rho=0.7, epsilon=1e-4),
    "adafactor": rules.Adafactor(0.125),
    "adafactor_arguments": rules.Adafactor(
        0.0625, beta_2_decay=-0.5, epsilon_1=0.3, epsilon_2=0.9, clip_threshold=0.4
    ),
    "adafactor_capped": rules.Adafactor(4.0),
    "adafactor_absolute": rules.Adafactor(0.0625, relative_step=False),
    "adagrad": rules.Adagrad(0.25, epsilon=0.3),
    "adagrad_zero": rules.Adagrad(0.5, initial_accumulator_value=0.0),
    "adamax": rules.Adamax(0.125, epsilon=0.2),
    "adamax_betas": rules.Adamax(0.125, beta_1=0.5, beta_2=0.8),
    "ftrl": rules.Ftrl(0.25),
    "ftrl_arguments": rules.Ftrl(
        0.125,
        learning_rate_power=-0.75,
        initial_accumulator_value=0.5,
        l1_regularization_strength=0.3,
        l2_regularization_strength=0.2,
        l2_shrinkage_regularization_strength=0.05,
        beta=0.6,
    ),
    "ftrl_constant": rules.Ftrl(0.0625, learning_rate_power=0.0, l1_regularization_strength=0.5),
    "lamb": rules.Lamb(0.0625, epsilon=0.1),
    "lamb_betas": rules.Lamb(0.03125, beta_1=0.5, beta_2=0.9),
    "lion": rules.Lion(0.03125),
    "lion_betas": rules.Lion(0.03125, beta_1=0.6, beta_2=0.8),
    "muon": rules.Muon(0.125, epsilon=0.05),
    "muon_arguments": rules.Muon(
        0.25,
        adam_beta_1=0.8,
        adam_beta_2=0.9,
        adam_weight_decay=0.2,
        epsilon=0.02,
        weight_decay=0.1,
        exclude_layers=["out.*kernel", "nothing"],
        exclude_embeddings=False,
        muon_a=2.0,
        muon_b=-1.5,
        muon_c=0.5,
        adam_lr_ratio=0.5,
        momentum=0.8,
        ns_steps=3,
        nesterov=False,
        rms_rate=None,
    ),
    "nadam": rules.Nadam(0.0625, epsilon=0.1),
    "nadam_betas": rules.Nadam(0.0625, beta_1=0.7, beta_2=0.9),
    "rmsprop": rules.RMSprop(0.0625, epsilon=0.5),
    "rmsprop_momentum": rules.RMSprop(0.03125, rho=0.8, momentum=0.9, epsilon=0.1),
    "rmsprop_centered": rules.RMSprop(0.0625, centered=True, epsilon=0.1),
    "rmsprop_both": rules.RMSprop(0.03125, rho=0.95, momentum=0.5, epsilon=1e-3, centered=True),
    "schedule_free": rules.ScheduleFreeAdamW(0.125, epsilon=0.1),
    "schedule_free_warmup": rules.ScheduleFreeAdamW(0.25, beta_1=0.6, beta_2=0.9, warmup_steps=7),
}
# Keras gives its matrices to Muon by their names.
NAMES = ["hidden/kernel", "word_Embedding/table", "bias", "scale", "filters"]
OUTPUT = ["output/kernel", "hidden/kernel", "bias", "scale", "filters"]

cases = pytest.mark.parametrize("name", sorted(RULES))


def names_for(name):
    return OUTPUT if name == "muon_arguments" else NAMES


# The equations, of one variable. Moments are sums over all gradients so far, where the rules have recursions.


def mean_of(history, decay, like):
    """The exponential moving average that starts at 0, written as a sum."""
    weights = [(1 - decay) * decay ** (len(history) - 1 - i) for i in range(len(history))]
    return sum((w * h for w, h in zip(weights, history)), np.zeros_like(like))


def adadelta(w, grads, learning_rate, rho, epsilon):
    moves = []
    for t, g in enumerate(grads, 1):
        above = mean_of([m * m for m in moves], rho, w) + epsilon
        below = mean_of([h * h for h in grads[:t]], rho, w) + epsilon
        moves.append(-np.sqrt(above / below) * g)
    return w + learning_rate * np.sum(moves, axis=0)


def adafactor(w, grads, learning_rate, beta_2_decay, epsilon_1, epsilon_2, clip_threshold, relative_step):
    v = r = c = 0.0
    for t, g in enumerate(grads, 1):
        beta = 1 - t**beta_2_decay
        square = g * g + epsilon_1
        if w.ndim < 2:
            v = beta * v + (1 - beta) * square
        else:
            r = beta * r + (1 - beta) * square.sum(-1) / w.shape[-1]
            c = beta * c + (1 - beta) * square.sum(-2) / w.shape[-2]
            v = np.einsum("...i,...j->...ij", r, c) / r.mean(-1)[..., None, None]
        u = g / v**0.5
        u = u / max(1, (u**2).mean() ** 0.5 / clip_threshold)
        w = w - max(epsilon_2, (w**2).mean() ** 0.5) * min(learning_rate, t**-0.5) * u
    return w


def adagrad(w, grads, learning_rate, initial_accumulator_value, epsilon):
    sums = initial_accumulator_value + np.cumsum(np.square(grads), axis=0)
    return w - learning_rate * np.sum(grads / (sums + epsilon) ** 0.5, axis=0)


def adamax(w, grads, learning_rate, beta_1, beta_2, epsilon):
    for t in range(1, len(grads) + 1):
        norm = np.max([beta_2 ** (t - i) * abs(g) for i, g in enumerate(grads[:t], 1)], axis=0)
        m_hat = mean_of(grads[:t], beta_1, w) / (1 - beta_1**t)
        w = w - learning_rate * m_hat / (norm + epsilon)
    return w


def ftrl(
    w,
    grads,
    learning_rate,
    learning_rate_power,
    initial_accumulator_value,
    l1_regularization_strength,
    l2_regularization_strength,
    l2_shrinkage_regularization_strength,
    beta,
):
    result = []
    for weight, series in zip(w.reshape(-1), np.reshape(grads, (len(grads), -1)).T):
        n, z = initial_accumulator_value, 0.0
        for g in series:
            old, n = n, n + g * g
            sigma = (n**-learning_rate_power - old**-learning_rate_power) / learning_rate
            z += g + 2 * l2_shrinkage_regularization_strength * weight - sigma * weight
            if abs(z) <= l1_regularization_strength:
                weight = 0.0
                continue
            below = beta / learning_rate + n**-learning_rate_power / learning_rate
            below += 2 * l2_regularization_strength
            weight = -np.sign(z) * (abs(z) - l1_regularization_strength) / below
        result.append(weight)
    return np.reshape(result, w.shape)


def lamb(w, grads, learning_rate, beta_1, beta_2, epsilon):
    for t in range(1, len(grads) + 1):
        m_hat = mean_of(grads[:t], beta_1, w) / (1 - beta_1**t)
        v_hat = mean_of([g * g for g in grads[:t]], beta_2, w) / (1 - beta_2**t)
        u = m_hat / (v_hat**0.5 + epsilon)
        w = w - learning_rate * np.linalg.norm(w.ravel()) / np.linalg.norm(u.ravel()) * u
    return w


def lion(w, grads, learning_rate, beta_1, beta_2):
    for t, g in enumerate(grads):
        w = w - learning_rate * np.sign(beta_1 * mean_of(grads[:t], beta_2, w) + (1 - beta_1) * g)
    return w


def muon(w, grads, name, learning_rate, adam_weight_decay, weight_decay, exclude_layers, **rest):
    """The iteration through the singular values: x = U S V' stays U p(S) V' throughout."""
    embedding = rest["exclude_embeddings"] and "mbedding" in name
    if w.ndim != 2 or embedding or (exclude_layers and name == "output/kernel"):
        b1, b2 = rest["adam_beta_1"], rest["adam_beta_2"]
        for t in range(1, len(grads) + 1):
            w = w - w * learning_rate * adam_weight_decay
            m_hat = mean_of(grads[:t], b1, w) / (1 - b1**t)
            corrected = np.sqrt(1 - b2**t)
            v_hat = mean_of([g * g for g in grads[:t]], b2, w) / corrected**2
            root = np.sqrt(v_hat) + rest["epsilon"] / corrected
            w = w - learning_rate * rest["adam_lr_ratio"] * m_hat / root
        return w
    for t, g in enumerate(grads, 1):
        w = w - w * learning_rate * weight_decay
        m = sum(rest["momentum"] ** (t - i) * h for i, h in enumerate(grads[:t], 1))
        if rest["nesterov"]:
            m = rest["momentum"] * m + g
        u, s, v = np.linalg.svd(m, full_matrices=False)
        s = s / (np.linalg.norm(s) + 1e-7)
        for _ in range(rest["ns_steps"]):
            s = rest["muon_a"] * s + rest["muon_b"] * s**3 + rest["muon_c"] * s**5
        scale = 1 if rest["rms_rate"] is None else rest["rms_rate"] * max(w.shape) ** 0.5
        w = w - learning_rate * scale * (u * s) @ v
    return w


def nadam(w, grads, learning_rate, beta_1, beta_2, epsilon):
    mu = [beta_1 * (1 - 0.96**t / 2) for t in range(1, len(grads) + 2)]
    for t, g in enumerate(grads, 1):
        m = mean_of(grads[:t], beta_1, w)
        v_hat = mean_of([h * h for h in grads[:t]], beta_2, w) / (1 - beta_2**t)
        m_bar = mu[t] * m / (1 - np.prod(mu[: t + 1])) + (1 - mu[t - 1]) * g / (1 - np.prod(mu[:t]))
        w = w - learning_rate * m_bar / (v_hat**0.5 + epsilon)
    return w


def rmsprop(w, grads, learning_rate, rho, momentum, epsilon, centered):
    moves = []
    for t, g in enumerate(grads, 1):
        square = mean_of([h * h for h in grads[:t]], rho, w)
        if centered:
            square = square - mean_of(grads[:t], rho, w) ** 2
        moves.append(learning_rate * g / (square + epsilon) ** 0.5)
        w = w - sum(momentum ** (t - i) * move for i, move in enumerate(moves, 1))
    return w


def schedule_free(w, grads, learning_rate, beta_1, beta_2, epsilon, warmup_steps, averaged=False):
    z, visited, y = w, [], w
    for t, g in enumerate(grads, 1):
        rate = learning_rate * min(1, t / warmup_steps) if warmup_steps else learning_rate
        v_hat = mean_of([h * h for h in grads[:t]], beta_2, w) / (1 - beta_2**t)
        z = z - rate * g / (v_hat**0.5 + epsilon)
        visited.append(z)
        x = np.mean(visited, axis=0)
        y = (1 - beta_1) * z + beta_1 * x
    return x if averaged else y


EQUATIONS = {
    "Adadelta": adadelta,
    "Adafactor": adafactor,
    "Adagrad": adagrad,
    "Adamax": adamax,
    "Ftrl": ftrl,
    "Lamb": lamb,
    "Lion": lion,
    "Muon": muon,
    "Nadam": nadam,
    "RMSprop": rmsprop,
    "ScheduleFreeAdamW": schedule_free,
}


def data(steps, dtype="float64", shapes=SHAPES, sparse=()):
    params = starting_values(shapes, dtype=dtype)
    # Less and less, as in training; `varied_gradients` has signs and sizes.
    gradients = varied_gradients(shapes, steps, dtype=dtype, sparse=sparse)
    shrink = [np.asarray(0.97**t, dtype) for t in range(steps)]
    return params, [
        [(g[0] * factor, g[1]) if isinstance(g, tuple) else np.asarray(g * factor) for g in row]
        for factor, row in zip(shrink, gradients)
    ]


@cases
def test_follows_its_equations(name):
    rule = RULES[name]
    params, gradients = data(60)
    got, _ = reference(rule, params, gradients, names=names_for(name))
    assert max(np.abs(value - start).max() for value, start in zip(got, params)) > 0.1
    for i, (value, start) in enumerate(zip(got, params)):
        arguments = rule.config()
        if isinstance(rule, rules.Muon):
            arguments["name"] = names_for(name)[i]
        want = EQUATIONS[type(rule).__name__](start, [row[i] for row in gradients], **arguments)
        np.testing.assert_allclose(value, want, rtol=1e-9, atol=1e-10, err_msg="variable {}".format(i))


@pytest.mark.wide
@cases
def test_float32_stays_close(name):
    rule = RULES[name]
    params, gradients = data(30, "float32")
    got, slots = reference(rule, params, gradients, names=names_for(name), dtype="float32")
    want, _ = reference(rule, params, gradients, names=names_for(name))
    for value, expected, each in zip(got, want, slots):
        assert value.dtype == np.float32 and all(slot.dtype == np.float32 for slot in each.values())
        np.testing.assert_allclose(value, expected, rtol=1e-3, atol=2e-4)


@cases
def test_its_configuration_gives_it_back(name):
    import json

    rule = RULES[name]
    assert type(rule)(**json.loads(json.dumps(rule.config()))) == rule


# What is particular to one rule.


def test_rmsprop_of_a_steady_gradient_has_no_negative_variance():
    """In float32 the mean square can fall below the squared mean by more than epsilon."""
    steady = (10 ** np.random.RandomState(0).uniform(-1, 4, 200)).astype("float32")
    gradients = [[steady * np.float32(10)]] * 5 + [[steady]] * 295
    rule = rules.RMSprop(1e-6, centered=True)
    (got,), (slots,) = reference(rule, [np.zeros(200)], gradients, dtype="float32")
    assert (slots["rms"] - slots["mg"] ** 2 < -1e-7).any()  # or this tests nothing
    assert np.isfinite(got).all()


def test_adafactor_of_a_dead_row_and_column():
    """In float32 the product of what they have is 0, and so is the gradient."""
    grad = np.array([[0.0, 0.0, 0.0], [0.0, 2.0, 0.5], [0.0, 1.0, -3.0]])
    rule = rules.Adafactor(0.125)
    for dtype in ("float32", "float64"):
        (got,), (slots,) = reference(rule, [np.ones((3, 3))], [[grad]] * 5, dtype=dtype)
        assert np.isfinite(got).all() and (got[0] == 1).all() and (got[:, 0] == 1).all()
        assert (got[1:, 1:] != 1).all()
        assert set(slots) == {"r", "c"}


def test_adafactor_factors_the_last_two_axes():
    params, gradients = data(1)
    _, slots = reference(rules.Adafactor(), params, gradients)
    shapes = [{name: slot.shape for name, slot in each.items()} for each in slots]
    assert shapes == [
        {"r": (5,), "c": (2,)},
        {"r": (2,), "c": (3,)},
        {"v": (4,)},
        {"v": ()},
        {"r": (2, 3), "c": (2, 2)},
    ]


def test_adafactor_caps_the_learning_rate_whatever_it_is():
    """As Keras does, and PyTorch; not as Keras documents relative_step."""
    params, gradients = data(9)

    def moved(*args, **kwargs):
        return reference(rules.Adafactor(*args, **kwargs), params, gradients)[0][0]

    capped = moved(2.0)
    np.testing.assert_array_equal(moved(2.0, relative_step=False), capped)
    np.testing.assert_array_equal(moved(lambda: 2.0), capped)
    np.testing.assert_array_equal(moved(lambda step: 2.0), capped)
    np.testing.assert_allclose(capped, moved(lambda step: (step + 1) ** -0.5), rtol=1e-12)
    assert np.abs(moved(0.1) - capped).max() > 0.1


def test_ftrl_of_no_gradient_yet():
    """Nothing divided by nothing is no weight; one is made anew from n and z by the first gradient."""
    rule = rules.Ftrl(0.5, initial_accumulator_value=0.0)
    (got,), _ = reference(rule, [np.ones(2)], [[np.array([0.0, 3.0])]])
    np.testing.assert_allclose(got, [0.0, -(3 - 3 / 0.5) / (3 / 0.5)])


def test_lamb_of_nothing():
    """A norm of 0, the variable's or the step's, leaves the step as it is."""
    rule = rules.Lamb(0.5, epsilon=0.0625)
    (zeros, ones), _ = reference(rule, [np.zeros(2), np.ones(2)], [[np.ones(2), np.zeros(2)]])
    np.testing.assert_allclose(zeros, [-0.5 / 1.0625] * 2)
    np.testing.assert_array_equal(ones, 1)


def test_muon_gives_each_variable_its_rule():
    params, gradients = data(2)
    for rule, names, expected in (
        (rules.Muon(), NAMES, "muon adamw adamw adamw adamw"),
        (rules.Muon(exclude_embeddings=False), NAMES, "muon muon adamw adamw adamw"),
        (rules.Muon(exclude_layers=["^hidden"]), NAMES, "adamw adamw adamw adamw adamw"),
        (rules.Muon(exclude_layers=[r"put/ker\w+$"]), OUTPUT, "adamw muon adamw adamw adamw"),
        (rules.Muon(exclude_layers=["HIDDEN"]), NAMES, "muon adamw adamw adamw adamw"),
    ):
        _, slots = reference(rule, params, gradients, names=names)
        assert ["adamw" if "v" in each else "muon" for each in slots] == expected.split()


def test_muon_shares_its_hyperparameters():
    """With a learning rate set between steps, or decay excluded, both kinds of variable follow."""
    params, gradients = data(12)
    changed, _ = reference(rules.Muon(0.125), params, gradients, set_hyper={5: {"learning_rate": 0.5}})
    by_schedule, _ = reference(rules.Muon(lambda step: 0.5 if step >= 4 else 0.125), params, gradients)
    constant, _ = reference(rules.Muon(0.125), params, gradients)
    for got, want, other in zip(changed, by_schedule, constant):
        np.testing.assert_array_equal(got, want)
        assert np.abs(got - other).max() > 0.1
    for rate in (0.125, lambda: 0.125):
        excluded, _ = reference(
            rules.Muon(rate, weight_decay=0.5, adam_weight_decay=0.5),
            params,
            gradients,
            exclude_from_weight_decay=lambda name: True,
        )
        without, _ = reference(rules.Muon(rate, weight_decay=None, adam_weight_decay=None), params, gradients)
        for got, want, other in zip(excluded, without, constant):
            np.testing.assert_array_equal(got, want)
            assert np.abs(got - other).max() > 1e-4


def test_nadam_advances_without_a_gradient():
    """The product belongs to all variables, so one that a step left out finds it where the others do."""
    params, gradients = data(10)
    rule = RULES["nadam"]
    zeros = [[row[0], np.zeros((2, 3)) if t < 4 else row[1]] for t, row in enumerate(gradients)]
    nones = [[row[0], None if t < 4 else row[1]] for t, row in enumerate(gradients)]
    want, _ = reference(rule, params[:2], zeros)
    got, _ = reference(rule, params[:2], nones)
    np.testing.assert_array_equal(got[1], want[1])  # its moments were 0 either way


def test_schedule_free_weighs_steps_alike():
    params, gradients = data(20)
    rule = RULES["schedule_free_warmup"]
    y, slots = reference(rule, params, gradients)
    xp = kcompat.namespaces.namespace("numpy", "float64")
    for i, start in enumerate(params):
        wrapped = {name: xp.wrap(slot) for name, slot in slots[i].items()}
        x, same = rule.swap(xp, xp.wrap(y[i]), wrapped, None, True)
        grads = [row[i] for row in gradients]
        want = schedule_free(start, grads, averaged=True, **rule.config())
        np.testing.assert_allclose(xp.unwrap(x), want, rtol=1e-9, atol=1e-10)
        assert np.abs(want - y[i]).max() > 1e-3
        back, _ = rule.swap(xp, x, same, None, False)
        np.testing.assert_allclose(xp.unwrap(back), y[i], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: rules.RMSprop(centered=1), r"RMSprop\(centered=1\): expected True or False"),
        (lambda: rules.RMSprop(epsilon=0), "expected a number > 0"),
        (lambda: rules.RMSprop(momentum=1.5), "<= 1"),
        (lambda: rules.Adagrad(initial_accumulator_value=-1), r"initial_accumulator_value=-1\).* >= 0"),
        (lambda: rules.Adagrad(initial_accumulator_value=lambda: 1.0), "can't be a schedule"),
        (lambda: rules.Adagrad(initial_accumulator_value="0"), "expected a number"),
        (lambda: rules.Ftrl(learning_rate=0), "> 0"),
        (lambda: rules.Ftrl(learning_rate_power=0.5), "<= 0"),
        (lambda: rules.Lion(beta_1=0), "> 0"),
        (lambda: rules.Adafactor(relative_step=None), "expected True or False"),
        (lambda: rules.Muon(exclude_layers="dense"), r"list of regular expressions, such as"),
        (lambda: rules.Muon(exclude_layers=["("]), r"list of regular expressions"),
        (lambda: rules.Muon(ns_steps=2.5), "expected an integer"),
        (lambda: rules.Muon(rms_rate="x"), "expected a number"),
        (lambda: rules.ScheduleFreeAdamW(beta_1=0), "> 0"),
        (lambda: rules.ScheduleFreeAdamW(warmup_steps=-1), ">= 0"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(kcompat.HyperparameterError, match=message):
        make()


# Against Keras 3's own optimizers.


def keras_3():
    """The module, or None where Keras 3 is not what `import keras` gives."""
    if "keras_3" not in APIS:
        return None
    import keras

    return keras


KERAS = keras_3()
needs_keras_3 = pytest.mark.skipif(KERAS is None, reason="Keras 3 is not here to compare with")

BASES = {
    "adam": (rules.Adam(0.0625, beta_2=0.9, epsilon=0.1, amsgrad=True), {}),
    "adamw": (rules.AdamW(0.0625, weight_decay=0.25, beta_2=0.9, epsilon=0.1), {}),
    "nesterov": (rules.SGD(0.03125, momentum=0.9, nesterov=True), {}),
    "lion_decay": (rules.Lion(0.03125), {"weight_decay": 0.25}),
    "lamb_decay": (rules.Lamb(0.03125), {"weight_decay": 0.25, "global_clipnorm": 1.0}),
    "rmsprop_clipnorm": (rules.RMSprop(0.03125, momentum=0.5), {"clipnorm": 0.5}),
    "nadam_clipvalue": (rules.Nadam(0.03125, epsilon=0.1), {"clipvalue": 0.25}),
    "muon_clipnorm": (rules.Muon(0.125), {"clipnorm": 0.5}),
    "schedule_free_decay": (rules.ScheduleFreeAdamW(0.125), {"weight_decay": 0.25}),
}


def native_class(rule):
    return getattr(getattr(KERAS, "optimizers", None), type(rule).__name__, None)


def keras_has(rule):
    """Whether this Keras has the optimizer, with these arguments."""
    native = native_class(rule)
    return native is not None and set(type(rule).hypers) <= set(inspect.signature(native.__init__).parameters)


GOLDEN = dict({name: (rule, {}) for name, rule in RULES.items()}, **BASES)


def comparable(rule):
    """Whether Keras does here what it means to: see the rule's documentation."""
    if isinstance(rule, rules.ScheduleFreeAdamW):
        return KERAS.backend.backend() == "jax"
    return True


@needs_keras_3
@pytest.mark.parametrize("name", sorted(n for n, (r, _) in GOLDEN.items() if keras_has(r) and comparable(r)))
def test_same_as_keras(name):
    import keras

    rule, base = GOLDEN[name]
    names = names_for(name)
    # Keras' Muon multiplies by a float32, which TensorFlow refuses to do with a float64.
    on_tensorflow = keras.backend.backend() == "tensorflow"
    exact = has_float64("keras_3") and not (on_tensorflow and isinstance(rule, rules.Muon))
    params, gradients = data(9, "float64" if exact else "float32")
    variables = [
        keras.Variable(p, dtype=str(p.dtype), name=n.replace("/", "_")) for p, n in zip(params, names)
    ]
    # Keras rounds some numbers to float32 whatever the variables are; which ones, its backend decides.
    tolerance = 1e-6 if exact else 2e-5
    optimizer = native_class(rule)(**dict(rule.config(), **base))
    for row in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in row], variables)
    want, _ = reference(rule, params, gradients, names=[v.path for v in variables], **base)
    for variable, expected, start in zip(variables, want, params):
        got = keras.ops.convert_to_numpy(variable)
        assert np.abs(expected - start).max() > 1e-3
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@needs_keras_3
@pytest.mark.parametrize("name", sorted(EQUATIONS))
def test_arguments_are_those_of_keras(name):
    """Names, order and defaults: all but the base arguments, which come by keyword."""
    native = getattr(KERAS.optimizers, name, None)
    if native is None or not keras_has(getattr(rules, name)()):
        assert tuple(int(part) for part in KERAS.__version__.split(".")[:2]) < (3, 15)
        return
    ours = {n: h.default for n, h in getattr(rules, name).hypers.items()}
    theirs = {
        n: p.default
        for n, p in inspect.signature(native.__init__).parameters.items()
        if n in ours or not (n in kcompat.rule.BASE_ARGUMENTS or n in ("self", "kwargs"))
    }
    assert list(ours.items()) == list(theirs.items())


# On every API.

FIRST = [(api, modes_of(api)[0]) for api in APIS]
# One of each rule; what another configuration changes is the same code on all of them.
BY_API = [
    "adadelta",
    "adafactor_absolute",
    "adafactor_arguments",
    "adagrad",
    "adamax",
    "ftrl_arguments",
    "lamb",
    "lion",
    "muon",
    "nadam",
    "rmsprop",
    "rmsprop_both",
    "schedule_free_warmup",
]


@pytest.mark.wide
@pytest.mark.parametrize("api,mode", FIRST)
@pytest.mark.parametrize("name", BY_API)
def test_agrees_on_every_api(api, mode, name):
    shapes = [(5, 2), (6, 3), (4,)]
    params, gradients = data(12, "float32", shapes, sparse={1})
    rule = RULES[name]
    result = run(api, mode, rule, params, gradients)
    assert_agree(result, reference(rule, params, gradients), rtol=2e-5, atol=5e-6)


@pytest.mark.wide
@pytest.mark.parametrize("api,mode", [(api, mode) for api, mode in FIRST if mode == "eager"])
def test_muon_follows_the_learning_rate_on_every_api(api, mode):
    shapes = [(3, 2), (4,)]
    params, gradients = data(8, "float32", shapes)

    def before(step, optimizer, session):
        if step == 5:
            optimizer.learning_rate = 0.5

    result = run(api, mode, rules.Muon(0.125), params, gradients, before_step=before)
    expected = reference(rules.Muon(0.125), params, gradients, set_hyper={5: {"learning_rate": 0.5}})
    assert_agree(result, expected, rtol=2e-5, atol=5e-6)


@pytest.mark.wide
@pytest.mark.parametrize("api,mode", [(api, mode) for api, mode in FIRST if has_float64(api)])
@pytest.mark.parametrize("name", ["adafactor_arguments", "muon", "nadam"])
def test_float64_on_every_api(api, mode, name):
    shapes = [(5, 2), (6, 3), (4,)]
    params, gradients = data(6, "float64", shapes, sparse={1})
    result = run(api, mode, RULES[name], params, gradients)
    assert_agree(result, reference(RULES[name], params, gradients), rtol=1e-11, atol=1e-12)


@pytest.mark.wide
@pytest.mark.parametrize("api,mode", FIRST)
@pytest.mark.parametrize("name", ["adafactor", "nadam"])
def test_base_arguments_on_every_api(api, mode, name):
    """Factored slots, and a scalar that all variables share, inside transforms that hold steps back."""
    shapes = [(5, 2), (4,)]
    base = {"gradient_accumulation_steps": 2, "use_ema": True, "global_clipnorm": 1.0, "weight_decay": 0.1}
    params, gradients = data(8, "float32", shapes)
    result = run(api, mode, RULES[name], params, gradients, **base)
    assert_agree(result, reference(RULES[name], params, gradients, **base), rtol=2e-5, atol=5e-6)
    assert result.iterations == 4

"""Learning-rate schedules: their numbers, their configuration, and what they do on every API and mode."""

import copy
import importlib
import json
import math
import pickle

import _arrays
import numpy as np
import pytest
from _apis import APIS
from _modes import api_modes, assert_agree, modes_of, run, starting_values, varied_gradients

import kcompat
from kcompat import rules, schedules
from kcompat.testing import reference

S = schedules

# Schedule, and the same written down independently, for a step given as an integer.
SCHEDULES = {
    "constant": (S.Constant(0.3), lambda n: 0.3),
    "warm": (S.Constant(0.3, warmup_steps=4, warmup_start=0.1), lambda n: min(0.1 + 0.05 * n, 0.3)),
    "linear": (
        S.LinearDecay(0.4, 8, 0.1, warmup_steps=3),
        lambda n: 0.4 * n / 3 if n < 3 else max(0.4 - 0.3 * (n - 3) / 8, 0.1),
    ),
    "cosine": (
        S.CosineDecay(0.2, 10, alpha=0.1),
        lambda n: 0.2 * (0.9 * (1 + math.cos(math.pi * min(n, 10) / 10)) / 2 + 0.1),
    ),
    "cosine_warm": (
        S.CosineDecay(0.05, 8, alpha=0.2, warmup_target=0.3, warmup_steps=4),
        lambda n: (
            0.05 + 0.0625 * n if n < 4 else 0.3 * (0.4 * (1 + math.cos(math.pi * min(n - 4, 8) / 8)) + 0.2)
        ),
    ),
    "restarts": (
        S.CosineDecayRestarts(0.2, 3, t_mul=2.0, m_mul=0.5, alpha=0.1),
        lambda n: _restarted(n, [0, 3, 9, 21, 45], 0.5),
    ),
    "restarts_1": (
        S.CosineDecayRestarts(0.2, 3, t_mul=1.0, m_mul=0.5, alpha=0.1),
        lambda n: _restarted(n, list(range(0, 60, 3)), 0.5),
    ),
    "annealing": (
        S.CosineAnnealing(5, eta_min=0.1, eta_max=0.9, t_cur=2, learning_rate=2.0),
        lambda n: 2 * (0.1 + 0.4 * (1 + math.cos(math.pi * ((n + 2) % 5) / 4))),
    ),
    "annealing_by_hand": (
        S.CosineAnnealing(20, autorestart=False, restarts=[4, 9]),
        lambda n: 0.5 * (1 + math.cos(math.pi * (n - (0 if n < 4 else 4 if n < 9 else 9)) / 19)),
    ),
    "triangular": (S.TriangularCyclicalLearningRate(0.1, 0.5, 4), lambda n: 0.1 + 0.4 * _triangle(n, 4)),
    "triangular2": (
        S.Triangular2CyclicalLearningRate(0.1, 0.5, 4),
        lambda n: 0.1 + 0.4 * _triangle(n, 4) / 2 ** (n // 8),
    ),
    "exponential_cycles": (
        S.ExponentialCyclicalLearningRate(0.1, 0.5, 4, gamma=0.9),
        lambda n: 0.1 + 0.4 * _triangle(n, 4) * 0.9**n,
    ),
    "exponential_by_cycle": (
        S.ExponentialCyclicalLearningRate(0.1, 0.5, 4, scale_mode="cycle", gamma=0.5),
        lambda n: 0.1 + 0.4 * _triangle(n, 4) * 0.5 ** (n // 8 + 1),
    ),
    "one_cycle": (
        S.OneCycle(0.5, 21, pct_start=0.3, div_factor=10, final_div_factor=100, anneal_strategy="linear"),
        lambda n: np.interp(n, [0, 5.3, 20], [0.05, 0.5, 0.0005]),
    ),
    "polynomial": (
        S.PolynomialDecay(0.3, 7, 0.02, power=2.0),
        lambda n: 0.28 * (1 - min(n, 7) / 7) ** 2 + 0.02,
    ),
    "polynomial_cycle": (
        S.PolynomialDecay(0.3, 7, 0.02, power=0.5, cycle=True),
        lambda n: 0.28 * (1 - n / (7 * max(1, math.ceil(n / 7)))) ** 0.5 + 0.02,
    ),
    "exponential": (S.ExponentialDecay(0.3, 4, 0.8), lambda n: 0.3 * 0.8 ** (n / 4)),
    "staircase": (S.ExponentialDecay(0.3, 4, 0.8, staircase=True), lambda n: 0.3 * 0.8 ** (n // 4)),
    "inverse_time": (S.InverseTimeDecay(0.3, 4, 0.8), lambda n: 0.3 / (1 + 0.2 * n)),
    "inverse_stairs": (S.InverseTimeDecay(0.3, 4, 0.8, True), lambda n: 0.3 / (1 + 0.8 * (n // 4))),
    "piecewise": (
        S.PiecewiseConstantDecay([3, 7], [0.3, 0.2, 0.05]),
        lambda n: 0.3 if n <= 3 else 0.2 if n <= 7 else 0.05,
    ),
    "noam": (
        S.Noam(16, warmup_steps=6, scale=2.0),
        lambda n: 0.5 * min((n + 1) ** -0.5, (n + 1) * 6**-1.5),
    ),
    "warm_up": (
        S.WarmUp(0.3, S.ExponentialDecay(0.3, 4, 0.8), 5, power=2.0),
        lambda n: 0.3 * (n / 5) ** 2 if n < 5 else 0.3 * 0.8 ** ((n - 5) / 4),
    ),
}


def _restarted(n, starts, m_mul):
    period = sum(start <= n for start in starts) - 1
    first, after = starts[period : period + 2]
    height = m_mul**period * 0.5 * (1 + math.cos(math.pi * (n - first) / (after - first)))
    return 0.2 * (0.9 * height + 0.1)


def _triangle(n, half):
    phase = n % (2 * half)
    return phase / half if phase <= half else 2 - phase / half


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_numbers(name):
    schedule, expected = SCHEDULES[name]
    for step in range(31):
        got = schedule(step)
        assert type(got) is float
        assert got == pytest.approx(expected(step), rel=1e-13, abs=1e-15), step
        assert schedule(np.int64(step)) == schedule(np.asarray(step, "float32")) == got


def test_each_schedule_is_tested():
    classes = {getattr(S, n) for n in S.__all__ if isinstance(getattr(S, n), type)}
    tested = {type(schedule) for schedule, _ in SCHEDULES.values()}
    assert classes - tested == {S.Schedule, S.CyclicalLearningRate}


def test_restarts_begin_exactly():
    """Keras' float32 logarithm is a step late at some of these."""
    schedule = S.CosineDecayRestarts(1.0, 10, t_mul=3.0)
    start = 0
    for period in range(12):
        assert schedule(start) == pytest.approx(1.0, abs=1e-9)
        assert schedule(start - 1 if start else 10) == (pytest.approx(0, abs=0.03) if start else 1.0)
        start += 10 * 3**period


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_configuration(name):
    schedule, _ = SCHEDULES[name]
    config = json.loads(json.dumps(schedule.get_config()))
    for again in (
        type(schedule).from_config(config),
        schedules.schedule_from(json.loads(json.dumps(schedules.describe_schedule(schedule)))),
        copy.deepcopy(schedule),
        copy.copy(schedule),
        pickle.loads(pickle.dumps(schedule)),
    ):
        assert again == schedule
        assert hash(again) == hash(schedule)
        assert again(7) == schedule(7)
    assert repr(schedule).startswith(type(schedule).__name__ + "(")


def test_a_rule_with_schedules_is_json():
    rule = rules.Adam(SCHEDULES["warm_up"][0], beta_1=S.Constant(0.8, 3, 0.5))
    again = rules.Adam(**json.loads(json.dumps(rule.config())))
    assert again == rule
    assert again != rules.Adam(S.Constant(0.3))


@pytest.mark.parametrize(
    "make,words",
    [
        (lambda: S.CosineDecay(0.1, 0), "decay_steps=0"),
        (lambda: S.CosineDecayRestarts(0.1, 5, t_mul=0.5), "t_mul=0.5"),
        (lambda: S.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "one value more"),
        (lambda: S.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]), "ascending"),
        (lambda: S.OneCycle(0.1, 10, anneal_strategy="sine"), "anneal_strategy"),
        (lambda: S.OneCycle(0.1, 2), "Give more steps"),
        (lambda: S.CyclicalLearningRate(0.1, 0.2, 5, scale_fn=1.0), "scale_fn"),
        (lambda: S.WarmUp(0.1, 0.1, 5), "expected a schedule"),
        (lambda: S.Constant(0.1)("3"), "number of steps done"),
        (lambda: S.CyclicalLearningRate(0.1, 0.2, 5, lambda x: 1.0).get_config(), "Subclass"),
        (
            lambda: schedules.schedule_from({"module": "os", "class": "system", "config": {}}),
            "expected a Schedule class",
        ),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(kcompat.HyperparameterError, match=words):
        make()


def test_a_schedule_is_immutable():
    with pytest.raises(kcompat.RuleError, match="immutable"):
        S.Constant(0.1).learning_rate = 0.2


def test_a_scale_function():
    schedule = S.CyclicalLearningRate(0.1, 0.5, 4, scale_fn=lambda x: 1 / (2.0 ** (x - 1)))
    twin = S.Triangular2CyclicalLearningRate(0.1, 0.5, 4)
    assert [schedule(n) for n in range(30)] == pytest.approx([twin(n) for n in range(30)])


def of_backend(api, step):
    """Step counts as an API's users have them."""
    backend = _arrays.backend(api)
    if backend == "jax":
        import jax.numpy as jnp

        return [jnp.asarray(step, "int32"), jnp.asarray(step, "float32")]
    if backend == "torch":
        import torch

        return [torch.tensor(step), torch.tensor(float(step))]
    import tensorflow as tf

    if not tf.executing_eagerly():
        return []
    return [tf.constant(step, t) for t in ("int32", "int64", "float32")] + [tf.Variable(step)]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_called_with_a_tensor(api, name):
    schedule, expected = SCHEDULES[name]
    for step in (0, 3, 13):
        for given in of_backend(api, step):
            got = schedule(given)
            assert "float32" in str(got.dtype)
            assert float(got) == pytest.approx(expected(step), rel=1e-6, abs=1e-8)


def test_called_with_a_variable_of_keras():
    if "keras_3" not in APIS:
        pytest.skip("no Keras 3")
    import keras

    counter = keras.Variable(8, dtype="int32", trainable=False)
    assert float(S.ExponentialDecay(0.3, 4, 0.8)(counter)) == pytest.approx(0.192)


SHAPES = [(3, 2), (4,)]
CASES = [
    pytest.param(api, mode, name, marks=() if name in ("restarts", "warm_up") else pytest.mark.wide)
    for api, mode in api_modes(APIS)
    for name in sorted(SCHEDULES)
    if name in ("restarts", "warm_up") or mode == modes_of(api)[0]
]


@pytest.mark.parametrize("api,mode,name", CASES)
def test_as_a_learning_rate(api, mode, name):
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 14)
    rule = rules.SGD(SCHEDULES[name][0], momentum=0.5)
    # What the oracle does with a schedule, with the independent statement in its place.
    plain = reference(
        rules.SGD(0.1, momentum=0.5),
        params,
        gradients,
        set_hyper={n + 1: {"learning_rate": SCHEDULES[name][1](n)} for n in range(14)},
    )
    result = run(api, mode, rule, params, gradients)
    assert_agree(result, plain)
    assert_agree(result, reference(rule, params, gradients))


@pytest.mark.wide
@pytest.mark.parametrize("api,mode", api_modes(APIS))
def test_as_another_hyperparameter(api, mode):
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 8)
    rule = rules.Adam(S.CosineDecay(0.05, 6), beta_1=S.Constant(0.9, 5, 0.4), epsilon=1e-2)
    result = run(api, mode, rule, params, gradients, weight_decay=0.1)
    assert_agree(result, reference(rule, params, gradients, weight_decay=0.1))


@pytest.mark.parametrize("api", APIS)
def test_in_an_optimizers_configuration(api):
    rate = SCHEDULES["warm_up"][0]
    optimizer = kcompat.optimizer_class(rules.Adam, api)(rate, beta_1=S.Constant(0.8, 3, 0.5))
    config = json.loads(json.dumps(optimizer.get_config()))
    again = type(optimizer).from_config(config)
    assert again.rule == optimizer.rule
    assert again.rule.learning_rate == rate
    nested = kcompat.optimizer(kcompat.transforms.ClipByNorm(rules.Adam(rate), 1.0), api)
    config = json.loads(json.dumps(nested.get_config()))
    assert type(nested).from_config(config).rule == nested.rule


def keras_modules():
    found = []
    for name in ("tensorflow.keras", "tf_keras", "keras"):
        if name == "keras" and "keras_3" not in APIS:
            continue  # Keras 2's schedules are tf.keras' own
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(getattr(module.optimizers, "schedules", None), "ExponentialDecay"):
            found.append(module)
    return found


TWINS = [
    ("ExponentialDecay", {"initial_learning_rate": 0.3, "decay_steps": 4, "decay_rate": 0.8}),
    (
        "ExponentialDecay",
        {"initial_learning_rate": 0.3, "decay_steps": 4, "decay_rate": 0.8, "staircase": True},
    ),
    ("InverseTimeDecay", {"initial_learning_rate": 0.3, "decay_steps": 4, "decay_rate": 0.8}),
    (
        "InverseTimeDecay",
        {"initial_learning_rate": 0.3, "decay_steps": 4, "decay_rate": 0.8, "staircase": True},
    ),
    ("PolynomialDecay", {"initial_learning_rate": 0.3, "decay_steps": 7}),
    (
        "PolynomialDecay",
        {"initial_learning_rate": 0.3, "decay_steps": 7, "power": 2.0, "end_learning_rate": 0.02},
    ),
    ("PolynomialDecay", {"initial_learning_rate": 0.3, "decay_steps": 7, "cycle": True}),
    ("PiecewiseConstantDecay", {"boundaries": [3, 7], "values": [0.3, 0.2, 0.05]}),
    ("CosineDecay", {"initial_learning_rate": 0.3, "decay_steps": 9}),
    ("CosineDecay", {"initial_learning_rate": 0.3, "decay_steps": 9, "alpha": 0.2}),
    (
        "CosineDecay",
        {
            "initial_learning_rate": 0.05,
            "decay_steps": 9,
            "alpha": 0.2,
            "warmup_target": 0.3,
            "warmup_steps": 4,
        },
    ),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.3, "first_decay_steps": 5}),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.3, "first_decay_steps": 5, "t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1},
    ),
]


@pytest.mark.parametrize("name,arguments", TWINS)
def test_agrees_with_keras(name, arguments):
    found = keras_modules()
    if not found:
        pytest.skip("no Keras with schedules here")
    for module in found:
        kind = getattr(module.optimizers.schedules, name, None) or getattr(
            getattr(module, "experimental", None), name, None
        )
        if kind is None:
            continue
        try:
            theirs = kind(**arguments)
        except TypeError:  # no warm-up yet
            assert "warmup_target" in arguments
            continue
        ours = getattr(S, name)(**arguments)
        given = theirs.get_config()
        assert getattr(S, name).from_config(given)(5) == ours(5)
        got = values_of(theirs, range(25))
        np.testing.assert_allclose(got, [ours(n) for n in range(25)], rtol=1e-6, atol=1e-6)


def values_of(schedule, steps):
    """What a schedule of Keras gives, whatever it runs on."""
    if type(schedule).__module__.startswith("keras.src") and "keras_3" in APIS:
        return [float(schedule(step)) for step in steps]
    import tensorflow as tf

    if tf.executing_eagerly():
        return [float(schedule(tf.constant(step, tf.int64))) for step in steps]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        return session.run([schedule(tf.constant(step, tf.int64)) for step in steps])


def test_one_cycle_agrees_with_torch():
    torch = pytest.importorskip("torch")
    for arguments in (
        {"total_steps": 40},
        {"total_steps": 40, "anneal_strategy": "linear", "pct_start": 0.4},
        {"total_steps": 33, "three_phase": True, "div_factor": 10.0, "final_div_factor": 50.0},
    ):
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, cycle_momentum=False, **arguments)
        ours = S.OneCycle(0.5, **arguments)
        for step in range(arguments["total_steps"]):
            assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
            optimizer.step()
            if step + 1 < arguments["total_steps"]:
                theirs.step()


def keras_of(api):
    """The Keras whose models take an API's optimizers."""
    from kcompat.adapters import host_class

    root = host_class(api, None).__module__.split(".")[0]
    return importlib.import_module("tensorflow.keras" if root.startswith("tensorflow") else root)


@pytest.mark.parametrize("api", [api for api in APIS if api == kcompat.detect().default and api != "tf1"])
def test_saved_with_a_model(api, tmp_path):
    keras = keras_of(api)
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
    rate = SCHEDULES["cosine_warm"][0]
    model.compile(kcompat.optimizer(rules.SGD(rate), api), "mse")
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    model.fit(x, y, epochs=2, verbose=0)
    path = str(tmp_path / ("model.keras" if api == "keras_3" else "model.h5"))
    model.save(path)
    again = keras.models.load_model(path)
    assert again.optimizer.rule.learning_rate == rate
    for each in (model, again):
        each.fit(x, y, epochs=2, verbose=0)
    for one, other in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-6)

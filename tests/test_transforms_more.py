"""Transforms beyond the base arguments: against plain NumPy, on every API, nested, and as configuration."""

import itertools
import json
import math

import _arrays
import numpy as np
import pytest
from _apis import APIS
from _modes import api_modes, assert_agree, modes_of, run, starting_values, to_numpy, varied_gradients
from _rules import Distance, LazyMomentum, SignMomentum

import kcompat
from kcompat import rules, schedules
from kcompat import transforms as T
from kcompat.testing import reference

SHAPES = [(3, 2), (4,), (2, 2, 2, 3)]
NAMES = ["v0", "v1", "v2"]  # as `run` calls them
STEPS = 14


def given():
    return starting_values(SHAPES), varied_gradients(SHAPES, STEPS)


def oracle(rule, params=None, gradients=None):
    if params is None:
        params, gradients = given()
    return reference(rule, params, gradients, names=NAMES[: len(params)])


def sgd(change=None, after=None, rate=0.1):
    """SGD in plain NumPy, with `change(g, w, i, step)` for the gradient, then `after(w, before, i, step)`."""
    params, gradients = given()
    values = [p.astype("float64") for p in params]
    for step, row in enumerate(gradients, 1):
        for i, grad in enumerate(row):
            grad, before = grad.astype("float64"), values[i]
            if change is not None:
                grad = change(grad, before, i, step)
            values[i] = before - (rate(i, step) if callable(rate) else rate) * grad
            if after is not None:
                values[i] = after(values[i], before, i, step)
    return values


def close(got, want, rtol=1e-12):
    for i, (one, other) in enumerate(zip(got, want)):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-12, err_msg="parameter {}".format(i))


def norms(x):
    """The norm of each unit, and of a vector as a whole, by loops."""
    if x.ndim == 1:
        return math.sqrt(sum(float(e) ** 2 for e in x))
    return np.array([np.linalg.norm(x[..., k]) for k in range(x.shape[-1])])


def agc(g, w, i, step):
    if i == 0:
        return g
    limit = 0.3 * np.maximum(norms(w), 0.9)
    return np.where(norms(g) > limit, g * limit / norms(g), g)


def test_adaptive_gradient_clipping():
    rule = T.AdaptiveGradientClipping(rules.SGD(0.1), 0.3, epsilon=0.9, exclude=["v0"])
    close(oracle(rule)[0], sgd(agc))


def test_gradient_centralization():
    def change(g, w, i, step):
        if g.ndim == 1:
            return g
        return np.stack([g[..., k] - g[..., k].mean() for k in range(g.shape[-1])], axis=-1)

    close(oracle(T.GradientCentralization(rules.SGD(0.1)))[0], sgd(change))


def test_regularization():
    def change(g, w, i, step):
        return g + (0.02 * np.sign(w) + 0.1 * w if i != 1 else 0)

    rule = T.Regularization(rules.SGD(0.1), l1=0.02, l2=0.05, include=[{"ndim": [2, 4]}])
    close(oracle(rule)[0], sgd(change))


def test_weight_decay_of_some():
    rule = T.WeightDecay(rules.SGD(0.1), 0.3, exclude=["1$"])
    want = sgd(after=lambda w, before, i, step: w - (0.1 * 0.3 * before if i != 1 else 0))
    close(oracle(rule)[0], want)


def test_normalized_weight_decay():
    def after(w, before, i, step):
        l1, l2 = ((0.1, 0.2), (0, 0.3), (0, 0))[i]
        eta = 0.5 * (1 + math.cos(math.pi * ((step - 1) % 5) / 4))
        return w - eta * math.sqrt(1 / 25) * (l1 * np.sign(before) + l2 * before)

    rule = T.NormalizedWeightDecay(
        rules.SGD(0.1),
        {"v0": (0.1, 0.2), "v1": 0.3},
        total_iterations=5,
        total_iterations_wd=25,
        eta_t=schedules.CosineAnnealing(5),
    )
    close(oracle(rule)[0], sgd(after=after))


def test_learning_rate_multipliers():
    rule = T.LearningRateMultipliers(rules.SGD(0.1), {"v1": 0.2, "v[12]": 3})
    close(oracle(rule)[0], sgd(rate=lambda i, step: (0.1, 0.02, 0.3)[i]))


def test_partition():
    parts = [[{"ndim": [1]}, SignMomentum(0.01)], ["v2", T.ClipByValue(rules.SGD(0.3), 0.2)]]
    rule = T.Partition(rules.Adam(0.05), parts)
    params, slots = oracle(rule)
    everything = [rules.Adam(0.05), SignMomentum(0.01), T.ClipByValue(rules.SGD(0.3), 0.2)]
    alone = [oracle(each) for each in everything]
    close(params, [alone[i][0][i] for i in range(3)])
    assert [sorted(s) for s in slots] == [["m", "v"], ["m"], []]


def only(index, rule):
    """The oracle with one variable alone, which is what a part's rule has to see."""
    params, gradients = given()
    index = [index] if isinstance(index, int) else index
    rows = [[row[i] for i in index] for row in gradients]
    return reference(rule, [params[i] for i in index], rows)[0]


@pytest.mark.parametrize("outer", [False, True])
def test_partition_of_rules_that_see_all_gradients(outer):
    """Each sees its own variables, and the shared scalars of two rules of one class do not mix."""
    first, second = Distance(0.1), Distance(0.3, first=0.5)
    third = T.ClipByNorm(rules.SGD(0.1), 0.5)
    rule = T.Partition(first, [["v1", second], ["v2", third]])
    if outer:
        rule = T.UnscaleGradients(rule, 0.5)
        first, second, third = (T.UnscaleGradients(each, 0.5) for each in (first, second, third))
    got = oracle(rule)[0]
    close(got, [only(0, first)[0], only(1, second)[0], only(2, third)[0]])
    again = type(rule)(**json.loads(json.dumps(rule.config())))
    assert again == rule
    # Two variables in one part are seen together.
    rule = T.Partition(rules.SGD(0.1), [["v[02]", T.ClipByGlobalNorm(rules.SGD(0.1), 0.5)]])
    got = oracle(rule)[0]
    both = only([0, 2], T.ClipByGlobalNorm(rules.SGD(0.1), 0.5))
    close(got, [both[0], only(1, rules.SGD(0.1))[0], both[1]])


def test_lookahead():
    slow = [p.astype("float64") for p in given()[0]]

    def after(w, before, i, step):
        if step % 4:
            return w
        slow[i] = slow[i] + 0.3 * (w - slow[i])
        return slow[i]

    want = sgd(after=after)
    got, slots = oracle(T.Lookahead(rules.SGD(0.1), sync_period=4, slow_step_size=0.3))
    close(got, want)
    close([s["slow"] for s in slots], slow)


AVERAGES = {
    "plain": (T.MovingAverage(rules.SGD(0.1), 0.8), lambda n: 0.8),
    "late": (T.MovingAverage(rules.SGD(0.1), 0.8, start_step=3), lambda n: 0.8 if n >= 3 else 0),
    "dynamic": (
        T.MovingAverage(rules.SGD(0.1), 0.5, start_step=2, dynamic_decay=True),
        lambda n: min(0.5, (n - 1) / (n + 8)) if n >= 2 else 0,
    ),
    "updates": (T.MovingAverage(rules.SGD(0.1), 0.9, num_updates=5), lambda n: 0.4),
}


@pytest.mark.parametrize("name", sorted(AVERAGES))
def test_moving_average(name):
    rule, decay = AVERAGES[name]
    average = [p.astype("float64") for p in given()[0]]

    def after(w, before, i, step):
        average[i] = decay(step - 1) * average[i] + (1 - decay(step - 1)) * w
        return w

    close(oracle(rule)[0], sgd(after=after))
    close([s["average"] for s in oracle(rule)[1]], average)


@pytest.mark.parametrize("start,period", [(0, 1), (0, 3), (5, 2), (20, 3)])
def test_swa(start, period):
    seen = [[], [], []]

    def after(w, before, i, step):
        if step > start and (step - 1 - start) % period == 0:
            seen[i].append(w)
        return w

    rule = T.SWA(rules.SGD(0.1), start_averaging=start, average_period=period)
    close(oracle(rule)[0], sgd(after=after))
    want = [np.mean(each, axis=0) if each else p for each, p in zip(seen, given()[0])]
    close([s["average"] for s in oracle(rule)[1]], want)


BAD = (3, 4, 9)


def with_bad_steps():
    params, gradients = given()
    gradients[3][0][1, 1] = np.nan
    gradients[4][2][:] = np.inf
    gradients[9][1][0] = -np.inf
    return params, gradients


def test_skip_non_finite():
    params, gradients = with_bad_steps()
    good = [row for step, row in enumerate(gradients) if step not in BAD]
    for rule in (rules.Adam(0.05), Distance(0.1), T.Lookahead(rules.Adam(0.05), 3)):
        got, slots = oracle(T.SkipNonFinite(rule), params, gradients)
        want, other = oracle(rule, params, good)
        close(got, want)
        for one, two in zip(slots, other):
            assert sorted(one) == sorted(two)
            close(one.values(), two.values())


@pytest.mark.wide
@pytest.mark.parametrize("api,mode", api_modes(APIS))
def test_skip_non_finite_on_every_api(api, mode):
    params, gradients = with_bad_steps()
    rule = T.SkipNonFinite(rules.Adam(0.05))
    result = run(api, mode, rule, params, gradients)
    assert_agree(result, oracle(rule, params, gradients))
    assert result.iterations == STEPS
    if mode in ("eager", "function", "jit"):
        assert float(to_numpy(result.optimizer._kc.shared["skipped_steps"])) == len(BAD)


# Every transform, around any rule with a learning rate.
MADE = {
    "agc": lambda r: T.AdaptiveGradientClipping(r, 0.1, exclude=["v0"]),
    "centralization": lambda r: T.GradientCentralization(r, exclude=["v2"]),
    "regularization": lambda r: T.Regularization(r, l1=0.02, l2=0.05, exclude=["v1"]),
    "weight_decay": lambda r: T.WeightDecay(r, 0.3, exclude=["v1"]),
    "normalized": lambda r: T.NormalizedWeightDecay(r, {"v0": (0.1, 0.2), "v1": 0.3}, 9),
    "multipliers": lambda r: T.LearningRateMultipliers(r, [["v1", 0.2], ["v2", 2.0]]),
    "partition": lambda r: T.Partition(r, [["v1", SignMomentum(0.02)]]),
    "partition_all": lambda r: T.Partition(r, [["v[01]", Distance(0.2)]]),
    "lookahead": lambda r: T.Lookahead(r, sync_period=3),
    "moving_average": lambda r: T.MovingAverage(r, 0.8, start_step=2),
    "swa": lambda r: T.SWA(r, 1, 3),
    "skip": T.SkipNonFinite,
    "clipnorm": lambda r: T.ClipByNorm(r, 0.7),
    "global_clipnorm": lambda r: T.ClipByGlobalNorm(r, 1.2),
    "unscale": lambda r: T.UnscaleGradients(r, 4.0),
    "accumulation": lambda r: T.GradientAccumulation(r, 2),
    "decay": lambda r: T.InverseTimeDecay(r, 0.1),
}
OLD = ("accumulation", "clipnorm", "global_clipnorm", "unscale")
NEW = [name for name in sorted(MADE) if name not in OLD]
RULES = {"adam": rules.Adam(0.05, epsilon=1e-3), "distance": Distance(0.1)}
# What has a slot of the same name, or a partition inside.
CLASH = [{"moving_average", "swa"}, {"partition", "partition_all"}]
CASES = [
    pytest.param(api, mode, name, marks=() if name == "partition_all" else pytest.mark.wide)
    for api, mode in api_modes(APIS)
    for name in NEW
    if name == "partition_all" or mode == modes_of(api)[0]
]


@pytest.mark.parametrize("api,mode,name", CASES)
def test_every_api(api, mode, name):
    params, gradients = given()
    for rule in RULES.values() if name == "agc" else [RULES["adam"]]:
        rule = MADE[name](rule)
        assert_agree(run(api, mode, rule, params, gradients), oracle(rule))


@pytest.mark.parametrize("api", APIS)
def test_sparse_gradients(api):
    shapes = [(6, 3), (3, 2)]
    params, gradients = starting_values(shapes), varied_gradients(shapes, 8, sparse={0})
    rule = T.Lookahead(T.Partition(rules.Adam(0.05), [["v1", Distance(0.2)]]), sync_period=3)
    rule = T.SkipNonFinite(T.AdaptiveGradientClipping(T.Regularization(rule, l2=0.1), 0.1, exclude=["v1"]))
    result = run(api, modes_of(api)[0], rule, params, gradients)
    assert_agree(result, oracle(rule, params, gradients))
    lazy = T.LearningRateMultipliers(
        T.Partition(T.Regularization(LazyMomentum(0.05), l2=0.1), [["v1", LazyMomentum(0.02)]]), {"v0": 2}
    )
    result = run(api, modes_of(api)[0], lazy, params, gradients)
    assert_agree(result, oracle(lazy, params, gradients))


def gradient_side(name):
    """Transforms that change gradients only, whose order can be told by hand."""
    return {
        "agc": lambda gs, ws: [agc2(g, w) if i else g for i, (g, w) in enumerate(zip(gs, ws))],
        "clipnorm": lambda gs, ws: [g * min(1, 0.7 / np.linalg.norm(g)) for g in gs],
        "global_clipnorm": lambda gs, ws: [
            g * min(1, 1.2 / math.sqrt(sum((x**2).sum() for x in gs))) for g in gs
        ],
        "unscale": lambda gs, ws: [g / 4 for g in gs],
        "regularization": lambda gs, ws: [
            g if i == 1 else g + 0.02 * np.sign(w) + 0.1 * w for i, (g, w) in enumerate(zip(gs, ws))
        ],
    }[name]


def agc2(g, w):
    limit = 0.1 * np.maximum(norms(w), 1e-3)
    return np.where(norms(g) > limit, g * limit / norms(g), g)


@pytest.mark.parametrize(
    "names", itertools.permutations(["agc", "clipnorm", "global_clipnorm", "unscale", "regularization"], 3)
)
def test_gradient_transforms_in_every_order(names):
    """Each changes the gradient once, in its turn, though some see all gradients and some do not."""
    params, gradients = given()
    rule = rules.SGD(0.1)
    for name in reversed(names):
        rule = MADE[name](rule)
    values = [p.astype("float64") for p in params]
    for row in gradients:
        grads = [g.astype("float64") for g in row]
        for name in names:
            grads = gradient_side(name)(grads, values)
        values = [w - 0.1 * g for w, g in zip(values, grads)]
    close(oracle(rule)[0], values)


PAIRS = [
    pytest.param(pair, inside, marks=() if i % 29 == 0 else pytest.mark.wide, id="-".join((*pair, inside)))
    for i, (pair, inside) in enumerate(
        itertools.product(itertools.permutations(sorted(MADE), 2), sorted(RULES))
    )
]


@pytest.mark.parametrize("pair,inside", PAIRS)
def test_pairs_nest(pair, inside):
    """Either order makes a rule that runs, does something, and is JSON; with clipping by a norm that is never
    reached between, which makes everything around it see all gradients at once, the numbers are the same."""
    outer, inner = pair
    base = RULES[inside]
    if set(pair) in CLASH:
        with pytest.raises(kcompat.RuleError, match="slot|Partition inside"):
            MADE[outer](MADE[inner](base))
        return
    if "partition" in inner and outer.startswith("partition"):
        return
    rule = MADE[outer](MADE[inner](base))
    got, slots = oracle(rule)
    assert all(np.isfinite(value).all() for value in got)
    plain = oracle(base)[0]
    if not {outer, inner} <= {"moving_average", "swa", "skip"}:
        assert any(not np.allclose(one, other, rtol=1e-9) for one, other in zip(got, plain))
    again = type(rule)(**json.loads(json.dumps(rule.config())))
    assert again == rule
    assert hash(again) == hash(rule)
    if inside == "adam":
        idle = MADE[outer](MADE[inner](T.ClipByGlobalNorm(base, 1e9)))
        # Decay around what looks at the parameter: it has decayed then, but not where all gradients are seen.
        looks = outer == "weight_decay" and inner in ("agc", "regularization")
        if "partition_all" not in pair and not looks:
            close(oracle(idle)[0], got, rtol=1e-9)


NESTED = [
    ("partition_all", "accumulation"),
    ("accumulation", "skip"),
    ("skip", "partition_all"),
    ("global_clipnorm", "accumulation"),
    ("lookahead", "partition"),
    ("multipliers", "partition_all"),
]


@pytest.mark.wide
@pytest.mark.parametrize("pair", NESTED, ids="-".join)
@pytest.mark.parametrize("api", APIS)
def test_pairs_on_every_api(api, pair):
    params, gradients = given()
    rule = MADE[pair[0]](MADE[pair[1]](rules.Adam(0.05, epsilon=1e-3)))
    assert_agree(run(api, modes_of(api)[0], rule, params, gradients), oracle(rule))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if "part" in n else pytest.mark.wide) for n in sorted(MADE)]
)
def test_configuration_of_an_optimizer(api, name):
    rate = schedules.CosineDecay(0.05, 9, alpha=0.2)
    rule = MADE[name](rules.Adam(rate))
    optimizer = kcompat.optimizer(rule, api)
    config = json.loads(json.dumps(optimizer.get_config()))
    again = type(optimizer).from_config(config)
    assert again.rule == optimizer.rule == rule
    assert again.rule != MADE[name](rules.Adam(0.05))


@pytest.mark.parametrize("api", APIS)
def test_setting_the_learning_rate(api):
    """It takes effect, also through a partition, whose first rule's it is."""
    if modes_of(api)[0] == "graph":
        pytest.skip("set through a session there; tests/test_behaviour.py")
    params, gradients = given()
    rule = T.LearningRateMultipliers(T.Partition(rules.SGD(0.1), [["v1", rules.SGD(0.3)]]), {"v0": 0.5})

    def before_step(step, optimizer, session):
        if step == 4:
            optimizer.learning_rate = 0.01

    result = run(api, modes_of(api)[0], rule, params, gradients, before_step=before_step)

    def rate(i, step):
        late = 0.01 if step >= 4 else 0.1
        return (0.5 * late, 0.3, late)[i]

    for got, want in zip(result.params, sgd(rate=rate)):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", ["moving_average", "swa"])
def test_swap(make):
    """What trains and its average change places, and come back, through the transforms around."""
    xp = kcompat.namespaces.namespace("numpy", "float64")
    inside = T.Partition(MADE[make](rules.Adam(0.1)), [["b", Distance(0.1)]])
    rule = T.AdaptiveGradientClipping(inside, exclude=["a"])
    assert rule.has_averages
    assert not MADE["lookahead"](rules.Adam(0.1)).has_averages
    of = rule.for_variable("a", (2,))
    param = xp.asarray([1.0, 2.0])
    slots = dict(of.init(xp, param), average=xp.asarray([5.0, 6.0]))
    hyper = kcompat.rule.hyper_values(of, {}, xp)
    swapped, new = of.swap(xp, param, slots, hyper, True)
    assert xp.unwrap(swapped).tolist() == [5, 6]
    assert xp.unwrap(new["average"]).tolist() == [1, 2]
    assert set(new) == set(slots)
    back, _ = of.swap(xp, swapped, new, hyper, False)
    assert xp.unwrap(back).tolist() == [1, 2]


ADAM = rules.Adam()


@pytest.mark.parametrize(
    "make,words",
    [
        (lambda: T.Partition(ADAM, [["v", 3]]), "rule of part 0"),
        (lambda: T.Partition(ADAM, {"v": ADAM}), "list of pairs"),
        (lambda: T.Partition(ADAM, [["(", ADAM]]), "regular expression"),
        (lambda: T.Partition(ADAM, [[{"shape": 2}, ADAM]]), "regular expression"),
        (lambda: T.Partition(ADAM, [["v", T.Partition(ADAM, [["w", ADAM]])]]), "Partition inside"),
        (lambda: T.Partition(ADAM, [["v", LazyMomentum()]]), "rules of one kind"),
        (lambda: T.Partition(ADAM, patterns=["v"]), "1 patterns and 0 rules"),
        (lambda: T.LearningRateMultipliers(ADAM, [["v", -1.0]]), "factor"),
        (lambda: T.AdaptiveGradientClipping(LazyMomentum()), "rows"),
        (lambda: T.GradientCentralization(LazyMomentum()), "rows"),
        (lambda: T.Lookahead(LazyMomentum()), "rows"),
        (lambda: T.Lookahead(ADAM, sync_period=0), "at least 1"),
        (lambda: T.SWA(ADAM, average_period=0), "at least 1"),
        (lambda: T.MovingAverage(ADAM, num_updates=-1), "at least 0"),
        (lambda: T.WeightDecay(ADAM, 0.1, exclude="bias"), "expected a list"),
        (lambda: T.NormalizedWeightDecay(ADAM, {"v": (0.1, -0.2)}), "negative"),
        (lambda: T.NormalizedWeightDecay(ADAM, {"v": 0.1}, 0), "at least 1"),
        (lambda: T.Lookahead(T.Lookahead(ADAM)), "slow"),
        (lambda: T.SkipNonFinite(T.SkipNonFinite(ADAM)), "skipped_steps"),
    ],
)
def test_errors(make, words):
    with pytest.raises(kcompat.KcompatError, match=words):
        make()


@pytest.mark.wide
@pytest.mark.parametrize("api", [api for api in APIS if _arrays.backend(api) != "jax"])
def test_float64(api):
    params = starting_values(SHAPES, dtype="float64")
    gradients = varied_gradients(SHAPES, STEPS, dtype="float64")
    rule = T.SkipNonFinite(T.Lookahead(T.Partition(rules.Adam(0.05), [["v1", Distance(0.2)]]), 3))
    result = run(api, modes_of(api)[0], rule, params, gradients)
    assert_agree(result, oracle(rule, params, gradients), rtol=1e-12, atol=1e-12)

"""Trees of transforms around rules, drawn at random: on every path of the plan what the rule is in NumPy.

Variables of few shapes, of which patterns choose some; gradients by rows, and missing; a rate that is set.
"""

import contextlib
import random

import numpy as np
import pytest
from _apis import APIS
from _modes import modes_of, run

import kcompat
from kcompat import rules, transforms
from kcompat.testing import reference

DRAWS = 16
SHAPES = [(3, 2), (6, 3), (4,), ()]
PATTERNS = ["v1", "v[02]", "v[13]", "v3"]

# What each rule is made with: no number of a step is so small that the order of operations decides it.
RULES = {
    "AdEMAMix": {},
    "Adadelta": {"epsilon": 1e-3},
    "Adafactor": {},
    "Adagrad": {},
    "Adam": {"epsilon": 1e-3},
    "AdamW": {"epsilon": 1e-3, "weight_decay": 0.3},
    "Adamax": {"epsilon": 1e-3},
    "Adan": {},
    "Ftrl": {},
    "LAMB": {"weight_decay": 0.1, "exclude_from_weight_decay": ["v1"]},
    "LARS": {},
    "LazyAdam": {"epsilon": 1e-3},
    "Muon": {"exclude_layers": ["v1"]},
    "Nadam": {"epsilon": 1e-3},
    "NovoGrad": {},
    "Prodigy": {},
    "RMSprop": {"epsilon": 1e-3, "momentum": 0.5},
    "RectifiedAdam": {"epsilon": 1e-3},
    "SGD": {"momentum": 0.9},
    "SGDW": {"momentum": 0.9, "weight_decay": 0.01},
    "ScheduleFreeSGD": {},
    "Yogi": {},
}


def draw_rule(drawn):
    name = drawn.choice(sorted(RULES))
    rate = 1.0 if name == "Prodigy" else drawn.choice([0.05, 0.02])
    return getattr(rules, name)(learning_rate=rate, **RULES[name])


def some(drawn):
    """Variables that are meant, or left out."""
    return drawn.choice([[], [drawn.choice(PATTERNS)]])


TRANSFORMS = {
    "accumulation": lambda d, r: transforms.GradientAccumulation(r, 2),
    "adaptive": lambda d, r: transforms.AdaptiveGradientClipping(r, exclude=some(d)),
    "average": lambda d, r: transforms.ExponentialMovingAverage(r, 0.5),
    "central": lambda d, r: transforms.GradientCentralization(r, include=some(d)),
    "decay": lambda d, r: transforms.WeightDecay(r, 0.2, exclude=some(d)),
    "decay_in_time": lambda d, r: transforms.InverseTimeDecay(r, 0.1),
    "global_norm": lambda d, r: transforms.ClipByGlobalNorm(r, 1.0),
    "lookahead": lambda d, r: transforms.Lookahead(r, 3, 0.5),
    "multipliers": lambda d, r: transforms.LearningRateMultipliers(r, {d.choice(PATTERNS): 0.25, "v0": 0.5}),
    "norm": lambda d, r: transforms.ClipByNorm(r, 1.0),
    "normalized": lambda d, r: transforms.NormalizedWeightDecay(r, {d.choice(PATTERNS): 0.1}),
    "partition": lambda d, r: transforms.Partition(r, [[d.choice(PATTERNS), draw_rule(d)]]),
    "penalty": lambda d, r: transforms.Regularization(r, l2=0.1, exclude=some(d)),
    "skip": lambda d, r: transforms.SkipNonFinite(r),
    "value": lambda d, r: transforms.ClipByValue(r, 1.0),
}


def draw_tree(drawn):
    tree = draw_rule(drawn)
    for name in drawn.sample(sorted(TRANSFORMS), drawn.choice([1, 1, 2, 3])):
        with contextlib.suppress(kcompat.RuleError):  # some don't go around others
            tree = TRANSFORMS[name](drawn, tree)
    return tree


def draw_gradients(drawn, shapes):
    """Alike in every step, so that a step may be taken again, or of all kinds."""
    numbers, alike, steps = np.random.RandomState(drawn.randrange(1 << 31)), drawn.random() < 0.5, []
    for _ in range(6):
        row = []
        for i, shape in enumerate(shapes):
            size, kind = 10 ** numbers.uniform(-1, 0.5), 1.0 if alike else numbers.rand()
            if kind < 0.1 and i:
                row.append(None)
            elif kind < 0.25 and shape:
                indices = numbers.randint(0, shape[0], 4)
                indices[-1] = indices[0]
                row.append(((numbers.randn(4, *shape[1:]) * size).astype("float32"), indices.astype("int64")))
            else:
                row.append(np.asarray(numbers.randn(*shape) * size, "float32"))
        steps.append(row)
    return steps


@pytest.fixture
def threshold(monkeypatch):
    """Sets from which number of elements on a variable is large, where TensorFlow compiles such ones."""

    def at(elements):
        with contextlib.suppress(ImportError):  # no TensorFlow
            from kcompat.adapters import compiled_tensorflow, tensorflow_base

            monkeypatch.setattr(tensorflow_base, "LARGE", elements)
            monkeypatch.setattr(compiled_tensorflow, "LARGE", elements)

    return at


@pytest.mark.wide
@pytest.mark.filterwarnings("ignore:.*no gradient for")
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("seed", range(DRAWS))
def test_a_tree_is_what_it_is_in_numpy(api, seed, threshold):
    drawn = random.Random(seed)
    tree = draw_tree(drawn)
    shapes = [drawn.choice(SHAPES[: drawn.choice([1, 2, 4])]) for _ in range(drawn.choice([3, 7]))]
    params = [np.asarray(np.random.RandomState(i).randn(*shape), "float32") for i, shape in enumerate(shapes)]
    gradients = draw_gradients(drawn, shapes)
    threshold(drawn.choice([0, 7, 1 << 18]))
    mode = drawn.choice(modes_of(api))
    # A partition has several learning rates, of which an optimizer's is one.
    has_one = "part_0" not in repr(tree)
    changes = {3: {"learning_rate": 0.03}} if has_one and drawn.random() < 0.5 else {}

    def before_step(step, optimizer, session):
        for name, value in changes.get(step, {}).items():
            setattr(optimizer, name, value)

    names = ["v{}".format(i) for i in range(len(shapes))]
    expected = reference(tree, params, gradients, names=names, set_hyper=changes)[0]
    got = run(api, mode, tree, params, gradients, before_step).params
    for value, want, name in zip(got, expected, names):
        np.testing.assert_allclose(value, want, rtol=1e-4, atol=1e-4, err_msg="{} {}".format(name, tree))

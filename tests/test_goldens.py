"""Numbers that others publish for their optimizers, met on every API: Keras 3's and TensorFlow Addons'.

They are what the test suites of Keras 3.16 and of TensorFlow Addons 0.23 expect, of constants that they give
as parameters and gradients. Keras rounds them to four places.
"""

import numpy as np
import pytest
from _apis import APIS
from _modes import modes_of, run
from _steps import steps

import kcompat
from kcompat import rules, schedules
from kcompat.rules import lamb_addons
from kcompat.transforms import Lookahead

# Keras: from ones, a step with gradients of 0.01, then steps with 0.1, 0.2 ... 1.0. One row a step; a single
# number stands for all ten elements.
FIRST, GRADIENTS = np.full(10, 0.01), np.arange(1, 11) / 10.0
ADAM = [[0.999], [0.9982], [0.9974], [0.9965], [0.9955]]
KERAS = {
    "SGD": ({"nesterov": True}, [0.9999 - 0.001 * i * np.arange(1, 11) for i in range(5)]),
    "Adam": ({"amsgrad": True}, ADAM),
    "Lamb": ({}, ADAM),
    "Lion": ({}, [[0.999], [0.998], [0.997], [0.996], [0.995]]),
    "RMSprop": ({"centered": True}, [[0.9967], [0.9933], [0.9908], [0.9885], [0.9864]]),
    "Adadelta": (
        {"learning_rate": 1.0, "rho": 0.8, "epsilon": 1e-6},
        [[0.9978], [0.9947], [0.9915], [0.9882], [0.9849]],
    ),
    "Adagrad": (
        {"learning_rate": 0.2, "initial_accumulator_value": 0.3, "epsilon": 1e-6},
        [
            [0.9963],
            [0.9604, 0.9278, 0.9003, 0.8784, 0.8615, 0.8487, 0.8388, 0.8313, 0.8255, 0.8209],
            [0.9251, 0.8629, 0.8137, 0.7768, 0.7497, 0.7298, 0.7151, 0.704, 0.6956, 0.6891],
            [0.8903, 0.8012, 0.7342, 0.6862, 0.6521, 0.6277, 0.6099, 0.5967, 0.5867, 0.579],
            [0.856, 0.7422, 0.6604, 0.6037, 0.5644, 0.5367, 0.5168, 0.5021, 0.491, 0.4825],
        ],
    ),
    "Adamax": (
        {"learning_rate": 0.2, "beta_1": 0.85, "beta_2": 0.95, "epsilon": 1e-6},
        [
            [0.8],
            [0.6827, 0.6873, 0.6888, 0.6896, 0.6901, 0.6904, 0.6906, 0.6908, 0.6909, 0.691],
            [0.5333, 0.5407, 0.5431, 0.5444, 0.5451, 0.5456, 0.546, 0.5462, 0.5464, 0.5466],
            [0.368, 0.3773, 0.3804, 0.382, 0.3829, 0.3835, 0.384, 0.3843, 0.3846, 0.3848],
            [0.1933, 0.204, 0.2076, 0.2094, 0.2105, 0.2112, 0.2117, 0.2121, 0.2124, 0.2126],
        ],
    ),
    "Nadam": (
        {"learning_rate": 0.5, "beta_1": 0.5, "beta_2": 0.67, "epsilon": 1e-5},
        [
            [0.4281],
            [-0.1738, -0.1731, -0.1726, -0.1723, -0.1721, -0.172, -0.1719, -0.1718, -0.1718, -0.1717],
            [-0.7115, -0.7103, -0.7096, -0.7092, -0.709, -0.7088, -0.7086, -0.7085, -0.7085, -0.7084],
            [-1.2335, -1.2322, -1.2313, -1.2309, -1.2306, -1.2304, -1.2302, -1.2301, -1.23, -1.2299],
            [-1.7492, -1.7478, -1.7469, -1.7464, -1.7461, -1.7459, -1.7457, -1.7456, -1.7455, -1.7454],
        ],
    ),
    "Ftrl": (
        {
            "learning_rate": 0.05,
            "learning_rate_power": -0.2,
            "initial_accumulator_value": 0.4,
            "l1_regularization_strength": 0.05,
            "l2_regularization_strength": 0.15,
            "l2_shrinkage_regularization_strength": 0.01,
            "beta": 0.3,
        },
        [
            [0.0],
            [-0.0034, -0.0077, -0.0118, -0.0157, -0.0194, -0.023, -0.0263, -0.0294, -0.0325, -0.0354],
            [-0.0078, -0.0162, -0.0242, -0.0317, -0.0387, -0.0454, -0.0516, -0.0575, -0.0631, -0.0685],
            [-0.0121, -0.0246, -0.0363, -0.0472, -0.0573, -0.0668, -0.0757, -0.0842, -0.0922, -0.0999],
            [-0.0164, -0.0328, -0.0481, -0.0623, -0.0753, -0.0875, -0.099, -0.1098, -0.1201, -0.1299],
        ],
    ),
    "Adafactor": (
        {
            "learning_rate": 0.5,
            "beta_2_decay": -0.65,
            "epsilon_1": 1e-15,
            "epsilon_2": 1e-4,
            "clip_threshold": 0.9,
            "relative_step": False,
        },
        [
            [0.55],
            [0.3031, 0.3026, 0.3025, 0.3024, 0.3024, 0.3024, 0.3024, 0.3024, 0.3024, 0.3024],
            [0.1671, 0.1665, 0.1663, 0.1663, 0.1663, 0.1663, 0.1663, 0.1663, 0.1663, 0.1663],
            [0.0923, 0.0916, 0.0915, 0.0914, 0.0914, 0.0914, 0.0914, 0.0914, 0.0914, 0.0914],
            [0.0554, 0.0548, 0.0546, 0.0546, 0.0546, 0.0546, 0.0546, 0.0545, 0.0545, 0.0545],
        ],
    ),
    "AdamW": (
        {"learning_rate": 1.0, "weight_decay": 0.5, "epsilon": 2},
        [
            [0.4998],
            [0.2486, 0.2475, 0.2463, 0.2451, 0.244, 0.2428, 0.2417, 0.2405, 0.2394, 0.2382],
            [0.1223, 0.1198, 0.1174, 0.1149, 0.1124, 0.11, 0.1075, 0.1051, 0.1027, 0.1003],
            [0.0586, 0.0549, 0.0512, 0.0475, 0.0439, 0.0402, 0.0366, 0.033, 0.0294, 0.0258],
            [0.0263, 0.0215, 0.0167, 0.012, 0.0073, 0.0026, -0.0021, -0.0067, -0.0113, -0.0159],
        ],
    ),
}
# Where Keras' number is not its optimizer's: it compares with 5e-4, and so do these.
ROUGH = {"Adam": 5e-4, "Lamb": 1e-3}
HALF_A_PLACE = 5.5e-5

# Keras: one step at learning rate 0.5 from 1, 2, 3, 4 (or a matrix of these) with gradients of 1, 6, 7, 2.
ONE_STEP = {
    "SGD": [0.5, -1.0, -0.5, 3.0],
    "Adam": [0.5, 1.5, 2.5, 3.5],
    "AdamW": [0.498, 1.496, 2.494, 3.492],
    "Adadelta": [0.9993, 1.9993, 2.9993, 3.9993],
    "Adafactor": [-0.3693, 0.6307, 1.6307, 2.6307],
    "Adagrad": [0.5233, 1.5007, 2.5005, 3.5061],
    "Adamax": [0.5, 1.5, 2.5, 3.5],
    "Ftrl": [0.2218, 1.3954, 2.3651, 2.8814],
    "Lamb": [-0.3693, 0.6306, 1.6306, 2.6306],
    "Lion": [0.5, 1.5, 2.5, 3.5],
    "Nadam": [0.4686, 1.4686, 2.4686, 3.4686],
    "RMSprop": [-0.5811, 0.4189, 1.4189, 2.4189],
}
OF_A_MATRIX = {
    "Adafactor": ({}, [[0.7007, -0.0081], [1.2492, 3.4407]], 1e-4),
    # What Keras 3.16's own gives; the number in its tests is of another release.
    "Muon": ({"weight_decay": 0.0}, [[0.98877496, 1.8870527], [2.8734276, 3.9703503]], 1e-5),
}

# Addons: name -> (class, arguments, steps, sparse, what becomes of [1, 2] and [3, 4]). Dense gradients are
# [0.1, 0.2] and [0.03, 0.04], sparse ones 0.1 for row 0 of the one and 0.04 for row 1 of the other.
WARM = {"total_steps": 100, "warmup_proportion": 0.1, "min_lr": 1e-5}
PLAIN = [[0.985769, 1.985269], [2.986119, 3.986068]]
ROWS = [[0.959333, 2.0], [3.0, 3.959632]]
ADDONS = {
    "radam": ("RectifiedAdam", {}, 100, False, PLAIN),
    "radam sparse": ("RectifiedAdam", {}, 200, True, ROWS),
    "radam amsgrad": ("RectifiedAdam", {"amsgrad": True}, 100, False, PLAIN),
    "radam amsgrad sparse": ("RectifiedAdam", {"amsgrad": True}, 200, True, ROWS),
    "radam decay": (
        *("RectifiedAdam", {"weight_decay": 0.01}, 100, False),
        [[0.984775, 1.983276], [2.983125, 3.982076]],
    ),
    "radam warm-up": ("RectifiedAdam", WARM, 100, False, [[0.994062, 1.993912], [2.994167, 3.994152]]),
    "radam warm-up sparse": (
        *("RectifiedAdam", {**WARM, "total_steps": 200}, 200, True),
        [[0.982629, 2.0], [3.0, 3.982674]],
    ),
    "adabelief": (
        *("AdaBelief", {"rectify": False}, 100, False),
        [[0.66723955, 1.6672393], [2.6672382, 3.6672382]],
    ),
    "adabelief amsgrad": (
        *("AdaBelief", {"rectify": False, "amsgrad": True}, 100, False),
        [[0.67249274, 1.6724932], [2.6724923, 3.6724923]],
    ),
    "adabelief decay": (
        *("AdaBelief", {"rectify": False, "weight_decay": 0.01}, 100, False),
        [[0.66637343, 1.6653734], [2.6643748, 3.6633751]],
    ),
    "adabelief warm-up": (
        *("AdaBelief", {"rectify": False, **WARM}, 100, False),
        [[0.85635465, 1.8563547], [2.8563545, 3.8563545]],
    ),
}
RATE = {"learning_rate": 1e-3}
# The same of other gradients: NovoGrad's [0.1, 0.2], [0.3, 0.4]; ProximalAdagrad's [0.1, 0.2], [0.01, 0.02]
# of [1, 2], [4, 3]. And sparse ones: 0.1 for row 0, 0.4 or 0.02 for row 1.
NOVOGRAD = {
    "novograd": ({}, 1, False, [[0.9552786425, 1.9105572849], [2.94, 3.92]]),
    "novograd decay": (
        {"weight_decay": 0.1},
        *(1, False, [[0.945278642, 1.8905572849], [2.91, 3.88]]),
    ),
    "novograd mean": (
        {"grad_averaging": True},
        *(2, False, [[0.9105572849, 1.8211145698], [2.88, 3.84]]),
    ),
    "novograd sparse": ({}, 2, True, [[0.71, 2.0], [3.0, 3.71]]),
    "novograd decay sparse": ({"weight_decay": 0.1}, 2, True, [[0.6821, 2.0], [3.0, 3.5954]]),
    "novograd mean sparse": ({"grad_averaging": True}, 2, True, [[0.8, 2.0], [3.0, 3.8]]),
}
L1, L2 = {"l1_regularization_strength": 0.001}, {"l2_regularization_strength": 2.0}
PROXIMAL = {
    "proximal": ({}, False, [[-6.722771, -9.230448], [3.0539124, 1.1230775]]),
    "proximal l1": (L1, False, [[-6.663634, -9.190331], [2.9593036, 1.0292315]]),
    "proximal l1 l2": ({**L1, **L2}, False, [[-0.0495, -0.0995], [-0.0045, -0.0095]]),
    "proximal sparse": ({}, True, [[-6.722771, 2.0], [4.0, 1.1230775]]),
    "proximal l1 sparse": (L1, True, [[-6.663634, 2.0], [4.0, 1.0292315]]),
    "proximal l1 l2 sparse": ({**L1, **L2}, True, [[-0.0495, 2.0], [4.0, -0.0095]]),
}
# What Addons' tests work out in NumPy: steps of [1, 2] and [3, 4] with gradients of 0.1 and 0.01, the sparse
# ones of the first and last of three rows. (rule, steps, sparse, numbers.)
REGULARIZED = {"l1_regularization_strength": 0.1, "l2_regularization_strength": 0.2}
INVERSE = schedules.InverseTimeDecay(1e-3, decay_steps=1.0, decay_rate=0.5)
LAMB, YOGI = lamb_addons.LAMB, {"initial_accumulator_value": 1.0}
FORMULAS = {
    "lamb": (LAMB(), 3, False, [[0.9952610817, 1.9952610817], [2.9894038946, 3.9894038946]]),
    "lamb decay": (
        *(LAMB(INVERSE, epsilon=1e-7, weight_decay=0.01), 3, False),
        [[0.9965933584, 1.9965596292], [2.9923819991, 3.9923080373]],
    ),
    "lamb sparse": (LAMB(), 3, True, [[0.9948083452, 1.0, 1.9948083452], [2.9876411773, 3.0, 3.9876411773]]),
    "lazy": (rules.LazyAdam(), 3, False, [[0.9970000723, 1.9970000723], [2.9970007224, 3.9970007224]]),
    "lazy sparse": (
        *(rules.LazyAdam(), 3, True),
        [[0.9970000723, 1.0, 1.9970000723], [2.9970007224, 3.0, 3.9970007224]],
    ),
    "yogi": (rules.Yogi(**YOGI), 3, False, [[0.9998690517, 1.9998690517], [2.9999869053, 3.9999869053]]),
    "yogi regularized": (
        *(rules.Yogi(**YOGI, **REGULARIZED), 3, False),
        [[0.9976130182, 1.9961089234], [2.9947226326, 3.9932185516]],
    ),
    "yogi without momentum": (
        *(rules.Yogi(beta1=0.0, **YOGI, **REGULARIZED), 3, False),
        [[0.9994762993, 1.999214449], [2.9990704413, 3.9988085937]],
    ),
    "conditional gradient": (
        *(rules.ConditionalGradient(0.5, 0.01), 2, False),
        [[0.2446966991, 0.4946966991], [0.7446966991, 0.9946966991]],
    ),
    "conditional gradient, nuclear": (
        *(rules.ConditionalGradient(0.5, 0.01, ord="nuclear"), 2, False),
        [[0.2446966991, 0.4946966991], [0.7446966991, 0.9946966991]],
    ),
}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(KERAS))
def test_keras_goldens(name, api):
    arguments, rows = KERAS[name]
    cls = kcompat.optimizer_class(getattr(rules, name), api=api)
    with steps(api, modes_of(api)[0], lambda: cls(**arguments), np.ones(10)) as training:
        for number, row in enumerate(rows):
            training.step(FIRST if number == 0 else GRADIENTS)
            got = training.values()[0]
            limit = ROUGH.get(name, HALF_A_PLACE)
            np.testing.assert_allclose(got, np.broadcast_to(row, 10), rtol=0, atol=limit)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(ONE_STEP))
def test_keras_single_step(name, api):
    cls = kcompat.optimizer_class(getattr(rules, name), api=api)
    with steps(api, modes_of(api)[0], lambda: cls(0.5), [1.0, 2.0, 3.0, 4.0]) as training:
        training.step(np.array([1.0, 6.0, 7.0, 2.0]))
        np.testing.assert_allclose(training.values()[0], ONE_STEP[name], rtol=0, atol=1.1e-4)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(OF_A_MATRIX))
def test_keras_single_step_of_a_matrix(name, api):
    arguments, want, limit = OF_A_MATRIX[name]
    cls = kcompat.optimizer_class(getattr(rules, name), api=api)
    with steps(api, modes_of(api)[0], lambda: cls(0.5, **arguments), [[1.0, 2.0], [3.0, 4.0]]) as training:
        training.step(np.array([[1.0, 6.0], [7.0, 2.0]]))
        np.testing.assert_allclose(training.values()[0], want, rtol=0, atol=limit)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Lion", "Lamb", "Nadam"])
def test_keras_weight_decay(name, api):
    """Gradients of 0 leave 2 * (1 - 0.004)**3 after three steps, and 2 of a variable that is excluded."""
    cls = kcompat.optimizer_class(getattr(rules, name), api=api)

    def made():
        optimizer = cls(learning_rate=1.0, weight_decay=0.004)
        optimizer.exclude_from_weight_decay(var_names=["v1"])
        return optimizer

    with steps(api, modes_of(api)[0], made, [2.0], [2.0]) as training:
        for _ in range(3):
            training.step(0.0, 0.0)
        decayed, excluded = training.values()
        np.testing.assert_allclose(decayed, [1.9760959], rtol=1e-6)
        np.testing.assert_allclose(excluded, [2.0], rtol=0)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "base,want",
    [
        ({"clipnorm": 1.0}, -(0.5**0.5) * np.ones(2)),
        ({"clipvalue": 1.0}, -np.ones(2)),
        ({"global_clipnorm": 1.0}, -(0.5**0.5) * np.ones(2)),
    ],
    ids=["clipnorm", "clipvalue", "global_clipnorm"],
)
def test_keras_clipping(base, want, api):
    cls = kcompat.optimizer_class(rules.SGD, api=api)
    with steps(api, modes_of(api)[0], lambda: cls(1.0, **base), [0.0, 0.0]) as training:
        training.step(100.0)
        np.testing.assert_allclose(training.values()[0], want, rtol=1e-6)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
def test_keras_moving_average(api):
    cls = kcompat.optimizer_class(rules.SGD, api=api)
    base = {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3}
    with steps(api, modes_of(api)[0], lambda: cls(1.0, **base), [3.0, 6.0]) as training:
        for want in ([2.0, 5.0], [1.0, 4.0], [1.71, 4.71]):
            training.step(1.0)
            np.testing.assert_allclose(training.values()[0], want, rtol=1e-6)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
def test_keras_gradient_accumulation(api):
    cls = kcompat.optimizer_class(rules.SGD, api=api)
    with steps(
        api, modes_of(api)[0], lambda: cls(1.0, gradient_accumulation_steps=3), [1.0, 2.0]
    ) as training:
        for want in ([1.0, 2.0], [1.0, 2.0], [0.0, 1.0], [0.0, 1.0]):
            training.step(1.0)
            np.testing.assert_allclose(training.values()[0], want, rtol=1e-6)


def trained(api, rule, params, gradients, times):
    """The parameters after some steps with the same gradients."""
    params = [np.asarray(param, "float32") for param in params]
    row = [
        (np.asarray(grad[0], "float32"), np.asarray(grad[1]))
        if isinstance(grad, tuple)
        else np.asarray(grad, "float32")
        for grad in gradients
    ]
    return run(api, modes_of(api)[0], rule, params, [row] * times).params


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(ADDONS))
def test_addons_adam_like(name, api):
    cls, arguments, times, sparse, want = ADDONS[name]
    gradients = [([0.1], [0]), ([0.04], [1])] if sparse else [[0.1, 0.2], [0.03, 0.04]]
    got = trained(api, getattr(rules, cls)(**RATE, **arguments), [[1.0, 2.0], [3.0, 4.0]], gradients, times)
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-4)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
def test_addons_ranger(api):
    rule = Lookahead(rules.RectifiedAdam(1e-3, beta_1=0.95), sync_period=6, slow_step_size=0.45)
    got = trained(api, rule, [[1.0, 2.0], [3.0, 4.0]], [[0.1, 0.2], [0.03, 0.04]], 100)
    np.testing.assert_allclose(got, [[0.993126, 1.992901], [2.993283, 3.993261]], rtol=0, atol=2e-4)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(NOVOGRAD))
def test_addons_novograd(name, api):
    arguments, times, sparse, want = NOVOGRAD[name]
    gradients = [([0.1], [0]), ([0.4], [1])] if sparse else [[0.1, 0.2], [0.3, 0.4]]
    rule = rules.NovoGrad(0.1, epsilon=1e-8, **arguments)
    got = trained(api, rule, [[1.0, 2.0], [3.0, 4.0]], gradients, times)
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(PROXIMAL))
def test_addons_proximal_adagrad(name, api):
    arguments, sparse, want = PROXIMAL[name]
    gradients = [([0.1], [0]), ([0.02], [1])] if sparse else [[0.1, 0.2], [0.01, 0.02]]
    rule = rules.ProximalAdagrad(3.0, initial_accumulator_value=0.1, **arguments)
    got = trained(api, rule, [[1.0, 2.0], [4.0, 3.0]], gradients, 10)
    np.testing.assert_allclose(got, want, rtol=2e-6)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "alpha,times,want",
    [
        (100.0, 100, [[-4.183396e16, -4.183396e16], [-4.1833639e16, -4.1833858e16]]),
        (20.0, 100, [[-8.60311e26, -8.60311e26], [-8.603111e26, -8.603099e26]]),
        (55.7, 78, [[-6.7280056e15, -6.7280056e15], [-6.7279933e15, -6.7280217e15]]),
    ],
)
def test_addons_cocob(alpha, times, want, api):
    got = trained(api, rules.COCOB(alpha), [[1.0, 2.0], [3.0, 4.0]], [[0.1, 0.2], [0.03, 0.04]], times)
    np.testing.assert_allclose(got, want, rtol=2e-4)


@pytest.mark.wide
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_addons_formulas(name, api):
    rule, times, sparse, want = FORMULAS[name]
    gradients = [([g, g], [0, 2]) if sparse else [g, g] for g in (0.1, 0.01)]
    start = [[1.0, 1.0, 2.0], [3.0, 3.0, 4.0]] if sparse else [[1.0, 2.0], [3.0, 4.0]]
    np.testing.assert_allclose(trained(api, rule, start, gradients, times), want, rtol=1e-6)

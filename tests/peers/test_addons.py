"""`kcompat.addons` against TensorFlow Addons itself: every name, its options, its signature.

Not collected by default. It needs an environment with tensorflow-addons 0.23 (TensorFlow 2.12 to 2.15):

    pytest tests/peers/test_addons.py
"""

import inspect
import os
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
pytestmark = pytest.mark.filterwarnings("ignore")
tfa = pytest.importorskip("tensorflow_addons")

import tensorflow as tf  # noqa: E402
from _modes import starting_values, varied_gradients  # noqa: E402

import kcompat  # noqa: E402
from kcompat import addons  # noqa: E402

STEPS = 60
SHAPES = [(3, 2), (6, 3), (4,), ()]
NAMES = ["dense/kernel", "embedding", "dense/bias", "gain"]
EMBEDDING = 1
APIS = [api for api in ("optimizer_v2", "keras_2_11") if api in kcompat.detect().apis]

# name -> (class, arguments).
CASES = {
    "adabelief": ("AdaBelief", {}),
    "adabelief_rate": ("AdaBelief", {"learning_rate": 0.02, "epsilon": 1e-4}),
    "adabelief_plain": (
        "AdaBelief",
        {"learning_rate": 0.02, "rectify": False, "weight_decay": 0.05, "beta_1": 0.8},
    ),
    "adabelief_amsgrad": (
        "AdaBelief",
        {"learning_rate": 0.02, "amsgrad": True, "beta_2": 0.9, "epsilon": 1e-5},
    ),
    "adabelief_warm_up": (
        "AdaBelief",
        {
            "learning_rate": 0.02,
            "total_steps": 40,
            "warmup_proportion": 0.2,
            "min_lr": 0.003,
            "sma_threshold": 6.0,
        },
    ),
    "adamw": ("AdamW", {"weight_decay": 0.01}),
    "adamw_all": (
        "AdamW",
        {"weight_decay": 0.01, "learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-2},
    ),
    "adamw_amsgrad": ("AdamW", {"weight_decay": 0.01, "learning_rate": 0.02, "beta_2": 0.9, "amsgrad": True}),
    "adamw_exclude": (
        "AdamW",
        {"weight_decay": 0.05, "learning_rate": 0.02, "exclude_from_weight_decay": ["bias:0", "^gain"]},
    ),
    "cocob": ("COCOB", {}),
    "cocob_alpha": ("COCOB", {"alpha": 5.0, "use_locking": True}),
    "conditional_gradient": ("ConditionalGradient", {"learning_rate": 0.95}),
    "conditional_gradient_all": (
        "ConditionalGradient",
        {"learning_rate": 0.95, "lambda_": 0.4, "epsilon": 0.1, "ord": "fro"},
    ),
    "conditional_gradient_nuclear": (
        "ConditionalGradient",
        {"learning_rate": 0.95, "lambda_": 0.4, "ord": "nuclear"},
    ),
    "lamb": ("LAMB", {}),
    "lamb_all": (
        "LAMB",
        {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.01, "weight_decay": 0.1},
    ),
    "lamb_exclude": (
        "LAMB",
        {"learning_rate": 0.02, "weight_decay": 0.1, "exclude_from_weight_decay": ["bias"]},
    ),
    "lamb_exclude_adaptation": (
        "LAMB",
        {
            "learning_rate": 0.02,
            "weight_decay": 0.1,
            "exclude_from_weight_decay": ["bias"],
            "exclude_from_layer_adaptation": ["^dense", "gain:0$"],
        },
    ),
    "lazyadam": ("LazyAdam", {}),
    "lazyadam_all": ("LazyAdam", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-2}),
    "novograd": ("NovoGrad", {}),
    "novograd_all": (
        "NovoGrad",
        {
            "learning_rate": 0.02,
            "beta_1": 0.8,
            "beta_2": 0.9,
            "epsilon": 0.01,
            "weight_decay": 0.05,
            "grad_averaging": True,
        },
    ),
    "novograd_amsgrad": ("NovoGrad", {"learning_rate": 0.02, "beta_2": 0.9, "amsgrad": True}),
    "proximal_adagrad": ("ProximalAdagrad", {}),
    "proximal_adagrad_all": (
        "ProximalAdagrad",
        {
            "learning_rate": 0.1,
            "initial_accumulator_value": 0.5,
            "l1_regularization_strength": 0.3,
            "l2_regularization_strength": 0.4,
        },
    ),
    "proximal_adagrad_l2": ("ProximalAdagrad", {"learning_rate": 0.1, "l2_regularization_strength": 0.4}),
    "rectifiedadam": ("RectifiedAdam", {}),
    "rectifiedadam_all": (
        "RectifiedAdam",
        {
            "learning_rate": 0.02,
            "beta_1": 0.8,
            "beta_2": 0.9,
            "epsilon": 0.01,
            "weight_decay": 0.05,
            "sma_threshold": 4.5,
        },
    ),
    "rectifiedadam_amsgrad": ("RectifiedAdam", {"learning_rate": 0.02, "beta_2": 0.9, "amsgrad": True}),
    "rectifiedadam_warm_up": (
        "RectifiedAdam",
        {
            "learning_rate": 0.02,
            "total_steps": 40,
            "warmup_proportion": 0.2,
            "min_lr": 0.003,
            "weight_decay": 0.1,
        },
    ),
    "rectifiedadam_no_warm_up": (
        "RectifiedAdam",
        {"learning_rate": 0.02, "total_steps": 30, "warmup_proportion": 0.0},
    ),
    "sgdw": ("SGDW", {"weight_decay": 0.01}),
    "sgdw_momentum": ("SGDW", {"weight_decay": 0.01, "learning_rate": 0.02, "momentum": 0.9}),
    "sgdw_nesterov": (
        "SGDW",
        {"weight_decay": 0.01, "learning_rate": 0.02, "momentum": 0.9, "nesterov": True},
    ),
    "yogi": ("Yogi", {}),
    "yogi_all": (
        "Yogi",
        {
            "learning_rate": 0.02,
            "beta1": 0.8,
            "beta2": 0.95,
            "epsilon": 0.01,
            "l1_regularization_strength": 0.2,
            "l2_regularization_strength": 0.3,
            "initial_accumulator_value": 0.2,
            "activation": "tanh",
        },
    ),
    "yogi_no_momentum": ("Yogi", {"learning_rate": 0.02, "beta1": 0.0, "l2_regularization_strength": 0.3}),
}

# What a sparse gradient does to the rows that are absent is Addons' own in these (see the last tests).
HYBRID = ("AdaBelief", "RectifiedAdam", "Yogi", "AdamW", "SGDW")


def gradients_of(sparse=()):
    """Gradients that shrink thousandfold, so that a maximum of the past binds."""
    sizes = np.geomspace(1.0, 1e-3, STEPS)
    rows = varied_gradients(SHAPES, STEPS, dtype="float64", sparse=sparse)
    return [
        [(g[0] * size, g[1]) if isinstance(g, tuple) else np.asarray(g * size) for g in row]
        for row, size in zip(rows, sizes)
    ]


def train(optimizer, gradients, dtype="float64", **kwargs):
    variables = [
        tf.Variable(value.astype(dtype), name=name)
        for value, name in zip(starting_values(SHAPES, dtype="float64"), NAMES)
    ]
    if "decay_var_list" in kwargs:
        kwargs["decay_var_list"] = [variables[i] for i in kwargs["decay_var_list"]]
    for row in gradients:
        grads = [
            tf.IndexedSlices(tf.constant(g[0].astype(dtype)), tf.constant(g[1]), v.shape)
            if isinstance(g, tuple)
            else tf.constant(g.astype(dtype))
            for g, v in zip(row, variables)
        ]
        optimizer.apply_gradients(list(zip(grads, variables)), **kwargs)
    return [v.numpy() for v in variables]


def ours(name, api, **hypers):
    return kcompat.optimizer_class(getattr(addons, name).rule_class, api, name=name)(**hypers)


def assert_same(got, want, rtol=1e-9, atol=1e-10):
    # Addons keeps hyperparameters in float32, also of float64 variables: 0.001 is 0.001 * (1 + 4.7e-8) there,
    # and 1 - 0.999 differs from 0.001 by 1.7e-5 of it. So the same is done to ours, below.
    for value, other, name in zip(got, want, NAMES):
        np.testing.assert_allclose(value, other, rtol=rtol, atol=atol, err_msg=name)
    start = starting_values(SHAPES, dtype="float64")
    assert max(np.abs(value - other).max() for value, other in zip(want, start)) > 1e-4


def as_float32(hypers, cls):
    """The hyperparameters, with their defaults, rounded as Addons rounds them for float64 variables."""
    rule = getattr(addons, cls).rule_class
    every = {n: h.default for n, h in rule.hypers.items() if not h.static}
    every.update(hypers)
    # These are Python numbers there, or constants of the variable's dtype.
    exact = {"epsilon"} if cls != "Yogi" else set()
    exact |= {"alpha"} if cls == "COCOB" else set()
    return {
        n: float(np.float32(v))
        if isinstance(v, float) and n not in exact and not rule.hypers[n].static
        else v
        for n, v in every.items()
    }


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(CASES))
def test_dense(name, api):
    cls, hypers = CASES[name]
    gradients = gradients_of()
    theirs = train(getattr(tfa.optimizers, cls)(**hypers), gradients)
    assert_same(train(ours(cls, api, **as_float32(hypers, cls)), gradients), theirs)


# Of sparse gradients, COCOB refuses all, and NovoGrad fails with amsgrad (see test_where_addons_is_wrong).
SPARSE = [n for n, (cls, _) in CASES.items() if cls not in (*HYBRID, "COCOB") and n != "novograd_amsgrad"]


@pytest.mark.parametrize("name", sorted(SPARSE))
def test_sparse(name):
    cls, hypers = CASES[name]
    gradients = gradients_of(sparse={EMBEDDING})
    theirs = train(getattr(tfa.optimizers, cls)(**hypers), gradients)
    assert_same(train(ours(cls, APIS[0], **as_float32(hypers, cls)), gradients), theirs)


@pytest.mark.parametrize("cls", HYBRID)
def test_sparse_gradients_with_every_row_are_dense_ones(cls):
    # With every row present in every step, what Addons does with absent rows does not show.
    _, hypers = next(case for case in CASES.values() if case[0] == cls)
    hypers = dict(hypers, learning_rate=0.02)
    if cls == "SGDW":  # which without momentum forgets the decay; see test_where_addons_is_wrong
        hypers["momentum"] = 0.5
    gradients = gradients_of()
    for row in gradients:
        row[EMBEDDING] = (row[EMBEDDING], np.arange(6))
    theirs = train(getattr(tfa.optimizers, cls)(**hypers), gradients)
    assert_same(train(ours(cls, APIS[0], **as_float32(hypers, cls)), gradients), theirs)


@pytest.mark.parametrize("cls", HYBRID)
def test_absent_rows_are_where_we_differ(cls):
    """Addons moves, or decays, only the rows present; here a sparse gradient is a dense one with zeros."""
    _, hypers = next(case for case in CASES.values() if case[0] == cls)
    hypers = dict(hypers, learning_rate=0.02)
    gradients = gradients_of(sparse={EMBEDDING})[:5]
    as_dense = []
    for row in gradients:
        made = np.zeros(SHAPES[EMBEDDING])
        np.add.at(made, row[EMBEDDING][1], row[EMBEDDING][0])
        as_dense.append([made if i == EMBEDDING else g for i, g in enumerate(row)])
    api = APIS[0]
    sparse = train(ours(cls, api, **hypers), gradients)
    dense = train(ours(cls, api, **hypers), as_dense)
    np.testing.assert_allclose(sparse[EMBEDDING], dense[EMBEDDING], rtol=1e-12)
    theirs = train(getattr(tfa.optimizers, cls)(**hypers), gradients)
    assert np.abs(theirs[EMBEDDING] - sparse[EMBEDDING]).max() > 1e-4


@pytest.mark.parametrize("cls", ["RectifiedAdam", "LAMB", "NovoGrad"])
def test_float32(cls):
    hypers = {"learning_rate": 0.02}
    gradients = gradients_of()
    theirs = train(getattr(tfa.optimizers, cls)(**hypers), gradients, "float32")
    # Their 1 - beta_2 is rounded to float32 after beta_2 is, and so is RAdam's rho_t, small at first.
    assert_same(train(ours(cls, APIS[0], **hypers), gradients, "float32"), theirs, rtol=1e-2, atol=1e-5)


def test_decay_var_list():
    gradients = gradients_of()
    for cls, hypers in (
        ("SGDW", {"weight_decay": 0.05, "learning_rate": 0.02}),
        ("AdamW", {"weight_decay": 0.05, "learning_rate": 0.02, "exclude_from_weight_decay": ["kernel"]}),
    ):
        theirs = train(getattr(tfa.optimizers, cls)(**hypers), gradients, decay_var_list=[0, 3])
        for api in APIS:
            got = train(ours(cls, api, **as_float32(hypers, cls)), gradients, decay_var_list=[0, 3])
            assert_same(got, theirs)


def minimized(module, **kwargs):
    """Nine steps down two parabolas, both hyperparameters being schedules."""
    rate = tf.keras.optimizers.schedules.PiecewiseConstantDecay([3, 6], [0.1, 0.01, 0.001])
    decay = tf.keras.optimizers.schedules.PiecewiseConstantDecay([3, 6], [0.05, 0.02, 0.01])
    optimizer = module.SGDW(decay, rate, momentum=0.5)
    a, b = tf.Variable([1.0, -2.0], name="a"), tf.Variable([3.0], name="b")
    if kwargs:
        kwargs = {name: [b] for name in kwargs}
    for _ in range(9):
        optimizer.minimize(lambda: tf.reduce_sum(a**2) + tf.reduce_sum(b**2), [a, b], **kwargs)
    return np.concatenate([a.numpy(), b.numpy()])


def test_minimize_and_schedules():
    theirs, got = minimized(tfa.optimizers), minimized(addons)
    np.testing.assert_allclose(got, theirs, rtol=1e-5)
    # Addons' minimize hands the list to apply_gradients, which sets it again, to none: it has no effect. Here
    # it has: a does not decay.
    np.testing.assert_array_equal(minimized(tfa.optimizers, decay_var_list=True), theirs)
    listed = minimized(addons, decay_var_list=True)
    assert listed[2] == got[2]
    assert np.abs(listed[:2] - got[:2]).min() > 1e-2


@pytest.mark.parametrize(
    "arguments",
    [{"clipnorm": 0.3}, {"clipvalue": 0.1}, {"global_clipnorm": 0.5}, {"decay": 0.05}, {"lr": 0.01}],
)
def test_arguments_of_the_base_class(arguments):
    gradients = gradients_of()[:20]
    for cls in ("RectifiedAdam", "LAMB", "NovoGrad", "LazyAdam", "Yogi"):
        theirs = train(getattr(tfa.optimizers, cls)(**arguments), gradients)
        rounded = as_float32({}, cls)
        rounded.update((n, float(np.float32(v))) for n, v in arguments.items() if n in ("decay", "lr"))
        rounded.update((n, v) for n, v in arguments.items() if "clip" in n)
        if "lr" in arguments:
            del rounded["learning_rate"]
        assert_same(train(ours(cls, APIS[0], **rounded), gradients), theirs)


@pytest.mark.parametrize("base", ["SGD", "Adam"])
def test_extend_with_decoupled_weight_decay(base):
    gradients = gradients_of()
    hypers = {"weight_decay": 0.05, "exclude_from_weight_decay": ["bias"], "learning_rate": 0.02}
    native = getattr(tf.keras.optimizers.legacy, base)
    theirs = train(tfa.optimizers.extend_with_decoupled_weight_decay(native)(**hypers), gradients)
    rounded = {k: float(np.float32(v)) if isinstance(v, float) else v for k, v in hypers.items()}
    if base == "Adam":
        rounded.update(beta_1=float(np.float32(0.9)), beta_2=float(np.float32(0.999)))
    # Of the native class the catalogue's rule of that name is taken.
    got = train(addons.extend_with_decoupled_weight_decay(native)(**rounded), gradients)
    assert_same(got, theirs)


@pytest.mark.parametrize("cls", sorted(addons._RULES))
def test_signature(cls):
    theirs = inspect.signature(getattr(tfa.optimizers, cls).__init__).parameters
    wanted = {
        name: parameter.default
        for name, parameter in list(theirs.items())[1:]
        if name != "name" and parameter.kind is not parameter.VAR_KEYWORD
    }
    got = {
        name: parameter.default
        for name, parameter in inspect.signature(getattr(addons, cls)).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }
    # Addons takes this one in **kwargs.
    if cls in ("AdamW", "SGDW"):
        assert got.pop("exclude_from_weight_decay") is None
    assert list(got.items()) == list(wanted.items())
    assert theirs["name"].default == cls


def test_names():
    public = {name for name in dir(tfa.optimizers) if name[0].isupper() or name.startswith("extend")}
    assert public == set(addons.NAMES)


def test_where_addons_is_wrong():
    zero = [np.zeros(shape) for shape in SHAPES]
    start = starting_values(SHAPES, dtype="float64")
    # 0 divided by the root of 0.
    hypers = {"learning_rate": 0.1, "initial_accumulator_value": 0.0}
    assert np.isnan(train(tfa.optimizers.ProximalAdagrad(**hypers), [zero])[0]).all()
    for value, before in zip(train(ours("ProximalAdagrad", APIS[0], **hypers), [zero]), start):
        np.testing.assert_array_equal(value, before)
    # The singular vectors of zeros.
    hypers = {"learning_rate": 0.75, "lambda_": 0.5, "ord": "nuclear"}
    theirs = train(tfa.optimizers.ConditionalGradient(**hypers), [zero])
    assert np.abs(theirs[0] - 0.75 * start[0]).max() > 0.1
    for value, before in zip(train(ours("ConditionalGradient", APIS[0], **hypers), [zero]), start):
        np.testing.assert_allclose(value, 0.75 * before, rtol=1e-14)
    # LazyAdam leaves amsgrad out of sparse gradients without a word.
    hypers = {"learning_rate": 0.02, "beta_2": 0.9}
    gradients = gradients_of(sparse={EMBEDDING})
    without = train(tfa.optimizers.LazyAdam(**hypers), gradients)[EMBEDDING]
    np.testing.assert_array_equal(
        train(tfa.optimizers.LazyAdam(amsgrad=True, **hypers), gradients)[EMBEDDING], without
    )
    got = train(ours("LazyAdam", APIS[0], amsgrad=True, **hypers), gradients)[EMBEDDING]
    assert np.abs(got - without).max() > 1e-3
    # SGDW without momentum leaves the decay out of sparse gradients without a word.
    every = [
        [(g, np.arange(6)) if i == EMBEDDING else g for i, g in enumerate(row)] for row in gradients_of()
    ]
    theirs = [
        train(cls(learning_rate=0.02, **hypers), every)[EMBEDDING]
        for cls, hypers in (
            (tfa.optimizers.SGDW, {"weight_decay": 0.01}),
            (tf.keras.optimizers.legacy.SGD, {}),
        )
    ]
    np.testing.assert_array_equal(*theirs)
    hypers = {"weight_decay": 0.01, "learning_rate": 0.02}
    assert_same(
        train(ours("SGDW", APIS[0], **as_float32(hypers, "SGDW")), every),
        train(tfa.optimizers.SGDW(**hypers), gradients_of()),  # dense ones do decay
    )
    # NovoGrad's largest second moment has the variable's shape there, which the present rows don't fit.
    hypers = {"learning_rate": 0.02, "beta_2": 0.9, "amsgrad": True}
    with pytest.raises(tf.errors.InvalidArgumentError, match="Incompatible shapes"):
        train(tfa.optimizers.NovoGrad(**hypers), gradients)
    got = train(ours("NovoGrad", APIS[0], **hypers), gradients)
    without = train(ours("NovoGrad", APIS[0], **dict(hypers, amsgrad=False)), gradients)
    assert np.isfinite(got[EMBEDDING]).all() and np.abs(got[EMBEDDING] - without[EMBEDDING]).max() > 1e-3
    # An epsilon of 0 is taken for "none given".
    theirs = [train(tfa.optimizers.RectifiedAdam(0.02, epsilon=e), gradients_of())[0] for e in (0.0, 1e-7)]
    np.testing.assert_array_equal(*theirs)


WRAPPERS = {
    "Lookahead": {"sync_period": 4, "slow_step_size": 0.3},
    "MovingAverage": {"average_decay": 0.7, "start_step": 4, "dynamic_decay": True},
    "SWA": {"start_averaging": 3, "average_period": 2},
}
INSIDE = {
    "sgd": ("SGD", {"learning_rate": 0.1, "momentum": 0.5}),
    "adam": ("Adam", {"learning_rate": 0.05, "epsilon": 0.01, "amsgrad": True}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.05, "epsilon": 0.01}),
    "adagrad": ("Adagrad", {"learning_rate": 0.05, "epsilon": 0.01}),
    "nadam": ("Nadam", {"learning_rate": 0.05, "epsilon": 0.01}),
    "schedule": (
        "Adam",
        {"learning_rate": tf.keras.optimizers.schedules.PiecewiseConstantDecay([10, 30], [0.1, 0.05, 0.01])},
    ),
    "radam": ("RectifiedAdam", {"learning_rate": 0.05, "epsilon": 0.01}),
}


def native(name):
    cls, arguments = INSIDE[name]
    return getattr(tfa.optimizers if cls == "RectifiedAdam" else tf.keras.optimizers.legacy, cls)(**arguments)


@pytest.mark.parametrize(
    "name,inside",
    # Nadam fails inside Addons' averages: they don't call its _prepare.
    [(n, i) for n in sorted(WRAPPERS) for i in sorted(INSIDE) if i != "nadam" or n == "Lookahead"],
)
def test_wrappers_of_the_same_native_optimizer(name, inside):
    gradients = gradients_of()
    made = [getattr(module, name)(native(inside), **WRAPPERS[name]) for module in (tfa.optimizers, addons)]
    results = []
    for optimizer in made:
        variables = [
            tf.Variable(value.astype("float32"), name=n)
            for value, n in zip(starting_values(SHAPES, dtype="float64"), NAMES)
        ]
        for row in gradients:
            grads = [tf.constant(g.astype("float32")) for g in row]
            optimizer.apply_gradients(list(zip(grads, variables)))
        trained = [v.numpy() for v in variables]
        if name != "Lookahead":
            optimizer.assign_average_vars(variables)
            averaged = [v.numpy() for v in variables]
            assert max(np.abs(a - b).max() for a, b in zip(trained, averaged)) > 1e-5
            trained += averaged
        results.append(trained)
    for got, want in zip(results[1], results[0]):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("shadow", [False, True])
def test_shadow_copy_and_swap_weights(shadow):
    results = []
    for module in (tfa.optimizers, addons):
        optimizer = module.MovingAverage(native("sgd"), average_decay=0.7)
        variables = [tf.Variable(v) for v in starting_values(SHAPES)]
        if shadow:
            optimizer.shadow_copy(variables)
            assert optimizer.has_shadow_copy
        for row in gradients_of()[:5]:
            grads = [tf.constant(g.astype("float32")) for g in row]
            optimizer.apply_gradients(list(zip(grads, variables)))
        seen = []
        for _ in range(2):
            with tf.distribute.OneDeviceStrategy("cpu:0").scope():
                optimizer.swap_weights()
            seen += [v.numpy() for v in variables]
        results.append(seen)
    for got, want in zip(results[1], results[0]):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_multi_optimizer():
    data = np.random.RandomState(0).randn(32, 4).astype("float32")
    results = []
    for module in (tfa.optimizers, addons):
        tf.keras.backend.clear_session()
        tf.keras.utils.set_random_seed(3)
        layers = [tf.keras.layers.Dense(3, activation="tanh") for _ in range(3)]
        model = tf.keras.Sequential([tf.keras.Input((4,)), *layers])
        legacy = tf.keras.optimizers.legacy
        pairs = [
            (legacy.SGD(0.5, momentum=0.9, clipnorm=0.01), layers[0]),
            (legacy.Adam(0.01, global_clipnorm=0.1), layers[2:]),
        ]
        model.compile(module.MultiOptimizer(pairs), "mse")
        model.fit(data, data[:, :3], epochs=3, batch_size=8, shuffle=False, verbose=0)
        results.append(model.get_weights())
    for got, want in zip(results[1], results[0]):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [*sorted(WRAPPERS), "MultiOptimizer"])
def test_signatures_of_wrappers(name):
    theirs = inspect.signature(getattr(tfa.optimizers, name).__init__).parameters
    ours = inspect.signature(getattr(addons, name)).parameters
    wanted = [(n, p.default) for n, p in list(theirs.items())[1:] if p.kind is not p.VAR_KEYWORD]
    assert [(n, p.default) for n, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == wanted


@pytest.mark.parametrize("name", addons._SCHEDULES)
def test_signatures_of_schedules(name):
    theirs = inspect.signature(getattr(tfa.optimizers, name).__init__).parameters
    ours = inspect.signature(getattr(addons, name).__init__).parameters
    assert [(n, p.default) for n, p in ours.items() if n != "name"] == [
        (n, p.default) for n, p in theirs.items() if n != "name"
    ]

"""What users of `keras.optimizers` and of TensorFlow Addons do, with one import line replaced."""

import importlib
import inspect
import pickle
import warnings

import numpy as np
import pytest
from _apis import APIS
from _modes import modes_of, starting_values, to_numpy, varied_gradients
from _steps import steps
from _training import keras_of

import kcompat
from kcompat import addons, optimizers, rules, schedules
from kcompat.errors import (
    ApiNotAvailableError,
    HyperparameterError,
    HyperparameterTypeError,
    RuleError,
    UnknownArgumentError,
)
from kcompat.transforms import ByPath, InTurn

DEFAULT = kcompat.detect().default if APIS else None
# APIs whose Keras trains and saves models here.
BY_KERAS = [api for api in APIS if api in ("optimizer_v2", "keras_2_11", "keras_3")]
here = pytest.mark.skipif(DEFAULT not in APIS, reason="the default API is not tested here")
by_keras = pytest.mark.skipif(DEFAULT not in BY_KERAS, reason="the default API is not of a Keras here")


def newest_keras():
    """Keras' optimizers, where they are those of 3.15 or later."""
    if DEFAULT != "keras_3":
        return None
    found = importlib.import_module("keras").optimizers
    return found if hasattr(found, "ScheduleFreeAdamW") else None


def keras_here():
    """The Keras of the default API."""
    return importlib.import_module("keras") if DEFAULT == "keras_3" else keras_of(DEFAULT)


def public(module):
    return [name for name in dir(module) if not name.startswith("_")]


@pytest.mark.skipif(not APIS or newest_keras() is None, reason="no Keras of 3.15 or later here")
def test_every_name_of_the_newest_keras():
    theirs = newest_keras()
    assert set(public(theirs)) <= set(optimizers.__all__)
    assert set(public(theirs.schedules)) <= set(optimizers.schedules.__all__)
    for name in public(theirs):
        if inspect.isclass(getattr(theirs, name)) and name != "Optimizer":
            wanted = inspect.signature(getattr(theirs, name)).parameters
            ours = inspect.signature(getattr(optimizers, name)).parameters
            defaults = {n: p.default for n, p in wanted.items() if p.kind is not p.VAR_KEYWORD}
            assert {n: p.default for n, p in ours.items()} == defaults, name
    for name in optimizers.schedules.NAMES:
        if hasattr(theirs.schedules, name):
            wanted = inspect.signature(getattr(theirs.schedules, name)).parameters
            ours = inspect.signature(getattr(optimizers.schedules, name)).parameters
            assert list(ours) == list(wanted)
            assert [p.default for n, p in ours.items() if n != "name"] == [
                p.default for n, p in wanted.items() if n != "name"
            ]


@here
def test_get():
    assert optimizers.get(None) is None
    for name, cls in (
        ("sgd", "SGD"),
        ("AdamW", "AdamW"),
        ("schedule_free_adam_w", "ScheduleFreeAdamW"),
        ("LAMB", "LAMB"),
        ("lamb", "Lamb"),
    ):
        assert type(optimizers.get(name)) is getattr(optimizers, cls)
    made = optimizers.Adam(0.25)
    assert optimizers.get(made) is made and isinstance(made, optimizers.Optimizer)
    assert isinstance(optimizers.get(optimizers.Adam), optimizers.Adam)
    for wrong in ("adamm", 3):
        with pytest.raises(HyperparameterError):
            optimizers.get(wrong)


@here
def test_serialize_and_deserialize():
    for optimizer in (
        optimizers.Adam(0.25, clipnorm=1.0),
        optimizers.RMSprop(schedules.CosineDecay(0.5, 100)),
        addons.LAMB(weight_decay=0.5),
        addons.AdamW(0.5, 0.25),
        addons.MovingAverage("sgd", average_decay=0.5),
    ):
        described = optimizers.serialize(optimizer)
        again = optimizers.deserialize(described)
        assert type(again) is type(optimizer)
        assert again.get_config() == optimizer.get_config()
        assert optimizers.get(described).get_config() == optimizer.get_config()
    config = {"class_name": "Adam", "config": {"learning_rate": 0.5, "beta_1": 0.25}}
    made = optimizers.deserialize(config)
    assert isinstance(made, optimizers.Adam) and made.get_config()["beta_1"] == 0.25
    own = {"class_name": "Mine", "config": {"learning_rate": 0.5}}
    assert isinstance(optimizers.deserialize(own, {"Mine": optimizers.SGD}), optimizers.SGD)
    with pytest.raises(HyperparameterError, match="class_name"):
        optimizers.deserialize({"name": "Adam"})


@by_keras
def test_a_native_optimizer_is_described_and_becomes_the_catalogues():
    native = keras_here().optimizers.SGD(0.25, momentum=0.5)
    assert optimizers.get(native) is native
    made = optimizers.deserialize(optimizers.serialize(native))
    assert isinstance(made, optimizers.SGD) and made.get_config()["momentum"] == 0.5


@here
def test_schedules_are_the_hosts_too():
    for name in optimizers.schedules.NAMES:
        cls = getattr(optimizers.schedules, name)
        assert issubclass(cls, getattr(schedules, name))
        assert cls is getattr(optimizers.schedules, name)
        assert issubclass(cls, optimizers.schedules.LearningRateSchedule)
    made = optimizers.schedules.CosineDecay(0.5, 100)
    assert pickle.loads(pickle.dumps(made)) == made
    described = optimizers.schedules.serialize(made)
    assert optimizers.schedules.deserialize(described) == made
    optimizer = optimizers.Adam(made)
    assert type(optimizer).from_config(optimizer.get_config()).get_config() == optimizer.get_config()
    with pytest.raises(HyperparameterError, match="class_name"):
        optimizers.schedules.deserialize({"decay_steps": 1})


@here
def test_an_argument_may_be_a_described_schedule():
    """As RectifiedAdam and AdaBelief of Addons take it."""
    described = optimizers.schedules.serialize(optimizers.schedules.InverseTimeDecay(0.5, 1, 1.0))
    with steps(DEFAULT, modes_of(DEFAULT)[0], lambda: optimizers.SGD(described)) as training:
        assert [training.move() for _ in range(2)] == pytest.approx([0.5, 0.25])


@by_keras
def test_native_optimizers_take_the_schedules_and_keras_saves_them():
    keras = keras_here()
    if not hasattr(keras.optimizers, "schedules"):
        return
    for schedule in (
        optimizers.schedules.ExponentialDecay(0.5, 1, 0.5),
        addons.TriangularCyclicalLearningRate(0.125, 0.5, 2),
    ):
        native = keras.optimizers.SGD(schedule)
        with steps(DEFAULT, modes_of(DEFAULT)[0], lambda native=native: native) as training:
            moves = [training.move() for _ in range(3)]
        assert moves == pytest.approx([schedule(step) for step in range(3)])
        again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
        # Up to TensorFlow 2.1 one that Keras has comes back as Keras' own.
        assert type(again).__name__ == type(schedule).__name__
        assert again.get_config() == schedule.get_config()


def by_path():
    """An optimizer for v0 and for all others, of Keras 3's kind."""
    return optimizers.OptimizerMap(optimizers.SGD(0.5), {"v0": optimizers.SGD(0.25, momentum=0.5)})


@here
def test_multi_optimizer_by_paths():
    mode = modes_of(DEFAULT)[0]
    with steps(DEFAULT, mode, lambda: optimizers.MultiOptimizer(by_path()), [0.0], [0.0]) as training:
        moves = [[float(move[0]) for move in training.step()] for _ in range(2)]
        assert moves == [[0.25, 0.5], [0.375, 0.5]]
        config = training.optimizer.get_config()
        assert type(training.optimizer).from_config(config).get_config() == config
    again = optimizers.OptimizerMap.from_config(by_path().get_config())
    assert again["v0"].get_config()["momentum"] == 0.5
    assert again["else"].get_config()["learning_rate"] == 0.5
    with pytest.raises(RuleError, match="OptimizerMap"):
        optimizers.MultiOptimizer(lambda variable: optimizers.SGD())


@here
def test_optimizer_map():
    found = by_path()
    found["encoder/.*"] = adam = optimizers.Adam()
    found["encoder/out"] = sgd = optimizers.SGD()
    assert found["encoder/dense"] is adam and found["encoder/out"] is sgd
    assert found["decoder"] is found.default_optimizer and len(found) == 3
    found[".*/dense"] = sgd
    for wrong, error in (
        (lambda: found["encoder/dense"], HyperparameterError),
        (lambda: found.__setitem__("v0", sgd), HyperparameterError),
        (lambda: found.__setitem__(3, sgd), HyperparameterError),
        (lambda: optimizers.OptimizerMap(sgd, [sgd]), RuleError),
    ):
        with pytest.raises(error, match="OptimizerMap"):
            wrong()
    del found["v0"]
    assert "v0" not in list(found)


def test_by_path():
    rule = ByPath(rules.SGD(), [["a/.*", rules.Adam()], ["a/b", rules.SGD(0.5)], [".*/c", rules.SGD(0.25)]])
    names = ("a/x", "a/b", "d/c", "d", "a/b/", "xa/b")
    assert [rule.part_of(name, ()) for name in names] == [0, 1, 2, -1, 0, -1]
    with pytest.raises(RuleError, match=r"'a/c' fits 'a/\.\*' and '\.\*/c'"):
        rule.part_of("a/c", ())


def test_in_turn_is_one_rule_after_the_other():
    from kcompat.testing import reference

    params = starting_values([(3, 2), (4,)], dtype="float64")
    gradients = varied_gradients([(3, 2), (4,)], 6, dtype="float64")
    first, second = rules.Adam(0.125), rules.SGD(0.25, momentum=0.5)
    got, _ = reference(InTurn(first, second), params, gradients)
    # Linear in the parameter: each moves it as if it were alone.
    alone = [reference(rule, params, gradients)[0] for rule in (first, second)]
    for start, each, one, other in zip(params, got, *alone):
        np.testing.assert_allclose(each, one + other - start, rtol=1e-12)
    again = InTurn(**InTurn(first, second).config())
    assert again == InTurn(first, second) and again.replace(then=first).then == first
    for wrong in (rules.Prodigy(), rules.LazyAdam()):
        with pytest.raises(RuleError, match="in turn"):
            InTurn(first, wrong)
    with pytest.raises(RuleError, match="expected an update rule"):
        InTurn(first, "sgd")


@by_keras
def test_a_layer_in_two_pairs_of_a_multi_optimizer():
    """As in Addons, where each optimizer takes its step."""
    keras = keras_here()
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, input_shape=(1,))])
    if not model.built:
        model.build((None, 1))
    before = model.get_weights()[0]
    pairs = [(optimizers.SGD(0.5), model), (optimizers.SGD(0.25), model.layers[0])]
    optimizer = addons.MultiOptimizer(pairs)
    config = optimizer.get_config()
    assert type(optimizer).from_config(config).get_config() == config
    model.compile(optimizer, "mse")
    ones = np.ones((1, 1), "float32")
    model.fit(ones, ones * 0, verbose=0, batch_size=1)
    np.testing.assert_allclose(model.get_weights()[0], before - 0.75 * 2 * before, rtol=1e-5)


@here
def test_loss_scale_optimizer():
    try:
        made = optimizers.LossScaleOptimizer(optimizers.SGD(0.5), initial_scale=4.0, dynamic_growth_steps=3)
    except ApiNotAvailableError:
        assert DEFAULT in ("get_updates", "tf1")
        return
    assert "LossScaleOptimizer" in type(made).__name__
    if DEFAULT != "keras_3":
        with pytest.raises(UnknownArgumentError, match="has no name"):
            optimizers.LossScaleOptimizer(optimizers.SGD(0.5), name="scaled")


@here
def test_legacy_is_optimizer_v2():
    if "optimizer_v2" in kcompat.detect().apis:
        assert optimizers.legacy.Adam is kcompat.optimizer_class(rules.Adam, "optimizer_v2")
    else:
        with pytest.raises(ImportError):
            optimizers.legacy.Adam  # noqa: B018


def _of_addons(name):
    """A module of `kcompat.addons`, by an import of it; in a vendored copy it has the copy's name."""
    return importlib.import_module("{}.{}".format(addons.__name__, name))


@here
def test_modules_of_addons():
    lamb = _of_addons("lamb")
    LAMB = _of_addons("optimizers").LAMB
    assert lamb.LAMB is LAMB is addons.optimizers.LAMB is addons.LAMB
    assert _of_addons("discriminative_layer_training").MultiOptimizer is addons.MultiOptimizer
    assert _of_addons("weight_decay_optimizers").SGDW is addons.SGDW
    assert isinstance(LAMB(), addons.KerasLegacyOptimizer)
    assert set(addons.NAMES) <= set(dir(addons))
    with pytest.raises(AttributeError, match="it has LAMB"):
        lamb.AdamW  # noqa: B018
    with pytest.raises(ImportError):
        _of_addons("nothing")


@here
def test_old_arguments_of_addons():
    with pytest.warns(DeprecationWarning, match="called weight_decay"):
        assert addons.LAMB(0.5, weight_decay_rate=0.25).get_config()["weight_decay"] == 0.25
    for wrong in (1.5, "a", True):
        with pytest.raises(HyperparameterTypeError):
            addons.MovingAverage("sgd", num_updates=wrong)
    with pytest.raises(HyperparameterError):
        addons.MovingAverage("sgd", num_updates=-1)


@by_keras
def test_decay_in_front_of_a_native_class():
    base = keras_here().optimizers.SGD

    class Decayed(addons.DecoupledWeightDecayExtension, base):
        def __init__(self, weight_decay, *args, **kwargs):
            super().__init__(weight_decay, *args, **kwargs)

    assert issubclass(Decayed, optimizers.SGD)
    with steps(DEFAULT, modes_of(DEFAULT)[0], lambda: Decayed(0.5, learning_rate=0.25), [1.0]) as training:
        training.step(1.0)
        np.testing.assert_allclose(training.values()[0], [0.25])


@by_keras
def test_fit_bn_gives_the_means_and_variances_of_the_data():
    fit_bn = _of_addons("utils").fit_bn
    keras = keras_here()
    norm = keras.layers.BatchNormalization(input_shape=(3,))
    model = keras.Sequential([norm, keras.layers.Dense(1)])
    if not model.built:
        model.build((None, 3))
    with pytest.raises(RuleError, match="expected a Keras model"):
        fit_bn("model", None)
    data = np.random.RandomState(1).randn(64, 3).astype("float32") * [1, 2, 3] + [4, 5, 6]
    weights = [weight.copy() for weight in model.layers[1].get_weights()]
    if hasattr(norm.moving_mean, "op") and not hasattr(norm.moving_mean, "numpy"):
        with pytest.raises(RuleError, match="eager"):
            fit_bn(model, data)
        return
    momentum = norm.momentum
    for given in (data, [data], (data[i : i + 32] for i in (0, 32))):
        fit_bn(model, given, None, 16)
        np.testing.assert_allclose(to_numpy(norm.moving_mean), data.mean(0), rtol=1e-4)
        by_batch = np.mean([data[i : i + 16].var(0) for i in range(0, 64, 16)], axis=0)
        if not inspect.isgenerator(given):
            np.testing.assert_allclose(to_numpy(norm.moving_variance), by_batch, rtol=1e-3)
    assert norm.momentum == momentum
    for before, after in zip(weights, model.layers[1].get_weights()):
        np.testing.assert_array_equal(before, after)


@here
def test_helpers_of_addons():
    utils = _of_addons("utils")
    get_variable_name = utils.get_variable_name
    is_variable_matched_by_regexes = utils.is_variable_matched_by_regexes

    class Named:
        name = "dense/kernel:0"

    assert get_variable_name(Named) == "dense/kernel"
    assert is_variable_matched_by_regexes(Named, ["^dense", "x"])
    assert is_variable_matched_by_regexes(Named, ["kernel:0$"])
    assert not is_variable_matched_by_regexes(Named, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert addons.class_named("lamb") is addons.LAMB and addons.class_named("nothing") is None


def test_helper_of_keras_adamw():
    from kcompat.adamw import fill_dict_in_order

    decays = {"a": 0, "b": 0}
    assert fill_dict_in_order(decays, [0.5, (0.0, 0.25)]) is decays
    assert decays == {"a": 0.5, "b": (0.0, 0.25)}
    with pytest.raises(HyperparameterError, match="2 keys and 1 values"):
        fill_dict_in_order(decays, [1])

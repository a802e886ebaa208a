"""Hyperparameters and the surface of an optimizer mean the same on every API and in every mode."""

import inspect
import json
import warnings

import numpy as np
import pytest
from _apis import APIS
from _arrays import backend, on_tensorflow
from _modes import api_modes, assert_agree, make_variable, modes_of, run, starting_values, varied_gradients
from _rules import ByName, Factored, LazyMomentum, SignMomentum
from _steps import listed, steps
from _training import accepts, native

import kcompat
from kcompat import rules
from kcompat.environment import host_class
from kcompat.errors import (
    GradientError,
    HyperparameterError,
    KcompatError,
    NotBuiltError,
    RuleError,
)
from kcompat.testing import reference

API_MODES = api_modes(APIS)
# What tensors and graphs are made for by hand; test_keras_3_arrays has its like on JAX and PyTorch.
TF_MODES = [(api, mode) for api, mode in API_MODES if backend(api) == "tensorflow"]
# Each API in the mode that its users have first: eager in TensorFlow 2, a graph in TensorFlow 1.
WAYS = [(api, modes_of(api)[0]) for api in APIS]
TF_WAYS = [(api, mode) for api, mode in WAYS if backend(api) == "tensorflow"]
GRAPHS = [(api, mode) for api, mode in API_MODES if mode in ("graph", "graph_ref")]
TRACED = [(api, mode) for api, mode in API_MODES if mode != "eager"]


def _has_schedules():
    if not APIS:
        return False
    if not on_tensorflow(APIS):
        return True
    import tensorflow as tf

    return hasattr(tf.keras.optimizers, "schedules")  # not in TensorFlow 1.13


def _sets_values():
    import tensorflow as tf

    return hasattr(tf.keras.backend, "set_value")


# Where the host has schedule objects.
SCHEDULED = API_MODES if _has_schedules() else []


def schedules(api):
    """The host's module of schedules."""
    if api == "keras_3":
        import keras

        return keras.optimizers.schedules
    import tensorflow as tf

    return tf.keras.optimizers.schedules


def halving(api):
    """0.5, 0.25, 0.125 ..."""
    return schedules(api).ExponentialDecay(0.5, decay_steps=1, decay_rate=0.5)


def sgd(api, *args, **kwargs):
    return kcompat.optimizer_class(rules.SGD, api)(*args, **kwargs)


def adam(api, *args, **kwargs):
    return kcompat.optimizer_class(rules.Adam, api)(*args, **kwargs)


@pytest.fixture(autouse=True)
def warned_anew(monkeypatch):
    """What warns once in a process warns once in a test."""
    import kcompat.adapters.base

    monkeypatch.setattr(kcompat.adapters.base, "_warned", set())


# Where the learning rate comes from.


@pytest.mark.parametrize("api,mode", API_MODES)
def test_learning_rate_is_any_number(api, mode):
    for rate in (0.5, np.float32(0.5), np.array(0.5)):
        with steps(api, mode, lambda rate=rate: sgd(api, rate)) as training:
            assert training.move() == 0.5
    for rate in (1, np.int64(1)):
        with steps(api, mode, lambda rate=rate: sgd(api, rate)) as training:
            assert training.move() == 1
            training.optimizer.learning_rate = 0.25
            assert training.move() == 0.25
    with steps(api, mode, lambda: sgd(api)) as training:
        np.testing.assert_allclose(training.move(), 0.01, rtol=1e-6)


@pytest.mark.parametrize("api,mode", TF_MODES)
def test_learning_rate_is_a_variable_and_stays_linked(api, mode):
    import tensorflow as tf

    made = []

    def make():
        made.append(tf.Variable(0.5, name="rate"))
        return sgd(api, made[0])

    with steps(api, mode, make) as training:
        assert training.move() == 0.5
        training.assign(made[0], 0.25)
        assert [training.move(), training.move()] == [0.25, 0.25]
        assert float(training.read(training.optimizer.learning_rate)) == 0.25
        assert training.optimizer.learning_rate is made[0]


@pytest.mark.parametrize("api,mode", [each for each in API_MODES if each[0] == "keras_3"])
def test_learning_rate_is_a_keras_variable(api, mode):
    import keras

    rate = keras.Variable(0.5, name="rate")
    with steps(api, mode, lambda: sgd(api, rate)) as training:
        assert training.move() == 0.5
        rate.assign(0.25)
        assert training.move() == 0.25
        assert training.optimizer.learning_rate is rate


@pytest.mark.parametrize("api,mode", API_MODES)
def test_learning_rate_is_a_callable_asked_at_every_step(api, mode):
    rate, calls = [0.5], []

    def ask():
        calls.append(1)
        return rate[0]

    with steps(api, mode, lambda: sgd(api, ask)) as training:
        assert training.move() == 0.5
        for rate[0] in (0.25, 2, 0.125):
            before = len(calls)
            assert training.move() == rate[0]
            assert len(calls) > before
        if training.session is None:
            assert float(training.read(training.optimizer.learning_rate)) == 0.125


@pytest.mark.parametrize("api,mode", TF_MODES)
def test_learning_rate_is_a_callable_that_returns_a_tensor(api, mode):
    import tensorflow as tf

    made = []

    def make():
        made.append(tf.Variable(0.5, name="rate"))
        return sgd(api, lambda: tf.identity(made[0]) * 2.0)

    with steps(api, mode, make) as training:
        assert training.move() == 1
        training.assign(made[0], 0.25)
        assert training.move() == 0.5


@pytest.mark.parametrize("api,mode", SCHEDULED)
def test_learning_rate_is_a_schedule_of_the_host(api, mode):
    with steps(api, mode, lambda: sgd(api, halving(api))) as training:
        assert [training.move() for _ in range(3)] == [0.5, 0.25, 0.125]  # the first step sees step 0
        assert training.iterations() == 3
        assert float(training.read(training.optimizer.learning_rate)) == 0.0625


@pytest.mark.parametrize("api,mode", SCHEDULED)
def test_schedules_with_integer_boundaries(api, mode):
    def make():
        return sgd(api, schedules(api).PiecewiseConstantDecay([1, 2], [0.5, 0.25, 0.125]))

    with steps(api, mode, make) as training:
        # Boundaries are inclusive in every release.
        assert [training.move() for _ in range(4)] == [0.5, 0.5, 0.25, 0.125]


@pytest.mark.parametrize("api,mode", API_MODES)
def test_learning_rate_is_a_function_of_the_step(api, mode):
    with steps(api, mode, lambda: sgd(api, lambda step: 1 / (step + 1))) as training:
        assert [training.move(), training.move()] == [1, 0.5]
        assert training.move() == pytest.approx(1 / 3)
        assert training.traces <= 3 if mode == "eager" else training.traces <= 2


@pytest.mark.parametrize("api,mode", API_MODES)
def test_any_hyperparameter_may_be_a_schedule(api, mode):
    """With the same numbers as the oracle: momentum and learning rate follow functions of the step."""
    rule = rules.SGD(lambda step: 0.1 / (step + 1), momentum=lambda step: 0.9 - 0.1 * step)
    params, gradients = starting_values([(3, 2)]), varied_gradients([(3, 2)], 4)
    assert_agree(run(api, mode, rule, params, gradients), reference(rule, params, gradients))


@pytest.mark.parametrize("api,mode", GRAPHS)
def test_learning_rate_is_a_tensor_of_the_graph(api, mode):
    import tensorflow as tf

    holders = []

    def make():
        holders.append(tf.compat.v1.placeholder_with_default(np.float32(0.5), ()))
        return sgd(api, holders[0] * 2.0)

    with steps(api, mode, make) as training:
        training.build()
        before = training.values()[0]
        operation, gradients = training._step
        feed = {gradients[0]: np.ones(2, "float32")}
        training.session.run(operation, feed)
        training.session.run(operation, {**feed, holders[0]: 2.0})
        assert (before - training.values()[0]).tolist() == [5.0, 5.0]


# Setting hyperparameters between steps.


@pytest.mark.parametrize("api,mode", API_MODES)
def test_setting_the_learning_rate_takes_effect_at_the_next_step(api, mode):
    with steps(api, mode, lambda: sgd(api, 0.5)) as training:
        optimizer = training.optimizer
        assert [training.move(), training.move()] == [0.5, 0.5]
        traces = training.traces
        optimizer.learning_rate = 0.25
        assert training.move() == 0.25
        optimizer.lr = 2
        assert training.move() == 2
        assert float(training.read(optimizer.learning_rate)) == float(training.read(optimizer.lr)) == 2
        optimizer.lr = np.float32(0.5)
        assert training.move() == 0.5
        training.assign(optimizer.learning_rate, 0.125)
        assert training.move() == 0.125
        assert float(training.read(optimizer.lr)) == 0.125
        if training.session is None and api != "keras_3" and _sets_values():
            import tensorflow as tf

            tf.keras.backend.set_value(optimizer.learning_rate, 0.25)
            assert training.move() == 0.25
        if mode != "eager":
            assert training.traces == traces


@pytest.mark.parametrize("api,mode", API_MODES)
def test_setting_before_the_first_step(api, mode):
    with steps(api, mode, lambda: sgd(api, 1)) as training:
        training.optimizer.learning_rate = 0.25
        assert training.move() == 0.25
        assert training.optimizer.get_config()["learning_rate"] == 0.25


# jax.jit takes them as constants: there setting them raises, which test_keras_3_arrays shows.
@pytest.mark.parametrize("api,mode", [each for each in API_MODES if each[1] != "jit"])
def test_setting_other_hyperparameters_agrees_with_the_oracle(api, mode):
    """Between steps, with no new trace."""
    changes = {
        3: {"beta_1": 0.5, "epsilon": 1e-3, "weight_decay": 0.5},
        4: {"clipnorm": 0.25},
        6: {"learning_rate": 0.5, "clipnorm": 100.0},
    }
    base = {"clipnorm": 2.0, "weight_decay": 0.01}
    params, gradients = starting_values([(3, 2), (2,)]), varied_gradients([(3, 2), (2,)], 6)
    with steps(api, mode, lambda: adam(api, 0.1, **base), *params) as training:
        for step, row in enumerate(gradients, 1):
            for name, value in changes.get(step, {}).items():
                setattr(training.optimizer, name, value)
                assert float(training.read(getattr(training.optimizer, name))) == value
            training.step(*row)
            if step == 2:
                traces = training.traces
        assert training.traces == traces or mode == "eager"
        rule = rules.Adam(0.1)
        expected, slots = reference(rule, params, gradients, set_hyper=changes, **base)
        for got, want in zip(training.values(), expected):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
        for got, want in zip(training.slots(), slots):
            np.testing.assert_allclose(got["v"], want["v"], rtol=1e-5, atol=1e-6)
        assert training.optimizer.rule == rule  # which is what the optimizer was made with


@pytest.mark.parametrize("api,mode", API_MODES)
def test_momentum_keeps_the_learning_rate_inside(api, mode):
    """Natively tf1 keeps it outside, which differs once the learning rate changes."""
    params, gradients = starting_values([(3, 2)]), varied_gradients([(3, 2)], 5)

    def before_step(step, optimizer, session):
        if step == 3:
            if session is None:
                optimizer.learning_rate = 0.5
            else:
                with session.as_default():
                    optimizer.learning_rate = 0.5

    rule = rules.SGD(0.01, momentum=0.9)
    result = run(api, mode, rule, params, gradients, before_step=before_step)
    assert_agree(result, reference(rule, params, gradients, set_hyper={3: {"learning_rate": 0.5}}))


@pytest.mark.parametrize("api,mode", API_MODES)
def test_what_can_not_be_set_raises(api, mode):
    with steps(api, mode, lambda: sgd(api, 0.5)) as training:
        for _ in range(2):  # before the first step, and after it
            optimizer = training.optimizer
            for name, value, words in (
                ("nesterov", True, "structure"),
                ("momentum", 0.9, "slots m instead of none"),
                ("learning_rate", -1.0, ">= 0"),
                ("learning_rate", float("nan"), ">= 0"),
                ("learning_rate", "fast", "expected a number"),
                ("clipnorm", 1.0, "was not given when the optimizer was made"),
                ("weight_decay", 0.1, "was not given when the optimizer was made"),
            ):
                with pytest.raises(HyperparameterError, match=words):
                    setattr(optimizer, name, value)
            assert training.move() == 0.5
    with steps(api, mode, lambda: sgd(api, 0.5, momentum=0.9, clipvalue=0.5)) as training:
        with pytest.raises(HyperparameterError, match="slots none instead of m"):
            training.optimizer.momentum = 0
        with pytest.raises(HyperparameterError, match="can't be taken away"):
            training.optimizer.clipvalue = None
        training.optimizer.momentum = 0.5
        training.optimizer.clipvalue = 1.0
        training.optimizer.clipnorm = None  # as it is
        assert [training.move(), training.move()] == [0.5, 0.75]


@pytest.mark.parametrize("api,mode", API_MODES)
def test_a_change_of_kind(api, mode):
    """A number becomes a function and back: before the step is traced, or not at all."""
    with steps(api, mode, lambda: sgd(api, 0.5)) as training:
        training.optimizer.learning_rate = lambda step: 1 / (step + 1)
        if mode == "eager":
            assert [training.move(), training.move()] == [1, 0.5]
            training.optimizer.learning_rate = 0.25
            assert training.move() == 0.25
            training.optimizer.learning_rate = lambda: 2.0
            assert training.move() == 2
            training.optimizer.learning_rate = 1
            assert training.move() == 1
            assert float(training.read(training.optimizer.learning_rate)) == 1
            training.optimizer.learning_rate = lambda step: 0.5
            training.optimizer.learning_rate = 0.125  # not the number before, which a variable may still hold
            assert [training.move(), training.move()] == [0.125, 0.125]
        else:
            training.optimizer.learning_rate = 0.25
            training.optimizer.learning_rate = lambda step: 1 / (step + 1)
            assert training.move() == 1
            with pytest.raises(HyperparameterError, match="traced"):
                training.optimizer.learning_rate = 0.25
            assert training.move() == 0.5
    with steps(api, mode, lambda: sgd(api, lambda: 2.0)) as training:
        training.optimizer.learning_rate = 0.25
        assert training.move() == 0.25
        training.optimizer.learning_rate = 0.5
        assert training.move() == 0.5
        if mode != "eager":
            with pytest.raises(HyperparameterError, match="traced"):
                training.optimizer.learning_rate = lambda: 2.0


@pytest.mark.parametrize("api,mode", GRAPHS)
def test_setting_in_a_graph_needs_a_session(api, mode):
    import tensorflow as tf

    with tf.Graph().as_default():
        variable = make_variable(api, np.zeros(2, "float32"), "v", mode)
        optimizer = sgd(api, 0.5)
        operation = optimizer.apply_gradients([(tf.ones(2), variable)])
        with pytest.raises(HyperparameterError, match="session"):
            optimizer.learning_rate = 0.25
        # Nothing was half set: neither what is read, nor what a step uses.
        assert optimizer.get_config()["learning_rate"] == 0.5
        with tf.compat.v1.Session() as session:
            # Initializing the variables would undo it.
            with pytest.raises(HyperparameterError, match="initialize"):
                optimizer.learning_rate = 0.25
            session.run(tf.compat.v1.global_variables_initializer())
            session.run(operation)
            optimizer.learning_rate = 0.25
            session.run(operation)
            assert session.run(variable).tolist() == [-0.75, -0.75]


@pytest.mark.parametrize("api,mode", [way for way in WAYS if way == ("optimizer_v2", "graph")])
def test_setting_where_keras_has_the_session(api, mode):
    """TensorFlow 1's tf.keras trains in a session of its own, which is nobody's default."""
    import tensorflow as tf

    tf.keras.backend.clear_session()
    layer = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", input_shape=(1,))
    model = tf.keras.models.Sequential([layer])
    optimizer = sgd(api, 0.5)
    model.compile(optimizer=optimizer, loss=lambda y, prediction: tf.reduce_mean(prediction))
    model.train_on_batch(np.ones((2, 1)), np.ones((2, 1)))
    optimizer.lr = 0.25
    model.train_on_batch(np.ones((2, 1)), np.ones((2, 1)))
    assert float(layer.get_weights()[0]) == -0.75
    assert tf.keras.backend.get_value(optimizer.lr) == 0.25
    tf.keras.backend.clear_session()


# Reading.


@pytest.mark.parametrize("api,mode", API_MODES)
def test_reading(api, mode):
    with steps(api, mode, lambda: adam(api, 0.1, beta_2=0.99, clipnorm=1, amsgrad=True)) as training:
        optimizer = training.optimizer
        for taken in range(3):
            assert float(training.read(optimizer.learning_rate)) == pytest.approx(0.1) if taken else True
            assert float(optimizer.beta_2) == 0.99
            assert (optimizer.clipnorm, optimizer.amsgrad) == (1, True)
            assert optimizer.weight_decay is optimizer.clipvalue is optimizer.global_clipnorm is None
            assert training.iterations() == taken if taken or training.session is None else True
            training.step()
        # Keras' own counter is int32 on JAX and PyTorch.
        count = np.int64 if backend(api) == "tensorflow" else np.int32
        assert np.asarray(training.read(optimizer.iterations)).dtype == count
        with pytest.raises(AttributeError):
            _ = optimizer.beta_3
        assert not hasattr(optimizer, "momentum")


@pytest.mark.parametrize("api,mode", WAYS)
def test_a_rule_without_a_learning_rate(api, mode):
    with steps(api, mode, lambda: kcompat.optimizer(Factored(), api)) as training:
        training.step()
        with pytest.raises(AttributeError):
            _ = training.optimizer.learning_rate
        with pytest.raises(HyperparameterError):
            training.optimizer.learning_rate = 0.5
        with pytest.raises(HyperparameterError):
            training.optimizer.lr = 0.5
        assert training.optimizer.step_size == 0.05
        training.optimizer.step_size = 0.5
        assert training.optimizer.get_config()["step_size"] == 0.5


# The constructor.


@pytest.mark.parametrize("api,mode", WAYS)
def test_old_names_warn_once_and_mean_the_same(api, mode):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            with steps(api, mode, lambda: sgd(api, lr=0.5, decay=1.0)) as training:
                assert [training.move(), training.move()] == [0.5, 0.25]
                assert training.move() == pytest.approx(0.5 / 3)
    messages = [str(w.message).split() for w in caught]
    assert sorted(m[2] for m in messages if m[:2] == ["The", "argument"]) == ["decay", "lr"]


@pytest.mark.filterwarnings("ignore:The argument")
@pytest.mark.parametrize("api,mode", WAYS)
def test_wrong_arguments_of_the_constructor(api, mode):
    with steps(api, mode, lambda: None):
        for call, kind, words in (
            (lambda: adam(api, beta1=0.9), TypeError, "Did you mean 'beta_1'?"),
            (lambda: adam(api, learningrate=0.9), TypeError, "Did you mean 'learning_rate'?"),
            (lambda: adam(api, clip_norm=1.0), TypeError, "Did you mean 'clipnorm'?"),
            (lambda: adam(api, momentum=1.0), TypeError, "has no argument 'momentum'"),
            (lambda: adam(api, learning_rate=0.1, lr=0.1), TypeError, "both learning_rate and its old name"),
            (lambda: adam(api, 0.1, lr=0.1), TypeError, "both learning_rate and its old name"),
            (lambda: adam(api, 0.1, learning_rate=0.1), TypeError, "twice"),
            (lambda: adam(api, 0.1, 0.9, 0.99, 1e-7, False, 1), TypeError, "6 arguments"),
            (lambda: adam(api, clipnorm=1.0, clipvalue=1.0), ValueError, "at most one kind"),
            (lambda: adam(api, clipvalue=1.0, global_clipnorm=1.0), ValueError, "at most one kind"),
            (lambda: adam(api, clipnorm=-1.0), ValueError, ">= 0"),
            (lambda: adam(api, beta_1=1.0), ValueError, "< 1"),
            (lambda: adam(api, learning_rate=None), ValueError, "expected a number"),
            (lambda: kcompat.optimizer(rules.Adam(), api, beta_1=0.5), TypeError, "beta_1"),
            (lambda: kcompat.optimizer(rules.Adam, api), RuleError, "instance"),
            (lambda: kcompat.optimizer_class(rules.Adam(), api), RuleError, "optimizer\\(rule\\)"),
            (lambda: kcompat.optimizer_class(Factored, api)(lr=0.5), TypeError, "'lr'"),
            (lambda: kcompat.optimizer(Factored(), api, weight_decay=0.5), RuleError, "learning rate"),
        ):
            with pytest.raises(kind, match=words) as caught:
                call()
            assert isinstance(caught.value, KcompatError)


@pytest.mark.parametrize("api,mode", WAYS)
def test_base_arguments_that_are_off(api, mode):
    off = {
        "weight_decay": None,
        "clipnorm": None,
        "clipvalue": None,
        "global_clipnorm": None,
        "use_ema": False,
        "ema_momentum": 0.99,
        "ema_overwrite_frequency": None,
        "loss_scale_factor": None,
        "gradient_accumulation_steps": None,
    }
    with steps(api, mode, lambda: sgd(api, 0.5, name="other", **off)) as training:
        assert training.move() == 0.5
        assert training.optimizer.get_config()["name"] == "other"
    signature = inspect.signature(kcompat.optimizer_class(rules.SGD, api))
    assert list(signature.parameters)[:3] == ["learning_rate", "momentum", "nesterov"]
    assert {"name", *off} == set(list(signature.parameters)[3:])
    for name, value in off.items():
        assert signature.parameters[name].default == value
        assert signature.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


# Configuration.


@pytest.mark.filterwarnings("ignore:The argument")
@pytest.mark.parametrize("api,mode", WAYS)
def test_config_gives_the_optimizer_back(api, mode):
    values, gradients = starting_values([(2, 2)]), varied_gradients([(2, 2)], 3)

    def train(make):
        with steps(api, mode, make, *values) as training:
            for (gradient,) in gradients:
                training.step(gradient)
            return training.values()[0], training.optimizer.get_config()

    makers = [
        lambda: adam(api, 0.1, beta_1=0.5, amsgrad=True, clipnorm=0.5, weight_decay=0.1, name="mine"),
        lambda: adam(api, lr=1, decay=0.5),
        lambda: sgd(api, 0.1, 0.9, nesterov=True, global_clipnorm=1),
        lambda: kcompat.optimizer_class(rules.AdamW, api)(weight_decay=0.25),
        lambda: kcompat.optimizer_class(Factored, api)(power=3, flavour="plain"),
    ]
    if _has_schedules():
        makers.append(lambda: adam(api, halving(api), clipvalue=0.5))
    for make in makers:
        first, config = train(make)
        config = json.loads(json.dumps(config))
        with steps(api, mode, make) as training:
            kind = type(training.optimizer)
            fresh = json.loads(json.dumps(training.optimizer.get_config()))
            assert {**fresh, "name": config["name"]} == config  # Keras 3 numbers the names
        again, config_again = train(lambda kind=kind, config=config: kind.from_config(config))
        np.testing.assert_array_equal(first, again)
        assert json.loads(json.dumps(config_again)) == config


@pytest.mark.parametrize("api,mode", WAYS)
def test_config_has_the_exact_numbers(api, mode):
    """Not those of the host's float32 variable (0.10000000149), also after steps and after setting."""
    with steps(api, mode, lambda: adam(api, 0.1, weight_decay=0.3)) as training:
        training.step()
        config = training.optimizer.get_config()
        assert (config["learning_rate"], config["beta_2"], config["weight_decay"]) == (0.1, 0.999, 0.3)
        training.optimizer.learning_rate = 0.7
        assert training.optimizer.get_config()["learning_rate"] == 0.7
        training.assign(training.optimizer.learning_rate, 0.25)
        assert training.optimizer.get_config()["learning_rate"] == 0.25


@pytest.mark.parametrize("api,mode", WAYS)
def test_config_of_what_has_none(api, mode):
    with steps(api, mode, lambda: sgd(api, lambda: 0.5)) as training:
        training.build()
        with pytest.warns(UserWarning, match="no configuration"):
            config = training.optimizer.get_config()
        assert config["learning_rate"] == 0.5


@pytest.mark.parametrize("api,mode", [way for way in WAYS if way[0] != "tf1"])
def test_native_configs_are_understood(api, mode):
    values, gradients = starting_values([(2, 2)]), varied_gradients([(2, 2)], 3)
    for name, arguments in (
        ("Adam", {"learning_rate": 0.1, "beta_1": 0.5, "epsilon": 1e-3, "clipnorm": 0.5}),
        ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ):
        host, theirs = native(api, name), dict(arguments)
        if not accepts(host.__init__, "learning_rate"):  # as it is called since Keras 2.3
            theirs["lr"] = theirs.pop("learning_rate")
        with steps(api, mode, lambda h=host, a=theirs: h(**a), *values) as training:
            config = json.loads(json.dumps(training.optimizer.get_config(), default=float))
        kind = kcompat.optimizer_class(getattr(rules, name), api)
        with steps(api, mode, lambda k=kind, c=config: k.from_config(c), *values) as training:
            for (gradient,) in gradients:
                training.step(gradient)
            got = training.values()
        base = {k: v for k, v in arguments.items() if k == "clipnorm"}
        rule = getattr(rules, name)(**{k: v for k, v in arguments.items() if k != "clipnorm"})
        expected, _ = reference(rule, values, gradients, **base)
        np.testing.assert_allclose(got[0], expected[0], rtol=1e-5, atol=1e-6)
        # And ours has everything that the host's has: whoever reads one can read the other.
        ours = kind(**arguments).get_config()
        assert set(config) - set(ours) - set(theirs) <= {"is_legacy_optimizer", "jit_compile", "decay"}


# Gradients.


@pytest.mark.parametrize("api,mode", TF_MODES)
def test_gradients_that_can_not_be_applied(api, mode):
    """Each is an error before anything is assigned, and the optimizer goes on as before."""
    import tensorflow as tf

    with steps(api, mode, lambda: adam(api, 0.1), np.ones((2, 2)), np.ones(3)) as training:
        training.step()
        matrix, vector = training.variables
        before = training.state()
        ones = tf.ones
        optimizer = training.optimizer
        for pairs, words in (
            ([(None, matrix), (None, vector)], "^No gradients provided for any variable: v0, v1"),
            ([], "^No variables provided"),
            ([(ones((2, 2)), matrix), (ones(2), vector)], r"'v1' has shape \(2,\); expected \(3,\)"),
            ([(ones((2, 2)), matrix), (ones((3, 1)), vector)], "'v1' has shape"),
            ([(ones((2, 2)), matrix), (ones(()), vector)], "'v1' has shape"),
            ([(ones((2, 2)), matrix), (tf.ones(3, tf.int32), vector)], "'v1' has dtype int32"),
            ([(ones((2, 2)), matrix), (tf.ones(3, tf.complex64), vector)], "'v1' has dtype complex64"),
            ([(ones((2, 2)), matrix), (ones((2, 2)), matrix)], "'v0' is in the list twice"),
            (
                [(ones(3), vector), (tf.IndexedSlices(ones((1, 3)), tf.constant([0])), matrix)],
                "sparse gradient of 'v0' has shape",
            ),
        ):
            with pytest.raises(GradientError, match=words) as caught:
                optimizer.apply_gradients(pairs)
            assert isinstance(caught.value, ValueError)
            with pytest.raises(GradientError, match=words):
                optimizer.apply_gradients(iter(pairs))
        np.testing.assert_equal(training.state(), before)
        training.step()
        assert training.iterations() == 2


@pytest.mark.parametrize("api,mode", [way for way in TF_WAYS if way[1] == "eager"])
@pytest.mark.parametrize("rule", [rules.Adam(0.1), LazyMomentum(0.1)], ids=["dense", "rows"])
def test_a_row_out_of_range(api, mode, rule):
    """An error on the CPU, before anything is assigned: the variable before it in the list, too."""
    import tensorflow as tf

    for base in ({}, {"global_clipnorm": 1.0}):
        make_ = lambda base=base: kcompat.optimizer(rule, api, **base)  # noqa: E731
        with steps(api, mode, make_, np.ones(3), np.ones((4, 2))) as training:
            training.step()
            before = training.state()
            for index in (4, -1, 100):
                slices = tf.IndexedSlices(tf.ones((2, 2)), tf.constant([1, index]))
                pairs = [(tf.ones(3), training.variables[0]), (slices, training.variables[1])]
                with pytest.raises((tf.errors.InvalidArgumentError, GradientError)):
                    training.optimizer.apply_gradients(pairs)
                np.testing.assert_equal(training.state(), before)


@pytest.mark.parametrize("api,mode", TF_WAYS)
def test_variables_that_can_not_be_trained(api, mode):
    import tensorflow as tf

    with steps(api, mode, lambda: sgd(api, 0.5)) as training:
        whole = make_variable(api, np.ones(2, "int32"), "whole", mode)
        with pytest.raises(GradientError, match="'whole' has dtype int32"):
            training.optimizer.apply_gradients([(tf.ones(2), training.variables[0]), (tf.ones(2), whole)])
        assert training.move() == 0.5 and training.iterations() == 1


@pytest.mark.parametrize("api,mode", TF_MODES)
def test_gradients_of_another_precision_are_cast(api, mode):
    import tensorflow as tf

    with steps(api, mode, lambda: sgd(api, 0.5, momentum=0.5)) as training:
        training._apply = lambda grads, apply=training._apply: apply([tf.cast(g, tf.float64) for g in grads])
        assert training.move() == 0.5
        assert training.move() == 0.75


@pytest.mark.parametrize("api,mode", API_MODES)
def test_slots_by_name(api, mode):
    with steps(api, mode, lambda: sgd(api, 0.5, momentum=0.5)) as training:
        optimizer, (variable,) = training.optimizer, training.variables
        with pytest.raises(NotBuiltError, match="'v0'.*no variable yet"):
            optimizer.get_slot(variable, "m")
        assert optimizer.get_slot_names() == []
        training.step()
        assert optimizer.get_slot_names() == ["m"]
        assert training.read(optimizer.get_slot(variable, "m")).tolist() == [-0.5, -0.5]
        with pytest.raises(KeyError, match="no slot 'momentum'; it has m"):
            optimizer.get_slot(variable, "momentum")
        other = make_variable(api, np.ones(2, "float32"), "other", mode)
        with pytest.raises(NotBuiltError, match="'other'.*'v0'"):
            optimizer.get_slot(other, "m")


@pytest.mark.parametrize("api,mode", TF_MODES)
def test_arguments_of_apply_gradients_of_every_generation(api, mode):
    import tensorflow as tf

    made = []

    def make():
        made.append(tf.Variable(np.int64(5), name="counter", trainable=False))
        return sgd(api, 0.5)

    with steps(api, mode, make) as training:
        optimizer = training.optimizer

        def apply(grads):
            return optimizer.apply_gradients(
                zip(grads, training.variables),
                name="train step!",
                global_step=made[0],
                experimental_aggregate_gradients=False,
                skip_gradients_aggregation=True,
            )

        training._apply = apply
        assert [training.move(), training.move()] == [0.5, 0.5]
        assert int(training.read(made[0])) == 7 and training.iterations() == 2
        pairs = [(tf.ones(2), training.variables[0])]
        for typo in ("globalstep", "skip_gradient_aggregation", "clipnorm"):
            with pytest.raises(TypeError, match=typo):
                optimizer.apply_gradients(pairs, **{typo: None})
        assert training.iterations() == 2


# Weight decay's exclusions.


@pytest.mark.parametrize("api,mode", API_MODES)
@pytest.mark.parametrize("how", ["var_list", "var_names"])
def test_exclude_from_weight_decay(api, mode, how):
    values = [np.full(2, 8.0), np.full(2, 8.0)]
    make = {
        "var_list": lambda: kcompat.optimizer(rules.AdamW(0.5, weight_decay=0.25), api),
        "var_names": lambda: adam(api, 0.5, weight_decay=0.25, clipnorm=1.0),
    }[how]
    with steps(api, mode, make, *values) as training:
        if how == "var_list":
            training.optimizer.exclude_from_weight_decay(var_list=[training.variables[1]])
        else:
            training.optimizer.exclude_from_weight_decay(var_names=["^v[1-9]"])
        training.step(0.0, 0.0)
        assert [value.tolist() for value in training.values()] == [[7.0, 7.0], [8.0, 8.0]]
        # What is excluded shares the other hyperparameters, also when they are set again.
        training.optimizer.learning_rate = 0.0
        training.step()
        assert [value.tolist() for value in training.values()] == [[7.0, 7.0], [8.0, 8.0]]
        with pytest.raises(NotBuiltError, match="before the first step"):
            training.optimizer.exclude_from_weight_decay(var_names=["x"])


# Several of everything.


@pytest.mark.parametrize("api,mode", [each for each in API_MODES if each[1] != "jit"])
def test_two_optimizers_of_one_rule(api, mode):
    rule = rules.SGD(0.5, momentum=0.5)
    made = []

    def make():
        made.extend([kcompat.optimizer(rule, api), kcompat.optimizer(rule, api)])
        return made[0]

    with steps(api, mode, make, np.zeros(2), np.zeros(2)) as training:

        def apply(grads):
            first = made[0].apply_gradients([(grads[0], training.variables[0])])
            second = made[1].apply_gradients([(grads[1], training.variables[1])])
            return [first, second]

        training._apply = apply
        training.step()
        made[1].learning_rate = 0.25
        assert [moved[0] for moved in training.step()] == [0.75, 0.5]
        assert made[0].rule is made[1].rule is rule and rule.learning_rate == 0.5
        assert [int(training.read(each.iterations)) for each in made] == [2, 2]


@pytest.mark.parametrize("api,mode", WAYS)
def test_one_optimizer_of_two_models(api, mode):
    """Variables of the same name and shape, trained alternately."""
    params, gradients = starting_values([(2, 2), (2, 2)]), varied_gradients([(2, 2), (2, 2)], 6)
    for step, row in enumerate(gradients):
        row[step % 2] = None
    result = run(api, mode, rules.Adam(0.1), params, gradients)
    assert_agree(result, reference(rules.Adam(0.1), params, gradients))


@pytest.mark.parametrize("api,mode", [each for each in GRAPHS if each[0] == "tf1"])
def test_one_optimizer_in_two_graphs(api, mode):
    import tensorflow as tf

    optimizer = sgd(api, 0.5, momentum=0.5)
    graphs = []
    for start in (0.0, 8.0):
        with tf.Graph().as_default() as graph:
            variable = make_variable(api, np.full(2, start, "float32"), "v", mode)
            graphs.append((graph, variable, optimizer.apply_gradients([(tf.ones(2), variable)])))
    for (graph, variable, operation), moves in zip(graphs, (1, 2)):
        with graph.as_default(), tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            before = session.run(variable)
            for _ in range(moves):
                session.run(operation)
            assert (before - session.run(variable)).tolist() == [{1: 0.5, 2: 1.25}[moves]] * 2
            assert session.run(optimizer.iterations) == moves
            optimizer.learning_rate = 0.0
            assert float(session.run(optimizer.learning_rate)) == 0


# Ways to the class.


@pytest.mark.parametrize("api", APIS)
def test_ways_to_an_optimizer(api, monkeypatch):
    import importlib

    monkeypatch.setenv("KCOMPAT_API", api)
    from kcompat.optimizers import Adam

    module = importlib.import_module("kcompat.optimizers." + api)
    assert Adam is module.Adam is kcompat.optimizer_class(rules.Adam)
    assert Adam is kcompat.optimizer_class(rules.Adam, api)
    assert Adam.__qualname__ == "Adam" and Adam.api == api and issubclass(Adam, host_class(api))
    assert "Kingma" in Adam.__doc__ and "SGD" in dir(module)
    with pytest.raises(AttributeError, match="Adamm"):
        _ = module.Adamm
    monkeypatch.setenv("KCOMPAT_API", "no_such_api")
    with pytest.raises(kcompat.ApiNotAvailableError, match="no_such_api"):
        kcompat.optimizer_class(rules.Adam)
    assert kcompat.optimizer_class(rules.Adam, api) is Adam


@pytest.mark.parametrize("api,mode", WAYS)
def test_an_instance_of_a_rule_and_its_class(api, mode):
    rule = SignMomentum(0.5, momentum=0.5)
    for make in (
        lambda: kcompat.optimizer(rule, api),
        lambda: kcompat.optimizer_class(SignMomentum, api)(0.5, momentum=0.5),
    ):
        with steps(api, mode, make) as training:
            assert isinstance(training.optimizer, host_class(api))
            assert type(training.optimizer) is kcompat.optimizer_class(SignMomentum, api)
            assert training.optimizer.rule == rule
            assert training.move() == 0.5
    values = np.zeros((2, 2)), np.zeros(2)
    with steps(api, mode, lambda: kcompat.optimizer(ByName(0.5), api), *values) as training:
        moved = training.step()
        assert moved[0][0, 0] == 0.5 and moved[1][0] == pytest.approx(0.01)


# Variables.


@pytest.mark.parametrize("api,mode", API_MODES)
def test_variables_has_the_counter_and_every_slot_once(api, mode):
    with steps(api, mode, lambda: adam(api, 0.5, amsgrad=True), np.zeros((2, 2)), np.zeros(3)) as training:
        training.step()
        optimizer = training.optimizer
        wanted = [optimizer.get_slot(v, n) for v in training.variables for n in ("m", "v", "vhat")]
        wanted.append(optimizer.iterations)
        assert optimizer.get_slot_names() == ["m", "v", "vhat"]
        found = listed(optimizer)
        for each in wanted:
            assert sum(each is other for other in found) == 1
        # Besides them there are numbers at most: no variable of the model, nothing twice.
        rest = [v for v in found if not any(v is each for each in wanted)]
        assert all(tuple(variable.shape) == () for variable in rest)
        assert len({id(variable) for variable in found}) == len(found)
        assert not any(v is each for v in found for each in training.variables)
        if hasattr(optimizer, "weights"):
            assert [id(v) for v in optimizer.weights] == [id(v) for v in found]


@pytest.mark.parametrize("api,mode", API_MODES)
def test_building_twice_and_on_more_variables(api, mode):
    with steps(api, mode, lambda: sgd(api, 0.5, momentum=0.5), np.zeros((2, 2)), np.zeros(3)) as training:
        optimizer, variables = training.optimizer, training.variables
        optimizer.build(variables[:1])
        slot = optimizer.get_slot(variables[0], "m")
        optimizer.build(variables[:1])
        optimizer.build(variables)
        optimizer.build(variables[1:])
        assert optimizer.get_slot(variables[0], "m") is slot
        count = len(listed(optimizer))
        training.step()
        assert [float(moved.reshape(-1)[0]) for moved in training.step()] == [0.75, 0.75]
        assert len(listed(optimizer)) == count and training.iterations() == 2


def test_every_api_was_tested():
    assert kcompat.detect().apis == () or APIS


@pytest.mark.parametrize("api,mode", [each for each in API_MODES if each[0] == "keras_3"])
def test_variables_that_are_overwritten_with_their_gradient(api, mode):
    """Keras 3's float8 layers have scales whose gradient is their new value: no rule, no slots."""
    base = {"global_clipnorm": 1.0, "use_ema": True, "weight_decay": 0.5}
    params, gradients = starting_values([(3,)]), varied_gradients([(3,)], 4)
    with steps(api, mode, lambda: adam(api, 0.1, **base), params[0], np.ones(2)) as training:
        training.variables[1].overwrite_with_gradient = True
        for step, (g,) in enumerate(gradients):
            training.step(g, np.full(2, 100.0 + step))
            assert training.values()[1].tolist() == [100.0 + step] * 2
        expected, slots = reference(rules.Adam(0.1), params, gradients, **base)
        np.testing.assert_allclose(training.values()[0], expected[0], rtol=1e-5, atol=1e-6)
        with pytest.raises(KeyError, match="no slot"):
            training.optimizer.get_slot(training.variables[1], "m")
        training.optimizer.finalize_variable_values(training.variables)
        np.testing.assert_allclose(training.values()[0], slots[0]["average"], rtol=1e-5, atol=1e-6)
        assert training.values()[1].tolist() == [103.0] * 2


@pytest.mark.parametrize("api,mode", [each for each in API_MODES if each[0] == "keras_3"])
def test_overwritten_variables_with_accumulation(api, mode):
    """They become the largest value since the last update; what is summed up is where Keras has it."""
    make = lambda: sgd(api, 1.0, gradient_accumulation_steps=2)  # noqa: E731
    with steps(api, mode, make, np.ones(2), np.ones(2)) as training:
        training.variables[1].overwrite_with_gradient = True
        for given, want, kept in ((3, 1, 3), (2, 3, 0), (5, 3, 5), (6, 6, 0)):
            training.step(1.0, given)
            assert training.values()[1].tolist() == [want] * 2
            sums = [training.read(each).tolist() for each in training.optimizer._accumulated_gradients]
            assert sums == [[1.0 if kept else 0.0] * 2, [kept] * 2]
        assert training.values()[0].tolist() == [-1.0] * 2


@pytest.mark.parametrize("api,mode", WAYS)
def test_a_variable_without_a_gradient_is_named_in_a_warning(api, mode):
    with steps(api, mode, lambda: sgd(api, 0.5), np.ones(2), np.ones(2)) as training:
        training._apply = lambda grads, apply=training._apply: apply([grads[0], None])
        with pytest.warns(UserWarning, match="SGD: no gradient for v1"):
            training.step()
        assert [value[0] for value in training.values()] == [0.5, 1.0]


HOOKED = [api for api, mode in WAYS if api in ("keras_2_11", "keras_3") and mode == "eager"]


@pytest.mark.parametrize("api", HOOKED)
def test_the_hosts_own_hook_clips(api):
    """Keras' own tests ask for it; the step does not."""

    def clipped(*grads, **base):
        return [np.asarray(g) for g in adam(api, 0.1, **base)._clip_gradients([np.array(g) for g in grads])]

    np.testing.assert_allclose(clipped([100.0, 100.0], clipnorm=1)[0], [0.5**0.5] * 2, rtol=1e-6)
    np.testing.assert_allclose(clipped([100.0, -0.5], clipvalue=1)[0], [1, -0.5])
    both = clipped([3.0], [4.0], global_clipnorm=1)
    np.testing.assert_allclose(np.concatenate(both), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(clipped([100.0, 100.0])[0], [100, 100])
    for rule in (rules.Nadam(), rules.Prodigy()):  # which see all gradients at once
        optimizer = kcompat.optimizer(rule, api, clipvalue=1)
        assert np.asarray(optimizer._clip_gradients([np.array([100.0])])[0]).tolist() == [1]

"""Update rules, hyperparameters, transforms and the oracle keep their contract. No framework is needed."""

import inspect
import json

import numpy as np
import pytest
from _rules import ByName, Distance, Factored, LazyMomentum, SignMomentum
from hypothesis import given, settings
from hypothesis import strategies as st

import kcompat
from kcompat import rules, transforms
from kcompat.errors import (
    GradientError,
    HyperparameterError,
    KcompatError,
    RuleError,
    UnknownArgumentError,
)
from kcompat.rule import UpdateRule, kind_of, takes_step, walk
from kcompat.testing import reference
from kcompat.transforms.arguments import with_base_arguments

# It is NumPy, whatever framework is there.
pytestmark = pytest.mark.wide

quick = settings(deadline=None, max_examples=50, derandomize=True)
finite = st.floats(-1e3, 1e3, allow_nan=False, width=32)


class Plain(UpdateRule):
    """Gradient descent, the smallest rule."""

    rate = kcompat.Hyper(0.5)

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.rate * grad, {}


def define(init=None, update=None, **attributes):
    """A rule class with one slot `m`, of which a test replaces some methods."""

    def init_m(self, xp, param):
        return {"m": xp.zeros_like(param)}

    def update_m(self, xp, grad, param, slots, hyper, step):
        m = slots["m"] + grad
        return param - hyper.rate * m, {"m": m}

    attributes.setdefault("rate", kcompat.Hyper(0.5))
    return type("Rule", (UpdateRule,), {"init": init or init_m, "update": update or update_m, **attributes})


# Hyperparameters.


class Many(Plain):
    """One hyperparameter of every kind."""

    needed = kcompat.Hyper(doc="one without a default")
    count = kcompat.Hyper(3)
    flag = kcompat.Hyper(False)
    word = kcompat.Hyper("a")
    nothing = kcompat.Hyper(None)
    pair = kcompat.Hyper((0.9, 0.99))
    places = kcompat.Hyper([1, 2])
    power = kcompat.Hyper(2, static=True)
    share = kcompat.Hyper(0.5, ge=0, lt=1)


def test_hyperparameters_are_the_constructors_arguments_in_order():
    names = ["rate", "needed", "count", "flag", "word", "nothing", "pair", "places", "power", "share"]
    assert list(Many.hypers) == names
    rule = Many(0.1, 2.0, 4, True, word="b", share=0)
    assert [getattr(rule, n) for n in names] == [0.1, 2.0, 4, True, "b", None, (0.9, 0.99), [1, 2], 2, 0]
    static = {name for name, hyper in Many.hypers.items() if hyper.static}
    assert static == {"flag", "word", "nothing", "pair", "places", "power"}
    assert isinstance(Many.rate, kcompat.Hyper) and Many.needed.doc == "one without a default"


def test_help_shows_hyperparameters():
    signature = inspect.signature(Many)
    assert list(signature.parameters) == list(Many.hypers)
    assert signature.parameters["needed"].default is inspect.Parameter.empty
    assert signature.parameters["share"].default == 0.5
    signature.bind(needed=1)
    with pytest.raises(TypeError):
        signature.bind()
    assert "learning_rate=0.001" in str(inspect.signature(rules.Adam))
    assert repr(rules.SGD(0.5)) == "SGD(learning_rate=0.5, momentum=0.0, nesterov=False)"


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda: Many(), "needs the hyperparameter 'needed'"),
        (lambda: rules.SGD(0.1, 0.2, True, 4), "given 4 arguments"),
        (lambda: rules.SGD(0.1, learning_rate=0.2), "'learning_rate' twice"),
        (lambda: rules.Adam(beta1=0.9), "Did you mean 'beta_1'?"),
        (lambda: rules.Adam(Learning_Rate=0.9), "Did you mean 'learning_rate'?"),
        (lambda: rules.SGD(0.1).replace(momentun=0.5), "Did you mean 'momentum'?"),
        (lambda: rules.SGD(xyzzy=1), "'xyzzy'; it has learning_rate, momentum, nesterov."),
    ],
)
def test_wrong_arguments(call, words):
    with pytest.raises(UnknownArgumentError) as caught:
        call()
    assert words in str(caught.value)
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, KcompatError)


@pytest.mark.parametrize(
    "value",
    [-0.1, 1.0, float("nan"), np.float32("nan"), float("inf"), "0.5", None, True, [0.5], 1j, np.array([0.5])],
)
def test_a_value_that_is_no_number_in_bounds(value):
    """Of a hyperparameter in [0, 1)."""
    with pytest.raises(HyperparameterError, match="share") as caught:
        Many(needed=1, share=value)
    assert isinstance(caught.value, ValueError)


def test_bounds_are_named():
    with pytest.raises(HyperparameterError, match=r"Adam\(beta_1=1.5\): expected a number >= 0 and < 1"):
        rules.Adam(beta_1=1.5)
    with pytest.raises(HyperparameterError, match=r"Plain\(rate=nan\): expected a number that is not NaN"):
        Plain(float("nan"))
    both = define(rate=kcompat.Hyper(0.5, gt=0, le=1))
    assert both(1).rate == 1
    for value in (0, 1.01):
        with pytest.raises(HyperparameterError, match="> 0 and <= 1"):
            both(value)


@pytest.mark.parametrize(
    "given_value,kept",
    [
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.int64(1), 1),
        (np.array(0.25), 0.25),
        (1, 1),
        (0.1, 0.1),
    ],
)
def test_numbers_become_plain_python(given_value, kept):
    rule = Plain(given_value)
    assert rule.rate == kept and type(rule.rate) is type(kept)
    assert json.loads(json.dumps(rule.config())) == {"rate": kept}


def test_static_numpy_values_become_plain_python():
    rule = Factored(power=np.int64(3))
    assert json.loads(json.dumps(rule.config()))["power"] == 3
    assert rules.Adam(amsgrad=np.bool_(True)).amsgrad is True
    for value in ("False", None, 2, [True]):
        with pytest.raises(kcompat.HyperparameterError, match="amsgrad=.*True or False"):
            rules.Adam(amsgrad=value)


@pytest.mark.parametrize("source", [lambda: 0.5, lambda step: 0.5 / (step + 1), [0.5].__getitem__])
def test_callables_are_sources(source):
    rule = Plain(source)
    assert rule.rate is source
    with pytest.raises(HyperparameterError, match="no JSON form"):
        rule.config()


def test_kinds_of_sources():
    class Schedule:
        def __call__(self, step):
            return 0.5

    class Optional:
        def __call__(self, step=None):
            return 0.5

    assert [kind_of(s) for s in (0.5, np.float32(1), Schedule(), lambda: 1, Optional(), lambda *a: 1)] == [
        "number",
        "number",
        "schedule",
        "callable",
        "callable",
        "callable",
    ]
    assert takes_step(lambda step, more=1: 0.5) and not takes_step(lambda **k: 0.5)


# Inheritance.


def test_redeclaring_moves_a_hyperparameter_to_the_end():
    class Child(Many):
        own = kcompat.Hyper(1.0)
        rate = kcompat.Hyper(0.25)

    assert list(Child.hypers)[-2:] == ["own", "rate"] and len(Child.hypers) == len(Many.hypers) + 1
    assert Child(needed=1).rate == 0.25 and Many(needed=1).rate == 0.5
    assert list(rules.AdamW.hypers)[:2] == ["learning_rate", "weight_decay"]


def test_a_hyperparameter_can_be_taken_away():
    class Fixed(Plain):
        rate = None

        def update(self, xp, grad, param, slots, hyper, step):
            return param - 0.125 * grad, {}

    assert list(Fixed.hypers) == []
    with pytest.raises(UnknownArgumentError):
        Fixed(rate=1)
    assert reference(Fixed(), [np.ones(2)], [[np.ones(2)]])[0][0].tolist() == [0.875, 0.875]


def test_hyperparameters_of_two_bases():
    class Damped(UpdateRule):
        damping = kcompat.Hyper(0.5)

    class Both(Plain, Damped):
        def update(self, xp, grad, param, slots, hyper, step):
            return param - hyper.rate * hyper.damping * grad, {}

    assert list(Both.hypers) == ["damping", "rate"]  # the last base's first, as dataclasses have it
    (param,), _ = reference(Both(rate=1.0, damping=0.25), [np.ones(2)], [[np.ones(2)]])
    assert param.tolist() == [0.75, 0.75]


def test_super_update():
    class Twice(SignMomentum):
        def update(self, xp, grad, param, slots, hyper, step):
            return super().update(xp, 2 * grad, param, slots, hyper, step)

    _, (slots,) = reference(Twice(0.1, 0.5), [np.zeros(2)], [[np.ones(2)]])
    assert slots["m"].tolist() == [1.0, 1.0]


# Configuration, equality, immutability.

NESTED = transforms.ClipByGlobalNorm(
    transforms.InverseTimeDecay(
        transforms.DecoupledWeightDecay(rules.Adam(0.25, beta_1=0.5, amsgrad=True), weight_decay=0.1),
        decay=0.01,
    ),
    global_clipnorm=1.0,
)

RULES = [
    Plain(),
    Many(needed=2),
    Factored(power=3, flavour="other"),
    LazyMomentum(0.1),
    Distance(),
    ByName(),
    SignMomentum(),
    rules.SGD(0.1, momentum=0.9, nesterov=True),
    rules.Adam(1, epsilon=1e-3),
    rules.AdamW(weight_decay=0.1),
    transforms.ClipByValue(rules.SGD(), clipvalue=1),
    NESTED,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_config_is_json_and_gives_the_rule_back(rule):
    config = json.loads(json.dumps(rule.config()))
    again = type(rule)(**config)
    assert again == rule and repr(again) == repr(rule)
    assert again.config() == rule.config()
    assert hash(again) == hash(rule)


def test_nested_configs_give_the_same_numbers():
    again = type(NESTED)(**json.loads(json.dumps(NESTED.config())))
    assert [type(rule) for _, rule in walk(again)] == [type(rule) for _, rule in walk(NESTED)]
    random = np.random.RandomState(0)
    params, grads = [random.randn(3, 2)], [[random.randn(3, 2)] for _ in range(4)]
    assert reference(again, params, grads)[0][0].tolist() == reference(NESTED, params, grads)[0][0].tolist()


@pytest.mark.parametrize(
    "description",
    [
        {"module": "os", "class": "getcwd", "config": {}},
        {"module": "kcompat.rules.adam", "class": "Missing", "config": {}},
        {"module": "collections", "class": "OrderedDict", "config": {}},
        3,
        rules.Adam,
        {"module": "os"},
    ],
)
def test_what_is_inside_a_transform_must_be_a_rule(description):
    with pytest.raises(RuleError):
        transforms.ClipByValue(description, clipvalue=1)


def test_equality_and_hash():
    assert rules.SGD(0.5) == rules.SGD(0.5) != rules.SGD(0.25)
    assert rules.SGD(1) == rules.SGD(1.0) and hash(rules.SGD(1)) == hash(rules.SGD(1.0))
    assert rules.Adam() != rules.AdamW() and rules.SGD() != "SGD"
    assert transforms.ClipByNorm(rules.SGD(1), 1) != transforms.ClipByNorm(rules.SGD(2), 1)
    assert len({rules.SGD(0.5), rules.SGD(0.5), rules.SGD(0.25)}) == 2
    # What a rule is for one variable is not what it is for another.
    multiplied = transforms.LearningRateMultipliers(rules.SGD(), {"a": 0.5})
    a, again, b = (multiplied.for_variable(name, (2,)) for name in ("a", "also a", "b"))
    assert a == again != b
    excluded = rules.LAMB(exclude_from_weight_decay=["a"])
    a, again, b = (excluded.for_variable(name, (2,)) for name in ("a", "also a", "b"))
    assert a == again != b == excluded


def test_rules_made_for_variables_with_arrays_are_not_taken_to_be_equal():
    """Whether two arrays are equal is an array: it is not asked."""

    class Masked(rules.SGD):
        def for_variable(self, name, shape):
            copy = object.__new__(type(self))
            copy.__dict__.update(self.__dict__)
            copy.__dict__["_mask"] = np.ones(shape)
            return copy

    rule = Masked()
    assert rule == Masked()
    one, other = (rule.for_variable("v", (2,)) for _ in range(2))
    assert one == one and one != other and one != rule


def test_replace_leaves_the_original():
    rule = rules.SGD(0.5)
    other = rule.replace(momentum=0.9)
    assert (rule.momentum, other.momentum, other.learning_rate) == (0.0, 0.9, 0.5)
    clip = transforms.ClipByValue(rule, clipvalue=1)
    assert clip.replace(clipvalue=2) == transforms.ClipByValue(rule, clipvalue=2)
    assert clip.replace(inner=other).inner is other


def test_a_rule_is_immutable():
    rule = Many(needed=1)
    for change in (
        lambda: setattr(rule, "rate", 1.0),
        lambda: setattr(rule, "anything", 1.0),
        lambda: setattr(NESTED, "inner", rule),
    ):
        with pytest.raises(RuleError, match="immutable"):
            change()
    with pytest.raises(TypeError):
        Many.hypers["rate"] = kcompat.Hyper(1.0)
    # Neither by way of a list that it was given, nor of the default.
    places = [5]
    given_list = Many(needed=1, places=places)
    places.append(6)
    assert given_list.places == [5]
    rule.places.append(3)
    assert Many(needed=1).places == [1, 2]


# Mistakes, told at class definition.


@pytest.mark.parametrize(
    "name", ["name", "clipnorm", "use_ema", "lr", "inner", "iterations", "init", "config", "sparse", "_own"]
)
def test_a_reserved_name(name):
    with pytest.raises(RuleError, match=name):
        define(**{name: kcompat.Hyper(0.5)})


def test_weight_decay_may_be_the_rules_own():
    assert "weight_decay" in define(weight_decay=kcompat.Hyper(0.5)).hypers


@pytest.mark.parametrize(
    "attributes",
    [
        {"sparse": "lazy"},
        {"sparse": None},
        {"update": lambda self, grad, param: (param, {})},
        {"update": lambda self, xp, grad, param, slots, hyper, step, more: (param, {})},
        {"init": lambda self, param: {}},
        {"init": lambda self, xp, param, more: {}},
    ],
)
def test_a_wrong_definition(attributes):
    with pytest.raises(RuleError, match="Rule"):
        define(**attributes)


def test_extra_arguments_with_defaults_are_fine():
    define(update=lambda self, xp, grad, param, slots, hyper, step, more=1: (param - grad, dict(slots)))()
    define(update=lambda self, *args: (args[2], dict(args[3])))()


# Mistakes, told at construction.


def _missing_update():
    return type("Rule", (UpdateRule,), {"rate": kcompat.Hyper(0.5)})


def _assign_slot(self, xp, grad, param, slots, hyper, step):
    slots["m"] = grad
    return param, slots


def _assign_item(self, xp, grad, param, slots, hyper, step):
    param[0] = grad[0]
    return param, dict(slots)


def _assign_hyper(self, xp, grad, param, slots, hyper, step):
    hyper.rate = 1.0
    return param, dict(slots)


def _assign_self(self, xp, grad, param, slots, hyper, step):
    self.count = 1
    return param, dict(slots)


def _branch(self, xp, grad, param, slots, hyper, step):
    return (param - grad if step > 1 else param), dict(slots)


def _fail(self, xp, grad, param, slots, hyper, step):
    raise ValueError("no shape is right")


def updates(expression):
    """An update method: the expression is what it returns, in the names of its arguments."""
    return eval("lambda self, xp, grad, param, slots, hyper, step: " + expression)


def inits(expression):
    return eval("lambda self, xp, param: " + expression)


def prepares(expression):
    return eval("lambda self, xp, g, p, s, shared, hyper, step: " + expression)


@pytest.mark.parametrize(
    "methods,words",
    [
        ({"update": updates("(param - grad, {})")}, ["drops slot 'm'", "init creates: m"]),
        ({"update": updates("(param, {'m': grad, 'v': grad})")}, ["invents slot 'v'"]),
        ({"update": updates("(param, {'M': grad})")}, ["drops slot 'm' and invents slot 'M'"]),
        ({"update": updates("(param, {'m': slots['mm']})")}, ["reads slot 'mm'", "Did you mean 'm'?"]),
        ({"update": updates("(xp.sum(param), dict(slots))")}, ["the parameter has shape ()"]),
        ({"update": updates("(param, {'m': xp.sum(grad)})")}, ["slot 'm' has shape ()"]),
        ({"update": updates("(xp.expand_dims(param, axis=0), dict(slots))")}, ["the parameter has shape"]),
        ({"update": updates("(xp.astype(param, xp.float32), dict(slots))")}, ["dtype float32", "float64"]),
        ({"update": updates("(param, {'m': xp.astype(grad, xp.float32)})")}, ["slot 'm' has dtype float32"]),
        ({"update": updates("(param > 0, dict(slots))")}, ["the parameter has dtype bool"]),
        ({"update": updates("(param * xp.ones((), dtype=xp.float32), dict(slots))")}, ["float32", "float64"]),
        ({"init": inits("{'m': xp.zeros(param.shape, dtype=xp.int32)}")}, ["slot 'm' has dtype int32"]),
        ({"init": inits("{'m': xp.zeros(param.shape, dtype=xp.float32)}")}, ["slot 'm' has dtype float32"]),
        ({"init": inits("{'m': param > 0}")}, ["slot 'm' has dtype bool"]),
        ({"init": inits("[param]")}, ["init() returned", "expected a dict"]),
        ({"init": inits("None")}, ["init() returned None"]),
        ({"init": inits("{1: param}")}, ["slot name 1"]),
        ({"init": inits("{'a b': param}")}, ["slot name 'a b'"]),
        ({"init": inits("{'m': 'text'}")}, ["Rule"]),
        ({"init": inits("{'m': None}")}, ["Rule"]),
        ({"update": updates("param - grad")}, ["returned Array", "expected the pair (new_param, new_slots)"]),
        ({"update": updates("None")}, ["returned NoneType"]),
        ({"update": updates("[param, slots]")}, ["returned list"]),
        ({"update": updates("(param, dict(slots), 1)")}, ["returned tuple"]),
        ({"update": updates("(param, [grad])")}, ["slots", "expected a dict"]),
        ({"update": updates("(param, None)")}, ["slots None"]),
        ({"update": updates("(None, dict(slots))")}, ["Rule"]),
        ({"update": updates("(xp.sqroot(param), dict(slots))")}, ["sqroot", "sqrt"]),
        ({"update": updates("(xp.linalg.norm(param) * param, dict(slots))")}, ["norm", "vector_norm"]),
        ({"update": updates("(param - hyper.rates * grad, dict(slots))")}, ["'rates'", "Did you mean"]),
        ({"update": updates("(param - self.rates * grad, dict(slots))")}, ["rates"]),
        ({"update": updates("(param - float(grad), dict(slots))")}, ["float"]),
        ({"update": updates("(param - int(step), dict(slots))")}, ["Rule"]),
        ({"update": updates("(param if grad.any() else grad, dict(slots))")}, ["any"]),
        ({"update": _branch}, ["xp.where"]),
        ({"update": _assign_slot}, ["Rule"]),
        ({"update": _assign_item}, ["Rule"]),
        ({"update": _assign_hyper}, ["hyper is read-only"]),
        ({"update": _assign_self}, ["immutable"]),
        ({"update": _fail}, ["fails on every shape", "(3, 2)", "no shape is right"]),
        ({"for_variable": lambda self, name, shape: None}, ["for_variable() returned None"]),
        ({"init_shared": lambda self, xp: 3}, ["init_shared() returned 3"]),
        ({"prepare": prepares("(g, {'d': xp.zeros(())})")}, ["prepare()", "'d'"]),
        ({"prepare": prepares("([], shared)")}, ["prepare()", "number"]),
        ({"prepare": prepares("g")}, ["prepare() returned list", "pair (gradients, new_shared)"]),
    ],
)
def test_a_mistake_is_told_at_construction(methods, words):
    rule = define(**methods)
    with pytest.raises(RuleError) as caught:
        rule()
    for each in words:
        assert each in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_a_rule_without_update():
    with pytest.raises(RuleError, match="does not define update"):
        _missing_update()()


def test_a_mistake_in_one_configuration_only():
    """Each configuration is checked, not each class once."""
    rule = define(
        odd=kcompat.Hyper(False),
        update=lambda self, xp, grad, param, slots, hyper, step: (param, {} if self.odd else dict(slots)),
    )
    rule()
    with pytest.raises(RuleError, match="drops"):
        rule(odd=True)
    with pytest.raises(RuleError, match="drops"):
        rule().replace(odd=True)


def test_a_transforms_slot_is_checked_too():
    class Bad(transforms.Transform):
        def update(self, xp, grad, param, slots, hyper, step):
            param, slots = super().update(xp, grad, param, slots, hyper, step)
            return param, {**slots, "extra": grad}

    with pytest.raises(RuleError, match="invents slot 'extra'"):
        Bad(rules.SGD())


# Rules that must pass.


class MatrixOnly(UpdateRule):
    """A rule for matrices, which refuses everything else in its own way."""

    learning_rate = kcompat.Hyper(0.1)

    def init(self, xp, param):
        rows, columns = param.shape
        return {"left": xp.eye(rows), "right": xp.eye(columns)}

    def update(self, xp, grad, param, slots, hyper, step):
        left = slots["left"] + xp.matmul(grad, grad.T)
        right = slots["right"] + xp.matmul(grad.T, grad)
        move = xp.linalg.solve(left, xp.matmul(grad, xp.linalg.inv(right)))
        return param - hyper.learning_rate * move, {"left": left, "right": right}


class Strange(UpdateRule):
    """Python numbers as slots, shapes that are branched on, static values, no hyperparameter."""

    def init(self, xp, param):
        return {"count": 0, "total": 2.5, "flat": xp.zeros((param.size,))}

    def update(self, xp, grad, param, slots, hyper, step):
        flat = slots["flat"]
        if param.ndim > 1:
            flat = flat + xp.reshape(grad, (-1,))
        elif param.shape:
            flat += grad
        decay = 0.5**step if len(param.shape) else 1 / (step + 1)
        slots = {"count": slots["count"] + 1, "total": slots["total"] * 0.5, "flat": flat}
        return param - decay * grad, slots


def test_unusual_rules_pass():
    MatrixOnly()
    random = np.random.RandomState(0)
    params, ((left_right,)) = reference(MatrixOnly(), [random.randn(3, 2)], [[random.randn(3, 2)]])
    assert params[0].shape == (3, 2) and left_right["left"].shape == (3, 3)
    _, slots = reference(Strange(), [np.ones(3), np.ones((2, 2))], [[np.ones(3), np.ones((2, 2))]] * 2)
    assert [slot["count"].tolist() for slot in slots] == [2.0, 2.0]
    assert slots[1]["flat"].tolist() == [2.0] * 4
    assert Distance().needs_all and not ByName().needs_all
    assert transforms.ClipByValue(Distance(), 1).needs_all
    assert not transforms.ClipByValue(rules.SGD(), 1).needs_all
    assert transforms.ClipByGlobalNorm(rules.SGD(), 1).needs_all


def test_for_variable():
    rule = ByName(0.5)
    (matrix, vector), slots = reference(
        rule, [np.zeros((2, 2)), np.zeros(2)], [[np.full((2, 2), 3.0), np.full(2, 3.0)]]
    )
    assert matrix.tolist() == [[-1.5, -1.5]] * 2
    np.testing.assert_allclose(vector, [-0.01, -0.01])
    assert slots[0] == {} and set(slots[1]) == {"m"}


def test_the_rule_sees_step_and_hypers_as_scalars():
    seen = []

    def update(self, xp, grad, param, slots, hyper, step):
        seen.append((tuple(step.shape), tuple(hyper.rate.shape), hyper.word, str(hyper.rate.dtype)))
        assert "rate" in hyper and "nothing" not in hyper and "word" in repr(hyper)
        return param - hyper.rate * grad * step, dict(slots)

    rule = define(update=update, word=kcompat.Hyper("a"))()
    del seen[:]
    params, _ = reference(rule, [np.zeros(2)], [[np.ones(2)]] * 3)
    assert params[0].tolist() == [-3.0, -3.0]
    assert seen == [((), (), "a", "float64")] * 3


# The oracle.


def test_the_oracle_starts_from_copies_and_returns_float64():
    start = np.ones((2, 2), "float32")
    gradient = np.ones((2, 2), "float32")
    (param,), (slots,) = reference(SignMomentum(0.5), [start], [[gradient]] * 2)
    assert param.dtype == slots["m"].dtype == np.float64
    assert (start == 1).all() and (gradient == 1).all()
    (narrow,), _ = reference(SignMomentum(0.5), [start], [[gradient]] * 2, dtype="float32")
    assert narrow.dtype == np.float32
    assert reference(SignMomentum(), [start], []) [0][0].tolist() == [[1, 1], [1, 1]]


def test_duplicate_rows_are_summed_first():
    gradient = (np.array([[1.0], [2.0], [4.0]]), np.array([2, 0, 2]))
    (param,), (slots,) = reference(rules.Adam(0.1, beta_2=0.5), [np.zeros((4, 1))], [[gradient]])
    np.testing.assert_allclose(slots["v"].ravel(), [2.0, 0, 12.5, 0])  # 5 squared, not 1 + 16
    (lazy,), (slots,) = reference(LazyMomentum(0.1), [np.zeros((4, 1))], [[gradient]])
    assert slots["norm"].tolist() == [4.0, 0.0, 25.0, 0.0]
    np.testing.assert_allclose(lazy.ravel(), [-0.2, 0, -0.5, 0])


def test_clipping_sees_the_summed_gradient():
    gradient = (np.array([[0.1], [0.1], [0.05]]), np.array([1, 1, 0]))
    for base, moved in (({"clipvalue": 0.1}, 0.1), ({"clipnorm": 0.05}, 0.05 * 0.2 / np.hypot(0.2, 0.05))):
        (param,), _ = reference(rules.SGD(1.0), [np.zeros((3, 1))], [[gradient]], **base)
        np.testing.assert_allclose(param[1], -moved)


def test_rows_absent_move_only_if_the_rule_is_dense():
    steps = [[(np.ones((1, 2)), np.array([0]))], [(np.ones((1, 2)), np.array([2]))]]
    (dense,), _ = reference(rules.SGD(1.0, momentum=0.5), [np.zeros((3, 2))], steps)
    (lazy,), (slots,) = reference(LazyMomentum(1.0, 0.5), [np.zeros((3, 2))], steps)
    assert dense[:, 0].tolist() == [-1.5, 0, -1]
    assert lazy[:, 0].tolist() == [-1, 0, -1]
    assert slots["m"][:, 0].tolist() == [1, 0, 1]


@quick
@given(st.data())
def test_a_dense_rule_can_not_tell_a_sparse_gradient(data):
    """Whatever the indices, also none at all."""
    n = data.draw(st.integers(0, 6))
    indices = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), "int64")
    rows = np.array(data.draw(st.lists(finite, min_size=2 * n, max_size=2 * n))).reshape(n, 2)
    dense = np.zeros((4, 2))
    np.add.at(dense, indices, rows)
    start = [np.arange(8.0).reshape(4, 2)]
    base = data.draw(st.sampled_from([{}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}, {"clipvalue": 1.0}]))
    sparse_run = reference(rules.Adam(0.1), start, [[(rows, indices)]] * 2, **base)
    dense_run = reference(rules.Adam(0.1), start, [[dense]] * 2, **base)
    np.testing.assert_array_equal(sparse_run[0][0], dense_run[0][0])
    np.testing.assert_array_equal(sparse_run[1][0]["v"], dense_run[1][0]["v"])


@quick
@given(st.permutations([0, 1, 1, 3, 0]))
def test_the_order_of_rows_does_not_matter(indices):
    rows = np.array([[2.0 ** i] for i in indices])
    (param,), (slots,) = reference(LazyMomentum(0.5), [np.zeros((4, 1))], [[(rows, np.array(indices))]])
    assert param.ravel().tolist() == [-1.0, -2.0, 0.0, -4.0]
    assert slots["norm"].tolist() == [4.0, 16.0, 0.0, 64.0]


def test_none_leaves_a_variable_alone():
    steps = [[np.ones(2), None], [None, np.ones(2)], [np.ones(2), np.ones(2)]]
    (a, b), (slots_a, slots_b) = reference(rules.SGD(1.0, momentum=0.5), [np.zeros(2), np.zeros(2)], steps)
    # Two steps each; a's velocity does not shrink in the step that it sat out.
    assert a.tolist() == b.tolist() == [-2.5, -2.5]
    assert slots_a["m"].tolist() == [-1.5, -1.5]


def test_set_hyper_takes_effect_before_its_step():
    gradients = [[np.ones(1)]] * 4
    (param,), _ = reference(rules.SGD(1.0), [np.zeros(1)], gradients, set_hyper={3: {"learning_rate": 0.25}})
    assert param.tolist() == [-2.5]
    (param,), _ = reference(
        rules.SGD(1.0), [np.zeros(1)], [[np.full(1, 8.0)]] * 2, clipnorm=4.0, set_hyper={2: {"clipnorm": 1.0}}
    )
    assert param.tolist() == [-5.0]


def test_schedules_and_callables():
    seen = []

    def schedule(step):
        seen.append(step)
        return 1.0 / (step + 1)

    (param,), _ = reference(rules.SGD(schedule), [np.zeros(1)], [[np.ones(1)]] * 3)
    np.testing.assert_allclose(param, [-(1 + 1 / 2 + 1 / 3)])
    assert seen == [0, 1, 2]
    rates = iter([1.0, 0.25])
    (param,), _ = reference(rules.SGD(lambda: next(rates)), [np.zeros(1)], [[np.ones(1)]] * 2)
    assert param.tolist() == [-1.25]


@pytest.mark.parametrize(
    "row,words",
    [
        ([np.ones(3)], "gradient of shape (3,) for (2, 2)"),
        ([np.ones((2, 2)), np.ones(2)], "2 gradients for 1 variables"),
        ([], "0 gradients for 1 variables"),
        ([None], "no variable has a gradient"),
        ([(np.ones((1, 2)), np.array([2]))], "indices 2..2 for a variable of 2 rows"),
        ([(np.ones((1, 2)), np.array([-1]))], "indices -1..-1"),
        ([(np.ones((1, 3)), np.array([0]))], "sparse gradient with values (1, 3)"),
        ([(np.ones((2, 2)), np.array([0]))], "indices (1,)"),
    ],
)
def test_gradients_that_do_not_fit(row, words):
    with pytest.raises(GradientError) as caught:
        reference(rules.SGD(), [np.ones((2, 2))], [row])
    assert words in str(caught.value) and "tep 1" in str(caught.value)


def test_a_scalar_has_no_rows():
    with pytest.raises(GradientError):
        reference(rules.SGD(), [np.ones(())], [[(np.ones(1), np.array([0]))]])


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 1, 3), (1, 2, 1, 2, 1)])
def test_every_shape(shape):
    start, gradient = np.full(shape, 2.0), np.full(shape, 0.5)
    for rule in (rules.Adam(0.1), Factored(), LazyMomentum(), Distance()):
        params, slots = reference(rule, [start, np.ones(2)], [[gradient, np.ones(2)]] * 2, clipnorm=10.0)
        assert params[0].shape == shape and np.isfinite(params[0]).all()


# Transforms.


def applied_gradients(grads, **base):
    """The gradients that the rule inside sees: SGD with a rate of 1 takes them off zeros."""
    params, _ = reference(rules.SGD(1.0), [np.zeros_like(g) for g in grads], [list(grads)], **base)
    return [-param for param in params]


def _scale(array, limit):
    norm = np.sqrt(np.sum(np.square(array)))
    return limit / norm if norm > limit else 1.0


def arrays(n):
    return st.lists(finite, min_size=n, max_size=n).map(np.array)


@quick
@given(arrays(4), arrays(3), st.floats(0, 1e3))
def test_clipping_agrees_with_plain_numpy(a, b, limit):
    for got, want in zip(applied_gradients([a, b], clipvalue=limit), [a, b]):
        np.testing.assert_array_equal(got, np.clip(want, -limit, limit))
    for got, want in zip(applied_gradients([a, b], clipnorm=limit), [a, b]):
        scale = _scale(want, limit)
        np.testing.assert_allclose(got, want * scale, rtol=1e-12, atol=1e-300)
        if scale == 1:
            np.testing.assert_array_equal(got, want)  # to the bit
    scale = _scale(np.concatenate([a, b]), limit)
    for got, want in zip(applied_gradients([a, b], global_clipnorm=limit), [a, b]):
        np.testing.assert_allclose(got, want * scale, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("base", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_clipping_to_zero_and_of_zero(base):
    zero = np.zeros(3)
    for limit in (0.0, 1.0):
        for got in applied_gradients([zero, zero], **{base: limit}):
            np.testing.assert_array_equal(got, zero)
    for got in applied_gradients([np.ones(3)], **{base: 0.0}):
        np.testing.assert_array_equal(got, zero)


def test_a_norm_that_is_not_larger_leaves_gradients_bit_equal():
    gradients = [np.array([0.1, 0.2, 0.3]), np.array([0.7])]
    norm = float(np.sqrt(np.sum(np.square(gradients[0]))))
    for base in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}, {"clipnorm": norm}):
        for got, want in zip(applied_gradients(gradients[:1], **base), gradients):
            assert got.tobytes() == want.tobytes()


def test_the_global_norm_leaves_out_none():
    got, _ = reference(
        rules.SGD(1.0), [np.zeros(2), np.zeros(2)], [[np.array([3.0, 4.0]), None]], global_clipnorm=1.0
    )
    np.testing.assert_allclose(got[0], [-0.6, -0.8])


def test_nan_and_inf_are_not_hidden_by_clipping_by_norm():
    (got,) = applied_gradients([np.array([np.nan, 1.0])], clipnorm=1.0)
    assert np.isnan(got[0])
    (got,) = applied_gradients([np.array([np.inf, 1.0])], global_clipnorm=1.0)
    assert not np.isfinite(got[0])


def test_clipping_goes_before_a_rule_that_sees_all():
    """What `prepare` sees inside is clipped, and it is not clipped a second time to something else."""
    params, gradients = [np.ones(2)], [[np.array([3.0, 4.0])]] * 2
    clipped = [[np.array([0.6, 0.8])]] * 2
    for base in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        got, _ = reference(Distance(), params, gradients, **base)
        want, _ = reference(Distance(), params, clipped)
        np.testing.assert_allclose(got[0], want[0], rtol=1e-12)


def test_weight_decay_and_who_is_excluded():
    params = [np.full(1, 8.0), np.full(1, 8.0)]
    zeros = [[np.zeros(1), np.zeros(1)]]
    for rule, base in ((rules.SGD(0.5), {"weight_decay": 0.25}), (rules.AdamW(0.5, weight_decay=0.25), {})):
        (a, b), _ = reference(
            rule, params, zeros * 2, names=["kernel", "bias"], exclude_from_weight_decay="bias".__eq__, **base
        )
        np.testing.assert_allclose(a, 8 * 0.875**2)
        assert b.tolist() == [8.0]
    # Before the rule's own step, which starts from the decayed parameter.
    (param,), _ = reference(rules.SGD(0.5), [np.full(1, 8.0)], [[np.ones(1)]], weight_decay=0.25)
    assert param.tolist() == [6.5]
    assert with_base_arguments(rules.SGD(), weight_decay=0) == rules.SGD()


def test_excluding_keeps_the_rest_of_the_rule():
    whole = with_base_arguments(rules.AdamW(0.1, weight_decay=0.5), clipnorm=1.0, decay=0.1)
    without = transforms.without_weight_decay(whole)
    gradients = [[np.array([3.0, 4.0])]] * 3
    want, _ = reference(rules.Adam(0.1), [np.ones(2)], gradients, clipnorm=1.0, decay=0.1)
    got, _ = reference(without, [np.ones(2)], gradients)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
    assert transforms.without_weight_decay(rules.Adam()) == rules.Adam()


def test_decay_of_the_learning_rate():
    (param,), _ = reference(rules.SGD(1.0), [np.zeros(1)], [[np.ones(1)]] * 3, decay=0.5)
    np.testing.assert_allclose(param, [-(1 + 1 / 1.5 + 1 / 2)])


def test_weight_decay_uses_the_decayed_learning_rate():
    base = {"weight_decay": 0.1, "decay": 1.0}
    (param,), _ = reference(rules.SGD(1.0), [np.ones(1)], [[np.zeros(1)]] * 2, **base)
    np.testing.assert_allclose(param, [0.9 * 0.95])


@pytest.mark.parametrize("base", [{"weight_decay": 0.1}, {"decay": 0.1}])
def test_decay_without_a_learning_rate(base):
    with pytest.raises(RuleError, match="learning rate"):
        with_base_arguments(Factored(), **base)


@pytest.mark.parametrize(
    "base",
    [
        {"clipnorm": 1.0, "clipvalue": 1.0},
        {"clipnorm": 1.0, "global_clipnorm": 1.0},
        {"clipnorm": -1.0},
        {"clipvalue": float("nan")},
        {"global_clipnorm": "1"},
        {"weight_decay": -0.1},
        {"weight_decay": True},
        {"decay": -0.5},
    ],
)
def test_base_arguments_that_can_not_be(base):
    with pytest.raises(HyperparameterError):
        with_base_arguments(rules.SGD(), **base)


def test_a_transform_of_a_rule_of_rows_is_one():
    rule = with_base_arguments(LazyMomentum(1.0, 0.0), weight_decay=0.25, clipvalue=1.0)
    assert rule.sparse == "rows"
    (param,), _ = reference(rule, [np.full((3, 1), 8.0)], [[(np.array([[4.0]]), np.array([1]))]])
    assert param.ravel().tolist() == [8.0, 5.0, 8.0]

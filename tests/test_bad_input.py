"""Bad input is told with an error that says what was given and what was expected, and changes nothing.

After every error all variables, slots and the step counter are what they were, bit for bit, and the next good
step gives what NumPy gives.
"""

import contextlib

import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import api_modes, make_variable, modes_of
from _rules import LazyMomentum
from _steps import listed, steps
from hypothesis import given, settings
from hypothesis import strategies as st

import kcompat
from kcompat import rules
from kcompat.errors import (
    GradientError,
    HyperparameterError,
    KcompatError,
    NotBuiltError,
    RuleError,
    UnknownApiError,
    UnknownArgumentError,
)
from kcompat.testing import reference

# Keras 3 on JAX and PyTorch: test_keras_3_arrays.
APIS = on_tensorflow(ALL)

API_MODES = api_modes(APIS)
WAYS = [(api, modes_of(api)[0]) for api in APIS]
EAGER = [(api, mode) for api, mode in WAYS if mode == "eager"]
# What a call is given is told in eager mode and where a graph is made; in a function it is the same code.
CALLS = [(api, mode) for api, mode in API_MODES if mode in ("eager", "graph")]

START = [np.linspace(-1, 1, 12).reshape(4, 3), np.linspace(1, 2, 3)]


def everywhere(ways):
    return pytest.mark.parametrize("api,mode", ways)


def adam(api, **base):
    return kcompat.optimizer(rules.Adam(0.1), api, **base)


@contextlib.contextmanager
def started(api, mode, make=None, values=START):
    """A matrix and a vector, one step of ones done."""
    with steps(api, mode, make or (lambda: adam(api)), *values) as training:
        training.step()
        yield training


def refuses(training, cases):
    """Each call raises an error of these words, and changes nothing.

    Args:
        cases: (a callable, what the message has in it), and where it is not GradientError, the error.
    """
    before = training.state()
    for call, words, *kind in cases:
        with pytest.raises(kind[0] if kind else GradientError, match=words or None) as caught:
            call()
        assert isinstance(caught.value, KcompatError)
        if training.session is None:  # a session has not run anything: its variables are looked at once
            np.testing.assert_equal(training.state(), before)
    np.testing.assert_equal(training.state(), before)


def applying(training, cases):
    """Cases of `refuses` in which apply_gradients is given something."""
    apply = training.optimizer.apply_gradients
    return [(lambda given_=given_: apply(given_), *rest) for given_, *rest in cases]


def goes_on(training, rule=None, **base):
    """The next good step, the second one, agrees with NumPy."""
    training.step()
    rows = [[np.ones_like(value) for value in START]] * 2
    params, slots = reference(rule or rules.Adam(0.1), START, rows, **base)
    values, got, iterations = training.state()
    assert iterations == 2
    for value, param in zip(values, params):
        np.testing.assert_allclose(value, param, rtol=1e-5, atol=1e-6)
    for mine, expected in zip(got, slots):
        for name in expected:
            np.testing.assert_allclose(mine[name], expected[name], rtol=1e-5, atol=1e-6)


# The list.


@everywhere(CALLS)
def test_what_is_no_list_of_pairs(api, mode):
    import tensorflow as tf

    with started(api, mode) as training:
        apply = training.optimizer.apply_gradients
        matrix, vector = training.variables
        grad = tf.ones(3)
        pair = "expected a list of pairs \\(gradient, variable\\)"
        cases = [
            (None, "apply_gradients\\(\\) was given None; " + pair),
            (3.0, "was given 3.0; " + pair),
            ("ab", "was given 'ab'; " + pair),
            ({"w": grad}, "was given a dict of 1; " + pair),
            (grad, "was given an object of type .*Tensor of shape \\(3,\\); " + pair),
            (np.ones((2, 2)), "was given an object of type ndarray of shape \\(2, 2\\); " + pair),
            (matrix, "was given an object of type .*Variable of shape \\(4, 3\\); " + pair),
            ([grad, vector], "item 0 of the list is an object of type .*Tensor of shape \\(3,\\); " + pair),
            ((grad, vector), "item 0 of the list is an object"),
            ([(grad, vector, 1)], "item 0 of the list is a tuple of 3; " + pair),
            ([(grad, vector), (grad,)], "item 1 of the list is a tuple of 1; " + pair),
            ([(grad, vector), None], "item 1 of the list is None; " + pair),
            ([], "the list of gradients and variables is empty"),
            (iter(()), "the list of gradients and variables is empty"),
            (zip([matrix, vector], [tf.ones((4, 3)), grad]), "not the other way round"),
            ([[grad, grad], [matrix, vector]], "as a variable; expected a .*tf.Variable"),
        ]
        refuses(training, applying(training, cases))
        goes_on(training)
        # Whatever gives pairs will do.
        if mode == "eager":
            apply(pair for pair in [[tf.ones((4, 3)), matrix], (grad, vector)])
            assert training.iterations() == 3


@everywhere(CALLS)
def test_what_is_no_variable(api, mode):
    import tensorflow as tf

    with started(api, mode) as training:
        vector = training.variables[1]
        cases = [([(tf.ones(3), vector), (tf.ones(3), vector)], "variable 'v1' is in the list twice")]
        for thing, words in (
            (tf.ones(3), "was given an object of type .*Tensor of shape \\(3,\\) as a variable"),
            (np.ones(3), "an object of type ndarray of shape \\(3,\\) as a variable"),
            (1.0, "was given 1.0 as a variable"),
            (None, "was given None as a variable"),
            ("v1", "was given 'v1' as a variable"),
            ([vector], "was given a list of 1 as a variable"),
            (training.optimizer, "as a variable"),
        ):
            cases.append(([(tf.ones(3), vector), (tf.ones(3), thing)], words))
            # Also where it has no gradient, and so would be passed over.
            cases.append(([(tf.ones(3), vector), (None, thing)], words))
        refuses(training, applying(training, cases))
        goes_on(training)


# Dense gradients.


@everywhere(CALLS)
def test_dense_gradients_that_do_not_fit(api, mode):
    """A shape that could be broadcast does not fit either."""
    import tensorflow as tf

    with started(api, mode) as training:
        matrix, vector = training.variables
        cases = [
            (tf.ones((3, 4)), r"gradient of 'v0' has shape \(3, 4\); expected \(4, 3\)"),  # transposed
            (tf.ones((4,)), r"'v0' has shape \(4,\); expected \(4, 3\)"),
            (tf.ones((1, 3)), r"'v0' has shape \(1, 3\)"),
            (tf.ones((4, 3, 1)), r"'v0' has shape \(4, 3, 1\)"),
            (tf.ones((1,)), r"'v0' has shape \(1,\)"),
            (tf.ones(()), r"'v0' has shape \(\)"),
            (1.0, r"'v0' has shape \(\)"),
            (tf.ones((4, 3), tf.int32), "'v0' has dtype int32; expected a floating one"),
            (np.ones((4, 3), "int64"), "'v0' has dtype int64"),
            (tf.ones((4, 3), tf.bool), "'v0' has dtype bool"),
            (np.ones((4, 3), bool), "'v0' has dtype bool"),
            (tf.ones((4, 3), tf.complex64), "'v0' has dtype complex64"),
            (tf.fill((4, 3), "1"), "'v0' has dtype string"),
            ([["1"] * 3] * 4, "'v0' has dtype string"),
            ([[1.0, 2.0], [3.0]], "'v0' is a list of 2; expected a tensor"),
            (object(), "'v0' is an object of type object; expected a tensor"),
            (tf.SparseTensor([[0, 0]], [1.0], [4, 3]), "'v0' is an object of type SparseTensor"),
        ]
        # After a good one, which must not be applied.
        good = tf.ones(3), vector
        refuses(training, applying(training, [([good, (bad, matrix)], words) for bad, words in cases]))
        goes_on(training)


@everywhere(CALLS)
def test_gradients_that_only_have_to_be_converted(api, mode):
    """Arrays, nested lists and other floating dtypes; they are cast to what the rule computes in."""
    import tensorflow as tf

    with steps(api, mode, lambda: kcompat.optimizer(rules.SGD(0.5), api), *START) as training:
        for grad in (
            np.ones((4, 3)),
            [[1.0] * 3] * 4,
            tf.ones((4, 3), tf.float16),
            tf.ones((4, 3), tf.float64),
        ):
            if training.session is None:
                before = training.values()
                training.optimizer.apply_gradients([(grad, training.variables[0])])
            else:
                step = training.optimizer.apply_gradients([(grad, training.variables[0])])
                training.session.run(tf.compat.v1.global_variables_initializer())
                before = training.values()
                training.session.run(step)
            after = training.values()
            np.testing.assert_allclose(before[0] - after[0], np.full((4, 3), 0.5), rtol=1e-6)
            np.testing.assert_equal(after[1], before[1])


@everywhere(API_MODES)
def test_nan_and_inf_go_through_the_rule(api, mode):
    """They are no error: what the rule makes of them is what NumPy makes of them, in that element alone."""
    gradient = np.ones_like(START[0], dtype="float32")
    gradient[1] = float("nan"), float("inf"), -float("inf")
    rows = [[gradient, np.ones(3, "float32")]] * 2
    for base in ({}, {"clipnorm": 0.5}):
        with steps(api, mode, lambda b=base: adam(api, **b), *START) as training:
            training.build()
            for row in rows:
                _step_with(training, row)
            values, slots, _ = training.state()
        with np.errstate(all="ignore"):
            params, expected = reference(rules.Adam(0.1), START, rows, **base)
        for value, param in zip(values, params):
            np.testing.assert_allclose(value, param, rtol=1e-5, atol=1e-6)
        for name in expected[0]:
            np.testing.assert_allclose(slots[0][name], expected[0][name], rtol=1e-5, atol=1e-6)
        assert np.isnan(values[0][1, 0]) and np.isfinite(values[1]).all()
        assert np.isfinite(np.delete(values[0], 1, 0)).all()


def _step_with(training, row):
    """One step with these arrays as gradients."""
    import tensorflow as tf

    if training.session is not None:
        operation, holders = training._step
        training.session.run(operation, dict(zip(holders, row)))
    elif training.mode == "eager":
        training._apply([tf.constant(g) for g in row])
    else:
        tf.function(lambda *g: void(training._apply(g)))(*[tf.constant(g) for g in row])


def void(_):
    """Nothing: a tf.function can't return Keras' counter."""


# Sparse gradients.


def slices(values, indices, dtype="int64"):
    import tensorflow as tf

    return tf.IndexedSlices(tf.constant(values), tf.constant(np.asarray(indices, dtype)))


@everywhere(CALLS)
@pytest.mark.parametrize("rule", [rules.Adam(0.1), LazyMomentum(0.1)], ids=["dense", "rows"])
def test_sparse_gradients_that_do_not_fit(api, mode, rule):
    import tensorflow as tf

    values = np.ones((2, 3), "float32")
    with started(api, mode, lambda: kcompat.optimizer(rule, api)) as training:
        matrix, vector = training.variables
        cases = [
            (slices(values[:, :2], [0, 1]), matrix, r"sparse gradient of 'v0' has shape \(2, 2\); expected"),
            (slices(values, [0, 1]), vector, r"sparse gradient of 'v1' has shape \(2, 3\)"),
            (slices(values, [0, 1, 2]), matrix, r"values of shape \(2, 3\) and indices of shape \(3,\)"),
            (slices(values, [[0], [1]]), matrix, r"values of shape \(2, 3\) and indices of shape \(2, 1\)"),
            (slices(values, [0.0, 1.0], "float32"), matrix, "'v0' has indices of dtype float32"),
            (slices(values, [0, 1], "int16"), matrix, "'v0' has indices of dtype int16"),
            (slices(values.astype("int32"), [0, 1]), matrix, "sparse gradient of 'v0' has dtype int32"),
        ]
        if mode == "eager":
            cases += [
                (slices(values, [0, bad], dtype), matrix, words)
                for dtype in ("int32", "int64")
                for bad, words in (
                    (4, "'v0' has indices from 0 to 4; the variable has 4 rows"),
                    (-1, "'v0' has indices from -1 to 0; the variable has 4 rows"),
                    (2**31 - 1, "to 2147483647; the variable has 4 rows"),
                )
            ]
        good = {id(matrix): (tf.ones(3), vector), id(vector): (tf.ones((4, 3)), matrix)}
        lists = [([good[id(variable)], (grad, variable)], words) for grad, variable, words in cases]
        refuses(training, applying(training, lists))
        goes_on(training, rule)


@everywhere(WAYS)
def test_a_scalar_has_no_rows(api, mode):
    import tensorflow as tf

    with steps(api, mode, lambda: adam(api), np.float32(1), np.ones(2)) as training:
        training.step()
        scalar, vector = training.variables
        cases = [
            ([(tf.ones(2), vector), (slices(np.ones(shape, "float32"), [0]), scalar)],
             "'v0' has shape .*; expected a variable with rows")
            for shape in (1, (1, 1))
        ]
        refuses(training, applying(training, cases))


def _sparse_step(training):
    """A step that takes a dense gradient of the vector, then values and indices of the matrix' rows.

    Shapes are not known before it runs, in a function and in a graph.
    """
    import tensorflow as tf

    matrix, vector = training.variables

    def apply(dense, values, indices):
        return training.optimizer.apply_gradients(
            [(dense, vector), (tf.IndexedSlices(values, indices), matrix)]
        )

    if training.session is not None:
        v1 = tf.compat.v1
        holders = [v1.placeholder(d) for d in (tf.float32, tf.float32, tf.int64)]
        operation = apply(*holders)
        return lambda *arrays: training.session.run(operation, dict(zip(holders, arrays)))
    if training.mode == "eager":
        return lambda *arrays: apply(*map(tf.constant, arrays))
    signature = [tf.TensorSpec(None, d) for d in (tf.float32, tf.float32, tf.int64)]
    function = tf.function(lambda *arrays: void(apply(*arrays)), input_signature=signature)
    return lambda *arrays: function(*map(tf.constant, arrays))


@everywhere(API_MODES)
@pytest.mark.parametrize("rule", [rules.Adam(0.1), LazyMomentum(0.1)], ids=["dense", "rows"])
@pytest.mark.parametrize("base", [{}, {"global_clipnorm": 1.0}], ids=["plain", "clipped"])
def test_mistakes_that_only_the_running_step_can_tell(api, mode, rule, base):
    """Nothing is written before all gradients were checked, whatever their order in the list."""
    import tensorflow as tf

    with started(api, mode, lambda: kcompat.optimizer(rule, api, **base)) as training:
        step = _sparse_step(training)
        ones, rows = np.ones(3, "float32"), np.ones((2, 3), "float32")
        before = training.state()
        for dense, values, indices in (
            (ones, rows, [0, 4]),
            (ones, rows, [-1, 0]),
            (ones, rows, [0, 1, 2]),
            (ones, rows[:, :1], [0, 1]),
            (ones, rows[0], [0, 1, 2]),
            (np.ones(1, "float32"), rows, [0, 1]),
            (np.float32(1), rows, [0, 1]),
            (np.ones((3, 1), "float32"), rows, [0, 1]),
        ):
            with pytest.raises((GradientError, tf.errors.InvalidArgumentError, ValueError)) as caught:
                step(dense, values, np.asarray(indices, "int64"))
            if mode == "eager" or indices[-1] == 4 or dense.shape == (3, 1):  # in a session reading is slow
                np.testing.assert_equal(training.state(), before)
            if max(indices) == 4 and mode != "eager":
                assert "row_out_of_range_in_the_sparse_gradient_of_v0" in str(caught.value)
        step(ones, rows, np.array([1, 1]))
        done = [[np.ones((4, 3)), np.ones(3)], [(rows, np.array([1, 1])), ones]]
        params, _ = reference(rule, START, done, **base)
        for value, param in zip(training.values(), params):
            np.testing.assert_allclose(value, param, rtol=1e-5, atol=1e-6)


@everywhere(API_MODES)
@pytest.mark.parametrize("rule", [rules.Adam(0.1), LazyMomentum(0.1)], ids=["dense", "rows"])
def test_a_sparse_gradient_without_rows(api, mode, rule):
    """It is a gradient of zeros: the variable takes its step, and with a rule of rows stands still."""
    with started(api, mode, lambda: kcompat.optimizer(rule, api)) as training:
        empty = np.zeros((0, 3), "float32"), np.zeros(0, "int64")
        _sparse_step(training)(np.ones(3, "float32"), *empty)
        done = [[np.ones((4, 3)), np.ones(3)], [empty, np.ones(3)]]
        params, _ = reference(rule, START, done)
        for value, param in zip(training.values(), params):
            np.testing.assert_allclose(value, param, rtol=1e-5, atol=1e-6)
        assert training.iterations() == 2


# Lists drawn at random.

SHAPES = [(), (1,), (3,), (4, 3), (1, 3), (2, 1, 2)]
MISTAKES = ["shape", "broadcast", "dtype", "rows", "lengths", "twice", "swapped", "triple", "nothing"]


@st.composite
def _lists(draw):
    """The variables' shapes, and the mistake that is made with one of them."""
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    return shapes, draw(st.integers(0, len(shapes) - 1)), draw(st.sampled_from(MISTAKES))


def _spoil(pairs, position, mistake):
    """The list with one mistake in it, or None where the mistake can't be made there."""
    import tensorflow as tf

    grad, variable = pairs[position]
    shape = tuple(grad.shape)
    pairs = list(pairs)
    if mistake == "shape":
        pairs[position] = tf.ones((*shape, 2)), variable
    elif mistake == "broadcast":
        if shape in ((), (1,)):
            return None
        pairs[position] = tf.ones(shape[1:] if len(shape) > 1 else ()), variable
    elif mistake == "dtype":
        pairs[position] = tf.ones(shape, tf.int64), variable
    elif mistake == "rows":
        if not shape:
            return None
        values = np.ones((1, *shape[1:]), "float32")
        pairs[position] = slices(values, [shape[0]]), variable
    elif mistake == "lengths":
        values = np.ones((2, *shape[1:]), "float32")
        pairs[position] = slices(values, [0]), variable
    elif mistake == "twice":
        pairs.append((grad, variable))
    elif mistake == "swapped":
        pairs[position] = variable, grad
    elif mistake == "triple":
        pairs[position] = grad, variable, None
    else:
        pairs = [(None, variable) for _, variable in pairs]
    return pairs


@everywhere(EAGER)
@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(drawn=_lists())
def test_any_mistake_anywhere_changes_nothing(api, mode, drawn):
    import tensorflow as tf

    shapes, position, mistake = drawn
    values = [np.full(shape, 0.5, "float32") for shape in shapes]
    with steps(api, mode, lambda: kcompat.optimizer(rules.SGD(0.5, momentum=0.5), api), *values) as training:
        good = [(tf.ones(shape), v) for shape, v in zip(shapes, training.variables)]
        bad = _spoil(good, position, mistake)
        if bad is None:
            return
        # Before it is built and after.
        with pytest.raises(GradientError):
            training.optimizer.apply_gradients(bad)
        assert training.iterations() == 0 and training.optimizer.get_slot_names() == []
        training.step()
        refuses(training, applying(training, [(bad, "")]))
        training.step()
        for value in training.values():
            np.testing.assert_allclose(value, np.full(value.shape, 0.5 - 0.5 - 0.75), rtol=1e-6)
        assert training.iterations() == 2


# Hyperparameters.

NO_NUMBERS = [
    (float("nan"), "nan"),
    (np.float32("nan"), "nan"),
    (-0.1, "-0.1.*expected a number >= 0"),
    ("0.1", "'0.1'.*expected a number"),
    (True, "True.*expected a number"),
    (np.bool_(True), "expected a number"),
    (1j, "1j.*expected a number"),
    ([0.1], r"\[0.1\].*expected a number"),
    ((0.1,), "expected a number"),
    ({"value": 0.1}, "expected a number"),
    (np.array([0.1]), r"\[0.1\].*expected a number"),
]


@everywhere(WAYS)
def test_hyperparameters_that_are_no_numbers(api, mode):
    """At construction and when set; the message has the name, what was given and what was expected."""
    import tensorflow as tf

    with started(api, mode) as training:
        cases = []
        tensors = [
            (tf.constant([0.1, 0.2]), r"shape \(2,\) and dtype float32; expected a scalar"),
            (tf.constant("0.1"), r"dtype string; expected a scalar"),
            (tf.constant(True), r"dtype bool; expected a scalar"),
        ]
        for value, words in [*NO_NUMBERS, (None, "None.*expected a number"), *tensors]:
            for name in ("learning_rate", "beta_1", "epsilon"):
                what = "Adam\\({}=.*".format(name) + words
                cases += [
                    (lambda n=name, v=value: rules.Adam(**{n: v}), what, HyperparameterError),
                    (
                        lambda n=name, v=value: kcompat.optimizer_class(rules.Adam, api)(**{n: v}),
                        what,
                        HyperparameterError,
                    ),
                    (
                        lambda n=name, v=value: setattr(training.optimizer, n, v),
                        what,
                        HyperparameterError,
                    ),
                ]
        cases += [
            (lambda: setattr(training.optimizer, "lr", "0.1"), "learning_rate='0.1'", HyperparameterError),
            (lambda: setattr(training.optimizer, "beta_2", 1.0), "beta_2=1.0.*< 1", HyperparameterError),
            (lambda: setattr(training.optimizer, "amsgrad", True), "structure", HyperparameterError),
            (
                lambda: kcompat.optimizer_class(rules.Adam, api)(amsgrad="no"),
                "amsgrad='no'.*True or False",
                HyperparameterError,
            ),
            (lambda: setattr(training.optimizer, "clipnorm", 1.0), "was not given", HyperparameterError),
        ]
        refuses(training, cases)
        assert float(training.read(training.optimizer.learning_rate)) == pytest.approx(0.1)
        goes_on(training)


@everywhere(WAYS)
def test_base_arguments_that_are_no_numbers(api, mode):
    with started(api, mode, lambda: adam(api, clipnorm=1.0)) as training:
        cases = []
        for value, words in NO_NUMBERS:
            for name in ("clipnorm", "clipvalue", "global_clipnorm", "weight_decay"):
                what = name + "=.*" + words
                cases.append((lambda n=name, v=value: adam(api, **{n: v}), what, HyperparameterError))
            cases.append(
                (lambda v=value: setattr(training.optimizer, "clipnorm", v), words, HyperparameterError)
            )
        for name, value, words in (
            ("use_ema", "yes", "use_ema='yes'.*True or False"),
            ("ema_momentum", 1.5, "ema_momentum=1.5.*<= 1"),
            ("ema_overwrite_frequency", 0, "ema_overwrite_frequency=0.*at least 1"),
            ("ema_overwrite_frequency", 1.5, "ema_overwrite_frequency=1.5"),
            ("gradient_accumulation_steps", 1, "gradient_accumulation_steps=1.*at least 2"),
            ("gradient_accumulation_steps", 2.5, "gradient_accumulation_steps=2.5"),
            ("gradient_accumulation_steps", "2", "gradient_accumulation_steps='2'"),
            ("weight_decay", "", "weight_decay=''"),
            ("name", 5, "name=5.*expected a string"),
        ):
            more = {"use_ema": True} if name.startswith("ema") else {}
            call = lambda n=name, v=value, m=more: adam(api, **{n: v}, **m)  # noqa: E731
            cases.append((call, words, HyperparameterError))
        refuses(training, cases)
        goes_on(training, clipnorm=1.0)


@everywhere(CALLS)
def test_a_schedule_or_callable_that_gives_no_number(api, mode):
    import tensorflow as tf

    for given_, words in (
        (lambda: None, "the callable gave None; expected a number"),
        (lambda: "0.1", "the callable gave '0.1'"),
        (lambda: [0.1], "the callable gave a list of 1"),
        (lambda: tf.constant([0.1, 0.2]), r"the callable gave .*shape \(2,\)"),
        (lambda step: None, "the schedule gave None; expected a number"),
        (lambda step: "0.1", "the schedule gave '0.1'"),
    ):
        with steps(api, mode, lambda g=given_: kcompat.optimizer(rules.SGD(g), api)) as training:
            pairs = [(tf.ones(2), training.variables[0])]
            with pytest.raises(HyperparameterError, match="SGD.learning_rate: " + words):
                training.optimizer.apply_gradients(pairs)
            if mode == "eager":
                assert training.values()[0].tolist() == [0, 0] and training.iterations() == 0


@everywhere(WAYS)
def test_names_that_are_not_known(api, mode):
    import tensorflow as tf

    with started(api, mode) as training:
        optimizer = training.optimizer
        pairs = [(tf.ones(3), training.variables[1])]
        kind = kcompat.optimizer_class(rules.Adam, api)
        for call, error, words in (
            (lambda: kind(beta1=0.9), UnknownArgumentError, "no argument 'beta1'.*Did you mean 'beta_1'"),
            (lambda: kind(clip_norm=1), UnknownArgumentError, "Did you mean 'clipnorm'"),
            (lambda: adam(api, momentum=1), UnknownArgumentError, "momentum"),
            (lambda: adam("keras_4"), UnknownApiError, "keras_4"),
            (lambda: adam(3), (UnknownApiError, TypeError), ""),
            (lambda: optimizer.apply_gradients(pairs, globalstep=1), TypeError, "globalstep"),
            (lambda: optimizer.minimize(lambda: 1.0, vars=[]), TypeError, "vars"),
            (lambda: optimizer.apply_gradients(pairs, global_step=5), GradientError, "global_step.*given 5"),
            (
                lambda: optimizer.exclude_from_weight_decay(var_names=["b"]),
                NotBuiltError,
                "after .*Adam was built",
            ),
            (
                lambda: adam(api, weight_decay=0.1).exclude_from_weight_decay(var_names="bias"),
                HyperparameterError,
                "var_names='bias'.*expected a list of patterns",
            ),
        ):
            with pytest.raises(error, match=words or None):
                call()
        goes_on(training)


# Reading too early.


@everywhere(API_MODES)
def test_state_before_building(api, mode):
    """There is none: errors that say so, or empty, and nothing is made by asking."""
    with steps(api, mode, lambda: adam(api), *START) as training:
        optimizer, (matrix, _) = training.optimizer, training.variables
        before = len(listed(optimizer))
        with pytest.raises(NotBuiltError, match="no state for the variable 'v0'.*no variable yet"):
            optimizer.get_slot(matrix, "m")
        assert optimizer.get_slot_names() == []
        if mode != "graph_ref" and mode != "graph":
            assert training.iterations() == 0
        assert optimizer.beta_1 == 0.9 and optimizer.get_config()["learning_rate"] == 0.1
        with pytest.raises(NotBuiltError):
            kcompat.optimizer(rules.Adam(), api, use_ema=True).finalize_variable_values([matrix])
        assert len(listed(optimizer)) <= before + 1  # Keras may make its learning rate's variable now
        training.step()
        goes_on(training)


# Graphs and functions.


@everywhere([(api, "graph") for api, mode in API_MODES if mode == "graph"])
def test_a_variable_or_gradient_of_another_graph(api, mode):
    import tensorflow as tf

    with tf.Graph().as_default():
        foreign = make_variable(api, np.ones(3, "float32"), "foreign", mode)
        lost = tf.ones(3)
    with started(api, mode) as training:
        vector = training.variables[1]
        good = tf.ones((4, 3)), training.variables[0]
        cases = [
            ([good, (tf.ones(3), foreign)], "'foreign' belongs to a TensorFlow 1 graph.* taken in another"),
            ([good, (lost, vector)], "gradient of 'v1' is the tensor .* of another graph"),
        ]
        refuses(training, applying(training, cases))
        goes_on(training)


@everywhere(EAGER)
def test_what_belongs_to_a_graph_in_eager_mode(api, mode):
    import tensorflow as tf

    lost = []
    tf.function(lambda: void(lost.append(tf.ones(3) * 2)))()
    with tf.Graph().as_default():
        foreign = tf.compat.v1.get_variable("foreign", initializer=np.ones(3, "float32"))
        lost.append(tf.ones(3))
    with started(api, mode) as training:
        vector = training.variables[1]
        good = tf.ones((4, 3)), training.variables[0]
        cases = [
            ([good, (tf.ones(3), foreign)], "'foreign' belongs to a TensorFlow 1 graph.*taken in eager mode"),
            ([good, (lost[0], vector)], "'v1' is a tensor of a graph or tf.function.*no value in eager"),
            ([good, (lost[1], vector)], "'v1' is a tensor of a graph or tf.function.*no value in eager"),
        ]
        refuses(training, applying(training, cases))
        goes_on(training)


@everywhere(EAGER)
def test_a_variable_of_another_strategy(api, mode):
    import tensorflow as tf

    with started(api, mode) as training:
        with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
            foreign = make_variable(api, np.ones(3, "float32"), "foreign")
        pairs = [(tf.ones((4, 3)), training.variables[0]), (tf.ones(3), foreign)]
        words = "'foreign' was made in the scope of another distribution strategy.*one of no strategy"
        refuses(training, applying(training, [(pairs, words)]))
        goes_on(training)


@everywhere([(api, "graph") for api, mode in API_MODES if mode == "graph"])
def test_a_finalized_graph(api, mode):
    """TensorFlow's own error; the operation that was made before runs on."""
    with started(api, mode) as training:
        before = training.state()
        read = training.read
        training.session.graph.finalize()
        with pytest.raises(RuntimeError, match="finalized"):
            training.optimizer.apply_gradients([(None, training.variables[0])] + training_pairs(training))
        np.testing.assert_equal([read(v) for v in training.variables], before[0])
        goes_on(training)


@everywhere([(api, "graph") for api, mode in API_MODES if mode == "graph"])
def test_iterations_in_a_finalized_graph(api, mode):
    """As in a MonitoredTrainingSession, where the number of updates can't be computed anew."""
    accumulating = lambda: adam(api, gradient_accumulation_steps=2)  # noqa: E731
    with steps(api, mode, accumulating, np.zeros(2)) as training:
        training.build()
        training.session.graph.finalize()
        counts = []
        for _ in range(4):
            training.session.run(training._step[0], {training._step[1][0]: np.ones(2, "float32")})
            counts.append(int(training.session.run(training.optimizer.iterations)))
        assert counts == [0, 1, 1, 2]


def training_pairs(training):
    return [(np.ones(3, "float32"), training.variables[1])]


@everywhere([(api, mode) for api, mode in API_MODES if mode == "function"])
def test_an_error_while_a_function_is_traced(api, mode):
    import tensorflow as tf

    with started(api, mode) as training:
        matrix, vector = training.variables

        @tf.function
        def train(grad):
            training.optimizer.apply_gradients([(tf.ones((4, 3)), matrix), (grad, vector)])

        before = training.state()
        # Not AutoGraph's StagingError, which a handler of ValueError or GradientError would miss.
        with pytest.raises(GradientError, match=r"'v1' has shape \(1,\); expected \(3,\)"):
            train(tf.ones(1))
        np.testing.assert_equal(training.state(), before)
        train(tf.ones(3))
        assert training.iterations() == 2


class OnlyMatrices(kcompat.UpdateRule):
    """Fails on anything but a matrix, and only once it is asked for a step."""

    learning_rate = kcompat.Hyper(0.5)

    def update(self, xp, grad, param, slots, hyper, step):
        if param.ndim != 2:
            raise ValueError("OnlyMatrices takes matrices, not {}".format(param.shape))
        return param - hyper.learning_rate * grad, {}


@everywhere(CALLS)
def test_a_rule_that_fails_on_one_variable(api, mode):
    """Nothing was written to those before it."""
    import tensorflow as tf

    with steps(api, mode, lambda: kcompat.optimizer(OnlyMatrices(), api), *START) as training:
        matrix, vector = training.variables
        with pytest.raises(ValueError, match="OnlyMatrices takes matrices"):
            training.optimizer.apply_gradients([(tf.ones((4, 3)), matrix), (tf.ones(3), vector)])
        if mode == "eager":
            np.testing.assert_equal(training.values()[0], START[0].astype("float32"))
            assert training.iterations() == 0


def test_a_rule_that_reads_a_number_past_hyper():
    """It would be the number that the rule was made with, whatever is set on the optimizer."""

    class Baked(kcompat.UpdateRule):
        learning_rate = kcompat.Hyper(0.5)
        power = kcompat.Hyper(2, static=True)
        first = kcompat.Hyper(0.25)

        def init(self, xp, param):
            return {"m": xp.full(param.shape, self.first)}  # once, so it may

        def update(self, xp, grad, param, slots, hyper, step):
            return param - self.rate(hyper) * grad**self.power, dict(slots)

        def rate(self, hyper):
            return hyper.learning_rate

    Baked()
    Baked.rate = lambda self, hyper: self.learning_rate
    with pytest.raises(RuleError, match=r"Baked: self.learning_rate was read.*Read hyper.learning_rate"):
        Baked(0.125)


@everywhere(EAGER)
def test_a_gradient_list_shorter_than_the_variables(api, mode):
    """keras_3's apply(): zip would pair what it can and leave out the rest."""
    import tensorflow as tf

    if api != "keras_3":
        assert not hasattr(kcompat.optimizer_class(rules.Adam, api), "apply")
        return
    with started(api, mode) as training:
        optimizer, variables = training.optimizer, training.variables
        cases = [
            (lambda: optimizer.apply([tf.ones((4, 3))], variables), "1 gradients for 2 variables"),
            (lambda: optimizer.apply([tf.ones((4, 3))]), "1 gradients without their variables"),
        ]
        refuses(training, cases)
        optimizer.apply([tf.ones((4, 3)), tf.ones(3)])
        assert training.iterations() == 2


def test_every_api_was_tested():
    assert {api for api, _ in WAYS} == set(APIS)

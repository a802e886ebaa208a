"""The plan of a step: fused kernels where they compute the rule, which is never wrong without them."""

import contextlib
import functools
import inspect

import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import (
    api_modes,
    as_gradient,
    assert_agree,
    make_variable,
    modes_of,
    numpy_type,
    run,
    starting_values,
    to_numpy,
    varied_gradients,
)
from _rules import SignMomentum
from _steps import steps

import kcompat
from kcompat import rules, transforms
from kcompat.testing import reference

APIS = on_tensorflow(ALL)
SHAPES = [(3, 2), (6, 3), ()]

# Rule, base arguments, and the kernel that is to run.
PLANNED = {
    "sgd": (rules.SGD(0.05), {}, "GradientDescent"),
    "momentum": (rules.SGD(0.05, momentum=0.9), {}, "KerasMomentum"),
    "nesterov": (rules.SGD(0.05, momentum=0.9, nesterov=True), {}, "KerasMomentum"),
    # A rate of 0 at first, as with a warm-up; and a momentum that becomes 0.
    "warmed_up": (rules.SGD(lambda step: 0.01 * step, 0.9, nesterov=True), {}, "KerasMomentum"),
    "fading": (rules.SGD(0.05, lambda step: (step % 5) * 0.1), {}, "KerasMomentum"),
    "adam": (rules.Adam(0.05, epsilon=1e-3), {}, "Adam"),
    "amsgrad": (rules.Adam(0.05, beta_2=0.9, amsgrad=True), {}, None),
    "adamw": (rules.AdamW(0.05, weight_decay=0.3), {}, "Adam"),
    "adamax": (rules.Adamax(0.05, epsilon=1e-3), {}, None),
    "adadelta": (rules.Adadelta(0.5, epsilon=1e-3), {}, "Adadelta"),
    "rmsprop": (rules.RMSprop(0.05, momentum=0.5, epsilon=1e-3), {}, "RMSProp"),
    "rmsprop_alone": (rules.RMSprop(0.05), {}, None),
    "decayed_twice": (rules.AdamW(0.05, weight_decay=0.3), {"decay": 0.1, "clipvalue": 0.5}, "Adam"),
    "clipped": (rules.Adam(0.05), {"clipnorm": 0.7}, "Adam"),
    "clipped_globally": (rules.Adam(0.05), {"global_clipnorm": 0.7}, "Adam"),
    "decayed": (rules.SGD(0.05, momentum=0.9), {"weight_decay": 0.3, "decay": 0.1}, "KerasMomentum"),
    "averaged": (rules.Adam(0.05), {"use_ema": True, "ema_momentum": 0.5}, None),
    "accumulated": (rules.Adam(0.05), {"gradient_accumulation_steps": 2}, None),
}

CASES = [
    pytest.param(*(api, mode, name), marks=() if mode == modes_of(api)[0] else pytest.mark.wide)
    for api, mode in api_modes(APIS)
    for name in sorted(PLANNED)
]
first = pytest.mark.parametrize("api,mode", [(api, modes_of(api)[0]) for api in APIS])


def paths(optimizer):
    return [line.path for line in optimizer.plan()]


@pytest.mark.wide
@pytest.mark.filterwarnings("ignore:The argument decay")
@pytest.mark.parametrize("api,mode,name", CASES)
def test_kernels_compute_the_rule(api, mode, name):
    rule, base, kernel = PLANNED[name]
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 20, sparse={1})
    made = []

    def make():
        made.append(kcompat.optimizer(rule, api, **base))
        return made[-1]

    result = run(api, mode, rule, params, gradients, make=make, **base)
    assert_agree(result, reference(rule, params, gradients, **base))
    found = paths(made[-1])
    if kernel is None:
        assert found == ["rule"] * 3
    elif "ref" not in mode:
        assert found == ["kernel ResourceApply" + kernel] * 3
    else:  # get_updates may make resource variables for slots
        kernel = {"KerasMomentum": "ProximalGradientDescent"}.get(kernel, kernel)  # in place
        assert set(found) <= {"kernel Apply" + kernel, "rule"}


@first
@pytest.mark.parametrize(
    "name", sorted(name for name in PLANNED if PLANNED[name][2] or name in ("amsgrad", "adamax"))
)
@pytest.mark.filterwarnings("ignore:The argument decay")
def test_nan_and_inf_go_through_as_through_the_rule(api, mode, name):
    """The kernels for AMSGrad and Adamax would drop a NaN."""
    rule, base, _ = PLANNED[name]
    params, gradients = starting_values([(4,)]), varied_gradients([(4,)], 4)
    gradients[1] = [np.array([np.nan, np.inf, -np.inf, 1e30], "float32")]
    result = run(api, mode, rule, params, gradients, **base)
    with np.errstate(all="ignore"):
        expected = reference(rule, params, gradients, dtype="float32", **base)
    assert np.isnan(expected[0][0][0])
    assert_agree(result, expected)


@pytest.mark.parametrize("api,mode", [each for each in api_modes(APIS) if each[1] != "eager"])
def test_scalars_of_a_step_are_worked_out_once(api, mode, monkeypatch):
    """For three variables as many powers of the betas as for one."""
    import tensorflow as tf

    monkeypatch.setenv("KCOMPAT_PLAN", "plain")

    def powers(count):
        shapes = [(i + 2,) for i in range(count)]
        make = functools.partial(kcompat.optimizer, rules.Adam(0.1), api)
        with steps(api, mode, make, *map(np.ones, shapes)) as training:
            if mode == "function":
                pairs = [(tf.ones(v.shape), v) for v in training.variables]
                training.optimizer.apply_gradients(pairs)  # which makes what there is to make
                traced = tf.function(lambda: [training.optimizer.apply_gradients(pairs), None][1])
                graph = traced.get_concrete_function().graph
            else:
                training.step()
                graph = training.session.graph
            return sum(each.type == "Pow" for each in graph.get_operations())

    assert powers(3) == powers(1) > 0


@first
def test_switched_off(api, mode, monkeypatch):
    monkeypatch.setenv("KCOMPAT_PLAN", "plain")
    with steps(api, mode, lambda: kcompat.optimizer(rules.Adam(0.1), api), np.ones((2, 2))) as training:
        training.step()
        (line,) = training.optimizer.plan()
        assert (line.path, line.why) == ("rule", "KCOMPAT_PLAN=plain")
        assert (line.shape, line.dtype) == ((2, 2), "float32")


@first
def test_a_wrong_choice_is_told(api, mode, monkeypatch):
    monkeypatch.setenv("KCOMPAT_PLAN", "fast")
    with steps(api, mode, lambda: kcompat.optimizer(rules.Adam(0.1), api), np.ones(2)) as training:
        with pytest.raises(ValueError, match="KCOMPAT_PLAN='fast': expected 'plain' or 'auto'"):
            training.step()


@first
def test_the_plan_in_words(api, mode):
    def make():
        return kcompat.optimizer(rules.Adam(0.1), api)

    with steps(api, mode, make, np.ones((2, 2)), np.ones(3)) as training:
        assert "No variables yet" in str(training.optimizer.plan())
        training.step()
        text = str(training.optimizer.plan()).splitlines()
        assert len(text) == 3
        assert text[0].split() == ["variable", "shape", "dtype", "path", "why"]
        assert "(2, 2)" in text[1]
        assert text[2].endswith("it computes Adam")


class Slower(rules.Adam):
    """A subclass may change anything, so that it is not what the kernel computes."""

    def update(self, xp, grad, param, slots, hyper, step):
        return super().update(xp, grad * 0.5, param, slots, hyper, step)


@first
@pytest.mark.parametrize("rule", [Slower(0.1), SignMomentum(0.1)], ids=lambda rule: type(rule).__name__)
def test_a_rule_of_ones_own_has_no_kernel(api, mode, rule):
    with steps(api, mode, lambda: kcompat.optimizer(rule, api), np.ones(2)) as training:
        training.step()
        why = training.optimizer.plan()[0].why
        assert why.startswith("no kernel computes {}".format(type(rule).__name__))


@first
def test_narrow_variables_are_left_to_the_rule(api, mode):
    with steps(api, mode, lambda: kcompat.optimizer(rules.Adam(0.1), api)) as training:
        narrow = make_variable(api, np.ones(2, "float16"), "narrow", mode)
        training.optimizer.build([narrow])
        (line,) = training.optimizer.plan()
        assert line.path == "rule"
        assert "narrower" in line.why


# What is compiled.

COMPILED = {
    "adamw": (rules.AdamW(0.05, weight_decay=0.3), {}),
    "decayed": (rules.SGD(0.05, momentum=0.9), {"weight_decay": 0.3, "clipnorm": 0.7}),
    "nadam": (rules.Nadam(0.05), {}),
    "amsgrad": (rules.Adam(0.05, beta_2=0.9, amsgrad=True), {}),
    "adagrad": (rules.Adagrad(0.05), {}),
    "lamb": (rules.Lamb(0.05), {"global_clipnorm": 0.7}),
    "averaged": (rules.Adam(0.05, epsilon=1e-3), {"use_ema": True, "ema_momentum": 0.5}),
    "accumulated": (rules.Adagrad(0.05), {"gradient_accumulation_steps": 2}),
    "by_rows": (rules.LazyAdam(0.05), {}),
}
MANY = [(3, 2), (6, 3), (), (4,), (2, 2), (3,)]
at_once = [(api, mode) for api, mode in api_modes(APIS) if mode in ("eager", "function")]
compiled_here = pytest.mark.parametrize("api,mode", at_once)


@pytest.fixture
def everything_large(monkeypatch):
    """Every variable counts as large, and is compiled where this release compiles any."""
    from kcompat.adapters import compiled_tensorflow, tensorflow_base

    monkeypatch.setattr(tensorflow_base, "LARGE", 0)
    monkeypatch.setattr(tensorflow_base, "XLA_IS_SLOW", False)
    return compiled_tensorflow.why_no_xla()


@compiled_here
@pytest.mark.parametrize("name", sorted(COMPILED))
@pytest.mark.wide
def test_large_variables_are_compiled(api, mode, name, everything_large):
    rule, base = COMPILED[name]
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 8, sparse={1})
    result = run(api, mode, rule, params, gradients, **base)
    assert_agree(result, reference(rule, params, gradients, **base))
    for line in result.optimizer.plan():
        if everything_large is None:
            assert line.path == "XLA"
            assert line.why.startswith("it is large, and ")
        else:
            assert line.path != "XLA"


# Rules that are others for "v1" than for the variables of its shape.
BY_VARIABLE = {
    "multipliers": transforms.LearningRateMultipliers(rules.Adagrad(0.1), {"v1": 0.25}),
    "multiplied_kernel": transforms.LearningRateMultipliers(rules.Adam(0.1, epsilon=1e-3), {"v1": 0.25}),
    "decay": transforms.NormalizedWeightDecay(rules.Lion(0.1), {"v1": 0.25}),
    "other_slots": transforms.Regularization(
        transforms.ClipByGlobalNorm(rules.Adagrad(0.1), 0.5), l2=0.1, exclude=["v1"]
    ),
    "lamb": rules.LAMB(0.1, weight_decay=0.5, exclude_from_weight_decay=["v1"]),
    "muon": rules.Muon(0.1, exclude_layers=["v1"]),
}


@compiled_here
@pytest.mark.parametrize("name", sorted(BY_VARIABLE))
@pytest.mark.wide
def test_what_is_compiled_for_one_variable_is_not_another_ones(api, mode, name, everything_large):
    shapes = [(3, 2)] * 3
    params, gradients = starting_values(shapes), varied_gradients(shapes, 4)
    expected = reference(BY_VARIABLE[name], params, gradients, names=["v0", "v1", "v2"])
    assert_agree(run(api, mode, BY_VARIABLE[name], params, gradients), expected)


@compiled_here
@pytest.mark.parametrize("name", ["adamw", "decayed", "nadam"])
@pytest.mark.wide
def test_kernels_go_first_where_xla_is_slow(api, mode, name, everything_large, monkeypatch):
    from kcompat.adapters import tensorflow_base

    monkeypatch.setattr(tensorflow_base, "XLA_IS_SLOW", True)
    rule, base = COMPILED[name]
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 8, sparse={1})
    result = run(api, mode, rule, params, gradients, **base)
    assert_agree(result, reference(rule, params, gradients, **base))
    found = {path.startswith("kernel") for path in paths(result.optimizer)}
    assert found == {name != "nadam"}


@compiled_here
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.wide
def test_large_variables_of_other_dtypes(api, mode, dtype, everything_large):
    rule = rules.AdamW(0.05, weight_decay=0.3, epsilon=1e-3)
    kind = numpy_type(dtype)
    params = [p.astype(kind) for p in starting_values([(4, 3), (5,)])]
    gradients = [[g.astype(kind) for g in row] for row in varied_gradients([(4, 3), (5,)], 3)]
    result = run(api, mode, rule, params, gradients)
    wide = [p.astype("float64") for p in params], [[g.astype("float64") for g in row] for row in gradients]
    tolerances = {"float64": (1e-12, 1e-12), "float16": (5e-3, 5e-3), "bfloat16": (5e-2, 5e-2)}
    rtol, atol = tolerances[dtype]
    for got, want in zip(result.params, reference(rule, *wide)[0]):
        np.testing.assert_allclose(got.astype("float64"), want, rtol=rtol, atol=atol)


@compiled_here
@pytest.mark.parametrize("name", ["amsgrad", "adamax", "lion", "adafactor"])
@pytest.mark.wide
def test_nan_goes_through_what_is_compiled(api, mode, name, everything_large):
    """XLA's own maximum, and its largest of all, drop a NaN."""
    made = {
        "amsgrad": rules.Adam(0.1, amsgrad=True),
        "adamax": rules.Adamax(0.1),
        "lion": rules.Lion(0.1),
        "adafactor": rules.Adafactor(0.1),
    }
    params, gradients = starting_values([(4,)]), varied_gradients([(4,)], 3)
    gradients[1] = [np.array([np.nan, 1.0, -2.0, 1e30], "float32")]
    with np.errstate(all="ignore"):
        expected = reference(made[name], params, gradients, dtype="float32")
    assert_agree(run(api, mode, made[name], params, gradients), expected)


@pytest.mark.wide
@compiled_here
def test_a_rate_that_changes_compiles_nothing_again(api, mode, everything_large):
    def make():
        return kcompat.optimizer(rules.Lion(0.5), api)

    with steps(api, mode, make, np.zeros((2, 2)), np.zeros(3)) as training:
        assert training.move() == 0.5
        compiled = training.optimizer._kc.compiled

        def traces():
            large = [] if compiled is None else compiled._large.values()  # where XLA is not
            return [each.traces for each in large], training.traces

        before = traces()  # up to TensorFlow 2.1, a function is traced twice at its first call
        for rate in (0.25, 2.0, 1.0):
            training.optimizer.learning_rate = rate
            assert training.move() == rate
        if mode == "function":
            assert traces() == before
        else:
            assert traces()[0] == before[0]
        assert len(before[0]) == (2 if everything_large is None else 0)


@pytest.mark.parametrize("api", [api for api, mode in at_once if mode == "function"])
def test_large_variables_in_a_compiled_function(api, everything_large):
    import tensorflow as tf

    if everything_large is not None:
        pytest.skip(everything_large)
    params = starting_values([(4, 3)])
    variable = make_variable(api, params[0], "v")
    optimizer = kcompat.optimizer(rules.AdamW(0.05, weight_decay=0.3), api)
    optimizer.build([variable]) if api != "tf1" else optimizer._create_slots([variable])
    keyword = "jit_compile" if "jit_compile" in inspect.signature(tf.function).parameters else None
    keyword = keyword or "experimental_compile"
    gradients = varied_gradients([(4, 3)], 3)

    def train(grad):
        optimizer.apply_gradients([(grad, variable)])

    step = tf.function(train, **{keyword: True})
    for row in gradients:
        step(tf.constant(row[0]))
    want = reference(rules.AdamW(0.05, weight_decay=0.3), params, gradients)[0]
    np.testing.assert_allclose(to_numpy(variable), want[0], rtol=1e-5, atol=1e-6)


class ByLength(SignMomentum):
    """Computes with its variable's length, so several of them end to end are another thing."""

    def update(self, xp, grad, param, slots, hyper, step):
        return super().update(xp, grad * (1 + sum(grad.shape) / 4), param, slots, hyper, step)


class OnlyShort(rules.Adagrad):
    """Fails on a variable that is long, as several end to end are."""

    def update(self, xp, grad, param, slots, hyper, step):
        assert sum(grad.shape) < 100
        return super().update(xp, grad, param, slots, hyper, step)


STACKED = {
    "nadam": rules.Nadam(0.05),
    "amsgrad": rules.Adam(0.05, beta_2=0.9, amsgrad=True),
    "adagrad": rules.Adagrad(0.05),
    "by_rows": rules.LazyAdam(0.05),
    "lamb": rules.Lamb(0.05),
    "by_length": ByLength(0.05),
    "only_short": OnlyShort(0.05),
}
ALONE = ("lamb", "by_length", "only_short")


@pytest.mark.wide
@first
@pytest.mark.parametrize("name", sorted(STACKED))
def test_small_variables_end_to_end(api, mode, name):
    shapes = [(3, 2), (), (4,), (2, 2), (6,), (1,), (3,)] + [(1, 2)] * 2
    params, gradients = starting_values(shapes), varied_gradients(shapes, 6, sparse={0})
    result = run(api, mode, STACKED[name], params, gradients)
    assert_agree(result, reference(STACKED[name], params, gradients))
    stacked = [line.why.endswith("on several variables at once") for line in result.optimizer.plan()]
    assert stacked == [name not in ALONE and shape != () for shape in shapes]


eager = pytest.mark.parametrize("api", [api for api, mode in at_once if mode == "eager"])


@eager
@pytest.mark.parametrize("name", sorted(COMPILED))
@pytest.mark.wide
def test_eager_steps_on_many_variables_are_traced(api, name):
    rule, base = COMPILED[name]
    params, gradients = starting_values(MANY), varied_gradients(MANY, 8, sparse={0, 1})
    result = run(api, "eager", rule, params, gradients, **base)
    assert_agree(result, reference(rule, params, gradients, **base))


class Count:
    """A rule's class whose update counts how often it is run in Python."""

    def __new__(cls, rule):
        class Counting(type(rule)):
            runs = 0

            def update(self, *args):
                Counting.runs += 1
                return super().update(*args)

        return Counting


@eager
def test_traced_once_whatever_the_rate(api):
    Counting = Count(rules.Lion())
    optimizer = kcompat.optimizer(Counting(0.5), api)
    variables = [make_variable(api, np.zeros(2, "float32"), "v{}".format(i)) for i in range(6)]
    grads = [as_gradient(np.ones(2, "float32"), v) for v in variables]

    def move():
        before = to_numpy(variables[5])[0]
        optimizer.apply_gradients(list(zip(grads, variables)))
        return before - to_numpy(variables[5])[0]

    assert move() == 0.5  # operation by operation: a step that is taken once is not worth a trace
    assert move() == 0.5
    runs = Counting.runs
    for rate in (0.25, 2.0, 1.0):
        optimizer.learning_rate = rate
        assert move() == rate
    assert runs == Counting.runs
    assert int(to_numpy(optimizer.iterations)) == 5
    # A late variable, and one without a gradient.
    variables.append(make_variable(api, np.zeros(3, "float32"), "late"))
    grads.append(as_gradient(np.ones(3, "float32"), variables[-1]))
    assert move() == 1.0
    assert to_numpy(variables[-1])[0] == -1.0
    grads[5] = None
    with pytest.warns(UserWarning, match="no gradient for"):
        assert move() == 0.0
    assert to_numpy(variables[-1])[0] == -2.0


@eager
def test_a_schedule_and_a_function_go_on_in_traced_steps(api):
    rates = iter([0.5, 0.25, 2.0])
    for source, want in (
        (kcompat.schedules.PiecewiseConstantDecay([0, 1], [0.5, 0.25, 2.0]), [0.5, 0.25, 2.0]),
        (lambda: next(rates), [0.5, 0.25, 2.0]),
    ):
        optimizer = kcompat.optimizer(rules.Lion(source), api)
        variables = [make_variable(api, np.zeros(2, "float32"), "w{}".format(i)) for i in range(6)]
        grads = [as_gradient(np.ones(2, "float32"), v) for v in variables]
        moved = []
        for _ in range(3):
            before = to_numpy(variables[3])[0]
            optimizer.apply_gradients(list(zip(grads, variables)))
            moved.append(before - to_numpy(variables[3])[0])
        assert moved == want


@eager
def test_a_fixed_number_of_traces(api):
    """Which variables have a gradient may change at every step."""
    Counting = Count(rules.Lion())
    optimizer = kcompat.optimizer(Counting(0.5), api)
    variables = [make_variable(api, np.zeros(2, "float32"), "v{}".format(i)) for i in range(12)]
    for left_out in range(12):
        pairs = [(as_gradient(np.ones(2, "float32"), v), v) for v in variables]
        optimizer.apply_gradients(pairs[:left_out] + pairs[left_out + 1 :])
    assert [to_numpy(v)[0] for v in variables] == [-5.5] * 12
    assert not optimizer._kc.compiled._traced  # no set came a second time
    for left_out in sorted([*range(12)] * 2):
        pairs = [(as_gradient(np.ones(2, "float32"), v), v) for v in variables]
        optimizer.apply_gradients(pairs[:left_out] + pairs[left_out + 1 :])
    assert [to_numpy(v)[0] for v in variables] == [-16.5] * 12
    assert len(optimizer._kc.compiled._traced) == 8


AGAIN = {
    "kernels": rules.Adam(0.5, epsilon=1e-3),
    "two_kernels": rules.AdamW(0.5, weight_decay=0.1, epsilon=1e-3),
    "traced": rules.Nadam(0.5, epsilon=1e-3),
}


@eager
@pytest.mark.parametrize("name", sorted(AGAIN))
@pytest.mark.wide
def test_a_step_like_the_one_before(api, name):
    """It is taken again without looking everything up, until something is not as it was."""
    import tensorflow as tf

    rule = AGAIN[name]
    shapes = MANY if name == "traced" else MANY[:3]
    params = starting_values(shapes)
    gradients = varied_gradients(shapes, 12, sparse={0})
    for row in (*gradients[:3], *gradients[4:7], *gradients[8:]):  # dense in all other steps
        row[0] = varied_gradients(shapes[:1], 1)[0][0]
    gradients[9][1] = None
    optimizer = kcompat.optimizer(rule, api)
    variables = [make_variable(api, p, "v{}".format(i)) for i, p in enumerate(params)]
    again = []
    for i, row in enumerate(gradients):
        pairs = [(None if g is None else as_gradient(g, v), v) for g, v in zip(row, variables)]
        if i == 10:  # in another dtype, and so computed anew
            pairs = [(tf.cast(g, tf.float64), v) for g, v in pairs]
        again.append(bool(optimizer._kc.compiled) and _is_again(optimizer, pairs))
        with pytest.warns(UserWarning) if row[1] is None else contextlib.ExitStack():
            optimizer.apply_gradients(pairs)
    first = 2 if name == "traced" else 1
    expected = [i >= first and i not in (3, 7, 9, 10) for i in range(12)]
    assert again == expected
    assert int(to_numpy(optimizer.iterations)) == 12
    want = reference(rule, params, gradients)[0]
    for variable, each in zip(variables, want):
        np.testing.assert_allclose(to_numpy(variable), each, rtol=2e-5, atol=2e-6)


def _is_again(optimizer, pairs):
    repeat = optimizer._kc.compiled.repeat([variable for _, variable in pairs])
    return repeat is not None and repeat.fits([grad for grad, _ in pairs])


@eager
def test_a_step_again_checks_what_it_is_given(api):
    import tensorflow as tf

    optimizer = kcompat.optimizer(rules.SGD(1.0), api)
    variables = [make_variable(api, np.zeros((2, 1), "float32"), "v{}".format(i)) for i in range(2)]
    good = [(tf.ones((2, 1)), v) for v in variables]
    for _ in range(3):
        optimizer.apply_gradients(good)
    for bad in (tf.ones((2, 2)), tf.ones((1, 1)), tf.ones((2, 1), tf.int32), "no gradient"):
        with pytest.raises(kcompat.GradientError):
            optimizer.apply_gradients([good[0], (bad, variables[1])])
    with pytest.raises(kcompat.GradientError, match="twice"):
        optimizer.apply_gradients([good[0], good[0]])
    assert [to_numpy(v)[0, 0] for v in variables] == [-3.0, -3.0]
    optimizer.learning_rate = 0.5
    optimizer.apply_gradients(good)
    assert [to_numpy(v)[0, 0] for v in variables] == [-3.5, -3.5]


def run_by(operation):
    """An operation of a graph, and all that it needs."""
    found, todo = set(), [operation]
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            todo += [tensor.op for tensor in each.inputs] + list(each.control_inputs)
    return found


@first
def test_of_a_table_only_the_rows_are_read(api, mode):
    """Once rows of a resource variable have been written, TensorFlow copies all of it when it is read."""
    import tensorflow as tf

    with tf.Graph().as_default() if "graph" in mode else contextlib.ExitStack():
        optimizer = kcompat.optimizer(rules.LazyAdam(0.1), api)
        variable = make_variable(api, np.ones((7, 2), np.float32), "table", mode)
        grad = tf.IndexedSlices(tf.ones((2, 2)), tf.constant([1, 4]), tf.constant([7, 2], tf.int64))

        def step():
            return optimizer.apply_gradients([(grad, variable)])

        step_done = step()
        if "graph" in mode:
            operations = run_by(getattr(step_done, "op", step_done))
        else:
            function = tf.function(lambda: [step(), None][1]).get_concrete_function()
            operations = function.graph.get_operations()
    read = [each.type for each in operations if each.outputs and each.outputs[0].shape.as_list() == [7, 2]]
    assert "ReadVariableOp" not in read
    assert sum("Gather" in each.type for each in operations) == 3

"""The plan of a step on PyTorch: kernels and blocks; and which rules are proven elementwise, anywhere."""

import numpy as np
import pytest
from _apis import APIS
from _arrays import backend, gradient, to_numpy, variable
from _modes import assert_agree, run, starting_values, varied_gradients
from _rules import Factored, SignMomentum
from _steps import steps

import kcompat
from kcompat import namespaces, rules, transforms
from kcompat.elementwise import is_elementwise
from kcompat.testing import reference

ARRAYS = [api for api in APIS if backend(api) in ("jax", "torch")]
TORCH = [api for api in ARRAYS if backend(api) == "torch"]
# Small ones, which blocks join; one that is cut into two; one of no dimension, and one of no element.
SHAPES = [(3, 2), (5,), (), (2**14, 5), (0, 4)]

ADAM, ADAMW, SGD = ("kernel torch._fused_{}_".format(name) for name in ("adam", "adamw", "sgd"))
# Rule, base arguments, and the path that is to be taken.
PLANNED = {
    "sgd": (rules.SGD(0.05), {}, SGD),
    "momentum": (rules.SGD(0.05, momentum=0.9), {}, SGD),
    "nesterov": (rules.SGD(0.05, momentum=0.9, nesterov=True), {}, SGD),
    "tiny_rate": (rules.SGD(1e-9, momentum=0.9), {}, SGD),
    "adam": (rules.Adam(0.05, epsilon=1e-3), {}, ADAM),
    "amsgrad": (rules.Adam(0.05, beta_2=0.9, amsgrad=True), {}, "blocks"),
    "adamw": (rules.AdamW(0.05, weight_decay=0.3), {}, ADAMW),
    "standing": (rules.AdamW(0.0, weight_decay=0.3), {}, ADAMW),
    "adagrad": (rules.Adagrad(0.05), {}, "blocks"),
    "rmsprop": (rules.RMSprop(0.05, momentum=0.5, centered=True, epsilon=1e-3), {}, "blocks"),
    "nadam": (rules.Nadam(0.05, epsilon=1e-3), {}, "blocks"),  # with a scalar that all variables share
    "lamb": (rules.Lamb(0.05), {}, "rule"),
    "decayed_twice": (rules.AdamW(0.05, weight_decay=0.3), {"decay": 0.1, "clipvalue": 0.5}, ADAMW),
    "clipped": (rules.Adam(0.05), {"clipnorm": 0.7}, ADAM),
    "clipped_globally": (rules.Adam(0.05), {"global_clipnorm": 0.7}, ADAM),
    "clipped_blocks": (rules.Adagrad(0.05), {"clipnorm": 0.7, "weight_decay": 0.3}, "blocks"),
    "decayed": (rules.SGD(0.05, momentum=0.9), {"weight_decay": 0.3, "decay": 0.1}, SGD),
    "averaged": (rules.Adam(0.05), {"use_ema": True, "ema_momentum": 0.5}, "blocks"),
    "accumulated": (rules.Adam(0.05), {"gradient_accumulation_steps": 2}, "rule"),
    "scheduled": (rules.Adam(kcompat.schedules.ExponentialDecay(0.1, 2, 0.5)), {}, ADAM),
}


def paths(optimizer):
    return [line.path for line in optimizer.plan()]


def rows_of(shapes, count, dtype="float32"):
    """Gradients in which the second variable has none in the second step."""
    made = [[np.asarray(g, dtype) for g in row] for row in varied_gradients(shapes, count)]
    made[1][1] = None
    return made


@pytest.mark.filterwarnings("ignore:The argument decay", "ignore:.*no gradient for")
@pytest.mark.parametrize("api", TORCH)
@pytest.mark.parametrize("name", sorted(PLANNED))
def test_every_path_computes_the_rule(api, name):
    rule, base, path = PLANNED[name]
    params, gradients = starting_values(SHAPES), rows_of(SHAPES, 4)
    result = run(api, "eager", rule, params, gradients, **base)
    assert_agree(result, reference(rule, params, gradients, **base))
    assert paths(result.optimizer) == [path] * len(SHAPES)


@pytest.mark.filterwarnings("ignore:The argument decay", "ignore:.*no gradient for")
@pytest.mark.parametrize("api", TORCH)
@pytest.mark.parametrize("name", sorted(set(PLANNED) - {"lamb", "tiny_rate"}))
def test_in_float64_to_its_last_bits(api, name):
    rule, base, path = PLANNED[name]
    shapes = SHAPES[:3]
    params = [np.asarray(p, "float64") for p in starting_values(shapes)]
    gradients = rows_of(shapes, 5, "float64")
    result = run(api, "eager", rule, params, gradients, **base)
    assert_agree(result, reference(rule, params, gradients, **base), rtol=1e-12, atol=1e-14)
    assert paths(result.optimizer) == [path] * 3


@pytest.mark.parametrize("api", TORCH)
@pytest.mark.parametrize("name", ["adam", "momentum", "amsgrad", "decayed", "clipped"])
@pytest.mark.filterwarnings("ignore:The argument decay")
def test_nan_and_inf_go_through_as_through_the_rule(api, name):
    rule, base, _ = PLANNED[name]
    params, gradients = starting_values([(40,)]), varied_gradients([(40,)], 4)
    gradients[1][0][[0, 1, 2, 37]] = np.nan, np.inf, -np.inf, 1e30
    result = run(api, "eager", rule, params, gradients, **base)
    with np.errstate(all="ignore"):
        expected = reference(rule, params, gradients, dtype="float32", **base)
    assert np.isnan(expected[0][0][0])
    assert_agree(result, expected)


@pytest.mark.parametrize("api", TORCH)
@pytest.mark.parametrize("name", ["adam", "momentum", "adagrad", "decayed", "clipped_globally"])
@pytest.mark.filterwarnings("ignore:The argument decay")
def test_variables_that_come_late_and_a_rate_that_changes(api, name):
    """A step like the one before is taken without looking: not if anything is another than then."""
    rule, base, _ = PLANNED[name]
    values, rows = starting_values([(3, 2), (5,), (4,)]), varied_gradients([(3, 2), (5,), (4,)], 9)
    rates = [0.05] * 6 + [0.01] * 3
    for row in rows[:3]:
        row[2] = None
    rows[4][0] = None
    optimizer = kcompat.optimizer(rule, api, **base)
    variables = [variable(value, "v{}".format(i)) for i, value in enumerate(values)]
    for i, row in enumerate(rows):
        optimizer.learning_rate = rates[i]
        pairs = [(gradient(g, g, "torch"), v) for g, v in zip(row, variables) if g is not None]
        optimizer.apply_gradients(reversed(pairs) if i % 4 == 3 else pairs)
    scheduled = rule.replace(learning_rate=lambda done: rates[int(done)])
    expected, _ = reference(scheduled, values, rows, **base)
    for got, want in zip(variables, expected):
        np.testing.assert_allclose(to_numpy(got), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("api", TORCH)
@pytest.mark.parametrize("rule", [rules.Adam(0.05), rules.Adagrad(0.05)], ids=["kernel", "blocks"])
def test_memory_that_is_no_row_of_elements(api, rule):
    """Gradients that are expanded or transposed, parameters that are transposed, and one that is replaced."""
    import torch

    (start,), rows = starting_values([(4, 3)]), varied_gradients([(4, 3)], 6)
    rows[0][0][:], rows[3][0][:] = 0.5, 0.25
    plain = torch.nn.Parameter(torch.tensor(start.T.copy()).T)
    keras_variable = variable(start, "w")
    assert not plain.is_contiguous()
    optimizer = kcompat.optimizer(rule, api)
    for i, (g,) in enumerate(rows):
        grad = torch.tensor(g)
        if i in (0, 3):
            grad = torch.tensor(g[0, 0]).expand(4, 3)
        elif i % 2:
            grad = torch.tensor(g.T.copy()).T
        if i == 4:
            plain.data = plain.data.contiguous()
            keras_variable._value = torch.nn.Parameter(keras_variable._value.detach().clone())
        optimizer.apply([grad, grad], [plain, keras_variable])
    expected = reference(rule, [start], rows)[0][0]
    np.testing.assert_allclose(plain.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(to_numpy(keras_variable), expected, rtol=1e-5, atol=1e-6)


class Exchange(kcompat.UpdateRule):
    """Its new slots are the memory of its old ones."""

    def init(self, xp, param):
        return {"a": xp.zeros_like(param), "b": xp.ones_like(param), "last": xp.zeros_like(param)}

    def update(self, xp, grad, param, slots, hyper, step):
        return slots["b"] + grad, {"a": slots["b"], "b": slots["a"], "last": param}


@pytest.mark.parametrize("api", TORCH)
def test_blocks_whose_new_values_are_their_old_memory(api):
    params, gradients = starting_values([(3,), (2**16 + 5,)]), varied_gradients([(3,), (2**16 + 5,)], 4)
    result = run(api, "eager", Exchange(), params, gradients)
    assert_agree(result, reference(Exchange(), params, gradients))
    assert paths(result.optimizer) == ["blocks"] * 2


@pytest.mark.parametrize("api", TORCH)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("base", [{}, {"weight_decay": 0.5, "decay": 0.1}], ids=["alone", "decayed"])
@pytest.mark.filterwarnings("ignore:The argument decay")
def test_narrow_variables_take_blocks(api, dtype, base, monkeypatch):
    """In float32 inside, and rounded once, also where transforms change the parameter first."""
    import torch

    rule = rules.Adagrad(0.05)
    (start,), rows = starting_values([(3, 2)]), varied_gradients([(3, 2)], 6)
    rows = [[torch.tensor(g).to(getattr(torch, dtype)) for g in row] for row in rows]

    def train():
        narrow = torch.nn.Parameter(torch.tensor(start).to(getattr(torch, dtype)))
        optimizer = kcompat.optimizer(rule, api, **base)
        for row in rows:
            optimizer.apply(row, [narrow])
        return narrow, paths(optimizer)

    in_blocks = train()
    monkeypatch.setenv("KCOMPAT_PLAN", "plain")
    by_the_rule = train()
    assert (in_blocks[1], by_the_rule[1]) == (["blocks"], ["rule"])
    assert torch.equal(in_blocks[0], by_the_rule[0])


@pytest.mark.parametrize("api", TORCH)
def test_stateless_steps_write_nothing(api):
    """Keras' `stateless_apply`: what it is given stays as it is, and it returns what comes of it."""
    rule = rules.Adam(0.05)
    (start,), ((g,), (g2,)) = starting_values([(3, 2)]), varied_gradients([(3, 2)], 2)
    w = variable(start, "w")
    optimizer = kcompat.optimizer(rule, api)
    optimizer.build([w])
    before = [w._value.clone()], [v.value.clone() for v in optimizer.variables]
    given = [tensor.clone() for tensor in before[0]], [tensor.clone() for tensor in before[1]]
    for grad in (g, g2):
        made = optimizer.stateless_apply(given[1], [gradient(grad, grad, "torch")], given[0])
    assert all(a.equal(b) for was, now in zip(before, given) for a, b in zip(was, now))
    np.testing.assert_array_equal(to_numpy(w), start)
    expected = reference(rule, [start], [[g2]])[0][0]
    np.testing.assert_allclose(made[0][0].detach().numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("api", ARRAYS)
def test_the_plan_in_words_and_switched_off(api, monkeypatch):
    def plan(rule):
        with steps(api, "eager", lambda: kcompat.optimizer(rule, api), np.ones((2, 2))) as training:
            training.step()
            (line,) = training.optimizer.plan()
            assert (line.shape, line.dtype) == ((2, 2), "float32")
            return line.path, line.why

    if backend(api) == "torch":
        assert plan(rules.Adam(0.1)) == (ADAM, "it computes Adam")
        assert plan(SignMomentum(0.1)) == ("blocks", "SignMomentum treats each element by itself")
        assert plan(Factored(0.1)) == ("rule", "Factored keeps slots of another shape")
        assert plan(rules.LAMB(0.1)) == ("rule", "LAMB looks at a variable as a whole")
    else:
        assert plan(rules.Adam(0.1))[0] == "jit"
    monkeypatch.setenv("KCOMPAT_PLAN", "plain")
    assert plan(rules.Adam(0.1)) == ("rule", "KCOMPAT_PLAN=plain")


@pytest.mark.parametrize("api", TORCH)
def test_a_kernel_that_pytorch_has_not_is_not_used(api, monkeypatch):
    import torch

    from kcompat.adapters import kernels_torch

    def other(*args, **kwargs):
        raise TypeError("another signature")

    def wrong(params, *args, **kwargs):
        torch._foreach_add_(params, 1.0)

    (start,), rows = starting_values([(3, 2)]), varied_gradients([(3, 2)], 3)
    for replacement in (other, wrong):
        monkeypatch.setattr(kernels_torch, "_TRIED", {})
        monkeypatch.setattr(torch, "_fused_adam_", replacement)
        result = run(api, "eager", rules.Adam(0.05), [start], rows)
        assert paths(result.optimizer) == ["blocks"]
        assert_agree(result, reference(rules.Adam(0.05), [start], rows))


# What is elementwise. This needs no framework.


class Sneaky(kcompat.UpdateRule):
    """Elementwise but for what `how` does to the gradient."""

    how = kcompat.Hyper("nothing")

    def init(self, xp, param):
        return {}

    def update(self, xp, grad, param, slots, hyper, step):
        ways = {
            "nothing": lambda: xp.where(grad > 0, grad, xp.clip(grad, -1.0, 1.0)) ** 2 + xp.pi / step,
            "sum": lambda: xp.sum(grad),
            "norm": lambda: grad / xp.linalg.vector_norm(grad),
            "shape": lambda: grad * grad.shape[0] if grad.shape else grad,
            "ndim": lambda: grad * 2.0 if grad.ndim > 1 else grad,
            "size": lambda: grad / grad.size,
            "index": lambda: grad - grad[..., :1] if grad.ndim else grad,
            "flip": lambda: xp.flip(grad),
            "sorted": lambda: xp.reshape(xp.sort(xp.reshape(grad, (-1,))), grad.shape),
            "transpose": lambda: xp.permute_dims(grad, tuple(range(grad.ndim))),
            "like": lambda: xp.ones_like(grad),
            "array": lambda: grad * xp.asarray([2.0]),
            "cumulative": lambda: xp.cumulative_sum(xp.reshape(grad, (-1,)))[0],
            "raw": lambda: xp.wrap(xp.unwrap(grad).cumsum()),
        }
        return param - ways[self.how](), {}


SNEAKY = "sum norm shape ndim size index flip sorted transpose like array cumulative raw".split()


def test_what_is_proven_elementwise():
    assert is_elementwise(Sneaky(), ())
    for how in SNEAKY:
        rule = object.__new__(Sneaky)
        rule.__dict__.update(Sneaky().__dict__, _hyper_values={"how": how})
        assert not is_elementwise(rule, ()), how
    for rule in (rules.Adam(), rules.Lion(), rules.RMSprop(momentum=lambda: 0.9), SignMomentum()):
        assert is_elementwise(rule, slot_names(rule)), rule
        assert not is_elementwise(rule, [*slot_names(rule), "another"]), rule
    for rule in (rules.LAMB(), Factored(), transforms.ClipByNorm(rules.Adam(), 1.0)):
        assert not is_elementwise(rule, slot_names(rule)), rule
    nadam = rules.Nadam()
    assert is_elementwise(nadam, ["m", "v"], ["mu_product"])
    assert not is_elementwise(nadam, ["m", "v"])


def slot_names(rule):
    xp = namespaces.namespace("numpy")
    return sorted(rule.init(xp, xp.ones((3, 2))))

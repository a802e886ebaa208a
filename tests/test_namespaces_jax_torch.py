"""`namespaces` on JAX and PyTorch: rules give the oracle's numbers there, and what is each one's own."""

import threading

import _rules
import numpy as np
import pytest
from test_namespaces import CASES, inputs, needs_jax, needs_torch, x64

from kcompat.namespaces import namespace
from kcompat.rule import dynamic_hypers, hyper_values
from kcompat.rules import SGD, Adam, AdamW
from kcompat.testing import reference

pytestmark = pytest.mark.wide

RULES = {
    "sgd": SGD(learning_rate=0.02),
    "nesterov": SGD(learning_rate=0.02, momentum=0.9, nesterov=True),
    "adam": Adam(learning_rate=0.01),
    "amsgrad": Adam(learning_rate=0.01, amsgrad=True),
    "adamw": AdamW(learning_rate=0.01),
    "sign": _rules.SignMomentum(),
    "factored": _rules.Factored(),
    "lazy": _rules.LazyMomentum(learning_rate=0.01),
    "distance": _rules.Distance(),
}
TOLERANCE = {"float32": {"rtol": 1e-5, "atol": 1e-6}, "float64": {"rtol": 1e-12, "atol": 1e-12}}
STEPS = 50


def task():
    """Parameters of several ranks and 50 steps of gradients, none near 0, where a sign would be chance."""
    rng = np.random.RandomState(3)
    params = [np.asarray(rng.standard_normal(shape), "float32") for shape in ((3, 2), (4,), ())]
    grads = [
        [np.asarray(rng.choice([-1, 1], p.shape) * rng.uniform(0.5, 2, p.shape), "float32") for p in params]
        for _ in range(STEPS)
    ]
    return params, grads


def start(rule, xp, params):
    """The slots and shared slots of a rule, as arrays of the backend."""
    slots = [{k: xp.unwrap(v) for k, v in rule.init(xp, xp.wrap(p)).items()} for p in params]
    return slots, {k: xp.unwrap(v) for k, v in rule.init_shared(xp).items()}


def one_step(rule, xp, params, slots, shared, grads, rates, step):
    """One update of all parameters, arrays of the backend in and out; `rates` are the hyperparameters."""
    params, grads = [xp.wrap(p) for p in params], [xp.wrap(g) for g in grads]
    slots = [{k: xp.wrap(v) for k, v in s.items()} for s in slots]
    shared = {k: xp.wrap(v) for k, v in shared.items()}
    scalars = {
        (id(part), path.rpartition(".")[2]): xp.scalar(rates[path])
        for path, (part, _, _) in dynamic_hypers(rule).items()
    }
    step = xp.scalar(step)
    if rule.needs_all:
        hyper = hyper_values(rule, scalars, xp, shared)
        grads, shared = rule.prepare(xp, grads, params, slots, shared, hyper, step)
    hyper = hyper_values(rule, scalars, xp, shared)
    made = [rule.update(xp, g, p, s, hyper, step) for g, p, s in zip(grads, params, slots)]
    new_slots = [{k: xp.unwrap(v) for k, v in s.items()} for _, s in made]
    return [xp.unwrap(p) for p, _ in made], new_slots, {k: xp.unwrap(v) for k, v in shared.items()}


def values_of(rule):
    return {path: value for path, (_, _, value) in dynamic_hypers(rule).items()}


def check_rule(rule, dtype, params, slots):
    want_params, want_slots = reference(rule, *task())
    for got, want in zip(params, want_params):
        assert str(got.dtype).endswith(dtype)
        np.testing.assert_allclose(np.asarray(got), want, **TOLERANCE[dtype])
    for got, want in zip(slots, want_slots):
        assert sorted(got) == sorted(want)
        for name in want:
            np.testing.assert_allclose(np.asarray(got[name]), want[name], **TOLERANCE[dtype])


@needs_jax
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(RULES))
def test_rules_on_jax(name, dtype):
    """Under jit, in a loop on the device, step and learning rate traced: as NumPy in float64."""
    import jax
    import jax.numpy as jnp

    rule = RULES[name]
    with x64(dtype == "float64"):
        xp = namespace("jax", dtype)
        params, grads = task()
        params = [jnp.asarray(p, dtype) for p in params]
        grads = [jnp.stack([jnp.asarray(row[i], dtype) for row in grads]) for i in range(len(params))]
        # A decay rate that has been rounded to float32 is another one: only the learning rate is so passed.
        rates = {
            path: jnp.asarray(value, dtype)
            for path, value in values_of(rule).items()
            if dtype == "float64" or path == "learning_rate"
        }

        def train(params, slots, shared, rates):
            def body(i, state):
                now = [g[i] for g in grads]
                return one_step(rule, xp, *state, now, {**values_of(rule), **rates}, i + 1)

            return jax.lax.fori_loop(0, STEPS, body, (params, slots, shared))

        slots, shared = start(rule, xp, params)
        params, slots, _ = jax.jit(train, donate_argnums=(1,))(params, slots, shared, rates)
        check_rule(rule, dtype, params, slots)


@needs_jax
def test_bias_corrections_are_exact_without_64_bit_types():
    """1 - 0.999 ** step of a traced step, to the last bit of float32; in float32 it is off by 5e-5."""
    import jax
    import jax.numpy as jnp

    assert not jax.config.jax_enable_x64
    xp = namespace("jax")

    @jax.jit
    def ours(step, rate):
        step, rate = xp.scalar(step), xp.scalar(rate)
        made = [1 - 0.999**step, rate * xp.sqrt(1 - 0.999**step), xp.where(step < 2, 1.0, step % 3)]
        return [xp.unwrap(m) for m in made] + [xp.unwrap(x) for x in (xp.floor(step / 2), step > 2)]

    for step in (1, 2, 7, 1000):
        got = [np.asarray(g) for g in ours(jnp.int32(step), jnp.float32(0.1))]
        rate = np.float64(np.float32(0.1))
        want = [1 - 0.999**step, rate * np.sqrt(1 - 0.999**step), 1.0 if step < 2 else step % 3]
        assert [g.dtype for g in got] == [np.float32] * 4 + [np.bool_]
        np.testing.assert_array_equal(got, [np.float32(w) for w in [*want, step // 2, step > 2]])
        in_float32 = np.asarray(1 - jnp.float32(0.999) ** step)
        assert abs(in_float32 / want[0] - 1) > 1e-6
    assert not jax.config.jax_enable_x64
    assert jnp.ones(()).dtype == jnp.asarray(1.0).dtype == np.float32


@needs_jax
def test_vmap_and_grad_through_weak_scalars():
    import jax
    import jax.numpy as jnp

    from kcompat.namespaces.jax import BACKEND

    xp = namespace("jax")

    def loss(rate, param):
        x = xp.wrap(param)
        x = x - xp.scalar(rate) * 2 * (1 - xp.scalar(0.999)) * x
        return xp.unwrap(xp.sum(x * x))

    param = jnp.asarray([1.0, -2.0])
    if BACKEND._rounds_constants:
        # Older releases can't trace or can't compile the gradient of a conversion to float64.
        with pytest.raises((TypeError, ValueError)):
            jax.jit(jax.grad(loss))(jnp.float32(10.0), param)
    else:
        # d/dr sum((1 - 0.002 r)^2 p^2) = -0.004 (1 - 0.002 r) sum(p^2)
        slope = jax.jit(jax.grad(loss))(jnp.float32(10.0), param)
        np.testing.assert_allclose(slope, -0.004 * 0.98 * 5, rtol=1e-6)
        assert slope.dtype == np.float32
    np.testing.assert_allclose(jax.grad(loss, 1)(0.0, param), 2 * param)
    rates = jnp.asarray([0.0, 10.0, 20.0])
    many = jax.vmap(loss, (0, None))(rates, param)
    np.testing.assert_allclose(many, 5 * (1 - 0.002 * rates) ** 2, rtol=1e-6)


@needs_jax
def test_a_weak_scalar_of_another_threads_does_not_change_the_setting():
    """The context is the thread's own: others go on without 64-bit types while one computes with them."""
    import jax.numpy as jnp

    xp = namespace("jax")
    seen = []
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            seen.append(jnp.asarray(np.ones(1)).dtype)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for step in range(200):
            xp.unwrap(1 - xp.scalar(jnp.int32(step)) / 7)
    finally:
        stop.set()
        thread.join()
    assert set(seen) == {np.dtype("float32")}


@needs_jax
def test_what_needs_64_bit_types_says_so():
    import jax.numpy as jnp

    from kcompat import namespaces

    xp = namespace("jax")
    namespaces._CACHE.pop(("jax", "float64"), None)
    for function in (
        lambda: namespace("jax", "float64"),
        lambda: xp.zeros(2, dtype=xp.float64),
        lambda: xp.astype(xp.ones(2), "float64"),
        lambda: xp.asarray(np.ones(2)),
        lambda: xp.wrap(np.ones(2)),
        lambda: xp.linspace(0, 1, 3, dtype=xp.float64),
        lambda: xp.arange(0.0, 1.0, 0.5, dtype="float64"),
    ):
        with pytest.raises(ValueError, match="jax_enable_x64"):
            function()
    with x64(True):
        wide = namespace("jax", "float64")
        double = jnp.ones(2)
    # It was made where there was float64, and is used where there is none.
    for function in (lambda: wide.wrap(double), lambda: wide.zeros(2), lambda: xp.wrap(double)):
        with pytest.raises(ValueError, match="jax_enable_x64"):
            function()


@needs_jax
def test_the_integer_of_jax():
    xp = namespace("jax")
    assert xp.int64 == xp.int32 == np.dtype("int32")
    for on in (False, True):
        with x64(on):
            made = [
                xp.arange(3),
                xp.asarray([1, 2]),
                xp.asarray(np.array([1, 2])),
                xp.wrap(np.array([1, 2])),
                xp.argmax(xp.ones(2)),
                xp.argsort(xp.ones(2), descending=True),
                xp.sum(xp.arange(3)),
                xp.astype(xp.ones(2), "int64"),
                xp.full(2, 3),
            ]
            assert {xp.unwrap(m).dtype for m in made} == {m.dtype for m in made} == {np.dtype("int32")}
    for value in (2**31, np.array([-(2**40)]), [2**31]):
        with pytest.raises(OverflowError, match="int32"):
            xp.asarray(value)
    with x64(True):
        xp = namespace("jax", "float64")
        assert xp.unwrap(xp.asarray(2**40)).dtype == xp.arange(3).dtype == xp.int64 == np.dtype("int64")
        assert xp.argmin(xp.ones(2)).dtype == np.dtype("int64")


@needs_jax
def test_jaxs_own_weak_types_are_taken_off():
    """An array of JAX that came from a Python number would change its dtype, and recompile a jitted step."""
    import jax
    import jax.numpy as jnp

    xp = namespace("jax")
    raw = jnp.asarray(2.0)
    assert raw.weak_type
    assert not xp.unwrap(xp.wrap(raw)).weak_type
    assert not jax.jit(lambda x: xp.unwrap(xp.wrap(x) * 2))(2.0).weak_type


@needs_jax
def test_factors_of_the_lower_triangle_and_of_no_such_matrix():
    xp = namespace("jax")
    lower = xp.asarray(np.array([[4, 9], [2, 3]], "float32"))
    want = np.linalg.cholesky(np.array([[4.0, 2], [2, 3]]))
    np.testing.assert_allclose(xp.unwrap(xp.linalg.cholesky(lower)), want, rtol=1e-6)
    want = np.linalg.eigvalsh([[4.0, 2], [2, 3]])
    np.testing.assert_allclose(xp.unwrap(xp.linalg.eigh(lower).eigenvalues), want, rtol=1e-6)
    assert np.isnan(xp.unwrap(xp.linalg.cholesky(-lower))[0, 0])
    assert np.isnan(xp.unwrap(xp.take(xp.ones(2), [5]))).all()


@needs_torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(RULES))
def test_rules_on_torch(name, dtype):
    """With parameters that require gradients, under no_grad: as NumPy in float64, and nothing is recorded."""
    import torch

    rule = RULES[name]
    xp = namespace("torch", dtype)
    params, grads = task()
    params = [torch.nn.Parameter(torch.tensor(p, dtype=getattr(torch, dtype))) for p in params]
    with torch.no_grad():
        slots, shared = start(rule, xp, params)
        for step, row in enumerate(grads, 1):
            row = [torch.tensor(g, dtype=getattr(torch, dtype)) for g in row]
            # The step as Keras has it, in a variable; hyperparameters as numbers.
            step = torch.tensor(step)
            params, slots, shared = one_step(rule, xp, params, slots, shared, row, values_of(rule), step)
    made = [*params, *shared.values(), *(slot for row in slots for slot in row.values())]
    assert not any(x.requires_grad for x in made)
    check_rule(rule, dtype, params, slots)


@needs_torch
def test_results_are_on_the_device_of_their_operands():
    """Every case, on the device that has no values: PyTorch refuses to mix it with the CPU's arrays."""
    import torch

    xp = namespace("torch")
    values = {n: xp.unwrap(xp.wrap(v)).to("meta") for n, v in inputs("float32").items()}
    for label, (ours, _, names, _, _) in CASES.items():
        if not names:
            continue
        with torch.device("meta"):
            made = xp.unwrap(ours(xp, *(xp.wrap(values[n]) for n in names)))
        assert made.device.type == "meta", label
    with pytest.raises(RuntimeError, match="device"):
        xp.unwrap(xp.wrap(values["a"]) + xp.ones((3, 4)))

    x = xp.wrap(values["sq"])
    weak = xp.scalar(values["s"])
    made = [
        xp.zeros_like(x),
        xp.full_like(x, 0.5),
        xp.ones_like(x, dtype=xp.int64),
        xp.tril(x),
        xp.cumulative_sum(x, axis=0, include_initial=True),
        xp.take(x, [0, 1, 1], axis=2),
        xp.repeat(x, 2, axis=0),
        xp.linalg.qr(x, mode="complete").Q,
        xp.where(x > 0, x, 0.0),
        xp.clip(x, 0.0, 1),
        2 * x / (1 - 0.9**weak),
        x * xp.asarray(0.5),
        xp.where(weak > 1, x, 0.0),
    ]
    assert {xp.unwrap(m).device.type for m in made} == {"meta"}
    with torch.device("meta"):
        made = [xp.zeros(2), xp.asarray([1.0]), xp.arange(3), xp.eye(2), xp.linspace(0, 1, 3)]
    assert {xp.unwrap(m).device.type for m in made} == {"meta"}


@needs_torch
def test_nothing_that_was_given_is_changed_or_kept():
    xp = namespace("torch")
    known = np.ones(3, "float32")
    wrapped, made = xp.wrap(known), xp.asarray(known)
    known[:] = 7
    for x in (wrapped, made):
        np.testing.assert_array_equal(xp.unwrap(x).numpy(), 1)
    backwards = np.arange(3, dtype=">f8")[::-1]
    np.testing.assert_array_equal(xp.unwrap(xp.wrap(backwards)).numpy(), backwards)
    filled = xp.unwrap(xp.full((3,), 2.0))
    filled[0] = 5.0  # its elements are not one and the same
    np.testing.assert_array_equal(filled.numpy(), [5, 2, 2])


@needs_torch
def test_where_pytorch_means_something_else():
    """Sign and first index, no axes, and what is too large for float32."""
    import torch

    xp = namespace("torch")
    x = xp.wrap(np.array([np.nan, -np.inf, -0.0, 3], "float32"))
    assert torch.sign(torch.tensor(np.nan)) == 0
    np.testing.assert_array_equal(xp.unwrap(xp.sign(x)), [np.nan, -1, 0, 1])
    equal = xp.ones((1000, 33))
    assert not xp.unwrap(xp.argmax(equal, axis=0)).any()
    assert not xp.unwrap(xp.argmin(equal, axis=1)).any()
    order = xp.unwrap(xp.argsort(equal, axis=0, descending=True))
    assert (order == torch.arange(1000)[:, None]).all()
    a = xp.wrap(np.arange(24.0, dtype="float32").reshape(2, 3, 4))
    for function in (xp.sum, xp.prod, xp.max, xp.mean):
        np.testing.assert_array_equal(xp.unwrap(function(a, axis=())), xp.unwrap(a))
    with pytest.raises(RuntimeError):
        torch.full((2,), 1e300, dtype=torch.float32)
    assert torch.isinf(xp.unwrap(xp.full((2,), 1e300))).all()
    assert torch.isinf(xp.unwrap(xp.ones(2) * 1e300)).all()


@needs_torch
@pytest.mark.parametrize(
    "key",
    [
        np.s_[::-1],
        np.s_[::-2, 1, ::-1],
        np.s_[..., None, ::-3],
        np.s_[None, 1:0:-1, ..., 2::-1, None],
        np.s_[-1, ..., -2:-4:-1],
        np.s_[0:1:-1],
        np.s_[:, None, 2:0:-1, ::2],
    ],
    ids=str,
)
def test_slices_that_pytorch_refuses(key):
    x = np.arange(24).reshape(2, 3, 4)
    xp = namespace("torch")
    np.testing.assert_array_equal(xp.unwrap(xp.wrap(x)[key]), x[key])


@needs_torch
def test_weak_scalars_of_parameters_and_dtypes_by_any_name():
    import torch

    xp = namespace("torch")
    rate = torch.nn.Parameter(torch.tensor(0.1))
    loss = xp.unwrap(xp.sum(xp.ones(2) * (1 - xp.scalar(rate))))
    assert loss.dtype == torch.float32
    loss.backward()
    assert rate.grad == -2
    for dtype in ("int32", np.int32, np.dtype("int32"), torch.int32):
        assert xp.astype(xp.ones(2), dtype).dtype == torch.int32
    with pytest.raises(TypeError, match="int64 and int32"):
        xp.arange(2) + xp.zeros(2, dtype=xp.int32)
    bfloat16 = xp.wrap(torch.ones(2, dtype=torch.bfloat16)) * 0.5 + 1
    assert bfloat16.dtype == xp.unwrap(bfloat16).dtype == torch.bfloat16

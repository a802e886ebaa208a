"""Tests of `namespaces`: every name of `xp`, on NumPy and on TensorFlow, JAX and PyTorch where installed.

Each case is one expression in `xp` and, where plain NumPy has an equal, that. NumPy's result is
compared with plain NumPy's, and the others' with it: TensorFlow's in a graph, in a `tf.function` and
eagerly, JAX's under `jit` and op by op, PyTorch's eagerly. What only these two have is tested in
test_namespaces_jax_torch.py.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from kcompat import namespaces
from kcompat.namespaces import LINALG_NAMES, NAMES, namespace
from kcompat.namespaces.array import Array
from kcompat.namespaces.base import shared_scalars

pytestmark = pytest.mark.wide

try:
    import tensorflow as tf

    WITHOUT = ""
except ImportError as error:
    tf = None
    WITHOUT = "TensorFlow cannot be imported: %s" % error

needs_tensorflow = pytest.mark.skipif(tf is None, reason=WITHOUT)
needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
BACKENDS = [
    "numpy",
    pytest.param("tensorflow", marks=needs_tensorflow),
    pytest.param("jax", marks=needs_jax),
    pytest.param("torch", marks=needs_torch),
]
DTYPES = ["float32", "float64"]
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}
PLUMBING = {"backend", "compute_dtype", "scalar", "unwrap", "wrap"}


# Inputs, by the names that the cases' functions give their parameters


def inputs(dtype):
    rng = np.random.RandomState(7)
    a = rng.randn(3, 4).astype(dtype)
    sq = rng.randn(2, 3, 3).astype(dtype)
    return {
        "a": a,
        "b": rng.randn(3, 4).astype(dtype),
        "p": (rng.rand(3, 4) + 0.5).astype(dtype),  # positive
        "u": (rng.rand(3, 4) * 1.8 - 0.9).astype(dtype),  # within (-1, 1)
        "v": rng.randn(4).astype(dtype),
        "w": rng.randn(3).astype(dtype),
        "t": rng.randn(2, 3, 4).astype(dtype),
        "s": np.array(1.25, dtype),
        "odd": np.array([0.0, -0.0, 2.5, -2.5, 0.5, 1.5, -1.5, np.inf, -np.inf], dtype),
        "nans": np.array([0.0, np.nan, 1.0, np.inf, -np.inf], dtype),
        "ties": np.array([[2, 1, 2, 1], [0, 0, 3, 3], [1, 1, 1, 1]], dtype),
        "none": np.zeros((0, 3), dtype),
        "sq": sq,
        "tall": rng.randn(5, 3).astype(dtype),
        "sym": np.matmul(sq, sq.swapaxes(-1, -2)) + 3 * np.eye(3, dtype=dtype),
        "i": np.array([[3, -2, 7], [0, 5, -9]], np.int64),
        "j": np.array([[2, 3, -4], [5, -2, 4]], np.int64),
        "k": np.array([2, 0, -1], np.int32),
        "m": np.array([[True, False, True, False]] * 3),
        "n": np.array([True, True, False, False]),
    }


CASES = {}


def case(ours, plain, tolerance=1.0, floats=True):
    """`ours(xp, ...)` against `plain(...)`.

    A floating result has the inputs' dtype, unless not `floats`; then it has that of `plain`'s.
    """
    count = ours.__code__.co_argcount - len(ours.__defaults__ or ())
    names = ours.__code__.co_varnames[1:count]
    label = "%03d" % len(CASES)
    CASES[label] = (ours, plain, names, tolerance, floats)


def _cases():
    for name, arg in (
        [(n, "a") for n in "abs negative positive square sign exp expm1 sin cos tan sinh".split()]
        + [(n, "a") for n in "cosh tanh floor ceil trunc".split()]
        + [(n, "p") for n in "sqrt log log1p log2 log10 reciprocal".split()]
        + [(n, "u") for n in "asin acos atan".split()]
        + [(n, "odd") for n in "abs sign floor ceil trunc round isfinite isinf isnan".split()]
        + [(n, "odd") for n in "signbit negative square exp tanh".split()]
        + [(n, "nans") for n in "isfinite isinf isnan sqrt exp log abs sign max min".split()]
        + [(n, "i") for n in "abs negative positive square sign floor ceil trunc round".split()]
        + [(n, "s") for n in "sqrt exp sign round".split()]
        + [("logical_not", "m"), ("reciprocal", "odd")]
    ):
        theirs = {"acos": "arccos", "asin": "arcsin", "atan": "arctan", "round": "rint"}
        plain = getattr(np, theirs.get(name, name))
        if name in ("floor", "ceil", "trunc", "round") and arg == "i":
            plain = np.array
        _add("unary", name, (arg,), plain)

    binary = "add subtract multiply divide maximum minimum equal not_equal less less_equal greater"
    for name in (binary + " greater_equal").split():
        theirs = {"divide": "true_divide"}.get(name, name)
        for args in [("a", "b"), ("a", "v"), ("s", "a"), ("t", "a"), ("s", "s"), ("none", "none")]:
            _add("binary", name, args, getattr(np, theirs))
        if name != "divide":
            _add("binary", name, ("i", "j"), getattr(np, theirs))
    for name in "equal not_equal logical_and logical_or logical_xor".split():
        _add("binary", name, ("m", "n"), getattr(np, name))
    _add("binary", "pow", ("p", "a"), np.power)
    _add("binary", "pow", ("p", "s"), np.power)
    _add("binary", "atan2", ("a", "b"), np.arctan2)
    _add("binary", "atan2", ("a", "v"), np.arctan2)
    _add("binary", "hypot", ("a", "v"), np.hypot)
    _add("binary", "hypot", ("odd", "odd"), np.hypot)
    _add("binary", "copysign", ("a", "v"), np.copysign)
    _add("binary", "copysign", ("odd", "odd"), np.copysign)
    _add("binary", "remainder", ("a", "b"), np.remainder)
    _add("binary", "remainder", ("i", "j"), np.remainder)
    _add("binary", "floor_divide", ("a", "b"), lambda a, b: np.floor(a / b))
    _add("binary", "floor_divide", ("i", "j"), np.floor_divide)

    for name in "sum mean prod max min var std".split():
        for axis, keepdims in [
            (None, False),
            (0, False),
            (-1, True),
            ((0, 2), False),
            ((1, 2), True),
        ]:
            _add("reduction", name, ("t",), getattr(np, name), axis=axis, keepdims=keepdims)
        _add("reduction", name, ("s",), getattr(np, name))
    for name in "any all".split():
        for axis, keepdims in [(None, False), (0, True), ((0, 1), False)]:
            _add("reduction", name, ("m",), getattr(np, name), axis=axis, keepdims=keepdims)
    for name in "sum prod max min".split():
        _add("reduction", name, ("i",), getattr(np, name), axis=1)
    for name in "sum prod any all".split():
        _add("reduction", name, ("none",), getattr(np, name))
    for name in "argmax argmin".split():
        for axis in (None, 0, -1):
            _add("reduction", name, ("ties",), getattr(np, name), axis=axis)


def _add(kind, name, args, plain, **kwargs):
    label = "%s %s(%s)%s" % (kind, name, ",".join(args), kwargs or "")
    label = label if label not in CASES else label + " again"

    def ours(xp, *values):
        return getattr(xp, name)(*values, **kwargs)

    def theirs(*values):
        return plain(*values, **kwargs)

    CASES[label] = (ours, theirs, args, 1.0, True)


_cases()

# Operators
case(lambda xp, a, b: a + b - 2 * a / 3.0 + (-b), lambda a, b: a + b - 2 * a / 3 - b)
case(lambda xp, a: 1.5 - a, lambda a: a.dtype.type(1.5) - a)
case(lambda xp, p: 2.0 / p + p**3 + 2**p, lambda p: 2 / p + p**3 + 2**p)
case(lambda xp, a: (a > 0.5) & (a <= 1) | ~(a != 0), lambda a: (a > 0.5) & (a <= 1))
case(lambda xp, m, n: (m ^ n) & True | False, lambda m, n: m ^ n)
case(lambda xp, a: abs(a) // 0.25, lambda a: np.floor(abs(a) / a.dtype.type(0.25)))
case(lambda xp, a: +a % 0.5, lambda a: np.remainder(a, a.dtype.type(0.5)))
case(lambda xp, i: i * 2 + 1, lambda i: i * 2 + 1)
case(lambda xp, i: (5 + i) // 3 % 4, lambda i: (5 + i) // 3 % 4)
case(lambda xp, a: np.float64(2) * a + a * np.float32(3) - np.int64(1), lambda a: 5 * a - 1)
case(lambda xp, a, v: a @ v + (v @ a.T), lambda a, v: 2 * (a @ v))
case(lambda xp, s: s * s + 1, lambda s: s * s + s.dtype.type(1))

# where, clip
case(lambda xp, m, a, b: xp.where(m, a, b), lambda m, a, b: np.where(m, a, b))
case(lambda xp, n, a, s: xp.where(n, a, s), lambda n, a, s: np.where(n, a, s))
case(lambda xp, m, v, t: xp.where(m, v, t), lambda m, v, t: np.where(m, v, t))
case(lambda xp, s, v, a: xp.where(s > 1, v, a), lambda s, v, a: np.where(s > 1, v, a))
case(lambda xp, m: xp.where(m, 1.0, 0.0), lambda m: m * 1.0)
case(lambda xp, n, a: xp.where(n, a, 0), lambda n, a: np.where(n, a, a.dtype.type(0)))
case(lambda xp, m, n: xp.where(m, n, False), lambda m, n: np.where(m, n, False))
# cond: the branch that holds, of arrays of several dtypes; one inside another.
case(
    lambda xp, a, s: xp.cond(s > s - 1, lambda: (a + 1, a > 0, s), lambda: (a - 1, a < 0, s))[0],
    lambda a, s: a + 1,
)
case(lambda xp, n: xp.cond(n[2], lambda: (n,), lambda: (xp.logical_not(n),))[0], lambda n: ~n)
case(
    lambda xp, a, s: xp.cond(s > s, lambda: (a,), lambda: xp.cond(s == s, lambda: (-a,), lambda: (a,)))[0],
    lambda a, s: -a,
)
case(lambda xp, a: xp.clip(a, -0.5, 0.75), lambda a: np.clip(a, -0.5, 0.75))
case(lambda xp, a: xp.clip(a, max=0.5), lambda a: np.minimum(a, a.dtype.type(0.5)))
case(
    lambda xp, a, v: xp.clip(a, v - 0.1, v + 0.1),
    lambda a, v: np.minimum(np.maximum(a, v - v.dtype.type(0.1)), v + v.dtype.type(0.1)),
)
case(lambda xp, i: xp.clip(i, 0, 5), lambda i: np.clip(i, 0, 5))

# Creation
case(lambda xp: xp.zeros((2, 3)), lambda: np.zeros((2, 3)))
case(lambda xp: xp.ones(3), lambda: np.ones(3))
case(lambda xp: xp.ones(()), lambda: np.ones(()))
case(lambda xp: xp.zeros((2,), dtype=xp.int32), lambda: np.zeros(2, np.int32), floats=False)
case(lambda xp: xp.full((2, 2), 0.1), lambda: np.full((2, 2), 0.1))
case(lambda xp: xp.full(2, 7), lambda: np.full(2, 7))
case(lambda xp: xp.full((2,), True), lambda: np.full(2, True))
case(lambda xp, s: xp.full((2,), s), lambda s: np.full(2, s))
case(lambda xp, a: xp.zeros_like(a), lambda a: np.zeros_like(a))
case(lambda xp, a: xp.ones_like(a), lambda a: np.ones_like(a))
case(lambda xp, a: xp.full_like(a, 0.3), lambda a: np.full_like(a, 0.3))
case(lambda xp, a: xp.ones_like(a, dtype="int64"), lambda a: np.ones((3, 4), int), floats=False)
case(lambda xp: xp.eye(3), lambda: np.eye(3))
case(lambda xp: xp.eye(2, 4, k=1), lambda: np.eye(2, 4, k=1))
case(lambda xp: xp.eye(4, 2, k=-1), lambda: np.eye(4, 2, k=-1))
case(lambda xp: xp.arange(5), lambda: np.arange(5))
case(lambda xp: xp.arange(2, 9, 3), lambda: np.arange(2, 9, 3))
case(lambda xp: xp.arange(9, 2, -2), lambda: np.arange(9, 2, -2))
case(lambda xp: xp.arange(0.0, 1.0, 0.1), lambda: np.arange(0.0, 1.0, 0.1))
case(lambda xp: xp.arange(3, 1), lambda: np.arange(3, 1))
case(lambda xp: xp.linspace(0, 1, 7), lambda: np.linspace(0, 1, 7))
case(
    lambda xp: xp.linspace(-1, 1, 4, endpoint=False), lambda: np.linspace(-1, 1, 4, endpoint=False)
)
case(lambda xp: xp.linspace(2, 3, 1), lambda: np.linspace(2, 3, 1))
case(lambda xp, t: xp.tril(t, -1), lambda t: np.tril(t, -1))
case(lambda xp, t: xp.triu(t, 1), lambda t: np.triu(t, 1))
case(lambda xp, a: xp.tril(a) + xp.triu(a), lambda a: np.tril(a) + np.triu(a))
case(lambda xp: xp.asarray([[1, 2], [3, 4]]), lambda: np.array([[1, 2], [3, 4]]))
case(lambda xp: xp.asarray([0.1, 2]), lambda: np.array([0.1, 2]))
case(lambda xp: xp.asarray([1, 2], dtype=xp.float32), lambda: np.array([1, 2], "f"), floats=False)
case(lambda xp: xp.asarray([True, False]), lambda: np.array([True, False]))
case(lambda xp: xp.asarray(0.1), lambda: np.array(0.1))

# Data types
case(lambda xp, a: xp.astype(a, xp.float64), lambda a: a.astype("float64"), floats=False)
case(lambda xp, a: xp.astype(a * 3, xp.int32), lambda a: (a * 3).astype("int32"), floats=False)
case(lambda xp, m: xp.astype(m, xp.float32), lambda m: m.astype("float32"), floats=False)
case(lambda xp, i: xp.astype(i, "bool"), lambda i: i != 0, floats=False)
case(lambda xp, odd: xp.astype(odd, xp.bool), lambda odd: odd != 0, floats=False)

# Reductions and searching, what differs from plain NumPy's spelling
case(lambda xp, t: xp.var(t, axis=1, correction=1), lambda t: np.var(t, axis=1, ddof=1))
case(
    lambda xp, t: xp.std(t, correction=2.0, keepdims=True),
    lambda t: np.std(t, ddof=2, keepdims=True),
)
# NaN as the first operand, and as the second.
case(lambda xp, nans: xp.maximum(xp.flip(nans), nans), lambda nans: np.maximum(nans[::-1], nans))
case(lambda xp, nans: xp.minimum(xp.flip(nans), nans), lambda nans: np.minimum(nans[::-1], nans))
case(lambda xp, s: xp.var(s, correction=1), lambda s: np.array(np.nan))
case(lambda xp, none: xp.mean(none), lambda none: np.array(np.nan))
case(lambda xp, none: xp.sum(none, axis=0), lambda none: np.zeros(3))
case(lambda xp, none: xp.mean(none, axis=0), lambda none: np.full(3, np.nan))
case(lambda xp, none: xp.max(none, axis=1), lambda none: np.zeros(0))
case(lambda xp, k: xp.sum(k), lambda k: np.sum(k, dtype=np.int64), floats=False)
case(lambda xp, k: xp.prod(k, dtype="int32"), lambda k: np.prod(k, dtype="i4"), floats=False)
case(lambda xp, a: xp.any(a, axis=0), lambda a: np.any(a, axis=0))
case(
    lambda xp, ties: xp.argmax(ties, axis=1, keepdims=True),
    lambda ties: np.argmax(ties, axis=1)[:, None],
)
case(lambda xp, ties: xp.argmin(ties, keepdims=True), lambda ties: np.array([[4]]))
case(lambda xp, v: xp.cumulative_sum(v), lambda v: np.cumsum(v))
case(lambda xp, t: xp.cumulative_sum(t, axis=1), lambda t: np.cumsum(t, axis=1))
case(
    lambda xp, a: xp.cumulative_sum(a, axis=-1, include_initial=True),
    lambda a: np.concatenate([np.zeros((3, 1)), np.cumsum(a, -1)], -1),
)
case(lambda xp, a: xp.sort(a), lambda a: np.sort(a))
case(lambda xp, t: xp.sort(t, axis=1, descending=True), lambda t: -np.sort(-t, axis=1))
case(lambda xp, i: xp.sort(i, axis=0), lambda i: np.sort(i, axis=0))
case(lambda xp, ties: xp.argsort(ties), lambda x: np.argsort(x, kind="stable"))
case(
    lambda xp, ties: xp.argsort(ties, axis=0, descending=True),
    lambda x: np.argsort(-x, axis=0, kind="stable"),
)
case(lambda xp, ties: xp.argsort(ties, descending=True), lambda x: np.argsort(-x, kind="stable"))
case(lambda xp, v, k: xp.take(v, k), lambda v, k: np.take(v, k))
case(lambda xp, a: xp.take(a, [0, -1, 0], axis=1), lambda a: a[:, [0, -1, 0]])
case(
    lambda xp, t, i: xp.take(t, xp.abs(i) % 3, axis=-2),
    lambda t, i: np.take(t, abs(i) % 3, axis=-2),
)

# Linear algebra
case(lambda xp, a, b: xp.matmul(a, b.T), lambda a, b: a @ b.T)
case(lambda xp, t, v: xp.matmul(t, v), lambda t, v: t @ v)
case(lambda xp, w, t: xp.matmul(w, t), lambda w, t: w @ t)
case(lambda xp, v: xp.matmul(v, v), lambda v: v @ v)
case(lambda xp, a, t: xp.linalg.matmul(a, t.mT), lambda a, t: a @ t.swapaxes(1, 2))
case(lambda xp, sq, t: sq @ t, lambda sq, t: sq @ t)
case(lambda xp, sq, t: sq[:, None] @ t, lambda sq, t: sq[:, None] @ t)
case(lambda xp, t: xp.matrix_transpose(t), lambda t: t.swapaxes(1, 2))
case(lambda xp, t: xp.linalg.matrix_transpose(t), lambda t: t.swapaxes(1, 2))
case(lambda xp, t, a: xp.tensordot(t, a), lambda t, a: np.tensordot(t, a))
case(lambda xp, a, v: xp.tensordot(a, v, axes=1), lambda a, v: np.tensordot(a, v, axes=1))
case(
    lambda xp, t: xp.linalg.tensordot(t, t, axes=((0, 2), (0, 2))),
    lambda t: np.tensordot(t, t, axes=((0, 2), (0, 2))),
)
case(lambda xp, v, w: xp.tensordot(v, w, axes=0), lambda v, w: np.tensordot(v, w, axes=0))
case(lambda xp, a, v: xp.vecdot(a, v), lambda a, v: (a * v).sum(-1))
case(lambda xp, a, b: xp.linalg.vecdot(a, b, axis=0), lambda a, b: (a * b).sum(0))
case(lambda xp, v, w: xp.linalg.outer(v, w), lambda v, w: np.outer(v, w))
for _ord in (1, 2, math.inf, -math.inf, 0, 3):
    case(
        lambda xp, a, o=_ord: xp.linalg.vector_norm(a, axis=1, ord=o),
        lambda a, o=_ord: np.linalg.norm(a, axis=1, ord=o),
    )
case(lambda xp, t: xp.linalg.vector_norm(t), lambda t: np.sqrt((t * t).sum()))
case(
    lambda xp, t: xp.linalg.vector_norm(t, axis=(0, 2), keepdims=True),
    lambda t: np.sqrt((t * t).sum((0, 2), keepdims=True)),
)
for _ord in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
    case(
        lambda xp, t, o=_ord: xp.linalg.matrix_norm(t, ord=o),
        lambda t, o=_ord: np.linalg.norm(t, axis=(1, 2), ord=o),
        tolerance=5,
    )
case(
    lambda xp, a: xp.linalg.matrix_norm(a, keepdims=True),
    lambda a: np.sqrt((a * a).sum(keepdims=True)),
)
case(lambda xp, t: xp.linalg.diagonal(t), lambda t: np.diagonal(t, 0, 1, 2))
case(lambda xp, t: xp.linalg.diagonal(t, 1), lambda t: np.diagonal(t, 1, 1, 2))
case(lambda xp, tall: xp.linalg.diagonal(tall, -1), lambda x: np.diagonal(x, -1))
case(lambda xp, sq: xp.linalg.trace(sq), lambda x: np.trace(x, axis1=1, axis2=2))
case(lambda xp, sq: xp.linalg.trace(sq, offset=1), lambda x: np.trace(x, 1, axis1=1, axis2=2))
case(lambda xp, sym: xp.linalg.inv(sym), lambda x: np.linalg.inv(x), tolerance=5)
case(lambda xp, sq: xp.linalg.det(sq), lambda x: np.linalg.det(x), tolerance=5)
case(lambda xp, sym: xp.linalg.cholesky(sym), lambda x: np.linalg.cholesky(x), tolerance=5)
case(
    lambda xp, sym: xp.linalg.cholesky(sym, upper=True),
    lambda x: np.linalg.cholesky(x).swapaxes(1, 2),
    tolerance=5,
)
case(lambda xp, sym, w: xp.linalg.solve(sym, w), lambda x, w: np.linalg.inv(x) @ w, tolerance=5)
case(
    lambda xp, sym, t: xp.linalg.solve(sym[0], t), lambda x, t: np.linalg.inv(x[0]) @ t, tolerance=5
)
case(lambda xp, t: xp.linalg.svdvals(t), lambda t: np.linalg.svd(t, compute_uv=False), tolerance=5)
case(lambda xp, sym: xp.linalg.eigh(sym)[0], lambda x: np.linalg.eigvalsh(x), tolerance=5)
case(lambda xp, tall: xp.linalg.qr(tall).Q, lambda x: _qr(x)[0], tolerance=5)
case(lambda xp, tall: xp.linalg.qr(tall).R, lambda x: _qr(x)[1], tolerance=5)
case(lambda xp, sq: xp.linalg.qr(sq)[0], lambda x: np.stack([_qr(y)[0] for y in x]), tolerance=20)
case(
    lambda xp, tall: (lambda f: f.Q @ f.R)(xp.linalg.qr(tall, mode="complete")),
    lambda x: x,
    tolerance=5,
)
case(
    lambda xp, t: (lambda f: f.Q @ f.R)(xp.linalg.qr(t.mT, mode="complete")),
    lambda t: t.swapaxes(1, 2),
    tolerance=5,
)
case(
    lambda xp, t: (lambda f: (f.U * f.S[:, None, :]) @ f.Vh)(xp.linalg.svd(t, full_matrices=False)),
    lambda t: t,
    tolerance=5,
)
case(lambda xp, a: (lambda f: (f.U * f.S) @ f.Vh[:3])(xp.linalg.svd(a)), lambda a: a, tolerance=5)
case(
    lambda xp, sym: (lambda f: (f[1] * f[0][:, None, :]) @ f[1].mT)(xp.linalg.eigh(sym)),
    lambda x: x,
    tolerance=10,
)

# Shape
case(lambda xp, t: xp.reshape(t, (4, -1)), lambda t: t.reshape(4, -1))
case(lambda xp, t: xp.reshape(t, (24,)), lambda t: t.ravel())
case(lambda xp, s: xp.reshape(s, (1, 1)), lambda s: s.reshape(1, 1))
case(lambda xp, v: xp.reshape(v[:1], ()), lambda v: v[0])
case(lambda xp, a: xp.expand_dims(a, axis=-1), lambda a: a[..., None])
case(lambda xp, a: xp.squeeze(a[None, :, None], axis=(0, 2)), lambda a: a)
case(lambda xp, t: xp.permute_dims(t, (2, 0, -2)), lambda t: t.transpose(2, 0, 1))
case(lambda xp, t: xp.moveaxis(t, 0, -1), lambda t: np.moveaxis(t, 0, -1))
case(lambda xp, t: xp.moveaxis(t, (0, 2), (1, 0)), lambda t: np.moveaxis(t, (0, 2), (1, 0)))
case(lambda xp, v: xp.broadcast_to(v, (2, 3, 4)), lambda v: np.broadcast_to(v, (2, 3, 4)))
case(lambda xp, m: xp.broadcast_to(m[:1], (3, 4)), lambda m: m)
case(lambda xp, a, b: xp.concat([a, b], axis=1), lambda a, b: np.concatenate([a, b], 1))
case(lambda xp, a, v: xp.concat((a, v), axis=None), lambda a, v: np.concatenate([a.ravel(), v]))
case(lambda xp, a, b: xp.stack([a, b], axis=-1), lambda a, b: np.stack([a, b], -1))
case(lambda xp, s: xp.stack([s, 2.0, xp.scalar(0.5)]), lambda s: np.array([s, 2, 0.5]))
case(lambda xp, t: xp.flip(t), lambda t: t[::-1, ::-1, ::-1])
case(lambda xp, t: xp.flip(t, axis=(0, -1)), lambda t: t[::-1, :, ::-1])
case(lambda xp, t: xp.roll(t, 2), lambda t: np.roll(t, 2))
case(lambda xp, t: xp.roll(t, (1, -1), axis=(0, 2)), lambda t: np.roll(t, (1, -1), (0, 2)))
case(lambda xp, m: xp.roll(m, 1, axis=1), lambda m: np.roll(m, 1, 1))
case(lambda xp, a: xp.tile(a, (2, 1, 2)), lambda a: np.tile(a, (2, 1, 2)))
case(lambda xp, a: xp.tile(a, (2,)), lambda a: np.tile(a, 2))
case(lambda xp, a: xp.repeat(a, 2), lambda a: np.repeat(a, 2))
case(lambda xp, a: xp.repeat(a, [0, 2, 1], axis=0), lambda a: np.repeat(a, [0, 2, 1], axis=0))
case(
    lambda xp, t: xp.unstack(t, axis=1)[2] + xp.unstack(t, axis=-2)[0], lambda t: t[:, 2] + t[:, 0]
)

# Indexing
case(lambda xp, t: t[1], lambda t: t[1])
case(lambda xp, t: t[-1, ..., 2], lambda t: t[-1, ..., 2])
case(lambda xp, t: t[:, 1:3, ::2], lambda t: t[:, 1:3, ::2])
case(lambda xp, t: t[..., ::-1], lambda t: t[..., ::-1])
case(lambda xp, t: t[0, None, :, np.int64(1)], lambda t: t[0, None, :, 1])
case(lambda xp, t: t[...], lambda t: t)
case(lambda xp, s: s[()] + s[None][0] + s[...], lambda s: s * 3)
case(lambda xp, a, k: a[k], lambda a, k: a[k])
case(lambda xp, m: m[1:, 0], lambda m: m[1:, 0])

# Weak scalars
case(
    lambda xp, a: (1 - xp.scalar(0.999)) * a,
    lambda a: (a.astype("float64") * (1 - 0.999)).astype(a.dtype),
)
case(
    lambda xp, a: a / (1 - xp.scalar(0.999) ** xp.scalar(3.0)),
    lambda a: (a / np.float64(1 - 0.999**3)).astype(a.dtype),
)
case(lambda xp, s: xp.sqrt(1 - xp.scalar(s) ** -2), lambda s: np.sqrt(1 - s**-2.0))
case(
    lambda xp, s, a: a * xp.maximum(xp.scalar(s), 2) + xp.clip(xp.scalar(0.5), 0.6, 1),
    lambda s, a: a * s.dtype.type(2) + s.dtype.type(0.6),
)
case(lambda xp, s, a: xp.where(xp.scalar(s) > 1, a, xp.zeros_like(a)), lambda s, a: a)
case(
    lambda xp, s: xp.where(xp.scalar(s) < 1, 0.0, 0.1 * xp.scalar(s)),
    lambda s: np.float64(0.1) * np.float64(s),
)
case(lambda xp, s: xp.isfinite(xp.scalar(s)) & (xp.scalar(3) == 3.0), lambda s: np.array(True))
case(
    lambda xp: xp.copysign(xp.hypot(3.0, 4), -1.0) + xp.trunc(-2.5) + xp.round(2.5),
    lambda: np.array(-5.0),
)
case(
    lambda xp, s: (
        xp.scalar(s) // 0.5 % 2 + xp.copysign(xp.scalar(s), -1.0) + xp.hypot(xp.scalar(s), 1)
    ),
    lambda s: s // 0.5 % 2 - s + np.hypot(s, 1),
)
case(
    lambda xp, s: xp.sum(xp.scalar(s)) + xp.reshape(xp.scalar(2.0), (1,)),
    lambda s: s.reshape(1) + 2,
)
case(lambda xp, s: xp.ones_like(xp.scalar(s)) + xp.asarray(xp.scalar(0.1)), lambda s: np.array(1.1))
case(lambda xp, s: xp.astype(xp.scalar(s) * 3, xp.int64), lambda s: np.array(3), floats=False)


def _qr(x):
    q, r = np.linalg.qr(x)
    sign = np.where(np.diagonal(r) < 0, -1, 1).astype(x.dtype)
    return q * sign, r * sign[:, None]


def evaluate(label, xp, values):
    """The raw result of a case, `values` being raw arrays."""
    ours, _, names, _, _ = CASES[label]
    result = ours(xp, *(xp.wrap(values[n]) for n in names))
    assert type(result) is Array
    raw = xp.unwrap(result)
    assert result.shape == tuple(raw.shape), "Array.shape is not the raw array's"
    assert all(type(d) is int for d in result.shape)
    assert result.dtype == raw.dtype, "Array.dtype is not the raw array's"
    return raw


def check(label, got, expected, dtype):
    tolerance = CASES[label][3]
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    limit = TOLERANCE[dtype] * tolerance
    np.testing.assert_allclose(got, expected, rtol=limit, atol=limit)


_EXPECTED = {}


def expected(label, dtype):
    """NumPy's result of a case."""
    key = (label, dtype)
    if key not in _EXPECTED:
        _EXPECTED[key] = np.array(evaluate(label, namespace("numpy", dtype), inputs(dtype)))
    return _EXPECTED[key]


@pytest.mark.parametrize("label", list(CASES))
@pytest.mark.filterwarnings("error")
def test_numpy(label):
    _, plain, names, _, floats = CASES[label]
    for dtype in DTYPES:
        got = expected(label, dtype)
        values = inputs(dtype)
        with np.errstate(all="ignore"):
            want = np.asarray(plain(*(values[n] for n in names)))
        if floats and want.dtype.kind == "f":
            want = want.astype(dtype)
        check(label, got, want, dtype)


# TensorFlow: all cases in one graph, in one tf.function, and one by one


def eager():
    """A context in which ops run eagerly; TF 1.x has no public one."""
    if tf.executing_eagerly():
        return contextlib.nullcontext()
    from tensorflow.python.eager import context

    return context.eager_mode()


def _all_in_graph(dtype):
    """Every case's result, or the exception that it raised, from one session run."""
    xp = namespace("tensorflow", dtype)
    values = inputs(dtype)
    results = {}
    with tf.Graph().as_default() as graph:
        fed = {n: tf.compat.v1.placeholder(v.dtype, v.shape) for n, v in values.items()}
        for label in CASES:
            try:
                results[label] = evaluate(label, xp, fed)
            except Exception as error:
                results[label] = error
        fetches = {k: v for k, v in results.items() if isinstance(v, tf.Tensor)}
        with tf.compat.v1.Session(graph=graph) as session:
            feed = {fed[n]: v for n, v in values.items()}
            try:
                results.update(session.run(fetches, feed))
            except Exception:
                for label, fetch in fetches.items():
                    try:
                        results[label] = session.run(fetch, feed)
                    except Exception as error:
                        results[label] = error
    return results


def _all_in_function(dtype):
    """Every case's result, or the exception that it raised, from one traced function."""
    xp = namespace("tensorflow", dtype)
    values = inputs(dtype)
    failed = {}

    def body(given):
        results = {}
        for label in CASES:
            try:
                results[label] = evaluate(label, xp, given)
            except Exception as error:
                failed[label] = error
        return results

    with eager():
        results = tf.function(body, autograph=False)({n: tf.constant(v) for n, v in values.items()})
        results = {label: raw.numpy() for label, raw in results.items()}
    results.update(failed)
    return results


def _all_eagerly(dtype):
    """Every case's result, or the exception that it raised, op by op."""
    xp = namespace("tensorflow", dtype)
    results = {}
    with eager():
        values = {n: tf.constant(v) for n, v in inputs(dtype).items()}
        for label in CASES:
            try:
                results[label] = evaluate(label, xp, values).numpy()
            except Exception as error:
                results[label] = error
    return results


def x64(on):
    """A context with JAX's 64-bit types on or off."""
    import jax

    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(on)
    from jax.experimental import enable_x64

    return enable_x64(on)


def _all_in_jax(dtype, jit):
    """Every case's result, or the exception that it raised, under one jit or op by op.

    In float32 with JAX's default, no 64-bit types.
    """
    import jax

    values = inputs(dtype)
    failed = {}

    def body(given):
        results = {}
        for label in CASES if jit else JAX_EAGER:
            try:
                results[label] = evaluate(label, xp, given)
            except Exception as error:
                failed[label] = error
        return results

    with x64(dtype == "float64"):
        xp = namespace("jax", dtype)
        given = {n: xp.unwrap(xp.wrap(v)) for n, v in values.items()}
        results = {k: np.asarray(v) for k, v in (jax.jit(body) if jit else body)(given).items()}
    results.update(failed)
    return results


def _all_in_torch(dtype):
    """Every case's result, or the exception that it raised, op by op."""
    xp = namespace("torch", dtype)
    values = {n: xp.unwrap(xp.wrap(v)) for n, v in inputs(dtype).items()}
    before = {n: v.clone() for n, v in values.items()}
    results = {}
    for label in CASES:
        try:
            results[label] = evaluate(label, xp, values).numpy()
        except Exception as error:
            results[label] = error
    assert all(bool((values[n] == v)[v == v].all()) for n, v in before.items()), "an input was changed"
    return results


_RESULTS = {}
MODES = {"graph": _all_in_graph, "eager": _all_eagerly}
if tf is not None and hasattr(tf, "function"):
    MODES["function"] = _all_in_function


@needs_tensorflow
@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("label", list(CASES))
def test_tensorflow_equals_numpy(label, mode):
    for dtype in DTYPES:
        if (mode, dtype) not in _RESULTS:
            _RESULTS[mode, dtype] = MODES[mode](dtype)
        got = _RESULTS[mode, dtype][label]
        if isinstance(got, Exception):
            raise got
        check(label, np.asarray(got), expected(label, dtype), dtype)


# Op by op JAX compiles every op for itself, which takes long: some of the cases, in float32.
JAX_EAGER = list(CASES)[::5]


@needs_jax
@pytest.mark.parametrize(
    "label, jit", [(label, True) for label in CASES] + [(label, False) for label in JAX_EAGER]
)
def test_jax_equals_numpy(label, jit):
    for dtype in DTYPES if jit else ["float32"]:
        if (jit, dtype) not in _RESULTS:
            _RESULTS[jit, dtype] = _all_in_jax(dtype, jit)
        got, want = _RESULTS[jit, dtype][label], expected(label, dtype)
        if dtype == "float32" and want.dtype == np.float64:
            with pytest.raises(ValueError, match="jax_enable_x64"):
                raise got
            continue
        if isinstance(got, Exception):
            raise got
        if dtype == "float32" and want.dtype == np.int64:
            want = want.astype(np.int32)
        check(label, got, want, dtype)


@needs_torch
@pytest.mark.parametrize("label", list(CASES))
def test_torch_equals_numpy(label):
    for dtype in DTYPES:
        if ("torch", dtype) not in _RESULTS:
            _RESULTS["torch", dtype] = _all_in_torch(dtype)
        got = _RESULTS["torch", dtype][label]
        if isinstance(got, Exception):
            raise got
        check(label, got, expected(label, dtype), dtype)


# What holds on every backend beyond the values


def test_importing_imports_no_framework():
    code = (
        "import sys; from kcompat import namespaces; namespaces.NAMES; "
        "assert not {'numpy', 'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)"
    )
    subprocess.check_call([sys.executable, "-c", code])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_exactly_the_names(backend, dtype):
    with x64(True) if backend == "jax" else contextlib.nullcontext():
        xp = namespace(backend, dtype)
    assert xp is namespace(backend, dtype)
    assert (xp.backend, namespaces.Array, namespaces.Namespace) == (backend, Array, type(xp))
    assert xp.compute_dtype == getattr(xp, dtype)
    assert set(dir(xp)) == set(NAMES) | PLUMBING
    public = {n for n in [*vars(type(xp)), *vars(xp)] if not n.startswith("_")}
    assert public == set(NAMES) | PLUMBING
    public = {n for n in [*vars(type(xp.linalg)), *vars(xp.linalg)] if not n.startswith("_")}
    assert public == set(LINALG_NAMES) == set(dir(xp.linalg))
    for name in NAMES:
        value = getattr(xp, name)
        assert not callable(value) or name in ("bool", "linalg") or value.__doc__


def test_every_name_has_a_case():
    from inspect import getsource

    source = getsource(sys.modules[__name__])
    cased = source + " ".join(CASES)
    for name in NAMES:
        assert " %s(" % name in cased or "xp.%s" % name in cased, name
    for name in LINALG_NAMES:
        assert "xp.linalg.%s" % name in cased, name


def test_a_namespace_that_is_not_there():
    with pytest.raises(ValueError, match="numpy, tensorflow, jax, torch"):
        namespace("theano")
    with pytest.raises(ValueError, match="float32"):
        namespace("numpy", "float16")


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_unknown_name(backend):
    xp = namespace(backend)
    for name, nearest in [
        ("sqroot", "xp.sqrt"),
        ("reduce_sum", "xp.sum"),
        ("norm", "xp.linalg.vector_norm"),
        ("svd", "xp.linalg.svd"),
    ]:
        with pytest.raises(AttributeError, match=r"no xp.%s; did you mean %s\?" % (name, nearest)):
            getattr(xp, name)
    with pytest.raises(AttributeError, match="There are.*zeros_like"):
        xp.softplus  # noqa: B018
    with pytest.raises(AttributeError, match=r"did you mean xp.linalg.eigh\?.*vector_norm"):
        xp.linalg.eig  # noqa: B018
    assert not hasattr(xp, "__deepcopy__")


@pytest.fixture(params=BACKENDS)
def xp(request):
    """A namespace; TensorFlow's in a graph of its own where it is not eager, JAX's with 64-bit types."""
    if request.param == "jax":
        with x64(True):
            yield namespace("jax")
    elif request.param != "tensorflow" or tf.executing_eagerly():
        yield namespace(request.param)
    else:
        with tf.Graph().as_default():
            yield namespace(request.param)


def test_constants_and_limits(xp):
    assert (xp.pi, xp.e, xp.inf, xp.newaxis) == (math.pi, math.e, math.inf, None)
    assert math.isnan(xp.nan)
    info = xp.finfo(xp.float32)
    assert (info.bits, info.eps) == (32, 2.0**-23)
    assert info.dtype == xp.float32
    assert xp.finfo(xp.ones(2, dtype="float64")).eps == 2.0**-52
    assert info.max == -info.min > 3e38
    assert 0 < info.smallest_normal < 2e-38
    with pytest.raises(TypeError, match="floating"):
        xp.finfo(xp.int32)


def test_strict_dtypes(xp):
    single, double = xp.ones((2,)), xp.ones((2,), dtype=xp.float64)
    ints, small, bools = xp.arange(2), xp.zeros(2, dtype=xp.int32), xp.asarray([True, False])
    for function in (
        lambda: single + double,
        lambda: xp.where(bools, single, double),
        lambda: xp.maximum(double, single),
        lambda: xp.concat([single, double]),
        lambda: single @ double,
        lambda: single * ints,
        lambda: (ints if xp.int64 != xp.int32 else single) + small,
        lambda: single == double,
        lambda: xp.linalg.solve(xp.ones((2, 2)), double),
        lambda: xp.clip(single, double, 1.0),
    ):
        with pytest.raises(TypeError, match=r"(float|int)\d\d and (float|int)\d\d.*xp.astype"):
            function()
    for function in (
        lambda: bools * single,
        lambda: single + True,
        lambda: bools + bools,
        lambda: bools * 2.0,
        lambda: ints + 1.5,
        lambda: ints * xp.scalar(2.0),
        lambda: ints / ints,
        lambda: xp.sqrt(ints),
        lambda: xp.mean(ints),
        lambda: xp.sum(bools),
        lambda: single & single,
        lambda: ~ints,
        lambda: xp.where(single, single, single),
        lambda: xp.matmul(ints, ints),
        lambda: xp.where(bools, single, True),
        lambda: xp.where(bools, True, xp.scalar(1.0)),
    ):
        with pytest.raises(TypeError):
            function()
    assert (single * 2).dtype == (np.float64(2) - single).dtype == xp.float32
    assert (ints + 1).dtype == (np.int32(2) * ints).dtype == xp.int64


def test_foreign_objects(xp):
    x = xp.ones((2,))
    for function in (
        lambda: np.ones(2) + x,
        lambda: x * np.ones(2, "float32"),
        lambda: x + None,
        lambda: x == "a",
        lambda: np.sqrt(x),
        lambda: np.asarray(x),
        lambda: xp.sqrt(np.ones(2)),
        lambda: xp.unwrap(np.ones(2)) if xp.backend != "numpy" else xp.unwrap(None),
        lambda: xp.wrap(1.0),
        lambda: xp.scalar(xp.ones((2,))),
        lambda: xp.asarray([x, x]),
        lambda: xp.asarray("a"),
        lambda: xp.zeros((2,), dtype="float8"),
        lambda: xp.zeros((2,), dtype="uint8"),
        lambda: xp.zeros((None, 2)),
        lambda: xp.zeros(x),
    ):
        with pytest.raises(TypeError):
            function()


def test_no_value_is_read(xp):
    x = xp.ones(())
    for function in (
        lambda: bool(x > 0),
        lambda: float(x),
        lambda: int(x),
        lambda: range(x),
        lambda: list(x),
        lambda: 1.0 if xp.scalar(2.0) > 1 else 0.0,
        lambda: float(xp.scalar(2.0)),
        lambda: max(x, x),
        lambda: [1, 2][x],
    ):
        with pytest.raises(TypeError, match="xp"):
            function()


def test_immutable(xp):
    x = y = xp.zeros((2,))
    x += 1
    assert x is not y
    with pytest.raises(TypeError):
        x[0] = 1.0
    with pytest.raises(AttributeError):
        x.shape = (1, 2)
    with pytest.raises(AttributeError):
        x.other = 1
    with pytest.raises(TypeError):
        hash(x)


def test_attributes(xp):
    x = xp.zeros((2, 3, 4))
    assert (x.shape, x.ndim, x.size, x.mT.shape) == ((2, 3, 4), 3, 24, (2, 4, 3))
    assert x[0].T.shape == (4, 3)
    assert type(x.shape) is tuple
    weak = xp.scalar(0.5)
    assert (weak.shape, weak.ndim, weak.size, weak.dtype) == ((), 0, 1, xp.float32)
    assert "weak" in repr(weak + 1)
    assert "weak" not in repr(x)
    with pytest.raises(ValueError, match="2-D"):
        x.T  # noqa: B018
    with pytest.raises(ValueError, match="two"):
        x[0, 0].mT  # noqa: B018


def test_bad_axes_and_shapes(xp):
    x = xp.zeros((2, 3))
    for function in (
        lambda: xp.sum(x, axis=2),
        lambda: xp.sum(x, axis=(0, -2)),
        lambda: xp.reshape(x, (4, 2)),
        lambda: xp.reshape(x, (4, -1)),
        lambda: xp.squeeze(x, axis=0),
        lambda: xp.permute_dims(x, (0,)),
        lambda: xp.broadcast_to(x, (2, 2)),
        lambda: xp.matmul(x, x),
        lambda: xp.matmul(x, xp.ones(())),
        lambda: xp.take(x, [0]),
        lambda: xp.cumulative_sum(x),
        lambda: xp.max(xp.zeros((0,))),
        lambda: xp.argmax(xp.zeros((2, 0)), axis=1),
        lambda: xp.linalg.inv(x),
        lambda: xp.linalg.outer(x, x),
        lambda: xp.linalg.qr(x, mode="r"),
        lambda: xp.linalg.matrix_norm(x, ord="spectral"),
        lambda: xp.tensordot(x, x, axes=1),
        lambda: xp.asarray([[1.0], [2.0, 3.0]]) if np.__version__ >= "1.24" else xp.sum(x, axis=5),
    ):
        with pytest.raises(ValueError):
            function()
    for key in (2, (0, 3), (0, 0, 0), (Ellipsis, Ellipsis)):
        with pytest.raises(IndexError):
            x[key]
    for key in ([0, 1], x > 0, "a", 1.0, True, (xp.arange(2), 0)):
        with pytest.raises(TypeError):
            x[key]


def is_weak(x):
    return "weak" in repr(x)


def test_weak_in_weak_out(xp):
    s, strong = xp.scalar(0.25), xp.ones((2,))
    for x in (
        s + s,
        1 - s,
        2**s,
        s // 0.1,
        xp.sqrt(s),
        xp.sqrt(2.0),
        xp.maximum(s, 1),
        xp.clip(s, 0, 1),
        xp.where(s > 0, s, 0.0),
        np.float32(0.5) * s,
        xp.scalar(s),
        xp.scalar(xp.ones(())),
    ):
        assert is_weak(x)
        assert x.dtype == xp.compute_dtype
    for x in (
        s * strong,
        strong**s,
        xp.where(strong > 0, s, 0.0),
        xp.where(s > 0, strong, s),
        xp.asarray(s),
        xp.astype(s, xp.float32),
        xp.sum(s),
        xp.stack([s, s]),
        xp.zeros_like(s),
    ):
        assert not is_weak(x)
        assert x.dtype == xp.float32
    assert (s * xp.ones((2,), dtype=xp.float64)).dtype == xp.float64
    assert (s > 0).dtype == xp.bool
    assert xp.unwrap(s).dtype == xp.unwrap(2).dtype == xp.float32
    assert xp.unwrap(s).shape == ()


def in_graph(xp, *arrays):
    """The values of arrays made in the present graph or eagerly."""
    raws = [xp.unwrap(a) for a in arrays]
    if xp.backend == "tensorflow" and not tf.executing_eagerly():
        with tf.compat.v1.Session() as session:
            return session.run(raws)
    return [np.asarray(raw) for raw in raws]


@pytest.mark.parametrize("known", [True, False])
def test_weak_scalars_are_accurate(xp, known):
    """1 - beta is off by 4.7e-5 where beta is rounded to float32 first."""
    values = np.linspace(-3, 3, 101).astype("float32")
    x = xp.wrap(values)
    beta = xp.scalar(0.999 if known else xp.unwrap(xp.asarray(0.999, dtype=xp.float64)))
    step = xp.scalar(3.0 if known else xp.unwrap(xp.asarray(3)))
    product, quotient = in_graph(xp, (1 - beta) * x, x / (1 - beta**step))
    assert product.dtype == quotient.dtype == np.float32
    wide = values.astype("float64")
    np.testing.assert_allclose(product, wide * (1 - 0.999), rtol=1.3e-7)
    np.testing.assert_allclose(quotient, wide / (1 - 0.999**3), rtol=1.3e-7)


def test_scalars_are_computed_once_where_they_are_shared(xp):
    def computed(beta):
        weak = 1 - beta ** xp.scalar(2)
        chosen = xp.where(weak > 0, weak, xp.sqrt(weak))
        return chosen, chosen * xp.ones(())

    def same(one, other):
        return one._raw is other._raw

    given = xp.unwrap(xp.asarray(0.5, dtype=xp.float64))
    apart = [computed(xp.scalar(given))[0] for _ in range(2)]
    with shared_scalars():
        first, second = (computed(xp.scalar(given)) for _ in range(2))
        zeros = [xp.copysign(xp.scalar(given), zero) for zero in (0.0, -0.0)]
        with shared_scalars():
            inner = computed(xp.scalar(given))[0]
        taken = xp.cond(xp.scalar(given) > 0, lambda: [xp.scalar(given) * 3], lambda: [xp.zeros(())])
        after = xp.scalar(given) * 3 * xp.ones(())
    # NumPy's scalars are known, and cost nothing.
    assert same(first[0], second[0]) or xp.backend == "numpy"
    assert not any(same(first[0], other) for other in (*apart, inner))
    values = in_graph(xp, first[1], second[1], inner * xp.ones(()), *zeros, *taken, after)
    np.testing.assert_array_equal(values, np.float32([0.75, 0.75, 0.75, 0.5, -0.5, 1.5, 1.5]))


def test_the_sign_of_zero(xp):
    """Eager TensorFlow takes -0.0 for a 0.0 that it has met, and the other way round."""
    one, weak = xp.ones(()), xp.scalar(xp.unwrap(xp.asarray(1.0, dtype=xp.float64)))
    found = [xp.copysign(x, zero) * one for x in (one, weak) for zero in (0.0, -0.0, 0.0)]
    assert in_graph(xp, *found) == [1.0, -1.0, 1.0] * 2


def test_a_step_beyond_float32(xp):
    step = xp.scalar(2.0**24) + 1
    assert in_graph(xp, xp.astype(step - 2.0**24, xp.float32)) == [1.0]


@needs_tensorflow
def test_slots_do_not_read_the_variable():
    """A slot's initial value must not depend on its variable's, which may not be initialised."""
    xp = namespace("tensorflow")
    with tf.Graph().as_default():
        variable = tf.compat.v1.get_variable("v", (2, 3), use_resource=False)
        param = xp.wrap(variable)
        assert param.shape == (2, 3)
        made = [xp.zeros_like(param), xp.ones_like(param), xp.full_like(param, 0.1)]
        made.append(xp.zeros(param.shape))
        assert [m.dtype for m in made] == [tf.float32] * 4
        with tf.compat.v1.Session() as session:
            values = session.run([xp.unwrap(m) for m in made])
    np.testing.assert_array_equal(values[2], np.full((2, 3), 0.1, "float32"))


@needs_tensorflow
def test_unknown_dimensions():
    xp = namespace("tensorflow", "float64")
    value = np.random.RandomState(0).randn(3, 4)
    with tf.Graph().as_default():
        fed = tf.compat.v1.placeholder(tf.float64, (None, 4))
        x = xp.wrap(fed)
        assert (x.shape, x.size, x[0].shape, (x * 2).shape) == ((None, 4), None, (4,), (None, 4))
        rows = xp.arange(2)
        made = {
            "zeros": (xp.zeros_like(x), value * 0),
            "full": (xp.full_like(x, 0.5), value * 0 + 0.5),
            "int": (xp.ones_like(x, dtype=xp.int64), np.ones((3, 4), int)),
            "var": (xp.var(x, axis=0, correction=1), np.var(value, axis=0, ddof=1)),
            "where": (xp.where(x > 0, x, 0.0), np.maximum(value, 0)),
            "take": (x[-1 * rows], value[[0, -1]]),
            "norm": (xp.linalg.vector_norm(x), np.linalg.norm(value)),
            "reshape": (xp.reshape(x, (-1, 2)), value.reshape(-1, 2)),
            "matmul": (x.T @ x, value.T @ value),
        }
        for function in (
            lambda: xp.zeros(x.shape),
            lambda: xp.roll(x, 1),
            lambda: xp.tril(x),
            lambda: xp.unstack(x),
        ):
            with pytest.raises((TypeError, ValueError), match="static"):
                function()
        with tf.compat.v1.Session() as session:
            for name, (got, want) in made.items():
                result = session.run(xp.unwrap(got), {fed: value})
                np.testing.assert_allclose(result, want, rtol=1e-12, err_msg=name)


@needs_tensorflow
def test_variables_and_sparse_gradients():
    xp = namespace("tensorflow")
    with eager():
        variable = tf.Variable([1.0, 2.0])
        rate = tf.Variable(0.5, dtype=tf.float64)
        result = xp.scalar(rate) * xp.wrap(variable)
        assert result.dtype == tf.float32
        np.testing.assert_array_equal(xp.unwrap(result).numpy(), [0.5, 1.0])
        with pytest.raises(TypeError, match="IndexedSlices"):
            xp.wrap(tf.IndexedSlices(tf.ones((1, 2)), tf.constant([0])))
        with pytest.raises((TypeError, ValueError)):
            tf.add(xp.ones(2), 1.0)
        with pytest.raises((TypeError, ValueError)):
            tf.ones(2) * xp.ones(2)
        with pytest.raises(TypeError, match="numpy"):
            xp.ones(2) * namespace("numpy").ones(2)


hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

numbers = st.floats(-1e6, 1e6, allow_nan=False, width=32)
trees = st.recursive(
    st.one_of(st.sampled_from(["x", "s"]), numbers),
    lambda inner: st.tuples(st.sampled_from("+-*"), inner, inner),
    max_leaves=8,
)


def _tree(tree, names):
    if isinstance(tree, tuple):
        op, left, right = tree[0], _tree(tree[1], names), _tree(tree[2], names)
        return left + right if op == "+" else left - right if op == "-" else left * right
    return names.get(tree, tree)


@settings(max_examples=60, deadline=None)
@given(tree=trees, s=numbers)
def test_any_expression_is_numpys(tree, s):
    """In float64, weak and strong arithmetic are plain NumPy's, whatever the nesting."""
    xp = namespace("numpy", "float64")
    x = np.array([1.5, -2.0, 0.1])
    with np.errstate(all="ignore"):
        want = np.asarray(_tree(tree, {"x": x, "s": np.float64(s)}), "float64")
    got = xp.unwrap(_tree(tree, {"x": xp.wrap(x), "s": xp.scalar(s)}))
    np.testing.assert_array_equal(got, want)

"""The TensorFlow backend: 1.13 and later, in graphs, in tf.function and eagerly."""

# ruff: noqa: D102 - the methods are those that `Backend` documents

from __future__ import annotations

import contextlib
import math
import threading
from typing import Any, Callable, Iterator, List, Set, Tuple

import numpy as np
import tensorflow as tf

from .base import Backend

__all__ = ["BACKEND", "TensorFlowBackend"]

# Raw ops skip the argument handling of the public functions, which costs more than a small op
# itself when eager. Where a release has none, the public function of the same meaning serves.
_RAW = getattr(tf, "raw_ops", None)


def _find(*paths: str) -> Any:
    """The first of several endpoints of `tf` that this release has."""
    for path in paths:
        found: Any = tf
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return found
    raise AttributeError("this TensorFlow has none of %s" % ", ".join(paths))


def _unary(raw_name: str, *paths: str) -> Callable[[Any], Any]:
    raw = getattr(_RAW, raw_name, None)
    if raw is None:
        return _find(*paths)
    return lambda x: raw(x=x)


def _binary(raw_name: str, *paths: str) -> Callable[[Any, Any], Any]:
    raw = getattr(_RAW, raw_name, None)
    if raw is None:
        return _find(*paths)
    return lambda x, y: raw(x=x, y=y)


def _of_tensors(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """For functions of several ops: an operand may have come as a plain number."""

    def call(x1: Any, x2: Any) -> Any:
        if not isinstance(x1, tf.Tensor):
            x1 = tf.constant(x1, x2.dtype)
        elif not isinstance(x2, tf.Tensor):
            x2 = tf.constant(x2, x1.dtype)
        return function(x1, x2)

    return call


def _ints(values: Tuple[int, ...]) -> Any:
    """Axes or a shape: an empty tuple has no dtype of its own."""
    return np.array(values, np.int32)


def _reduction(raw_name: str, public: Callable[..., Any]) -> Callable[..., Any]:
    raw_op = getattr(_RAW, raw_name, None)

    def call(raw: Any, axes: Tuple[int, ...], keepdims: bool) -> Any:
        if raw_op is None:
            return public(raw, axis=_ints(axes), keepdims=keepdims)
        axis = axes[0] if len(axes) == 1 else _ints(axes)
        return raw_op(input=raw, axis=axis, keep_dims=keepdims)

    return call


_cast = getattr(_RAW, "Cast", None)
_select = getattr(_RAW, "SelectV2", None)
_v1_where = _find("compat.v1.where")


def _where(condition: Any, x1: Any, x2: Any) -> Any:
    if _select is not None:
        return _select(condition=condition, t=x1, e=x2)
    # TensorFlow 1.13's does not broadcast.
    return _v1_where(*_broadcast(condition, x1, x2))


def _broadcast(*raws: Any) -> List[Any]:
    """Arrays broadcast against each other."""
    if all(raw.shape.is_fully_defined() for raw in raws):
        shapes = [tuple(raw.shape.as_list()) for raw in raws]
        target: Any = np.broadcast(*(np.broadcast_to(np.int8(0), s) for s in shapes)).shape
        return [r if s == target else tf.broadcast_to(r, target) for r, s in zip(raws, shapes)]
    target = tf.shape(raws[0])
    for raw in raws[1:]:
        target = tf.broadcast_dynamic_shape(target, tf.shape(raw))
    return [tf.broadcast_to(raw, target) for raw in raws]


class _Careful(threading.local):
    on = False


_careful = _Careful()


@contextlib.contextmanager
def keeping_nan() -> Iterator[None]:
    """What is traced inside keeps NaN whoever runs it: XLA makes numbers of it where TensorFlow does not."""
    before, _careful.on = _careful.on, True
    try:
        yield
    finally:
        _careful.on = before


def _tried(function: Callable[[], Any]) -> Callable[[], bool]:
    """What tells whether all that a function gives is true, a boolean tensor, which is computed once.

    Not before it is asked for: the first operation sets TensorFlow's devices, which the program may yet want
    to split, or to connect to those of other machines.
    """
    found: List[bool] = []

    def ask() -> bool:
        if found:
            return found[0]
        with tf.init_scope():
            if not tf.executing_eagerly():
                return False  # not known, and there is no session to ask; to be safe is only slower
            found.append(bool(function().numpy().all()))
        return found[0]

    return ask


def _keeps_nan(function: Callable[[Any], Any]) -> Callable[[], bool]:
    """What tells whether a host's function of NaN is NaN; up to TensorFlow 2.3 some make a number of it."""
    # More than one vector of the CPU.
    return _tried(lambda: _is_nan(function(tf.fill([9], math.nan))))


def _is_nan(x: Any) -> Any:
    return tf.not_equal(x, x)


def _extreme(raw_name: str, path: str) -> Callable[[Any, Any], Any]:
    host = _binary(raw_name, path)
    keeps = _keeps_nan(lambda nans: host(tf.ones_like(nans), nans))

    def call(x: Any, y: Any) -> Any:
        found = host(x, y)
        # The first operand's NaN is kept.
        if (not _careful.on and keeps()) or not isinstance(y, tf.Tensor) or not y.dtype.is_floating:
            return found
        return _where(_is_nan(y), y, found)

    return call


def _extreme_of_all(raw_name: str, public: Callable[..., Any]) -> Callable[..., Any]:
    host = _reduction(raw_name, public)
    keeps = _keeps_nan(lambda nans: tf.stack([host(tf.concat([nans, tf.ones([9])], 0), (0,), False)]))
    any_of = _reduction("Any", tf.reduce_any)

    def call(raw: Any, axes: Tuple[int, ...], keepdims: bool) -> Any:
        found = host(raw, axes, keepdims)
        if (not _careful.on and keeps()) or not raw.dtype.is_floating:
            return found
        nan = tf.constant(math.nan, raw.dtype)
        return _where(any_of(_is_nan(raw), axes, keepdims), nan, found)

    return call


def _sign() -> Callable[[Any], Any]:
    host = _unary("Sign", "sign")
    keeps = _keeps_nan(host)

    def call(x: Any) -> Any:
        if not _careful.on and keeps():
            return host(x)
        return _where(_is_nan(x), x, host(x)) if x.dtype.is_floating else host(x)

    return call


def _root() -> Callable[[Any], Any]:
    """The square root. The vectorised float32 kernel of TensorFlow up to 2.4 gives NaN for infinity on CPU.

    It also gives 0 for denormals and is off for numbers near the largest there is; that is left so, because
    to do better costs a pass in float64 in every rule.
    """
    host = _unary("Sqrt", "sqrt")
    keeps = _tried(lambda: tf.equal(host(tf.fill([9], math.inf)), math.inf))

    def call(x: Any) -> Any:
        if keeps():
            return host(x)
        return _where(tf.equal(x, tf.constant(math.inf, x.dtype)), x, host(x))

    return call


def _zero(like: Any) -> Any:
    return tf.zeros((), like.dtype)


def _logarithm(base: float) -> Callable[[Any], Any]:
    log, divide = _unary("Log", "math.log", "log"), _binary("RealDiv", "realdiv")
    return lambda x: divide(log(x), tf.constant(math.log(base), x.dtype))


def _signbit(x: Any) -> Any:
    bits = tf.bitcast(x, {2: tf.int16, 4: tf.int32, 8: tf.int64}[x.dtype.size])
    return tf.less(bits, _zero(bits))


_KNOWN: Set[float] = set()
_MOST_KNOWN = 1024


def _is_known(number: float) -> bool:
    """Whether eager TensorFlow may be given this as a number, and not as an array.

    It keeps a tensor of each number that it has met, up to 2.15 for good: of a bias correction, another one
    in each step, that would be a leak. One that is met again is a constant. And it takes -0.0 for a 0.0.
    """
    if number in _KNOWN:
        return number != 0 or math.copysign(1.0, number) > 0
    if len(_KNOWN) < _MOST_KNOWN:
        _KNOWN.add(float(number))
    return False


def _copysign(x1: Any, x2: Any) -> Any:
    size = tf.abs(x1)
    return _where(_signbit(x2), tf.negative(size), size)


def _hypot(x1: Any, x2: Any) -> Any:
    size1, size2 = tf.abs(x1), tf.abs(x2)
    long, short = tf.maximum(size1, size2), tf.minimum(size1, size2)
    one = tf.ones((), long.dtype)
    # Both may be 0 or infinite, and the ratio NaN.
    ratio = _where(tf.equal(long, short), one, tf.realdiv(short, long))
    return tf.multiply(long, tf.sqrt(tf.add(one, tf.square(ratio))))


def _trunc(x: Any) -> Any:
    return _where(tf.less(x, _zero(x)), tf.math.ceil(x), tf.math.floor(x))


class TensorFlowBackend(Backend):
    """TensorFlow, whichever release; no op needs a value, so it all compiles (XLA)."""

    name = "tensorflow"

    def __init__(self) -> None:
        """Collect the functions of this TensorFlow."""
        self.dtypes = {
            "bool": tf.bool,
            "int32": tf.int32,
            "int64": tf.int64,
            "float32": tf.float32,
            "float64": tf.float64,
        }
        self.weak_dtype = tf.float64
        self._known = {id(dtype) for dtype in self.dtypes.values()}
        self._eager = _find("executing_eagerly", "compat.v1.executing_eagerly")
        self.ops = {
            "abs": _unary("Abs", "abs"),
            "acos": _unary("Acos", "acos"),
            "add": _binary("AddV2", "add"),
            "asin": _unary("Asin", "asin"),
            "atan": _unary("Atan", "atan"),
            "atan2": _of_tensors(tf.math.atan2),
            "ceil": _unary("Ceil", "math.ceil"),
            "copysign": _of_tensors(_copysign),
            "cos": _unary("Cos", "cos"),
            "cosh": _unary("Cosh", "cosh"),
            "divide": _binary("RealDiv", "realdiv"),
            "equal": _of_tensors(tf.equal),
            "exp": _unary("Exp", "exp"),
            "expm1": _unary("Expm1", "math.expm1"),
            "floor": _unary("Floor", "floor"),
            "floor_divide": _binary("FloorDiv", "floordiv"),
            "greater": _binary("Greater", "greater"),
            "greater_equal": _binary("GreaterEqual", "greater_equal"),
            "hypot": _of_tensors(_hypot),
            "isfinite": _unary("IsFinite", "math.is_finite", "is_finite"),
            "isinf": _unary("IsInf", "math.is_inf", "is_inf"),
            "isnan": _unary("IsNan", "math.is_nan", "is_nan"),
            "less": _binary("Less", "less"),
            "less_equal": _binary("LessEqual", "less_equal"),
            "log": _unary("Log", "math.log", "log"),
            "log10": _logarithm(10.0),
            "log1p": _unary("Log1p", "math.log1p"),
            "log2": _logarithm(2.0),
            "logical_and": _binary("LogicalAnd", "logical_and"),
            "logical_not": _unary("LogicalNot", "logical_not"),
            "logical_or": _binary("LogicalOr", "logical_or"),
            "logical_xor": _of_tensors(tf.not_equal),
            "maximum": _extreme("Maximum", "maximum"),
            "minimum": _extreme("Minimum", "minimum"),
            "multiply": _binary("Mul", "multiply"),
            "negative": _unary("Neg", "negative"),
            "not_equal": _of_tensors(tf.not_equal),
            "positive": lambda x: x,
            "pow": _binary("Pow", "pow"),
            "reciprocal": _unary("Reciprocal", "math.reciprocal", "reciprocal"),
            "remainder": _binary("FloorMod", "math.floormod", "floormod"),
            "round": _unary("Round", "round"),
            "sign": _sign(),
            "signbit": _signbit,
            "sin": _unary("Sin", "sin"),
            "sinh": _unary("Sinh", "sinh"),
            "sqrt": _root(),
            "square": _unary("Square", "square"),
            "subtract": _binary("Sub", "subtract"),
            "tan": _unary("Tan", "tan"),
            "tanh": _unary("Tanh", "tanh"),
            "trunc": _trunc,
        }

        self.reductions = {
            "all": _reduction("All", tf.reduce_all),
            "any": _reduction("Any", tf.reduce_any),
            "max": _extreme_of_all("Max", tf.reduce_max),
            "mean": _reduction("Mean", tf.reduce_mean),
            "min": _extreme_of_all("Min", tf.reduce_min),
            "prod": _reduction("Prod", tf.reduce_prod),
            "sum": _reduction("Sum", tf.reduce_sum),
        }

    def place(self) -> Any:
        graph = tf.compat.v1.get_default_graph()
        return graph, graph._get_control_flow_context()

    def is_array(self, obj: Any) -> bool:
        # Not every variable is a tf.Variable: Keras 3's and some strategies' are not.
        return isinstance(obj, (tf.Tensor, tf.Variable)) or (
            hasattr(obj, "assign") and hasattr(obj, "dtype") and hasattr(obj, "shape")
        )

    def as_array(self, obj: Any) -> Any:
        raw = obj if isinstance(obj, tf.Tensor) else tf.convert_to_tensor(obj)
        if id(raw.dtype) not in self._known and raw.dtype.base_dtype != raw.dtype:
            # A TF 1 variable's reference, which changes when the variable does.
            raw = tf.identity(raw)
        return raw

    def constant(self, value: Any, dtype: Any) -> Any:
        if isinstance(value, np.ndarray) or (isinstance(value, float) and not _is_known(value)):
            value = np.asarray(value).astype(dtype.as_numpy_dtype)
        return tf.constant(value, dtype)

    def operand(self, value: Any, dtype: Any) -> Any:
        if not self._eager():
            return tf.constant(value, dtype)
        # An eager op converts numbers itself, and faster.
        if not isinstance(value, float):
            return value
        return float(value) if _is_known(value) else np.asarray(value, dtype.as_numpy_dtype)

    def dtype(self, dtype: Any) -> Any:
        return tf.as_dtype(dtype)

    def cast(self, raw: Any, dtype: Any) -> Any:
        if dtype == tf.bool:
            return tf.not_equal(raw, _zero(raw))
        if _cast is None:
            return tf.cast(raw, dtype)
        return _cast(x=raw, DstT=dtype)

    def shape(self, raw: Any) -> Tuple[Any, ...]:
        return tuple(raw.shape.as_list())

    def count(self, raw: Any, axes: Tuple[int, ...], dtype: Any) -> Any:
        return tf.cast(tf.reduce_prod(tf.gather(tf.shape(raw), _ints(axes))), dtype)

    def full(self, shape: Tuple[int, ...], value: Any, dtype: Any, like: Any = None) -> Any:
        if not isinstance(value, tf.Tensor):
            if value == 0:
                return tf.zeros(shape, dtype)
            value = tf.constant(value, dtype)
        return tf.fill(_ints(shape), value) if shape else value

    def zeros_like(self, raw: Any) -> Any:
        return tf.zeros_like(raw)

    def iota(self, n: int, like: Any = None) -> Any:
        return tf.range(tf.constant(n, tf.int64), dtype=tf.int64)

    def where(self, condition: Any, x1: Any, x2: Any) -> Any:
        return _where(condition, x1, x2)

    def cond(self, test: Any, true: Callable[[], Any], false: Callable[[], Any]) -> Any:
        if tf.executing_eagerly():
            return true() if bool(test) else false()
        # TensorFlow 1's takes a tuple of one apart unless it is strict.
        return tf.compat.v1.cond(test, true_fn=true, false_fn=false, strict=True)

    def getitem(self, raw: Any, key: Tuple[Any, ...]) -> Any:
        return raw[key] if key else raw

    def take(self, raw: Any, indices: Any, axis: int) -> Any:
        # Negative indices are an error here on some devices and zeros on others.
        n: Any = raw.shape.as_list()[axis]
        n = tf.shape(raw)[axis] if n is None else tf.constant(n, indices.dtype)
        n = tf.cast(n, indices.dtype)
        indices = _where(tf.less(indices, _zero(indices)), indices + n, indices)
        return tf.gather(raw, indices, axis=axis)

    def cumulative_sum(self, raw: Any, axis: int) -> Any:
        return tf.cumsum(raw, axis=axis)

    def argmax(self, raw: Any, axis: int) -> Any:
        return tf.argmax(raw, axis=axis, output_type=tf.int64)

    def argmin(self, raw: Any, axis: int) -> Any:
        return tf.argmin(raw, axis=axis, output_type=tf.int64)

    def sort(self, raw: Any, axis: int, descending: bool) -> Any:
        return tf.sort(raw, axis=axis, direction="DESCENDING" if descending else "ASCENDING")

    def argsort(self, raw: Any, axis: int, descending: bool) -> Any:
        direction = "DESCENDING" if descending else "ASCENDING"
        # Stable whatever `stable` says: it is TopK, which prefers the lower index.
        return tf.cast(tf.argsort(raw, axis=axis, direction=direction, stable=True), tf.int64)

    def matmul(self, x1: Any, x2: Any) -> Any:
        return tf.matmul(x1, x2)

    def tensordot(self, x1: Any, x2: Any, axes: Any) -> Any:
        return tf.tensordot(x1, x2, axes)

    def reshape(self, raw: Any, shape: Tuple[int, ...]) -> Any:
        return tf.reshape(raw, _ints(shape))

    def expand_dims(self, raw: Any, axis: int) -> Any:
        return tf.expand_dims(raw, axis)

    def squeeze(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return tf.squeeze(raw, axis=list(axes))

    def transpose(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return tf.transpose(raw, _ints(axes))

    def broadcast_to(self, raw: Any, shape: Tuple[int, ...]) -> Any:
        return tf.broadcast_to(raw, _ints(shape))

    def concat(self, raws: List[Any], axis: int) -> Any:
        return tf.concat(raws, axis)

    def stack(self, raws: List[Any], axis: int) -> Any:
        return tf.stack(raws, axis)

    def flip(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return tf.reverse(raw, _ints(axes))

    def roll(self, raw: Any, shift: Tuple[int, ...], axes: Tuple[int, ...]) -> Any:
        return tf.roll(raw, _ints(shift), _ints(axes))

    def tile(self, raw: Any, repetitions: Tuple[int, ...]) -> Any:
        return tf.tile(raw, _ints(repetitions))

    def diagonal(self, raw: Any) -> Any:
        return tf.linalg.diag_part(raw)

    def qr(self, raw: Any, complete: bool) -> Tuple[Any, Any]:
        q, r = tf.linalg.qr(raw, full_matrices=complete)
        return q, r

    def svd(self, raw: Any, full_matrices: bool) -> Tuple[Any, Any, Any]:
        s, u, v = tf.linalg.svd(raw, full_matrices=full_matrices)
        ndim = len(v.shape)
        return u, s, self.transpose(v, (*range(ndim - 2), ndim - 1, ndim - 2))

    def svdvals(self, raw: Any) -> Any:
        return tf.linalg.svd(raw, compute_uv=False)

    def eigh(self, raw: Any) -> Tuple[Any, Any]:
        values, vectors = tf.linalg.eigh(raw)
        return values, vectors

    def inv(self, raw: Any) -> Any:
        return tf.linalg.inv(raw)

    def det(self, raw: Any) -> Any:
        return tf.linalg.det(raw)

    def solve(self, x1: Any, x2: Any) -> Any:
        return tf.linalg.solve(x1, x2)

    def cholesky(self, raw: Any) -> Any:
        return tf.linalg.cholesky(raw)


#: The one there is.
BACKEND = TensorFlowBackend()

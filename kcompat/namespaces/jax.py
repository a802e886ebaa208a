"""The JAX backend: 0.4.20 and later, op by op and under `jit`, `vmap`, `grad` and loops.

JAX has 64-bit types only where its `jax_enable_x64` is set, which is a setting of the program's and
not touched here. Weak scalars are computed in float64 all the same: JAX allows that for the time of
a context, under `jit` too.

- `namespace("jax")`: `xp.int64` is int32, the one integer that is always there, so that a rule's
  dtypes don't depend on the setting; an integer that does not fit raises OverflowError.
  `xp.float64` raises unless the setting is on.
- `namespace("jax", "float64")`: needs the setting; all dtypes are what they are called.

Errors that depend on values can't be raised under `jit`: what `take` finds beyond the end is NaN
(the least of ints, true), and so is a factor of a matrix that has none.

Older releases (0.6.2, for one) can't give a gradient with respect to a weak scalar, and the oldest
(0.4.20) can't compile one that is traced in a loop (`lax.fori_loop`): they raise.
"""

# ruff: noqa: D102 - the methods are those that `Backend` documents

from __future__ import annotations

import contextlib
from typing import Any, Callable, ContextManager, Dict, List, Tuple

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np

from .base import Backend

__all__ = ["BACKEND", "JaxBackend"]

_FLOAT64 = np.dtype("float64")
_NO_FLOAT64 = (
    "JAX has no float64 here: its setting jax_enable_x64 is off. Set it at the start of the program, with "
    "jax.config.update('jax_enable_x64', True) or JAX_ENABLE_X64=1 in the environment, or compute in float32."
)

# Some products of float32 are rounded to fewer bits on GPU and TPU unless told.
_PRECISION = jax.lax.Precision.HIGHEST

# Older releases have it under another name, which the newer ones have dropped.
_enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64


def _has_float64() -> bool:
    """Whether 64-bit types are on in this thread, for good or in a context."""
    return jax.dtypes.canonicalize_dtype(_FLOAT64) == _FLOAT64


def _rounds_constants() -> bool:
    """Whether a float64 constant in a traced function is made a float32 when the context is over.

    So in older releases: a function is compiled after it has been traced, with the program's setting.
    """

    def double(x: Any) -> Any:
        with _enable_x64(True):
            made = jax.lax.convert_element_type(x, _FLOAT64) * np.float64(2)
            return jax.lax.convert_element_type(made, np.dtype("float32"))

    try:
        with _enable_x64(False):
            jax.jit(double).lower(np.float32(1))
    except ValueError:
        return True
    return False


def _floor_divide(x1: Any, x2: Any) -> Any:
    # JAX's own corrects for the remainder, as NumPy's does (1.0 // 0.1 is 9.0).
    if jnp.issubdtype(jnp.result_type(x1, x2), jnp.floating):
        return jnp.floor(jnp.true_divide(x1, x2))
    return jnp.floor_divide(x1, x2)


def _sum_of_singles(value: Any) -> Any:
    """A float64 scalar with no float64 constant: three of float32 hold all of its bits."""
    made: Any = None
    rest = np.float64(value)
    with np.errstate(all="ignore"):
        for _ in range(3):
            single = np.float32(rest)
            part = jax.lax.convert_element_type(single, _FLOAT64)
            made = part if made is None else made + part
            rest = rest - np.float64(single)
            if rest == 0 or not np.isfinite(rest):
                break
    return made


def _without_constants(number: Callable[[float], Any]) -> Dict[str, Callable[..., Any]]:
    """For float64 scalars where constants are rounded: the functions that have some in JAX.

    `number` makes one that is not.
    """

    def trunc(x: Any) -> Any:
        return jnp.where(x < number(0), jnp.ceil(x), jnp.floor(x))

    def remainder(x1: Any, x2: Any) -> Any:
        made, zero = jax.lax.rem(x1, x2), number(0)
        return jnp.where((made != zero) & ((made < zero) != (x2 < zero)), made + x2, made)

    def power(x1: Any, x2: Any) -> Any:
        size = jnp.exp(x2 * jnp.log(jnp.abs(x1)))
        size = jnp.where((x2 == number(0)) | (x1 == number(1)), number(1), size)
        odd = remainder(x2, number(2)) == number(1)
        below = jnp.where(jnp.floor(x2) == x2, jnp.where(odd, -size, size), number(np.nan))
        return jnp.where(x1 < number(0), below, size)

    def signbit(x: Any) -> Any:
        zero = number(0)
        return (x < zero) | ((x == zero) & (number(1) / x < zero))

    def copysign(x1: Any, x2: Any) -> Any:
        return jnp.where(signbit(x2), -jnp.abs(x1), jnp.abs(x1))

    def hypot(x1: Any, x2: Any) -> Any:
        long = jnp.maximum(jnp.abs(x1), jnp.abs(x2))
        short = jnp.minimum(jnp.abs(x1), jnp.abs(x2))
        # Both may be 0 or infinite, and the ratio NaN.
        ratio = jnp.where(long == short, number(1), short / long)
        return long * jnp.sqrt(number(1) + ratio * ratio)

    return {
        "acos": lambda x: jnp.arctan2(jnp.sqrt((number(1) - x) * (number(1) + x)), x),
        "copysign": copysign,
        "hypot": hypot,
        "isinf": lambda x: jnp.abs(x) == number(np.inf),
        "log10": lambda x: jnp.log(x) / number(np.log(10)),
        "log2": lambda x: jnp.log(x) / number(np.log(2)),
        "pow": power,
        "reciprocal": lambda x: number(1) / x,
        "remainder": remainder,
        "signbit": signbit,
        "trunc": trunc,
    }


def _by_dtype(double: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *raws: (double if raws[0].dtype == _FLOAT64 else other)(*raws)


_SAME = (
    "abs negative positive square sign sqrt reciprocal exp expm1 log log1p log2 log10 sin cos tan "
    "sinh cosh tanh floor ceil trunc isfinite isinf isnan signbit logical_not add subtract "
    "multiply remainder maximum minimum hypot copysign equal not_equal less less_equal greater "
    "greater_equal logical_and logical_or logical_xor"
)
_RENAMED: Dict[str, Callable[..., Any]] = {
    "acos": jnp.arccos,
    "asin": jnp.arcsin,
    "atan": jnp.arctan,
    "atan2": jnp.arctan2,
    "divide": jnp.true_divide,
    "floor_divide": _floor_divide,
    "pow": jnp.power,
    "round": jnp.rint,
}


class JaxBackend(Backend):
    """JAX with the dtypes of one compute dtype; no op needs a value, so all of it can be traced."""

    name = "jax"

    def __init__(self, compute_dtype: str = "float32") -> None:
        """Collect the functions of this JAX."""
        self.dtypes = {n: np.dtype(n) for n in ("bool", "int32", "int64", "float32", "float64")}
        if compute_dtype == "float32":
            self.dtypes["int64"] = self.dtypes["int32"]
        self.weak_dtype = _FLOAT64
        self._int64 = self.dtypes["int64"]
        self._rounds_constants = _rounds_constants()
        self.ops = {name: getattr(jnp, name) for name in _SAME.split()}
        self.ops.update(_RENAMED)
        if self._rounds_constants and compute_dtype == "float32":
            for name, function in _without_constants(lambda x: self.constant(x, _FLOAT64)).items():
                self.ops[name] = _by_dtype(function, self.ops[name])

        def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
            return lambda raw, axes, keepdims: function(raw, axis=axes, keepdims=keepdims)

        def accumulation(function: Callable[..., Any]) -> Callable[..., Any]:
            return lambda raw, axes, keepdims: function(raw, axis=axes, keepdims=keepdims, dtype=raw.dtype)

        self.reductions = {
            "all": reduction(jnp.all),
            "any": reduction(jnp.any),
            "max": reduction(jnp.max),
            "mean": accumulation(jnp.mean),
            "min": reduction(jnp.min),
            "prod": accumulation(jnp.prod),
            "sum": accumulation(jnp.sum),
        }

    def computing_in(self, dtype: str) -> JaxBackend:
        if dtype == "float32":
            return self
        if not _has_float64():
            raise ValueError(_NO_FLOAT64)
        return JaxBackend(dtype)

    def wide(self) -> ContextManager[Any]:
        return contextlib.nullcontext() if _has_float64() else _enable_x64(True)

    def is_array(self, obj: Any) -> bool:
        # Keras' variables are neither arrays nor a class of JAX's.
        return isinstance(obj, jax.Array) or (
            hasattr(obj, "assign") and isinstance(getattr(obj, "value", None), jax.Array)
        )

    def as_array(self, obj: Any) -> Any:
        if isinstance(obj, (np.ndarray, np.generic)):
            return self.constant(obj, self._int64 if obj.dtype == np.int64 else obj.dtype)
        raw = obj if isinstance(obj, jax.Array) else obj.value
        if raw.dtype == _FLOAT64 and not _has_float64():
            raise ValueError(_NO_FLOAT64)
        if raw.weak_type:
            # JAX's own weak types would let this array's dtype be changed by what it meets.
            raw = jax.lax.convert_element_type(raw, raw.dtype)
        return raw

    def constant(self, value: Any, dtype: Any) -> Any:
        if self._rounds_constants and dtype == _FLOAT64 and np.ndim(value) == 0 and _has_float64():
            return _sum_of_singles(value)
        with np.errstate(all="ignore"):
            known = np.asarray(value)
            made = jnp.asarray(known.astype(dtype))
        if dtype == np.int32 and known.dtype == np.int64 and np.any(known != known.astype(dtype)):
            raise OverflowError("an int64 beyond int32, which is what xp.int64 is on JAX: %r" % (value,))
        if made.dtype != dtype:
            raise ValueError(_NO_FLOAT64)
        return made

    def operand(self, value: Any, dtype: Any) -> Any:
        # An array of NumPy's is as good for JAX, and made much faster.
        if self._rounds_constants and dtype == _FLOAT64:
            return self.constant(value, dtype)
        with np.errstate(all="ignore"):
            return np.asarray(value, dtype)

    def dtype(self, dtype: Any) -> Any:
        found = np.dtype(dtype)
        if found == _FLOAT64 and not _has_float64():
            raise ValueError(_NO_FLOAT64)
        return self._int64 if found == np.int64 else found

    def cast(self, raw: Any, dtype: Any) -> Any:
        return jax.lax.convert_element_type(raw, dtype)

    def shape(self, raw: Any) -> Tuple[Any, ...]:
        return raw.shape

    def full(self, shape: Tuple[int, ...], value: Any, dtype: Any, like: Any = None) -> Any:
        if not isinstance(value, jax.Array):
            value = self.constant(value, dtype)
        return jnp.broadcast_to(value, shape)

    def iota(self, n: int, like: Any = None) -> Any:
        return jnp.arange(n, dtype=self._int64)

    def where(self, condition: Any, x1: Any, x2: Any) -> Any:
        return jnp.where(condition, x1, x2)

    def cond(self, test: Any, true: Callable[[], Any], false: Callable[[], Any]) -> Any:
        return jax.lax.cond(test, true, false)

    def getitem(self, raw: Any, key: Tuple[Any, ...]) -> Any:
        return raw[key]

    def take(self, raw: Any, indices: Any, axis: int) -> Any:
        return jnp.take(raw, indices, axis=axis, mode="fill")

    def cumulative_sum(self, raw: Any, axis: int) -> Any:
        return jnp.cumsum(raw, axis=axis, dtype=raw.dtype)

    def argmax(self, raw: Any, axis: int) -> Any:
        return self.cast(jnp.argmax(raw, axis=axis), self._int64)

    def argmin(self, raw: Any, axis: int) -> Any:
        return self.cast(jnp.argmin(raw, axis=axis), self._int64)

    def sort(self, raw: Any, axis: int, descending: bool) -> Any:
        made = jnp.sort(raw, axis=axis)
        return jnp.flip(made, axis) if descending else made

    def argsort(self, raw: Any, axis: int, descending: bool) -> Any:
        # Stable by default. Reversed before and after, so that equal elements keep their order.
        if not descending:
            return self.cast(jnp.argsort(raw, axis=axis), self._int64)
        made = jnp.argsort(jnp.flip(raw, axis), axis=axis)
        return self.cast(jnp.flip(raw.shape[axis] - 1 - made, axis), self._int64)

    def matmul(self, x1: Any, x2: Any) -> Any:
        return jnp.matmul(x1, x2, precision=_PRECISION)

    def tensordot(self, x1: Any, x2: Any, axes: Any) -> Any:
        return jnp.tensordot(x1, x2, axes, precision=_PRECISION)

    def reshape(self, raw: Any, shape: Tuple[int, ...]) -> Any:
        return jnp.reshape(raw, shape)

    def expand_dims(self, raw: Any, axis: int) -> Any:
        return jnp.expand_dims(raw, axis)

    def squeeze(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return jnp.squeeze(raw, axes)

    def transpose(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return jnp.transpose(raw, axes)

    def broadcast_to(self, raw: Any, shape: Tuple[int, ...]) -> Any:
        return jnp.broadcast_to(raw, shape)

    def concat(self, raws: List[Any], axis: int) -> Any:
        return jnp.concatenate(raws, axis)

    def stack(self, raws: List[Any], axis: int) -> Any:
        return jnp.stack(raws, axis)

    def flip(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return jnp.flip(raw, axes)

    def roll(self, raw: Any, shift: Tuple[int, ...], axes: Tuple[int, ...]) -> Any:
        return jnp.roll(raw, shift, axes)

    def tile(self, raw: Any, repetitions: Tuple[int, ...]) -> Any:
        return jnp.tile(raw, repetitions)

    def diagonal(self, raw: Any) -> Any:
        return jnp.diagonal(raw, axis1=-2, axis2=-1)

    def qr(self, raw: Any, complete: bool) -> Tuple[Any, Any]:
        q, r = jnp.linalg.qr(raw, mode="complete" if complete else "reduced")
        return q, r

    def svd(self, raw: Any, full_matrices: bool) -> Tuple[Any, Any, Any]:
        u, s, vh = jnp.linalg.svd(raw, full_matrices=full_matrices)
        return u, s, vh

    def svdvals(self, raw: Any) -> Any:
        return jnp.linalg.svd(raw, compute_uv=False)

    def eigh(self, raw: Any) -> Tuple[Any, Any]:
        # Of the lower triangle, as everywhere else; JAX's default is the mean of both.
        values, vectors = jnp.linalg.eigh(raw, symmetrize_input=False)
        return values, vectors

    def inv(self, raw: Any) -> Any:
        return jnp.linalg.inv(raw)

    def det(self, raw: Any) -> Any:
        return jnp.linalg.det(raw)

    def solve(self, x1: Any, x2: Any) -> Any:
        return jnp.linalg.solve(x1, x2)

    def cholesky(self, raw: Any) -> Any:
        return jax.lax.linalg.cholesky(raw, symmetrize_input=False)


#: The one for float32.
BACKEND = JaxBackend()

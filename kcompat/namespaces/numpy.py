"""The NumPy backend: dry runs of rules, the oracle, and host arithmetic of weak scalars."""

# ruff: noqa: D102 - the methods are those that `Backend` documents

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from .base import Backend

__all__ = ["BACKEND", "NumpyBackend"]


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without floating-point warnings: no other backend has any, and rules run unchanged."""

    def call(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args)

    return call


def _floor_divide(x1: Any, x2: Any) -> Any:
    # NumPy's own corrects for the remainder (1.0 // 0.1 is 9.0); no other backend does.
    if x1.dtype.kind == "f":
        return np.floor(np.true_divide(x1, x2))
    return np.floor_divide(x1, x2)


def _mean(raw: Any, axes: Tuple[int, ...], keepdims: bool) -> Any:
    total = raw.sum(axis=axes, keepdims=keepdims, dtype=raw.dtype)
    count = 1
    for axis in axes:
        count *= raw.shape[axis]
    return np.true_divide(total, raw.dtype.type(count))


_SAME = (
    "abs negative positive square sign sqrt reciprocal exp expm1 log log1p log2 log10 sin cos tan "
    "sinh cosh tanh floor ceil trunc isfinite isinf isnan signbit logical_not add subtract "
    "multiply remainder maximum minimum hypot copysign equal not_equal less less_equal greater "
    "greater_equal logical_and logical_or logical_xor"
)
_RENAMED: Dict[str, Callable[..., Any]] = {
    "acos": np.arccos,
    "asin": np.arcsin,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "divide": np.true_divide,
    "floor_divide": _floor_divide,
    "pow": np.power,
    "round": np.rint,
}


class NumpyBackend(Backend):
    """NumPy 1.16 and later. 0-d arrays may be NumPy scalars on the way."""

    name = "numpy"

    def __init__(self) -> None:
        """Collect the functions of this NumPy."""
        self.dtypes = {n: np.dtype(n) for n in ("bool", "int32", "int64", "float32", "float64")}
        self.weak_dtype = self.dtypes["float64"]
        self.ops = {name: _quiet(getattr(np, name)) for name in _SAME.split()}
        self.ops.update((name, _quiet(function)) for name, function in _RENAMED.items())

        def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(raw: Any, axes: Tuple[int, ...], keepdims: bool) -> Any:
                return function(raw, axis=axes, keepdims=keepdims)

            return _quiet(call)

        def accumulation(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(raw: Any, axes: Tuple[int, ...], keepdims: bool) -> Any:
                return function(raw, axis=axes, keepdims=keepdims, dtype=raw.dtype)

            return _quiet(call)

        self.reductions = {
            "all": reduction(np.all),
            "any": reduction(np.any),
            "max": reduction(np.amax),
            "mean": _quiet(_mean),
            "min": reduction(np.amin),
            "prod": accumulation(np.prod),
            "sum": accumulation(np.sum),
        }

    def is_array(self, obj: Any) -> bool:
        return isinstance(obj, np.ndarray)

    def as_array(self, obj: Any) -> Any:
        array = np.asarray(obj)
        # The dtypes are compared by identity, and a file's or another machine's are not the same.
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))

    def constant(self, value: Any, dtype: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(value, dtype)

    def dtype(self, dtype: Any) -> Any:
        return None if dtype is None else np.dtype(dtype)

    def cast(self, raw: Any, dtype: Any) -> Any:
        with np.errstate(all="ignore"):
            return raw.astype(dtype)

    def shape(self, raw: Any) -> Tuple[Any, ...]:
        return raw.shape

    def full(self, shape: Tuple[int, ...], value: Any, dtype: Any, like: Any = None) -> Any:
        return np.full(shape, value, dtype)

    def iota(self, n: int, like: Any = None) -> Any:
        return np.arange(n, dtype=np.int64)

    def where(self, condition: Any, x1: Any, x2: Any) -> Any:
        return np.where(condition, x1, x2)

    def cond(self, test: Any, true: Callable[[], Any], false: Callable[[], Any]) -> Any:
        return true() if bool(test) else false()

    def getitem(self, raw: Any, key: Tuple[Any, ...]) -> Any:
        return raw[key]

    def take(self, raw: Any, indices: Any, axis: int) -> Any:
        return np.take(raw, indices, axis=axis)

    def cumulative_sum(self, raw: Any, axis: int) -> Any:
        return np.cumsum(raw, axis=axis, dtype=raw.dtype)

    def argmax(self, raw: Any, axis: int) -> Any:
        return np.argmax(raw, axis=axis).astype(np.int64)

    def argmin(self, raw: Any, axis: int) -> Any:
        return np.argmin(raw, axis=axis).astype(np.int64)

    def sort(self, raw: Any, axis: int, descending: bool) -> Any:
        made = np.sort(raw, axis=axis)
        return np.flip(made, axis) if descending else made

    def argsort(self, raw: Any, axis: int, descending: bool) -> Any:
        if not descending:
            return np.argsort(raw, axis=axis, kind="stable").astype(np.int64)
        # Reversed before and after, so that equal elements keep their order.
        made = np.argsort(np.flip(raw, axis), axis=axis, kind="stable")
        return np.flip(raw.shape[axis] - 1 - made, axis).astype(np.int64)

    def matmul(self, x1: Any, x2: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.matmul(x1, x2)

    def tensordot(self, x1: Any, x2: Any, axes: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.tensordot(x1, x2, axes)

    def reshape(self, raw: Any, shape: Tuple[int, ...]) -> Any:
        return np.reshape(raw, shape)

    def expand_dims(self, raw: Any, axis: int) -> Any:
        return np.expand_dims(raw, axis)

    def squeeze(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return np.squeeze(raw, axes)

    def transpose(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return np.transpose(raw, axes)

    def broadcast_to(self, raw: Any, shape: Tuple[int, ...]) -> Any:
        return np.broadcast_to(raw, shape)

    def concat(self, raws: List[Any], axis: int) -> Any:
        return np.concatenate(raws, axis)

    def stack(self, raws: List[Any], axis: int) -> Any:
        return np.stack(raws, axis)

    def flip(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return np.flip(raw, axes)

    def roll(self, raw: Any, shift: Tuple[int, ...], axes: Tuple[int, ...]) -> Any:
        return np.roll(raw, shift, axes)

    def tile(self, raw: Any, repetitions: Tuple[int, ...]) -> Any:
        return np.tile(raw, repetitions)

    def diagonal(self, raw: Any) -> Any:
        return np.diagonal(raw, axis1=-2, axis2=-1)

    def qr(self, raw: Any, complete: bool) -> Tuple[Any, Any]:
        mode: Any = "complete" if complete else "reduced"
        if raw.ndim == 2:
            q, r = np.linalg.qr(raw, mode)
            return q, r
        # NumPy before 1.22 has no batches here.
        batch = raw.shape[:-2]
        m, n = raw.shape[-2:]
        k = m if complete else min(m, n)
        q, r = np.empty((*batch, m, k), raw.dtype), np.empty((*batch, k, n), raw.dtype)
        for index in np.ndindex(*batch):
            q[index], r[index] = np.linalg.qr(raw[index], mode)
        return q, r

    def svd(self, raw: Any, full_matrices: bool) -> Tuple[Any, Any, Any]:
        return tuple(np.linalg.svd(raw, full_matrices=full_matrices))  # type: ignore[return-value]

    def svdvals(self, raw: Any) -> Any:
        return np.linalg.svd(raw, compute_uv=False)

    def eigh(self, raw: Any) -> Tuple[Any, Any]:
        return tuple(np.linalg.eigh(raw))  # type: ignore[return-value]

    def inv(self, raw: Any) -> Any:
        return np.linalg.inv(raw)

    def det(self, raw: Any) -> Any:
        return np.linalg.det(raw)

    def solve(self, x1: Any, x2: Any) -> Any:
        return np.linalg.solve(x1, x2)

    def cholesky(self, raw: Any) -> Any:
        return np.linalg.cholesky(raw)


#: The one there is.
BACKEND = NumpyBackend()

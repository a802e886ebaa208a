"""The PyTorch backend: 2.1 and later, op by op, on any device.

Results are on the device of their operands. What is made of numbers alone (`xp.zeros`, `xp.asarray`,
`xp.arange` ...) is on PyTorch's default device: whoever runs a rule for parameters elsewhere does so
in `with torch.device(...)`. What is made like another array (`xp.zeros_like`) is on that one's.

Nothing that was given is written to, but as everywhere in PyTorch a result may share the memory of
an argument (`xp.reshape`, indexing): copy it before either is changed in place.
"""

# ruff: noqa: D102 - the methods are those that `Backend` documents

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch

from .base import Backend

__all__ = ["BACKEND", "TorchBackend"]


def _floor_divide(x1: Any, x2: Any) -> Any:
    # PyTorch's own corrects for the remainder, as NumPy's does (1.0 // 0.1 is 9.0).
    if x1.dtype.is_floating_point:
        return torch.floor(torch.div(x1, x2))
    return torch.floor_divide(x1, x2)


def _sign(x: Any) -> Any:
    # PyTorch's is 0 of NaN, which would hide it.
    made = torch.sign(x)
    return torch.where(torch.isnan(x), x, made) if x.dtype.is_floating_point else made


_SAME = (
    "abs negative positive square sqrt reciprocal exp expm1 log log1p log2 log10 sin cos tan acos "
    "asin atan atan2 sinh cosh tanh floor ceil trunc round isfinite isinf isnan signbit add subtract "
    "multiply divide remainder pow maximum minimum hypot copysign not_equal less less_equal greater "
    "greater_equal logical_and logical_or logical_not logical_xor"
)
_RENAMED: Dict[str, Callable[..., Any]] = {
    "equal": torch.eq,
    "floor_divide": _floor_divide,
    "sign": _sign,
}


def _accumulation(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(raw: Any, axes: Tuple[int, ...], keepdims: bool) -> Any:
        # No axes are all of them to PyTorch.
        return function(raw, dim=axes, keepdim=keepdims, dtype=raw.dtype) if axes else raw

    return call


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda raw, axes, keepdims: function(raw, dim=axes, keepdim=keepdims) if axes else raw


def _one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """For functions that take one axis only, some of them in old releases only."""

    def call(raw: Any, axes: Tuple[int, ...], keepdims: bool) -> Any:
        dtype = raw.dtype
        for axis in sorted(axes, reverse=True):
            raw = function(raw, dim=axis, keepdim=keepdims)
        return raw.to(dtype)

    return call


def _prod(raw: Any, dim: int, keepdim: bool) -> Any:
    # An int32's would be an int64.
    return torch.prod(raw, dim=dim, keepdim=keepdim, dtype=raw.dtype)


def _forwards(key: Tuple[Any, ...], shape: Tuple[int, ...]) -> Tuple[Tuple[Any, ...], List[int]]:
    """An index without negative steps, which PyTorch refuses, and the axes of its result to flip."""
    used = sum(1 for item in key if item is not None and item is not Ellipsis)
    axis = made = 0
    items: List[Any] = []
    flips = []
    for item in key:
        if isinstance(item, slice) and item.step is not None and item.step < 0:
            taken = range(*item.indices(shape[axis]))
            item = slice(taken[-1], taken[0] + 1, -item.step) if taken else slice(0, 0)
            flips.append(made)
        items.append(item)
        skipped = len(shape) - used if item is Ellipsis else 1
        axis += skipped if item is not None else 0
        made += skipped if not isinstance(item, int) else 0
    return tuple(items), flips


class TorchBackend(Backend):
    """PyTorch, with and without gradients being recorded."""

    name = "torch"

    def __init__(self) -> None:
        """Collect the functions of this PyTorch."""
        self.dtypes = {n: getattr(torch, n) for n in ("bool", "int32", "int64", "float32", "float64")}
        self.weak_dtype = torch.float64
        self.ops = {name: getattr(torch, name) for name in _SAME.split()}
        self.ops.update(_RENAMED)
        self.reductions = {
            "all": _one_by_one(torch.all),
            "any": _one_by_one(torch.any),
            "max": _reduction(torch.amax),
            "mean": _accumulation(torch.mean),
            "min": _reduction(torch.amin),
            "prod": _one_by_one(_prod),
            "sum": _accumulation(torch.sum),
        }

    def is_array(self, obj: Any) -> bool:
        # Keras' variables are not tensors.
        return isinstance(obj, torch.Tensor) or (
            hasattr(obj, "assign") and isinstance(getattr(obj, "value", None), torch.Tensor)
        )

    def as_array(self, obj: Any) -> Any:
        if isinstance(obj, torch.Tensor):
            return obj
        if isinstance(obj, (np.ndarray, np.generic)):
            return self.constant(obj, self.dtype(obj.dtype))
        return obj.value

    def constant(self, value: Any, dtype: Any) -> Any:
        if isinstance(value, np.ndarray):
            # A copy, in this machine's byte order: it must not change when the NumPy array does.
            return torch.tensor(np.array(value, value.dtype.newbyteorder("="), order="C"), dtype=dtype)
        return torch.tensor(value, dtype=dtype)

    def operand(self, value: Any, dtype: Any) -> Any:
        # 0-d on the CPU, it is taken as a number by arrays on every device.
        return torch.tensor(value, dtype=dtype, device="cpu")

    def dtype(self, dtype: Any) -> Any:
        if isinstance(dtype, torch.dtype):
            return dtype
        return getattr(torch, np.dtype(dtype).name, None)

    def dtype_name(self, dtype: Any) -> str:
        return str(dtype).rpartition(".")[2]

    def cast(self, raw: Any, dtype: Any) -> Any:
        if dtype == torch.float64 and raw.device.type == "mps":
            # Which has no float64; a weak scalar can as well be on the CPU.
            raw = raw.cpu()
        return raw.to(dtype)

    def shape(self, raw: Any) -> Tuple[Any, ...]:
        return tuple(raw.shape)

    def full(self, shape: Tuple[int, ...], value: Any, dtype: Any, like: Any = None) -> Any:
        if not isinstance(value, torch.Tensor):
            # A tensor, because full() refuses a number too large for float32, which is infinite.
            value = torch.tensor(value, dtype=dtype, device=None if like is None else like.device)
        elif like is not None:
            value = value.to(like.device)
        return value.expand(shape).clone()

    def iota(self, n: int, like: Any = None) -> Any:
        return torch.arange(n, dtype=torch.int64, device=None if like is None else like.device)

    def where(self, condition: Any, x1: Any, x2: Any) -> Any:
        return torch.where(condition, x1, x2)

    def cond(self, test: Any, true: Callable[[], Any], false: Callable[[], Any]) -> Any:
        # On the device that has no values, either branch tells the shapes.
        return true() if test.device.type == "meta" or bool(test) else false()

    def getitem(self, raw: Any, key: Tuple[Any, ...]) -> Any:
        key, flips = _forwards(key, raw.shape)
        return torch.flip(raw[key], flips) if flips else raw[key]

    def take(self, raw: Any, indices: Any, axis: int) -> Any:
        indices = indices.to(raw.device)
        n = raw.shape[axis]
        flat = torch.where(indices < 0, indices + n, indices).reshape(-1)
        shape = (*raw.shape[:axis], *indices.shape, *raw.shape[axis + 1 :])
        return torch.index_select(raw, axis, flat).reshape(shape)

    def cumulative_sum(self, raw: Any, axis: int) -> Any:
        return torch.cumsum(raw, axis, dtype=raw.dtype)

    def argmax(self, raw: Any, axis: int) -> Any:
        # The first where equal, as its documentation says since 1.7.
        return torch.argmax(raw, dim=axis)

    def argmin(self, raw: Any, axis: int) -> Any:
        return torch.argmin(raw, dim=axis)

    def sort(self, raw: Any, axis: int, descending: bool) -> Any:
        return torch.sort(raw, dim=axis, descending=descending, stable=True)[0]

    def argsort(self, raw: Any, axis: int, descending: bool) -> Any:
        return torch.sort(raw, dim=axis, descending=descending, stable=True)[1]

    def matmul(self, x1: Any, x2: Any) -> Any:
        return torch.matmul(x1, x2)

    def tensordot(self, x1: Any, x2: Any, axes: Any) -> Any:
        return torch.tensordot(x1, x2, dims=axes)

    def reshape(self, raw: Any, shape: Tuple[int, ...]) -> Any:
        return torch.reshape(raw, shape)

    def expand_dims(self, raw: Any, axis: int) -> Any:
        return torch.unsqueeze(raw, axis)

    def squeeze(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return torch.squeeze(raw, axes)

    def transpose(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return torch.permute(raw, axes)

    def broadcast_to(self, raw: Any, shape: Tuple[int, ...]) -> Any:
        return torch.broadcast_to(raw, shape)

    def concat(self, raws: List[Any], axis: int) -> Any:
        return torch.cat(raws, axis)

    def stack(self, raws: List[Any], axis: int) -> Any:
        return torch.stack(raws, axis)

    def flip(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        return torch.flip(raw, axes)

    def roll(self, raw: Any, shift: Tuple[int, ...], axes: Tuple[int, ...]) -> Any:
        return torch.roll(raw, shift, axes)

    def tile(self, raw: Any, repetitions: Tuple[int, ...]) -> Any:
        return torch.tile(raw, repetitions)

    def diagonal(self, raw: Any) -> Any:
        return torch.diagonal(raw, dim1=-2, dim2=-1)

    def qr(self, raw: Any, complete: bool) -> Tuple[Any, Any]:
        q, r = torch.linalg.qr(raw, mode="complete" if complete else "reduced")
        return q, r

    def svd(self, raw: Any, full_matrices: bool) -> Tuple[Any, Any, Any]:
        u, s, vh = torch.linalg.svd(raw, full_matrices=full_matrices)
        return u, s, vh

    def svdvals(self, raw: Any) -> Any:
        return torch.linalg.svdvals(raw)

    def eigh(self, raw: Any) -> Tuple[Any, Any]:
        values, vectors = torch.linalg.eigh(raw)
        return values, vectors

    def inv(self, raw: Any) -> Any:
        return torch.linalg.inv(raw)

    def det(self, raw: Any) -> Any:
        return torch.linalg.det(raw)

    def solve(self, x1: Any, x2: Any) -> Any:
        return torch.linalg.solve(x1, x2)

    def cholesky(self, raw: Any) -> Any:
        return torch.linalg.cholesky(raw)


#: The one there is.
BACKEND = TorchBackend()

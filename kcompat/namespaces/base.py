"""`Namespace`, everything `xp` can do, written once over the few raw functions of a `Backend`."""

from __future__ import annotations

import difflib
import math
import operator
import threading
from contextlib import contextmanager, nullcontext
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    Iterator,
    List,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from . import LINALG_NAMES, NAMES
from .array import Array

__all__ = [
    "Backend",
    "EighResult",
    "FInfo",
    "Linalg",
    "Namespace",
    "QRResult",
    "SVDResult",
    "shared_scalars",
]

Axis = Union[None, int, Tuple[int, ...]]
_Branch = Callable[[], Tuple[Any, ...]]
Shape = Union[int, Sequence[int]]

# What people type who know NumPy or TensorFlow, where spelling alone would not find it.
_KNOWN_AS = {
    "absolute": "abs",
    "amax": "max",
    "amin": "min",
    "arccos": "acos",
    "arcsin": "asin",
    "arctan": "atan",
    "arctan2": "atan2",
    "array": "asarray",
    "cast": "astype",
    "clip_by_value": "clip",
    "concatenate": "concat",
    "constant": "asarray",
    "convert_to_tensor": "asarray",
    "cumsum": "cumulative_sum",
    "dot": "matmul",
    "einsum": "tensordot",
    "fmax": "maximum",
    "fmin": "minimum",
    "gather": "take",
    "mod": "remainder",
    "norm": "linalg.vector_norm",
    "power": "pow",
    "range": "arange",
    "reduce_all": "all",
    "reduce_any": "any",
    "reduce_max": "max",
    "reduce_mean": "mean",
    "reduce_min": "min",
    "reduce_prod": "prod",
    "reduce_sum": "sum",
    "rsqrt": "sqrt",
    "swapaxes": "permute_dims",
    "tensor": "asarray",
    "transpose": "permute_dims",
    "true_divide": "divide",
    "unsqueeze": "expand_dims",
}


class FInfo(NamedTuple):
    """The limits of a floating dtype, as Python numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: Any


class QRResult(NamedTuple):
    """The factors of `xp.linalg.qr`."""

    Q: Array
    R: Array


class SVDResult(NamedTuple):
    """The factors of `xp.linalg.svd`: `x = U @ diag(S) @ Vh`."""

    U: Array
    S: Array
    Vh: Array


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and the eigenvectors as columns."""

    eigenvalues: Array
    eigenvectors: Array


class Backend:
    """The raw functions a backend supplies; a new backend is a subclass of this, in one file.

    All of them take and give the backend's own arrays, with arguments already checked and
    normalised: axes are tuples of non-negative ints, dtypes are the backend's, operands of one
    operation have one dtype. Shapes may have None for a dimension a graph does not know.
    """

    #: The backend's name, as `namespace()` takes it.
    name: str
    #: Name -> dtype object of "bool", "int32", "int64", "float32", "float64".
    dtypes: Dict[str, Any]
    #: The dtype that weak scalars are computed in: the widest floating one there is.
    weak_dtype: Any
    #: Name -> raw elementwise function: every name in `Namespace` made by `_unary` and `_binary`.
    ops: Dict[str, Callable[..., Any]]
    #: Name -> `f(raw, axes, keepdims)`: sum prod max min mean any all. Dtypes stay as they are.
    reductions: Dict[str, Callable[..., Any]]

    def computing_in(self, dtype: str) -> Backend:
        """The backend for a compute dtype; ValueError, saying what to do, where it can't be had."""
        return self

    def wide(self) -> ContextManager[Any]:
        """The context that whatever has or makes values of `weak_dtype` runs in."""
        return _NOTHING_NEEDED

    def place(self) -> Any:
        """Where what is computed now may be used: in a graph, only there."""
        return None

    def is_array(self, obj: Any) -> bool:
        """Whether `obj` is an array or a variable of this backend."""
        raise NotImplementedError

    def as_array(self, obj: Any) -> Any:
        """`obj`, an array, a variable or a NumPy array, as a raw array."""
        raise NotImplementedError

    def constant(self, value: Any, dtype: Any) -> Any:
        """A raw array of a Python number or NumPy array."""
        raise NotImplementedError

    def operand(self, value: Any, dtype: Any) -> Any:
        """A Python or NumPy number as one operand of a binary op; the other is of `dtype`."""
        return self.constant(value, dtype)

    def dtype(self, dtype: Any) -> Any:
        """A dtype, or its name, or a NumPy dtype, as the backend's dtype object (any error)."""
        raise NotImplementedError

    def dtype_name(self, dtype: Any) -> str:
        """A dtype's NumPy name."""
        return str(dtype.name)

    def cast(self, raw: Any, dtype: Any) -> Any:
        """Convert; floats are truncated to ints, and numbers are true where not zero."""
        raise NotImplementedError

    def shape(self, raw: Any) -> Tuple[Any, ...]:
        """A plain tuple of ints and None."""
        raise NotImplementedError

    def count(self, raw: Any, axes: Tuple[int, ...], dtype: Any) -> Any:
        """The number of elements along axes, a raw scalar; called where a dim is not known."""
        raise NotImplementedError

    def full(self, shape: Tuple[int, ...], value: Any, dtype: Any, like: Any = None) -> Any:
        """An array of one value: a Python number, or a raw scalar of `dtype`.

        On the device of `like`, a raw array, where the backend's arrays know devices.
        """
        raise NotImplementedError

    def zeros_like(self, raw: Any) -> Any:
        """Zeros; called only where the shape is not known."""
        raise NotImplementedError

    def iota(self, n: int, like: Any = None) -> Any:
        """int64 0 to n - 1; on the device of `like`, as in `full`."""
        raise NotImplementedError

    def where(self, condition: Any, x1: Any, x2: Any) -> Any:
        """Select, the three broadcast against each other."""
        raise NotImplementedError

    def cond(self, test: Any, true: _Branch, false: _Branch) -> Tuple[Any, ...]:
        """What `true()` gives where the 0-d `test` holds, else what `false()` does: tuples of raw arrays."""
        raise NotImplementedError

    def getitem(self, raw: Any, key: Tuple[Any, ...]) -> Any:
        """Basic indexing by Python ints, slices, None and `...`."""
        raise NotImplementedError

    def take(self, raw: Any, indices: Any, axis: int) -> Any:
        """Gather by an int array of any rank; negative indices count from the end."""
        raise NotImplementedError

    def cumulative_sum(self, raw: Any, axis: int) -> Any:
        """Running sums."""
        raise NotImplementedError

    def argmax(self, raw: Any, axis: int) -> Any:
        """int64; the first where equal."""
        raise NotImplementedError

    def argmin(self, raw: Any, axis: int) -> Any:
        """int64; the first where equal."""
        raise NotImplementedError

    def sort(self, raw: Any, axis: int, descending: bool) -> Any:
        """Sort."""
        raise NotImplementedError

    def argsort(self, raw: Any, axis: int, descending: bool) -> Any:
        """int64; stable in both directions."""
        raise NotImplementedError

    def matmul(self, x1: Any, x2: Any) -> Any:
        """Matrix product of floating arrays of two or more dims, whose batch dims are equal."""
        raise NotImplementedError

    def tensordot(self, x1: Any, x2: Any, axes: Any) -> Any:
        """As numpy.tensordot, for floats."""
        raise NotImplementedError

    def reshape(self, raw: Any, shape: Tuple[int, ...]) -> Any:
        """Reshape; one dim may be -1."""
        raise NotImplementedError

    def expand_dims(self, raw: Any, axis: int) -> Any:
        """Insert one axis."""
        raise NotImplementedError

    def squeeze(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        """Remove axes of size 1."""
        raise NotImplementedError

    def transpose(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        """Permute the axes."""
        raise NotImplementedError

    def broadcast_to(self, raw: Any, shape: Tuple[int, ...]) -> Any:
        """Broadcast."""
        raise NotImplementedError

    def concat(self, raws: List[Any], axis: int) -> Any:
        """Join along an axis."""
        raise NotImplementedError

    def stack(self, raws: List[Any], axis: int) -> Any:
        """Join along a new axis."""
        raise NotImplementedError

    def flip(self, raw: Any, axes: Tuple[int, ...]) -> Any:
        """Reverse axes."""
        raise NotImplementedError

    def roll(self, raw: Any, shift: Tuple[int, ...], axes: Tuple[int, ...]) -> Any:
        """Roll axes."""
        raise NotImplementedError

    def tile(self, raw: Any, repetitions: Tuple[int, ...]) -> Any:
        """Repeat the whole; one count an axis."""
        raise NotImplementedError

    def diagonal(self, raw: Any) -> Any:
        """The main diagonals of matrices, not necessarily square."""
        raise NotImplementedError

    def qr(self, raw: Any, complete: bool) -> Tuple[Any, Any]:
        """Q, R."""
        raise NotImplementedError

    def svd(self, raw: Any, full_matrices: bool) -> Tuple[Any, Any, Any]:
        """U, S, Vh."""
        raise NotImplementedError

    def svdvals(self, raw: Any) -> Any:
        """Singular values, descending."""
        raise NotImplementedError

    def eigh(self, raw: Any) -> Tuple[Any, Any]:
        """Eigenvalues, ascending, and eigenvectors."""
        raise NotImplementedError

    def inv(self, raw: Any) -> Any:
        """Inverse of square matrices."""
        raise NotImplementedError

    def det(self, raw: Any) -> Any:
        """Determinant of square matrices."""
        raise NotImplementedError

    def solve(self, x1: Any, x2: Any) -> Any:
        """Solve x1 @ y = x2, both matrices, batch dims equal."""
        raise NotImplementedError

    def cholesky(self, raw: Any) -> Any:
        """The lower factor."""
        raise NotImplementedError


_NOTHING_NEEDED = nullcontext()

# The numbers that the quick paths take; a bool, an int's subclass, is not among them.
_PLAIN = (float, int)

_KINDS = {"f": "floating", "i": "integer", "b": "boolean"}


def _unary(name: str, kinds: str, doc: str, predicate: bool = False) -> Callable[..., Array]:
    """An elementwise function of one argument of `kinds`; a predicate's result is bool."""

    def method(self: Namespace, x: Any) -> Array:
        if type(x) is Array:
            dtype = x._dtype
            if dtype is not None:
                if self._kind(dtype) not in kinds:
                    self._refuse(name, kinds, dtype)
                return Array(self, self._ops[name](x._raw), self.bool if predicate else dtype)
        (raw,), dtype = self._unify(name, kinds, x)
        if dtype is None:
            return self._weak_op(name, raw)
        return Array(self, self._ops[name](raw), self.bool if predicate else dtype)

    return _named(method, name, doc)


def _rounding(name: str, doc: str) -> Callable[..., Array]:
    """An elementwise function that leaves integers as they are."""

    def method(self: Namespace, x: Any) -> Array:
        (raw,), dtype = self._unify(name, "fi", x)
        if dtype is None:
            return self._weak_op(name, raw)
        if self._kind(dtype) == "i":
            return Array(self, raw, dtype)
        return Array(self, self._ops[name](raw), dtype)

    return _named(method, name, doc)


def _binary(name: str, kinds: str, doc: str, predicate: bool = False) -> Callable[..., Array]:
    """An elementwise function of two arguments of `kinds`; a predicate's result is bool."""

    def method(self: Namespace, x1: Any, x2: Any) -> Array:
        raw1, raw2, dtype = self._pair(name, kinds, x1, x2)
        if dtype is None:
            return self._weak_op(name, raw1, raw2)
        return Array(self, self._ops[name](raw1, raw2), self.bool if predicate else dtype)

    return _named(method, name, doc)


def _reduction(name: str, kinds: str, doc: str) -> Callable[..., Array]:
    """A reduction whose result has the dtype of its argument."""

    def method(self: Namespace, x: Any, axis: Axis = None, keepdims: bool = False) -> Array:
        raw, dtype = self._strong(name, kinds, x)
        axes = self._axes(raw, axis)
        if name in ("max", "min"):
            self._refuse_empty(name, raw, axes)
        return Array(self, self._b.reductions[name](raw, axes, keepdims), dtype)

    return _named(method, name, doc)


def _named(method: Callable[..., Array], name: str, doc: str) -> Callable[..., Array]:
    method.__name__ = name
    method.__qualname__ = "Namespace." + name
    method.__doc__ = doc
    return method


def _host(obj: Any) -> bool:
    """Whether a weak scalar's raw value is a number that is known now."""
    return type(obj) is np.float64


class _Sharing(threading.local):
    # What was computed -> the result, and the operands, whose ids are of use only as long as they live.
    made: Optional[Dict[Any, Tuple[Any, Any]]] = None


_SHARING = _Sharing()


@contextmanager
def shared_scalars() -> Iterator[None]:
    """While it lasts, the same function of the same weak scalars is computed once in this thread.

    What an update rule makes of the step's number and its hyperparameters is then computed for all variables
    together, though it is written down for one.
    """
    before, _SHARING.made = _SHARING.made, {}
    try:
        yield
    finally:
        _SHARING.made = before


class Namespace:
    """`xp`: the array vocabulary of update rules, by the names of the Python array API standard.

    Where a parameter is called `x`, `x1` or `x2` it is an `Array` or a Python or NumPy number.
    `axis` is an int or a tuple of ints, negative ones counting from the end; `dtype` one of
    `xp.bool`, `xp.int32`, `xp.int64`, `xp.float32`, `xp.float64` or the name of one. The dtype of
    floats made from nothing, or from Python numbers, is `xp.compute_dtype`; that of ints is int64.

    Elementwise functions of weak scalars and Python numbers give weak scalars (see `Array`);
    every other function first rounds a weak scalar to the compute dtype.
    """

    newaxis = None
    pi = math.pi
    e = math.e
    inf = math.inf
    nan = math.nan

    def __init__(self, backend: Backend, dtype: str) -> None:
        """For `namespaces.namespace`: the vocabulary over `backend`, computing in `dtype`."""
        from .numpy import BACKEND as host

        self._b = backend
        self._ops = backend.ops
        self._host_ops = host.ops
        self.backend = backend.name
        self.bool = backend.dtypes["bool"]
        self.int32 = backend.dtypes["int32"]
        self.int64 = backend.dtypes["int64"]
        self.float32 = backend.dtypes["float32"]
        self.float64 = backend.dtypes["float64"]
        self.compute_dtype = backend.dtypes[dtype]
        self.linalg = Linalg(self)
        # By identity: hashing a TensorFlow dtype is slow, and the backends' dtypes are singletons.
        self._kinds = {
            id(value): {"b": "b", "i": "i", "f": "f"}[name[0]] for name, value in backend.dtypes.items()
        }

    def __getattr__(self, name: str) -> NoReturn:
        _no_such_name("xp", name, NAMES)

    def __dir__(self) -> List[str]:
        return [*NAMES, "backend", "compute_dtype", "scalar", "unwrap", "wrap"]

    def __repr__(self) -> str:
        return "namespace(%r, %r)" % (self.backend, self._name(self.compute_dtype))

    # In and out; not part of the vocabulary of rules

    def wrap(self, raw: Any) -> Array:
        """The `Array` of a backend array, variable or NumPy array, dtype and shape as they are.

        An `Array` is given back as it is. Raises TypeError for anything else: numbers are for
        `asarray` and `scalar`.
        """
        if type(raw) is Array:
            return self._own(raw)
        if not self._b.is_array(raw) and not isinstance(raw, (np.ndarray, np.generic)):
            raise TypeError("xp.wrap takes an array of %s or of NumPy, not %s" % (self.backend, _what(raw)))
        raw = self._b.as_array(raw)
        return Array(self, raw, raw.dtype)

    def unwrap(self, obj: Any) -> Any:
        """The backend array of an `Array`, a Python number or a backend array.

        Weak scalars, ints and floats come in the compute dtype, 0-d; bools as bool.
        """
        if type(obj) is Array:
            if obj._ns is not self:
                self._own(obj)
            if obj._dtype is None:
                return self._b.as_array(self._strengthen(obj._raw, self.compute_dtype))
            return self._b.as_array(obj._raw)
        if isinstance(obj, (bool, np.bool_)):
            return self._b.constant(bool(obj), self.bool)
        if _is_number(obj):
            return self._b.constant(_as_float(obj), self.compute_dtype)
        if self._b.is_array(obj):
            return self._b.as_array(obj)
        raise TypeError(
            "expected an array of xp (or a Python number), not %s: a rule's results are made with "
            "the functions and operators of xp" % _what(obj)
        )

    def scalar(self, value: Any) -> Array:
        """A weak scalar of a Python or NumPy number, or a 0-d backend array or variable.

        What is known now, a number, stays one, and is computed with on the host.
        """
        if type(value) is Array:
            self._own(value)
            if value._dtype is None:
                return value
            value = value._raw
        if _is_number(value):
            return Array(self, _as_float(value), None)
        if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "fiu":
            return Array(self, np.float64(value), None)
        if not self._b.is_array(value):
            raise TypeError("xp.scalar takes a number or a 0-d array, not %s" % _what(value))
        with self._b.wide():
            raw = self._b.as_array(value)
            if self._b.shape(raw) != ():
                raise TypeError("xp.scalar takes a 0-d array, not shape %r" % (self._b.shape(raw),))
            if raw.dtype != self._b.weak_dtype:
                raw = self._once("scalar", lambda one: self._b.cast(one, self._b.weak_dtype), raw)
        return Array(self, raw, None)

    def _once(self, what: Any, function: Callable[..., Any], *raws: Any) -> Any:
        """A function of raw scalars: the result of before where `shared_scalars` has one."""
        made = _SHARING.made
        if made is None:
            return function(*raws)
        # A number by its bytes: 0.0 and -0.0 are equal.
        key = (what, self._b.place(), *[raw.tobytes() if _host(raw) else id(raw) for raw in raws])
        if key not in made:
            made[key] = function(*raws), raws
        return made[key][0]

    # Checks and conversions

    def _name(self, dtype: Any) -> str:
        return self._b.dtype_name(dtype)

    def _kind(self, dtype: Any) -> str:
        """'f', 'i' or 'b'."""
        kind = self._kinds.get(id(dtype))
        if kind is None:
            name = self._name(dtype)
            kind = "b" if name == "bool" else "f" if "float" in name else "i" if "int" in name else "?"
        return kind

    def _own(self, x: Array) -> Array:
        if x._ns.backend != self.backend:
            raise TypeError("an array of %s given to xp of %s" % (x._ns.backend, self.backend))
        return x

    def _refuse(self, name: str, kinds: str, dtype: Any) -> NoReturn:
        raise TypeError(
            "xp.%s takes %s arrays, not %s: convert with xp.astype(x, dtype)"
            % (name, " or ".join(_KINDS[k] for k in kinds), self._name(dtype))
        )

    def _refuse_dtypes(self, name: str, dtype1: Any, dtype2: Any) -> NoReturn:
        raise TypeError(
            "xp.%s of arrays of different dtypes, %s and %s: convert one with xp.astype(x, dtype)"
            % (name, self._name(dtype1), self._name(dtype2))
        )

    def _strengthen(self, raw: Any, dtype: Any) -> Any:
        """A weak scalar's raw value as an array of a floating dtype."""
        if type(raw) is np.float64:
            return self._b.constant(raw, dtype)
        if dtype == self._b.weak_dtype:
            return raw
        with self._b.wide():
            return self._once(("strong", dtype), lambda one: self._b.cast(one, dtype), raw)

    def _number(self, name: str, value: Any, dtype: Any) -> Any:
        """A Python or NumPy number checked against the dtype of the array that it meets."""
        kind = self._kind(dtype)
        boolean = isinstance(value, (bool, np.bool_))
        if boolean or kind == "b":
            if not (boolean and kind == "b"):
                raise TypeError(
                    "xp.%s of %s and the Python %s %r: convert the array with xp.astype(x, dtype)"
                    % (name, self._name(dtype), type(value).__name__, value)
                )
            return bool(value)
        if kind == "i":
            if not isinstance(value, (int, np.integer)):
                raise TypeError(
                    "xp.%s of an %s array and the float %r: convert the array with "
                    "xp.astype(x, xp.float32)" % (name, self._name(dtype), value)
                )
            return int(value)
        return _as_float(value)

    def _pair(self, name: str, kinds: str, x1: Any, x2: Any) -> Tuple[Any, Any, Any]:
        """Two operands in one dtype (None: weak), and that dtype."""
        if type(x1) is Array:
            dtype1 = x1._dtype
            if type(x2) is Array:
                dtype2 = x2._dtype
                if dtype1 is dtype2 and dtype1 is not None and x1._ns is x2._ns:
                    if self._kind(dtype1) not in kinds:
                        self._refuse(name, kinds, dtype1)
                    return x1._raw, x2._raw, dtype1
                if dtype1 is not None and dtype2 is None and type(x2._raw) is np.float64:
                    if self._kind(dtype1) == "f" and "f" in kinds:
                        return x1._raw, self._b.operand(x2._raw, dtype1), dtype1
                elif dtype2 is not None and dtype1 is None and type(x1._raw) is np.float64:
                    if self._kind(dtype2) == "f" and "f" in kinds:
                        return self._b.operand(x1._raw, dtype2), x2._raw, dtype2
            elif dtype1 is None:
                if type(x2) in _PLAIN and type(x1._raw) is np.float64 and "f" in kinds:
                    return x1._raw, _as_float(x2), None
            elif _is_number(x2):
                if self._kind(dtype1) not in kinds:
                    self._refuse(name, kinds, dtype1)
                return x1._raw, self._b.operand(self._number(name, x2, dtype1), dtype1), dtype1
        elif type(x2) is Array:
            dtype2 = x2._dtype
            if dtype2 is None:
                if type(x1) in _PLAIN and type(x2._raw) is np.float64 and "f" in kinds:
                    return _as_float(x1), x2._raw, None
            elif _is_number(x1):
                if self._kind(dtype2) not in kinds:
                    self._refuse(name, kinds, dtype2)
                return self._b.operand(self._number(name, x1, dtype2), dtype2), x2._raw, dtype2
        (raw1, raw2), dtype = self._unify(name, kinds, x1, x2)
        return raw1, raw2, dtype

    def _unify(self, name: str, kinds: str, *xs: Any) -> Tuple[List[Any], Any]:
        """Any number of operands in one dtype, and that dtype.

        The dtype is None, and the results raw weak scalars, where there are only weak scalars and
        numbers.
        """
        strong = None
        weak = False
        booleans = 0
        for x in xs:
            if type(x) is Array:
                self._own(x)
                if x._dtype is None:
                    weak = True
                elif strong is None:
                    strong = x._dtype
                elif x._dtype is not strong and x._dtype != strong:
                    self._refuse_dtypes(name, strong, x._dtype)
            elif isinstance(x, (bool, np.bool_)):
                booleans += 1
            elif not _is_number(x):
                raise TypeError(
                    "xp.%s takes arrays of xp and numbers, not %s; xp.asarray makes an array of it"
                    % (name, _what(x))
                )
        if strong is None and booleans and booleans == len(xs):
            strong = self.bool
        if strong is None:
            if booleans:
                raise TypeError("xp.%s of a Python bool and a number: use 0.0 or 1.0" % name)
            if "f" not in kinds:
                raise TypeError(
                    "xp.%s takes %s arrays, not floating numbers"
                    % (name, " or ".join(_KINDS[k] for k in kinds))
                )
            return [x._raw if type(x) is Array else _as_float(x) for x in xs], None
        if self._kind(strong) not in kinds:
            self._refuse(name, kinds, strong)
        if weak and self._kind(strong) != "f":
            self._refuse_dtypes(name, strong, self.compute_dtype)
        raws = []
        for x in xs:
            if type(x) is not Array:
                raws.append(self._b.constant(self._number(name, x, strong), strong))
            elif x._dtype is None:
                raws.append(self._strengthen(x._raw, strong))
            else:
                raws.append(x._raw)
        return raws, strong

    def _weak_raws(self, raws: Sequence[Any]) -> List[Any]:
        """Raw weak scalars as backend arrays of the weak dtype."""
        dtype = self._b.weak_dtype
        return [self._b.constant(raw, dtype) if _host(raw) else raw for raw in raws]

    def _weak_op(self, name: str, *raws: Any) -> Array:
        """An elementwise function of weak scalars: on the host where all are known."""
        for raw in raws:
            if type(raw) is not np.float64:
                with self._b.wide():
                    result = self._once(name, lambda *given: self._ops[name](*self._weak_raws(given)), *raws)
                    weak = result.dtype == self._b.weak_dtype
                return Array(self, result, None if weak else self.bool)
        result = self._host_ops[name](*raws)
        if isinstance(result, np.bool_):
            return Array(self, self._b.constant(bool(result), self.bool), self.bool)
        return Array(self, np.float64(result), None)

    def _strong(self, name: str, kinds: str, x: Any) -> Tuple[Any, Any]:
        """One operand as a raw array, and its dtype; weak scalars in the compute dtype."""
        if type(x) is Array and x._dtype is not None:
            if self._kind(x._dtype) not in kinds:
                self._refuse(name, kinds, x._dtype)
            return x._raw, x._dtype
        raws, dtype = self._strongs(name, kinds, x)
        return raws[0], dtype

    def _strongs(self, name: str, kinds: str, *xs: Any) -> Tuple[List[Any], Any]:
        """Operands as raw arrays of one dtype; the compute dtype where all are weak."""
        raws, dtype = self._unify(name, kinds, *xs)
        if dtype is None:
            dtype = self.compute_dtype
            raws = [self._strengthen(raw, dtype) for raw in raws]
        return raws, dtype

    def _shape(self, x: Array) -> Tuple[Any, ...]:
        return () if x._dtype is None else self._b.shape(x._raw)

    def _static(self, name: str, raw: Any) -> Tuple[int, ...]:
        """The shape, where it must be known."""
        shape = self._b.shape(raw)
        if None in shape:
            raise ValueError("xp.%s needs a static shape and this is %r" % (name, shape))
        return shape

    def _axes(self, raw: Any, axis: Axis) -> Tuple[int, ...]:
        """Axes counted from the front; None is all of them."""
        ndim = len(self._b.shape(raw))
        if axis is None:
            return tuple(range(ndim))
        axes = axis if isinstance(axis, (tuple, list)) else (axis,)
        found = tuple(_axis(a, ndim) for a in axes)
        if len(set(found)) != len(found):
            raise ValueError("an axis is repeated in %r" % (axis,))
        return found

    def _refuse_empty(self, name: str, raw: Any, axes: Tuple[int, ...]) -> None:
        shape = self._b.shape(raw)
        if 0 in shape and any_(shape[a] == 0 for a in axes):
            raise ValueError("xp.%s over no elements (shape %r)" % (name, shape))

    def _dtype(self, dtype: Any) -> Any:
        try:
            found = self._b.dtype(dtype)
        except TypeError:
            found = None
        if found is None or id(found) not in self._kinds:
            raise TypeError(
                "no dtype %r; there are xp.bool, xp.int32, xp.int64, xp.float32, xp.float64" % (dtype,)
            )
        return found

    def _getitem(self, x: Array, key: Any) -> Array:
        raw, dtype = self._strong("getitem", "fib", x)
        if type(key) is Array:
            if key._dtype is None or self._kind(key._dtype) != "i":
                raise TypeError(
                    "an array is indexed by arrays of ints (rows of axis 0), not of %s; in place "
                    "of a mask, use xp.where(mask, a, b)" % self._name(key.dtype)
                )
            return self.take(x, key, axis=0)
        items = _basic_key(key, self._b.shape(raw))
        return Array(self, self._b.getitem(raw, items), dtype)

    # Creation

    def asarray(self, obj: Any, dtype: Any = None) -> Array:
        """An array of a number, nested lists of numbers, a NumPy or backend array or an `Array`.

        Without `dtype`: what has a dtype keeps it; Python floats (and weak scalars) get the compute
        dtype, ints int64, bools bool.
        """
        if type(obj) is Array:
            raw, found = self._strong("asarray", "fib", self._own(obj))
        elif self._b.is_array(obj):
            raw = self._b.as_array(obj)
            found = raw.dtype
        else:
            value = obj if isinstance(obj, np.ndarray) else _from_lists(obj)
            if value.dtype.kind not in "fiub":
                raise TypeError("xp.asarray takes numbers, not %s" % _what(obj))
            if isinstance(obj, np.ndarray):
                found = self._dtype(value.dtype)
            else:
                found = {"f": self.compute_dtype, "b": self.bool}.get(value.dtype.kind, self.int64)
            if dtype is not None:
                # Straight to the dtype asked for, so that a constant is rounded once.
                found = self._dtype(dtype)
            return Array(self, self._b.constant(value, found), found)
        made = Array(self, raw, found)
        return made if dtype is None else self.astype(made, dtype)

    def zeros(self, shape: Shape, dtype: Any = None) -> Array:
        """Zeros; the compute dtype unless told."""
        return self.full(shape, 0, self.compute_dtype if dtype is None else dtype)

    def ones(self, shape: Shape, dtype: Any = None) -> Array:
        """Ones; the compute dtype unless told."""
        return self.full(shape, 1, self.compute_dtype if dtype is None else dtype)

    def full(self, shape: Shape, fill_value: Any, dtype: Any = None) -> Array:
        """An array of one value, a number or a 0-d `Array`.

        Without `dtype`: as `asarray(fill_value)`. Raises TypeError for a shape that is not static.
        """
        return self._full(_dims(shape), fill_value, dtype)

    def _full(self, dims: Tuple[int, ...], fill_value: Any, dtype: Any, like: Any = None) -> Array:
        """`full`, on the device of `like`."""
        if type(fill_value) is Array or not _is_number(fill_value):
            value = self.asarray(fill_value, dtype)
            if value.ndim:
                raise TypeError("xp.full takes a number or a 0-d array, not shape %r" % (value.shape,))
            assert value._dtype is not None
            return Array(self, self._b.full(dims, value._raw, value._dtype, like), value._dtype)
        if dtype is not None:
            found = self._dtype(dtype)
        elif isinstance(fill_value, (bool, np.bool_)):
            found = self.bool
        elif isinstance(fill_value, (int, np.integer)):
            found = self.int64
        else:
            found = self.compute_dtype
        kind = self._kind(found)
        number = {"b": bool, "i": int, "f": float}[kind](fill_value)
        return Array(self, self._b.full(dims, number, found, like), found)

    def zeros_like(self, x: Any, dtype: Any = None) -> Array:
        """Zeros of the shape and dtype of `x`, whose value is not read if its shape is static."""
        return self.full_like(x, 0, dtype)

    def ones_like(self, x: Any, dtype: Any = None) -> Array:
        """Ones of the shape and dtype of `x`, whose value is not read where its shape is static."""
        return self.full_like(x, 1, dtype)

    def full_like(self, x: Any, fill_value: Any, dtype: Any = None) -> Array:
        """One value in the shape and dtype of `x`, not reading its value if its shape is static."""
        raw, found = self._strong("full_like", "fib", x)
        if dtype is not None:
            found = self._dtype(dtype)
        shape = self._b.shape(raw)
        if None not in shape:
            return self._full(shape, fill_value, found, raw)
        zeros = Array(self, self._b.zeros_like(raw), raw.dtype)
        ones = self.equal(zeros, zeros)
        value = self.full((), fill_value, found)
        return self.where(ones, value, value)

    def eye(self, n_rows: int, n_cols: Optional[int] = None, k: int = 0, dtype: Any = None) -> Array:
        """Ones on the k-th diagonal, zeros elsewhere; the compute dtype unless told."""
        mask = self._diagonals(n_rows, n_rows if n_cols is None else n_cols, k, "equal")
        return self.astype(mask, self.compute_dtype if dtype is None else dtype)

    def arange(self, start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Array:
        """`start`, `start + step` ... below `stop`; with one argument, from 0 to below it.

        The arguments are Python numbers (the shape is static). The dtype is int64 where all are
        ints, otherwise the compute dtype, unless told.
        """
        if stop is None:
            start, stop = 0, start
        for value in (start, stop, step):
            if not _is_number(value) or isinstance(value, (bool, np.bool_)):
                raise TypeError("xp.arange takes Python numbers, not %s" % _what(value))
        n = max_(0, math.ceil((stop - start) / step))
        ints = all_(isinstance(value, (int, np.integer)) for value in (start, stop, step))
        counts = Array(self, self._b.iota(n), self.int64)
        if ints:
            made = counts if (start, step) == (0, 1) else counts * int(step) + int(start)
            return made if dtype is None else self.astype(made, dtype)
        found = self.compute_dtype if dtype is None else self._dtype(dtype)
        with self._b.wide():
            weak = self.astype(counts, self._b.weak_dtype) * float(step) + float(start)
            return self.astype(weak, found)

    def linspace(self, start: Any, stop: Any, num: int, dtype: Any = None, endpoint: bool = True) -> Array:
        """`num` evenly spaced numbers, the last of them `stop` unless `endpoint` is false.

        `start` and `stop` are Python numbers or weak scalars; the compute dtype unless told.
        """
        steps = num - 1 if endpoint else num
        first, last = self.scalar(start), self.scalar(stop)
        found = self.compute_dtype if dtype is None else self._dtype(dtype)
        with self._b.wide():
            counts = self.astype(Array(self, self._b.iota(num), self.int64), self._b.weak_dtype)
            made = counts * ((last - first) / max_(steps, 1)) + first
            return self.astype(made, found)

    def tril(self, x: Any, k: int = 0) -> Array:
        """The last two axes' lower triangle, zeros above the k-th diagonal."""
        return self._triangle("tril", x, k, "less_equal")

    def triu(self, x: Any, k: int = 0) -> Array:
        """The last two axes' upper triangle, zeros below the k-th diagonal."""
        return self._triangle("triu", x, k, "greater_equal")

    def _triangle(self, name: str, x: Any, k: int, op: str) -> Array:
        raw, dtype = self._strong(name, "fib", x)
        shape = self._b.shape(raw)
        if len(shape) < 2 or None in shape[-2:]:
            raise ValueError("xp.%s takes matrices of static shape, not %r" % (name, shape))
        mask = self._diagonals(shape[-2], shape[-1], k, op, raw)
        return Array(self, self._b.where(mask._raw, raw, self._b.full((), 0, dtype, raw)), dtype)

    def _diagonals(self, rows: int, columns: int, k: int, op: str, like: Any = None) -> Array:
        """Where `column - row` is to `k` as `op` says."""
        row = self._b.expand_dims(self._b.iota(rows, like), 1)
        column = self._b.expand_dims(self._b.iota(columns, like), 0)
        difference = self._ops["subtract"](column, row)
        limit = self._b.constant(k, self.int64)
        return Array(self, self._ops[op](difference, limit), self.bool)

    # Data types

    def astype(self, x: Any, dtype: Any) -> Array:
        """`x` as `dtype`; floats are truncated to ints, numbers are true where not zero.

        The result is never a weak scalar: rounding one is what this does to it.
        """
        found = self._dtype(dtype)
        if type(x) is not Array:
            return self.asarray(x, found)
        self._own(x)
        if x._dtype is None:
            if self._kind(found) == "f":
                return Array(self, self._strengthen(x._raw, found), found)
            with self._b.wide():
                (raw,) = self._weak_raws([x._raw])
                return Array(self, self._b.cast(raw, found), found)
        if x._dtype == found:
            return x
        return Array(self, self._b.cast(x._raw, found), found)

    def finfo(self, type: Any) -> FInfo:
        """The limits (`bits eps max min smallest_normal dtype`) of a dtype or of an array's."""
        dtype = type.dtype if isinstance(type, Array) else self._dtype(type)
        if self._kind(dtype) != "f":
            raise TypeError("xp.finfo takes a floating dtype, not %s" % self._name(dtype))
        info = np.finfo(self._name(dtype))
        return FInfo(
            int(info.bits),
            float(info.eps),
            float(info.max),
            float(info.min),
            float(info.tiny),
            dtype,
        )

    # Element by element

    abs = _unary("abs", "fi", "The absolute value.")
    negative = _unary("negative", "fi", "-x.")
    positive = _unary("positive", "fi", "x.")
    square = _unary("square", "fi", "x * x.")
    sign = _unary("sign", "fi", "-1, 0 or 1; 0 of 0.")
    sqrt = _unary("sqrt", "f", "The square root; NaN of what is below 0.")
    reciprocal = _unary("reciprocal", "f", "1 / x.")
    exp = _unary("exp", "f", "e to the x.")
    expm1 = _unary("expm1", "f", "exp(x) - 1, accurate near 0.")
    log = _unary("log", "f", "The natural logarithm; -inf of 0.")
    log1p = _unary("log1p", "f", "log(1 + x), accurate near 0.")
    log2 = _unary("log2", "f", "The logarithm to base 2.")
    log10 = _unary("log10", "f", "The logarithm to base 10.")
    sin = _unary("sin", "f", "The sine.")
    cos = _unary("cos", "f", "The cosine.")
    tan = _unary("tan", "f", "The tangent.")
    asin = _unary("asin", "f", "The inverse sine.")
    acos = _unary("acos", "f", "The inverse cosine.")
    atan = _unary("atan", "f", "The inverse tangent.")
    sinh = _unary("sinh", "f", "The hyperbolic sine.")
    cosh = _unary("cosh", "f", "The hyperbolic cosine.")
    tanh = _unary("tanh", "f", "The hyperbolic tangent.")
    floor = _rounding("floor", "Down to an integer, dtype unchanged.")
    ceil = _rounding("ceil", "Up to an integer, dtype unchanged.")
    trunc = _rounding("trunc", "Towards 0 to an integer, dtype unchanged.")
    round = _rounding("round", "To the nearest integer, halves to the even one, dtype unchanged.")
    isfinite = _unary("isfinite", "f", "Neither infinite nor NaN.", predicate=True)
    isinf = _unary("isinf", "f", "Infinite.", predicate=True)
    isnan = _unary("isnan", "f", "NaN.", predicate=True)
    signbit = _unary("signbit", "f", "The sign bit: also of -0.0 and of NaN.", predicate=True)
    logical_not = _unary("logical_not", "b", "not x.", predicate=True)

    add = _binary("add", "fi", "x1 + x2.")
    subtract = _binary("subtract", "fi", "x1 - x2.")
    multiply = _binary("multiply", "fi", "x1 * x2.")
    divide = _binary("divide", "f", "x1 / x2.")
    floor_divide = _binary("floor_divide", "fi", "floor(x1 / x2).")
    remainder = _binary("remainder", "fi", "x1 modulo x2, with the sign of x2.")
    pow = _binary("pow", "fi", "x1 to the x2.")
    maximum = _binary("maximum", "fi", "The greater; NaN if either is.")
    minimum = _binary("minimum", "fi", "The lesser; NaN if either is.")
    atan2 = _binary("atan2", "f", "The angle of the point (x2, x1).")
    hypot = _binary("hypot", "f", "sqrt(x1**2 + x2**2), without overflow.")
    copysign = _binary("copysign", "f", "The magnitude of x1 with the sign of x2.")
    equal = _binary("equal", "fib", "x1 == x2.", predicate=True)
    not_equal = _binary("not_equal", "fib", "x1 != x2.", predicate=True)
    less = _binary("less", "fi", "x1 < x2.", predicate=True)
    less_equal = _binary("less_equal", "fi", "x1 <= x2.", predicate=True)
    greater = _binary("greater", "fi", "x1 > x2.", predicate=True)
    greater_equal = _binary("greater_equal", "fi", "x1 >= x2.", predicate=True)
    logical_and = _binary("logical_and", "b", "x1 and x2.", predicate=True)
    logical_or = _binary("logical_or", "b", "x1 or x2.", predicate=True)
    logical_xor = _binary("logical_xor", "b", "Either x1 or x2.", predicate=True)

    def clip(self, x: Any, min: Any = None, max: Any = None) -> Array:
        """`x` limited to `min` and `max` (numbers or arrays; None is no limit); `max` wins."""
        if min is not None:
            x = self.maximum(x, min)
        if max is not None:
            x = self.minimum(x, max)
        return self.positive(x)

    def where(self, condition: Any, x1: Any, x2: Any) -> Array:
        """`x1` where the boolean `condition` holds, `x2` elsewhere, broadcast.

        A weak scalar where all three are 0-d and `x1` and `x2` weak scalars or numbers.
        """
        test, _ = self._strong("where", "b", condition)
        raws, dtype = self._unify("where", "fib", x1, x2)
        if dtype is None:
            if self._b.shape(test) == ():
                with self._b.wide():
                    return Array(self, self._once("where", self._weak_where, test, *raws), None)
            dtype = self.compute_dtype
            raws = [self._strengthen(raw, dtype) for raw in raws]
        return Array(self, self._b.where(test, raws[0], raws[1]), dtype)

    def _weak_where(self, test: Any, *raws: Any) -> Any:
        return self._b.where(test, *self._weak_raws(raws))

    def cond(
        self,
        condition: Any,
        true: Callable[[], Sequence[Any]],
        false: Callable[[], Sequence[Any]],
    ) -> Tuple[Array, ...]:
        """What one of two functions gives: `true()` where the boolean 0-d `condition` holds, else `false()`.

        For what is dear and seldom needed: only the one that holds is computed, while both may be run to
        build a graph. It is no name of the array API standard.

        Args:
            condition: a 0-d boolean array.
            true, false: functions of nothing, pure like a rule. Both give as many arrays, of the same shapes
                and dtypes; weak scalars and numbers become arrays of the compute dtype.
        """
        test, _ = self._strong("cond", "b", condition)
        if self._b.shape(test) != ():
            raise ValueError("xp.cond: the condition has shape %r; expected ()" % (self._b.shape(test),))
        dtypes: List[List[Any]] = []

        def raws_of(branch: Callable[[], Sequence[Any]]) -> _Branch:
            def made() -> Tuple[Any, ...]:
                with shared_scalars():  # what is computed in a branch is of use there only
                    pairs = [self._strong("cond", "fib", each) for each in branch()]
                dtypes.append([dtype for _, dtype in pairs])
                return tuple(raw for raw, _ in pairs)

            return made

        found = self._b.cond(test, raws_of(true), raws_of(false))
        if any_(each != dtypes[0] for each in dtypes):
            raise TypeError("xp.cond: the branches give %r; expected the same dtypes of both" % (dtypes,))
        return tuple(Array(self, raw, dtype) for raw, dtype in zip(found, dtypes[0]))

    # Reductions

    max = _reduction("max", "fi", "The greatest; ValueError over no elements.")
    min = _reduction("min", "fi", "The least; ValueError over no elements.")
    mean = _reduction("mean", "f", "The arithmetic mean; NaN over no elements.")

    def sum(self, x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Array:
        """The sum; 0 over no elements. Floats keep their dtype, ints are summed in int64."""
        return self._accumulate("sum", x, axis, dtype, keepdims)

    def prod(self, x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Array:
        """The product; 1 over no elements. Floats keep their dtype, ints get int64."""
        return self._accumulate("prod", x, axis, dtype, keepdims)

    def _accumulate(self, name: str, x: Any, axis: Axis, dtype: Any, keepdims: bool) -> Array:
        raw, found = self._wide(name, x, dtype)
        made = self._b.reductions[name](raw, self._axes(raw, axis), keepdims)
        return Array(self, made, found)

    def _wide(self, name: str, x: Any, dtype: Any) -> Tuple[Any, Any]:
        """An operand in the dtype to accumulate in."""
        raw, found = self._strong(name, "fi", x)
        wanted = found
        if dtype is not None:
            wanted = self._dtype(dtype)
        elif self._kind(found) == "i":
            wanted = self.int64
        return (raw if wanted == found else self._b.cast(raw, wanted)), wanted

    def any(self, x: Any, axis: Axis = None, keepdims: bool = False) -> Array:
        """Whether any is true (numbers: not zero); false over no elements."""
        return self._test("any", x, axis, keepdims)

    def all(self, x: Any, axis: Axis = None, keepdims: bool = False) -> Array:
        """Whether all are true (numbers: not zero); true over no elements."""
        return self._test("all", x, axis, keepdims)

    def _test(self, name: str, x: Any, axis: Axis, keepdims: bool) -> Array:
        raw, dtype = self._strong(name, "fib", x)
        if self._kind(dtype) != "b":
            raw = self._b.cast(raw, self.bool)
        return Array(self, self._b.reductions[name](raw, self._axes(raw, axis), keepdims), self.bool)

    def var(self, x: Any, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
        """The variance, the squares' sum divided by the count less `correction`."""
        raw, dtype = self._strong("var", "f", x)
        axes = self._axes(raw, axis)
        mean = self._b.reductions["mean"]
        centred = self._ops["subtract"](raw, mean(raw, axes, True))
        made = Array(self, mean(self._ops["square"](centred), axes, keepdims), dtype)
        if not correction:
            return made
        dims = [self._b.shape(raw)[a] for a in axes]
        if None in dims:
            count = Array(self, self._b.count(raw, axes, dtype), dtype)
            return made * (count / self.maximum(count - correction, 0))
        n = _product(dims)
        return made * (n / (n - correction) if n > correction else math.inf)

    def std(self, x: Any, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
        """The standard deviation: the square root of `var`."""
        return self.sqrt(self.var(x, axis=axis, correction=correction, keepdims=keepdims))

    def cumulative_sum(
        self,
        x: Any,
        axis: Optional[int] = None,
        dtype: Any = None,
        include_initial: bool = False,
    ) -> Array:
        """Running sums along `axis` (needed unless 1-D), starting with a 0 if `include_initial`."""
        raw, found = self._wide("cumulative_sum", x, dtype)
        axis = self._one_axis("cumulative_sum", raw, axis)
        made = self._b.cumulative_sum(raw, axis)
        if include_initial:
            shape = list(self._static("cumulative_sum", raw))
            shape[axis] = 1
            made = self._b.concat([self._b.full(tuple(shape), 0, found, raw), made], axis)
        return Array(self, made, found)

    # Searching and sorting

    def argmax(self, x: Any, axis: Optional[int] = None, keepdims: bool = False) -> Array:
        """The index, int64, of the first greatest; into the flattened array if `axis` is None."""
        return self._search("argmax", x, axis, keepdims)

    def argmin(self, x: Any, axis: Optional[int] = None, keepdims: bool = False) -> Array:
        """The index, int64, of the first least; into the flattened array if `axis` is None."""
        return self._search("argmin", x, axis, keepdims)

    def _search(self, name: str, x: Any, axis: Optional[int], keepdims: bool) -> Array:
        raw, _ = self._strong(name, "fi", x)
        ndim = len(self._b.shape(raw))
        self._refuse_empty(name, raw, self._axes(raw, axis))
        find = self._b.argmax if name == "argmax" else self._b.argmin
        if axis is None:
            made = find(self._b.reshape(raw, (-1,)), 0)
            if keepdims:
                made = self._b.reshape(made, (1,) * ndim)
        else:
            axis = _axis(axis, ndim)
            made = find(raw, axis)
            if keepdims:
                made = self._b.expand_dims(made, axis)
        return Array(self, made, self.int64)

    def sort(self, x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
        """Sorted along an axis. Where NaNs go is the host's affair."""
        raw, dtype = self._strong("sort", "fi", x)
        made = self._b.sort(raw, _axis(axis, len(self._b.shape(raw))), bool(descending))
        return Array(self, made, dtype)

    def argsort(self, x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
        """The indices, int64, that sort along an axis; equal elements keep their order."""
        raw, _ = self._strong("argsort", "fi", x)
        made = self._b.argsort(raw, _axis(axis, len(self._b.shape(raw))), bool(descending))
        return Array(self, made, self.int64)

    def take(self, x: Any, indices: Any, axis: Optional[int] = None) -> Array:
        """Elements along `axis` (needed unless 1-D) by an int array or list of indices.

        Negative indices count from the end; what is beyond is the host's error.
        """
        raw, dtype = self._strong("take", "fib", x)
        axis = self._one_axis("take", raw, axis)
        if type(indices) is not Array:
            indices = self.asarray(indices)
        where, _ = self._strong("take", "i", indices)
        return Array(self, self._b.take(raw, where, axis), dtype)

    def _one_axis(self, name: str, raw: Any, axis: Optional[int]) -> int:
        ndim = len(self._b.shape(raw))
        if axis is None:
            if ndim != 1:
                raise ValueError("xp.%s needs an axis unless the array is 1-D" % name)
            return 0
        return _axis(axis, ndim)

    # Linear algebra

    def matmul(self, x1: Any, x2: Any) -> Array:
        """The matrix product of floating arrays; vectors on either side too, batches broadcast."""
        (raw1, raw2), dtype = self._strongs("matmul", "f", x1, x2)
        shape1, shape2 = self._b.shape(raw1), self._b.shape(raw2)
        if not shape1 or not shape2:
            raise ValueError("xp.matmul takes no 0-d arrays: use *")
        row, column = len(shape1) == 1, len(shape2) == 1
        inner1, inner2 = shape1[-1], shape2[-1 if column else -2]
        if None not in (inner1, inner2) and inner1 != inner2:
            raise ValueError("xp.matmul of shapes %r and %r" % (shape1, shape2))
        if row:
            raw1 = self._b.expand_dims(raw1, 0)
        if column:
            raw2 = self._b.expand_dims(raw2, 1)
        made = self._b.matmul(*self._same_batch("matmul", raw1, raw2))
        ndim = len(self._b.shape(made))
        drop = ((ndim - 2,) if row else ()) + ((ndim - 1,) if column else ())
        return Array(self, self._b.squeeze(made, drop) if drop else made, dtype)

    def _same_batch(self, name: str, raw1: Any, raw2: Any) -> Tuple[Any, Any]:
        """Two stacks of matrices with the dims before the last two broadcast."""
        shape1, shape2 = self._b.shape(raw1), self._b.shape(raw2)
        batch1, batch2 = shape1[:-2], shape2[:-2]
        if batch1 == batch2:
            return raw1, raw2
        for raw in (raw1, raw2):
            self._static(name, raw)
        batch = _broadcast(name, batch1, batch2)
        if batch1 != batch:
            raw1 = self._b.broadcast_to(raw1, batch + shape1[-2:])
        if batch2 != batch:
            raw2 = self._b.broadcast_to(raw2, batch + shape2[-2:])
        return raw1, raw2

    def matrix_transpose(self, x: Any) -> Array:
        """The last two axes exchanged; ValueError if there are fewer."""
        raw, dtype = self._strong("matrix_transpose", "fib", x)
        ndim = len(self._b.shape(raw))
        if ndim < 2:
            raise ValueError("xp.matrix_transpose takes two or more axes, not %d" % ndim)
        axes = (*range(ndim - 2), ndim - 1, ndim - 2)
        return Array(self, self._b.transpose(raw, axes), dtype)

    def tensordot(self, x1: Any, x2: Any, axes: Any = 2) -> Array:
        """The sum over the last `axes` axes of `x1` and first of `x2`, or over pairs of axes.

        `axes` is an int or a pair of sequences of ints. Floating arrays only.
        """
        (raw1, raw2), dtype = self._strongs("tensordot", "f", x1, x2)
        shape1, shape2 = self._b.shape(raw1), self._b.shape(raw2)
        if isinstance(axes, (int, np.integer)):
            first = tuple(range(len(shape1) - int(axes), len(shape1)))
            second = tuple(range(int(axes)))
        else:
            first, second = (self._axes(r, tuple(a)) for r, a in zip((raw1, raw2), axes))
        for a, b in zip(first, second):
            if None not in (shape1[a], shape2[b]) and shape1[a] != shape2[b]:
                raise ValueError("xp.tensordot of %r and %r over %r" % (shape1, shape2, axes))
        return Array(self, self._b.tensordot(raw1, raw2, (list(first), list(second))), dtype)

    def vecdot(self, x1: Any, x2: Any, axis: int = -1) -> Array:
        """The sum of products along one axis, the others broadcast."""
        return self.sum(self.multiply(x1, x2), axis=axis)

    # Shape

    def reshape(self, x: Any, shape: Shape) -> Array:
        """Another shape of as many elements; one dim may be -1."""
        raw, dtype = self._strong("reshape", "fib", x)
        dims = _dims(shape)
        old = self._b.shape(raw)
        if None not in old:
            known = _product([d for d in dims if d != -1])
            size = _product(old)
            if dims.count(-1) > 1 or ((known == 0 or size % known) if -1 in dims else size != known):
                raise ValueError("cannot reshape %r to %r" % (old, dims))
        return Array(self, self._b.reshape(raw, dims), dtype)

    def expand_dims(self, x: Any, axis: int = 0) -> Array:
        """A new axis of size 1 at `axis` of the result."""
        raw, dtype = self._strong("expand_dims", "fib", x)
        axis = _axis(axis, len(self._b.shape(raw)) + 1)
        return Array(self, self._b.expand_dims(raw, axis), dtype)

    def squeeze(self, x: Any, axis: Union[int, Tuple[int, ...]]) -> Array:
        """Without the given axes; ValueError if one is not of size 1."""
        raw, dtype = self._strong("squeeze", "fib", x)
        axes = self._axes(raw, axis)
        shape = self._b.shape(raw)
        for a in axes:
            if shape[a] not in (1, None):
                raise ValueError("cannot squeeze axis %d of shape %r" % (a, shape))
        return Array(self, self._b.squeeze(raw, axes) if axes else raw, dtype)

    def permute_dims(self, x: Any, axes: Tuple[int, ...]) -> Array:
        """The axes in another order."""
        raw, dtype = self._strong("permute_dims", "fib", x)
        order = self._axes(raw, tuple(axes))
        if len(order) != len(self._b.shape(raw)):
            raise ValueError("%r is no order of the axes of %r" % (axes, self._b.shape(raw)))
        return Array(self, self._b.transpose(raw, order), dtype)

    def moveaxis(self, x: Any, source: Axis, destination: Axis) -> Array:
        """Axes `source` moved to positions `destination`; the others keep their order."""
        raw, dtype = self._strong("moveaxis", "fib", x)
        if source is None or destination is None:
            raise TypeError("xp.moveaxis takes ints or tuples of ints")
        here, there = self._axes(raw, source), self._axes(raw, destination)
        if len(here) != len(there):
            raise ValueError("xp.moveaxis of %r to %r: as many of each" % (source, destination))
        order = [a for a in range(len(self._b.shape(raw))) if a not in here]
        for position, a in sorted(zip(there, here)):
            order.insert(position, a)
        return Array(self, self._b.transpose(raw, tuple(order)), dtype)

    def broadcast_to(self, x: Any, shape: Shape) -> Array:
        """Broadcast to a static shape."""
        raw, dtype = self._strong("broadcast_to", "fib", x)
        dims = _dims(shape)
        old = self._b.shape(raw)
        if None not in old and _broadcast("broadcast_to", old, dims) != dims:
            raise ValueError("cannot broadcast %r to %r" % (old, dims))
        return Array(self, self._b.broadcast_to(raw, dims), dtype)

    def concat(self, arrays: Sequence[Any], axis: Optional[int] = 0) -> Array:
        """The arrays joined along an axis; flattened first where it is None."""
        raws, dtype = self._several("concat", arrays)
        if axis is None:
            raws, axis = [self._b.reshape(raw, (-1,)) for raw in raws], 0
        ndim = len(self._b.shape(raws[0]))
        if not ndim:
            raise ValueError("xp.concat takes no 0-d arrays: use xp.stack")
        return Array(self, self._b.concat(raws, _axis(axis, ndim)), dtype)

    def stack(self, arrays: Sequence[Any], axis: int = 0) -> Array:
        """The arrays, of one shape, joined along a new axis."""
        raws, dtype = self._several("stack", arrays)
        axis = _axis(axis, len(self._b.shape(raws[0])) + 1)
        return Array(self, self._b.stack(raws, axis), dtype)

    def _several(self, name: str, arrays: Sequence[Any]) -> Tuple[List[Any], Any]:
        if not isinstance(arrays, (list, tuple)) or not arrays:
            raise TypeError("xp.%s takes a list or tuple of arrays, at least one" % name)
        return self._strongs(name, "fib", *arrays)

    def unstack(self, x: Any, axis: int = 0) -> Tuple[Array, ...]:
        """The slices along an axis, without it."""
        raw, dtype = self._strong("unstack", "fib", x)
        shape = self._b.shape(raw)
        axis = _axis(axis, len(shape))
        if shape[axis] is None:
            raise ValueError("xp.unstack needs axis %d of %r static" % (axis, shape))
        head = (slice(None),) * axis
        return tuple(Array(self, self._b.getitem(raw, (*head, i)), dtype) for i in range(shape[axis]))

    def flip(self, x: Any, axis: Axis = None) -> Array:
        """Reversed along axes; all of them if None."""
        raw, dtype = self._strong("flip", "fib", x)
        axes = self._axes(raw, axis)
        return Array(self, self._b.flip(raw, axes) if axes else raw, dtype)

    def roll(self, x: Any, shift: Union[int, Tuple[int, ...]], axis: Axis = None) -> Array:
        """Rolled along axes; the flattened array is, and gets its shape back, if None."""
        raw, dtype = self._strong("roll", "fib", x)
        if axis is None:
            shape = self._static("roll", raw)
            flat = self._b.roll(self._b.reshape(raw, (-1,)), (int(shift),), (0,))  # type: ignore
            return Array(self, self._b.reshape(flat, shape), dtype)
        axes = self._axes(raw, axis)
        shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
        if len(shifts) != len(axes):
            raise ValueError("xp.roll by %r along %r: as many of each" % (shift, axis))
        return Array(self, self._b.roll(raw, shifts, axes), dtype)

    def tile(self, x: Any, repetitions: Tuple[int, ...]) -> Array:
        """The whole repeated along each axis; missing axes and counts are added in front."""
        raw, dtype = self._strong("tile", "fib", x)
        counts = _dims(repetitions)
        ndim = len(self._b.shape(raw))
        counts = (1,) * (ndim - len(counts)) + counts
        for _ in range(len(counts) - ndim):
            raw = self._b.expand_dims(raw, 0)
        return Array(self, self._b.tile(raw, counts) if counts else raw, dtype)

    def repeat(self, x: Any, repeats: Union[int, Sequence[int]], axis: Optional[int] = None) -> Array:
        """Each element repeated along an axis, `repeats` times or that many times each.

        Of the flattened array where `axis` is None. `repeats` is static: an int or a list of ints.
        """
        raw, dtype = self._strong("repeat", "fib", x)
        if axis is None:
            raw, axis = self._b.reshape(raw, (-1,)), 0
        axis = _axis(axis, len(self._b.shape(raw)))
        n = self._b.shape(raw)[axis]
        if n is None:
            raise ValueError("xp.repeat needs a static shape and this is %r" % (self._b.shape(raw),))
        if isinstance(repeats, Array):
            raise TypeError("xp.repeat takes an int or a list of ints (the shape is static)")
        index = np.repeat(np.arange(n), repeats)
        where = self._b.constant(index, self.int64)
        return Array(self, self._b.take(raw, where, axis), dtype)


class Linalg:
    """`xp.linalg`. Matrices are the last two axes, floating; axes before them are batches."""

    def __init__(self, ns: Namespace) -> None:
        """For `Namespace`."""
        self._ns = ns
        self._b = ns._b
        self.matmul = ns.matmul
        self.matrix_transpose = ns.matrix_transpose
        self.tensordot = ns.tensordot
        self.vecdot = ns.vecdot

    def __getattr__(self, name: str) -> NoReturn:
        _no_such_name("xp.linalg", name, LINALG_NAMES)

    def __dir__(self) -> List[str]:
        return list(LINALG_NAMES)

    def _matrix(self, name: str, x: Any, square: bool = False) -> Tuple[Any, Any]:
        raw, dtype = self._ns._strong("linalg." + name, "f", x)
        shape = self._b.shape(raw)
        if len(shape) < 2:
            raise ValueError("xp.linalg.%s takes matrices, not shape %r" % (name, shape))
        if square and None not in shape[-2:] and shape[-1] != shape[-2]:
            raise ValueError("xp.linalg.%s takes square matrices, not shape %r" % (name, shape))
        return raw, dtype

    def vector_norm(self, x: Any, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Array:
        """The norm over axes, all of them if None; `ord` is 1, 2, inf, -inf, 0 or another power."""
        ns = self._ns
        if ord == 2:
            return ns.sqrt(ns.sum(ns.square(x), axis=axis, keepdims=keepdims))
        size = ns.abs(x)
        if ord == math.inf:
            return ns.max(size, axis=axis, keepdims=keepdims)
        if ord == -math.inf:
            return ns.min(size, axis=axis, keepdims=keepdims)
        if ord == 1:
            return ns.sum(size, axis=axis, keepdims=keepdims)
        if ord == 0:
            count = ns.astype(ns.not_equal(size, 0), size.dtype)
            return ns.sum(count, axis=axis, keepdims=keepdims)
        return ns.sum(size**ord, axis=axis, keepdims=keepdims) ** (1.0 / ord)

    def matrix_norm(self, x: Any, keepdims: bool = False, ord: Any = "fro") -> Array:
        """The norm of matrices: `ord` is "fro", "nuc", 1, 2, inf or the negative of these three."""
        ns = self._ns
        self._matrix("matrix_norm", x)
        if ord == "fro":
            return self.vector_norm(x, axis=(-2, -1), keepdims=keepdims)
        if ord in ("nuc", 2, -2):
            values = self.svdvals(x)
            if ord == "nuc":
                made = ns.sum(values, axis=-1)
            else:
                made = (ns.max if ord == 2 else ns.min)(values, axis=-1)
        elif ord in (1, -1, math.inf, -math.inf):
            sums = ns.sum(ns.abs(x), axis=-2 if abs(ord) == 1 else -1)
            made = (ns.max if ord > 0 else ns.min)(sums, axis=-1)
        else:
            raise ValueError("no matrix norm %r" % (ord,))
        return ns.expand_dims(ns.expand_dims(made, -1), -1) if keepdims else made

    def qr(self, x: Any, mode: str = "reduced") -> QRResult:
        """`x = Q @ R`; `mode` is "reduced" or "complete".

        The diagonal of R is not negative, on every backend: Q and R are then unique where x has
        full rank, so that a rule's numbers do not depend on the host's sign convention.
        """
        ns, b = self._ns, self._b
        raw, dtype = self._matrix("qr", x)
        if mode not in ("reduced", "complete"):
            raise ValueError("mode is 'reduced' or 'complete', not %r" % (mode,))
        q, r = b.qr(raw, mode == "complete")
        diagonal = b.diagonal(r)
        one = b.full((), 1, dtype, raw)
        sign = b.where(ns._ops["less"](diagonal, b.full((), 0, dtype, raw)), ns._ops["negative"](one), one)
        k, columns = b.shape(sign)[-1], b.shape(q)[-1]
        if mode == "complete":
            if None in (k, columns):
                raise ValueError("xp.linalg.qr(mode='complete') needs a static shape")
            if columns > k:
                batch = ns._static("linalg.qr", sign)[:-1]
                sign = b.concat([sign, b.full((*batch, columns - k), 1, dtype, raw)], len(batch))
        ndim = len(b.shape(sign))
        q = ns._ops["multiply"](q, b.expand_dims(sign, ndim - 1))
        r = ns._ops["multiply"](r, b.expand_dims(sign, ndim))
        return QRResult(Array(ns, q, dtype), Array(ns, r, dtype))

    def svd(self, x: Any, full_matrices: bool = True) -> SVDResult:
        """U, S (descending) and Vh; the signs of the vectors are the host's."""
        raw, dtype = self._matrix("svd", x)
        made = self._b.svd(raw, bool(full_matrices))
        return SVDResult(*(Array(self._ns, r, dtype) for r in made))

    def svdvals(self, x: Any) -> Array:
        """The singular values, descending."""
        raw, dtype = self._matrix("svdvals", x)
        return Array(self._ns, self._b.svdvals(raw), dtype)

    def eigh(self, x: Any) -> EighResult:
        """Eigenvalues (ascending) and eigenvectors of symmetric matrices; signs are the host's."""
        raw, dtype = self._matrix("eigh", x, square=True)
        values, vectors = self._b.eigh(raw)
        return EighResult(Array(self._ns, values, dtype), Array(self._ns, vectors, dtype))

    def inv(self, x: Any) -> Array:
        """The inverse; of a singular matrix, the host's error."""
        raw, dtype = self._matrix("inv", x, square=True)
        return Array(self._ns, self._b.inv(raw), dtype)

    def det(self, x: Any) -> Array:
        """The determinant."""
        raw, dtype = self._matrix("det", x, square=True)
        return Array(self._ns, self._b.det(raw), dtype)

    def cholesky(self, x: Any, upper: bool = False) -> Array:
        """The lower (or upper) factor of a positive definite matrix, else the host's error."""
        raw, dtype = self._matrix("cholesky", x, square=True)
        made = Array(self._ns, self._b.cholesky(raw), dtype)
        return self._ns.matrix_transpose(made) if upper else made

    def solve(self, x1: Any, x2: Any) -> Array:
        """`y` where `x1 @ y = x2`; `x2` is one vector (1-D) or matrices."""
        ns, b = self._ns, self._b
        (raw1, raw2), dtype = ns._strongs("linalg.solve", "f", x1, x2)
        self._matrix("solve", x1, square=True)
        vector = len(b.shape(raw2)) == 1
        if vector:
            raw2 = b.expand_dims(raw2, 1)
        made = b.solve(*ns._same_batch("linalg.solve", raw1, raw2))
        if vector:
            made = b.squeeze(made, (len(b.shape(made)) - 1,))
        return Array(ns, made, dtype)

    def diagonal(self, x: Any, offset: int = 0) -> Array:
        """The diagonals, `offset` above the main one."""
        raw, dtype = self._ns._strong("linalg.diagonal", "fib", x)
        if len(self._b.shape(raw)) < 2:
            raise ValueError("xp.linalg.diagonal takes matrices, not %r" % (self._b.shape(raw),))
        if offset > 0:
            raw = self._b.getitem(raw, (Ellipsis, slice(None), slice(offset, None)))
        elif offset < 0:
            raw = self._b.getitem(raw, (Ellipsis, slice(-offset, None), slice(None)))
        return Array(self._ns, self._b.diagonal(raw), dtype)

    def trace(self, x: Any, offset: int = 0, dtype: Any = None) -> Array:
        """The sum of a diagonal."""
        return self._ns.sum(self.diagonal(x, offset), axis=-1, dtype=dtype)

    def outer(self, x1: Any, x2: Any) -> Array:
        """The outer product of two vectors."""
        ns = self._ns
        (raw1, raw2), dtype = ns._strongs("linalg.outer", "fi", x1, x2)
        if len(self._b.shape(raw1)) != 1 or len(self._b.shape(raw2)) != 1:
            raise ValueError("xp.linalg.outer takes vectors (1-D)")
        raw1, raw2 = self._b.expand_dims(raw1, 1), self._b.expand_dims(raw2, 0)
        return Array(ns, ns._ops["multiply"](raw1, raw2), dtype)


# `Namespace` has attributes of these names, and its methods mean the builtins.
any_, all_, max_ = any, all, max


def _is_number(obj: Any) -> bool:
    """A Python or NumPy real number (a bool is one)."""
    return isinstance(obj, (float, int, np.floating, np.integer, np.bool_))


def _as_float(value: Any) -> Any:
    """As np.float64; an int that is too large is infinite."""
    try:
        return np.float64(value)
    except OverflowError:
        return np.float64(math.copysign(math.inf, value))


def _what(obj: Any) -> str:
    """An object in an error message."""
    kind = type(obj)
    name = kind.__name__ if kind.__module__ == "builtins" else kind.__module__ + "." + kind.__name__
    text = repr(obj) if isinstance(obj, (str, type(None))) else ""
    return (name + " " + text).strip()


def _no_such_name(where: str, name: str, names: Sequence[str]) -> NoReturn:
    if name.startswith("_"):
        raise AttributeError(name)
    known = {n: where + "." + n for n in names}
    if where == "xp":
        for n in LINALG_NAMES:
            known.setdefault(n, "xp.linalg." + n)
    else:
        for n in NAMES:
            known.setdefault(n, "xp." + n)
    if name in known:
        nearest = [known[name]]
    elif name in _KNOWN_AS:
        nearest = ["xp." + _KNOWN_AS[name]]
    else:
        nearest = [known[n] for n in difflib.get_close_matches(name, list(known), 1)]
    hint = "; did you mean %s?" % nearest[0] if nearest else "."
    raise AttributeError(
        "no %s.%s%s There are, by the names of the Python array API standard: %s"
        % (where, name, hint, ", ".join(names))
    )


def _axis(axis: Any, ndim: int) -> int:
    """An axis counted from the front."""
    if isinstance(axis, bool):
        raise TypeError("an axis is an int, not a bool")
    found = operator.index(axis)
    if not -ndim <= found < ndim:
        raise ValueError("axis %d of an array of %d dimensions" % (found, ndim))
    return found % ndim


def _dims(shape: Any) -> Tuple[int, ...]:
    """A static shape as a tuple of ints."""
    if type(shape) is Array:
        raise TypeError("a shape is an int or a tuple of ints, not an array")
    if isinstance(shape, (int, np.integer)):
        return (int(shape),)
    dims = tuple(shape)
    if None in dims:
        raise TypeError("a shape is static here, and %r has an unknown dimension" % (dims,))
    return tuple(operator.index(d) for d in dims)


def _product(dims: Sequence[int]) -> int:
    product = 1
    for dim in dims:
        product *= dim
    return product


def _broadcast(name: str, shape1: Tuple[int, ...], shape2: Tuple[int, ...]) -> Tuple[int, ...]:
    """The shape of two static shapes broadcast."""
    ndim = max(len(shape1), len(shape2))
    made = []
    for a, b in zip((1,) * (ndim - len(shape1)) + shape1, (1,) * (ndim - len(shape2)) + shape2):
        if a != b and 1 not in (a, b):
            raise ValueError("xp.%s: cannot broadcast %r with %r" % (name, shape1, shape2))
        made.append(b if a == 1 else a)
    return tuple(made)


def _from_lists(obj: Any) -> np.ndarray:
    """A NumPy array of numbers or nested lists of numbers."""
    if isinstance(obj, (list, tuple)) and _has_array(obj):
        raise TypeError("xp.asarray takes no lists of arrays: use xp.stack")
    if not _is_number(obj) and not isinstance(obj, (list, tuple)):
        raise TypeError("xp.asarray takes numbers, lists of numbers and arrays, not %s" % _what(obj))
    try:
        value = np.array(obj)
    except ValueError as error:
        raise ValueError("xp.asarray: the lists are not of one shape") from error
    return value.astype(np.float64) if value.size == 0 else value


def _has_array(obj: Any) -> bool:
    if isinstance(obj, (list, tuple)):
        return any(_has_array(item) for item in obj)
    return type(obj) is Array


def _basic_key(key: Any, shape: Tuple[Any, ...]) -> Tuple[Any, ...]:
    """An index checked against a shape, as a tuple of ints, slices, None and `...`.

    Hosts differ in what they raise, and some in whether they do.
    """
    items = key if isinstance(key, tuple) else (key,)
    made: List[Any] = []
    for item in items:
        if item is None or item is Ellipsis:
            made.append(item)
        elif isinstance(item, slice):
            ends = (item.start, item.stop, item.step)
            made.append(slice(*(None if v is None else operator.index(v) for v in ends)))
        elif isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            made.append(int(item))
        else:
            raise TypeError(
                "an array is indexed by ints, slices, None, ..., tuples of them, or one array of "
                "ints, not by %s: use xp.take(x, indices, axis)" % _what(item)
            )
    if made.count(Ellipsis) > 1:
        raise IndexError("an index has one ... at most")
    used = sum(1 for item in made if item is not None and item is not Ellipsis)
    if used > len(shape):
        raise IndexError("%d indices for an array of %d dimensions" % (used, len(shape)))
    axis = 0
    for item in made:
        if item is None:
            continue
        if item is Ellipsis:
            axis += len(shape) - used
            continue
        if isinstance(item, int) and shape[axis] is not None:
            if not -shape[axis] <= item < shape[axis]:
                raise IndexError("index %d of axis %d of shape %r" % (item, axis, shape))
        axis += 1
    return tuple(made)

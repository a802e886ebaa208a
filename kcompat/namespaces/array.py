"""`Array`: the immutable proxy through which a rule sees a backend's array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Optional, Tuple

if TYPE_CHECKING:
    from .base import Namespace

__all__ = ["Array", "weak_value"]

_NO_VALUE = (
    "%s: the value of an array is not known while a rule runs (it may be a node of a graph), so a "
    "rule may not branch on it or convert it. Use xp.where(condition, a, b) in place of `if`, and "
    "xp.astype(x, dtype) in place of float() and int(); static shapes (x.shape) may be branched on "
    "and looped over."
)


class Array:
    """An array of some backend, with the operators and semantics of the array API standard.

    Made by a namespace (`xp.wrap`, `xp.asarray`, `xp.scalar`, every function of `xp`), never
    directly. Immutable: there is no item assignment, and `x += y` binds a new array to `x`.

    Dtypes are strict, the same on every backend: two arrays of different dtypes do not mix
    (TypeError; use `xp.astype`), nor do booleans with numbers, nor a float with an integer array.
    Python and NumPy numbers take the dtype of the array they meet.

    A *weak scalar* (`xp.scalar`) is 0-d, is computed with in float64, and reports the compute dtype
    as its own. Weak scalars and Python numbers combine to weak scalars; when one meets another
    floating array it is rounded to that array's dtype, once.
    """

    # `_dtype` is the backend's dtype, or None for a weak scalar. It is kept here because asking a
    # TensorFlow tensor for its dtype costs more than the rest of an operation's overhead.
    __slots__ = ("_dtype", "_ns", "_raw")

    # NumPy arrays and scalars on the left of an operator leave the operation to this class.
    __array_ufunc__ = None

    def __init__(self, ns: Namespace, raw: Any, dtype: Optional[Any]) -> None:
        """For namespaces only: `raw` is a backend array of `dtype`, or a weak scalar if None."""
        self._ns = ns
        self._raw = raw
        self._dtype = dtype

    # What it is

    @property
    def shape(self) -> Tuple[Any, ...]:
        """A tuple of ints; None for a dimension that a TensorFlow graph does not know."""
        return self._ns._shape(self)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._ns._shape(self))

    @property
    def size(self) -> Optional[int]:
        """The number of elements; None where a dimension is unknown."""
        size = 1
        for dim in self._ns._shape(self):
            if dim is None:
                return None
            size *= dim
        return size

    @property
    def dtype(self) -> Any:
        """The backend's dtype, as `xp.float32` is; a weak scalar's is the compute dtype."""
        return self._ns.compute_dtype if self._dtype is None else self._dtype

    @property
    def T(self) -> Array:
        """The transpose of a matrix; ValueError unless 2-D (use `.mT` or `xp.permute_dims`)."""
        if self.ndim != 2:
            raise ValueError(
                "x.T is for 2-D arrays and this one has shape %r: use x.mT (last two axes) or "
                "xp.permute_dims(x, axes)" % (self.shape,)
            )
        return self._ns.matrix_transpose(self)

    @property
    def mT(self) -> Array:
        """The array with its last two axes exchanged; ValueError if it has fewer than two."""
        return self._ns.matrix_transpose(self)

    def __getitem__(self, key: Any) -> Array:
        """Index by ints, slices, None, `...`, a tuple of them, or an array of ints (axis 0)."""
        return self._ns._getitem(self, key)

    def __repr__(self) -> str:
        weak = ", weak" if self._dtype is None else ""
        return "Array(%r%s)" % (self._raw, weak)

    # Arithmetic

    def __add__(self, other: Any) -> Array:
        return self._ns.add(self, other)

    def __radd__(self, other: Any) -> Array:
        return self._ns.add(other, self)

    def __sub__(self, other: Any) -> Array:
        return self._ns.subtract(self, other)

    def __rsub__(self, other: Any) -> Array:
        return self._ns.subtract(other, self)

    def __mul__(self, other: Any) -> Array:
        return self._ns.multiply(self, other)

    def __rmul__(self, other: Any) -> Array:
        return self._ns.multiply(other, self)

    def __truediv__(self, other: Any) -> Array:
        return self._ns.divide(self, other)

    def __rtruediv__(self, other: Any) -> Array:
        return self._ns.divide(other, self)

    def __floordiv__(self, other: Any) -> Array:
        return self._ns.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Array:
        return self._ns.floor_divide(other, self)

    def __mod__(self, other: Any) -> Array:
        return self._ns.remainder(self, other)

    def __rmod__(self, other: Any) -> Array:
        return self._ns.remainder(other, self)

    def __pow__(self, other: Any) -> Array:
        return self._ns.pow(self, other)

    def __rpow__(self, other: Any) -> Array:
        return self._ns.pow(other, self)

    def __matmul__(self, other: Any) -> Array:
        return self._ns.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Array:
        return self._ns.matmul(other, self)

    def __neg__(self) -> Array:
        return self._ns.negative(self)

    def __pos__(self) -> Array:
        return self._ns.positive(self)

    def __abs__(self) -> Array:
        return self._ns.abs(self)

    # Comparison

    def __eq__(self, other: Any) -> Array:  # type: ignore[override]
        return self._ns.equal(self, other)

    def __ne__(self, other: Any) -> Array:  # type: ignore[override]
        return self._ns.not_equal(self, other)

    def __lt__(self, other: Any) -> Array:
        return self._ns.less(self, other)

    def __le__(self, other: Any) -> Array:
        return self._ns.less_equal(self, other)

    def __gt__(self, other: Any) -> Array:
        return self._ns.greater(self, other)

    def __ge__(self, other: Any) -> Array:
        return self._ns.greater_equal(self, other)

    __hash__ = None  # type: ignore[assignment]

    # Logic, on booleans only

    def __and__(self, other: Any) -> Array:
        return self._ns.logical_and(self, other)

    def __rand__(self, other: Any) -> Array:
        return self._ns.logical_and(other, self)

    def __or__(self, other: Any) -> Array:
        return self._ns.logical_or(self, other)

    def __ror__(self, other: Any) -> Array:
        return self._ns.logical_or(other, self)

    def __xor__(self, other: Any) -> Array:
        return self._ns.logical_xor(self, other)

    def __rxor__(self, other: Any) -> Array:
        return self._ns.logical_xor(other, self)

    def __invert__(self) -> Array:
        return self._ns.logical_not(self)

    # What a rule may not do

    def __bool__(self) -> NoReturn:
        raise TypeError(_NO_VALUE % "bool(array)")

    def __float__(self) -> NoReturn:
        raise TypeError(_NO_VALUE % "float(array)")

    def __int__(self) -> NoReturn:
        raise TypeError(_NO_VALUE % "int(array)")

    def __index__(self) -> NoReturn:
        raise TypeError(_NO_VALUE % "an array used as a Python index")

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "an array cannot be iterated over: use xp.unstack(x, axis=0), or loop over "
            "range(x.shape[0]) and index"
        )

    def __len__(self) -> NoReturn:
        raise TypeError("an array of xp has no len(), use x.shape[0]; it is for xp's functions")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            "this array belongs to xp and is not a NumPy array: use the functions of xp (xp.sqrt, "
            "xp.where, ...) in place of NumPy's or TensorFlow's"
        )


def weak_value(scalar: Array) -> Any:
    """What a weak scalar holds: a Python float where it is known now, else a 0-d float64 backend array."""
    return scalar._raw

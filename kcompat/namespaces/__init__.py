"""`xp`: the array vocabulary that update rules are written in, the same names on every backend.

`namespace("numpy")` and `namespace("tensorflow", "float64")` answer with objects that have exactly
the names `NAMES` (and, under `.linalg`, `LINALG_NAMES`), with the semantics of the Python array API
standard. Importing this package imports no framework; asking for a namespace imports its own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, Tuple

if TYPE_CHECKING:
    from .array import Array
    from .base import Namespace

__all__ = ["BACKENDS", "LINALG_NAMES", "NAMES", "Array", "Namespace", "namespace"]

#: The backends there are; each is the module of that name in this package.
BACKENDS: Tuple[str, ...] = ("numpy", "tensorflow", "jax", "torch")

#: The public names of every namespace.
NAMES: Tuple[str, ...] = (
    # constants
    "e",
    "inf",
    "nan",
    "newaxis",
    "pi",
    # data types
    "bool",
    "float32",
    "float64",
    "int32",
    "int64",
    # creation
    "arange",
    "asarray",
    "eye",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
    # data type functions
    "astype",
    "finfo",
    # element by element
    "abs",
    "acos",
    "add",
    "asin",
    "atan",
    "atan2",
    "ceil",
    "clip",
    "copysign",
    "cos",
    "cosh",
    "divide",
    "equal",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log10",
    "log1p",
    "log2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "positive",
    "pow",
    "reciprocal",
    "remainder",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
    "where",
    # one of two functions
    "cond",
    # reductions, searching, sorting
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "cumulative_sum",
    "max",
    "mean",
    "min",
    "prod",
    "sort",
    "std",
    "sum",
    "take",
    "var",
    # linear algebra
    "linalg",
    "matmul",
    "matrix_transpose",
    "tensordot",
    "vecdot",
    # shape
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "moveaxis",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tile",
    "unstack",
)

#: The public names of every namespace's `linalg`.
LINALG_NAMES: Tuple[str, ...] = (
    "cholesky",
    "det",
    "diagonal",
    "eigh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_transpose",
    "outer",
    "qr",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
)

_CACHE: Dict[Tuple[str, str], Namespace] = {}


def namespace(backend: str, dtype: str = "float32") -> Namespace:
    """The namespace `xp` of a backend; the same object every time.

    `backend` is one of `BACKENDS`; `dtype` is the compute dtype, "float32" (the default) or
    "float64", in which rules are handed their arrays and which `xp.zeros` and its like default to.
    Raises ValueError for another backend or dtype, and for float64 on JAX while its setting
    jax_enable_x64 is off; ImportError where the backend's framework is not installed.
    """
    key = (backend, dtype)
    found = _CACHE.get(key)
    if found is not None:
        return found
    if backend not in BACKENDS:
        raise ValueError("no backend %r; there are %s" % (backend, ", ".join(BACKENDS)))
    if dtype not in ("float32", "float64"):
        raise ValueError("the compute dtype is 'float32' or 'float64', not %r" % (dtype,))
    from .base import Namespace

    raw = import_module("." + backend, __name__).BACKEND
    return _CACHE.setdefault(key, Namespace(raw.computing_in(dtype), dtype))


def __getattr__(name: str) -> Any:
    """`Array` and `Namespace`, imported when first asked for."""
    if name == "Array":
        from .array import Array

        return Array
    if name == "Namespace":
        from .base import Namespace

        return Namespace
    raise AttributeError("module %r has no attribute %r" % (__name__, name))

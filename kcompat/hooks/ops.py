"""`keras.ops` for optimizers of Keras 3 where Keras has none: its names, on TensorFlow's tensors.

What is here is what update rules are written in. A name that is not raises an AttributeError that lists them.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, List, Optional

import tensorflow as tf


def _same(*names: str) -> Dict[str, Any]:
    return {name: getattr(tf.math, name, None) or getattr(tf, name) for name in names}


def _dtype(value: Any) -> Any:
    return tf.as_dtype(getattr(value, "dtype", value)).base_dtype


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A function of two arguments, of which numbers take the dtype of the other."""

    @functools.wraps(function)
    def on_both(x1: Any, x2: Any) -> Any:
        first, second = hasattr(x1, "dtype"), hasattr(x2, "dtype")
        if first and not second:
            x2 = tf.cast(x2, _dtype(x1))
        elif second and not first:
            x1 = tf.cast(x1, _dtype(x2))
        elif first and second and _dtype(x1) != _dtype(x2):
            x2 = tf.cast(x2, _dtype(x1)) if _dtype(x1).is_floating else x2
            x1 = tf.cast(x1, _dtype(x2)) if not _dtype(x1).is_floating else x1
        return function(tf.convert_to_tensor(x1), tf.convert_to_tensor(x2))

    return on_both


def _unary(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def on_tensor(x: Any, *args: Any, **kwargs: Any) -> Any:
        return function(tf.convert_to_tensor(x), *args, **kwargs)

    return on_tensor


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def reduced(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return function(tf.convert_to_tensor(x), axis=axis, keepdims=keepdims)

    return reduced


def cast(x: Any, dtype: Any) -> Any:
    """The array in another dtype."""
    return tf.cast(x, _dtype(dtype))


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None) -> Any:
    """A tensor of a number, array or variable."""
    return tf.convert_to_tensor(x) if dtype is None else tf.cast(x, _dtype(dtype))


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """Elements of x1 where the condition holds, else of x2."""
    dtype = _dtype(x1 if hasattr(x1, "dtype") else x2)
    x1, x2 = tf.cast(x1, dtype), tf.cast(x2, dtype)
    # Up to TensorFlow 1.15, tf.where() does not broadcast.
    chosen = tf.cast(condition, tf.bool)
    shape = tf.broadcast_dynamic_shape(tf.shape(x1), tf.shape(x2))
    shape = tf.broadcast_dynamic_shape(shape, tf.shape(chosen))
    chosen = tf.logical_and(chosen, tf.fill(shape, True))
    return tf.where(chosen, tf.broadcast_to(x1, shape), tf.broadcast_to(x2, shape))


def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """The array within bounds."""
    return minimum(maximum(x, x_min), x_max)


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """One of two functions' results."""
    return tf.cond(tf.cast(pred, tf.bool), true_fn, false_fn)


def zeros(shape: Any, dtype: Any = None) -> Any:
    """Zeros, float32 by default."""
    return tf.zeros(shape, _dtype(dtype or "float32"))


def ones(shape: Any, dtype: Any = None) -> Any:
    """Ones, float32 by default."""
    return tf.ones(shape, _dtype(dtype or "float32"))


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """An array of one value, in the shape of another."""
    return tf.ones_like(x) * tf.cast(fill_value, _dtype(dtype or x))


def norm(x: Any, ord: Optional[Any] = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A vector's or matrix' norm."""
    return tf.norm(tf.convert_to_tensor(x), ord=ord or "euclidean", axis=axis, keepdims=keepdims)


def shape(x: Any) -> Any:
    """The shape of an array, a tuple; None for what is not known."""
    return tuple(tf.TensorShape(x.shape).as_list())


def reshape(x: Any, newshape: Any) -> Any:
    """The array in another shape."""
    return tf.reshape(x, newshape)


def stop_gradient(variable: Any) -> Any:
    """The array, through which no gradient goes."""
    return tf.stop_gradient(tf.convert_to_tensor(variable))


maximum = _binary(tf.maximum)
minimum = _binary(tf.minimum)

_TABLE: Dict[str, Any] = {
    "add": _binary(tf.add),
    "subtract": _binary(tf.subtract),
    "multiply": _binary(tf.multiply),
    "divide": _binary(tf.truediv),
    "true_divide": _binary(tf.truediv),
    "power": _binary(tf.pow),
    "mod": _binary(_same("floormod")["floormod"]),
    "floor_divide": _binary(_same("floordiv")["floordiv"]),
    "greater": _binary(tf.greater),
    "greater_equal": _binary(tf.greater_equal),
    "less": _binary(tf.less),
    "less_equal": _binary(tf.less_equal),
    "equal": _binary(tf.equal),
    "not_equal": _binary(tf.not_equal),
    "logical_and": tf.logical_and,
    "logical_or": tf.logical_or,
    "logical_not": tf.logical_not,
    "sum": _reduction(tf.reduce_sum),
    "mean": _reduction(tf.reduce_mean),
    "max": _reduction(tf.reduce_max),
    "min": _reduction(tf.reduce_min),
    "prod": _reduction(tf.reduce_prod),
    "any": _reduction(tf.reduce_any),
    "all": _reduction(tf.reduce_all),
    "absolute": _unary(tf.abs),
    "zeros_like": _unary(tf.zeros_like),
    "ones_like": _unary(tf.ones_like),
    "transpose": _unary(lambda x, axes=None: tf.transpose(x, perm=axes)),
    "expand_dims": _unary(tf.expand_dims),
    "squeeze": _unary(tf.squeeze),
    "matmul": _binary(tf.matmul),
    "concatenate": lambda xs, axis=-1: tf.concat(xs, axis),
    "stack": lambda xs, axis=0: tf.stack(xs, axis),
    "rsqrt": _unary(tf.math.rsqrt),
    "isnan": _unary(tf.math.is_nan),
    "isfinite": _unary(tf.math.is_finite),
    "log1p": _unary(tf.math.log1p),
    "sigmoid": _unary(tf.sigmoid),
}
_TABLE.update(
    (name, _unary(function))
    for name, function in _same(
        "sqrt",
        "square",
        "abs",
        "exp",
        "log",
        "sign",
        "floor",
        "ceil",
        "round",
        "tanh",
        "negative",
        "reciprocal",
    ).items()
)
globals().update(_TABLE)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        "keras.ops.{} is not carried over to this release, whose Keras has no ops; there are {}.".format(
            name, ", ".join(__dir__())
        )
    )


def __dir__() -> List[str]:
    own = (
        "cast",
        "convert_to_tensor",
        "where",
        "clip",
        "cond",
        "zeros",
        "ones",
        "full_like",
        "norm",
        "shape",
    )
    return sorted({*_TABLE, *own, "reshape", "stop_gradient", "maximum", "minimum"})

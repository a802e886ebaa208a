"""`keras.backend` as optimizers of `get_updates()` know it, on hosts whose steps are no graph of Keras'.

What makes, reads or writes a variable is here; the rest is the host's own. While a step collects what such a
class wants to write, `update()` and its like note it and `zeros()` and `variable()` give the optimizer's
state: everything is read before the first variable is written, as the formulas of such classes mean it.
At any other time they are the host's own.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import types
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from ..errors import HookError

_NO_SESSION = ("get_session", "function", "set_session", "eval")

_here = threading.local()


class Collector:
    """What a call of `get_updates()` makes and wants to write.

    Args:
        make: gives the variable for (index of the call, initial value, shape, dtype, name).
        gradients: the gradients of variables, for `gradients(loss, variables)`.
        counter: the host's counter of steps.
    """

    def __init__(
        self, make: Callable[..., Any], gradients: Callable[[Sequence[Any]], List[Any]], counter: Any
    ) -> None:
        self._make = make
        self.counter = counter
        self.gradients = gradients
        self.count = 0
        # (variable, its new value), in the order in which they are to be written.
        self.writes: List[Tuple[Any, Any]] = []

    def made(self, initial: Any, shape: Any, dtype: Any, name: Optional[str]) -> Any:
        """The next variable of this call."""
        self.count += 1
        return self._make(self.count - 1, initial, shape, dtype, name)


def collector() -> Optional[Collector]:
    """What collects here, or None."""
    return getattr(_here, "collector", None)


@contextlib.contextmanager
def collecting(into: Collector) -> Iterator[None]:
    """Lets `update()` and its like note what they are given."""
    before = collector()
    _here.collector = into
    try:
        yield
    finally:
        _here.collector = before


class Loss:
    """Stands for the loss, whose gradients are known already."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise HookError(
            "get_updates() uses the loss itself ({}), and not only get_gradients(loss, params): here a step "
            "is given gradients, and no loss.".format(name)
        )


# The host's own: with Keras 2's functions, and on Keras 3 the one that is public there, too.
_hosts: List[Any] = []


def _host() -> Any:
    if not _hosts:
        remember(tf.keras.backend)
    return _hosts[0]


def remember(real: Any) -> None:
    """Takes the host's `tf.keras.backend`, before this module stands in its place."""
    if _hosts or real is _MODULE:
        return
    if not hasattr(real, "update_add"):
        with contextlib.suppress(ImportError):
            _hosts.append(importlib.import_module("keras.src.legacy.backend"))
    _hosts.append(real)


def _dtype(dtype: Any) -> Any:
    return tf.as_dtype(dtype or _host().floatx()).base_dtype


# A variable's initial value, which a graph does not tell: on the variable.
_INITIAL = "_kc_initial"


def variable(value: Any, dtype: Any = None, name: Optional[str] = None, constraint: Any = None) -> Any:
    """A variable: of the optimizer, in its step."""
    here = collector()
    if here is None:
        made = _host().variable(value, dtype=dtype, name=name)
        if not hasattr(value, "dtype") or isinstance(value, (np.ndarray, np.generic)):
            setattr(made, _INITIAL, value)
        return made
    shape = np.shape(value) if not hasattr(value, "shape") else tuple(tf.TensorShape(value.shape).as_list())
    return here.made(value, shape, _dtype(dtype or _own_dtype(value)), name)


def _own_dtype(value: Any) -> Any:
    return getattr(value, "dtype", None)


def zeros(shape: Any, dtype: Any = None, name: Optional[str] = None) -> Any:
    """A variable of zeros."""
    here = collector()
    if here is None:
        return _host().zeros(shape, dtype=dtype, name=name)
    return here.made("zeros", _shape(shape), _dtype(dtype), name)


def ones(shape: Any, dtype: Any = None, name: Optional[str] = None) -> Any:
    """A variable of ones."""
    here = collector()
    if here is None:
        return _host().ones(shape, dtype=dtype, name=name)
    return here.made("ones", _shape(shape), _dtype(dtype), name)


def _shape(shape: Any) -> Tuple[int, ...]:
    return (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(size) for size in shape)


def eye(size: Any, dtype: Any = None, name: Optional[str] = None) -> Any:
    """A variable that is the identity matrix, or what a pair of sizes gives."""
    rows, columns = size if isinstance(size, (tuple, list)) else (size, size)
    return variable(np.eye(rows, columns), dtype or _host().floatx(), name)


def get_value(x: Any) -> Any:
    """A variable's value; in a step, where that may not be known, what it will start from."""
    if collector() is not None and hasattr(x, "assign"):
        with tf.init_scope():
            return x.numpy() if tf.executing_eagerly() else x
    if not tf.executing_eagerly() and hasattr(x, _INITIAL) and tf.compat.v1.get_default_session() is None:
        return np.asarray(getattr(x, _INITIAL), x.dtype.base_dtype.as_numpy_dtype)
    return x.numpy() if hasattr(x, "numpy") and tf.executing_eagerly() else _host().get_value(x)


def _noted(x: Any, value: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    here = collector()
    if here is None:
        return otherwise()
    new = as_read(value(), x)
    here.writes.append((x, new))
    return new


def as_read(value: Any, variable: Any) -> Any:
    """A new value of the variable, a tensor."""
    # tf.cast gives back a variable of this dtype, which would be read when others are written already.
    return tf.convert_to_tensor(tf.cast(value, variable.dtype.base_dtype))


def update(x: Any, new_x: Any) -> Any:
    """Writes `new_x` into the variable `x`: in a step once everything is read. Returns its new value."""
    return _noted(x, lambda: new_x, lambda: _host().update(x, new_x))


def update_add(x: Any, increment: Any) -> Any:
    """Adds to a variable, as `update`."""
    return _noted(
        x, lambda: x + tf.cast(increment, x.dtype.base_dtype), lambda: _host().update_add(x, increment)
    )


def update_sub(x: Any, decrement: Any) -> Any:
    """Subtracts from a variable, as `update`."""
    return _noted(
        x, lambda: x - tf.cast(decrement, x.dtype.base_dtype), lambda: _host().update_sub(x, decrement)
    )


def moving_average_update(x: Any, value: Any, momentum: Any) -> Any:
    """Moves an average on, as `update`."""
    return _noted(
        x,
        lambda: x * momentum + value * (1.0 - momentum),
        lambda: _host().moving_average_update(x, value, momentum),
    )


def gradients(loss: Any, variables: Sequence[Any]) -> Any:
    """The gradients of this step."""
    here = collector()
    return _host().gradients(loss, variables) if here is None else here.gradients(variables)


def symbolic(func: Any) -> Any:
    """The function as it is: Keras 2.3's enters its graph."""
    return func


_RANDOM_VARIABLES = ("random_uniform_variable", "random_normal_variable")


class _Module(types.ModuleType):
    """This module's names, and the host's."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _NO_SESSION and collector() is not None:
            raise HookError(
                "keras.backend.{}() is called in get_updates(): here a step is no graph of Keras' "
                "session.".format(name)
            )
        if name in _RANDOM_VARIABLES and collector() is not None:
            raise HookError(
                "keras.backend.{}() is called in get_updates(): it makes a variable outside of the "
                "optimizer's state. Use K.variable(value), with an array as its initial value.".format(name)
            )
        _host()
        for host in _hosts[:-1]:
            if hasattr(host, name):
                return getattr(host, name)
        return getattr(_hosts[-1], name)


def module() -> Any:
    """What a package that is imported in `installed()` finds as `keras.backend`."""
    return _MODULE


_MODULE: Any = _Module("keras.backend", __doc__)
for _each in (
    variable,
    zeros,
    ones,
    eye,
    get_value,
    update,
    update_add,
    update_sub,
    moving_average_update,
    gradients,
    symbolic,
):
    setattr(_MODULE, _each.__name__, _each)

"""OptimizerV2 on the releases that have the whole of it: the host's class, and what came later."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import tensorflow as tf


class NativeOptimizerV2:
    """The base of optimizers that are written against OptimizerV2's hooks: the host's OptimizerV2 itself."""

    def add_slot(self, var: Any, slot_name: str, initializer: Any = "zeros", shape: Any = None) -> Any:
        """Creates a slot of a variable; `shape` is also taken before TensorFlow 2.5."""
        host: Any = super()
        if shape is None:
            return host.add_slot(var, slot_name, initializer)
        if "shape" in inspect.signature(host.add_slot).parameters:
            return host.add_slot(var, slot_name, initializer, shape)
        # The host gives any initial value to the slot, but takes the shape of a function's from the variable.
        if isinstance(initializer, str) or callable(initializer):
            initializer = tf.keras.initializers.get(initializer)
            initializer = functools.partial(initializer, tf.TensorShape(shape), dtype=var.dtype.base_dtype)()
        return host.add_slot(var, slot_name, initializer)

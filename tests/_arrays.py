"""Keras 3 on JAX and PyTorch, without TensorFlow: variables, gradients, and steps of an optimizer."""

from kcompat.testing.running import (
    Jitted,
    backend,
    has_float64,
    is_of_tensorflow,
)
from kcompat.testing.running import array_gradient as gradient
from kcompat.testing.running import array_to_numpy as to_numpy
from kcompat.testing.running import array_variable as variable

__all__ = [
    "Jitted",
    "backend",
    "gradient",
    "has_float64",
    "is_of_tensorflow",
    "on_tensorflow",
    "to_numpy",
    "variable",
]


def on_tensorflow(apis):
    """Those of the APIs whose variables are TensorFlow's here."""
    return [api for api in apis if backend(api) == "tensorflow"]

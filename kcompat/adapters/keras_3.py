"""The adapter for Keras 3's optimizer, on whichever backend Keras runs here."""

from __future__ import annotations

import importlib
from typing import Any

import keras

from ..errors import ApiNotAvailableError

# Keras' backend -> (module, class) of the adapter.
_BACKENDS = {
    "tensorflow": (".keras_3_tensorflow", "Keras3TensorFlowAdapter"),
    "jax": (".keras_3_jax", "Keras3JaxAdapter"),
    "torch": (".keras_3_torch", "Keras3TorchAdapter"),
}


def __getattr__(name: str) -> Any:
    """`Keras3Adapter`: the one for the backend that Keras runs on."""
    if name != "Keras3Adapter":
        raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))
    backend = keras.backend.backend()
    if backend not in _BACKENDS:
        raise ApiNotAvailableError(
            "Keras 3 runs on its backend {!r} here, on which nothing can be trained by kcompat. Set "
            "KERAS_BACKEND to one of {} before Keras is imported.".format(backend, ", ".join(_BACKENDS))
        )
    module, adapter = _BACKENDS[backend]
    return getattr(importlib.import_module(module, __package__), adapter)

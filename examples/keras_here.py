"""Which Keras an optimizer API belongs to here."""

import importlib
from typing import Any


def keras_of(public: str) -> Any:
    """Import the Keras that an API's base class is of: tf.keras, tf_keras or keras.

    Args:
        public: the public path of the base class, such as "tf.keras.optimizers.Optimizer".
    """
    path = public.partition(".optimizers")[0]
    if path.startswith("tf."):
        found = importlib.import_module("tensorflow")
        for name in path.split(".")[1:]:
            found = getattr(found, name)
        return found
    return importlib.import_module(path)

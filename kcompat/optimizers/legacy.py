"""Drop-in for `tf.keras.optimizers.legacy`: the optimizer classes of the API `optimizer_v2`.

In Keras 3, where that module raises, these raise too: there is no such API, unless tf_keras is installed.
"""

from __future__ import annotations

from .per_api import lazy_classes

__getattr__, __dir__ = lazy_classes(__name__, "optimizer_v2")

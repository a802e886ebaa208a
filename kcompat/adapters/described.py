"""What an optimizer says of itself where a Keras refuses it: whose it is, and what the others' models take.

Keras puts the optimizer's text into its error, so this is where the user reads what to do.
"""

from __future__ import annotations

import sys
from typing import Any, Optional, Tuple

from ..environment import APIS, detect, host_classes

# The packages that have Keras models of their own.
_KERAS = ("keras", "tf_keras")


def description(optimizer: Any, host: type) -> str:
    """One line about an optimizer.

    Args:
        optimizer: an adapter's instance.
        host: the host's class that it is a subclass of.
    """
    api, root = optimizer.api, _root(host)
    text = "{} of {}, an optimizer of {} (API {})".format(
        type(optimizer).__qualname__.rpartition(".")[2], _package(), _versioned(root, api), api
    )
    for other in _KERAS:
        if other == root or other not in sys.modules:
            continue
        serving = _serving(other)
        if serving is None:
            text += ". A model of {} takes none of {}'s; use tf.keras".format(_versioned(other), _package())
        elif api != "tf1" or serving[0] == "keras_3":  # models of Keras 2 take those of tf1, too
            text += ". A model of {} takes those of {}.optimizers.{}{}".format(
                _versioned(other), _package(), serving[0], serving[1]
            )
    return "<{}>".format(text)


def _serving(root: str) -> Optional[Tuple[str, str]]:
    """The API whose optimizers a Keras takes, and what else it needs; None if there is none."""
    default = detect().default
    for api in sorted(APIS, key=lambda api: (api == default, APIS.index(api)), reverse=True):
        roots = [_root(found) for _, found in host_classes(api)]
        if root in roots and api != "tf1":
            # Of several hosts of one API, tf.keras is the first.
            first = roots[0] == root
            return api, "" if first else ", with TF_USE_LEGACY_KERAS=1 set before TensorFlow is imported"
    return None


def _root(cls: type) -> str:
    return cls.__module__.split(".")[0]


def _package() -> str:
    return __name__.rpartition(".adapters.")[0]


def _versioned(root: str, api: str = "") -> str:
    if root.startswith("tensorflow"):  # tensorflow_core in 1.15 to 2.1
        version = sys.modules["tensorflow"].__version__
        return "{}TensorFlow {}".format("" if api == "tf1" else "tf.keras of ", version)
    return "{} {}".format(root, getattr(sys.modules[root], "__version__", "(unknown version)"))

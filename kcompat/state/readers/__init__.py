"""Optimizer state out of files that others wrote: TensorFlow's and Keras' own formats, of every generation."""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional, Sequence

from ...errors import StateError
from ..description import State
from .bundle import Bundle
from .found import Asked, Found
from .meaning import state_of


def read(
    path: Any,
    *,
    weights: bool = False,
    rule: Optional[str] = None,
    learning_rate: Optional[float] = None,
    hyper: Optional[Mapping[str, Any]] = None,
    optimizer: Optional[str] = None,
    variables: Optional[Sequence[Any]] = None,
) -> State:
    path = os.fspath(path)
    hyper = dict(hyper or {})
    if learning_rate is not None:
        hyper["learning_rate"] = learning_rate
    asked = Asked(weights, rule, hyper, optimizer, None)
    from . import objects, saver

    bundle = Bundle(path)
    return state_of((objects if objects.GRAPH in bundle else saver).read(path, bundle, asked), asked)

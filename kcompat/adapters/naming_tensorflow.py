"""TensorFlow variables of many names, made as fast as of one."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator

import tensorflow as tf

# What all are called while they are made.
_NAME = "kcompat_state"


@contextlib.contextmanager
def renamed_when_made() -> Iterator[None]:
    """Variables made inside get their names afterwards, where nothing but Python depends on them.

    In eager mode the operation that makes a variable has its name as an attribute, and TensorFlow keeps a
    kernel for each combination of attributes: a new name costs it 0.4 ms (2.15 and 2.22), three times the
    rest of making the variable. What is looked up by name, in a graph, is named from the start.
    """
    with tf.init_scope():
        eagerly = tf.executing_eagerly()
    if not eagerly:
        yield
        return
    with tf.variable_creator_scope(_create):
        yield


def _create(creator: Callable[..., Any], **kwargs: Any) -> Any:
    name = kwargs.get("name")
    if not isinstance(name, str) or tf.distribute.has_strategy():
        return creator(**kwargs)
    variable = creator(**dict(kwargs, name=_NAME))
    made = getattr(variable, "_handle_name", "")
    if not made.endswith(_NAME + ":0") or not hasattr(variable, "_unique_id"):
        return creator(**kwargs)  # a host's own kind of variable
    scope = "" if name.endswith("/") else made[: -len(_NAME + ":0")]  # a name with a slash is a whole one
    full = scope + name.rstrip("/")
    # As TensorFlow's own loading of a SavedModel does.
    variable._handle_name = full + ":0"
    variable._unique_id = variable._unique_id.replace(made[:-2], full)
    handle = variable.handle
    if hasattr(handle, "_name"):
        handle._name = full + ":0"
        handle._unique_id = variable._unique_id
    return variable

"""Optimizer state out of files that others wrote: TensorFlow's and Keras' own formats, of every generation.

Neither the model nor the optimizer is built, and TensorFlow is not needed. Nothing is unpickled or run.
"""

from __future__ import annotations

import os
import re
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from ...errors import StateError
from ..description import State
from .found import Asked, Found

__all__ = ["read"]

_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"


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
    """The state of an optimizer, native or kcompat's, in a file that TensorFlow or Keras wrote.

    Args:
        path: a checkpoint, with or without ".index", of TensorFlow 1's `Saver` or of `tf.train.Checkpoint`
            and `save_weights`; a directory of checkpoints, whose latest is read; a SavedModel; a model's HDF5
            file; a `.keras` file; a `.weights.h5` file.
        weights: whether the model's weights come along, as `State.weights`.
        rule: the optimizer's class, such as "Adam", for files that do not say (an error asks for it).
        learning_rate: the learning rate: with it, the velocities of TensorFlow 1's MomentumOptimizer, which
            hold none, are converted; without it, `put` takes that of the optimizer.
        hyper: other hyperparameters that the file does not hold. They go into `State.config`.
        optimizer: which of several optimizers: the path of its attribute in an object checkpoint, or its
            name in a Saver's.
        variables: the model's variables, or their names, in the optimizer's order (that of
            `model.trainable_variables`), for files that keep slots by position and do not say whose.

    Returns:
        The state in the terms of kcompat's rule. Variables have the names that the file has. Arrays are
        `LazyArray`s, which read the file; the checksums of TensorFlow's checkpoints have been compared.

    Raises:
        StateError: it is no such file, or damaged, or holds no optimizer's state; or it does not say what is
            needed. The message says which, and what to do.
    """
    path = os.fspath(path)
    given = dict(hyper or {})
    if learning_rate is not None:
        given["learning_rate"] = float(learning_rate)
    asked = Asked(weights, rule, given, optimizer, None if variables is None else _named(variables))
    found = _found(path, asked)
    from .meaning import state_of

    return state_of(found, asked)


def _named(variables: Sequence[Any]) -> List[Tuple[str, Optional[Tuple[int, ...]]]]:
    """Names of variables, and shapes where they are variables and not only names."""
    named: List[Tuple[str, Optional[Tuple[int, ...]]]] = []
    for i, each in enumerate(variables):
        if isinstance(each, str):
            named.append((each, None))
            continue
        name = getattr(each, "path", None) or getattr(each, "name", None) or "parameter_{}".format(i)
        named.append((re.sub(r":\d+$", "", str(name)), tuple(int(size) for size in each.shape)))
    return named


def _found(path: str, asked: Asked) -> Found:
    """What is in a file, by what kind of file it is."""
    if os.path.isdir(path):
        if os.path.isfile(os.path.join(path, "saved_model.pb")):
            from . import saved_model

            return saved_model.read(path, asked)
        return _checkpoint(_latest(path), asked)
    if os.path.isfile(path):
        with open(path, "rb") as file:
            start = file.read(8)
        if start == _HDF5:
            return _hdf5(path, asked)
        if start[:4] == _ZIP:
            from . import keras_file

            return keras_file.read_zip(path, asked)
        prefix = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path)
        if prefix == path:
            raise StateError(
                "{} is no checkpoint of TensorFlow (which has a file NAME.index), no HDF5 and no zip file: "
                "it starts with {!r}. Checkpoints of TensorFlow before 0.12 (one file) are not read: load "
                "and save them with TensorFlow 1. What kcompat.state.save() wrote, kcompat.state.load() "
                "reads.".format(path, start)
            )
        return _checkpoint(prefix, asked)
    return _checkpoint(path, asked)


def _hdf5(path: str, asked: Asked) -> Found:
    from . import guarded, keras_file, model_h5
    from .hdf5 import H5

    h5 = H5(path)
    guarded.check(path)
    with h5.open() as file:
        whole = "model_weights" in file or "layer_names" in file.attrs or "layer_names0" in file.attrs
    return (model_h5.read if whole else keras_file.read_weights)(h5, asked)


def _checkpoint(prefix: str, asked: Asked) -> Found:
    from . import objects, saver
    from .bundle import Bundle

    if not os.path.isfile(prefix + ".index"):
        near = os.path.dirname(prefix) or "."
        there = sorted(os.listdir(near))[:12] if os.path.isdir(near) else []
        raise StateError(
            "There is no {0}, nor a checkpoint {0}.index. In {1} there is {2}.".format(
                prefix, near, ", ".join(there) or "nothing"
            )
        )
    bundle = Bundle(prefix)
    return (objects if objects.GRAPH in bundle else saver).read(prefix, bundle, asked)


def _latest(path: str) -> str:
    """The latest checkpoint in a directory, as TensorFlow's file "checkpoint" has it."""
    listing = os.path.join(path, "checkpoint")
    if os.path.isfile(listing):
        with open(listing, encoding="utf-8", errors="replace") as file:
            match = re.search(r'^model_checkpoint_path: "((?:[^"\\]|\\.)*)"', file.read(1 << 20), re.M)
        if match is not None:
            return os.path.join(path, re.sub(r"\\(.)", r"\1", match.group(1)))
    found = sorted(name[: -len(".index")] for name in os.listdir(path) if name.endswith(".index"))
    if len(found) == 1:
        return os.path.join(path, found[0])
    raise StateError(
        "{} is a directory with {}; expected a SavedModel, or one with a file named checkpoint.".format(
            path, "the checkpoints {}: name one".format(", ".join(found)) if found else "no checkpoint"
        )
    )

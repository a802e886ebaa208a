"""SavedModels of Keras, `model.save(directory)` of TensorFlow 2: an object checkpoint, and what Keras says of
the optimizer beside it."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Optional, Tuple

from ...errors import StateError
from .bundle import Bundle
from .found import Asked, Found
from .model_h5 import optimizer_described
from .objects import read as read_objects
from .wire import WireError, fields, messages, one, text

_LARGEST = 1 << 31


def read(path: str, asked: Asked) -> Found:
    """The optimizer in a SavedModel.

    Raises:
        StateError: there is none; or the files are damaged.
    """
    prefix = os.path.join(path, "variables", "variables")
    if not os.path.isfile(prefix + ".index"):
        raise StateError("{} is a SavedModel without variables: {}.index is missing.".format(path, prefix))
    return read_objects(path, Bundle(prefix), asked, _optimizer(path))


def _optimizer(path: str) -> Optional[Tuple[str, Dict[str, Any]]]:
    """The class and configuration of the model's optimizer, if Keras wrote them down."""
    try:
        for metadata in _metadata(path):
            training = json.loads(metadata).get("training_config") or {}
            found = optimizer_described(training.get("optimizer_config"))
            if found is not None:
                return found[0], found[1]
    except (WireError, ValueError, AttributeError) as error:
        raise StateError("{}: what Keras says of the model is damaged: {}.".format(path, error)) from error
    return None


def _metadata(path: str) -> List[str]:
    """What Keras says of the model itself, as JSON: from TensorFlow 2.5 on in a file of its own."""
    own = os.path.join(path, "keras_metadata.pb")
    if os.path.isfile(own):
        nodes = messages(fields(_contents(own)), 1)
        return [text(one(node, 5, b"")) for node in nodes if text(one(node, 3, b"")) == "root"]
    graphs = messages(fields(_contents(os.path.join(path, "saved_model.pb"))), 2)
    objects = messages(fields(one(graphs[0], 7, b"")), 1) if graphs else []
    if not objects:
        return []
    user = fields(one(objects[0], 4, b""))
    metadata = text(one(user, 3, b""))
    return [metadata] if metadata.startswith("{") else []


def _contents(path: str) -> bytes:
    try:
        if os.path.getsize(path) > _LARGEST:
            raise StateError(
                "{} has {} bytes; expected at most {}, which is more than Keras writes about a model.".format(
                    path, os.path.getsize(path), _LARGEST
                )
            )
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise StateError("{} can't be read: {}.".format(path, error.strerror)) from error

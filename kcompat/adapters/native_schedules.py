"""Schedules that are also the host's own: what a native optimizer takes and a Keras model is saved with."""

from __future__ import annotations

import importlib
from typing import Any, Dict, Optional, Tuple, Type

from ..environment import resolve_api
from ..schedules import Schedule

_PACKAGE = __name__.rpartition(".adapters.")[0]
# Where the classes can be found by their names, in a saved model and in a pickle.
_HOME = _PACKAGE + ".optimizers.schedules"

_made: Dict[Tuple[type, Any], Any] = {}


def host_schedules(api: Optional[str] = None) -> Any:
    """The module `keras.optimizers.schedules` of what is installed here, or None.

    TensorFlow 1.13 and Keras 2.2 and 2.3 have none.

    Args:
        api: the API whose Keras is meant; the default one if None.

    Raises:
        ApiNotAvailableError: no API is found here.
    """
    if resolve_api(api) == "keras_3":
        return importlib.import_module("keras").optimizers.schedules
    if resolve_api(api) == "get_updates":
        return None
    found = importlib.import_module("tensorflow").keras.optimizers
    return getattr(found, "schedules", None)


def schedule_class(cls: Type[Schedule]) -> Any:
    """The class of a schedule that is also a `LearningRateSchedule` of the Keras here.

    Args:
        cls: a class of `kcompat.schedules`.

    Returns:
        A subclass, registered with Keras as `kcompat>NAME`; `cls` itself where Keras has no schedules.

    Raises:
        ApiNotAvailableError: no API is found here.
    """
    found = host_schedules()
    base = getattr(found, "LearningRateSchedule", None)
    if base is None:
        return cls
    if (cls, base) not in _made:
        namespace = {"__module__": _HOME, "__doc__": cls.__doc__}
        made: Any = type(base)(cls.__name__, (cls, base), namespace)
        _register(made)
        _made[cls, base] = made
    return _made[cls, base]


def _register(made: Any) -> None:
    """Makes Keras find a schedule by the name that it saves."""
    name = "{}>{}".format(_PACKAGE, made.__name__)
    if resolve_api() == "keras_3":
        keras = importlib.import_module("keras")
        keras.saving.get_custom_objects().pop(name, None)
        keras.saving.register_keras_serializable(_PACKAGE, made.__name__)(made)
        return
    utils = importlib.import_module("tensorflow").keras.utils
    objects = utils.get_custom_objects()
    objects.pop(name, None)
    if hasattr(utils, "get_registered_name"):
        utils.register_keras_serializable(_PACKAGE, made.__name__)(made)
    elif not hasattr(host_schedules(), made.__name__):
        # Up to TensorFlow 2.1 the class's own name is saved. Where Keras has it, what is saved is loaded as
        # Keras' own, which is the same schedule; ours must not take its place.
        objects[made.__name__] = made

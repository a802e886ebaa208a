"""Drop-in for `keras.optimizers.schedules`: those of `kcompat.schedules`, as the Keras here takes them.

Each class is also a `LearningRateSchedule` of the installed Keras, so that native optimizers take it and
saved models know it. Where Keras has no schedules (TensorFlow 1.13, Keras 2.2 and 2.3) they are those of
`kcompat.schedules` themselves.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from .. import schedules as _schedules
from ..adapters.native_schedules import host_schedules as _host_schedules
from ..adapters.native_schedules import schedule_class as _schedule_class
from ..errors import HyperparameterError as _HyperparameterError
from ..schedules import Schedule as _Schedule

NAMES = tuple(sorted(name for name in _schedules.__all__ if name[0].isupper() and name != _Schedule.__name__))

__all__ = ["NAMES", *NAMES, "LearningRateSchedule", "deserialize", "serialize"]  # noqa: F822, PLE0604


def serialize(learning_rate_schedule: Any) -> Dict[str, Any]:
    """A schedule as JSON, in the form that the Keras here has for it.

    Args:
        learning_rate_schedule: a schedule of kcompat or of Keras.
    """
    host = _host_schedules()
    if isinstance(learning_rate_schedule, _Schedule):
        name, config = type(learning_rate_schedule).__name__, learning_rate_schedule.get_config()
        if host is None or name not in NAMES:
            return {"class_name": name, "config": config}
        # The one that Keras knows.
        learning_rate_schedule = __getattr__(name).from_config(config)
    described: Dict[str, Any] = host.serialize(learning_rate_schedule)
    return described


def deserialize(config: Mapping[str, Any], custom_objects: Optional[Mapping[str, Any]] = None) -> Any:
    """The schedule that `serialize`, of this module or of any Keras, described.

    Args:
        config: a dict with "class_name" and "config".
        custom_objects: name -> class, of schedules that neither kcompat nor Keras has.

    Raises:
        HyperparameterError: it is no such dict.
    """
    if not isinstance(config, Mapping) or not {"class_name", "config"} <= set(config):
        raise _HyperparameterError(
            "deserialize({!r}): expected what serialize() gives, a dict with class_name and config.".format(
                config
            )
        )
    name = config["class_name"].rpartition(">")[2]
    if name in NAMES and name not in (custom_objects or {}):
        return __getattr__(name).from_config(config["config"])
    return _host_schedules().deserialize(dict(config), custom_objects=custom_objects)


def __getattr__(name: str) -> Any:
    if name in NAMES:
        # Not stored here: KCOMPAT_API may change, and classes are cached where they are made.
        return _schedule_class(getattr(_schedules, name))
    if name == "LearningRateSchedule":
        return getattr(_host_schedules(), name, _Schedule)
    raise AttributeError(
        "module {!r} has no schedule {!r}; it has {}".format(__name__, name, ", ".join(NAMES))
    )


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))

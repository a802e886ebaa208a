"""`get`, `serialize` and `deserialize`, as `keras.optimizers` has them."""

from __future__ import annotations

import importlib
from typing import Any, Dict, Mapping, Optional

from ..adapters import optimizer_class
from ..adapters.natives import is_native
from ..adapters.registration import host_optimizers, registered_name
from ..errors import HyperparameterError, nearest
from ..rules import CATALOGUE

_PACKAGE = __name__.rpartition(".optimizers.")[0]


def get(identifier: Any) -> Any:
    """An optimizer of the default API from what `compile` takes for one.

    Args:
        identifier: an optimizer, of kcompat or of the host, which is given back; the name of a rule of the
            catalogue or of `kcompat.addons`, in any case of letters, with its defaults; a class; what
            `serialize` gives; or None.

    Returns:
        An optimizer, or None for None.

    Raises:
        HyperparameterError: anything else.
    """
    if identifier is None:
        return None
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, str):
        found = _class_of(identifier)
        if found is None:
            raise HyperparameterError(
                "get({!r}): there is no optimizer of that name; there are {}.{}".format(
                    identifier, ", ".join(CATALOGUE), nearest(identifier, CATALOGUE)
                )
            )
        return found()
    if isinstance(identifier, type):
        return get(identifier())
    if hasattr(identifier, "_kc") or is_native(identifier):
        return identifier
    raise HyperparameterError(
        "get({!r}): expected an optimizer, its name, its class, or what serialize() gives.".format(identifier)
    )


def serialize(optimizer: Any) -> Dict[str, Any]:
    """An optimizer as JSON, in the form that its Keras has for it.

    Args:
        optimizer: an optimizer of kcompat or of Keras.
    """
    host = host_optimizers(type(optimizer))
    if host is not None:
        described: Dict[str, Any] = host.serialize(optimizer)
        return described
    cls = type(optimizer)
    return {
        "module": cls.__module__,
        "class_name": cls.__name__,
        "config": optimizer.get_config(),
        "registered_name": registered_name(cls.rule_class, cls.api, cls.__name__),
    }


def deserialize(config: Mapping[str, Any], custom_objects: Optional[Mapping[str, Any]] = None) -> Any:
    """The optimizer that `serialize` described, here or elsewhere, on the default API.

    One of Keras' own whose name the catalogue has becomes kcompat's.

    Args:
        config: a dict with "class_name" and "config".
        custom_objects: name -> class, of optimizers that neither kcompat nor Keras has.

    Raises:
        HyperparameterError: it is no such dict, or there is no such optimizer.
    """
    if not isinstance(config, Mapping) or not {"class_name", "config"} <= set(config):
        raise HyperparameterError(
            "deserialize({!r}): expected what serialize() gives, a dict with class_name and config.".format(
                config
            )
        )
    for name in (config.get("registered_name"), config["class_name"]):
        found = name and ((custom_objects or {}).get(name) or _class_of(name))
        if found:
            return found.from_config(config["config"])
    host = host_optimizers(optimizer_class(importlib.import_module("..rules.sgd", __package__).SGD))
    if host is None:
        raise HyperparameterError(
            "deserialize(): there is no optimizer {!r} here; give its class in custom_objects.".format(
                config["class_name"]
            )
        )
    return host.deserialize(dict(config), custom_objects=custom_objects)


def _is_of_keras(name: str) -> bool:
    """Whether Keras has registered it itself: Keras 2.11 calls its own SGD "Custom>SGD", as a user's."""
    try:
        keras = importlib.import_module("tensorflow").keras
        registered = keras.utils.get_custom_objects().get(name)
    except (ImportError, AttributeError):
        return False
    return registered is not None and registered is getattr(keras.optimizers, name.rpartition(">")[2], None)


def _class_of(name: str) -> Any:
    """The class of kcompat's of a name, as it was given or saved; None if there is none."""
    # "kcompat.keras_3>Adam", "kcompat.keras_3>rules.sgdw.DecoupledAdamW:AdamW", Keras 2.3's "kcompat.Adam".
    ours = name.startswith(_PACKAGE + ".")
    path = name.rpartition(">")[2]
    if ours and ">" not in path:
        path = path[len(_PACKAGE) + 1 :] if path.startswith(_PACKAGE + ".") else path
    if not ours and ">" in name and not _is_of_keras(name):
        return None  # registered by somebody else
    rule, _, called = path.partition(":")
    if not called:
        by_lower = {each.lower(): each for each in sorted(CATALOGUE)}
        found = rule if rule in CATALOGUE else by_lower.get(rule.replace("_", "").lower())
        if found is not None:
            return optimizer_class(
                getattr(importlib.import_module("..rules" + CATALOGUE[found], __package__), found)
            )
    try:
        addons = importlib.import_module("..addons", __package__)
    except ImportError:  # a vendored copy may do without
        return None
    return addons.class_named(called or rule)

"""Names under which Keras finds kcompat's optimizer classes when it loads a model.

A class is registered when it is made, as `package.api>rule`: the package is this copy's own name, so that
copies vendored into several packages do not meet, and `>` keeps the name apart from that of every class of
Keras' own. A rule of this package is named by its class alone (`kcompat.keras_3>Adam`), any other with its
module (`kcompat.keras_3>mylib.optim.Lion`).

The names of the other APIs lead to the same class where they lead to no other: a model saved with OptimizerV2
in TensorFlow 2.10 is loaded with the default API of 2.15.
"""

from __future__ import annotations

import importlib
from typing import Any, Dict, Type

from ..environment import APIS
from ..rule import UpdateRule

_PACKAGE = __name__.rpartition(".adapters.")[0]


def registered_name(rule: Type[UpdateRule], api: str, name: str) -> str:
    """The name under which the class of a rule is registered.

    Args:
        rule: the class of the rule.
        api: the API of the class.
        name: the name of the class.
    """
    path = rule.__qualname__
    if not rule.__module__.startswith(_PACKAGE + "."):
        path = "{}.{}".format(rule.__module__, path)
    if name != rule.__name__:
        path = "{}:{}".format(path, name)
    return "{}.{}>{}".format(_PACKAGE, api, path)


def register(made: Any, host: type, api: str, name: str) -> None:
    """Registers an optimizer class with the Keras that it belongs to.

    TensorFlow's own have none, and Keras 2.2 and 2.3 go by the class's name (see `get_updates`).

    Args:
        made: the class.
        host: the host's base class.
        api: the API.
        name: the name of the class.
    """
    if api in ("tf1", "get_updates"):
        return
    utils = _utils_of(host)
    objects: Dict[str, Any] = utils.get_custom_objects()
    key = registered_name(made.rule_class, api, name)
    known: Any = objects.get(key)
    if getattr(known, "api", None) == api and known.rule_class is made.rule_class:
        # Of another base class in the same Keras: 2.9 and 2.10 have OptimizerV2 and its subclass `legacy`.
        key = "{}@{}".format(key, host.__module__)
    # A cell of a notebook that is run again makes the class again, and Keras up to 2.10 would refuse it.
    before = objects.pop(key, None)
    if getattr(before, "api", api) != api:  # another API's, which stood in for this class
        before = None
    if hasattr(utils, "get_registered_name"):
        package, _, path = key.partition(">")
        utils.register_keras_serializable(package, path)(made)
    else:
        # Up to TensorFlow 2.1 `optimizer.__class__.__name__` is saved, registered or not: "Adam" would be
        # loaded as Keras' own.
        objects[key] = made
        made._saved_as = type(key, (made,), {"__module__": made.__module__})
    for other in APIS:
        alias = registered_name(made.rule_class, other, name)
        if objects.get(alias) in (None, before):
            objects[alias] = made


def host_optimizers(cls: Any) -> Any:
    """The module `optimizers` of the Keras that an optimizer class is of; None for TensorFlow's own classes.

    Args:
        cls: a class of kcompat or of the host.
    """
    api, host = getattr(cls, "api", None), getattr(cls, "_host_class", cls)
    root = host.__module__.split(".")[0]
    if api == "tf1" or (api is None and ".training." in host.__module__):
        return None
    if root.startswith("tensorflow") or not hasattr(importlib.import_module(root), "optimizers"):
        return importlib.import_module("tensorflow").keras.optimizers
    return importlib.import_module(root).optimizers


def _utils_of(host: type) -> Any:
    """The `utils` with the registry of the Keras that a class is of."""
    root = host.__module__.split(".")[0]
    if root.startswith("tensorflow"):
        return importlib.import_module("tensorflow").keras.utils
    utils = importlib.import_module(root).utils
    if not hasattr(utils, "get_registered_name"):
        # The package keras that TensorFlow 2.6 to 2.12 bring has it under tf.keras only; Keras 2.3 has none.
        tf_keras = importlib.import_module("tensorflow").keras
        if tf_keras.Model.__module__.split(".")[0] == root:
            return tf_keras.utils
    return utils

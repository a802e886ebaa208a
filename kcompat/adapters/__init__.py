"""The adapters: one file per optimizer API, each turning an update rule into that API's native optimizer."""

from __future__ import annotations

import importlib
from typing import Any, Dict, Optional, Tuple, Type

from ..environment import host_class, resolve_api
from ..errors import RuleError
from ..rule import UpdateRule, of_another_copy

# API -> (module, class) of its adapter.
_ADAPTERS = {
    "tf1": (".tf1", "TF1Adapter"),
    "get_updates": (".get_updates", "GetUpdatesAdapter"),
    "optimizer_v2": (".optimizer_v2", "OptimizerV2Adapter"),
    "keras_2_11": (".keras_2_11", "Keras211Adapter"),
    "keras_3": (".keras_3", "Keras3Adapter"),
}

_classes: Dict[Tuple[type, str, type, str], type] = {}


def optimizer_class(
    rule: Type[UpdateRule],
    api: Optional[str] = None,
    name: Optional[str] = None,
    host: Optional[str] = None,
) -> Any:
    """The native optimizer class of an update rule.

    Args:
        rule: a subclass of `UpdateRule`.
        api: which optimizer API: "tf1", "get_updates", "optimizer_v2", "keras_2_11" or "keras_3". By default
            the environment variable KCOMPAT_API, else what the installed TensorFlow or Keras takes natively.
        name: the class's name; the rule's by default.
        host: whose API, where several packages have it: "tf.keras", "keras" or "tf_keras". Both "tf.keras"
            and "keras" have `get_updates` where Keras 2.2 is installed beside TensorFlow 1.13, "tf.keras" and
            "tf_keras" have `keras_2_11` where tf_keras is beside TensorFlow 2.15. By default the first that
            `kcompat.environment.host_classes(api)` lists.

    Returns:
        A subclass of the host's own optimizer base class. Its constructor takes the rule's hyperparameters in
        their order and then, by keyword, the base arguments that `optimizer` lists. The same arguments give
        the same class.

    Raises:
        RuleError: `rule` is no rule class.
        ApiNotAvailableError: the API is not offered by what is installed, or not by `host`, or nothing is.
    """
    if not (isinstance(rule, type) and issubclass(rule, UpdateRule)):
        raise RuleError(
            "optimizer_class({!r}): expected a subclass of UpdateRule{}.{}".format(
                rule,
                "; for a rule instance call optimizer(rule)" if isinstance(rule, UpdateRule) else "",
                of_another_copy(rule),
            )
        )
    api = resolve_api(api)
    return class_of(rule, api, host_class(api, host), name or rule.__name__)


def class_of(rule: Type[UpdateRule], api: str, host: type, name: str) -> Any:
    """The class of a rule over this very base class, made once."""
    key = (rule, api, host, name)
    if key not in _classes:
        _classes[key] = adapter_of(api).make_class(rule, host, name)
    return _classes[key]


def adapter_of(api: str) -> Any:
    """The adapter class of an API that has been resolved."""
    module, name = _ADAPTERS[api]
    return getattr(importlib.import_module(module, __name__), name)


def optimizer(
    rule: UpdateRule, api: Optional[str] = None, host: Optional[str] = None, **base_arguments: Any
) -> Any:
    """A native optimizer that runs an update rule.

    Args:
        rule: an update rule, such as `kcompat.rules.Adam(learning_rate=0.01)`.
        api, host: as for `optimizer_class`.
        **base_arguments: Keras 3's, on every API: name, weight_decay, clipnorm, clipvalue, global_clipnorm,
            use_ema, ema_momentum (0.99), ema_overwrite_frequency, gradient_accumulation_steps; with Keras 3
            also loss_scale_factor. What is not given is off.

    Returns:
        An instance of `optimizer_class` of the rule's class, which runs this very rule.

    Raises:
        RuleError: `rule` is no instance of an `UpdateRule`.
        UnknownArgumentError: a base argument that optimizers do not have.
        HyperparameterError: a base argument with a value that it can't have.
        ApiNotAvailableError: as for `optimizer_class`.
    """
    if not isinstance(rule, UpdateRule):
        raise RuleError(
            "optimizer({!r}): expected an update rule instance.{}".format(rule, of_another_copy(rule))
        )
    return optimizer_class(type(rule), api, host=host).from_rule(rule, **base_arguments)

"""The base class of a dialect on an API: the dialect, the API's adapter and the host's class in one."""

from __future__ import annotations

import importlib
from typing import Any, Dict, Optional, Tuple

from ..adapters import adapter_of
from ..environment import detect, host_class, resolve_api
from ..errors import HookError

# Dialect -> (module, class, name of the base class), in the order in which they came.
DIALECTS = {
    "tf1": (".dialects.tf1", "TF1Dialect", "Optimizer"),
    "optimizer_v2": (".dialects.optimizer_v2", "OptimizerV2Dialect", "OptimizerV2"),
    "keras": (".dialects.keras", "KerasDialect", "Optimizer"),
    "get_updates": (".dialects.get_updates", "GetUpdatesDialect", "Optimizer"),
}

_bases: Dict[Tuple[str, str, type], Any] = {}


def base_class(dialect: str, api: Optional[str] = None, host: Optional[str] = None) -> Any:
    """The base class for optimizers that are written in a dialect, native on an API.

    Args:
        dialect: "tf1" (`_apply_dense`), "optimizer_v2" (`_resource_apply_dense` with `apply_state`) or
            "keras" (`update_step`, of Keras 2.11 and of Keras 3), or "get_updates", of Keras 2.2 and 2.3.
        api, host: as for `kcompat.optimizer_class`.

    Raises:
        HookError: no such dialect, or the API's backend is not TensorFlow.
        ApiNotAvailableError: the API is not offered by what is installed.
    """
    if dialect not in DIALECTS:
        raise HookError("There is no dialect {!r}; expected one of {}.".format(dialect, ", ".join(DIALECTS)))
    api = resolve_api(api)
    return base_over(dialect, api, host_class(api, host))


def base_over(dialect: str, api: str, host: type) -> Any:
    """The same over this very class of the host, made once."""
    key = dialect, api, host
    if key not in _bases:
        module, class_name, name = DIALECTS[dialect]
        if dialect != api:
            check_backend(api)
        if dialect == api and api in ("tf1", "get_updates"):
            _bases[key] = host
            return host
        if is_home(dialect, api, host):
            native = importlib.import_module(".dialects.optimizer_v2_native", __package__).NativeOptimizerV2
            namespace = {"__module__": __package__, "__doc__": native.__doc__}
            _bases[key] = type(name, (native, host), namespace)
            return _bases[key]
        part = getattr(importlib.import_module(module, __package__), class_name)
        hooked = importlib.import_module(".hooked", __package__)
        adapter = adapter_of(api)
        combined: Any = type(name, (part, adapter), {"__module__": __package__})
        made = combined.make_class(hooked.HooksRule, host, name)
        del made.__signature__
        made.__doc__ = part.__doc__
        made.__module__ = __package__
        made._made = None  # every class is a subclass, made again by its configuration
        made._kc_dialect = dialect
        _bases[key] = made
    return _bases[key]


def is_home(dialect: str, api: str, host: type) -> bool:
    """Whether a class of a dialect runs on a host's own base class as it is."""
    if dialect == api and api in ("tf1", "get_updates"):
        return True
    # OptimizerV2 has its whole protocol since TensorFlow 2.4.
    return dialect == api == "optimizer_v2" and hasattr(host, "_transform_gradients")


def check_backend(api: str) -> None:
    """Raises HookError where hooks can't be called: where TensorFlow's operations mean nothing, say."""
    if api == "get_updates":
        raise HookError(
            "The API get_updates has no base class for other generations' hooks: its models build a graph in "
            'which the variables that hooks make would not be initialized. Take api="tf1" or "optimizer_v2".'
        )
    backend = detect().keras_backend if api == "keras_3" else None
    if backend not in (None, "tensorflow"):
        raise HookError(
            "Keras 3 runs on {} here. Optimizers that are written against the hooks of TensorFlow and Keras "
            "2 call TensorFlow's operations, which can't run on {}'s arrays. Set KERAS_BACKEND=tensorflow, "
            "or write the update as a kcompat.UpdateRule.".format(backend, backend)
        )

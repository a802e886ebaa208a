"""`LossScaleOptimizer`, as `keras.optimizers` has it: the host's own, with Keras 3's arguments."""

from __future__ import annotations

import importlib
from typing import Any, Dict, Optional

from ..environment import resolve_api
from ..errors import ApiNotAvailableError, UnknownArgumentError


def LossScaleOptimizer(
    inner_optimizer: Any,
    initial_scale: float = 2.0**15,
    dynamic_growth_steps: int = 2000,
    name: Optional[str] = None,
) -> Any:
    """The host's own optimizer that scales losses, around another, with a scale that it finds itself.

    Args:
        inner_optimizer: the optimizer, of kcompat or of the host.
        initial_scale: the scale to start with.
        dynamic_growth_steps: after so many steps with finite gradients the scale is doubled.
        name: its name, on `keras_3`; the others have none.

    Raises:
        ApiNotAvailableError: the host has none: Keras 2.2 and 2.3, TensorFlow 1.13.
        UnknownArgumentError: a name where the host's own has none.
    """
    api = getattr(type(inner_optimizer), "api", None) or resolve_api()
    if api == "keras_3":
        keras = importlib.import_module("keras")
        return keras.optimizers.LossScaleOptimizer(
            inner_optimizer, initial_scale=initial_scale, dynamic_growth_steps=dynamic_growth_steps, name=name
        )
    if name is not None:
        raise UnknownArgumentError(
            "LossScaleOptimizer(name={!r}): that of the API {} has no name. Leave it out.".format(name, api)
        )
    tf = importlib.import_module("tensorflow")
    if api in ("optimizer_v2", "keras_2_11"):
        made = _path(tf, "keras.mixed_precision.LossScaleOptimizer")
        if made is not None:
            scale: Dict[str, Any] = {"initial_scale": initial_scale}
            return made(inner_optimizer, dynamic_growth_steps=dynamic_growth_steps, **scale)
        made = _path(tf, "keras.mixed_precision.experimental.LossScaleOptimizer")
    else:
        made = _path(tf, "compat.v1.mixed_precision.MixedPrecisionLossScaleOptimizer") or _path(
            tf, "compat.v1.train.experimental.MixedPrecisionLossScaleOptimizer"
        )
    dynamic = _path(tf, "compat.v1.mixed_precision.DynamicLossScale") or _path(
        tf, "compat.v1.train.experimental.DynamicLossScale"
    )
    if made is None or dynamic is None or api == "get_updates":
        raise ApiNotAvailableError(
            "LossScaleOptimizer: the API {} has none in the release that is installed; TensorFlow 1.14 and "
            "later have one for optimizer_v2, keras_2_11 and tf1, Keras 3 for keras_3.".format(api)
        )
    return made(
        inner_optimizer, dynamic(initial_loss_scale=initial_scale, increment_period=dynamic_growth_steps)
    )


def _path(found: Any, path: str) -> Any:
    """What is at the end of a path of attributes, or None."""
    for name in path.split("."):
        found = getattr(found, name, None)
    return found

"""Batch normalization after its model's weights were changed: TensorFlow Addons' `fit_bn`."""

from __future__ import annotations

from typing import Any, Iterator, List, Optional, Tuple

from ..errors import RuleError


def fit_bn(
    model: Any,
    x: Any,
    y: Any = None,
    batch_size: Optional[int] = None,
    *args: Any,
    steps_per_epoch: Optional[int] = None,
    **kwargs: Any,
) -> None:
    """Computes the moving means and variances of a model's batch normalization from data, batch by batch.

    All batches count alike. Nothing else of the model changes.

    Args:
        model: a Keras model that has been built.
        x: an array, a list of arrays, or an iterable of batches: of inputs, or of pairs that start with them.
        y: not used, and so are other arguments of `model.fit`.
        batch_size: of arrays; 32 by default.
        steps_per_epoch: how many batches to take of an iterable; None for all.

    Raises:
        RuleError: it is no Keras model, or not built; or in a TensorFlow 1 graph.
    """
    if not hasattr(model, "layers") or not callable(model):
        raise RuleError("fit_bn({!r}): expected a Keras model.".format(model))
    if not getattr(model, "built", False):
        raise RuleError("fit_bn(): the model has no weights yet; build or train it first.")
    layers = [layer for layer in _layers(model) if _normalizes(layer)]
    if not layers:
        return
    # An eager variable has the attribute, too, and raises.
    if any(hasattr(layer.moving_mean, "graph") for layer in layers):
        raise RuleError(
            "fit_bn(): this model is of a TensorFlow 1 graph, in which calling it computes nothing. Build it "
            "in eager mode (tf.compat.v1.enable_eager_execution() at the start of a program)."
        )
    before = [(layer, layer.momentum) for layer in layers]
    try:
        for number, batch in enumerate(_batches(x, batch_size or 32)):
            if steps_per_epoch is not None and number >= steps_per_epoch:
                break
            # The first batch replaces what was there; each then weighs as much as every one before.
            for layer in layers:
                layer.momentum = number / (number + 1.0)
            model(batch, training=True)
    finally:
        for layer, momentum in before:
            layer.momentum = momentum


def _normalizes(layer: Any) -> bool:
    return hasattr(layer, "moving_mean") and hasattr(layer, "moving_variance") and hasattr(layer, "momentum")


def _layers(model: Any) -> Iterator[Any]:
    """The layers of a model, also those of models inside."""
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            for each in _layers(layer):
                yield each


def _batches(x: Any, batch_size: int) -> Iterator[Any]:
    """The inputs, batch by batch."""
    arrays: List[Any] = list(x) if isinstance(x, (list, tuple)) else [x]
    if all(hasattr(array, "shape") and hasattr(array, "__getitem__") for array in arrays):
        for start in range(0, int(arrays[0].shape[0]), batch_size):
            parts = [array[start : start + batch_size] for array in arrays]
            yield parts if isinstance(x, (list, tuple)) else parts[0]
        return
    for batch in x:
        pair: Tuple[Any, ...] = batch if isinstance(batch, tuple) else (batch,)
        yield pair[0]

"""Subclasses of an optimizer class, and the methods that they override: each is called, or refused."""

from __future__ import annotations

from typing import Any, Dict

from ..errors import HookError

# API -> method that the host's base class calls in a step, and that nothing calls here.
_PASSED_OVER: Dict[str, str] = {
    "tf1": """_prepare _create_slots _apply_dense _resource_apply_dense _apply_sparse _resource_apply_sparse
        _apply_sparse_duplicate_indices _resource_apply_sparse_duplicate_indices _finish
        _distributed_apply""",
    "optimizer_v2": """_transform_loss _get_gradients _transform_unaggregated_gradients _transform_gradients
        _clip_gradients _distributed_apply _create_hypers _create_slots _create_all_weights _prepare
        _prepare_local _fallback_apply_state _decayed_lr _resource_apply_dense _resource_apply_sparse
        _resource_apply_sparse_duplicate_indices _resource_scatter_add _resource_scatter_update""",
    "keras_2_11": """build update_step _update_step _update_step_xla _internal_apply_gradients
        _distributed_apply_gradients_fn _clip_gradients _deduplicate_sparse_grad _apply_weight_decay
        _compute_current_learning_rate _update_model_variables_moving_average
        _overwrite_model_variables_with_average_value""",
    "keras_3": """build update_step _clip_gradients _apply_weight_decay _get_current_learning_rate
        _backend_apply_gradients _backend_update_step _filter_empty_gradients
        _backend_reset_gradient_accumulators _backend_increment_gradient_accumulators
        _overwrite_variables_directly_with_gradients _update_model_variables_moving_average
        _overwrite_model_variables_with_average_value""",
    "get_updates": "",
}

_HERE = __name__.rpartition(".adapters.")[0]


def overriding(cls: Any, name: str) -> Any:
    """The class that overrides a method of an optimizer class, below that class; None if none does.

    Args:
        cls: a class that `Adapter.make_class` has made, or one that is derived from it.
        name: the method.
    """
    made = getattr(cls, "_made", None)  # what is written against hooks has none, and calls them itself
    for each in cls.__mro__[: cls.__mro__.index(made)] if made in cls.__mro__ else ():
        if name in vars(each) and not (each.__module__ + ".").startswith(_HERE + "."):
            return each
    return None


def check_overrides(cls: Any) -> None:
    """Refuses a subclass with a method that would never be called.

    Args:
        cls: as for `overriding`.

    Raises:
        HookError: it has one.
    """
    for name in _PASSED_OVER[cls.api].split():
        where = overriding(cls, name)
        if where is not None:
            raise HookError(
                "{}: {} overrides {}(), which the host's optimizers call in a step, and those of kcompat do "
                "not: it would silently do nothing. Override minimize() or apply_gradients(), write what it "
                "does as an update rule (kcompat.UpdateRule, kcompat.transforms), or derive a class that is "
                "written against the host's hooks from kcompat.hooks.".format(
                    cls.__name__, where.__qualname__, name
                )
            )

"""What a class defines beside its hooks: methods that nothing calls here, and names that are taken here.

A class was written against one base class and knows what that one calls, and which names it has. Here
another stands in its place. A method that only the old base class called would silently do nothing, so it
raises. A name that only the new one has, such as a private `_apply`, means one thing to the class and
another to kcompat and the host: each gets its own.
"""

from __future__ import annotations

import dis
import functools
import inspect
import sys
from types import FrameType
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Sequence, Set, Tuple

from ..errors import HookError
from ..rule import BASE_ARGUMENTS
from .reading import codes_of, functions_of

# The packages whose classes are no third party's.
HOSTS = ("tensorflow", "tensorflow_core", "keras", "tf_keras", "builtins", "abc", "typing")

_ROOT = __package__.rpartition(".")[0]

# Private names of each dialect's own base class: a class that defines one overrides it.
PROTOCOL: Dict[str, FrozenSet[str]] = {
    "tf1": frozenset(
        """_scale_loss _distributed_apply _create_non_slot_variable _checkpoint_dependencies
        _lookup_dependency _get_non_slot_variable _non_slot_variables _assert_valid_dtypes _valid_dtypes
        _create_slots _prepare _apply_dense _resource_apply_dense _resource_apply_sparse_duplicate_indices
        _resource_apply_sparse _apply_sparse_duplicate_indices _apply_sparse _finish _slot_dict
        _get_or_make_slot _get_or_make_slot_with_initializer _zeros_slot _restore_slot_variable
        _create_or_restore_slot_variable _call_if_callable _trackable_children""".split()
    ),
    "optimizer_v2": frozenset(
        """_transform_loss _get_gradients _transform_unaggregated_gradients _aggregate_gradients
        _transform_gradients _clip_gradients _compute_gradients _distributed_apply _set_hyper _get_hyper
        _create_slots _create_slots_for_sharded_variables _create_all_weights _prepare _prepare_local
        _fallback_apply_state _create_hypers _decayed_lr _serialize_hyperparameter _init_set_name
        _assert_valid_dtypes _valid_dtypes _call_if_callable _resource_apply_dense
        _resource_apply_sparse_duplicate_indices _resource_apply_sparse _resource_scatter_add
        _resource_scatter_update _dense_apply_args _sparse_apply_args _restore_slot_variable
        _create_or_restore_slot_variable _distribution_strategy_scope _hypers_created _hyper _weights
        _iterations""".split()
    ),
    "keras": frozenset(
        """_create_iteration_variable _process_kwargs _create_or_restore_slot_variable _var_key
        _deduplicate_sparse_grad _update_step_xla _update_step _clip_gradients _build_learning_rate
        _build_index_dict _index_dict _compute_current_learning_rate _use_weight_decay _apply_weight_decay
        _internal_apply_gradients _distributed_apply_gradients_fn _update_model_variables_moving_average
        _overwrite_model_variables_with_average_value _serialize_hyperparameter _track_variable
        _overwrite_variable_with_gradient _get_variable_index _check_variables_are_known
        _backend_apply_gradients _backend_update_step _backend_reset_gradient_accumulators
        _backend_increment_gradient_accumulators _backend_maybe_overwrite_model_variables
        _get_current_learning_rate _overwrite_variables_directly_with_gradients _filter_empty_gradients
        _is_excluded_from_weight_decay _check_super_called _obj_type _clip_by_norm _untrack_variable
        _built _iterations _learning_rate""".split()
    ),
    "get_updates": frozenset(),
}

_STEP = "in a step"
# Dialect -> method that its base class calls and nothing calls here -> when it is called there.
_NEVER_CALLED: Dict[str, Dict[str, str]] = {
    "tf1": {"_distributed_apply": "in a step under a distribution strategy"},
    "optimizer_v2": {
        "_distributed_apply": _STEP,
        "_get_gradients": "in minimize()",
        "_clip_gradients": "in minimize(), up to TensorFlow 2.3",
        "_create_slots_for_sharded_variables": "when it makes slots",
    },
    "keras": dict.fromkeys(
        """_update_step _update_step_xla _internal_apply_gradients _distributed_apply_gradients_fn
        _deduplicate_sparse_grad aggregate_gradients _backend_apply_gradients _backend_update_step
        _backend_reset_gradient_accumulators _backend_increment_gradient_accumulators
        _backend_maybe_overwrite_model_variables _overwrite_variables_directly_with_gradients
        _filter_empty_gradients _update_model_variables_moving_average
        _overwrite_model_variables_with_average_value""".split(),
        _STEP,
    ),
    "get_updates": {},
}
_NEVER_CALLED["keras"]["_compute_current_learning_rate"] = "when it counts a step"
_NEVER_CALLED["keras"]["_overwrite_variable_with_gradient"] = "when it is built"

# Method that some hosts call, in training, saving or restoring, and others have not -> when.
_CALLED_BY_HOSTS = {
    "_create_or_restore_slot_variable": "when a checkpoint is restored",
    "_restore_slot_variable": "when a checkpoint is restored",
    "finalize_variable_values": "at the end of fit()",
    "save_own_variables": "when a model is saved",
    "load_own_variables": "when a model is loaded",
    "scale_loss": "in fit()",
    "stateless_apply": "in fit(), on JAX",
}

# OptimizerV2's get_gradients() is called in fit() in a graph alone. A class that has one of these, too, says
# there what it does in the other steps.
_IN_GRAPHS = "get_gradients"
_IN_STEPS = frozenset(
    """_compute_gradients _aggregate_gradients _transform_unaggregated_gradients _transform_gradients
    apply_gradients minimize""".split()
)

# What an adapter has as attributes, and a class may have for itself.
_ATTRIBUTES = frozenset(BASE_ARGUMENTS) | {"rule"}
_DIALECT_ATTRIBUTES = {
    "tf1": frozenset({"name"}),
    "optimizer_v2": frozenset({"name", "clipnorm", "clipvalue", "global_clipnorm"}),
    "keras": frozenset(BASE_ARGUMENTS) - {"loss_scale_factor", "gradient_accumulation_steps"},
    "get_updates": frozenset({"name"}),
}

_missing = object()


def is_of_a_host(cls: type) -> bool:
    """Whether a class is TensorFlow's, Keras' or kcompat's own."""
    root = cls.__module__.split(".")[0]
    return root in HOSTS or cls.__module__.startswith(__package__) or "_kc_placeholder" in vars(cls)


def _is_kcompat(module: str) -> bool:
    return module == _ROOT or module.startswith(_ROOT + ".")


def _is_code_of_here(frame: FrameType) -> bool:
    """Whether code that runs is kcompat's or the host's."""
    module = frame.f_globals.get("__name__", "")
    return _is_kcompat(module) or module.split(".")[0] in HOSTS


def _is_method_of(instance: Any, frame: FrameType) -> bool:
    """Whether code that runs is a method that the author of the instance's class wrote."""
    code = frame.f_code
    if not code.co_argcount or _is_code_of_here(frame):
        return False
    return frame.f_locals.get(code.co_varnames[0]) is instance


def _written(cls: type) -> List[type]:
    """The classes of other people that a class consists of, before kcompat's."""
    found: List[type] = []
    for each in cls.__mro__:
        if _is_kcompat(each.__module__):
            break
        if not is_of_a_host(each) and "_kc_base" not in vars(each):
            found.append(each)
    return found


def check_overrides(cls: Any, dialect: str, host: type) -> None:
    """Raises HookError if a class overrides a method that nothing calls on this host.

    Args:
        cls: the class, on a base class of `hooks`.
        dialect: the dialect that it is written in.
        host: the host's base class.
    """
    never: Mapping[str, str] = _NEVER_CALLED[dialect]
    for each in _written(cls):
        for name in vars(each):
            when = never.get(name)
            if when is None and not hasattr(host, name):
                when = _CALLED_BY_HOSTS.get(name)
                if name == _IN_GRAPHS and dialect == "optimizer_v2" and not _IN_STEPS & set(vars(each)):
                    when = "in fit() in a graph of TensorFlow 1"
            if when is not None:
                raise HookError(
                    "{}.{} overrides {}(), which the base class that it was written on calls {}, and nothing "
                    "calls here (an optimizer of {}.{}): it would silently do nothing. Use the class where "
                    "its own base class is, or do the same in a hook that is called everywhere.".format(
                        each.__module__, each.__qualname__, name, when, host.__module__, host.__name__
                    )
                )


def overrides(cls: type, name: str) -> bool:
    """Whether a class of other people defines a method, and not only kcompat or the host."""
    return any(name in vars(each) for each in _written(cls))


def defined(cls: type, name: str) -> Any:
    """The method of this name that a class of other people defines, or None."""
    return next((vars(each)[name] for each in _written(cls) if name in vars(each)), None)


def names_of(function: Any) -> FrozenSet[str]:
    """The names that a function's code uses."""
    return frozenset(
        name for each in functions_of(function) for code in codes_of(each.__code__) for name in code.co_names
    )


def stores(cls: type, attributes: Sequence[str]) -> bool:
    """Whether a method of a class of other people sets an attribute of these names, of any object.

    Methods of these names, the setters of properties, are not counted.
    """
    return any(
        name not in attributes and _stores(value, attributes)
        for each in _written(cls)
        for name, value in vars(each).items()
    )


def _stores(value: Any, attributes: Sequence[str]) -> bool:
    return any(
        instruction.opname == "STORE_ATTR" and instruction.argval in attributes
        for function in functions_of(value)
        for code in codes_of(function.__code__)
        for instruction in dis.get_instructions(code)
    )


# Names of both.


@functools.lru_cache(maxsize=None)
def _taken(base: type, dialect: str) -> FrozenSet[str]:
    """The names that kcompat and the host have for themselves, on a base class of `hooks`."""
    names: Set[str] = set()
    for each in base.__mro__[:-1]:
        for name, value in vars(each).items():
            private = name[0] == "_" and name[:2] != "__" and name[:3] != "_kc"
            if private and (callable(value) or hasattr(type(value), "__get__")):
                names.add(name)
    names -= PROTOCOL[dialect]
    return frozenset(names | (_ATTRIBUTES - _DIALECT_ATTRIBUTES[dialect]))


def _base_of(cls: type) -> type:
    """The base class of `hooks` that a class is built on."""
    return next(each for each in cls.__mro__ if _is_kcompat(each.__module__))


class _Both:
    """A name that a class and kcompat, or the host, both have: each finds its own."""

    def __init__(self, name: str, theirs: Any, base: type) -> None:
        self._name = name
        self._theirs = theirs
        self._base = base

    def __get__(self, instance: Any, owner: Any) -> Any:
        if _is_code_of_here(sys._getframe(1)):
            return self._bound(self._ours(), instance, owner)
        if instance is not None and self._name in instance.__dict__:
            return instance.__dict__[self._name]
        value = self._ours() if self._theirs is _missing else self._theirs
        return self._bound(value, instance, owner)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value

    def __delete__(self, instance: Any) -> None:
        instance.__dict__.pop(self._name, None)

    def _ours(self) -> Any:
        return inspect.getattr_static(self._base, self._name)

    @staticmethod
    def _bound(value: Any, instance: Any, owner: Any) -> Any:
        get = getattr(type(value), "__get__", None)
        return value if get is None else get(value, instance, owner)


def separate_names(cls: Any, dialect: str) -> None:
    """Gives the class, and kcompat with the host, each its own of the names that both have."""
    base = _base_of(cls)
    cls._kc_taken = taken = _taken(base, dialect)
    for each in _written(cls):
        for name, value in list(vars(each).items()):
            if name in taken and not isinstance(value, _Both):
                theirs = next(vars(c)[name] for c in _written(cls) if name in vars(c))
                if not isinstance(theirs, _Both):
                    setattr(cls, name, _Both(name, theirs, base))


def keep_theirs(instance: Any, name: str) -> bool:
    """Called by `__setattr__`: whether the class sets an attribute of its own, by a name that is taken."""
    cls: Any = type(instance)
    if name not in cls._kc_taken:
        return False
    if not isinstance(_static(cls, name), _Both):
        if not _is_method_of(instance, sys._getframe(2)):
            return False
        setattr(cls, name, _Both(name, _missing, _base_of(cls)))
    return True


def _static(cls: type, name: str) -> Any:
    for each in cls.__mro__:
        if name in vars(each):
            return vars(each)[name]
    return None


def own_attributes(instance: Any) -> Iterator[Tuple[str, Any]]:
    """The attributes of an instance that are not kept by a name of both."""
    for name, value in list(vars(instance).items()):
        if not isinstance(_static(type(instance), name), _Both):
            yield name, value

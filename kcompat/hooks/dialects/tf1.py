"""The protocol of TensorFlow 1's Optimizer (`_apply_dense(grad, var)`, `_prepare`, `_finish`)."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from ...errors import HookError, HyperparameterError, StateError
from ..hooked import Hooked, summed

# Where TensorFlow 1's optimizers have their learning rate.
_RATES = ("_lr", "_learning_rate")


class TF1Dialect(Hooked):
    """The base of optimizers that are written against the hooks of `tf.train.Optimizer`.

    Args:
        use_locking: as the hooks pass it on.
        name: the optimizer's name.
        use_own_namescope_for_non_slot_vars: TensorFlow's own classes pass it on; names here are the host's.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Notes the arguments: such classes have no configuration of their own."""
        self = super().__new__(cls)
        object.__setattr__(self, "_kc_given", (args, kwargs))
        return self

    def __init__(
        self,
        use_locking: bool = False,
        name: Optional[str] = None,
        use_own_namescope_for_non_slot_vars: bool = False,
        **kwargs: Any,
    ) -> None:
        if not name:
            raise HyperparameterError("{}(name={!r}): expected a name.".format(type(self).__name__, name))
        self._set_up_hooks(name)
        self._use_locking = use_locking

    def get_name(self) -> str:
        """The optimizer's name."""
        this: Any = self
        return str(this._config_name())

    # State.

    def get_slot(self, var: Any, name: str) -> Any:
        """The TensorFlow variable that holds a slot; None if there is none."""
        this: Any = self
        known = self._kc.variables.get(this._variable_key(var))
        return None if known is None or name not in known.slots else this._native(known.slots[name])

    def _zeros_slot(self, var: Any, slot_name: str, op_name: str) -> Any:
        """A slot of zeros, created if it is not there."""
        return self._made_slot(var, slot_name, "zeros", None, None)

    def _get_or_make_slot(self, var: Any, val: Any, slot_name: str, op_name: str) -> Any:
        """A slot with an initial value, created if it is not there."""
        val = tf.convert_to_tensor(val)
        return self._made_slot(var, slot_name, val, val.shape, val.dtype)

    def _get_or_make_slot_with_initializer(
        self, var: Any, initializer: Any, shape: Any, dtype: Any, slot_name: str, op_name: str
    ) -> Any:
        """A slot with an initializer, created if it is not there."""
        return self._made_slot(var, slot_name, initializer, shape, dtype)

    def _made_slot(self, var: Any, name: str, initializer: Any, shape: Any, dtype: Any) -> Any:
        size = var.shape if shape is None else tf.TensorShape(shape)
        kind = var.dtype.base_dtype if dtype is None else tf.as_dtype(dtype).base_dtype
        initial = functools.partial(self._initial, initializer, size, kind)
        return self._slot(var, name, initial, shape, kind)

    def _create_non_slot_variable(self, initial_value: Any, name: str, colocate_with: Any = None) -> Any:
        """A variable of the optimizer as a whole, created if it is not there."""
        return self._shared_variable(name, lambda: tf.convert_to_tensor(initial_value))

    def _get_non_slot_variable(self, name: str, graph: Any = None) -> Any:
        """The variable of this name, or None."""
        this: Any = self
        shared = self._kc.shared
        return this._native(shared[name]) if name in shared else None

    def _non_slot_variables(self) -> List[Any]:
        this: Any = self
        return [this._native(each) for each in self._kc.shared.values()]

    def _create_state(self, variables: Sequence[Any]) -> None:
        self._create_slots(list(variables))

    # The learning rate, which such a class keeps as it likes.

    def _rate_attribute(self) -> str:
        for name in _RATES:
            if name in self.__dict__.get("_kc_set", ()):
                return name
        raise AttributeError(
            "{} has no learning rate in one of the attributes {}.".format(
                type(self).__name__, ", ".join(_RATES)
            )
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _RATES and "_kc" in self.__dict__ and not self._is_host_asking():
            self.__dict__.setdefault("_kc_set", set()).add(name)
            object.__setattr__(self, name, value)  # Keras 3 keeps a variable of its own there
        else:
            super().__setattr__(name, value)

    @property
    def learning_rate(self) -> Any:
        """What the class was given as its learning rate."""
        rate = getattr(self, self._rate_attribute())
        return rate() if callable(rate) else rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if "_kc" not in self.__dict__ or self._is_host_asking():
            return
        if self._kc.traced:
            raise HyperparameterError(
                "{}.learning_rate = {!r}: a class of TensorFlow 1 makes a constant of its learning rate, and "
                "the step has been traced with it. Give a variable or a callable as learning rate.".format(
                    type(self).__name__, value
                )
            )
        # A class that calls it so itself sets it here first.
        known = any(name in self.__dict__.get("_kc_set", ()) for name in _RATES)
        setattr(self, self._rate_attribute() if known else "_learning_rate", value)

    lr = learning_rate

    # The hooks.

    def _call_if_callable(self, param: Any) -> Any:
        return param() if callable(param) else param

    def _valid_dtypes(self) -> Any:
        return {tf.float16, tf.bfloat16, tf.float32, tf.float64}

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        """Creates the slots of variables."""

    def _prepare(self) -> None:
        """Called before each step: makes tensors of hyperparameters."""

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        """Updates a variable from a dense gradient."""
        raise self._missing("_resource_apply_dense(grad, var) or _apply_dense(grad, var)")

    def _resource_apply_dense(self, grad: Any, handle: Any) -> Any:
        """Updates a resource variable; here it is the only kind."""
        return self._by_reference("_apply_dense", grad, handle)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        """Updates a variable from IndexedSlices, of which no two rows have the same index."""
        raise self._missing("_resource_apply_sparse(grad, var, indices) or _apply_sparse(grad, var)")

    def _apply_sparse_duplicate_indices(self, grad: Any, var: Any) -> Any:
        """Sums rows of the same index, and calls `_apply_sparse`."""
        return self._apply_sparse(summed(grad), var)

    def _resource_apply_sparse(self, grad: Any, handle: Any, indices: Any) -> Any:
        """Updates a resource variable from rows of which no two have the same index."""
        return self._by_reference("_apply_sparse", tf.IndexedSlices(grad, indices), handle)

    def _resource_apply_sparse_duplicate_indices(self, grad: Any, handle: Any, indices: Any) -> Any:
        """Sums rows of the same index, and calls `_resource_apply_sparse`."""
        rows = summed(tf.IndexedSlices(grad, indices))
        return self._resource_apply_sparse(rows.values, handle, rows.indices)

    def _by_reference(self, hook: str, grad: Any, variable: Any) -> Any:
        """Calls a hook for reference variables, which mostly works on others, too."""
        try:
            return getattr(self, hook)(grad, variable)
        except HookError:
            raise
        except Exception as error:
            raise HookError(
                "{0}.{1}() failed on a resource variable, the only kind there is here: {2}: {3}. The class "
                "does not define _resource{1}(), and the operations it calls may be those of reference "
                "variables (such as apply_adam, for which there is resource_apply_adam).".format(
                    type(self).__name__, hook, type(error).__name__, error
                )
            ) from error

    def _missing(self, hook: str) -> HookError:
        return HookError(
            "{} does not define {}, which TensorFlow 1 calls for such a gradient.".format(
                type(self).__name__, hook
            )
        )

    def _finish(self, update_ops: List[Any], name_scope: Optional[str]) -> Any:
        """Called after the updates of a step. Returns the operation of the whole step."""
        return tf.group(*update_ops, name=name_scope) if not tf.executing_eagerly() else None

    # The step.

    def _apply_hooks(self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool) -> List[Any]:
        self._prepare()
        updates = [self._apply_hook(grad, variable, None) for grad, variable in pairs]
        return [self._finish([update for update in updates if update is not None], None)]

    def _apply_in_replica(
        self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool
    ) -> Tuple[Sequence[Tuple[Any, Any]], Any]:
        raise HookError(
            "{}: _finish() of a class of TensorFlow 1 does not run under a distribution strategy on the API "
            "{}; use the class as it is, on the API tf1.".format(type(self).__name__, self.api)
        )

    def _apply_hook(self, grad: Any, variable: Any, prepared: Any) -> Any:
        if isinstance(grad, tf.IndexedSlices):
            return self._resource_apply_sparse_duplicate_indices(grad.values, variable, grad.indices)
        return self._resource_apply_dense(grad, variable)

    # Configuration.

    def get_config(self) -> Dict[str, Any]:
        """The constructor's arguments.

        Raises:
            StateError: one of them is no JSON.
        """
        args, kwargs = self.__dict__["_kc_given"]
        # Not the class's own signature, which on older Pythons is that of __new__.
        bound = inspect.signature(self.__init__).bind(*args, **kwargs)  # type: ignore[misc]
        given = dict(bound.arguments)
        for parameter in bound.signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                given.update(given.pop(parameter.name, {}))
        for name, value in given.items():
            if hasattr(value, "item"):
                given[name] = value = value.item()
            if not isinstance(value, (int, float, str, bool, type(None))):
                raise StateError(
                    "{}.get_config(): the argument {} is {!r}, which has no configuration. Give a number or "
                    "a string, or define get_config() and from_config().".format(
                        type(self).__name__, name, value
                    )
                )
        self._base_config()  # which may raise
        return given

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """The optimizer that `get_config` described."""
        this: Any = cls
        made = cls(**dict(config))
        this._continue_saved_model()
        return made

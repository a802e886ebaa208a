"""The protocol of TensorFlow 1's Optimizer (`_apply_dense(grad, var)`, `_prepare`, `_finish`)."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from ...adapters.tensorflow_base import _is_variable, _no_autograph, _scope, v1
from ...errors import GradientError, HookError, HyperparameterError, StateError
from .. import overrides
from ..hooked import Hooked, _traced, summed

# Where TensorFlow 1's optimizers have their learning rate.
_RATES = ("_lr", "_learning_rate")


class TF1Dialect(Hooked):
    """The base of optimizers that are written against the hooks of `tf.train.Optimizer`.

    Args:
        use_locking: as the hooks pass it on.
        name: the optimizer's name.
        use_own_namescope_for_non_slot_vars: TensorFlow's own classes pass it on; names here are the host's.
    """

    _kc_computing = ("compute_gradients",)

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
        function = overrides.defined(type(self), "apply_gradients")
        if function is None or "get_variable" not in overrides.names_of(function):
            return

        def trace() -> Any:
            grads = [tf.zeros(variable.shape, variable.dtype.base_dtype) for variable in variables]
            self._own_step(list(zip(grads, variables)), functools.partial(function, self), (), {})
            return tf.constant(0)

        # Never run: it makes what the class makes by get_variable().
        _traced(trace, autograph=False).get_concrete_function()

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

    def _finish(self, update_ops: List[Any], name_scope: str) -> Any:
        """Called after the updates of a step, with its name. Returns the operation of the whole step."""
        return tf.group(*update_ops, name=name_scope) if not tf.executing_eagerly() else None

    # The step.

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        function = overrides.defined(cls, "apply_gradients")
        if function is not None:
            this: Any = cls
            this.apply_gradients = _in_step_of_host(function)
        if overrides.defined(cls, "__init__") is not None:
            _initialize(cls)

    def compute_gradients(
        self,
        loss: Any,
        var_list: Any = None,
        gate_gradients: int = 1,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        grad_loss: Any = None,
    ) -> Any:
        """Pairs (gradient, variable) of a loss: a callable, or a tensor of a graph. The rest is as it was."""
        this: Any = self
        return this._gradients(loss, var_list, None, grad_loss)

    def minimize(
        self,
        loss: Any,
        var_list: Any = None,
        grad_loss: Any = None,
        name: Optional[str] = None,
        tape: Any = None,
        global_step: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Computes the gradients of a loss and takes one step.

        Args:
            loss: a callable that computes it, a tensor with the `tape` that recorded it, or a tensor of a
                TensorFlow 1 graph.
            var_list: the variables. The first argument after the loss may be global_step, too.
            grad_loss: the gradient of what is computed from the loss.
            name: a name for the operations.
            tape: the tape that recorded the loss.
            global_step: a variable to add 1 to.
            **kwargs: arguments of `compute_gradients`.

        Raises:
            HookError: the class overrides `compute_gradients`, which knows no tape.
        """
        this: Any = self
        if _is_variable(var_list):
            var_list, global_step = None, var_list
        if tape is None:
            pairs = self.compute_gradients(loss, var_list, grad_loss=grad_loss, **kwargs)
        elif overrides.overrides(type(self), "compute_gradients"):
            raise self._not_in_fit("compute_gradients")
        else:
            pairs = this._gradients(loss, var_list, tape, grad_loss)
        return self.apply_gradients(pairs, global_step=global_step, name=name)

    @_no_autograph
    def apply_gradients(
        self, grads_and_vars: Iterable[Any], global_step: Any = None, name: Any = None, **kwargs: Any
    ) -> Any:
        """One step: updates every variable from its gradient, by the class's hooks.

        Args:
            grads_and_vars: pairs (gradient, variable); a gradient is a tensor, IndexedSlices or None.
            global_step: a variable to add 1 to, after the step.
            name: a name for the operations.
            **kwargs: arguments of the host's own.

        Raises:
            GradientError: no gradient, or one that does not fit its variable.
        """
        if isinstance(global_step, str):  # as the first argument is called on Keras' APIs
            global_step, name = name, global_step
        called = name, global_step is not None
        if not self.__dict__.get("_kc_overridden"):
            self.__dict__["_kc_called"] = called
            try:
                return super().apply_gradients(  # type: ignore[misc]
                    grads_and_vars, global_step=global_step, name=name, **kwargs
                )
            finally:
                del self.__dict__["_kc_called"]
        # The class's own apply_gradients() calls that of its base class.
        this: Any = self
        pairs = [(grad, this._native(var)) for grad, var in grads_and_vars if grad is not None]
        done = self._hooks(pairs, *called)
        if global_step is None:
            return done
        with this._after([done]):
            return v1.assign_add(global_step, 1)

    def _own_step(
        self, pairs: Sequence[Tuple[Any, Any]], function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Calls the class's own apply_gradients(), with the variables that it makes kept."""
        counts: Dict[str, int] = {}
        self._check_order([variable for _, variable in pairs])

        def kept(getter: Any, name: str, shape: Any = None, dtype: Any = None, **how: Any) -> Any:
            name = name.replace("/", "_")  # which Keras 3 refuses
            count = counts[name] = counts.get(name, -1) + 1
            initializer = how.get("initializer")
            if initializer is None:
                initializer = v1.glorot_uniform_initializer()
            initial = functools.partial(self._initial, initializer, shape, tf.as_dtype(dtype or tf.float32))
            return self._shared_variable("{}_{}".format(name, count) if count else name, initial)

        before = self.__dict__.get("_kc_overridden")
        self.__dict__["_kc_overridden"] = True
        try:
            with v1.variable_scope(v1.get_variable_scope(), custom_getter=kept):
                return function(list(pairs), *args, **kwargs)
        finally:
            self.__dict__["_kc_overridden"] = before

    def _check_order(self, variables: Sequence[Any]) -> None:
        """What the class makes is named after its variables; several of one name are known by their order."""
        this: Any = self
        names = [variable.name for variable in variables]
        twice = {name for name in names if names.count(name) > 1}
        order = [this._variable_key(each) for each in variables if each.name in twice]
        if order != self.__dict__.setdefault("_kc_same_names", order):
            raise GradientError(
                "{}: several variables have the same name, after which its apply_gradients() names its "
                "state. Give each step the gradients of all of them, in the same order, or give each a name "
                "of its own.".format(type(self).__name__)
            )

    def _apply_hooks(self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool) -> List[Any]:
        own = self.__dict__.get("_kc_own_step")
        if own is not None:
            return [self._own_step(pairs, *own)]
        return [self._hooks(pairs, *self.__dict__.get("_kc_called", (None, False)))]

    def _hooks(self, pairs: Sequence[Tuple[Any, Any]], name: Optional[str], counts: bool) -> Any:
        with v1.name_scope(_scope(name or self.get_name())) as scope:
            self._prepare()
            updates = [self._apply_hook(grad, variable, None) for grad, variable in pairs]
            updates = [update for update in updates if update is not None]
            # TensorFlow gives the scope's name to what counts global_step, where there is one.
            return self._finish(updates, "update" if counts else scope)

    def _scope_of_step(self, name: Optional[str]) -> Any:
        return contextlib.ExitStack()  # `_hooks` opens it, as the base class of TensorFlow does

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
        # Not that of the class, which up to Python 3.10 is the one of __new__.
        bound = inspect.signature(type(self).__init__).bind(self, *args, **kwargs)
        given = dict(list(bound.arguments.items())[1:])
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


def _in_step_of_host(function: Any) -> Any:
    """An apply_gradients() that a class has itself, as what the host does in a step."""

    @functools.wraps(function)
    def apply_gradients(self: Any, grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        if self.__dict__.get("_kc_overridden"):  # by another one's
            return function(self, grads_and_vars, *args, **kwargs)
        hosts = ("skip_gradients_aggregation", "experimental_aggregate_gradients")
        given = {name: kwargs.pop(name) for name in hosts if name in kwargs}
        self.__dict__["_kc_own_step"] = functools.partial(function, self), args, kwargs
        try:
            return TF1Dialect.apply_gradients(self, grads_and_vars, **given)
        finally:
            del self.__dict__["_kc_own_step"]

    return apply_gradients


def _initialize(cls: Any) -> None:
    """Has the base class initialized where a constructor does not call it, as that of a wrapper may do."""
    function = cls.__init__

    @functools.wraps(function)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        function(self, *args, **kwargs)
        if type(self) is cls and "_kc" not in self.__dict__:
            self._set_up_hooks(cls.__name__)

    cls.__init__ = __init__

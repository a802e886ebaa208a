"""The protocol of OptimizerV2 (`_resource_apply_dense(grad, var, apply_state)`), as in TensorFlow 2.10."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from ...adapters.tensorflow_base import _is_variable, _no_autograph
from ...errors import HookError, HyperparameterError, UnknownArgumentError, nearest
from ...schedules import Schedule
from ..hooked import Hooked, is_in_step, on_values, summed

_KEYWORDS = ("clipnorm", "clipvalue", "global_clipnorm", "lr", "decay")
_CLIPS = ("clipvalue", "clipnorm", "global_clipnorm")


class OptimizerV2Dialect(Hooked):
    """The base of optimizers that are written against OptimizerV2's hooks.

    Args:
        name: the optimizer's name.
        gradient_aggregator: what sums the gradients over the replicas; a sum by default.
        gradient_transformers: functions from a list of pairs (gradient, variable) to one, called in place of
            clipping.
        **kwargs: clipnorm, clipvalue, global_clipnorm, lr and decay.

    Raises:
        UnknownArgumentError: another keyword.
        HyperparameterError: a negative number, or clipping by both norms.
    """

    _HAS_AGGREGATE_GRAD = True
    _kc_computing = ("_compute_gradients",)

    def __init__(
        self,
        name: str,
        gradient_aggregator: Optional[Callable[..., Any]] = None,
        gradient_transformers: Optional[Sequence[Callable[..., Any]]] = None,
        **kwargs: Any,
    ) -> None:
        where = type(self).__name__
        for key, value in kwargs.items():
            if key not in _KEYWORDS:
                raise UnknownArgumentError(
                    "{}() has no argument {!r}; OptimizerV2 takes {}.{}".format(
                        where, key, ", ".join(_KEYWORDS), nearest(key, _KEYWORDS)
                    )
                )
            if isinstance(value, (int, float)) and value < 0:
                raise HyperparameterError("{}({}={!r}): expected at least 0.".format(where, key, value))
        if kwargs.get("clipnorm") is not None and kwargs.get("global_clipnorm") is not None:
            raise HyperparameterError(
                "{}(): expected one of clipnorm and global_clipnorm, got both.".format(where)
            )
        object.__setattr__(self, "_kc_clips", {name: kwargs.get(name) for name in _CLIPS})
        # Hyperparameters that are True or False, and those that were given as an int.
        object.__setattr__(self, "_kc_switches", {})
        object.__setattr__(self, "_kc_integers", set())
        self._set_up_hooks(name)
        self._use_locking = True
        self._initial_decay = kwargs.get("decay", 0.0)
        self.gradient_aggregator = gradient_aggregator
        self.gradient_transformers = list(gradient_transformers or ())

    # Hyperparameters.

    def _set_hyper(self, name: str, value: Any) -> None:
        """Makes a hyperparameter, or sets it: a number, schedule, callable, tensor or variable."""
        if self._is_host_asking():
            super()._set_hyper(name, value)  # type: ignore[misc]
        elif isinstance(value, bool):
            self._set_switch(name, value)
        else:
            if isinstance(value, int):
                self._kc_integers.add(name)
            self._new_hyper(name, value)

    def _set_switch(self, name: str, value: bool) -> None:
        if self._kc.traced and self._kc_switches.get(name) != value:
            raise HyperparameterError(
                "{}: the hyperparameter {!r} can't become {!r}, because the training step has been traced. "
                "Make a new optimizer.".format(type(self).__name__, name, value)
            )
        self._kc_switches[name] = value

    def _get_hyper(self, name: str, dtype: Any = None) -> Any:
        """A hyperparameter's value now: its variable, tensor or schedule; of a `dtype`, a tensor."""
        this: Any = self
        if name in self._kc_switches:
            return tf.cast(self._kc_switches[name], tf.bool if dtype is None else dtype)
        if name not in self._kc.attributes:
            raise KeyError(
                "{} has no hyperparameter {!r}; _set_hyper() made {}.".format(
                    type(self).__name__, name, ", ".join(self._kc.attributes) or "none"
                )
            )
        hyper = self._kc.attributes[name]
        kind, value = hyper.kind, hyper.source
        if kind == "number":
            variable = self._hyper_variable(hyper)
            value = value if variable is None else variable
        elif kind == "callable":
            value = this._native_value(this._call(value, "{}.{}".format(type(self).__name__, name)))
        elif kind == "schedule":
            return value
        else:
            value = this._native_value(value)
        if dtype is None and not (name in self._kc_integers and kind == "number"):
            return self._as_v2_has_it(value)
        dtype = tf.int32 if dtype is None else dtype  # as OptimizerV2 has a number that was given as an int
        # OptimizerV2 keeps numbers in float32.
        return tf.cast(value if kind != "number" else tf.cast(value, tf.float32), dtype)

    def _as_v2_has_it(self, value: Any) -> Any:
        """A hyperparameter in float32 in a step, where hooks calculate with it; else its variable."""
        inside = is_in_step() and getattr(value, "dtype", None) == tf.float64
        return tf.cast(value, tf.float32) if inside else value

    def _public_hyper(self, hyper: Any) -> Any:
        this: Any = self
        if hyper.kind == "number":
            variable = self._hyper_variable(hyper)
            return hyper.source if variable is None else self._as_v2_has_it(variable)
        return super()._public_hyper(hyper) if hyper.kind != "tensor" else this._native_value(hyper.source)  # type: ignore[misc]

    def _serialize_hyperparameter(self, hyperparameter_name: str) -> Any:
        """A hyperparameter's value as JSON."""
        this: Any = self
        if hyperparameter_name in self._kc_switches:
            return self._kc_switches[hyperparameter_name]
        if hyperparameter_name not in self._kc.attributes:
            return self._get_hyper(hyperparameter_name)  # raises
        hyper = self._kc.attributes[hyperparameter_name]
        if hyper.kind == "schedule":
            return this._config_value(hyper)
        number = this._current_number(hyper) if hyper.kind == "number" else this._read_number(hyper)
        integer = hyperparameter_name in self._kc_integers and number == int(number)
        return int(number) if integer else number

    def _create_hypers(self) -> None:
        """Creates the variables of hyperparameters, on hosts where they are not there from the start."""
        if self.api == "optimizer_v2":
            with self._by_host():  # a wrapper calls it, too, and the host makes them by add_weight()
                super()._create_hypers()  # type: ignore[misc]

    @property
    def _hypers_created(self) -> bool:
        return self.__dict__.get("_kc_hypers_created", True)

    @_hypers_created.setter
    def _hypers_created(self, value: bool) -> None:
        self.__dict__["_kc_hypers_created"] = value

    def __getattr__(self, name: str) -> Any:
        if name in ("_hyper", "_weights") and "_kc" in self.__dict__:
            # As OptimizerV2 names them; an OptimizerV2 has its own.
            if name == "_weights":
                return self._own_weights_only()
            return {each: self._get_hyper(each) for each in self._kc.attributes}
        if "_kc" in self.__dict__ and name in self._kc.attributes:
            return self._public_hyper(self._kc.attributes[name])
        return super().__getattr__(name)  # type: ignore[misc]

    def _decayed_lr(self, var_dtype: Any) -> Any:
        """The learning rate of this step, with a schedule and `decay` applied, in a dtype."""
        rate = self._get_hyper("learning_rate", var_dtype)
        if self._kc.attributes["learning_rate"].kind == "schedule":
            rate = self._scheduled(rate, var_dtype)
        decay = self._initial_decay
        if not isinstance(decay, (int, float)) or decay > 0:
            steps = tf.cast(self.iterations, var_dtype)
            rate = rate / (1.0 + tf.cast(decay, var_dtype) * steps)
        return rate

    def _scheduled(self, schedule: Any, dtype: Any) -> Any:
        if isinstance(schedule, Schedule):
            this: Any = self
            return tf.cast(this._hyper_value(self._kc.attributes["learning_rate"], self.iterations), dtype)
        return tf.cast(schedule(tf.cast(self.iterations, dtype)), dtype)

    def _call_if_callable(self, param: Any) -> Any:
        return param() if callable(param) else param

    # Clipping.

    clipnorm = property(
        lambda self: self._kc_clips["clipnorm"], lambda self, value: self._set_clip("clipnorm", value)
    )
    clipvalue = property(
        lambda self: self._kc_clips["clipvalue"], lambda self, value: self._set_clip("clipvalue", value)
    )
    global_clipnorm = property(
        lambda self: self._kc_clips["global_clipnorm"],
        lambda self, value: self._set_clip("global_clipnorm", value),
    )

    def _set_clip(self, name: str, value: Any) -> None:
        state = self.__dict__.get("_kc")
        if state is None or not state.ready:  # the host's own constructor
            return
        if self.gradient_transformers and value is not None:
            raise HyperparameterError(
                "{}.{} can't be set: gradient_transformers are in its place.".format(
                    type(self).__name__, name
                )
            )
        if state.traced and value != self._kc_clips[name]:
            raise HyperparameterError(
                "{}.{} = {!r}: the training step has been traced, so it would have no effect. Make a new "
                "optimizer.".format(type(self).__name__, name, value)
            )
        self._kc_clips[name] = value

    def _transform_loss(self, loss: Any) -> Any:
        """Called with the loss before its gradients are computed."""
        return loss

    def scale_loss(self, loss: Any) -> Any:
        """What Keras 3's `fit` calls before it computes the gradients."""
        return super().scale_loss(self._transform_loss(loss))

    def _transform_unaggregated_gradients(self, grads_and_vars: Any) -> Any:
        """Called with the gradients before they are summed over the replicas."""
        return grads_and_vars

    def _aggregate_gradients(self, grads_and_vars: Any) -> Any:
        """Sums the gradients over the replicas."""
        pairs = list(grads_and_vars)
        if self.gradient_aggregator is not None:
            return self.gradient_aggregator(pairs)
        this: Any = self
        if not this._has_strategy():
            return pairs if len(pairs) == 0 or pairs[0].__class__ is tuple else [tuple(p) for p in pairs]
        context = tf.distribute.get_replica_context()
        present = [(grad, variable) for grad, variable in pairs if grad is not None]
        return [
            (context.all_reduce(tf.distribute.ReduceOp.SUM, grad), variable) for grad, variable in present
        ]

    def _transform_gradients(self, grads_and_vars: Any) -> Any:
        """Clips the gradients: by value, then by norm."""
        pairs = list(grads_and_vars)
        for transform in self.gradient_transformers:
            pairs = transform(pairs)
        value, norm, total = (self._kc_clips[name] for name in _CLIPS)
        if value is not None:
            pairs = [(on_values(lambda g: tf.clip_by_value(g, -value, value), g), v) for g, v in pairs]
        if norm is not None:
            pairs = [(on_values(lambda g: tf.clip_by_norm(g, norm), g), v) for g, v in pairs]
        if total is not None:
            clipped, _ = tf.clip_by_global_norm([g for g, _ in pairs], total)
            pairs = [(g, v) for g, (_, v) in zip(clipped, pairs)]
        return pairs

    # State.

    def add_slot(self, var: Any, slot_name: str, initializer: Any = "zeros", shape: Any = None) -> Any:
        """Creates a slot of a variable, or gives the one that there is.

        Args:
            var: the variable.
            slot_name: the slot's name.
            initializer: the name of an initializer of Keras, one, a function of a shape and a dtype, or the
                initial value: an array, a tensor or a variable.
            shape: the slot's shape; the variable's by default.

        Returns:
            A TensorFlow variable.
        """
        if self._is_host_asking():
            return super().add_slot(var, slot_name, initializer)  # type: ignore[misc]
        this: Any = self
        native = this._native(var)
        dtype = native.dtype.base_dtype
        if shape is None and not isinstance(initializer, str) and not callable(initializer):
            shape = this._native_value(initializer).shape if hasattr(initializer, "shape") else ()
        size = native.shape if shape is None else tf.TensorShape(shape)
        initial = functools.partial(self._initial, initializer, size, dtype)
        return self._slot(native, slot_name, initial, shape, None)

    def get_slot(self, var: Any, slot_name: str) -> Any:
        """The TensorFlow variable that holds a slot.

        Raises:
            NotBuiltError: the optimizer has no state for this variable.
            KeyError: it has no such slot.
        """
        this: Any = self
        return this._native(super().get_slot(var, slot_name))  # type: ignore[misc]

    def add_weight(
        self,
        name: str,
        shape: Any,
        dtype: Any = None,
        initializer: Any = "zeros",
        trainable: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Creates a variable of the optimizer as a whole, or gives the one that there is."""
        if self._is_host_asking():
            return super().add_weight(  # type: ignore[misc]
                name, shape, dtype=dtype, initializer=initializer, trainable=trainable, **kwargs
            )
        dtype = tf.as_dtype(tf.float32 if dtype is None else dtype)
        size = tf.TensorShape(shape)
        return self._shared_variable(name, functools.partial(self._initial, initializer, size, dtype))

    def _distribution_strategy_scope(self) -> Any:
        """The scope in which variables are made: that of the strategy which is entered."""
        return (
            tf.distribute.get_strategy().scope() if tf.distribute.has_strategy() else contextlib.ExitStack()
        )

    def _create_all_weights(self, var_list: Sequence[Any]) -> None:
        """Creates all variables of the optimizer that are not there: hyperparameters and slots."""
        if self.__dict__.get("_kc_creating"):
            self._create_hypers()
            self._create_slots(list(var_list))
        else:
            this: Any = self
            with tf.init_scope():
                this._build(var_list)

    def _create_state(self, variables: Sequence[Any]) -> None:
        self.__dict__["_kc_creating"] = True
        try:
            self._create_all_weights(list(variables))
        finally:
            self.__dict__["_kc_creating"] = False

    # The hooks.

    @property
    def _dense_apply_args(self) -> Sequence[str]:
        return _arguments(type(self)._resource_apply_dense)

    @property
    def _sparse_apply_args(self) -> Sequence[str]:
        return _arguments(type(self)._resource_apply_sparse)

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        """Creates the slots of variables, by `add_slot`."""

    def _prepare(self, var_list: Sequence[Any]) -> Dict[Tuple[str, Any], Dict[str, Any]]:
        """What the hooks of a step share: a dict for each device and dtype, filled by `_prepare_local`."""
        state: Dict[Tuple[str, Any], Dict[str, Any]] = {}
        for variable in var_list:
            for device in getattr(variable, "_devices", None) or (variable.device,):
                key = device, variable.dtype.base_dtype
                if key not in state:
                    state[key] = {}
                    with tf.device(device):
                        self._prepare_local(device, key[1], state)
        return state

    def _prepare_local(self, var_device: str, var_dtype: Any, apply_state: Any) -> None:
        """Fills in what variables of a device and a dtype share: the learning rate, as "lr_t"."""
        if "learning_rate" in self._kc.attributes:
            apply_state[var_device, var_dtype]["lr_t"] = tf.identity(self._decayed_lr(var_dtype))

    def _fallback_apply_state(self, var_device: str, var_dtype: Any) -> Dict[str, Any]:
        """What `_prepare_local` fills in, for a hook that was called without."""
        state: Dict[Tuple[str, Any], Dict[str, Any]] = {(var_device, var_dtype): {}}
        self._prepare_local(var_device, var_dtype, state)
        return state[var_device, var_dtype]

    def _resource_apply_dense(self, grad: Any, handle: Any, apply_state: Any = None) -> Any:
        """Updates a variable from a dense gradient."""
        raise self._missing("_resource_apply_dense(grad, var, apply_state=None)")

    def _resource_apply_sparse(self, grad: Any, handle: Any, indices: Any, apply_state: Any = None) -> Any:
        """Updates a variable from rows of a gradient, of which no two have the same index."""
        raise self._missing("_resource_apply_sparse(grad, var, indices, apply_state=None)")

    def _missing(self, hook: str) -> HookError:
        return HookError(
            "{} does not define {}, which OptimizerV2 calls for such a gradient.".format(
                type(self).__name__, hook
            )
        )

    def _resource_apply_sparse_duplicate_indices(
        self, grad: Any, handle: Any, indices: Any, **kwargs: Any
    ) -> Any:
        """Sums rows of the same index, and calls `_resource_apply_sparse`."""
        rows = summed(tf.IndexedSlices(grad, indices))
        return self._resource_apply_sparse(rows.values, handle, rows.indices, **kwargs)

    def _resource_scatter_add(self, x: Any, i: Any, v: Any) -> Any:
        """Adds to rows of a variable. Returns its value after that."""
        with tf.control_dependencies([_raw("ResourceScatterAdd", x, i, v)]):
            return x.value()

    def _resource_scatter_update(self, x: Any, i: Any, v: Any) -> Any:
        """Writes rows of a variable. Returns its value after that."""
        with tf.control_dependencies([_raw("ResourceScatterUpdate", x, i, v)]):
            return x.value()

    # The step.

    @_no_autograph
    def apply_gradients(
        self,
        grads_and_vars: Iterable[Any],
        name: Any = None,
        experimental_aggregate_gradients: bool = True,
        **kwargs: Any,
    ) -> Any:
        """One step: updates every variable from its gradient, by the class's hooks.

        Args:
            grads_and_vars: pairs (gradient, variable); a gradient is a tensor, IndexedSlices or None.
            name: a name for the operations. Of the API tf1 a second positional argument may be global_step.
            experimental_aggregate_gradients: whether to sum the gradients over the replicas.
            **kwargs: the arguments of the host's own: global_step, skip_gradients_aggregation.

        Raises:
            GradientError: no gradient, or one that does not fit its variable.
        """
        if _is_variable(name):
            kwargs["global_step"], name = name, None
        aggregate = experimental_aggregate_gradients and not kwargs.pop("skip_gradients_aggregation", False)
        object.__setattr__(self, "_kc_aggregate", aggregate)
        this: Any = self
        done = super().apply_gradients(  # type: ignore[misc]
            grads_and_vars, name=name, experimental_aggregate_gradients=aggregate, **kwargs
        )
        return this._native(done)  # wrappers group it with other operations

    def _apply_hooks(self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool) -> List[Any]:
        pairs, prepared = self._apply_in_replica(pairs, aggregate)
        return [self._apply_hook(grad, variable, prepared) for grad, variable in pairs]

    def _apply_in_replica(
        self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool
    ) -> Tuple[Sequence[Tuple[Any, Any]], Any]:
        prepared = self._prepare([variable for _, variable in pairs])
        if aggregate:
            pairs = self._aggregate_gradients(self._transform_unaggregated_gradients(pairs))
        return list(self._transform_gradients(pairs)), prepared

    def _distributed_apply(self, *args: Any, **kwargs: Any) -> Any:
        """What OptimizerV2's own apply_gradients() calls, and one that a class has copied from it.

        Raises:
            HookError: always.
        """
        raise HookError(
            "{}.apply_gradients() calls _distributed_apply(), in which OptimizerV2 takes a step; here the "
            "host does. Call super().apply_gradients(grads_and_vars, name) in its place.".format(
                type(self).__name__
            )
        )

    def _apply_hook(self, grad: Any, variable: Any, prepared: Any) -> Any:
        kwargs = {}
        if isinstance(grad, tf.IndexedSlices):
            if "apply_state" in self._sparse_apply_args:
                kwargs["apply_state"] = prepared
            return self._resource_apply_sparse_duplicate_indices(
                grad.values, variable, grad.indices, **kwargs
            )
        if "apply_state" in self._dense_apply_args:
            kwargs["apply_state"] = prepared
        return self._resource_apply_dense(grad, variable, **kwargs)

    def get_gradients(self, loss: Any, params: Sequence[Any]) -> List[Any]:
        """The gradients of a loss of a TensorFlow 1 graph.

        Raises:
            ValueError: a variable has none.
        """
        this: Any = self
        return list(this._graph_gradients(loss, params))

    def _compute_gradients(self, loss: Any, var_list: Any, grad_loss: Any = None, tape: Any = None) -> Any:
        """Pairs (gradient, variable) of a loss: a callable, or a tensor with its tape."""
        this: Any = self
        if callable(loss):
            return this._gradients(lambda: self._transform_loss(loss()), var_list, tape, grad_loss)
        if tape is not None:
            with tape:
                loss = self._transform_loss(loss)
        return this._gradients(loss, var_list, tape, grad_loss)

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
            var_list: the variables, or a callable that gives them.
            grad_loss: the gradient of what is computed from the loss.
            name: a name for the operations.
            tape: the tape that recorded the loss.
            global_step: a variable to add 1 to.
            **kwargs: of the API tf1, arguments of its `compute_gradients`.
        """
        this: Any = self
        if self.api == "tf1" and _is_variable(var_list):
            global_step, var_list = var_list, None
        if kwargs:
            pairs = this.compute_gradients(loss, var_list, grad_loss=grad_loss, **kwargs)
        else:
            pairs = self._compute_gradients(loss, var_list, grad_loss=grad_loss, tape=tape)
        if global_step is None:
            return self.apply_gradients(pairs, name=name)
        return self.apply_gradients(pairs, name=name, global_step=global_step)

    # Configuration.

    def get_config(self) -> Dict[str, Any]:
        """The name, and how gradients are clipped."""
        config = self._base_config()
        config.update((name, value) for name, value in self._kc_clips.items() if value is not None)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """The optimizer that `get_config` described."""
        this: Any = cls
        config = dict(config)
        if "lr" in config:
            config["learning_rate"] = config.pop("lr")
        if isinstance(config.get("learning_rate"), Mapping):
            config["learning_rate"] = this._schedule_from_config(config["learning_rate"], custom_objects)
        made = cls(**config)
        this._continue_saved_model()
        return made


@functools.lru_cache(maxsize=None)
def _arguments(hook: Any) -> Tuple[str, ...]:
    return tuple(inspect.signature(hook).parameters)


def _raw(operation: str, variable: Any, indices: Any, values: Any) -> Any:
    if hasattr(tf, "raw_ops"):
        return getattr(tf.raw_ops, operation)(resource=variable.handle, indices=indices, updates=values)
    # TensorFlow 1.13
    functions = {"ResourceScatterAdd": "scatter_add", "ResourceScatterUpdate": "scatter_update"}
    return getattr(tf.compat.v1, functions[operation])(variable, indices, values)

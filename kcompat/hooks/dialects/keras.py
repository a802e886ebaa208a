"""The protocol of `update_step(gradient, variable)`, Keras 2.11's, and of Keras 3's, with a learning rate."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from ...adapters.tensorflow_base import _no_autograph
from ...errors import GradientError, HookError, HyperparameterError, UnknownArgumentError, nearest
from ...schedules import Schedule
from .. import overrides
from ..hooked import Hooked, is_in_step, on_values, summed

# Arguments of the base classes, in their order, after `learning_rate` (Keras 3) or `name` (Keras 2.11).
_ARGUMENTS = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
}
_NOT_CARRIED_OVER = ("loss_scale_factor", "gradient_accumulation_steps")
_IGNORED = ("jit_compile", "is_legacy_optimizer")


def _argument(name: str) -> Any:
    def get(self: Any) -> Any:
        state = self._kc
        if not state.ready or state.in_host:  # the host must not do it, too
            return _ARGUMENTS[name]
        return self._kc_arguments[name]

    def set_(self: Any, value: Any) -> None:
        state = self.__dict__.get("_kc")
        if state is None or not state.ready or state.in_host:
            return
        if state.traced and value != self._kc_arguments[name]:
            raise HyperparameterError(
                "{}.{} = {!r}: the training step has been traced, so it would have no effect. Make a new "
                "optimizer.".format(type(self).__name__, name, value)
            )
        self._kc_arguments[name] = value

    return property(get, set_, doc="As in Keras 3.")


class KerasDialect(Hooked):
    """The base of optimizers that are written against `build` and `update_step`.

    Args:
        *args: as Keras 3's base class, `learning_rate` first; or as Keras 2.11's, if the first one is a
            string: `name` first.
        **kwargs: learning_rate, name, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
            ema_momentum and ema_overwrite_frequency.

    Raises:
        HookError: an argument that the other APIs have no place for.
        UnknownArgumentError: another keyword.
    """

    _kc_computing = ("compute_gradients",)
    _kc_arguments: Dict[str, Any]
    # Whether the class has made its variables, as Keras 3 and Keras 2.11 call it.
    built = False
    _built = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        where = type(self).__name__
        first = "name" if args and isinstance(args[0], str) else "learning_rate"
        names = (first, *_ARGUMENTS)
        given = dict(zip(names, args), **kwargs)
        for name in _NOT_CARRIED_OVER:
            if given.pop(name, None) is not None:
                raise HookError(
                    "{}({}=...): the hooks of Keras 3 know nothing of it, and no other API's training loop "
                    "does it. Leave it out.".format(where, name)
                )
        for name in _IGNORED:
            given.pop(name, None)
        known = ("learning_rate", "name", *_ARGUMENTS)
        for name in given:
            if name not in known:
                raise UnknownArgumentError(
                    "{}() has no argument {!r}; the base class takes {}.{}".format(
                        where, name, ", ".join(known), nearest(name, known)
                    )
                )
        arguments = {name: given.get(name, default) for name, default in _ARGUMENTS.items()}
        if sum(arguments[name] is not None for name in ("clipnorm", "clipvalue", "global_clipnorm")) > 1:
            raise HyperparameterError(
                "{}(): expected one of clipnorm, clipvalue and global_clipnorm.".format(where)
            )
        object.__setattr__(self, "_kc_arguments", arguments)
        self._set_up_hooks(given.get("name") or where)
        if given.get("learning_rate") is not None:
            self._build_learning_rate(given["learning_rate"])

    weight_decay = _argument("weight_decay")
    clipnorm = _argument("clipnorm")
    clipvalue = _argument("clipvalue")
    global_clipnorm = _argument("global_clipnorm")
    use_ema = _argument("use_ema")
    ema_momentum = _argument("ema_momentum")
    ema_overwrite_frequency = _argument("ema_overwrite_frequency")

    # The learning rate.

    def _build_learning_rate(self, learning_rate: Any) -> Any:
        """Makes the learning rate a hyperparameter. Returns what `_learning_rate` is to be."""
        if self._is_host_asking():
            return super()._build_learning_rate(learning_rate)  # type: ignore[misc]
        if isinstance(learning_rate, Mapping):
            this: Any = self
            learning_rate = this._schedule_from_config(learning_rate, None)
        self._new_hyper("learning_rate", learning_rate)
        return self.__dict__.get("_learning_rate", learning_rate)

    def _serialize_hyperparameter(self, hyperparameter: Any) -> Any:
        """A hyperparameter as JSON: of the learning rate its value now."""
        this: Any = self
        rate = self._kc.attributes.get("learning_rate")
        own = (None if rate is None else rate.source, self.__dict__.get("_learning_rate"))
        if rate is not None and any(hyperparameter is each for each in own):
            return this._config_value(rate)
        if hasattr(hyperparameter, "get_config"):
            return this._schedule_to_config(hyperparameter)
        if hasattr(hyperparameter, "numpy"):
            return hyperparameter.numpy().item()
        return hyperparameter() if callable(hyperparameter) else hyperparameter

    def _current_rate(self) -> Any:
        """The learning rate of this step, a float32 tensor."""
        this: Any = self
        rate = self._kc.attributes.get("learning_rate")
        if rate is None:
            return tf.constant(0.0)
        if rate.kind == "number":
            variable = self._hyper_variable(rate)
            value = rate.source if variable is None else variable
        elif rate.kind == "schedule" and not isinstance(rate.source, Schedule):
            value = rate.source(self.iterations)
        else:
            value = this._hyper_value(rate, self.iterations)
        return tf.cast(this._native_value(value), tf.float32)

    def _public_hyper(self, hyper: Any) -> Any:
        if is_in_step():
            return self._current_rate()
        if hyper.kind == "number":
            variable = self._hyper_variable(hyper)
            return hyper.source if variable is None else variable
        return super()._public_hyper(hyper)  # type: ignore[misc]

    def _get_current_learning_rate(self) -> Any:
        return self._current_rate()

    # State.

    @_no_autograph
    def build(self, var_list: Sequence[Any]) -> None:
        """Creates the optimizer's variables; a class that overrides it calls this first.

        It is called again, on all variables, when one comes that was not there before.
        """
        this: Any = self
        if not self.__dict__.get("_kc_creating"):
            with tf.init_scope():
                this._build(list(var_list))
        self.__dict__["_kc_indices"] = {
            this._variable_key(known.variable): i for i, known in enumerate(self._kc.variables.values())
        }
        self.__dict__["_kc_counts"] = {}
        self.__dict__["built"] = True

    def _create_state(self, variables: Sequence[Any]) -> None:
        this: Any = self
        self.__dict__["_built"] = self.__dict__["built"] = False
        self.__dict__["_kc_creating"] = True
        try:
            self.build([this._native(known.variable) for known in self._kc.variables.values()])
        finally:
            self.__dict__["_kc_creating"] = False
        self.__dict__["built"] = True
        if self.use_ema:
            for variable in variables:
                initial = functools.partial(
                    self._initial, variable, variable.shape, variable.dtype.base_dtype
                )
                self._slot(variable, "average", initial, None, None)

    def _build_index_dict(self, var_list: Iterable[Any]) -> None:
        """The hook's order of variables is that in which they were built."""

    @property
    def _index_dict(self) -> Dict[Any, int]:
        found: Dict[Any, int] = self.__dict__.get("_kc_indices", {})
        return found

    @_index_dict.setter
    def _index_dict(self, value: Any) -> None:
        pass  # the host's own

    def _var_key(self, variable: Any) -> Any:
        this: Any = self
        return this._variable_key(variable)

    def _get_variable_index(self, variable: Any) -> int:
        return self._index_dict[self._var_key(variable)]

    def _is_known(self, key: Any, name: str) -> str:
        """A name that no variable made in this build has yet: the same in the next build."""
        counts = self.__dict__.setdefault("_kc_counts", {})
        count = counts[key, name] = counts.get((key, name), -1) + 1
        return "{}_{}".format(name, count) if count else name

    def add_variable_from_reference(self, *args: Any, **kwargs: Any) -> Any:
        """Creates a variable like another one, or gives the one that there is.

        Args:
            *args, **kwargs: Keras 3's (reference_variable, name, initializer) or Keras 2.11's
                (model_variable, variable_name, shape, initial_value).

        Returns:
            A TensorFlow variable.
        """
        if self._is_host_asking():
            return super().add_variable_from_reference(*args, **kwargs)  # type: ignore[misc]
        given = list(args)
        reference = given.pop(0) if given else None
        for key in ("reference_variable", "model_variable"):
            reference = kwargs.pop(key, reference)
        name = kwargs.pop("name", None) or kwargs.pop("variable_name", None)
        if name is None:
            name = given.pop(0) if given else "var"
        shape, initializer = kwargs.pop("shape", None), kwargs.pop("initializer", None)
        initial_value = kwargs.pop("initial_value", None)
        for value in given:
            if isinstance(value, str) or callable(value):
                initializer = value
            elif isinstance(value, (list, tuple, tf.TensorShape)) or value is None:
                shape = value
            else:
                initial_value = value
        this: Any = self
        native = this._native(reference)
        source = initializer if initial_value is None else initial_value
        initial = functools.partial(
            self._initial,
            "zeros" if source is None else source,
            native.shape if shape is None else shape,
            native.dtype.base_dtype,
        )
        return self._slot(native, self._is_known(self._var_key(native), name), initial, shape, None)

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Any], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """Creates a variable like each of a list; of several names, a list for each."""
        if not isinstance(name, str):
            each = initializer if isinstance(initializer, (list, tuple)) else [initializer] * len(name)
            return tuple(self.add_optimizer_variables(trainable_variables, n, i) for n, i in zip(name, each))
        return [
            self.add_variable_from_reference(variable, name=name, initializer=initializer)
            for variable in trainable_variables
        ]

    def add_variable(self, shape: Any, *args: Any, **kwargs: Any) -> Any:
        """Creates a variable of the optimizer as a whole, or gives the one that there is."""
        if self._is_host_asking():
            return super().add_variable(shape, *args, **kwargs)  # type: ignore[misc]
        dtype, initializer = kwargs.pop("dtype", None), kwargs.pop("initializer", "zeros")
        for value in args:
            if isinstance(value, tf.DType) or _is_dtype(value):
                dtype = value
            elif value is not None:
                initializer = value
        name = self._is_known(None, kwargs.pop("name", None) or "variable")
        dtype = tf.as_dtype(dtype or tf.float32)
        return self._shared_variable(name, functools.partial(self._initial, initializer, shape, dtype))

    def assign(self, variable: Any, value: Any) -> Any:
        """Assigns a variable, in its own dtype."""
        return variable.assign(tf.cast(value, variable.dtype.base_dtype))

    def assign_add(self, variable: Any, value: Any) -> Any:
        """Adds to a variable, in its own dtype."""
        return variable.assign_add(tf.cast(value, variable.dtype.base_dtype))

    def assign_sub(self, variable: Any, value: Any) -> Any:
        """Subtracts from a variable, in its own dtype."""
        return variable.assign_sub(tf.cast(value, variable.dtype.base_dtype))

    # The step.

    def update_step(self, gradient: Any, variable: Any, *args: Any) -> Any:
        """Updates a variable from its gradient (and, of Keras 3, the learning rate)."""
        raise HookError(
            "{} does not define update_step(gradient, variable), or (gradient, variable, "
            "learning_rate).".format(type(self).__name__)
        )

    @_no_autograph
    def apply_gradients(self, grads_and_vars: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        """One step: updates every variable by the class's hooks. Arguments as the host's."""
        if not overrides.overrides(type(self), "apply"):
            return super().apply_gradients(grads_and_vars, *args, **kwargs)  # type: ignore[misc]
        # As in Keras 3, where it is `apply` that a step is taken in.
        self.__dict__["_kc_arguments_of_step"] = args, kwargs
        pairs = list(grads_and_vars)
        this: Any = self
        if this._must_order():
            # Nothing of what it does would run that it does not give back: in a function all of it does.
            pairs = [(grad, this._native(variable)) for grad, variable in pairs if grad is not None]
            this._build_missing([variable for _, variable in pairs])
            return this._called(pairs, self._apply_own)[0]
        self._apply_own(pairs)
        return self.iterations

    def _apply_own(self, pairs: Sequence[Tuple[Any, Any]]) -> List[Any]:
        """Calls the class's own `apply`."""
        self.apply([grad for grad, _ in pairs], [variable for _, variable in pairs])
        return []

    @_no_autograph
    def apply(self, grads: Sequence[Any], trainable_variables: Optional[Sequence[Any]] = None) -> Any:
        """One step, as Keras 3 has it.

        Args:
            grads: gradients: tensors, IndexedSlices or None.
            trainable_variables: their variables; those that the optimizer was built on by default.
        """
        args, kwargs = self.__dict__.pop("_kc_arguments_of_step", ((), {}))
        if trainable_variables is None:
            trainable_variables = [known.variable for known in self._kc.variables.values()]
        grads, variables = list(grads), list(trainable_variables)
        if len(grads) != len(variables):
            raise GradientError(
                "{}.apply() was given {} gradients for {} variables; expected one for each, or None.".format(
                    type(self).__name__, len(grads), len(variables)
                )
            )
        return super().apply_gradients(zip(grads, variables), *args, **kwargs)  # type: ignore[misc]

    def minimize(self, loss: Any, var_list: Any = None, tape: Any = None, **kwargs: Any) -> Any:
        """Computes the gradients of a loss and takes one step; arguments as the host's."""
        if overrides.overrides(type(self), "compute_gradients"):
            return self.apply_gradients(self.compute_gradients(loss, var_list, tape), **kwargs)
        return super().minimize(loss, var_list, tape=tape, **kwargs)  # type: ignore[misc]

    def compute_gradients(self, loss: Any, var_list: Any = None, tape: Any = None) -> Any:
        """Pairs (gradient, variable) of a loss: a callable, or a tensor with its tape."""
        this: Any = self
        return this._gradients(loss, var_list, tape, None)

    def _apply_hooks(self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool) -> List[Any]:
        pairs, prepared = self._apply_in_replica(pairs, aggregate)
        found = [self._apply_hook(grad, variable, prepared) for grad, variable in pairs]
        if self.use_ema:
            self._average([variable for _, variable in pairs])
        return found

    def _apply_in_replica(
        self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool
    ) -> Tuple[Sequence[Tuple[Any, Any]], Any]:
        this: Any = self
        variables = [variable for _, variable in pairs]
        grads: Sequence[Any] = [grad for grad, _ in pairs]
        if aggregate and this._has_strategy():
            context = tf.distribute.get_replica_context()
            grads = [context.all_reduce(tf.distribute.ReduceOp.SUM, grad) for grad in grads]
        grads = self._clip_gradients(grads)
        takes_rate = _takes_rate(type(self).update_step)
        if not takes_rate:  # as in Keras 2.10 and later, and not in Keras 3
            grads = [summed(grad) for grad in grads]
        if self.weight_decay and not this._has_strategy():
            self._apply_weight_decay(variables)
        return list(zip(grads, variables)), (self._current_rate(),) if takes_rate else ()

    def _apply_hook(self, grad: Any, variable: Any, prepared: Any) -> Any:
        if self.weight_decay:
            this: Any = self
            if this._has_strategy():
                self._apply_weight_decay([variable])
        return self.update_step(grad, variable, *prepared)

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        """Clips gradients by what the constructor was given."""
        if self.clipnorm:
            return [on_values(lambda g: tf.clip_by_norm(g, self.clipnorm), grad) for grad in grads]
        if self.global_clipnorm:
            return list(tf.clip_by_global_norm(list(grads), self.global_clipnorm)[0])
        if self.clipvalue:
            limit = self.clipvalue
            return [on_values(lambda g: tf.clip_by_value(g, -limit, limit), grad) for grad in grads]
        return grads

    def _use_weight_decay(self, variable: Any) -> bool:
        this: Any = self
        excluded = self._kc.excluded
        known = this._state_of(variable)
        return not (excluded and excluded.has(this._variable_key(variable), known.name))

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Takes the part weight_decay * learning_rate off each variable."""
        for variable in variables:
            if self._use_weight_decay(variable):
                rate = tf.cast(self._current_rate(), variable.dtype.base_dtype)
                variable.assign_sub(variable * tf.cast(self.weight_decay, variable.dtype.base_dtype) * rate)

    def _average(self, variables: Sequence[Any]) -> None:
        """Moves the averages on: the first step copies, as in the newest Keras 3."""
        this: Any = self
        done = self._step_counter()
        started = tf.cast(tf.not_equal(tf.convert_to_tensor(done), 0), tf.float32)
        kept = started * self.ema_momentum
        for variable in variables:
            dtype = variable.dtype.base_dtype
            average = this._native(this._state_of(variable).slots["average"])
            part = tf.cast(kept, dtype)
            average.assign(part * average + (1 - part) * variable)
            if self.ema_overwrite_frequency:
                due = tf.equal((tf.convert_to_tensor(done) + 1) % self.ema_overwrite_frequency, 0)
                variable.assign(tf.where(tf.fill(tf.shape(average), due), average, variable))

    # Configuration.

    def get_config(self) -> Dict[str, Any]:
        """The arguments of the base class."""
        this: Any = self
        config = self._base_config()
        config.update(self._kc_arguments)
        rate = self._kc.attributes.get("learning_rate")
        if rate is not None and _takes_rate(type(self).update_step):  # Keras 3's base class has it
            config["learning_rate"] = this._config_value(rate)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """The optimizer that `get_config` described."""
        this: Any = cls
        config = dict(config)
        if isinstance(config.get("learning_rate"), Mapping):
            config["learning_rate"] = this._schedule_from_config(config["learning_rate"], custom_objects)
        made = cls(**config)
        this._continue_saved_model()
        return made


@functools.lru_cache(maxsize=None)
def _takes_rate(hook: Any) -> bool:
    """Whether `update_step` is Keras 3's."""
    parameters = [p for p in inspect.signature(hook).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    return len(parameters) > 3


def _is_dtype(value: Any) -> bool:
    try:
        tf.as_dtype(value)
    except TypeError:
        return False
    return True

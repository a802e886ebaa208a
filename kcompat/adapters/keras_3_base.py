"""What the adapters for Keras 3's optimizer share, whatever backend Keras runs on. Imports no backend."""

from __future__ import annotations

import importlib
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import keras
import numpy as np

from ..errors import GradientError, StateError
from ..rule import UpdateRule
from .base import HyperState, as_pairs
from .callers import caller, calling_code
from .overrides import overriding
from .saving import SavedState
from .step import Overwritten, StepAdapter

# In Keras 3.0 keras.Variable is a subclass of what layers and optimizers make.
KerasVariable = next((c for c in keras.Variable.__mro__ if c.__name__ == "KerasVariable"), keras.Variable)


def _scope_check() -> Callable[[], bool]:
    """What tells whether variables stand for other values, while a function of the model's state is computed.

    Keras has no public name for it. Where it is not found, it is taken to be so: nothing is written in place.
    """
    for module in ("keras.src.backend.common.stateless_scope", "keras.src.backend"):
        try:
            found: Callable[[], bool] = importlib.import_module(module).in_stateless_scope
            return found
        except (ImportError, AttributeError):
            continue
    return lambda: True


in_stateless_scope = _scope_check()


class Keras3Base(StepAdapter):
    """A rule as a Keras 3 optimizer."""

    api = "keras_3"

    def _host_init(self, name: Optional[str]) -> None:
        hyper = self._kc.attributes.get("learning_rate")
        # Without a number the host must not make a variable; its own reading of the callable is never used.
        rate = float(hyper.source) if hyper is not None and hyper.kind == "number" else _no_learning_rate
        self._host().__init__(learning_rate=rate, name=name)
        for each in self._kc.hypers.values():
            if each.kind == "number":
                each.exact = self._new_exact(each.name, float(each.source))
        if hyper is not None and hyper.kind == "number":
            hyper.variable = self._host_rate(float(hyper.source))

    def _host_rate(self, rate: float) -> Any:
        """The host's variable for a learning rate that is a number, when the host's constructor is done."""
        return self._learning_rate

    def _new_rate(self, rate: float, dtype: str) -> Any:
        """A variable for the learning rate, as the host's constructor makes it."""
        initializer = keras.initializers.Constant(rate)
        self._learning_rate = self.add_variable((), initializer, dtype=dtype, name="learning_rate")
        return self._learning_rate

    def _source_changed(self, hyper: HyperState) -> None:
        if hyper.kind == "number":
            hyper.exact = self._new_exact(hyper.name, float(hyper.source))
            if hyper is self._kc.attributes.get("learning_rate"):
                hyper.variable = self._new_rate(float(hyper.source), keras.backend.floatx())
            return
        if hyper.variable is not None:
            self._untrack(hyper.variable)
            self._learning_rate = _no_learning_rate
        hyper.variable = hyper.exact = None

    def _untrack(self, variable: Any) -> None:
        """Takes a variable out of `variables`: Keras has had a method for that only since 3.6."""
        if hasattr(self, "_untrack_variable"):
            self._untrack_variable(variable)
        else:
            self._variables[:] = [each for each in self._variables if each is not variable]

    # State.

    def _native(self, variable: Any) -> Any:
        if isinstance(variable, KerasVariable):
            return variable.value
        return variable

    def _rule_for(self, variable: Any, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        if getattr(variable, "overwrite_with_gradient", False):
            return Overwritten(self.gradient_accumulation_steps or 1)
        return super()._rule_for(variable, name, shape)

    def _iterations_variable(self) -> Any:
        return self._iterations

    @property
    def iterations(self) -> Any:
        """The number of updates done: the host's variable, or what it makes with gradient accumulation."""
        return self._updates(self._iterations)

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        # Keras up to 3.5 keeps its variable under this name; later ones have the property themselves.
        self._iterations = variable

    @property
    def variables(self) -> List[Any]:
        """The optimizer's variables: step counter, learning rate, slots and shared scalars."""
        return self._in_order(self._host().variables)

    def set_weights(self, weights: Any) -> None:
        """As on the other APIs; before the optimizer is built, they wait until it is.

        Keras' own loader of HDF5 files sets them before: it builds the optimizer on the model's own
        variables, to which those of its layers do not belong.

        Args:
            weights: arrays, as `get_weights` gave them.

        Raises:
            StateError: too many, too few or of other shapes; of those that wait, when the optimizer is built.
        """
        arrays = [np.asarray(weight) for weight in weights]
        if not self._kc.variables and len(arrays) > 1:
            self._kc.waiting_weights = arrays
            return
        super().set_weights(arrays)

    def _restore_waiting(self, new: Sequence[Any]) -> None:
        arrays, self._kc.waiting_weights = self._kc.waiting_weights, None
        if arrays is not None:
            super().set_weights(arrays)
        super()._restore_waiting(new)

    def _take_state(self) -> SavedState:
        if self._kc.waiting_weights is not None:
            raise StateError(
                "{0} was given weights that wait for its variables. Call {0}.build(variables) first.".format(
                    type(self).__name__
                )
            )
        return super()._take_state()

    def _state_to_copy(self) -> Any:
        if self._kc.waiting_weights is not None:
            return self._take_state()  # which raises
        return super()._state_to_copy()

    def _own_weights(self, arrays: List[np.ndarray]) -> List[np.ndarray]:
        rate = self._kc.attributes.get("learning_rate")
        expected = len(self._state_variables())
        if rate is None or rate.variable is None or len(arrays) != expected + 1:
            return arrays
        # `variables`, as Keras' HDF5 files have them: with the learning rate, which the configuration has.
        return arrays[:1] + arrays[2:]

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        def initializer(shape: Any = None, dtype: Any = None, **_: Any) -> Any:
            return initial()

        if like:
            return self.add_variable_from_reference(variable, name=name, initializer=initializer)
        value = initial()
        path = self._variable_name(variable).replace("/", "_")
        return self.add_variable(
            shape=tuple(value.shape),
            initializer=initializer,
            dtype=keras.backend.standardize_dtype(value.dtype),
            name="{}_{}".format(path, name),
        )

    def _create_shared(self, name: str, initial: Callable[[], Any]) -> Any:
        value = initial()
        dtype = keras.backend.standardize_dtype(value.dtype)
        return self.add_variable(
            shape=tuple(value.shape), initializer=lambda *a, **k: value, dtype=dtype, name=name
        )

    def _host_built(self, variables: Sequence[Any]) -> None:
        self._kc.in_host = True
        try:
            self._host().build(list(variables))
        finally:
            self._kc.in_host = False

    # The host's hooks.

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any = None) -> None:
        """Updates one variable from its gradient, without counting the step.

        `learning_rate` is what Keras passes, and is not looked at: the step has the optimizer's own.
        """
        self._update_one(gradient, variable)

    def apply(self, grads: Sequence[Any], trainable_variables: Optional[Sequence[Any]] = None) -> None:
        """One step: updates every variable from its gradient.

        Args:
            grads: gradients: tensors, IndexedSlices or None.
            trainable_variables: their variables; those that the optimizer was built on by default.

        Raises:
            GradientError: no gradient, or one that does not fit its variable.
        """
        if (self.loss_scale_factor or 1) != 1 and calling_code(".loss_scale_optimizer") is not None:
            # A LossScaleOptimizer has scaled the loss, and takes the factor away when it is made. In Keras up
            # to 3.14 it does not, and the gradients would be divided by both.
            self.loss_scale_factor = None
        grads = list(grads)
        if trainable_variables is None:
            trainable_variables = [state.variable for state in self._kc.variables.values()]
            whose = "without their variables, and is built on {} variables. Give the variables too"
        else:
            trainable_variables = list(trainable_variables)
            whose = "for {} variables; expected one for each, or None"
        if len(grads) != len(trainable_variables):
            raise GradientError(
                "{}.apply() was given {} gradients {}.".format(
                    type(self).__name__, len(grads), whose.format(len(trainable_variables))
                )
            )
        given, self._kc.given = self._kc.given, None
        if given is None and self._kc.in_apply:
            given = {}
        outer, self._kc.in_apply = self._kc.in_apply, True
        try:
            if given is None:
                self.apply_gradients(zip(grads, trainable_variables))
            else:  # a subclass's apply_gradients has been called already
                cls: Any = type(self)
                cls._made.apply_gradients(self, zip(grads, trainable_variables), **given)
        finally:
            self._kc.in_apply = outer

    def _by_apply(self, grads_and_vars: Any, **given: Any) -> bool:
        """Takes the step by the `apply` of a subclass, which the host's apply_gradients calls, too.

        Returns:
            False, with nothing done, if no subclass has one, or if that is where the call comes from.
        """
        if self._kc.in_apply or overriding(type(self), "apply") is None:
            return False
        pairs = as_pairs(type(self).__name__, grads_and_vars)
        self._kc.given = given
        try:
            self.apply([grad for grad, _ in pairs], [variable for _, variable in pairs])
        finally:
            self._kc.given = None
        return True

    def _clip_gradients(self, grads: Any) -> Any:
        # Not called in a step, which clips after duplicate indices were summed.
        return self._clipped(grads)

    # Configuration.

    def get_config(self) -> Dict[str, Any]:
        """The configuration: JSON, and `from_config` gives the optimizer back."""
        saving = caller("saving_utils", "model_metadata")
        if saving is not None and "model" in saving:
            self._repair_hdf5(saving["model"])
        config = super().get_config()
        # Keras' own optimizers refuse it. In a process that has not made this class, Keras up to 3.15 would
        # take its own of the same name.
        rule = type(self).rule_class
        config["update_rule"] = "{}:{}".format(rule.__module__, rule.__qualname__)
        return config

    def _repair_hdf5(self, model: Any) -> None:
        """Called while Keras writes a model into an HDF5 file."""
        # Up to 3.15 it has just taken the optimizer out of what the model was compiled with, for good: a
        # .keras file written later would have none.
        compiled = getattr(getattr(model, "_compile_config", None), "config", None)
        if isinstance(compiled, dict):
            compiled.setdefault("optimizer", self)
        if self._kc.waiting_weights is not None or self._kc.waiting is not None:
            self.build(model.trainable_variables)

    def _config_name(self) -> str:
        return str(self.name)

    def _schedule_to_config(self, schedule: Any) -> Any:
        return keras.saving.serialize_keras_object(schedule)

    @classmethod
    def _schedule_from_config(cls, config: Mapping[str, Any], custom_objects: Any) -> Any:
        config = dict(config)
        if isinstance(config.get("config"), Mapping):
            # Keras 2 stores a schedule without a name so, which Keras 3 refuses.
            config["config"] = {k: v for k, v in config["config"].items() if (k, v) != ("name", None)}
        # Not `keras.saving.deserialize_keras_object`, which knows no configuration of Keras 2.
        return keras.optimizers.schedules.deserialize(config, custom_objects=custom_objects)


def _no_learning_rate(*_: Any) -> float:
    """Stands where Keras wants a learning rate, while the optimizer takes it from elsewhere."""
    return 0.0

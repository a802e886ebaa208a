"""The adapter for Keras 3's optimizer, on its TensorFlow backend."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Optional, Sequence

import keras
import tensorflow as tf

from .base import HyperState
from .tensorflow_base import TensorFlowAdapter

# In Keras 3.0 keras.Variable is a subclass of what layers and optimizers make.
_KerasVariable = next((c for c in keras.Variable.__mro__ if c.__name__ == "KerasVariable"), keras.Variable)


class Keras3Adapter(TensorFlowAdapter):
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
            hyper.variable = self._learning_rate

    def _source_changed(self, hyper: HyperState) -> None:
        if hyper.kind == "number":
            hyper.exact = self._new_exact(hyper.name, float(hyper.source))
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
        if isinstance(variable, _KerasVariable):
            return variable.value
        return variable

    def _native_value(self, value: Any) -> Any:
        return self._native(value)

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

    def _create_host_variables(self, variables: Sequence[Any]) -> None:
        pass  # the host's constructor did

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
            dtype=value.dtype.name,
            name="{}_{}".format(path, name),
        )

    def _create_shared(self, name: str, initial: Callable[[], Any]) -> Any:
        value = initial()
        return self.add_variable(
            shape=(), initializer=lambda *a, **k: initial(), dtype=value.dtype.name, name=name
        )

    def _host_built(self, variables: Sequence[Any]) -> None:
        self._kc.in_host = True
        try:
            self._host().build(list(variables))
        finally:
            self._kc.in_host = False

    def __dir__(self) -> List[str]:
        # tf.train.Checkpoint of TensorFlow 2.11 and later finds out with dir() whether an object's slots are
        # no attributes of it, and are to be saved apart. Here they are in the host's list of variables.
        return [name for name in super().__dir__() if name != "get_slot_names"]

    # The host's hooks.

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the optimizer's variables for these variables; those it knows already are passed over."""
        with tf.init_scope():
            self._build(list(variables))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any = None) -> None:
        """Updates one variable, without counting the step. The learning rate is the optimizer's own."""
        self._update_one(gradient, variable)

    def apply(self, grads: Sequence[Any], trainable_variables: Optional[Sequence[Any]] = None) -> None:
        """One step: updates every variable from its gradient.

        Args:
            grads: gradients: tensors, IndexedSlices or None.
            trainable_variables: their variables; those that the optimizer was built on by default.

        Raises:
            GradientError: no gradient, or one that does not fit its variable.
        """
        if trainable_variables is None:
            known: List[Any] = [state.variable for state in self._kc.variables.values()]
            if len(known) != len(grads):
                raise ValueError(
                    "{}.apply() was given {} gradients without their variables, and is built on {} "
                    "variables. Give the variables too.".format(type(self).__name__, len(grads), len(known))
                )
            trainable_variables = known
        self.apply_gradients(zip(grads, trainable_variables))

    def apply_gradients(
        self,
        grads_and_vars: Any,
        name: Optional[str] = None,
        skip_gradients_aggregation: bool = False,
        experimental_aggregate_gradients: bool = True,
        global_step: Any = None,
    ) -> Any:
        """One step: updates every variable from its gradient.

        Args:
            grads_and_vars: pairs (gradient, variable); a gradient is a tensor, IndexedSlices or None.
            name: a name for the operations.
            skip_gradients_aggregation: under a distribution strategy, whether the gradients are summed over
                the replicas already.
            experimental_aggregate_gradients: the opposite of that, as OptimizerV2 names it.
            global_step: a variable to add 1 to, after the step.

        Returns:
            The step counter.

        Raises:
            GradientError: no gradient, or one that does not fit its variable.
            RuntimeError: in a TensorFlow 1 graph, where Keras 3 cannot run.
        """
        with tf.init_scope():
            if not tf.executing_eagerly():
                raise RuntimeError(
                    "Keras 3 has no TensorFlow 1 graphs: a session can't run its variables. Use the api "
                    '"tf1" there (kcompat.optimizer_class(Rule, api="tf1")), or leave the graph.'
                )
        self._apply(
            grads_and_vars,
            global_step=global_step,
            name=name or self._config_name(),
            aggregate=experimental_aggregate_gradients and not skip_gradients_aggregation,
            build_all=True,
        )
        return self._iterations_variable()

    def _clip_gradients(self, grads: Any) -> Any:
        # Clipping is part of the step, after duplicate indices were summed.
        return grads

    def compute_gradients(self, loss: Any, var_list: Any, tape: Any = None) -> Any:
        """Pairs (gradient, variable) of a loss: a callable, or a tensor with its tape."""
        return self._gradients(loss, var_list, tape, None)

    # Configuration.

    def _config_name(self) -> str:
        return str(self.name)

    def _schedule_to_config(self, schedule: Any) -> Any:
        return keras.saving.serialize_keras_object(schedule)

    @classmethod
    def _schedule_from_config(cls, config: Mapping[str, Any], custom_objects: Any) -> Any:
        return keras.saving.deserialize_keras_object(dict(config), custom_objects=custom_objects)


def _no_learning_rate(*_: Any) -> float:
    """Stands where Keras wants a learning rate, while the optimizer takes it from elsewhere."""
    return 0.0

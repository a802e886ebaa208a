"""The adapter for Keras 3's optimizer, on its TensorFlow backend."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence, Tuple

import tensorflow as tf

from .base import VariableState
from .keras_3_base import Keras3Base, KerasVariable, in_stateless_scope
from .tensorflow_base import TensorFlowAdapter, _no_autograph


class Keras3TensorFlowAdapter(Keras3Base, TensorFlowAdapter):
    """A rule as a Keras 3 optimizer on TensorFlow."""

    # State.

    def _native_value(self, value: Any) -> Any:
        return self._native(value)

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        # The host takes the strategy in whose scope the optimizer was made, which need not be the variable's.
        self._distribution_strategy = tf.distribute.get_strategy()
        return super()._create_slot(variable, name, initial, like)

    def __dir__(self) -> List[str]:
        # tf.train.Checkpoint of TensorFlow 2.11 and later finds out with dir() whether an object's slots are
        # no attributes of it, and are to be saved apart. Here they are in the host's list of variables.
        return [name for name in super().__dir__() if name != "get_slot_names"]

    # The step.

    @staticmethod
    def _memory(variables: Sequence[Any], known: Sequence[VariableState]) -> List[Tuple[Any, Any]]:
        everything = [*variables, *[slot for each in known for slot in each.slots.values()]]
        return [(each, each._value) for each in everything if isinstance(each, KerasVariable)]

    def _is_here_and_now(self) -> bool:
        return super()._is_here_and_now() and not in_stateless_scope()

    # The host's hooks.

    @_no_autograph
    def build(self, variables: Sequence[Any]) -> None:
        """Creates the optimizer's variables for these variables; those it knows already are passed over."""
        with tf.init_scope():
            self._build(list(variables))

    @_no_autograph
    def apply(self, grads: Sequence[Any], trainable_variables: Optional[Sequence[Any]] = None) -> None:
        """One step; see `Keras3Base.apply`."""
        super().apply(grads, trainable_variables)

    @_no_autograph
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
        if self._by_apply(
            grads_and_vars,
            name=name,
            skip_gradients_aggregation=skip_gradients_aggregation,
            experimental_aggregate_gradients=experimental_aggregate_gradients,
            global_step=global_step,
        ):
            return self._iterations_variable()
        self._apply(
            grads_and_vars,
            global_step=global_step,
            name=name or self._config_name(),
            aggregate=experimental_aggregate_gradients and not skip_gradients_aggregation,
            build_all=True,
        )
        return self._iterations_variable()

    def compute_gradients(self, loss: Any, var_list: Any, tape: Any = None) -> Any:
        """Pairs (gradient, variable) of a loss; a gradient that there is not is None.

        Args:
            loss: a callable that computes it, or a tensor with the `tape` that recorded it.
            var_list: the variables, or a callable that gives them; None for those that were watched.
            tape: the tape that recorded the loss.

        Raises:
            GradientError: a tensor without its tape.
        """
        return self._gradients(loss, var_list, tape, None)

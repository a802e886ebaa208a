"""The adapter for the `update_step(gradient, variable)` optimizer: tf.keras of 2.11 to 2.15, and tf_keras.

In TensorFlow 2.9 and 2.10 it is `tf.keras.optimizers.experimental.Optimizer`.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Type

import tensorflow as tf

from ..errors import ApiNotAvailableError, StateError
from ..rule import UpdateRule
from .base import HyperState
from .callers import calling_code
from .hosts_saving import saving_hdf5
from .overrides import overriding
from .tensorflow_base import TensorFlowAdapter, _in_v1_graph, _no_autograph


class Keras211Adapter(TensorFlowAdapter):
    """A rule as a Keras 2.11 optimizer."""

    api = "keras_2_11"
    without = ("loss_scale_factor",)

    @classmethod
    def make_class(cls, rule: Type[UpdateRule], host: type, name: str) -> type:
        made: Any = super().make_class(rule, host, name)
        # A method up to 2.11, a property from 2.12 on and in 2.9.
        is_method = inspect.isfunction(getattr(host, "variables", None))
        made.variables = _variables if is_method else property(_variables_property)
        return made

    def _host_init(self, name: Optional[str]) -> None:
        self._host().__init__(name=name or type(self).__name__, jit_compile=False)
        if not hasattr(self, "_variables"):
            # 2.9 has no list of its own, and finds variables in the attributes. One list for good: what a
            # checkpoint holds for a list that is replaced is not restored a second time.
            self._slot_variables: Any = []
        for hyper in self._kc.hypers.values():
            self._source_changed(hyper)

    def _source_changed(self, hyper: HyperState) -> None:
        hyper.variable = hyper.exact = None
        if hyper.kind == "number":
            hyper.exact = self._new_exact(hyper.name, float(hyper.source))
        if hyper is self._kc.attributes.get("learning_rate"):
            if hyper.kind == "number":
                # Keras' own float32 variable, which callbacks and checkpoints know.
                self._learning_rate = self._build_learning_rate(float(hyper.source))
                hyper.variable = self._learning_rate
            else:
                self._learning_rate = hyper.source

    def _assign_number(self, hyper: HyperState, number: float) -> None:
        if _in_v1_graph(hyper.exact) and not self._kc.traced:
            # The host has made its variable already, and initializing it would undo what a session assigns.
            hyper.source = number
            self._source_changed(hyper)
            return
        super()._assign_number(hyper, number)

    # State.

    def _iterations_variable(self) -> Any:
        return self._iterations

    @property
    def iterations(self) -> Any:
        """The number of updates done, int64: the host's variable, or what it makes with accumulation."""
        return self._updates(self._iterations)

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        if self._kc.variables:
            raise RuntimeError(
                "{}.iterations was set after the optimizer was built; set it before the first step.".format(
                    type(self).__name__
                )
            )
        self._iterations = variable

    def _create_host_variables(self, variables: Sequence[Any]) -> None:
        pass  # the host's constructor did

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        if like and not self._has_strategy():
            slot = self.add_variable_from_reference(variable, name, initial_value=initial())
        else:
            # The host knows only the variable's dtype.
            with tf.distribute.get_strategy().extended.colocate_vars_with(variable):
                slot = tf.Variable(initial, name="{}/{}".format(name, variable._shared_name), trainable=False)
            if hasattr(self, "_variables"):
                self._variables.append(slot)
        if not hasattr(self, "_variables"):
            self._slot_variables.append(slot)
        return slot

    def _create_shared(self, name: str, initial: Callable[[], Any]) -> Any:
        variable = tf.Variable(initial, name=name, trainable=False)
        if hasattr(self, "_variables"):
            self._variables.append(variable)
        else:
            self._slot_variables.append(variable)
        return variable

    def _host_built(self, variables: Sequence[Any]) -> None:
        self._build_index_dict(variables)
        self._built = True

    def __dir__(self) -> List[str]:
        # tf.train.Checkpoint of TensorFlow 2.11 and later finds out with dir() whether an object's slots are
        # no attributes of it, and are to be saved apart. Here they are in the host's list of variables.
        return [name for name in super().__dir__() if name != "get_slot_names"]

    # The host's hooks.

    def update_step(self, gradient: Any, variable: Any) -> None:
        """Updates one variable from its gradient, without counting the step."""
        self._update_one(gradient, variable)

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
            In a graph the operation to run; else the step counter.

        Raises:
            GradientError: no gradient, or one that does not fit its variable.
        """
        aggregate = experimental_aggregate_gradients and not skip_gradients_aggregation
        if aggregate and overriding(type(self), "aggregate_gradients"):
            grads_and_vars, aggregate = list(self.aggregate_gradients(list(grads_and_vars))), False
        applied = self._apply(
            grads_and_vars,
            global_step=global_step,
            name=name or self._config_name(),
            aggregate=aggregate,
            build_all=True,
        )
        return self.iterations if applied is None else applied

    def _clip_gradients(self, grads: Any) -> Any:
        # Not called in a step, which clips after duplicate indices were summed.
        return self._clipped(grads)

    def compute_gradients(self, loss: Any, var_list: Any, tape: Any = None) -> Any:
        """Pairs (gradient, variable) of a loss; a gradient that there is not is None.

        Args:
            loss: a callable that computes it, a tensor with the `tape` that recorded it, or a tensor of a
                TensorFlow 1 graph.
            var_list: the variables, or a callable that gives them; None for those that were watched (in a
                graph, all trainable ones).
            tape: the tape that recorded the loss.

        Raises:
            GradientError: in eager mode a tensor without its tape.
        """
        return self._gradients(loss, var_list, tape, None)

    # Configuration.

    def get_config(self) -> Dict[str, Any]:
        """The configuration: JSON, and `from_config` gives the optimizer back.

        Raises:
            StateError: a file is being written that would hold the configuration, and lose the state.
            ApiNotAvailableError: Keras would train with an optimizer of its own instead.
        """
        code = calling_code("optimizers")
        if code is not None and code.co_name == "convert_to_legacy_optimizer":
            # Keras would look for an OptimizerV2 of the same name, and train with that.
            raise ApiNotAvailableError(
                "{}: with TensorFlow 2's behavior switched off, Keras' models take no optimizer of the API "
                '"keras_2_11". Take that of "optimizer_v2": {}.optimizers.optimizer_v2.'.format(
                    type(self).__name__, __name__.partition(".adapters.")[0]
                )
            )
        # 2.9 and 2.10 only. In 2.9 the method is missing, too, that Keras would load the state with.
        if not hasattr(type(self)._host_class, "set_weights") and saving_hdf5():
            raise StateError(
                "{}: HDF5 files of this release hold no state of such optimizers. Save the model as a "
                "SavedModel, or with include_optimizer=False.".format(type(self).__name__)
            )
        return super().get_config()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        made = super().from_config(config, custom_objects)
        cls._continue_saved_model()
        return made


def _variables(self: Any) -> List[Any]:
    """The optimizer's variables: the step counter (which 2.10 leaves out), slots and shared scalars."""
    found = list(self._host().variables())
    if not any(each is self._iterations for each in found):
        found.insert(0, self._iterations)
    return self._in_order(found)


def _variables_property(self: Any) -> List[Any]:
    """The optimizer's variables: the step counter, the slots and the shared scalars."""
    found = self._host().variables
    # A list that may be called, from 2.12 on.
    return type(found)(self._in_order(found))

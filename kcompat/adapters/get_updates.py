"""The adapter for Keras' first optimizer: Keras 2.2 and 2.3 on TensorFlow 1, and tf.keras of TensorFlow 1.13.

Keras asks it for `get_updates(loss, params)`: operations that it runs in its session with each batch.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type

import numpy as np
import tensorflow as tf

from ..errors import HyperparameterError, NotBuiltError, StateError
from ..rule import UpdateRule
from .base import Adapter, HyperState, VariableState
from .tensorflow_base import TensorFlowAdapter, _scope, v1

_PACKAGE = __name__.rpartition(".adapters.")[0]


class GetUpdatesAdapter(TensorFlowAdapter):
    """A rule as an optimizer of Keras 2.2 or 2.3.

    Its variables (the step counter, the learning rate in float32 as Keras has it, and all hyperparameters in
    float64) are made when they are first needed, in the graph of that moment: Keras may start a new one
    (`clear_session`) after the optimizer is made.
    """

    api = "get_updates"
    takes_reference_variables = True  # which the layers of Keras 2.2 have
    without = ("loss_scale_factor",)
    in_place_of_loss_scale = "This Keras has no mixed precision: leave it out."

    @classmethod
    def make_class(cls, rule: Type[UpdateRule], host: type, name: str) -> type:
        made: Any = super().make_class(rule, host, name)
        made.__name__ = _saved_name(rule, host, name)
        # Found when a model is loaded, without custom_objects, unless the name is that of something else.
        known = _keras(host, "utils.generic_utils").get_custom_objects()
        there = known.get(made.__name__, made)
        if isinstance(there, type) and issubclass(there, GetUpdatesAdapter):
            known[made.__name__] = made
        return made

    def _host_init(self, name: Optional[str]) -> None:
        self._host().__init__()
        self.name = name or type(self).__qualname__
        self._counter: Any = None
        self._trained: List[Any] = []

    # Keras' session.

    @classmethod
    def _backends(cls) -> List[Any]:
        """The modules that may have Keras' session: Keras 2.3 leaves it to tf.keras."""
        backend = _keras(cls._host_class, "backend")
        backend = getattr(backend, "tensorflow_backend", backend)
        return [each for each in (backend, getattr(backend, "tf_keras_backend", None)) if each is not None]

    def _session_of(self, variable: Any) -> Any:
        session = super()._session_of(variable)
        if session is None:
            for backend in self._backends():
                found = getattr(backend, "_SESSION", None)
                found = getattr(found, "session", found)  # tf.keras has one a thread
                if getattr(found, "graph", None) is variable.graph:
                    return found
        return session

    def _new_variable(self, initial: Any, name: str) -> Any:
        with tf.init_scope(), v1.name_scope(_scope(self.name) + "/"):
            variable = v1.Variable(initial, name=_scope(name), trainable=False, use_resource=True)
        for backend in self._backends():
            if hasattr(backend, "track_variable"):  # Keras initializes what it knows of
                backend.track_variable(variable)
        return variable

    # State.

    def _iterations_variable(self) -> Any:
        if self._counter is None:
            self._counter = self._new_variable(np.int64(0), "iterations")
        return self._counter

    @property
    def iterations(self) -> Any:
        """The number of updates done, int64: a variable, or what is made of it with accumulation."""
        return self._updates(self._iterations_variable())

    def _create_host_variables(self, variables: Sequence[Any]) -> None:
        made = [self._counter, *(hyper.exact for hyper in self._kc.hypers.values())]
        if not tf.executing_eagerly() and any(
            each is not None and each.graph is not v1.get_default_graph() for each in made
        ):
            raise NotBuiltError(
                "{}: its variables are in another graph than {!r}. (Keras' clear_session() starts a new "
                "graph.) Make a new optimizer for this one.".format(
                    type(self).__name__, self._variable_name(variables[0])
                )
            )
        self._iterations_variable()
        for hyper in self._kc.hypers.values():
            self._create_hyper(hyper)

    def _create_hyper(self, hyper: HyperState) -> None:
        if hyper.kind != "number":
            return
        is_rate = hyper is self._kc.attributes.get("learning_rate")
        if hyper.exact is None:
            name = hyper.host_name + "_exact" if is_rate else hyper.host_name
            hyper.exact = self._new_variable(np.float64(hyper.source), name)
        if hyper.variable is None and is_rate:
            # Keras' callbacks read and write it.
            hyper.variable = self._new_variable(np.float32(hyper.source), "learning_rate")

    def _number_tensor(self, hyper: HyperState) -> Any:
        self._create_hyper(hyper)
        return super()._number_tensor(hyper)

    def _public_hyper(self, hyper: HyperState) -> Any:
        self._create_hyper(hyper)
        return super()._public_hyper(hyper)

    def _source_changed(self, hyper: HyperState) -> None:
        hyper.variable = hyper.exact = None

    def _assign_number(self, hyper: HyperState, number: float) -> None:
        try:
            super()._assign_number(hyper, number)
        except HyperparameterError:
            if self._kc.traced:
                raise
            # No session yet, and no step that uses the variables: new ones will have the new number.
            self._source_changed(hyper)

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        return self._new_variable(initial, "{}/{}".format(self._variable_name(variable), name))

    def _create_shared(self, name: str, initial: Callable[[], Any]) -> Any:
        return self._new_variable(initial, name)

    @property
    def variables(self) -> List[Any]:
        """The step counter, all slots, and the scalars of all variables together."""
        if self._counter is None:
            return []
        slots = [slot for known in self._kc.variables.values() for slot in known.slots.values()]
        return [self._counter, *slots, *self._kc.shared.values()]

    @property
    def weights(self) -> List[Any]:
        """What Keras saves with a model: as `variables`, of the model's variables in their order.

        The model is the one whose training was compiled last; without one it is all variables. Empty before
        the optimizer is built.
        """
        return self._ordered_weights() if self._kc.variables else []

    @weights.setter
    def weights(self, value: Any) -> None:
        if self._kc.ready:  # before, the host's constructor assigns an empty list
            raise AttributeError("{}.weights: use set_weights().".format(type(self).__name__))

    def _known_here(self) -> List[VariableState]:
        known = self._kc.variables
        return [known[key] for key in self._trained] or list(known.values())

    def _state_variables(self) -> List[Any]:
        return super()._state_variables() if self._counter is not None else []

    def _read_values(self, variables: Sequence[Any]) -> List[np.ndarray]:
        values = _keras(self._host_class, "backend").batch_get_value(list(variables))
        return [np.asarray(value) for value in values]

    def _assign_values(self, pairs: Sequence[Tuple[Any, np.ndarray]]) -> None:
        pairs = [(v, np.asarray(array, v.dtype.base_dtype.as_numpy_dtype)) for v, array in pairs]
        _keras(self._host_class, "backend").batch_set_value(pairs)

    def _make_assignable(self, variables: Sequence[Any], own: Sequence[Any]) -> None:
        pass  # Keras' session initializes what it is given

    # The host's hooks.

    def get_updates(self, loss: Any, params: Sequence[Any]) -> List[Any]:
        """The operations of one step, which Keras runs with each batch.

        Args:
            loss: a scalar tensor.
            params: the variables to train.

        Raises:
            ValueError: a variable has no gradient.
        """
        params = list(params)

        def make() -> Any:
            grads = self.get_gradients(loss, params)
            # The loss is read before the variables are written, also where no gradient depends on it.
            with self._after([loss]):
                return self._apply(zip(grads, params), name=self.name)

        # On TensorFlow 2, Keras 2.3 builds its graph in eager mode, and enters it for this.
        step = getattr(_keras(self._host_class, "backend"), "symbolic", lambda function: function)(make)()
        self._trained = [self._variable_key(variable) for variable in params]
        self.updates = [step]
        return self.updates

    def get_gradients(self, loss: Any, params: Any) -> List[Any]:
        """The gradients of a loss, unclipped: clipping is part of the step.

        Args:
            loss: a scalar tensor.
            params: the variables, or one.

        Raises:
            ValueError: a variable has none.
        """
        return self._graph_gradients(loss, params if isinstance(params, (list, tuple)) else [params])

    def apply_gradients(
        self,
        grads_and_vars: Any,
        name: Optional[str] = None,
        experimental_aggregate_gradients: bool = True,
        skip_gradients_aggregation: bool = False,
        global_step: Any = None,
    ) -> Any:
        """One step: updates every variable from its gradient.

        Args:
            grads_and_vars: pairs (gradient, variable); a gradient is a tensor, IndexedSlices or None.
            name: a name for the operations.
            experimental_aggregate_gradients: under a distribution strategy, whether to sum the gradients over
                the replicas.
            skip_gradients_aggregation: the opposite of that, as Keras 2.11 names it.
            global_step: a variable to add 1 to, after the step.

        Returns:
            In a graph the operation to run; else the step counter.

        Raises:
            GradientError: no gradient, or one that does not fit its variable.
        """
        applied = self._apply(
            grads_and_vars,
            global_step=global_step,
            name=name or self.name,
            aggregate=experimental_aggregate_gradients and not skip_gradients_aggregation,
        )
        return self.iterations if applied is None else applied

    def compute_gradients(
        self, loss: Any, var_list: Any = None, grad_loss: Any = None, tape: Any = None
    ) -> List[Tuple[Any, Any]]:
        """Pairs (gradient, variable) of a loss; a gradient that there is not is None.

        Args:
            loss: a callable that computes it, a tensor with the `tape` that recorded it, or a tensor of a
                TensorFlow 1 graph.
            var_list: the variables, or a callable that gives them; those that were watched by default (in a
                graph, all trainable ones).
            grad_loss: the gradient of what is computed from the loss.
            tape: the tape that recorded the loss.

        Raises:
            GradientError: in eager mode a tensor without its tape.
        """
        return self._gradients(loss, var_list, tape, grad_loss)

    # Configuration and copies.

    def get_config(self) -> Dict[str, Any]:
        """The configuration: JSON, and `from_config` gives the optimizer back."""
        return Adapter.get_config(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """The optimizer that `get_config` described; see the base class.

        A class that `custom_objects` has under this one's name (without the package's) is the one to use.
        """
        given = (custom_objects or {}).get(cls.__qualname__, cls)
        if given is not cls and isinstance(given, type) and issubclass(given, GetUpdatesAdapter):
            return given.from_config(config, custom_objects)
        return super().from_config(config, custom_objects)

    def __reduce_ex__(self, protocol: Any) -> Any:
        state = self._kc
        if state.variables or state.excluded:
            raise StateError(
                "{} can't be copied or pickled {}. Make a new one of its configuration "
                "(from_config(get_config())) and, when that is built, give it the weights "
                "(set_weights(get_weights())); or save the model.".format(
                    type(self).__name__,
                    "once it is built: its state is in variables of a TensorFlow graph"
                    if state.variables
                    else "after exclude_from_weight_decay()",
                )
            )
        now = {name: self._current_number(hyper) for name, hyper in state.attributes.items()}
        rule = state.rule.replace(**{name: now[name] for name in type(state.rule).hypers if name in now})
        base = {name: now.get(name, value) for name, value in state.base.items()}
        return _remake, (rule, self._host_class, type(self).__qualname__, base)


def _remake(rule: UpdateRule, host: type, name: str, base: Mapping[str, Any]) -> Any:
    """A copied or unpickled optimizer."""
    from . import class_of

    return class_of(type(rule), GetUpdatesAdapter.api, host, name).from_rule(rule, **base)


def _saved_name(rule: Type[UpdateRule], host: type, name: str) -> str:
    """What a class is called, which is what Keras writes into a file, and then finds it by.

    Keras takes the name of one of its own optimizers, in any case of letters, for that one, whatever is in
    custom_objects. Names of the catalogue, and names that Keras has, get their package's in front.
    """
    package = _PACKAGE
    if name != rule.__name__ and rule.__module__.startswith(_PACKAGE + "."):
        name = "{}.{}".format(rule.__name__, name)  # keras-adamw's AdamW beside Keras'
    if not rule.__module__.startswith(_PACKAGE + "."):
        if name.lower() not in {each.lower() for each in vars(sys.modules[host.__module__])}:
            return _scope(name)
        package = rule.__module__.partition(".")[0]
    return _scope("{}.{}".format(package, name))


def _keras(host: type, module: str) -> Any:
    """A module of the Keras that a host's class is in."""
    return importlib.import_module("{}.{}".format(host.__module__.rpartition(".")[0], module))

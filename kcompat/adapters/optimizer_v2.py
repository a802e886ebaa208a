"""The adapter for `OptimizerV2`: tf.keras of TensorFlow 1.14 to 2.10, and what survives of it as `legacy`."""

from __future__ import annotations

import sys
from typing import Any, Callable, Dict, List, Optional, Sequence

import tensorflow as tf

from .base import Adapter, HyperState
from .tensorflow_base import TensorFlowAdapter, v1


class OptimizerV2Adapter(TensorFlowAdapter):
    """A rule as an OptimizerV2. Hyperparameters are the host's own `_hyper` variables."""

    api = "optimizer_v2"
    without = ("loss_scale_factor",)

    def _host_init(self, name: Optional[str]) -> None:
        self._host().__init__(name=name or type(self).__name__)
        for hyper in self._kc.hypers.values():
            # An int would become an int variable, which truncates what it is set to later.
            self._set_hyper(hyper.host_name, float(hyper.source) if hyper.kind == "number" else hyper.source)

    # State.

    def _iterations_variable(self) -> Any:
        return self._host().iterations

    @property
    def iterations(self) -> Any:
        """The number of updates done, int64: the host's variable, or what it makes with accumulation."""
        return self._updates(self._host().iterations)

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        behind = type(self).__mro__[type(self).__mro__.index(Adapter) + 1 :]
        next(vars(cls)["iterations"] for cls in behind if "iterations" in vars(cls)).__set__(self, variable)

    def _create_host_variables(self, variables: Sequence[Any]) -> None:
        _ = self.iterations
        self._create_hypers()

    def _create_hypers(self) -> None:
        self._host()._create_hypers()
        for hyper in self._kc.hypers.values():
            if hyper.kind == "number":
                hyper.variable = self._hyper[hyper.host_name]
                if hyper.exact is None:
                    hyper.exact = self._new_exact(hyper.host_name + "_exact", float(hyper.source))

    def _new_exact(self, name: str, number: float) -> Any:
        if _executes_eagerly_outside():
            return super()._new_exact(name, number)
        # In a graph Keras initializes the variables that it tracks, and this is how it comes to.
        with tf.init_scope():
            return self.add_weight(
                name,
                shape=[],
                dtype=tf.float64,
                initializer=lambda shape, dtype=None, **_: tf.constant(number, tf.float64),
                trainable=False,
            )

    def __getattribute__(self, name: str) -> Any:
        # OptimizerV2's own answers for a hyperparameter with its float32 variable; on the other APIs, and
        # here by way of __getattr__, it is the number.
        return object.__getattribute__(self, name)

    def _host_module(self) -> Any:
        """The module of OptimizerV2 itself, with the Keras backend that it uses."""
        return sys.modules[self.add_slot.__module__]

    def _session_of(self, variable: Any) -> Any:
        session = super()._session_of(variable)
        if session is None:
            # The session in which Keras trains in a graph, if it has made one.
            backend = self._host_module().backend
            session = getattr(getattr(backend, "_SESSION", None), "session", None)
        return session if session is not None and session.graph is variable.graph else None

    def _source_changed(self, hyper: HyperState) -> None:
        source = float(hyper.source) if hyper.kind == "number" else hyper.source
        self._hyper[hyper.host_name] = source
        hyper.variable = hyper.exact = None
        if hyper.kind == "number":
            self._hypers_created = False

    def _number_tensor(self, hyper: HyperState) -> Any:
        if hyper.variable is None:  # the kind changed to a number after the optimizer was built
            with tf.init_scope():
                self._create_missing_hyper(hyper)
        return super()._number_tensor(hyper)

    def _create_missing_hyper(self, hyper: HyperState) -> None:
        self._hyper[hyper.host_name] = hyper.variable = self.add_weight(
            hyper.host_name, shape=[], trainable=False, initializer=float(hyper.source)
        )
        hyper.exact = self._new_exact(hyper.host_name + "_exact", float(hyper.source))
        self._hypers_created = True

    def _public_hyper(self, hyper: HyperState) -> Any:
        if hyper.kind == "number" and hyper.variable is None and not self._hypers_created:
            with tf.init_scope():
                self._create_hypers()
        return super()._public_hyper(hyper)

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        if like:
            return self.add_slot(variable, name, initializer=lambda shape=None, dtype=None, **_: initial())
        # The host's add_slot knows only the variable's dtype, and before 2.5 only its shape: the same here.
        if name not in self._slot_names:
            self._slot_names.append(name)
        with tf.distribute.get_strategy().extended.colocate_vars_with(variable):
            slot = tf.Variable(initial, name="{}/{}".format(variable._shared_name, name), trainable=False)
        # In Keras' graph mode only what its backend knows of is initialized.
        self._host_module().backend.track_variable(slot)
        key = self._host_module()._var_key(variable)
        self._slots.setdefault(key, {})[name] = slot
        self._restore_slot_variable(slot_name=name, variable=variable, slot_variable=slot)
        self._weights.append(slot)
        return slot

    def _create_or_restore_slot_variable(
        self, slot_variable_position: Any, slot_name: str, variable: Any, **kwargs: Any
    ) -> Any:
        # A checkpoint is restored and the slot is not there: the host would make one in the variable's shape.
        if tf.executing_eagerly():
            self._build([variable])
        return self._host()._create_or_restore_slot_variable(
            slot_variable_position=slot_variable_position, slot_name=slot_name, variable=variable, **kwargs
        )

    def _create_shared(self, name: str, initial: Callable[[], Any]) -> Any:
        value = initial()
        weight = self.add_weight(
            name,
            shape=[],
            dtype=value.dtype,
            initializer=lambda shape=None, dtype=None, **_: initial(),
            trainable=False,
        )
        self._weights.append(weight)
        return weight

    # The host's hooks.

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
            name=name or self._name,
            aggregate=experimental_aggregate_gradients and not skip_gradients_aggregation,
        )
        return self.iterations if applied is None else applied

    def get_gradients(self, loss: Any, params: Sequence[Any]) -> List[Any]:
        """The gradients of a loss in a graph, unclipped: clipping is part of the step.

        Raises:
            ValueError: a variable has none.
        """
        grads = v1.gradients(loss, list(params))
        missing = [self._variable_name(param) for grad, param in zip(grads, params) if grad is None]
        if missing:
            raise ValueError(
                "The loss has no gradient for the variables {}; is it a differentiable function of "
                "them?".format(", ".join(map(repr, missing)))
            )
        return grads

    def _clip_gradients(self, grads: Any) -> Any:
        # Keras' training step in 2.2 and 2.3 calls this, before duplicate indices are summed.
        return grads

    def _compute_gradients(self, loss: Any, var_list: Any, grad_loss: Any = None, tape: Any = None) -> Any:
        return self._gradients(loss, var_list, tape, grad_loss)

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._build(var_list)

    def _resource_apply_dense(self, grad: Any, handle: Any, apply_state: Any = None) -> Any:
        return self._update_one(grad, handle)

    def _resource_apply_sparse(self, grad: Any, handle: Any, indices: Any, apply_state: Any = None) -> Any:
        return self._update_one(tf.IndexedSlices(grad, indices), handle)

    def _resource_apply_sparse_duplicate_indices(
        self, grad: Any, handle: Any, indices: Any, **kwargs: Any
    ) -> Any:
        return self._update_one(tf.IndexedSlices(grad, indices), handle)

    def get_config(self) -> Dict[str, Any]:
        """The configuration: JSON, and `from_config` gives the optimizer back."""
        return Adapter.get_config(self)


def _executes_eagerly_outside() -> bool:
    with tf.init_scope():
        return bool(tf.executing_eagerly())

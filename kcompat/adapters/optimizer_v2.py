"""The adapter for `OptimizerV2`: tf.keras of TensorFlow 1.14 to 2.10, and what survives of it as `legacy`."""

from __future__ import annotations

import sys
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from ..errors import StateError
from .base import TRANSFORM_ARGUMENTS, Adapter, HyperState, as_pairs
from .callers import calling_code
from .hosts_saving import saving_saved_model, saving_zip
from .overrides import overriding
from .saving import SavedByClassName
from .tensorflow_base import TensorFlowAdapter, _no_autograph, v1


class OptimizerV2Adapter(SavedByClassName, TensorFlowAdapter):
    """A rule as an OptimizerV2. Hyperparameters are the host's own `_hyper` variables."""

    api = "optimizer_v2"
    without = ("loss_scale_factor",)

    def _host_init(self, name: Optional[str]) -> None:
        self._host().__init__(name=name or type(self).__name__)
        for hyper in self._kc.hypers.values():
            # An int would become an int variable, which truncates what it is set to later.
            self._set_hyper(hyper.host_name, float(hyper.source) if hyper.kind == "number" else hyper.source)

    def _get_argument(self, name: str) -> Any:
        code = calling_code(".loss_scale_optimizer")
        if code is not None and code.co_name == "__init__":
            # LossScaleOptimizer up to 2.3 refuses an optimizer that clips, since a native one would clip the
            # scaled gradients. This one clips in the step itself. Up to 2.1 it asks with hasattr().
            if "hasattr" in code.co_names:
                raise AttributeError(name)
            return None
        return super()._get_argument(name)

    def _set_hyper(self, name: str, value: Any) -> None:
        # LossScaleOptimizer sets a hyperparameter of what it wraps in this way.
        if self._kc.ready and name in self._kc.attributes:
            self._set_hyper_source(name, value)
        else:
            self._host()._set_hyper(name, value)

    def _get_hyper(self, name: str, dtype: Any = None) -> Any:
        return self._host()._get_hyper(name if name in self._hyper else name.replace("_", ""), dtype)

    def __getattr__(self, name: str) -> Any:
        if name in TRANSFORM_ARGUMENTS:  # a property, which has just raised
            raise AttributeError(name)
        return super().__getattr__(name)

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

    # OptimizerV2's own answers for a hyperparameter with its float32 variable; on the other APIs, and here by
    # way of __getattr__, it is the number. (Not a function around it: that would cost every attribute.)
    __getattribute__ = object.__getattribute__

    def _host_module(self) -> Any:
        """The module of OptimizerV2 itself, with the Keras backend that it uses."""
        host: Any = type(self)._host_class
        return sys.modules[host.add_slot.__module__]

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
            # In a TensorFlow 1 graph tf.Variable would make a reference variable.
            slot = v1.Variable(
                initial,
                name="{}/{}".format(variable._shared_name, name),
                trainable=False,
                use_resource=True,
            )
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
            self._build([variable], restoring=True)
        return self._host()._create_or_restore_slot_variable(
            slot_variable_position=slot_variable_position, slot_name=slot_name, variable=variable, **kwargs
        )

    def _create_shared(self, name: str, initial: Callable[[], Any]) -> Any:
        value = initial()
        weight = self.add_weight(
            name,
            shape=value.shape,
            dtype=value.dtype,
            initializer=lambda shape=None, dtype=None, **_: initial(),
            trainable=False,
        )
        self._weights.append(weight)
        return weight

    @property
    def weights(self) -> List[Any]:
        """The variables that `get_weights` reads, which Keras writes into HDF5 files.

        Raises:
            StateError: as `get_weights`.
        """
        return self._ordered_weights()

    def variables(self) -> List[Any]:
        """The optimizer's variables: the step counter, the slots and the shared scalars."""
        return self._in_order(self._host().variables())

    # The host's hooks.

    @_no_autograph
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
        aggregate = experimental_aggregate_gradients and not skip_gradients_aggregation
        # Up to 2.1 the host has no such hook.
        if (
            aggregate
            and overriding(type(self), "_aggregate_gradients")
            and hasattr(self._host(), "_aggregate_gradients")
        ):
            grads_and_vars, aggregate = self._summed_by_subclass(grads_and_vars), False
        applied = self._apply(
            grads_and_vars,
            global_step=global_step,
            name=name or self._name,
            aggregate=aggregate,
            # Also those without a gradient: a model that Keras loads has the slots of all its variables.
            build_all=True,
        )
        return self.iterations if applied is None else applied

    @_no_autograph
    def get_gradients(self, loss: Any, params: Sequence[Any]) -> List[Any]:
        """The gradients of a loss in a graph, unclipped: clipping is part of the step.

        Args:
            loss: a tensor.
            params: the variables.

        Raises:
            ValueError: a variable has none.
        """
        return self._graph_gradients(loss, params)

    def _clip_gradients(self, grads: Any) -> Any:
        # Keras' training step in 2.2 and 2.3 calls this, before duplicate indices are summed.
        return grads

    def _compute_gradients(self, loss: Any, var_list: Any, grad_loss: Any = None, tape: Any = None) -> Any:
        return self._gradients(loss, var_list, tape, grad_loss)

    def _to_minimize(self, loss: Any, var_list: Any, tape: Any, grad_loss: Any) -> Any:
        given = {} if tape is None else {"tape": tape}  # up to TensorFlow 2.3 there is no such argument
        return self._compute_gradients(loss, var_list=var_list, grad_loss=grad_loss, **given)

    def _summed_by_subclass(self, grads_and_vars: Any) -> Any:
        """Pairs whose gradients a subclass sums over the replicas, in its own `_aggregate_gradients`."""
        pairs = as_pairs(type(self).__name__, grads_and_vars)
        present = [(grad, variable) for grad, variable in pairs if grad is not None]
        # Gradients up to TensorFlow 2.3, pairs after that.
        results = self._aggregate_gradients(present)
        summed = iter([each[0] if isinstance(each, tuple) else each for each in results])
        return [(None if grad is None else next(summed), variable) for grad, variable in pairs]

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
        """The configuration: JSON, and `from_config` gives the optimizer back.

        Raises:
            StateError: a file is being written that would hold the configuration, and lose the state.
        """
        if saving_zip():
            raise StateError(
                "{}: Keras leaves the state of an OptimizerV2 out of a .keras file. Save the model as HDF5 "
                "(.h5), or use the api keras_2_11.".format(type(self).__name__)
            )
        if saving_saved_model():
            self._check_saved_model()
        return Adapter.get_config(self)

    def _check_saved_model(self) -> None:
        """Raises if the optimizer has slots with which TensorFlow could not load a SavedModel."""
        for known in self._kc.variables.values():
            for name, slot in known.slots.items():
                own = known.variable
                if slot.shape != own.shape or slot.dtype.base_dtype != own.dtype.base_dtype:
                    raise StateError(
                        "{}: TensorFlow can't load a SavedModel in which an OptimizerV2 has a slot ({!r} of "
                        "{!r}) of another shape or dtype than its variable. Save the model as HDF5 (.h5), or "
                        "with include_optimizer=False.".format(type(self).__name__, name, known.name)
                    )

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        made = Adapter.from_config.__func__(cls, config, custom_objects)  # type: ignore[attr-defined]
        cls._continue_saved_model()
        return made

    # State in Keras' graph mode, whose session initializes variables when it is first used.

    def _read_values(self, variables: Sequence[Any]) -> List[np.ndarray]:
        if not _executes_eagerly_outside() and v1.get_default_session() is None:
            values = self._host_module().backend.batch_get_value(list(variables))
            return [np.asarray(value) for value in values]
        return super()._read_values(variables)

    def _make_assignable(self, variables: Sequence[Any], own: Sequence[Any]) -> None:
        if _executes_eagerly_outside() or v1.get_default_session() is not None:
            super()._make_assignable(variables, own)

    def _assign_values(self, pairs: Sequence[Tuple[Any, np.ndarray]]) -> None:
        if not _executes_eagerly_outside() and v1.get_default_session() is None:
            pairs = [(v, np.asarray(array, v.dtype.base_dtype.as_numpy_dtype)) for v, array in pairs]
            self._host_module().backend.batch_set_value(pairs)
            return
        super()._assign_values(pairs)


def _executes_eagerly_outside() -> bool:
    with tf.init_scope():
        return bool(tf.executing_eagerly())

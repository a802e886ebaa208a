"""The adapter for `tf.compat.v1.train.Optimizer`: sessions, estimators and eager code, 1.13 and later."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import numpy as np
import tensorflow as tf

from ..errors import NotBuiltError, StateError
from .base import HyperState, VariableState
from .hosts_saving import saving_zip
from .tensorflow_base import TensorFlowAdapter, _no_autograph, v1


class TF1Adapter(TensorFlowAdapter):
    """A rule as a TensorFlow 1 optimizer.

    The step counter and the hyperparameters are non-slot variables (float64 for the latter), one set a graph,
    so that they are initialized, saved and restored with the rest.
    """

    api = "tf1"
    takes_reference_variables = True
    without = ("loss_scale_factor",)

    def _host_init(self, name: Optional[str]) -> None:
        self._host().__init__(use_locking=False, name=name or type(self).__name__)

    # State, one set of variables for each graph and one for eager mode.

    @staticmethod
    def _graph() -> Any:
        """The graph that the optimizer's variables belong to here; None in eager mode."""
        with tf.init_scope():
            return None if tf.executing_eagerly() else v1.get_default_graph()

    def _iterations_variable(self) -> Any:
        return self._get_non_slot_variable("iterations", graph=self._graph())

    def _create_host_variables(self, variables: Sequence[Any]) -> None:
        # The host colocates a non-slot variable with the first variable by name.
        first = min(variables, key=lambda variable: variable.name)
        self._non_slot(np.int64(0), "iterations", first)
        for hyper in self._kc.hypers.values():
            if hyper.kind == "number":
                self._non_slot(np.float64(hyper.source), hyper.host_name, first)

    def _non_slot(self, initial: Any, name: str, first: Any) -> Any:
        with v1.variable_scope(v1.get_variable_scope(), reuse=False), self._named():
            return self._create_non_slot_variable(initial, name=name, colocate_with=first)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        with tf.name_scope(self.get_name()):
            yield

    def _number_variable(self, hyper: HyperState) -> Any:
        return self._get_non_slot_variable(hyper.host_name, graph=self._graph())

    def _number_tensor(self, hyper: HyperState) -> Any:
        hyper.exact = self._number_variable(hyper)
        if hyper.exact is None:  # the source became a number after the optimizer was built
            graph = self._graph()
            with tf.init_scope():
                self._create_host_variables(
                    [
                        known.variable
                        for known in self._kc.variables.values()
                        if graph is None or known.variable.graph is graph
                    ]
                )
            hyper.exact = self._number_variable(hyper)
        return super()._number_tensor(hyper)

    def _has_variable(self, hyper: HyperState) -> bool:
        return any(name == hyper.host_name for name, _ in self._non_slot_dict)

    def _assign_number(self, hyper: HyperState, number: float) -> None:
        found = {graph: v for (name, graph), v in self._non_slot_dict.items() if name == hyper.host_name}
        # Used in several graphs, each has its own; a session can only assign that of its graph.
        session = v1.get_default_session()
        here = [v for graph, v in found.items() if graph is None or session and graph is session.graph]
        for variable in here or found.values():
            self._set_value(variable, number)

    def _source_changed(self, hyper: HyperState) -> None:
        if hyper.kind == "number" and self._has_variable(hyper):
            self._assign_number(hyper, float(hyper.source))

    def _read_number(self, hyper: HyperState) -> float:
        hyper.exact = self._number_variable(hyper)
        return super()._read_number(hyper)

    def _public_hyper(self, hyper: HyperState) -> Any:
        hyper.exact = self._number_variable(hyper)
        return super()._public_hyper(hyper)

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        value = initial()
        # Named after the slot, not `Adam`, `Adam_1`: TensorFlow 1's names depend on the order of creation.
        op_name = "{}/{}".format(self.get_name(), name)
        resource = tf.executing_eagerly() or hasattr(self._one_copy(variable), "handle")
        if resource or not _reads_variables(value.op):
            return self._get_or_make_slot(variable, value, name, op_name)
        # A reference variable's initial value that is made of another variable is rewritten by TensorFlow
        # with a cond(), which from 2.0 on reads the other variable before it is initialized.
        slot = self._get_or_make_slot(variable, tf.zeros(value.shape, value.dtype), name, op_name)
        slot._initializer_op = v1.assign(slot, value).op
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
        first = min((known.variable for known in self._kc.variables.values()), key=lambda v: v.name)
        return self._non_slot(initial(), name, first)

    def _shared_variable(self, name: str) -> Any:
        if not self._kc.shared and not self._kc.variables:
            raise NotBuiltError(
                "{0}.{1}: on tf1 the variable is made with the first step, beside the variables that are "
                "trained. Give {0}({1}=...), or read and set it after that.".format(type(self).__name__, name)
            )
        return super()._shared_variable(name)

    def _make_assignable(self, variables: Sequence[Any], own: Sequence[Any]) -> None:
        # The hyperparameters, too. (Of a native optimizer this adapter has none.)
        others = getattr(self, "_non_slot_dict", {}).values()
        super()._make_assignable(variables, [*own, *filter(self._belongs_here, others)])

    def _known_here(self) -> List[VariableState]:
        graph = self._graph()
        known = self._kc.variables.values()
        return [each for each in known if graph is None or each.variable.graph is graph]

    def variables(self) -> List[Any]:
        """The optimizer's variables: the step counter, the hyperparameters, the slots and shared scalars."""
        return self._in_order(self._host().variables())

    @property
    def iterations(self) -> Any:
        """The number of updates done, int64: a variable once the optimizer is built, 0 before."""
        variable = self._iterations_variable()
        return np.int64(0) if variable is None else self._updates(variable)

    # The host's hooks.

    @_no_autograph
    def apply_gradients(
        self,
        grads_and_vars: Any,
        global_step: Any = None,
        name: Optional[str] = None,
        skip_gradients_aggregation: bool = False,
        experimental_aggregate_gradients: bool = True,
    ) -> Any:
        """One step: updates every variable from its gradient.

        Args:
            grads_and_vars: pairs (gradient, variable); a gradient is a tensor, IndexedSlices or None.
            global_step: a variable to add 1 to, after the step.
            name: a name for the operations.
            skip_gradients_aggregation: under a distribution strategy, whether the gradients are summed over
                the replicas already.
            experimental_aggregate_gradients: the opposite of that, as OptimizerV2 names it.

        Returns:
            In a graph the operation to run, else None.

        Raises:
            GradientError: no gradient, or one that does not fit its variable.
        """
        applied = self._apply(
            grads_and_vars,
            global_step=global_step,
            name=name,
            aggregate=experimental_aggregate_gradients and not skip_gradients_aggregation,
        )
        if not tf.executing_eagerly():
            train_ops = v1.get_collection_ref(v1.GraphKeys.TRAIN_OP)
            if applied not in train_ops:
                train_ops.append(applied)
        return applied

    def compute_gradients(
        self,
        loss: Any,
        var_list: Any = None,
        gate_gradients: int = 1,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        grad_loss: Any = None,
    ) -> Any:
        """Pairs (gradient, variable) of a loss; a gradient that there is not is None.

        Args:
            loss: a tensor of a graph, or a callable that computes it, which eager mode needs.
            var_list: the variables, or a callable that gives them; all trainable ones by default.
            gate_gradients: the host's `GATE_NONE`, `GATE_OP` (its default, 1) or `GATE_GRAPH`.
            aggregation_method: how gradients are added up, a `tf.AggregationMethod`.
            colocate_gradients_with_ops: whether gradients are computed where their operations are.
            grad_loss: the gradient of what is computed from the loss.

        Raises:
            ValueError: the host's: no variables, or an argument that it does not know.
            RuntimeError: the host's: in eager mode a loss that is no callable.
        """
        if callable(var_list):
            if callable(loss):  # which may be what makes the variables, so it goes first
                return self._gradients(loss, var_list, None, grad_loss)
            var_list = var_list()
        return self._host().compute_gradients(
            loss,
            var_list=var_list,
            gate_gradients=gate_gradients,
            aggregation_method=aggregation_method,
            colocate_gradients_with_ops=colocate_gradients_with_ops,
            grad_loss=grad_loss,
        )

    def minimize(  # type: ignore[override]
        self,
        loss: Any,
        global_step: Any = None,
        var_list: Any = None,
        gate_gradients: int = 1,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        name: Optional[str] = None,
        grad_loss: Any = None,
        tape: Any = None,
    ) -> Any:
        """Computes the gradients of a loss and takes one step.

        Args:
            loss: as for `compute_gradients`, or a tensor with the `tape` that recorded it.
            global_step: a variable to add 1 to, after the step.
            var_list, gate_gradients, aggregation_method, colocate_gradients_with_ops: as for
                `compute_gradients`, which is not called with a `tape`.
            name: a name for the operations.
            grad_loss: the gradient of what is computed from the loss.
            tape: the tape that recorded the loss.

        Returns:
            In a graph the operation to run, else None.

        Raises:
            GradientError: no gradient, or one that does not fit its variable.
        """
        if tape is not None:
            pairs = self._gradients(loss, var_list, tape, grad_loss)
        else:
            pairs = self.compute_gradients(
                loss,
                var_list=var_list,
                gate_gradients=gate_gradients,
                aggregation_method=aggregation_method,
                colocate_gradients_with_ops=colocate_gradients_with_ops,
                grad_loss=grad_loss,
            )
        return self.apply_gradients(pairs, global_step=global_step, name=name)

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._build(var_list)

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return self._update_one(grad, var)

    def _resource_apply_dense(self, grad: Any, handle: Any) -> Any:
        return self._update_one(grad, handle)

    def _apply_sparse_duplicate_indices(self, grad: Any, var: Any) -> Any:
        return self._update_one(grad, var)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return self._update_one(grad, var)

    def _resource_apply_sparse_duplicate_indices(self, grad: Any, handle: Any, indices: Any) -> Any:
        return self._update_one(tf.IndexedSlices(grad, indices), handle)

    def _resource_apply_sparse(self, grad: Any, handle: Any, indices: Any) -> Any:
        return self._update_one(tf.IndexedSlices(grad, indices), handle)

    def _finish(self, update_ops: List[Any], name_scope: str) -> Any:
        return self._count(update_ops, None)

    def get_config(self) -> Dict[str, Any]:
        """The configuration: JSON, and `from_config` gives the optimizer back.

        Raises:
            StateError: a file is being written that would hold the configuration, and lose the state.
        """
        if saving_zip():
            raise StateError(
                "{}: a .keras file can't hold the state of a TensorFlow 1 optimizer. Save weights and state "
                "with model.save_weights(path), without .h5, or use the api keras_2_11.".format(
                    type(self).__name__
                )
            )
        return super().get_config()


def _reads_variables(op: Any) -> bool:
    """Whether an operation of a graph depends on a reference variable."""
    pending, seen = [op], set()
    while pending:
        op = pending.pop()
        if op.name in seen:
            continue
        seen.add(op.name)
        if op.type in ("Variable", "VariableV2"):
            return True
        pending += [tensor.op for tensor in op.inputs]
    return False

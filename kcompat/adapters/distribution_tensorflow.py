"""A step under a distribution strategy of TensorFlow: gradients are summed over the replicas, once, and then
every copy of the variables takes the same step, on the device where it is.

The hosts' own optimizers update one variable after the other. Here each device takes its whole step at once,
since a rule may look at all gradients, and sees the summed ones.
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable, ContextManager, List, NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf

from ..errors import DistributionError
from .base import VariableState
from .step import StepAdapter
from .uninterrupted import Uninterrupted

_RUN = "strategy.run() (experimental_run_v2 up to TensorFlow 2.1) calls on each replica"
_NONE = "no strategy"


class _Copies(NamedTuple):
    """What one device has of a step: gradients, variables, and states with its copies of the slots."""

    grads: List[Any]
    variables: List[Any]
    known: List[VariableState]


class DistributedStepAdapter(StepAdapter):
    """The step of several replicas, for the adapters on TensorFlow."""

    @staticmethod
    def _has_strategy() -> bool:
        """Whether a strategy other than the default one, which is none, is in force."""
        has = getattr(tf.distribute, "has_strategy", None)  # not in TensorFlow 1.13's public API
        return bool(has is not None and has())

    def _is_made_here(self, native: Any) -> bool:
        """Whether a variable of TensorFlow was made in the scope of the strategy that is in force."""
        made_here = getattr(tf.distribute.get_strategy().extended, "variable_created_in_scope", None)
        if made_here is not None:
            return bool(made_here(native))
        # TensorFlow 1.13 tells copies on several devices from other variables, and no more.
        return self._has_strategy() or not _is_of_1_13(native)

    def _check_distribution(self, variable: Any, aggregate: bool) -> None:
        """Raises DistributionError if no step can be taken here, before anything is created.

        Args:
            variable: one of the variables, if the optimizer knows it.
            aggregate: whether gradients are to be summed over the replicas.
        """
        where, strategy = type(self).__name__, tf.distribute.get_strategy()
        known = self._kc.variables.get(self._variable_key(variable))
        if known is not None and not self._is_made_here(self._native(known.variable)):
            raise DistributionError(
                "{}.apply_gradients(): the variable {!r} was made in the scope of {}, and the step is taken "
                "in that of {}. Take it {}.".format(
                    where,
                    known.name,
                    self._strategy_of(known) or _NONE,
                    _named(strategy) if self._has_strategy() else _NONE,
                    "in the function that " + _RUN if self._strategy_of(known) else "outside of every scope",
                )
            )
        if not self._has_strategy():
            return
        if tf.distribute.get_replica_context() is None:
            raise DistributionError(
                "{}.apply_gradients() was called in the cross-replica context of {}, where there are only "
                "all replicas' gradients together. Call it in the function that {}.".format(
                    where, _named(strategy), _RUN
                )
            )
        if not aggregate and not _mirrors(strategy):
            raise DistributionError(
                "{}.apply_gradients(): under {} gradients are summed where the variable is, and can't be "
                "left as they are. Leave experimental_aggregate_gradients and skip_gradients_aggregation "
                "out.".format(where, _named(strategy))
            )
        if not getattr(strategy.extended, "_use_merge_call", lambda: True)():
            raise DistributionError(
                "{}.apply_gradients(): {}, where it compiles the whole step with XLA, or runs on TPUs, "
                "has no context of all replicas. Compile the computation of the gradients alone, and call "
                "apply_gradients() outside of what is compiled.".format(where, _named(strategy))
            )

    def _build_missing(self, variables: Sequence[Any]) -> None:
        """Builds the optimizer on variables that it does not know."""
        raise NotImplementedError

    def _apply_distributed(
        self,
        grads: Sequence[Any],
        variables: Sequence[Any],
        to_build: Sequence[Any],
        aggregate: bool,
        global_step: Any,
    ) -> Any:
        """One step of all replicas, called by each of them. Returns the operation to run in a graph."""

        def step(strategy: Any, grads: Sequence[Any]) -> Any:
            # Not before: an estimator calls its model function on each replica, which makes an optimizer
            # there, and one of them is to have the slots.
            self._build_missing(to_build)
            known = [self._state_of(variable) for variable in variables]
            return self._step_of_replicas(strategy, grads, known, aggregate, global_step)

        # Of the functions that the replicas give, the first one's is called, with the gradients of all.
        shaped = [self._with_shape(grad, variable) for grad, variable in zip(grads, variables)]
        return tf.distribute.get_replica_context().merge_call(step, args=(shaped,))

    def _with_shape(self, grad: Any, variable: Any) -> Any:
        """A gradient; a sparse one with its dense shape: TensorFlow 2.4 copies that even if there is none."""
        if not isinstance(grad, tf.IndexedSlices) or grad.dense_shape is not None:
            return grad
        shape = tf.constant(self._shape(variable), grad.indices.dtype)
        return tf.IndexedSlices(grad.values, grad.indices, shape)

    def _step_of_replicas(
        self,
        strategy: Any,
        grads: Sequence[Any],
        known: Sequence[VariableState],
        aggregate: bool,
        global_step: Any,
    ) -> Any:
        """In the cross-replica context: sums the gradients, and takes the step on every device."""
        natives = [self._native(each.variable) for each in known]
        if aggregate:
            pairs = list(zip(grads, natives))
            grads = _sums(strategy, pairs)
        copies = self._copies(strategy, grads, natives, known)
        checks: List[Any] = []
        with Uninterrupted() if self._runs_at_once() else contextlib.ExitStack():
            if not _mirrors(strategy):
                writes = self._write_all(*copies[0], checks)
            else:
                writes = self._write_on_devices(strategy, natives[0], copies, checks)
            for each, first in zip(known, copies[0].known):
                each.checked = first.checked
            with self._after(checks):
                return self._count(writes, global_step)

    def _copies(
        self, strategy: Any, grads: Sequence[Any], natives: Sequence[Any], known: Sequence[VariableState]
    ) -> List[_Copies]:
        """What each device has of gradients, variables and slots."""

        def on_devices(value: Any) -> Tuple[Any, ...]:
            local: Tuple[Any, ...] = _local_results(strategy, value)
            return local

        each_grad = [on_devices(grad) for grad in grads]
        each_variable = [on_devices(native) for native in natives]
        each_slots = [
            {name: on_devices(self._native(slot)) for name, slot in each.slots.items()} for each in known
        ]
        made = []
        for i in range(len(each_variable[0])):
            here = _Copies([], [variable[i] for variable in each_variable], [])
            for grad, slots, variable, each in zip(each_grad, each_slots, here.variables, known):
                here.grads.append(_at(grad, i))
                # A constraint is known to Keras 3's own variable, or to each of the copies.
                owner = variable if self._native(each.variable) is each.variable else each.variable
                local = VariableState(owner, each.name, each.shape, each.rule, each.xp)
                local.slots = {name: _at(slot, i) for name, slot in slots.items()}
                local.unset = each.unset
                local.checked, local.way = each.checked, self._way_of(each)
                here.known.append(local)
            made.append(here)
        return made

    def _write_on_devices(
        self, strategy: Any, anchor: Any, copies: Sequence[_Copies], checks: List[Any]
    ) -> List[Any]:
        """The step on every device, in the order in which the strategy updates a variable's copies."""
        remaining = iter(copies)

        def update(_: Any) -> Any:
            # The context is that of one device: what else is read and written here, such as the learning
            # rate, is its copy.
            writes = self._write_all(*next(remaining), checks)
            return tf.zeros(()) if tf.executing_eagerly() else self._together(writes)

        return list(strategy.extended.update(anchor, update, group=False))

    def _strategy_of(self, known: VariableState) -> Optional[str]:
        """In words, the strategy in whose scope a variable was made, or None for the default one."""
        native = self._native(known.variable)
        names = "distribute_strategy", "_distribute_strategy"
        strategy = next((getattr(native, name) for name in names if getattr(native, name, None)), None)
        if strategy is not None:
            return None if "Default" in type(strategy.extended).__name__ else _named(strategy)
        return "a distribution strategy" if _is_of_1_13(native) else None

    def _constraint_of(self, variable: Any) -> Any:
        try:
            return super()._constraint_of(variable)
        except NotImplementedError:  # what stands around a variable of central storage, up to TensorFlow 2.0
            return super()._constraint_of(variable.get())

    def _one_copy(self, variable: Any) -> Any:
        """TensorFlow's variable; of one that several devices have copies of, the first."""
        native = self._native(variable)
        if not self._has_strategy():
            return native
        return _local_results(tf.distribute.get_strategy(), native)[0]

    def _beside(self, variable: Any) -> ContextManager[Any]:
        """What updates a variable runs where it is, if a strategy keeps variables away from the replicas."""
        if not self._has_strategy() or _mirrors(tf.distribute.get_strategy()):
            return contextlib.ExitStack()
        return tf.compat.v1.colocate_with(self._native(variable))

    def _update(self, variable: Any, *args: Any, **kwargs: Any) -> List[Any]:
        with self._beside(variable):
            return super()._update(variable, *args, **kwargs)


def _sums(strategy: Any, pairs: Sequence[Tuple[Any, Any]]) -> Any:
    """The sums over the replicas of the gradients in pairs (gradient, variable)."""
    if getattr(strategy.extended, "_num_workers", 1) > 1 and not hasattr(strategy, "run"):
        # In TensorFlow 2.0 and 2.1 several dense gradients in one call here end the process: "tensor_shape.cc
        # Check failed: size >= 0 (-5 vs. 0)". One a call they don't.
        return [strategy.extended.batch_reduce_to(tf.distribute.ReduceOp.SUM, [pair])[0] for pair in pairs]
    return strategy.extended.batch_reduce_to(tf.distribute.ReduceOp.SUM, pairs)


def _mirrors(strategy: Any) -> bool:
    """Whether a strategy keeps a copy of each variable on every device (or has only one)."""
    names = [cls.__name__ for cls in type(strategy).__mro__]
    return not any("ParameterServer" in name or "CentralStorage" in name for name in names)


def _is_of_1_13(native: Any) -> bool:
    """Whether a strategy of TensorFlow 1.13 made this variable, which does not say which."""
    return type(native).__module__.endswith("distribute.values")


def _named(strategy: Any) -> str:
    """A strategy in an error message."""
    return "a " + type(strategy).__name__


def _local_results(strategy: Any, value: Any) -> Any:
    """A value of all replicas as a tuple of those in this process."""
    results: Callable[[Any], Any] = getattr(strategy, "experimental_local_results", None) or strategy.unwrap
    return results(value)


def _at(values: Tuple[Any, ...], i: int) -> Any:
    """One device's part of a value, or the whole value if it is not there several times."""
    return values[i] if len(values) > 1 else values[0]

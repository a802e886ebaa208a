"""The adapter for Keras 3's optimizer, on its JAX backend: eager, in `fit`, and under `jax.jit`."""

from __future__ import annotations

from typing import Any, Callable, Iterable, List, Sequence, Set, Tuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.experimental import io_callback
from jax.experimental.sparse import BCOO

from .. import namespaces
from ..errors import GradientError, HyperparameterError, NotBuiltError
from .base import HyperState, VariableState
from .compiled_jax import JittedStep
from .keras_3_arrays import Keras3ArraysAdapter
from .plan import Way, the_rule
from .step import Gradient


def _is_sharded(value: Any) -> bool:
    """Whether an array whose value is known lies on several devices."""
    return not isinstance(value, jax.core.Tracer) and len(value.devices()) > 1


class Keras3JaxAdapter(Keras3ArraysAdapter):
    """A rule as a Keras 3 optimizer on JAX."""

    backend = "jax"

    def _host_rate(self, rate: float) -> Any:
        if not jax.config.jax_enable_x64:
            return self._learning_rate
        # The compiled step sees nothing but the variable's value: in float64 where there is that.
        self._untrack(self._learning_rate)
        return self._new_rate(rate, "float64")

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        distribution = keras.distribution.distribution()
        if distribution is None:
            return super()._create_slot(variable, name, initial, like)
        # Keras would look the slot's path up in the layouts of the model's variables, where a pattern may be
        # meant for another shape; only the newest gives a slot of its variable's shape that one's layout.
        keras.distribution.set_distribution(None)
        try:
            slot = super()._create_slot(variable, name, initial, like)
        finally:
            keras.distribution.set_distribution(distribution)
        sharding = self._native(variable).sharding
        if slot.shape != variable.shape and hasattr(sharding, "mesh"):
            sharding = jax.sharding.NamedSharding(sharding.mesh, jax.sharding.PartitionSpec())
        slot._layout = sharding
        slot.assign(slot.value)
        return slot

    # What is not known while a step is traced.

    def _known(self, value: Any) -> bool:
        return not isinstance(value, jax.core.Tracer)

    def _weak(self) -> Any:
        """The namespace for scalars, which are float64 whether JAX's arrays may be or not."""
        return namespaces.namespace("jax", "float32")

    def _later(self, function: Callable[[], float]) -> Any:
        # In two parts, because a callback can't give JAX a float64 unless that is enabled.
        def parts() -> Any:
            number = np.float64(function())
            high = np.float32(number)
            return high, np.float32(number - high)

        spec = jax.ShapeDtypeStruct((), jnp.float32)
        xp = self._weak()
        high, low = (xp.scalar(part) for part in io_callback(parts, (spec, spec)))
        return high + low

    def _next(self, done: Any) -> Any:
        return self._weak().scalar(done) + 1

    def _assign_number(self, hyper: HyperState, number: float) -> None:
        if self._kc.traced and hyper.variable is None:
            raise HyperparameterError(
                "{0}.{1} = {2!r}: on JAX the training step has been compiled with {3!r}, and only the "
                "learning rate can change after that. Set it before the first step, make a new optimizer, or "
                "give a function of nothing as {1}, which is called at every step.".format(
                    type(self).__name__, hyper.host_name, number, hyper.exact
                )
            )
        super()._assign_number(hyper, number)

    # Arrays.

    def _cast(self, array: Any, dtype: Any) -> Any:
        # JAX takes longer to see that there is nothing to do than for some rules' operations.
        return array if array.dtype == dtype else array.astype(dtype)

    def _read_rows(self, variable: Any, rows: Any) -> Any:
        return jnp.take(self._read(variable), rows, axis=0, mode="clip")

    def _write_rows(self, variable: Any, rows: Any, value: Any) -> Any:
        old = self._read(variable)
        # Rows past the end only fill the list of rows up.
        variable.assign(old.at[rows].set(self._cast(value, old.dtype), mode="drop"))

    def _copy(self, array: Any) -> Any:
        return jnp.array(array, copy=True)

    def _settled(self, values: List[Tuple[Any, Any]]) -> List[Tuple[Any, Any]]:
        # Two variables must not hold one array: jax.jit can't be given (donated) the same memory twice.
        seen: Set[int] = set()
        settled = []
        for target, value in values:
            settled.append((target, jnp.array(value, copy=True) if id(value) in seen else value))
            seen.add(id(value))
        return settled

    def _build(self, variables: Iterable[Any], restoring: bool = False) -> None:
        variables = list(variables)
        new = [v for v in variables if self._variable_key(v) not in self._kc.variables]
        if new and not all(self._known(self._native(variable)) for variable in new):
            raise NotBuiltError(
                "{} is not built on the variables {}, and under jax.jit no variable can be made. Call "
                "optimizer.build(variables) first.".format(
                    type(self).__name__, ", ".join(repr(self._variable_name(v)) for v in new)
                )
            )
        super()._build(variables, restoring)

    # What is compiled: eager steps. In `fit` and under `jax.jit` all is traced as it is.

    def _find_way(self, known: VariableState) -> Way:
        values = [self._native(each) for each in (known.variable, *known.slots.values())]
        if keras.distribution.distribution() is not None or any(_is_sharded(value) for value in values):
            return the_rule("the variable is distributed")  # what is compiled decides where its results are
        if self._kc.compiled is None:
            self._kc.compiled = {}
        steps, key = self._kc.compiled, (known.rule, known.xp, tuple(known.slots))
        if key not in steps:
            steps[key] = JittedStep(*key)
        return Way("jit", "JAX compiles an eager step, once a shape", jitted=steps[key])

    def _new_values(
        self, variable: Any, known: VariableState, gradient: Gradient, hyper: Any, step: Any
    ) -> List[Tuple[Any, Any]]:
        jitted = self._way_of(known).jitted
        if jitted is not None and gradient.rows is None and isinstance(step, float):
            targets = [variable, *known.slots.values()]
            values, grad = [self._read(target) for target in targets], known.xp.unwrap(gradient.array)
            if all(self._known(value) for value in (grad, *values)):
                try:
                    new = jitted(values, grad, hyper, step)
                except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
                    known.way = the_rule("{} can't be traced".format(type(known.rule).__name__))
                    new = None
                if new is not None:
                    known.checked = True
                    return list(zip(targets, new))
        return super()._new_values(variable, known, gradient, hyper, step)

    # Gradients.

    def _is_sparse(self, grad: Any) -> bool:
        if not isinstance(grad, BCOO):
            return False
        if grad.n_batch or grad.n_dense != grad.ndim - 1:
            raise GradientError(
                "A sparse gradient with n_sparse={}, n_batch={}: expected a BCOO with one sparse dimension, "
                "its rows.".format(grad.n_sparse, grad.n_batch)
            )
        return True

    def _gradient(self, grad: Any, known: VariableState, variable: Any) -> Gradient:
        xp = known.xp
        if not isinstance(grad, BCOO):
            return Gradient(xp.wrap(self._cast(grad, xp.compute_dtype)), None)
        count = self._shape(variable)[0]
        values, indices = self._cast(grad.data, xp.compute_dtype), grad.indices[:, 0]
        if self._known(indices) and indices.size:
            self._check_rows(int(indices.min()), int(indices.max()), count, known.name)
        if known.rule.sparse == "dense":
            dense = jnp.zeros(self._shape(variable), values.dtype).at[indices].add(values, mode="drop")
            return Gradient(xp.wrap(dense), None)
        # As many rows as indices, whatever their values: the shape must be known. What is left over is past
        # the end, where nothing is written.
        rows, position = jnp.unique(indices, size=indices.size, fill_value=count, return_inverse=True)
        summed = jnp.zeros_like(values).at[position.reshape(-1)].add(values)
        return Gradient(xp.wrap(summed), rows)

    def _gradients_of(self, loss: Any, variables: Sequence[Any]) -> Sequence[Any]:
        if not callable(loss):
            raise GradientError(
                "{}.minimize(loss): on JAX expected a callable that computes the loss; an array does not "
                "know where it came from.".format(type(self).__name__)
            )

        def value(values: List[Any]) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(variables, values))) as scope:
                found = loss()
            changed = set(scope.state_mapping) - {id(variable) for variable in variables}
            if changed:
                raise GradientError(
                    "{}.minimize(loss): computing the loss changes variables that are not in var_list (such "
                    "as those of BatchNormalization), which would be lost. Use fit, or stateless_call and "
                    "stateless_apply.".format(type(self).__name__)
                )
            return found

        return jax.grad(value)([self._native(variable) for variable in variables])

"""Trains with given gradients on any optimizer API, in any of the ways that it can be used.

The modes are "eager", "function" (`tf.function`), "graph" (a session, resource variables), "graph_ref" (a
session, reference variables) and "jit" (`jax.jit` around Keras 3's `stateless_apply`).
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, List, Sequence, Set, Tuple

import numpy as np

_PACKAGE = __name__.rpartition(".testing.")[0] + "."

# What was traced of rules that others wrote. A wrong rule may keep a tensor of it somewhere, and TensorFlow
# 2.11 crashes, instead of raising, when that is used after the function is gone.
_kept: List[Any] = []


def backend(api: str) -> str:
    """The array library that an API's variables are made of here: "tensorflow", "jax" or "torch"."""
    if api != "keras_3":
        return "tensorflow"
    import keras

    return keras.backend.backend()


def has_float64(api: str) -> bool:
    """Whether an API's variables may be float64 here: JAX has none unless it is told to."""
    if backend(api) != "jax":
        return True
    import jax

    return bool(jax.config.jax_enable_x64)


def is_of_tensorflow(thing: Any) -> bool:
    """Whether a variable or tensor is TensorFlow's, or Keras 3's on TensorFlow."""
    package = type(thing).__module__.split(".")[0]
    if package != "keras" or not hasattr(thing, "path"):
        return package not in ("jax", "jaxlib", "torch")
    return backend("keras_3") == "tensorflow"


def modes_of(api: str) -> List[str]:
    """The modes in which an API can be used here, first the one that its users have.

    Decided by what the installed frameworks can do.
    """
    library = backend(api)
    if library != "tensorflow":
        return ["eager", "jit"] if library == "jax" else ["eager"]
    import tensorflow as tf

    modes = ["eager", "function"] if tf.executing_eagerly() else []
    if api != "keras_3":  # Keras 3's variables can't be run in a session
        modes.append("graph")
    # Keras 2.2's layers have reference variables; the later Keras APIs have refused them in every release.
    if api in ("tf1", "get_updates"):
        modes.append("graph_ref")
    return modes


def array_variable(value: Any, name: str) -> Any:
    """A variable of Keras 3."""
    import keras

    return keras.Variable(value, dtype=str(value.dtype), name=name)


def make_variable(api: str, value: Any, name: str, mode: str = "eager") -> Any:
    """A variable of the kind that the API's users have."""
    if api == "keras_3":
        return array_variable(value, name)
    import tensorflow as tf

    if mode in ("graph", "graph_ref"):
        return tf.compat.v1.get_variable(name, initializer=value, use_resource=mode == "graph")
    return tf.Variable(value, name=name)


def array_to_numpy(thing: Any) -> Any:
    """The value of an array or variable of Keras 3; bfloat16 comes as float32."""
    import keras

    value = keras.ops.convert_to_numpy(getattr(thing, "value", thing))
    return value.astype("float32") if value.dtype.name == "bfloat16" else value


def to_numpy(variable: Any) -> Any:
    """The value of a variable in eager mode; bfloat16 comes as float32."""
    if not is_of_tensorflow(variable):
        return array_to_numpy(variable)
    import tensorflow as tf

    value = getattr(variable, "value", None)  # a Keras 3 variable's; TensorFlow's has a method of that name
    tensor = tf.convert_to_tensor(variable if value is None or callable(value) else value)
    if tensor.dtype == tf.bfloat16:
        tensor = tf.cast(tensor, tf.float32)
    return tensor.numpy()


def tensor_gradient(grad: Any, param: Any) -> Any:
    """A gradient as TensorFlow has it: of an array, a pair (values, indices), or None."""
    import tensorflow as tf

    if grad is None:
        return None
    if isinstance(grad, tuple):
        values, indices = grad
        return tf.IndexedSlices(
            tf.convert_to_tensor(values), tf.convert_to_tensor(indices), tf.constant(param.shape, tf.int64)
        )
    return tf.convert_to_tensor(grad)


def array_gradient(grad: Any, param: Any, library: str) -> Any:
    """A gradient as JAX or PyTorch has it: of an array, a pair (values, indices), or None."""
    if grad is None:
        return None
    if library == "jax":
        import jax.numpy as jnp
        from jax.experimental.sparse import BCOO

        if isinstance(grad, tuple):
            values, indices = grad
            return BCOO((jnp.asarray(values), jnp.asarray(indices)[:, None]), shape=param.shape)
        return jnp.asarray(grad)
    import torch

    if isinstance(grad, tuple):
        values, indices = grad
        given = torch.tensor(indices)[None], array_gradient(values, values, library)
        return torch.sparse_coo_tensor(*given, param.shape, check_invariants=False)
    if grad.dtype.name == "bfloat16":  # which PyTorch does not take from NumPy
        return torch.tensor(grad.astype("float32")).to(torch.bfloat16)
    return torch.tensor(grad)


class Jitted:
    """`optimizer.stateless_apply` under `jax.jit`, its state donated, as Keras' own `fit` does it.

    Attributes:
        traces: how often JAX traced the step.
    """

    def __init__(self, optimizer: Any, variables: Sequence[Any]) -> None:
        self.optimizer, self.variables = optimizer, variables
        self.traces = 0
        self._steps: Dict[Tuple[bool, ...], Any] = {}

    def apply(self, grads: Sequence[Any]) -> None:
        """One step with gradients as the backend's arrays, or None."""
        import jax

        if not self.optimizer.built:
            self.optimizer.build(self.variables)
        present = tuple(grad is not None for grad in grads)
        if present not in self._steps:

            def step(trainable: Any, state: Any, given: Any) -> Any:
                self.traces += 1
                left = iter(given)
                full = [next(left) if there else None for there in present]
                return self.optimizer.stateless_apply(state, full, trainable)

            self._steps[present] = jax.jit(step, donate_argnums=(0, 1))
        trainable = [v.value for v in self.variables]
        state = [v.value for v in self.optimizer.variables]
        given = [grad for grad in grads if grad is not None]
        trainable, state = self._steps[present](trainable, state, given)
        for target, value in zip([*self.variables, *self.optimizer.variables], [*trainable, *state]):
            target.assign(value)


def pattern_of(row: Sequence[Any]) -> Tuple[str, ...]:
    """Which kind of gradient each variable has in a step: "none", "sparse" or "dense"."""
    return tuple("none" if g is None else "sparse" if isinstance(g, tuple) else "dense" for g in row)


def flat(row: Sequence[Any]) -> List[Any]:
    """The arrays of a step's gradients, one after the other."""
    return [part for g in row if g is not None for part in (g if isinstance(g, tuple) else (g,))]


class Training:
    """An optimizer and variables of its API, trained one step at a time in one mode; a context manager.

    Args:
        api, mode: as `modes_of` names them.
        make: makes the optimizer, once in the context.
        params: starting values, NumPy arrays whose dtype is the variables'.

    Attributes:
        optimizer, variables: what is trained.
        session: the session of a graph mode, which is the default one in the context; None in others.
    """

    optimizer: Any
    variables: List[Any]

    def __init__(self, api: str, mode: str, make: Callable[[], Any], params: Sequence[Any]) -> None:
        self.api, self.mode, self.library = api, mode, backend(api)
        self.session: Any = None
        self._make, self._params = make, params
        self._steps: Dict[Tuple[str, ...], Any] = {}
        self._initialized: Set[str] = set()
        self._reads: Dict[int, Tuple[Any, Any]] = {}  # with the variable, so that no other gets its id
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Training:
        if self.mode in ("graph", "graph_ref"):
            import tensorflow as tf

            self._stack.enter_context(tf.Graph().as_default())
            self.session = self._stack.enter_context(tf.compat.v1.Session())
        try:
            self.variables = [
                make_variable(self.api, p, "v{}".format(i), self.mode) for i, p in enumerate(self._params)
            ]
            self.optimizer = self._make()
        except BaseException:  # whatever is run next must not find itself in this graph
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()
        optimizer: Any = getattr(self, "optimizer", None)
        compiled = getattr(getattr(optimizer, "_kc", None), "compiled", None)
        if compiled is not None and not type(optimizer.rule).__module__.startswith(_PACKAGE):
            _kept.append(compiled)

    def step(self, row: Sequence[Any]) -> None:
        """One step with a list of gradients as `kcompat.testing.reference` takes them."""
        if self.session is not None:
            self._step_in_graph(row)
        elif self.library != "tensorflow":
            grads = [array_gradient(g, p, self.library) for g, p in zip(row, self._params)]
            if self.mode == "jit":
                if not self._steps:
                    self._steps[()] = Jitted(self.optimizer, self.variables)
                self._steps[()].apply(grads)
            else:
                self.optimizer.apply_gradients(list(zip(grads, self.variables)))
        elif self.mode == "function":
            import tensorflow as tf

            pattern = pattern_of(row)
            if pattern not in self._steps:

                def step(*parts: Any) -> None:
                    self._apply(pattern, parts)  # in tf.function what it gives is not for returning

                self._steps[pattern] = tf.function(step)
            self._steps[pattern](*[tf.convert_to_tensor(part) for part in flat(row)])
        else:
            self._apply(pattern_of(row), flat(row))

    def _apply(self, pattern: Sequence[str], parts: Sequence[Any]) -> Any:
        left, grads = iter(parts), []
        for kind, param in zip(pattern, self._params):
            grad: Any = None
            if kind != "none":
                grad = (next(left), next(left)) if kind == "sparse" else next(left)
            grads.append(tensor_gradient(grad, param))
        return self.optimizer.apply_gradients(list(zip(grads, self.variables)))

    def build(self, rows: Sequence[Sequence[Any]]) -> None:
        """In a graph, makes the operations for these gradients and initializes what is new.

        Elsewhere nothing; `step` does it itself. A caller who has all steps at hand does it first, as users
        build a graph.
        """
        if self.session is None:
            return
        import tensorflow as tf

        v1 = tf.compat.v1
        for row in rows:
            pattern = pattern_of(row)
            if pattern in self._steps:
                continue
            holders = []
            for g, param in zip(row, self._params):
                if isinstance(g, tuple):
                    holders.append(v1.placeholder(g[0].dtype, (None, *param.shape[1:])))
                    holders.append(v1.placeholder(g[1].dtype, (None,)))
                elif g is not None:
                    holders.append(v1.placeholder(g.dtype, param.shape))
            self._steps[pattern] = self._apply(pattern, holders), holders
        new = [v for v in v1.global_variables() if v.name not in self._initialized]
        if new:
            self._initialized.update(v.name for v in new)
            self.session.run(v1.variables_initializer(new))

    def _step_in_graph(self, row: Sequence[Any]) -> None:
        self.build([row])
        operation, holders = self._steps[pattern_of(row)]
        self.session.run(operation, dict(zip(holders, flat(row))))

    def read(self, variable: Any) -> Any:
        """The value of a variable, as a NumPy array; bfloat16 comes as float32."""
        if self.session is None:
            return np.asarray(to_numpy(variable))
        import tensorflow as tf

        # Made once: each operation more makes the session look at the whole graph again.
        if id(variable) not in self._reads:
            value = tf.convert_to_tensor(variable)
            value = tf.cast(value, tf.float32) if value.dtype == tf.bfloat16 else value
            self._reads[id(variable)] = variable, value
        return np.asarray(self.session.run(self._reads[id(variable)][1]))

    def assign(self, variable: Any, value: Any) -> None:
        """Assigns a variable, the way its host's users do."""
        operation = variable.assign(value)
        if self.session is not None:
            self.session.run(operation)

    def values(self) -> List[Any]:
        """The variables' values."""
        return [self.read(variable) for variable in self.variables]

    def slots(self) -> List[Dict[str, Any]]:
        """Each variable's slots; those that it has none of, because it never had a gradient, are left out."""
        from ..errors import NotBuiltError

        found = []
        for variable in self.variables:
            slots = {}
            for name in self.optimizer.get_slot_names():
                try:
                    slots[name] = self.read(self.optimizer.get_slot(variable, name))
                except (KeyError, NotBuiltError):  # another variable's rule has it, or this one never joined
                    continue
            found.append(slots)
        return found

    def iterations(self) -> int:
        """The number of steps done, as the optimizer counts them."""
        return int(self.read(self.optimizer.iterations))


def varied_gradients(
    shapes: Sequence[Tuple[int, ...]],
    steps: int,
    seed: int = 0,
    dtype: str = "float32",
    sparse: Any = (),
    rows: int = 4,
) -> List[List[Any]]:
    """Gradients that vary in size (over three decades) and sign from step to step.

    Args:
        shapes: the variables' shapes.
        steps: how many steps.
        seed, dtype: of the numbers.
        sparse: indices of variables whose gradients are (values, indices), with duplicate rows, and rows that
            are absent from one step and present in another.
        rows: how many indices a sparse gradient has.
    """
    random = np.random.RandomState(seed)
    out = []
    for _ in range(steps):
        row: List[Any] = []
        for i, shape in enumerate(shapes):
            size = 10.0 ** random.uniform(-2, 1)
            if i in sparse:
                indices = random.randint(0, shape[0], rows)
                indices[-1] = indices[0]  # always a duplicate
                row.append(((random.randn(rows, *shape[1:]) * size).astype(dtype), indices.astype("int64")))
            else:
                row.append(np.asarray(random.randn(*shape) * size, dtype))
        out.append(row)
    return out


def starting_values(shapes: Sequence[Tuple[int, ...]], seed: int = 1, dtype: str = "float32") -> List[Any]:
    """Normally distributed values, away from zero by chance only."""
    random = np.random.RandomState(seed)
    return [np.asarray(random.randn(*shape), dtype) for shape in shapes]

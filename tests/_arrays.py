"""Keras 3 on JAX and PyTorch, without TensorFlow: variables, gradients, and steps of an optimizer."""


def backend(api):
    """The array library that an API's variables are made of here: "tensorflow", "jax" or "torch"."""
    if api != "keras_3":
        return "tensorflow"
    import keras

    return keras.backend.backend()


def on_tensorflow(apis):
    """Those of the APIs whose variables are TensorFlow's here."""
    return [api for api in apis if backend(api) == "tensorflow"]


def has_float64(api):
    """Whether an API's variables may be float64 here: JAX has none unless it is told to."""
    if backend(api) != "jax":
        return True
    import jax

    return jax.config.jax_enable_x64


def is_of_tensorflow(thing):
    """Whether a variable or tensor is TensorFlow's, or Keras 3's on TensorFlow."""
    package = type(thing).__module__.split(".")[0]
    if package != "keras" or not hasattr(thing, "path"):
        return package not in ("jax", "jaxlib", "torch")
    return backend("keras_3") == "tensorflow"


def variable(value, name):
    import keras

    return keras.Variable(value, dtype=str(value.dtype), name=name)


def to_numpy(thing):
    """The value of an array or variable; bfloat16 comes as float32."""
    import keras

    value = keras.ops.convert_to_numpy(getattr(thing, "value", thing))
    return value.astype("float32") if value.dtype.name == "bfloat16" else value


def gradient(grad, param, name):
    """A gradient as a backend array: of an array, a pair (values, indices), or None."""
    if grad is None:
        return None
    if name == "jax":
        import jax.numpy as jnp
        from jax.experimental.sparse import BCOO

        if isinstance(grad, tuple):
            values, indices = grad
            return BCOO((jnp.asarray(values), jnp.asarray(indices)[:, None]), shape=param.shape)
        return jnp.asarray(grad)
    import torch

    if isinstance(grad, tuple):
        values, indices = grad
        given = torch.tensor(indices)[None], gradient(values, values, name)
        return torch.sparse_coo_tensor(*given, param.shape, check_invariants=False)
    if grad.dtype.name == "bfloat16":  # which PyTorch does not take from NumPy
        return torch.tensor(grad.astype("float32")).to(torch.bfloat16)
    return torch.tensor(grad)


class Jitted:
    """`optimizer.stateless_apply` under `jax.jit`, its state donated, as Keras' own `fit` does it."""

    def __init__(self, optimizer, variables):
        self.optimizer, self.variables = optimizer, variables
        self.traces = 0
        self._steps = {}

    def apply(self, grads):
        """One step with gradients as the backend's arrays, or None."""
        import jax

        if not self.optimizer.built:
            self.optimizer.build(self.variables)
        present = tuple(grad is not None for grad in grads)
        if present not in self._steps:

            def step(trainable, state, given):
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

"""Training one step at a time, the same in every mode: for tests that do something between the steps."""

import contextlib
import time

import _arrays
import numpy as np
from _modes import make_variable, to_numpy


class Steps:
    """An optimizer, its variables, and a way to take a step with them.

    Attributes:
        optimizer, variables: as the test made them, the variables from the values given.
        traces: how often the training step was traced (function) or built (graph).
    """

    def __init__(self, api, mode, optimizer, variables, session):
        self.api, self.mode = api, mode
        self.optimizer, self.variables, self.session = optimizer, variables, session
        self.traces = 0
        self._step = None
        self.backend = _arrays.backend(api)
        self._tensors = {}

    def _apply(self, grads):
        self.traces += 1
        return self.optimizer.apply_gradients(list(zip(grads, self.variables)))

    def build(self):
        """In a graph, makes the training operation and initializes all variables; elsewhere nothing."""
        if self.session is not None and self._step is None:
            import tensorflow as tf

            v1 = tf.compat.v1
            holders = [v1.placeholder(v.dtype.base_dtype, v.shape) for v in self.variables]
            self._step = self._apply(holders), holders
            self.session.run(v1.global_variables_initializer())

    def step(self, *grads):
        """One step with these gradients; ones if none are given. Returns how far the variables moved."""
        self.build()
        before = self.values()
        grads = list(grads) or [1.0] * len(self.variables)
        grads = [np.full(value.shape, grad, value.dtype) for grad, value in zip(grads, before)]
        if self.session is not None:
            operation, holders = self._step
            self.session.run(operation, dict(zip(holders, grads)))
        elif self.backend != "tensorflow":
            arrays = [_arrays.gradient(grad, grad, self.backend) for grad in grads]
            if self.mode == "jit":
                self._step = self._step or _arrays.Jitted(self.optimizer, self.variables)
                self._step.apply(arrays)
                self.traces = self._step.traces
            else:
                self._apply(arrays)
        elif self.mode == "function":
            import tensorflow as tf

            if self._step is None:

                def train(*tensors):
                    self._apply(tensors)

                self._step = tf.function(train)
            self._step(*[tf.convert_to_tensor(grad) for grad in grads])
        else:
            import tensorflow as tf

            self._apply([tf.convert_to_tensor(grad) for grad in grads])
        return [old - new for old, new in zip(before, self.values())]

    def move(self):
        """One step with gradients of 1: by how much it lowered the first element of the first variable."""
        return float(self.step()[0].reshape(-1)[0])

    def values(self):
        if self.session is None:
            return [self.read(variable) for variable in self.variables]
        # At once: a session optimizes the whole graph anew for each list of tensors that it has not met.
        return [np.asarray(each) for each in self.session.run([self._tensor(v) for v in self.variables])]

    def read(self, thing):
        """The value of a number, array, variable or tensor, as a NumPy array."""
        if isinstance(thing, (int, float, np.generic, np.ndarray)):
            return np.asarray(thing)
        if not _arrays.is_of_tensorflow(thing):
            return _arrays.to_numpy(thing)
        if self.session is not None:
            return np.asarray(self.session.run(self._tensor(thing)))
        return np.asarray(to_numpy(thing) if hasattr(thing, "assign") else thing.numpy())

    def _tensor(self, thing):
        import tensorflow as tf

        if id(thing) not in self._tensors:  # an operation more each time makes a session slow
            self._tensors[id(thing)] = thing, tf.convert_to_tensor(thing)
        return self._tensors[id(thing)][1]

    def assign(self, variable, value):
        """Assigns a variable, the way its host's users do."""
        operation = variable.assign(value)
        if self.session is not None:
            self.session.run(operation)

    def slots(self):
        names = self.optimizer.get_slot_names()
        return [{n: self.read(self.optimizer.get_slot(v, n)) for n in names} for v in self.variables]

    def iterations(self):
        return int(self.read(self.optimizer.iterations))

    def state(self):
        """Everything that a step changes."""
        return self.values(), self.slots(), self.iterations()


@contextlib.contextmanager
def steps(api, mode, make, *values):
    """Steps of the optimizer that `make` makes, in a graph of their own where the mode has one."""
    values = [np.asarray(v, "float32") for v in values] or [np.zeros(2, "float32")]
    with contextlib.ExitStack() as stack:
        session = None
        if mode in ("graph", "graph_ref"):
            import tensorflow as tf

            stack.enter_context(tf.Graph().as_default())
            session = stack.enter_context(tf.compat.v1.Session())
        variables = [make_variable(api, v, "v{}".format(i), mode) for i, v in enumerate(values)]
        yield Steps(api, mode, make(), variables, session)


def failing(tensor, fails):
    """The tensor in a graph; where `fails(shape)`, no memory for it, once all else that can run has run."""
    import tensorflow as tf

    def function(array):
        if fails(array.shape):
            time.sleep(0.1)
            raise MemoryError  # of which TensorFlow makes a ResourceExhaustedError
        return array

    call = getattr(tf, "numpy_function", tf.compat.v1.py_func)
    given = call(function, [tensor], tensor.dtype)
    given.set_shape(tensor.shape)
    return given


def listed(optimizer):
    """The optimizer's variables, a method on some hosts and a list on others."""
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)

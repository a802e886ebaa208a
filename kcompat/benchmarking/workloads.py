"""One step of a cell, on the optimizer of the host's or on ours: made here, timed elsewhere.

Variables and gradients of both are of the same shapes and numbers, and of their own memory.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..testing.running import array_gradient, make_variable
from . import cells
from .cells import Job

Step = Callable[[], None]


class NotHere(Exception):
    """What was to be measured is not in this release."""


class Made(NamedTuple):
    """A step that can be taken, and what is known of it.

    Attributes:
        step: takes it and waits for it.
        optimizer: the optimizer.
        steps: how many steps of the optimizer a call of `step` takes.
        operations: in a graph, how many operations were made for it.
        building: in a graph, how many seconds of CPU time that took.
    """

    step: Step
    optimizer: Any
    steps: int = 1
    operations: Optional[int] = None
    building: Optional[float] = None


def optimizer_of(job: Job, ours: bool) -> Any:
    """The optimizer of a job.

    Args:
        job: what is measured.
        ours: whether it is kcompat's, or the one to compare with.

    Raises:
        NotHere: the host, or the add-on, has none of this name.
    """
    if job.against == "addons":
        package = importlib.import_module("..addons" if ours else "tensorflow_addons.optimizers", __package__)
        return getattr(package, job.optimizer)(learning_rate=0.001)
    name, arguments = cells.OPTIMIZERS[job.optimizer]
    if ours:
        if job.sparse == "rows":
            from .. import rules
            from ..adapters import optimizer

            return optimizer(rules.LazyAdam(), job.api)
        return getattr(importlib.import_module("..optimizers." + job.api, __package__), name)(**arguments)
    package = _native_package(job.api)
    if job.api == "tf1":
        if job.optimizer not in cells.TF1:
            raise NotHere("tf.compat.v1.train has no {}".format(job.optimizer))
        name, arguments = cells.TF1[job.optimizer]
    if not hasattr(package, name):
        raise NotHere("{} has no {}".format(package.__name__, name))
    return getattr(package, name)(**arguments)


def _native_package(api: str) -> Any:
    """The module of a host that has its own optimizers of an API."""
    if api == "keras_3":
        return importlib.import_module("keras").optimizers
    import tensorflow as tf

    if api == "tf1":
        return tf.compat.v1.train
    from ..environment import lineage

    found = tf.keras.optimizers
    for package in (found, getattr(found, "legacy", None), getattr(found, "experimental", None)):
        if lineage(getattr(package, "Adam", None)) == api:
            return package
    raise NotHere("tf.keras.optimizers has none of the API {}".format(api))


# Variables and gradients.


def _arrays(job: Job) -> Tuple[List[Any], List[Any]]:
    """Starting values and gradients, the same at every call."""
    random = np.random.RandomState(0)
    some = random.rand(4099).astype("float32")
    values = [np.resize(some, shape) for shape in cells.shapes_of(job.size)]
    if job.size == "rows":
        indices = random.randint(0, values[0].shape[0], cells.ROWS).astype("int64")
        return values, [(random.rand(cells.ROWS, values[0].shape[1]).astype("float32"), indices)]
    return values, [value - np.float32(0.5) for value in values]


def make(job: Job, ours: bool) -> Made:
    """A step of a job.

    Args:
        job: what is measured.
        ours: whether the optimizer is kcompat's, or the one to compare with.
    """
    if not ours and job.against in ("optax", "torch.optim"):
        return {"optax": _optax, "torch.optim": _torch_optim}[job.against](job)
    way = job.way
    if way in ("memory", "scaling"):
        way = {"jax": "jit", "torch": "eager"}.get(job.backend) or _traced_way(job.api)
    return {"eager": _eager, "function": _function, "fit": _fit, "session": _session, "jit": _jit}[way](
        job, ours
    )


def forget_compiled(job: Job) -> bool:
    """Drops what JAX has compiled, which a first call of the other would find. False elsewhere."""
    if job.backend != "jax":
        return False
    importlib.import_module("jax").clear_caches()
    return True


def _traced_way(api: str) -> str:
    import tensorflow as tf

    return "function" if tf.executing_eagerly() else "session"


def _eager(job: Job, ours: bool) -> Made:
    values, grads = _arrays(job)
    optimizer = optimizer_of(job, ours)
    variables = [make_variable(job.api, value, "v{}".format(i)) for i, value in enumerate(values)]
    given = [_gradient(g, v, job.backend) for g, v in zip(grads, values)]
    pairs = list(zip(given, variables))
    if job.backend == "tensorflow":
        return Made(lambda: optimizer.apply_gradients(pairs), optimizer)

    def step() -> None:
        optimizer.apply(given, variables)
        if job.backend == "jax":
            importlib.import_module("jax").block_until_ready([variable.value for variable in variables])

    return Made(step, optimizer)


def _gradient(grad: Any, value: Any, backend: str) -> Any:
    if backend != "tensorflow":
        return array_gradient(grad, value, backend)
    from ..testing.running import tensor_gradient

    return tensor_gradient(grad, value)


def _function(job: Job, ours: bool) -> Made:
    import tensorflow as tf

    made = _eager(job, ours)

    @tf.function
    def step() -> None:
        made.step()

    return Made(step, made.optimizer)


def _session(job: Job, ours: bool) -> Made:
    import time

    import tensorflow as tf

    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default():
        shapes = cells.shapes_of(job.size)
        # TensorFlow 1's own optimizers are used with reference variables; Keras' refuse them.
        kind: Dict[str, Any] = {"use_resource": job.api != "tf1"}
        kind["initializer"] = v1.random_uniform_initializer(seed=1)
        variables = [v1.get_variable("v{}".format(i), shape, **kind) for i, shape in enumerate(shapes)]
        kind["trainable"] = False
        grads: List[Any]
        if job.size == "rows":
            grads = [_rows_in_graph(job)]
        else:
            held = [v1.get_variable("g{}".format(i), shape, **kind) for i, shape in enumerate(shapes)]
            grads = [variable.read_value() for variable in held]
        before, started = len(graph.get_operations()), time.process_time()
        optimizer = optimizer_of(job, ours)
        train = optimizer.apply_gradients(list(zip(grads, variables)))
        building = time.process_time() - started
        operations = len(graph.get_operations()) - before
        config = v1.ConfigProto(intra_op_parallelism_threads=_cores(), inter_op_parallelism_threads=_cores())
        session = v1.Session(graph=graph, config=config)
        session.run(v1.global_variables_initializer())
        run = session.make_callable(train)
    return Made(run, optimizer, operations=operations, building=building)


def _rows_in_graph(job: Job) -> Any:
    import tensorflow as tf

    values, ((rows, indices),) = _arrays(job)
    return tf.IndexedSlices(tf.constant(rows), tf.constant(indices), tf.constant(values[0].shape, tf.int64))


def _cores() -> int:
    from .job import cores

    return cores()


def _fit(job: Job, ours: bool) -> Made:
    keras: Any
    if job.api == "keras_3":
        keras = importlib.import_module("keras")
    else:
        keras = importlib.import_module("tensorflow").keras
    # As many variables, kernels and biases, and about as many elements as the other ways have.
    layers, units = {"many": (100, 31), "large": (4, 3162)}.get(job.size, (2, 3))
    model = keras.Sequential([keras.layers.Dense(units) for _ in range(layers)])
    batches = 20 if job.size == "many" else 3
    random = np.random.RandomState(0)
    x = random.rand(batches, units).astype("float32")
    optimizer = optimizer_of(job, ours)
    model.compile(optimizer=optimizer, loss="mse")

    def step() -> None:
        model.fit(x, x, batch_size=1, epochs=1, shuffle=False, verbose=0)

    return Made(step, optimizer, batches)


def _jit(job: Job, ours: bool) -> Made:
    import jax

    values, grads = _arrays(job)
    optimizer = optimizer_of(job, ours)
    variables = [make_variable(job.api, value, "v{}".format(i)) for i, value in enumerate(values)]
    given = [_gradient(g, v, "jax") for g, v in zip(grads, values)]
    optimizer.build(variables)
    compiled = jax.jit(
        lambda trainable, state, grads: optimizer.stateless_apply(state, grads, trainable),
        donate_argnums=(0, 1),
    )
    state = [[v.value for v in variables], [v.value for v in optimizer.variables]]

    def step() -> None:
        state[:] = compiled(state[0], state[1], given)
        jax.block_until_ready(state)

    return Made(step, optimizer)


def _optax(job: Job) -> Made:
    import jax

    optax: Any = importlib.import_module("optax")
    values, grads = _arrays(job)
    optimizer = {"Adam": optax.adam, "AdamW": optax.adamw}[job.optimizer](0.001)
    params = [jax.numpy.asarray(value) for value in values]
    given = [jax.numpy.asarray(grad) for grad in grads]

    def update(params: Any, state: Any, grads: Any) -> Any:
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    compiled = jax.jit(update, donate_argnums=(0, 1))
    state = [params, optimizer.init(params)]

    def step() -> None:
        state[:] = compiled(state[0], state[1], given)
        jax.block_until_ready(state)

    return Made(step, optimizer)


def _torch_optim(job: Job) -> Made:
    import torch

    values, grads = _arrays(job)
    params = [torch.nn.Parameter(torch.tensor(value)) for value in values]
    for param, grad in zip(params, grads):
        param.grad = torch.tensor(grad)
    optimizer = getattr(torch.optim, job.optimizer)(params)
    return Made(optimizer.step, optimizer)


# What memory allows.

# Not -ffast-math: a library that is linked with it takes subnormal numbers from the whole process.
_AS_FAST = ("-fno-math-errno", "-fno-trapping-math")
_C = """
#include <math.h>
void adam(float *p, const float *g, float *m, float *v, long n, float rate, float a, float b, float e) {
    for (long i = 0; i < n; i++) {
        float x = g[i], y = m[i] + (x - m[i]) * a, z = v[i] + (x * x - v[i]) * b;
        m[i] = y; v[i] = z; p[i] -= rate * y / (sqrtf(z) + e);
    }
}
"""


class MemoryBound:
    """Adam's step in a loop that does nothing else.

    Attributes:
        by: what runs it: "C", or "NumPy" where there is no compiler.
        arrays: parameter, gradient, first and second moment: each all variables' in one.
    """

    def __init__(self, job: Job) -> None:
        values, _ = _arrays(job)
        total = sum(value.size for value in values)
        self.arrays = [np.full(total, number, "float32") for number in (0.5, 0.1, 0.0, 0.0)]
        self._loop = _compiled()
        self.by = "NumPy" if self._loop is None else "C"

    def __call__(self) -> None:
        """One step."""
        if self._loop is None:
            self._in_blocks()
        else:
            pointers = [array.ctypes.data for array in self.arrays]
            self._loop(*pointers, self.arrays[0].size, 0.001, 0.1, 0.001, 1e-7)

    def _in_blocks(self, block: int = 2**15) -> None:
        a, b = np.empty(block, "float32"), np.empty(block, "float32")
        for i in range(0, self.arrays[0].size, block):
            p, g, m, v = (array[i : i + block] for array in self.arrays)
            x, y = a[: p.size], b[: p.size]
            np.multiply(g - m, np.float32(0.1), out=x)
            m += x
            np.multiply(g, g, out=y)
            y -= v
            y *= np.float32(0.001)
            v += y
            np.sqrt(v, out=y)
            y += np.float32(1e-7)
            np.divide(m, y, out=x)
            x *= np.float32(0.001)
            p -= x


def _compiled() -> Any:
    import ctypes
    import os
    import shutil
    import subprocess
    import tempfile

    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = os.path.join(folder, "adam.c"), os.path.join(folder, "adam.so")
        with open(source, "w") as file:
            file.write(_C)
        flags = ["-O3", "-march=native", *_AS_FAST, "-shared", "-fPIC", "-o", library, source, "-lm"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [compiler, *flags], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            function = ctypes.CDLL(library).adam
            pointer, number = ctypes.c_void_p, ctypes.c_float
            function.argtypes = [pointer] * 4 + [ctypes.c_long] + [number] * 4
            function.restype = None
            return function
    return None


def slot_bytes(job: Job) -> int:
    """What Adam's two slots take."""
    return sum(2 * 4 * int(np.prod(shape, dtype=np.int64)) for shape in cells.shapes_of(job.size))

"""Runs an update rule through an optimizer API, in one of the ways it can be used, for comparison.

`run(api, mode, rule, params, gradients)` gives parameters, slots and step count as NumPy, whatever the
mode: "eager", "function" (tf.function), "graph" (a session, resource variables), "graph_ref" (reference
variables) or "jit" (`jax.jit` around Keras 3's `stateless_apply`). Of `get_updates`, too, `apply_gradients`
gives the operation to run; what Keras calls is in test_get_updates.
"""

from collections import namedtuple

import _arrays
import numpy as np

Result = namedtuple("Result", "params slots iterations optimizer")


def modes_of(api):
    """The modes in which an API can be used here. Decided by what the installed frameworks can do."""
    backend = _arrays.backend(api)
    if backend != "tensorflow":
        return ["eager", "jit"] if backend == "jax" else ["eager"]
    import tensorflow as tf

    eager = tf.executing_eagerly()
    modes = ["eager", "function"] if eager else []
    if api != "keras_3":  # Keras 3's variables can't be run in a session; test_traps has the error
        modes.append("graph")
    # Keras 2.2's layers have reference variables; the later Keras APIs have refused them in every release.
    if api in ("tf1", "get_updates"):
        modes.append("graph_ref")
    return modes


def api_modes(apis):
    """Every (api, mode) that can be tested here."""
    return [(api, mode) for api in apis for mode in modes_of(api)]


def numpy_type(name):
    """A NumPy dtype by name, bfloat16 included."""
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import tensorflow as tf
    except ImportError:  # Keras 3 on JAX or PyTorch
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return tf.as_dtype(name).as_numpy_dtype


def make_variable(api, value, name, mode="eager"):
    """A variable of the kind that the API's users have."""
    if api == "keras_3":
        return _arrays.variable(value, name)
    import tensorflow as tf

    if mode in ("graph", "graph_ref"):
        return tf.compat.v1.get_variable(name, initializer=value, use_resource=mode == "graph")
    return tf.Variable(value, name=name)


def to_numpy(variable):
    """The value of a variable in eager mode; bfloat16 comes as float32."""
    if not _arrays.is_of_tensorflow(variable):
        return _arrays.to_numpy(variable)
    import tensorflow as tf

    value = getattr(variable, "value", None)  # a Keras 3 variable's; TensorFlow's has a method of that name
    tensor = tf.convert_to_tensor(variable if value is None or callable(value) else value)
    if tensor.dtype == tf.bfloat16:
        tensor = tf.cast(tensor, tf.float32)
    return tensor.numpy()


def as_gradient(grad, param):
    """A gradient as a host tensor: an array, a pair (values, indices), or None."""
    import tensorflow as tf

    if grad is None:
        return None
    if isinstance(grad, tuple):
        values, indices = grad
        return tf.IndexedSlices(
            tf.convert_to_tensor(values), tf.convert_to_tensor(indices), tf.constant(param.shape, tf.int64)
        )
    return tf.convert_to_tensor(grad)


def _pattern(row):
    return tuple("none" if g is None else "sparse" if isinstance(g, tuple) else "dense" for g in row)


def _flat(row):
    return [part for g in row if g is not None for part in (g if isinstance(g, tuple) else (g,))]


def run(api, mode, rule, params, gradients, before_step=None, make=None, **base):
    """Trains with given gradients.

    Args:
        api, mode: as above.
        rule: an update rule instance, or with `make` anything.
        params: starting values, NumPy arrays whose dtype is the variable's.
        gradients: as `kcompat.testing.reference` takes them, in the variables' dtypes.
        before_step: called with (step from 1, optimizer, session or None) before each step.
        make: makes the optimizer, in place of `kcompat.optimizer(rule, api, **base)`.
    """
    import kcompat

    if make is None:

        def make():
            return kcompat.optimizer(rule, api=api, **base)

    if _arrays.backend(api) != "tensorflow":
        return _run_arrays(api, mode, params, gradients, before_step, make)
    import tensorflow as tf

    if mode in ("graph", "graph_ref"):
        with tf.Graph().as_default():
            return _run_graph(api, mode, params, gradients, before_step, make)
    optimizer = make()
    variables = [make_variable(api, p, "v{}".format(i), mode) for i, p in enumerate(params)]
    functions = {}

    def apply(pattern, flat):
        parts = list(flat)
        grads = []
        for kind, param in zip(pattern, params):
            taken = {"none": 0, "dense": 1, "sparse": 2}[kind]
            grad = tuple(parts[:taken]) if taken == 2 else parts[0] if taken else None
            parts = parts[taken:]
            grads.append(as_gradient(grad, param))
        optimizer.apply_gradients(list(zip(grads, variables)))

    for step, row in enumerate(gradients, 1):
        if before_step is not None:
            before_step(step, optimizer, None)
        pattern = _pattern(row)
        if mode == "eager":
            apply(pattern, _flat(row))
            continue
        if pattern not in functions:
            functions[pattern] = tf.function(lambda *flat, pattern=pattern: apply(pattern, flat))
        functions[pattern](*[tf.convert_to_tensor(part) for part in _flat(row)])
    return _result(optimizer, variables)


def _result(optimizer, variables):
    slots = [_slots(optimizer, v, to_numpy) for v in variables]
    return Result([to_numpy(v) for v in variables], slots, int(to_numpy(optimizer.iterations)), optimizer)


def _run_arrays(api, mode, params, gradients, before_step, make):
    backend = _arrays.backend(api)
    optimizer = make()
    variables = [make_variable(api, p, "v{}".format(i), mode) for i, p in enumerate(params)]
    jitted = _arrays.Jitted(optimizer, variables)
    for step, row in enumerate(gradients, 1):
        if before_step is not None:
            before_step(step, optimizer, None)
        grads = [_arrays.gradient(g, p, backend) for g, p in zip(row, params)]
        if mode == "jit":
            jitted.apply(grads)
        else:
            optimizer.apply_gradients(list(zip(grads, variables)))
    return _result(optimizer, variables)


def _slots(optimizer, variable, read):
    import kcompat

    slots = {}
    for name in optimizer.get_slot_names():
        try:
            slots[name] = read(optimizer.get_slot(variable, name))
        except (KeyError, kcompat.NotBuiltError):
            # Another variable's rule has this slot, or the variable never had a gradient: where the
            # oracle has the slot all the same, `assert_agree` says so.
            continue
    return slots


def _run_graph(api, mode, params, gradients, before_step, make):
    import tensorflow as tf

    v1 = tf.compat.v1
    variables = [make_variable(api, p, "v{}".format(i), mode) for i, p in enumerate(params)]
    optimizer = make()
    steps = {}
    for row in gradients:
        pattern = _pattern(row)
        if pattern in steps:
            continue
        holders, grads = [], []
        for g, param in zip(row, params):
            if g is None:
                grads.append(None)
                continue
            parts = g if isinstance(g, tuple) else (g,)
            shapes = [(None, *param.shape[1:]), (None,)] if isinstance(g, tuple) else [param.shape]
            made = [v1.placeholder(part.dtype, shape) for part, shape in zip(parts, shapes)]
            holders += made
            grads.append(as_gradient(tuple(made) if isinstance(g, tuple) else made[0], param))
        steps[pattern] = (optimizer.apply_gradients(list(zip(grads, variables))), holders)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for step, row in enumerate(gradients, 1):
            if before_step is not None:
                before_step(step, optimizer, session)
            op, holders = steps[_pattern(row)]
            session.run(op, dict(zip(holders, _flat(row))))

        def read(variable):
            value = variable.read_value()
            return session.run(tf.cast(value, tf.float32) if value.dtype == tf.bfloat16 else value)

        slots = [_slots(optimizer, v, read) for v in variables]
        values = [read(v) for v in variables]
        iterations = int(session.run(tf.convert_to_tensor(optimizer.iterations)))
    return Result(values, slots, iterations, optimizer)


def varied_gradients(shapes, steps, seed=0, dtype="float32", sparse=(), rows=4):
    """Gradients that vary in size (over three decades) and sign from step to step.

    Args:
        shapes: the variables' shapes.
        sparse: indices of variables whose gradients are (values, indices), with duplicate rows, and rows that
            are absent from one step and present in another.
    """
    random = np.random.RandomState(seed)
    out = []
    for _ in range(steps):
        row = []
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


def starting_values(shapes, seed=1, dtype="float32"):
    """Normally distributed values, away from zero by chance only."""
    random = np.random.RandomState(seed)
    return [np.asarray(random.randn(*shape), dtype) for shape in shapes]


def assert_agree(result, expected, rtol=1e-5, atol=1e-6):
    """Parameters and slots of a run agree with `kcompat.testing.reference`'s."""
    params, slots = expected
    for i, (got, want) in enumerate(zip(result.params, params)):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=atol, err_msg="parameter {}".format(i))
    for i, (got, want) in enumerate(zip(result.slots, slots)):
        for name in want:
            # TensorFlow's kernels take 1 - beta_2 in float32, which for 0.999 is off by 1.3e-5.
            kernel = name in ("v", "vhat") and got[name].dtype == np.float32
            np.testing.assert_allclose(
                got[name],
                want[name],
                rtol=max(rtol, 2e-5) if kernel else rtol,
                atol=atol,
                err_msg="slot {} of parameter {}".format(name, i),
            )

"""Runs an update rule through an optimizer API, in one of the ways it can be used, for comparison.

`run(api, mode, rule, params, gradients)` gives parameters, slots and step count as NumPy, whatever the
mode: "eager", "function" (tf.function), "graph" (a session, resource variables), "graph_ref" (reference
variables) or "jit" (`jax.jit` around Keras 3's `stateless_apply`). Of `get_updates`, too, `apply_gradients`
gives the operation to run; what Keras calls is in test_get_updates.
"""

from collections import namedtuple

import numpy as np

from kcompat.testing.running import (
    Training,
    make_variable,
    modes_of,
    starting_values,
    to_numpy,
    varied_gradients,
)
from kcompat.testing.running import tensor_gradient as as_gradient

__all__ = [
    "Result",
    "api_modes",
    "as_gradient",
    "assert_agree",
    "make_variable",
    "modes_of",
    "numpy_type",
    "run",
    "starting_values",
    "to_numpy",
    "varied_gradients",
]

Result = namedtuple("Result", "params slots iterations optimizer")


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

    make = make or (lambda: kcompat.optimizer(rule, api=api, **base))
    with Training(api, mode, make, params) as training:
        training.build(gradients)
        for step, row in enumerate(gradients, 1):
            if before_step is not None:
                before_step(step, training.optimizer, training.session)
            training.step(row)
        return Result(training.values(), training.slots(), training.iterations(), training.optimizer)


def largest_difference(result, expected):
    """The largest absolute difference of any parameter from `kcompat.testing.reference`'s."""
    return max(float(np.abs(got - want).max()) for got, want in zip(result.params, expected[0]))


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

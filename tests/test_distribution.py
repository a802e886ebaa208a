"""The step under a strategy of TensorFlow, with one device in it. Several devices: tests/distributed."""

import numpy as np
import pytest
from _apis import APIS
from _modes import make_variable, modes_of, to_numpy

import kcompat
from kcompat import rules
from kcompat.testing import reference

FUNCTION = [api for api in APIS if "function" in modes_of(api)]

# Shared scalars, a gradient that looks at all others, and averages.
CASES = {
    "clipped": (lambda: rules.Adam(0.05, epsilon=1e-2), {"global_clipnorm": 0.5}),
    "shared": (lambda: rules.Prodigy(1.0, d0=1e-3, epsilon=1e-2), {}),
}


def params():
    random = np.random.RandomState(3)
    return [random.randn(4, 3).astype("float32"), random.randn(3).astype("float32")]


def gradients(steps=3):
    """The first variable's are sparse, and their rows occur several times."""
    random = np.random.RandomState(4)
    rows = np.array([2, 0, 2], "int32")
    arrays = [[random.randn(*shape).astype("float32") for shape in ((3, 3), (3,))] for _ in range(steps)]
    return [[(values, rows), dense] for values, dense in arrays]


def native(variable):
    import tensorflow as tf

    value = getattr(variable, "value", None)
    return value if isinstance(value, tf.Variable) else variable


@pytest.mark.wide
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("api", FUNCTION)
def test_a_mirrored_strategy(api, case):
    import tensorflow as tf

    make, base = CASES[case]
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        variables = [make_variable(api, value, "v{}".format(i)) for i, value in enumerate(params())]
        optimizer = kcompat.optimizer(make(), api=api, **base)

    @tf.function
    def step(values, rows, dense):
        def on_replica():
            grads = [tf.IndexedSlices(values, rows), dense]
            optimizer.apply_gradients(list(zip(grads, variables)))

        run = getattr(strategy, "run", None) or strategy.experimental_run_v2
        run(on_replica)

    for sparse, dense in gradients():
        step(*[tf.constant(part) for part in (*sparse, dense)])
    rule = make()
    if base:
        rule = kcompat.transforms.ClipByGlobalNorm(rule, base["global_clipnorm"])
    expected, slots = reference(rule, params(), gradients())
    for variable, value, of in zip(variables, expected, slots):
        np.testing.assert_allclose(to_numpy(native(variable)), value, rtol=2e-5, atol=2e-6)
        for name in of:
            slot = native(optimizer.get_slot(variable, name))
            assert type(slot) is type(native(variable))
            np.testing.assert_allclose(slot.numpy(), of[name], rtol=2e-5, atol=2e-6, err_msg=name)
    assert {line.path for line in optimizer.plan()} == {"rule"}
    assert "MirroredStrategy" in optimizer.plan()[0].why or not base


@pytest.mark.parametrize("api", FUNCTION)
def test_where_a_strategy_does_not_let_it(api):
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        variable = make_variable(api, np.ones(3, "float32"), "v")
        optimizer = kcompat.optimizer(rules.Adam(0.1), api=api)
        pairs = [(tf.ones(3), variable)]
        with pytest.raises(kcompat.DistributionError, match=r"cross-replica.* a Mirr.*strategy\.run"):
            optimizer.apply_gradients(pairs)
        optimizer.build([variable])
    with pytest.raises(kcompat.DistributionError, match="'v.*in the scope of a Mirr.*that of no strategy"):
        optimizer.apply_gradients(pairs)
    np.testing.assert_array_equal(to_numpy(native(variable)), np.ones(3))

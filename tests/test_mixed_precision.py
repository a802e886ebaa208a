"""Mixed precision: Keras' policies, and every generation of LossScaleOptimizer around a kcompat optimizer.

A step whose gradients are not finite is left out: variables, slots and the count of updates stay as they
were, the scale is halved, and the next step is what it would have been without it.
"""

import contextlib

import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import as_gradient, make_variable, modes_of, starting_values, to_numpy, varied_gradients
from _training import assert_close, keras_of

import kcompat
from kcompat import rules
from kcompat.testing import reference

# Keras 3 on JAX and PyTorch: test_keras_3_arrays.
APIS = on_tensorflow(ALL)

START = 2.0**10
GROWTH = 2
SHAPES = [(3, 2), (2,)]

# Epsilon is large, so that a gradient near 0 does not blow rounding up. The bias corrections tell whether
# a step that was left out is counted.
RULE = rules.Adam(0.05, epsilon=1e-3)

# Base arguments under a wrapper: clipping must see the unscaled gradient, and with accumulation `iterations`
# is no variable.
BASES = {
    "clipped": {"clipnorm": 0.3},
    "accumulated": {"gradient_accumulation_steps": 2, "use_ema": True, "ema_momentum": 0.75},
}


# The wrappers. Each takes (optimizer, scale, dynamic) and gives an optimizer.


def _v1(optimizer, scale, dynamic):
    """TensorFlow 1's; the same class in every release from 1.14 on."""
    import tensorflow as tf

    experimental = tf.compat.v1.train.experimental
    loss_scale = experimental.DynamicLossScale(scale, GROWTH) if dynamic else scale
    return experimental.MixedPrecisionLossScaleOptimizer(optimizer, loss_scale)


def _experimental(optimizer, scale, dynamic):
    """That of tf.keras.mixed_precision.experimental, 1.14 to 2.8."""
    import tensorflow as tf

    if dynamic:
        scale = tf.compat.v1.train.experimental.DynamicLossScale(scale, GROWTH)
    return tf.keras.mixed_precision.experimental.LossScaleOptimizer(optimizer, scale)


def _keras_2(optimizer, scale, dynamic, keras=None):
    """That of keras.mixed_precision since 2.4, which since 2.9 is another class for each API."""
    keras = keras or keras_of(_api_of(optimizer))
    growth = {"dynamic_growth_steps": GROWTH} if dynamic else {}
    return keras.mixed_precision.LossScaleOptimizer(
        optimizer, dynamic=dynamic, initial_scale=scale, **growth
    )


def _keras_3(optimizer, scale, dynamic):
    import keras

    return keras.mixed_precision.LossScaleOptimizer(
        optimizer, initial_scale=scale, dynamic_growth_steps=GROWTH
    )


def _api_of(optimizer):
    return type(optimizer).api


def _has(keras, *names):
    for name in names:
        keras = getattr(keras, name, None)
    return keras is not None


def _wrappers(api):
    import tensorflow as tf

    if api == "tf1":
        there = _has(tf.compat.v1, "train", "experimental", "MixedPrecisionLossScaleOptimizer")
        return {"v1": _v1} if there else {}  # not in 1.13
    if api == "keras_3":
        return {"keras_3": _keras_3}
    keras, found = keras_of(api), {}
    if api == "optimizer_v2" and _has(keras, "mixed_precision", "experimental", "LossScaleOptimizer"):
        found["experimental"] = _experimental
    if _has(keras, "mixed_precision", "LossScaleOptimizer"):
        found["keras_2"] = _keras_2
    return found


EAGER = any("eager" in modes_of(api) for api in APIS)
WRAPPERS = {api: _wrappers(api) for api in APIS}


def scale_of(wrapper):
    """A wrapper's scale now: a tensor or variable."""
    for name in ("dynamic_scale", "loss_scale", "_loss_scale"):
        scale = getattr(wrapper, name, None)
        if scale is not None:
            return scale() if callable(scale) else scale
    raise AssertionError("no scale in {!r}".format(wrapper))


def expected_scales(finite):
    """The scale after each step, from whether its gradients were finite."""
    scale, good, out = START, 0, []
    for each in finite:
        if not each:
            scale, good = scale / 2, 0
        elif good + 1 >= GROWTH:
            scale, good = scale * 2, 0
        else:
            good += 1
        out.append(scale)
    return out


class Training:
    """A wrapped optimizer, its variables, and a way to take a step with given (unscaled) gradients."""

    def __init__(self, api, mode, wrap, make, params, dynamic=True):
        self.api, self.params = api, params
        self.session = None
        self.stack = contextlib.ExitStack()
        try:
            self._set_up(api, mode, wrap, make, params, dynamic)
        except BaseException:
            self.stack.close()
            raise

    def _set_up(self, api, mode, wrap, make, params, dynamic):
        import tensorflow as tf

        if mode == "graph":
            self.stack.enter_context(tf.Graph().as_default())
            self.session = self.stack.enter_context(tf.compat.v1.Session())
        self.variables = [make_variable(api, p, "v{}".format(i), mode) for i, p in enumerate(params)]
        self.optimizer = make()
        self.wrapper = wrap(self.optimizer, START, dynamic)
        if mode == "function":
            apply = self._apply

            def function(*grads):
                apply(*grads)

            self._apply = tf.function(function)
        if mode == "graph":
            self.holders = [tf.compat.v1.placeholder(p.dtype, p.shape) for p in params]
            self.operation = self._apply(*self.holders)
            self.session.run(tf.compat.v1.global_variables_initializer())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stack.close()

    def _apply(self, *grads):
        return self.wrapper.apply_gradients(list(zip(grads, self.variables)))

    def step(self, row):
        if self.api == "keras_3":  # whose wrapper is given what the scaled loss gave
            scale = self.scale() if self.wrapper.built else START
            row = [grad * np.float32(scale) for grad in row]
        if self.session is not None:
            self.session.run(self.operation, dict(zip(self.holders, row)))
        else:
            self._apply(*[as_gradient(g, p) for g, p in zip(row, self.params)])

    def read(self, thing):
        import tensorflow as tf

        if self.session is not None:
            return self.session.run(tf.convert_to_tensor(thing))
        return to_numpy(thing)

    def scale(self):
        return float(self.read(scale_of(self.wrapper)))

    def state(self):
        """Everything that a step changes but the scale."""
        state = {"iterations": self.read(self.optimizer.iterations)}
        for i, variable in enumerate(self.variables):
            state[i] = self.read(variable)
            for name in self.optimizer.get_slot_names():
                state[i, name] = self.read(self.optimizer.get_slot(variable, name))
        return state


WAYS = [
    pytest.param(
        *(api, mode, wrapper, base),
        marks=() if (base, mode) == ("clipped", modes_of(api)[0]) else pytest.mark.wide,
    )
    for api in APIS
    for mode in modes_of(api)
    for wrapper in sorted(WRAPPERS[api])
    for base in sorted(BASES)
    # The one for keras_2_11 has no operation to run in a graph.
    if mode != "graph_ref" and (api, mode) != ("keras_2_11", "graph")
    if base == "clipped" or mode == "function" or modes_of(api) == ["graph"]
]


@pytest.mark.parametrize("api,mode,wrapper,base", WAYS)
def test_steps_that_overflow_are_left_out(api, mode, wrapper, base):
    params = starting_values(SHAPES)
    gradients = varied_gradients(SHAPES, 7)
    bad = {1: np.inf, 2: np.nan, 4: -np.inf}  # in one variable only; and two in a row
    if api == "keras_3":
        bad[0] = np.inf  # also the very first
    for step, value in bad.items():
        gradients[step][1][0] = value
    make = lambda: kcompat.optimizer(RULE, api=api, **BASES[base])  # noqa: E731
    with Training(api, mode, WRAPPERS[api][wrapper], make, params) as training:
        scales = []
        for step, row in enumerate(gradients):
            before = training.state() if step in bad else None
            training.step(row)
            if before:
                after = training.state()  # the first step makes the slots, whatever its gradients
                for key, value in before.items():
                    np.testing.assert_array_equal(after[key], value, err_msg=str(key))
            scales.append(training.scale())
        assert scales == expected_scales([step not in bad for step in range(len(gradients))])
        good = [row for step, row in enumerate(gradients) if step not in bad]
        want, slots = reference(RULE, params, good, **BASES[base])
        assert_close([training.read(v) for v in training.variables], want)
        for variable, each in zip(training.variables, slots):
            for name, value in each.items():
                got = training.read(training.optimizer.get_slot(variable, name))
                np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-6)
        updates = len(good) // BASES[base].get("gradient_accumulation_steps", 1)
        assert int(training.read(training.optimizer.iterations)) == updates


@pytest.mark.parametrize(
    "api,wrapper", [(api, wrapper) for api in APIS if api != "keras_3" for wrapper in sorted(WRAPPERS[api])]
)
def test_a_fixed_scale(api, wrapper):
    """Keras 3 has none: there `loss_scale_factor` is the one."""
    import tensorflow as tf

    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 3)
    mode = modes_of(api)[0]
    make = lambda: kcompat.optimizer(RULE, api=api, **BASES["clipped"])  # noqa: E731
    with Training(api, mode, WRAPPERS[api][wrapper], make, params, dynamic=False) as training:
        for row in gradients:
            training.step(row)
        want, _ = reference(RULE, params, gradients, **BASES["clipped"])
        assert_close([training.read(v) for v in training.variables], want)
        assert training.scale() == START
        if mode == "eager" and api != "tf1":  # and the gradients of a scaled loss are unscaled again
            with tf.GradientTape() as tape:
                loss = training.wrapper.get_scaled_loss(tf.reduce_sum(training.variables[1] * 2.0))
            (scaled,) = tape.gradient(loss, training.variables[1:])
            (unscaled,) = training.wrapper.get_unscaled_gradients([scaled])
            assert to_numpy(scaled).tolist() == [2 * START] * 2
            assert to_numpy(unscaled).tolist() == [2.0] * 2


def _rewrites(api):
    """Whether TensorFlow rewrites graphs here: 2.0 to 2.3 refuse to once a Keras policy was set, as here."""
    import tensorflow as tf

    if api != "tf1" or not WRAPPERS[api]:
        return False
    return not EAGER or hasattr(getattr(tf.keras, "mixed_precision", None), "LossScaleOptimizer")


@pytest.mark.parametrize("api", [api for api in APIS if _rewrites(api)])
def test_the_graph_rewrite_wraps_it(api):
    """What it does to the graph besides it does on GPUs only."""
    import tensorflow as tf

    experimental = tf.compat.v1.train.experimental
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 3)

    def wrap(optimizer, scale, dynamic):
        return experimental.enable_mixed_precision_graph_rewrite(optimizer, scale)

    make = lambda: kcompat.optimizer(RULE, api=api)  # noqa: E731
    try:
        with Training(api, "graph", wrap, make, params, dynamic=False) as training:
            assert isinstance(training.wrapper, experimental.MixedPrecisionLossScaleOptimizer)
            for row in gradients:
                training.step(row)
            want, _ = reference(RULE, params, gradients)
            assert_close([training.read(v) for v in training.variables], want)
    finally:
        experimental.disable_mixed_precision_graph_rewrite()


@pytest.mark.parametrize(
    "api,wrapper",
    # That of tf1 has no such attributes.
    [(api, w) for api in APIS if EAGER and api != "tf1" for w in sorted(WRAPPERS[api])],
)
def test_hyperparameters_through_a_wrapper(api, wrapper):
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 3)
    make = lambda: kcompat.optimizer(RULE, api=api)  # noqa: E731
    with Training(api, "function", WRAPPERS[api][wrapper], make, params) as training:
        wrapped, changes = training.wrapper, {"learning_rate": 0.02}
        training.step(gradients[0])
        wrapped.learning_rate = 0.02
        assert float(to_numpy(wrapped.learning_rate)) == np.float32(0.02)
        if api == "optimizer_v2" and hasattr(wrapped, "beta_1"):
            wrapped.beta_1 = changes["beta_1"] = 0.5
            assert float(wrapped.beta_1) == training.optimizer.beta_1 == 0.5
        for row in gradients[1:]:
            training.step(row)
        want, _ = reference(RULE, params, gradients, set_hyper={2: changes})
        assert_close([training.read(v) for v in training.variables], want)


@pytest.mark.parametrize("api", [api for api in APIS if api == "keras_3"])
def test_no_scale_twice(api):
    """Keras up to 3.14 divides by both, and the steps are too small; later it takes the factor away."""
    make = lambda: kcompat.optimizer(RULE, api=api, loss_scale_factor=8.0)  # noqa: E731
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 3)
    with Training(api, "function", _keras_3, make, params) as training:
        for row in gradients:
            training.step(row)
        want, _ = reference(RULE, params, gradients)
        assert_close([training.read(v) for v in training.variables], want)


# Keras' policies. The loss is linear in the variables, so that its gradients are the same whatever the
# variables are, and exact in float16 and bfloat16: products of powers of 2.


class Products:
    """The loss mean(y * model(x)): of one dense layer, or of an embedding."""

    steps, batch = 5, 2

    def __init__(self, sparse):
        self.sparse = sparse

    def model(self, keras, dtype="float32"):
        if self.sparse:
            inputs = keras.layers.Input((2,), dtype="int32")
            outputs = keras.layers.Flatten()(keras.layers.Embedding(5, 2)(inputs))
        else:
            inputs = keras.layers.Input((3,), dtype=dtype)
            outputs = keras.layers.Dense(4)(inputs)
        model = keras.models.Model(inputs, outputs)
        model.set_weights(self.start())
        return model

    def start(self):
        return starting_values([(5, 2)] if self.sparse else [(3, 4), (4,)])

    def data(self, overflow=()):
        """Inputs and targets; those of the steps in `overflow` make gradients beyond float16, times 2**15."""
        random = np.random.RandomState(7)
        shape = (self.steps, self.batch)
        y = 2.0 ** random.randint(-3, 1, shape + (4,)) * random.choice([-1, 1], shape + (4,))
        if self.sparse:
            x = random.randint(0, 4, shape + (2,))
            x[:, 1] = x[:, 0]  # the same rows in both examples of a batch
            y[list(overflow)] *= 64
        else:
            x = 2.0 ** random.randint(-2, 1, shape + (3,))
            x[list(overflow)] *= 64
        dtype = "int32" if self.sparse else "float32"
        return x.reshape(-1, x.shape[-1]).astype(dtype), y.reshape(-1, 4).astype("float32")

    def gradients(self, x, y):
        """One row for each step."""
        rows = []
        for i in range(0, len(x), self.batch):
            each, dy = x[i : i + self.batch], y[i : i + self.batch] / y[i : i + self.batch].size
            rows.append([(dy.reshape(-1, 2), each.reshape(-1))] if self.sparse else [each.T @ dy, dy.sum(0)])
        return rows


def _loss(y_true, y_pred):
    import tensorflow as tf

    return tf.reduce_mean(tf.cast(y_true, "float32") * tf.cast(y_pred, "float32"), axis=-1)


def _policy_module(keras):
    """Where Keras keeps its policies, and what sets the global one there."""
    for names in (("mixed_precision",), ("mixed_precision", "experimental")):
        module = keras
        for name in names:
            module = getattr(module, name, None)
        for setter in ("set_global_policy", "set_dtype_policy", "set_policy"):
            if hasattr(module, setter):
                return module, getattr(module, setter)
    return None, None


@contextlib.contextmanager
def policy(keras, name):
    _, set_policy = _policy_module(keras)
    set_policy(name)
    try:
        yield
    finally:
        set_policy("infer" if name.startswith("infer") else "float32")


def _policies(api):
    keras = keras_of(api)
    if keras is None or _policy_module(keras)[0] is None:
        return []
    found = []
    for name in ("mixed_float16", "mixed_bfloat16"):
        try:
            with policy(keras, name):
                found.append(name)
        except ValueError:
            continue
    return found or ["infer_float32_vars"]  # 1.14 and 1.15: layers compute in what they are given


POLICIES = [(api, name) for api in APIS for name in _policies(api)]
POLICIES_OF_LAYERS = [
    (api, name, task)
    for api, name in POLICIES
    for task in ("dense", "embedding")
    if task == "dense" or name == "mixed_float16"
]


@pytest.mark.wide
@pytest.mark.parametrize("api,name,task", POLICIES_OF_LAYERS)
def test_fit_with_a_policy(api, name, task):
    keras, products = keras_of(api), Products(task == "embedding")
    x, y = products.data(overflow=(1, 3))
    base = BASES["clipped"]
    wraps = name == "mixed_float16"  # compile wraps the optimizer
    inferred = name == "infer_float32_vars"
    if inferred:
        keras.backend.clear_session()
    with policy(keras, name):
        model = products.model(keras, "float16" if inferred else "float32")
        given = optimizer = kcompat.optimizer(RULE, api=api, **base)
        if wraps and _compile_cannot_wrap(api):
            with pytest.raises((TypeError, ValueError), match="(?i)optimizer.* must be an instance|V3"):
                model.compile(optimizer=optimizer, loss=_loss)
            return
        if inferred and api != "tf1":
            wraps, given = True, _experimental(optimizer, 2.0**15, True)
        model.compile(optimizer=given, loss=_loss)
        model.fit(x, y, batch_size=products.batch, epochs=1, shuffle=False, verbose=0)
    rows = products.gradients(x, y)
    if wraps:
        rows = [rows[0], rows[2], rows[4]]
        assert model.optimizer is not optimizer
    got = model.get_weights()[: len(products.start())]
    assert_close(got, reference(RULE, products.start(), rows, **base)[0])


def _compile_cannot_wrap(api):
    """Keras wraps no tf1 optimizer; TensorFlow 2.9's takes one of keras_2_11 for one of optimizer_v2."""
    import tensorflow as tf

    return api == "tf1" or (api == "keras_2_11" and tf.__version__.startswith("2.9."))


@pytest.mark.parametrize(
    "api,wrapper,name",
    [
        (api, w, name)
        for api, name in POLICIES
        for w in sorted(WRAPPERS[api])
        if EAGER and api != "tf1" and name == "mixed_float16"
    ],
)
def test_a_loop_with_a_policy(api, wrapper, name):
    """The variables of such layers cast themselves; slots are kept in float32."""
    import tensorflow as tf

    keras, products = keras_of(api), Products(False)
    x, y = products.data(overflow=(1, 3))
    with policy(keras, name):
        model = products.model(keras)
        optimizer = kcompat.optimizer(RULE, api=api)
        wrapped = WRAPPERS[api][wrapper](optimizer, 2.0**15, True)
        variables = model.trainable_variables

        @tf.function
        def step(x, y):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(_loss(y, model(x)))
                scale = getattr(wrapped, "scale_loss", None) or wrapped.get_scaled_loss
                loss = scale(loss)
            grads = tape.gradient(loss, variables)
            if api != "keras_3":
                grads = wrapped.get_unscaled_gradients(grads)
            wrapped.apply_gradients(zip(grads, variables))

        for i in range(0, len(x), products.batch):
            step(tf.constant(x[i : i + products.batch]), tf.constant(y[i : i + products.batch]))
    rows = [row for i, row in enumerate(products.gradients(x, y)) if i not in (1, 3)]
    assert_close(model.get_weights()[:2], reference(RULE, products.start(), rows)[0])
    assert int(to_numpy(optimizer.iterations)) == len(rows)
    assert all(tf.as_dtype(optimizer.get_slot(v, "m").dtype) == tf.float32 for v in variables)

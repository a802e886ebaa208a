"""Keras 3 on JAX and PyTorch: `fit`, `jax.jit` with donation, plain PyTorch loops, and what is refused."""

import numpy as np
import pytest
from _apis import APIS
from _arrays import Jitted, backend, gradient, has_float64, to_numpy, variable
from _modes import assert_agree, modes_of, run, starting_values, varied_gradients
from _rules import Distance, Factored, LazyMomentum
from _steps import steps

import kcompat
from kcompat import rules
from kcompat.errors import GradientError, HyperparameterError, NotBuiltError
from kcompat.testing import reference

ARRAYS = [api for api in APIS if backend(api) in ("jax", "torch")]
JAX = [api for api in ARRAYS if backend(api) == "jax"]
TORCH = [api for api in ARRAYS if backend(api) == "torch"]
WAYS = [(api, mode) for api in ARRAYS for mode in modes_of(api)]

ROWS, UNITS, BATCH, EPOCHS = 6, 3, 4, 2


# Training a model. The oracle gets its gradients written down in NumPy.


def data():
    random = np.random.RandomState(2)
    return random.randint(0, ROWS, (12, 2)).astype("int32"), random.randn(12, 1).astype("float32")


def make_model():
    import keras

    table, kernel = starting_values([(ROWS, UNITS), (2 * UNITS, 1)])
    model = keras.Sequential(
        [
            keras.Input((2,), dtype="int32"),
            keras.layers.Embedding(ROWS, UNITS),
            keras.layers.Flatten(),
            keras.layers.Dense(1, use_bias=False),
        ]
    )
    model.set_weights([table, kernel])
    return model, [table, kernel]


def model_gradients(params, x, y):
    """The gradients of the mean squared error, in float64."""
    table, kernel = params
    hidden = table[x].reshape(len(x), -1)
    error = 2 * (hidden @ kernel - y) / len(x)
    of_hidden = (error @ kernel.T).reshape(len(x), 2, UNITS)
    of_table = np.zeros_like(table)
    np.add.at(of_table, x, of_hidden)
    return [of_table, hidden.T @ error]


def model_oracle(rule, **base):
    """Parameters and slots after training, each step's gradients taken at the oracle's own parameters."""
    x, y = data()
    params = now = [p.astype("float64") for p in make_model()[1]]
    rows = []
    for _ in range(EPOCHS):
        for start in range(0, len(x), BATCH):
            rows.append(model_gradients(now, x[start : start + BATCH], y[start : start + BATCH]))
            now, slots = reference(rule, params, rows, **base)
    return now, slots


TRAINED = {
    "adam": (rules.Adam(0.05), {"global_clipnorm": 1.0, "weight_decay": 0.1}),
    "average": (rules.SGD(0.05, momentum=0.9), {"use_ema": True, "ema_momentum": 0.5, "clipnorm": 1.0}),
    "accumulation": (rules.Adam(0.05), {"gradient_accumulation_steps": 2}),
    "factored": (Factored(0.02), {}),
    "distance": (Distance(0.1), {}),
}


@pytest.mark.parametrize("api", ARRAYS)
@pytest.mark.parametrize("name", sorted(TRAINED))
def test_fit_agrees_with_the_oracle(api, name):
    rule, base = TRAINED[name]
    model, _ = make_model()
    optimizer = kcompat.optimizer(rule, api, **base)
    model.compile(optimizer=optimizer, loss="mse")
    x, y = data()
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    expected, slots = model_oracle(rule, **base)
    if base.get("use_ema"):  # fit ends with the averages in place
        got = [to_numpy(optimizer.get_slot(v, "average")) for v in model.trainable_variables]
        for value, average in zip(model.trainable_variables, got):
            np.testing.assert_array_equal(to_numpy(value), average)
        expected = [slot["average"] for slot in slots]
    for got, want in zip(model.trainable_variables, expected):
        np.testing.assert_allclose(to_numpy(got), want, rtol=2e-5, atol=2e-6)
    updates = EPOCHS * 3 // base.get("gradient_accumulation_steps", 1)
    assert int(to_numpy(optimizer.iterations)) == updates


@pytest.mark.parametrize("api", ARRAYS)
def test_callbacks_set_the_learning_rate_in_fit(api):
    """A scheduler sets it between epochs, of a step that JAX has compiled by then."""
    import keras

    model, _ = make_model()
    rule = rules.SGD(0.5)
    model.compile(optimizer=kcompat.optimizer(rule, api), loss="mse")
    x, y = data()
    rates = [0.1, 0.02]
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, _: rates[epoch])
    model.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, callbacks=[scheduler])
    expected, _ = model_oracle(rules.SGD(lambda done: 0.1 if done < 3 else 0.02))
    for got, want in zip(model.trainable_variables, expected):
        np.testing.assert_allclose(to_numpy(got), want, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("api", ARRAYS)
def test_saved_and_loaded_training_goes_on_exactly(api, tmp_path):
    import keras

    x, y = data()
    arguments = {"batch_size": BATCH, "epochs": 1, "shuffle": False, "verbose": 0}
    whole, _ = make_model()
    cls = kcompat.optimizer_class(Factored, api)
    whole.compile(optimizer=cls(0.02), loss="mse")
    whole.fit(x, y, **arguments)
    path = str(tmp_path / "model.keras")
    whole.save(path)
    part = keras.models.load_model(path)  # the class is registered
    assert type(part.optimizer) is cls
    assert int(to_numpy(part.optimizer.iterations)) == 3
    whole.fit(x, y, **arguments)
    part.fit(x, y, **arguments)
    for got, want in zip(part.trainable_variables, whole.trainable_variables):
        np.testing.assert_array_equal(to_numpy(got), to_numpy(want))


@pytest.mark.parametrize("api", ARRAYS)
@pytest.mark.parametrize("how", ["pickle", "deepcopy", "weights"])
def test_a_copy_goes_on_exactly(api, how):
    import copy
    import pickle

    name = backend(api)
    params, gradients = starting_values([(3, 2), (4,)]), varied_gradients([(3, 2), (4,)], 6)

    def train(optimizer, variables, rows):
        for row in rows:
            optimizer.apply([gradient(g, g, name) for g in row], variables)

    optimizer = kcompat.optimizer(Distance(0.1), api, use_ema=True, clipnorm=1.0)
    variables = [variable(p, "v{}".format(i)) for i, p in enumerate(params)]
    train(optimizer, variables, gradients[:3])
    optimizer.learning_rate = 0.03
    if how == "pickle":
        other = pickle.loads(pickle.dumps(optimizer))
    elif how == "deepcopy":
        other = copy.deepcopy(optimizer)
    else:
        other = type(optimizer).from_config(optimizer.get_config())
    same = [variable(to_numpy(v), "v{}".format(i)) for i, v in enumerate(variables)]
    if how == "weights":
        other.build(same)
        weights = optimizer.get_weights()
        with pytest.raises(kcompat.StateError, match="expected"):
            other.set_weights(weights[:-1])
        with pytest.raises(kcompat.StateError, match="has shape"):
            other.set_weights([weights[0], *reversed(weights[1:])])
        assert int(to_numpy(other.iterations)) == 0
        other.set_weights(weights)
    train(optimizer, variables, gradients[3:])
    train(other, same, gradients[3:])
    for got, want in zip(same, variables):
        np.testing.assert_array_equal(to_numpy(got), to_numpy(want))
    assert int(to_numpy(other.iterations)) == 6


@pytest.mark.parametrize("api,mode", WAYS)
def test_swapping_averages_in_and_out(api, mode):
    rule, base = rules.Adam(0.1), {"use_ema": True, "ema_momentum": 0.5}
    params, gradients = starting_values([(3,), (2, 2)]), varied_gradients([(3,), (2, 2)], 6)
    with steps(api, mode, lambda: kcompat.optimizer(rule, api, **base), *params) as training:
        for row in gradients[:3]:
            training.step(*row)
        expected, slots = reference(rule, params, gradients[:3], **base)
        training.optimizer.swap_averages()
        for got, slot in zip(training.values(), slots):
            np.testing.assert_allclose(got, slot["average"], rtol=1e-5, atol=1e-6)
        training.optimizer.swap_averages(training.variables)
        for got, want in zip(training.values(), expected):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
        for row in gradients[3:]:
            training.step(*row)
        for got, want in zip(training.values(), reference(rule, params, gradients, **base)[0]):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    with pytest.raises(HyperparameterError, match="use_ema"):
        kcompat.optimizer(rule, api).swap_averages()
    with pytest.raises(NotBuiltError, match="no averages yet"):
        kcompat.optimizer(rule, api, **base).swap_averages()


# Mixed precision.


@pytest.mark.parametrize("api", ARRAYS)
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_loss_scaling_skips_steps_that_overflow(api, bad):
    """Nothing of a skipped step is left, in variables, slots or the count; the scale is halved."""
    import keras

    name = backend(api)
    rule = rules.Adam(0.1)
    inner = kcompat.optimizer(rule, api, clipnorm=1.0)
    optimizer = keras.mixed_precision.LossScaleOptimizer(inner, initial_scale=64.0)
    params, gradients = starting_values([(3,)]), varied_gradients([(3,)], 5)
    w = variable(params[0], "w")
    optimizer.build([w])
    scale = 64.0
    for step, (g,) in enumerate(gradients):
        assert float(to_numpy(optimizer.scale_loss(1.0))) == scale
        scaled = g * np.float32(scale)
        if step == 2:
            scaled[1] = bad
            before = [to_numpy(v).copy() for v in (w, *inner.variables)]
        if name == "torch":
            optimizer.apply([gradient(scaled, scaled, name)], [w])
        else:
            state, trainable = [v.value for v in optimizer.variables], [w.value]
            trainable, state = optimizer.stateless_apply(state, [gradient(scaled, scaled, name)], trainable)
            for target, value in zip([w, *optimizer.variables], [*trainable, *state]):
                target.assign(value)
        if step == 2:
            scale /= 2
            for got, want in zip((w, *inner.variables), before):
                np.testing.assert_array_equal(to_numpy(got), want)
    assert int(to_numpy(inner.iterations)) == 4
    expected, _ = reference(rule, params, gradients[:2] + gradients[3:], clipnorm=1.0)
    np.testing.assert_allclose(to_numpy(w), expected[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("api", ARRAYS)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_fit_in_mixed_precision(api, policy):
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model, _ = make_model()
        optimizer = kcompat.optimizer(rules.Adam(0.05), api)
        model.compile(optimizer=optimizer, loss="mse")
        x, y = data()
        model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    finally:
        keras.config.set_dtype_policy(before)
    assert (model.optimizer is optimizer) == (policy == "mixed_bfloat16")  # float16 wraps it
    steps_taken = int(to_numpy(optimizer.iterations))
    assert steps_taken == EPOCHS * 3 or policy == "mixed_float16" and steps_taken > 0
    assert all(to_numpy(v).dtype == np.float32 for v in model.trainable_variables)
    if steps_taken == EPOCHS * 3:
        for got, want in zip(model.trainable_variables, model_oracle(rules.Adam(0.05))[0]):
            np.testing.assert_allclose(to_numpy(got), want, atol=0.05)


# JAX: the compiled step.


@pytest.mark.parametrize("api", JAX)
def test_one_compilation_serves_all_steps(api):
    params, gradients = starting_values([(3, 2), (4,)]), varied_gradients([(3, 2), (4,)], 6)
    optimizer = kcompat.optimizer(rules.Adam(0.05), api)
    variables = [variable(p, "v{}".format(i)) for i, p in enumerate(params)]
    jitted = Jitted(optimizer, variables)
    for row in gradients:
        jitted.apply([gradient(g, g, "jax") for g in row])
    assert jitted.traces == 1
    expected, _ = reference(rules.Adam(0.05), params, gradients)
    for got, want in zip(variables, expected):
        np.testing.assert_allclose(to_numpy(got), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("api", JAX)
def test_bias_corrections_are_exact_under_jit(api):
    """1 - beta_2 ** step in float32 is off by 5e-5 in the first steps; here it is computed in float64."""
    params, gradients = starting_values([(3,)]), varied_gradients([(3,)], 3)
    rule = rules.Adam(0.05, beta_2=0.9999)
    result = run(api, "jit", rule, params, gradients)
    expected, slots = reference(rule, params, gradients)
    np.testing.assert_allclose(result.params[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(result.slots[0]["v"], slots[0]["v"], rtol=1e-6)


@pytest.mark.parametrize("api", JAX)
def test_slots_that_hold_one_array_can_be_donated(api):
    """A rule may give one array to two slots, or start a slot as the parameter: JAX donates none twice."""

    class Twins(kcompat.UpdateRule):
        learning_rate = kcompat.Hyper(0.1)

        def init(self, xp, param):
            return {"a": param, "b": param, "last": param}

        def update(self, xp, grad, param, slots, hyper, step):
            mean = (slots["a"] + slots["b"]) / 2 + grad
            return param - hyper.learning_rate * mean, {"a": mean, "b": mean, "last": param}

    params, gradients = starting_values([(3, 2)]), varied_gradients([(3, 2)], 4)
    expected = reference(Twins(), params, gradients)
    assert_agree(run(api, "jit", Twins(), params, gradients), expected)
    assert_agree(run(api, "eager", Twins(), params, gradients), expected)
    optimizer = kcompat.optimizer(Twins(), api)
    variables = [variable(params[0], "v")]
    jitted = Jitted(optimizer, variables)
    for i, (g,) in enumerate(gradients):  # eager and compiled steps by turns
        grads = [gradient(g, g, "jax")]
        optimizer.apply(grads, variables) if i % 2 else jitted.apply(grads)
    np.testing.assert_allclose(to_numpy(variables[0]), expected[0][0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("api", JAX)
def test_scalars_of_a_step_are_worked_out_once(api):
    """For three variables as many operations on float64 scalars (powers, corrections) as for one."""
    import jax

    def scalars(count):
        optimizer = kcompat.optimizer(rules.Adam(0.1), api)
        variables = [variable(np.ones(i + 2, "float32"), "v{}".format(i)) for i in range(count)]
        optimizer.build(variables)
        params, state = [v.value for v in variables], [v.value for v in optimizer.variables]
        made = jax.make_jaxpr(optimizer.stateless_apply)(state, params, params)
        return str(made).count(":f64[] = ")  # not `pow`: JAX before 0.6 is given logarithms instead

    assert scalars(3) == scalars(1) > 0


@pytest.mark.parametrize("api", TORCH)
def test_slots_that_start_as_one_array_are_apart(api):
    """Of another slot, of the parameter, or with strides of 0: PyTorch writes in place."""

    class Shared(kcompat.UpdateRule):
        learning_rate = kcompat.Hyper(0.1)

        def init(self, xp, param):
            spread = xp.broadcast_to(xp.sum(param * 0), param.shape)
            return {"a": param, "b": param, "sum": spread, "own": xp.zeros_like(param)}

        def update(self, xp, grad, param, slots, hyper, step):
            new = {
                "a": slots["a"] + grad,
                "b": slots["b"] - grad,
                "sum": slots["sum"] + grad,
                "own": grad,
            }
            return param - hyper.learning_rate * (new["a"] * new["b"] + new["sum"]), new

    params, gradients = starting_values([(3, 2)]), varied_gradients([(3, 2)], 4)
    expected = reference(Shared(), params, gradients)
    assert_agree(run(api, "eager", Shared(), params, gradients), expected)
    optimizer, weight = kcompat.optimizer(Shared(), api), variable(params[0], "v")
    optimizer.build([weight])
    held = [weight, *(optimizer.get_slot(weight, name) for name in ("a", "b", "sum", "own"))]
    assert len({each.value.untyped_storage().data_ptr() for each in held}) == len(held)
    assert all(each.value.is_contiguous() for each in held)


@pytest.mark.parametrize("api", JAX)
def test_a_hyperparameter_set_after_compilation_raises_on_jax(api):
    """Any but the learning rate: JAX took it as a constant, and would go on with that."""
    with steps(api, "jit", lambda: kcompat.optimizer(rules.Adam(0.1), api, weight_decay=0.5)) as training:
        training.optimizer.beta_1 = 0.5
        training.optimizer.weight_decay = 0.25
        training.step()
        before = training.state()
        for name in ("beta_1", "weight_decay"):
            with pytest.raises(HyperparameterError, match="compiled with"):
                setattr(training.optimizer, name, 0.125)
        assert (training.optimizer.beta_1, training.optimizer.weight_decay) == (0.5, 0.25)
        np.testing.assert_equal(training.state(), before)
        training.optimizer.learning_rate = 0.5
        training.step()


@pytest.mark.parametrize("api", JAX)
def test_any_hyperparameter_may_be_a_callable_under_jit(api):
    values = {"momentum": 0.5, "rate": 0.1}
    rule = rules.SGD(lambda: values["rate"], momentum=lambda: values["momentum"])
    params, gradients = starting_values([(3,)]), varied_gradients([(3,)], 4)

    def before_step(step, optimizer, session):
        values.update(momentum=1 / (step + 1), rate=0.1 / step)

    result = run(api, "jit", rule, params, gradients, before_step=before_step)
    same = rules.SGD(lambda done: 0.1 / (done + 1), momentum=lambda done: 1 / (done + 2))
    assert_agree(result, reference(same, params, gradients))


@pytest.mark.parametrize("api", JAX)
def test_not_built_under_jit_is_an_error(api):
    import jax
    import keras

    optimizer = kcompat.optimizer(rules.Adam(), api)
    target = variable(np.ones(2, "float32"), "w")

    def step(value):
        with keras.StatelessScope(state_mapping=[(target, value)]):
            optimizer.apply([value], [target])

    with pytest.raises(NotBuiltError, match=r"'w'.*optimizer.build"):
        jax.jit(step)(target.value)
    assert optimizer.get_slot_names() == []


# Gradients.


def _pairs(api, value):
    name = backend(api)
    return [(gradient(value, value, name), variable(np.ones(2, "float32"), "w"))]


@pytest.mark.parametrize("api", ARRAYS)
def test_bad_gradients_are_refused_before_anything_changes(api):
    name = backend(api)
    optimizer = kcompat.optimizer(rules.Adam(0.1), api)
    matrix, vector = variable(np.ones((2, 2), "float32"), "m"), variable(np.ones(3, "float32"), "v")
    ones = lambda shape, dtype="float32": gradient(np.ones(shape, dtype), None, name)  # noqa: E731
    optimizer.apply([ones((2, 2)), ones(3)], [matrix, vector])
    before = [to_numpy(v).copy() for v in (matrix, vector, *optimizer.variables)]
    for grads, words in (
        ([None, None], "No gradients provided for any variable"),
        ([ones((2, 2)), ones(2)], r"has shape \(2,\); expected \(3,\)"),
        ([ones((2, 2)), ones((1, 3))], "has shape"),
        ([ones((2, 2)), ones(())], "has shape"),
        ([ones((2, 2)), ones(3, "int32")], "has dtype int32"),
    ):
        with pytest.raises(GradientError, match=words):
            optimizer.apply(grads, [matrix, vector])
        with pytest.raises(GradientError, match=words):
            optimizer.apply_gradients(zip(grads, [matrix, vector]))
    with pytest.raises(GradientError, match="twice"):
        optimizer.apply([ones(3), ones(3)], [vector, vector])
    for got, want in zip((matrix, vector, *optimizer.variables), before):
        np.testing.assert_array_equal(to_numpy(got), want)
    with pytest.raises(ValueError, match="1 gradients without their variables"):
        optimizer.apply([ones(3)])
    optimizer.apply([ones((2, 2)), ones(3)])
    assert int(to_numpy(optimizer.iterations)) == 2


@pytest.mark.parametrize("api", ARRAYS)
@pytest.mark.parametrize("rule", [rules.Adam(0.1), LazyMomentum(0.1)], ids=["dense", "rows"])
def test_a_row_out_of_range_is_refused(api, rule):
    optimizer = kcompat.optimizer(rule, api)
    table = variable(np.ones((4, 2), "float32"), "table")
    values = np.ones((2, 2), "float32")
    optimizer.apply([gradient((values, np.array([1, 3])), table, backend(api))], [table])
    before = to_numpy(table).copy()
    for index in (4, -1):
        with pytest.raises((GradientError, RuntimeError)):
            optimizer.apply([gradient((values, np.array([1, index])), table, backend(api))], [table])
    np.testing.assert_array_equal(to_numpy(table), before)


@pytest.mark.parametrize("api", ARRAYS)
def test_arguments_of_every_generation(api):
    import keras

    counter = keras.Variable(5, dtype="int32", trainable=False)
    optimizer = kcompat.optimizer(rules.SGD(0.5), api)
    pairs = _pairs(api, np.ones(2, "float32"))
    optimizer.apply_gradients(
        iter(pairs),
        name="train",
        global_step=counter,
        experimental_aggregate_gradients=False,
        skip_gradients_aggregation=True,
    )
    assert int(to_numpy(counter)) == 6
    assert to_numpy(pairs[0][1]).tolist() == [0.5, 0.5]
    with pytest.raises(TypeError, match="globalstep"):
        optimizer.apply_gradients(pairs, globalstep=counter)


@pytest.mark.parametrize("api", ARRAYS)
def test_minimize(api):
    import keras

    optimizer = kcompat.optimizer(rules.SGD(0.25), api)
    w, b = variable(np.array([1.0, 2.0], "float32"), "w"), variable(np.float32(3.0), "b")

    def loss():
        return keras.ops.sum(keras.ops.square(w.value)) + 2.0 * b.value

    optimizer.minimize(loss, [w, b])
    assert to_numpy(w).tolist() == [0.5, 1.0] and float(to_numpy(b)) == 2.5
    optimizer.minimize(loss)  # those it is built on
    assert to_numpy(w).tolist() == [0.25, 0.5] and float(to_numpy(b)) == 2.0
    with pytest.raises(GradientError, match="var_list"):
        kcompat.optimizer(rules.SGD(0.25), api).minimize(loss)


@pytest.mark.parametrize("api", JAX)
def test_minimize_does_not_lose_other_changes(api):
    import keras

    optimizer = kcompat.optimizer(rules.SGD(0.25), api)
    w, mean = variable(np.ones(2, "float32"), "w"), variable(np.ones(2, "float32"), "mean")

    def loss():
        mean.assign(w * 2.0)
        return keras.ops.sum(keras.ops.square(w.value))

    with pytest.raises(GradientError, match="changes variables"):
        optimizer.minimize(loss, [w])
    with pytest.raises(GradientError, match="callable"):
        optimizer.minimize(keras.ops.sum(keras.ops.square(w.value)), [w])


# PyTorch: plain loops.


@pytest.mark.parametrize("api", TORCH)
@pytest.mark.parametrize("name", ["adam", "factored", "distance"])
def test_a_plain_pytorch_loop(api, name):
    """A Keras model, its gradients by backward(), and `optimizer.apply`."""
    import torch

    rule, base = TRAINED[name]
    model, _ = make_model()
    optimizer = kcompat.optimizer(rule, api, **base)
    x, y = data()
    for _ in range(EPOCHS):
        for start in range(0, len(x), BATCH):
            model.zero_grad()
            prediction = model(x[start : start + BATCH])
            loss = torch.mean((prediction - torch.tensor(y[start : start + BATCH])) ** 2)
            loss.backward()
            trainable = list(model.trainable_weights)
            optimizer.apply([v.value.grad for v in trainable], trainable)
    for got, want in zip(model.trainable_variables, model_oracle(rule, **base)[0]):
        assert got.value.requires_grad and got.value.grad_fn is None
        np.testing.assert_allclose(to_numpy(got), want, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("api", TORCH)
def test_plain_parameters_with_sparse_gradients(api):
    """No Keras model: `torch.nn.Embedding(sparse=True)` and its like."""
    import torch

    table, kernel = starting_values([(ROWS, UNITS), (2 * UNITS, 1)])
    embedding = torch.nn.Embedding(ROWS, UNITS, sparse=True)
    weight = torch.nn.Parameter(torch.tensor(kernel))
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor(table))
    rule = rules.Adam(0.05)
    optimizer = kcompat.optimizer(rule, api, clipnorm=1.0)
    parameters = [embedding.weight, weight]
    x, y = data()
    for _ in range(EPOCHS):
        for start in range(0, len(x), BATCH):
            for parameter in parameters:
                parameter.grad = None
            hidden = embedding(torch.tensor(x[start : start + BATCH])).reshape(-1, 2 * UNITS)
            loss = torch.mean((hidden @ weight - torch.tensor(y[start : start + BATCH])) ** 2)
            loss.backward()
            assert embedding.weight.grad.is_sparse
            optimizer.apply([parameter.grad for parameter in parameters], parameters)
    for got, want in zip(parameters, model_oracle(rule, clipnorm=1.0)[0]):
        np.testing.assert_allclose(got.detach().numpy(), want, rtol=2e-5, atol=2e-6)
    assert to_numpy(optimizer.get_slot(weight, "m")).shape == kernel.shape


@pytest.mark.parametrize("api", TORCH)
def test_slots_that_are_exchanged(api):
    """PyTorch writes in place: a slot's new value may be another slot's memory."""

    class Exchange(kcompat.UpdateRule):
        def init(self, xp, param):
            return {"a": xp.zeros_like(param), "b": xp.ones_like(param), "last": xp.zeros_like(param)}

        def update(self, xp, grad, param, slots, hyper, step):
            return slots["b"] + grad, {"a": slots["b"], "b": slots["a"], "last": param}

    params, gradients = starting_values([(3,)]), varied_gradients([(3,)], 5)
    assert_agree(run(api, "eager", Exchange(), params, gradients), reference(Exchange(), params, gradients))


def test_which_backend_is_tested():
    """So that an environment made for one can't test another without a word."""
    import os

    asked = os.environ.get("KERAS_BACKEND")
    if asked in ("jax", "torch"):
        assert ARRAYS == ["keras_3"] and backend("keras_3") == asked
        assert has_float64("keras_3") or asked == "jax"

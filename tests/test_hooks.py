"""Optimizers that are written against one API's hooks, on all the others."""

import copy
import importlib
import importlib.util
import pickle
import sys

import _apis
import numpy as np
import pytest
from _modes import api_modes, as_gradient, assert_agree, run, starting_values, varied_gradients
from _steps import failing, steps

import kcompat
from kcompat import hooks
from kcompat.hooks import importing
from kcompat.testing.running import Training

tf = pytest.importorskip("tensorflow", reason="hooks are TensorFlow's")

import _hooked  # noqa: E402
from _hooked import skip_at_home  # noqa: E402

APIS = _apis.with_hooks()
MODES = [(api, mode) for api, mode in api_modes(APIS) if mode != "graph_ref"]
DIALECTS = ["optimizer_v2", "tf1", "keras_2_11", "keras_3"]
# One mode of each API for what differs little between them.
FIRST = [next(pair for pair in MODES if pair[0] == api) for api in APIS]


def wide(*values):
    return pytest.param(*values, marks=pytest.mark.wide)


START = starting_values([(3, 2), (5, 2)])
GRADIENTS = varied_gradients([(3, 2), (5, 2)], 5, sparse={1})
RULE = kcompat.rules.Adam(0.01, epsilon=1e-3)


def written(dialect, api):
    """A class of a dialect that is an optimizer of an API."""
    if dialect == "keras_2_11":
        return _hooked.adam_of_keras_2_11(hooks.base_class("keras", api))
    if dialect == "keras_3":
        from kcompat.hooks import ops

        return _hooked.adam_of_keras_3(hooks.base_class("keras", api), ops)
    return getattr(_hooked, "adam_of_" + dialect)(hooks.base_class(dialect, api))


def number(value):
    """A hyperparameter as a number: variables of TensorFlow 2.0 have no float()."""
    return float(value.numpy() if hasattr(value, "numpy") else value)


def eager_variables(values):
    return [tf.Variable(value, name="v{}".format(i)) for i, value in enumerate(values)]


def trained(api, mode, make, rows):
    """The variables' values after some steps; of a host's own optimizers nothing else may be asked."""
    with Training(api, mode, make, START) as training:
        training.build(rows)
        for row in rows:
            training.step(row)
        return training.values()


def close(values, expected):
    for got, want in zip(values, expected):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


def pairs(row, variables):
    return [(as_gradient(grad, var), var) for grad, var in zip(row, variables)]


def dense(rows):
    """The same gradients without sparse ones."""
    out = []
    for row in rows:
        made = []
        for grad, value in zip(row, START):
            if isinstance(grad, tuple):
                full = np.zeros_like(value)
                np.add.at(full, grad[1], grad[0])
                grad = full
            made.append(grad)
        out.append(made)
    return out


eager = pytest.mark.skipif(not tf.executing_eagerly(), reason="in TensorFlow 1, eager mode is off")


class TestNumbers:
    @pytest.mark.parametrize("api, mode", [pair if pair in FIRST else wide(*pair) for pair in MODES])
    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_every_dialect_agrees_with_numpy(self, dialect, api, mode):
        # Keras 3's hooks see the rows of a sparse gradient as they are.
        gradients = dense(GRADIENTS) if dialect == "keras_3" else GRADIENTS
        make = written(dialect, api)
        values = trained(api, mode, lambda: make(0.01, epsilon=1e-3), gradients)
        close(values, kcompat.testing.reference(RULE, START, GRADIENTS)[0])

    @pytest.mark.wide
    @pytest.mark.parametrize("api, mode", FIRST)
    def test_state_of_optimizer_v2(self, api, mode):
        make = written("optimizer_v2", api)
        result = run(api, mode, None, START, GRADIENTS, make=lambda: make(0.01, epsilon=1e-3))
        assert_agree(result, kcompat.testing.reference(RULE, START, GRADIENTS), rtol=2e-5)

    @pytest.mark.wide
    @pytest.mark.parametrize("api, mode", FIRST)
    def test_a_missing_gradient_leaves_its_variable(self, api, mode):
        rows = [[row[0], None] for row in GRADIENTS[:2]]
        make = written("optimizer_v2", api)
        result = run(api, mode, None, START, rows, make=lambda: make(0.01, epsilon=1e-3))
        np.testing.assert_array_equal(result.params[1], START[1])
        expected = kcompat.testing.reference(RULE, START, rows)
        np.testing.assert_allclose(result.params[0], expected[0][0], rtol=2e-5, atol=1e-6)

    @pytest.mark.wide
    @eager
    @pytest.mark.parametrize("api", APIS)
    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_a_variable_may_come_late(self, dialect, api):
        optimizer = written(dialect, api)(0.01, epsilon=1e-3)
        variables = eager_variables(START)
        rows = dense(GRADIENTS)
        optimizer.apply_gradients(pairs(rows[0][:1], variables[:1]))
        for row in rows[1:]:
            optimizer.apply_gradients(pairs(row, variables))
        assert np.abs(variables[1].numpy() - START[1]).max() > 0

    @pytest.mark.wide
    @pytest.mark.parametrize("api, mode", [pair for pair in MODES if pair[1] != "eager"])
    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_where_a_gradient_fails_nothing_has_been_written(self, dialect, api, mode):
        if dialect == api:
            pytest.skip("at home its base class may be the host's own, whose step is not kcompat's")
        with steps(api, mode, lambda: written(dialect, api)(0.01), *START) as training:
            fails, taken = [], training._apply
            training._apply = lambda grads: taken([*grads[:-1], failing(grads[-1], lambda _: fails)])
            training.step()
            before, done = training.values(), training.iterations()
            fails.append(True)
            with pytest.raises(tf.errors.ResourceExhaustedError):
                training.step()
            np.testing.assert_equal((training.values(), training.iterations()), (before, done))
            del fails[:]
            assert training.move() > 0

    @pytest.mark.parametrize("api, mode", FIRST)
    def test_optimizer_v2_clips_as_it_does(self, api, mode):
        make = written("optimizer_v2", api)
        rows = dense(GRADIENTS)
        result = run(api, mode, None, START, rows, make=lambda: make(0.01, epsilon=1e-3, clipnorm=0.5))
        clipped = [
            [grad * min(1.0, 0.5 / np.sqrt((grad.astype("d") ** 2).sum())) for grad in row] for row in rows
        ]
        expected = kcompat.testing.reference(RULE, START, clipped)
        np.testing.assert_allclose(result.params[0], expected[0][0], rtol=2e-5, atol=1e-6)


@pytest.mark.wide
class TestHyperparameters:
    @eager
    @pytest.mark.parametrize("api", APIS)
    def test_a_number_is_live_in_a_traced_step(self, api):
        optimizer = written("optimizer_v2", api)(0.0)
        (variable,) = eager_variables(START[:1])

        @tf.function
        def step():
            optimizer.apply_gradients([(tf.ones_like(variable), variable)])

        step()
        np.testing.assert_array_equal(variable.numpy(), START[0])
        optimizer.learning_rate = 0.1
        step()
        assert np.abs(variable.numpy() - START[0]).min() > 0.01
        assert number(optimizer.learning_rate) == pytest.approx(0.1)

    @eager
    @pytest.mark.parametrize("api", APIS)
    @pytest.mark.parametrize("dialect", ["optimizer_v2", "keras_2_11", "keras_3"])
    def test_a_schedule_of_keras(self, dialect, api):
        schedule = tf.keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.0, 0.1])
        optimizer = written(dialect, api)(schedule, epsilon=1e-3)
        (variable,) = eager_variables(START[:1])
        for moved in (False, False, True):
            before = variable.numpy()
            optimizer.apply_gradients([(tf.ones_like(variable), variable)])
            assert (np.abs(variable.numpy() - before).max() > 0) == moved
        made = type(optimizer).from_config(optimizer.get_config())
        assert made.get_config() == optimizer.get_config()

    @eager
    @pytest.mark.parametrize("api", APIS)
    def test_decay_of_optimizer_v2(self, api):
        optimizer = written("optimizer_v2", api)(0.1, decay=1.0)
        (variable,) = eager_variables(START[:1])
        sizes = []
        for _ in range(3):
            before = variable.numpy()
            optimizer.apply_gradients([(tf.ones_like(variable), variable)])
            sizes.append(float(np.abs(variable.numpy() - before).max()))
        np.testing.assert_allclose(sizes, [0.1, 0.05, 0.1 / 3], rtol=1e-4)

    @pytest.mark.parametrize("api", APIS)
    def test_an_argument_that_optimizer_v2_has_not(self, api):
        with pytest.raises(TypeError, match="clipnrm"):
            written("optimizer_v2", api)(0.1, clipnrm=1.0)


@pytest.mark.wide
class TestState:
    @eager
    @pytest.mark.parametrize("api", APIS)
    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_a_copy_goes_on_as_the_original(self, dialect, api):
        if dialect == api == "tf1":
            pytest.skip("TensorFlow 1's own optimizers can't be copied with their state")
        cls = written(dialect, api)
        optimizer = cls(0.01, epsilon=1e-3)
        if not hasattr(type(optimizer), "_kc_dialect"):
            pytest.skip("it is the host's own class, which does not copy its slots")
        variables = eager_variables(START)
        rows = dense(GRADIENTS)
        for row in rows[:2]:
            optimizer.apply_gradients(pairs(row, variables))
        twin, others = copy.deepcopy(optimizer), eager_variables([v.numpy() for v in variables])
        for row in rows[2:]:
            optimizer.apply_gradients(pairs(row, variables))
            twin.apply_gradients(pairs(row, others))
        for ours, theirs in zip(variables, others):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        weights = optimizer.get_weights()
        again = cls(0.01, epsilon=1e-3)
        again.build(variables)
        again.set_weights(weights)
        for one, other in zip(again.get_weights(), weights):
            np.testing.assert_array_equal(one, other)

    @eager
    @pytest.mark.parametrize("api", APIS)
    def test_a_checkpoint(self, api, tmp_path):
        cls = written("optimizer_v2", api)
        optimizer, variables = cls(0.01, epsilon=1e-3), eager_variables(START)
        for row in GRADIENTS[:2]:
            optimizer.apply_gradients(pairs(row, variables))
        path = tf.train.Checkpoint(optimizer=optimizer, v0=variables[0], v1=variables[1]).save(
            str(tmp_path / "ckpt")
        )
        for row in GRADIENTS[2:]:
            optimizer.apply_gradients(pairs(row, variables))
        twin, others = cls(0.01, epsilon=1e-3), eager_variables(START)
        if hasattr(twin, "build"):
            twin.build(others)
        tf.train.Checkpoint(optimizer=twin, v0=others[0], v1=others[1]).restore(path)
        for row in GRADIENTS[2:]:
            twin.apply_gradients(pairs(row, others))
        for ours, theirs in zip(variables, others):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())

    @eager
    @pytest.mark.parametrize(
        "dialect, api",
        # A file knows nothing of the dialect: one of all on each API, and all on the first.
        [
            (dialect, api)
            for api in APIS
            for dialect in DIALECTS
            if api != "tf1" and (dialect == "optimizer_v2" or api == kcompat.detect().default)
        ],
    )
    def test_a_model_is_saved_and_loaded(self, dialect, api, tmp_path):
        cls = written(dialect, api)
        version = tuple(int(part) for part in tf.__version__.split(".")[:2])
        zipped = api == "keras_3" or (api == "keras_2_11" and version >= (2, 13))
        if api == "keras_2_11" and version < (2, 11):
            pytest.skip("HDF5 files of this release hold no state of such optimizers, and saving raises")
        model = tf.keras.Sequential(
            [tf.keras.layers.Dense(4, activation="tanh", input_shape=(3,)), tf.keras.layers.Dense(1)]
        )
        model.compile(cls(0.05), loss=tf.keras.losses.MeanSquaredError())
        random = np.random.RandomState(0)
        x = random.randn(32, 3).astype("f")
        y = x.sum(1, keepdims=True)
        model.fit(x, y, epochs=2, verbose=0, shuffle=False)
        path = str(tmp_path / ("model.keras" if zipped else "model.h5"))
        model.save(path)
        loaded = tf.keras.models.load_model(path, custom_objects={cls.__name__: cls})
        assert type(loaded.optimizer) is cls
        for each in (model, loaded):
            each.fit(x, y, epochs=2, verbose=0, shuffle=False)
        for ours, theirs in zip(model.get_weights(), loaded.get_weights()):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.wide
class TestWrappers:
    def expected(self):
        """Lookahead around Adam, of two steps and a half, in NumPy."""
        rule = kcompat.transforms.Lookahead(kcompat.rules.Adam(0.01, epsilon=1e-3), 2, 0.5)
        return kcompat.testing.reference(rule, START, dense(GRADIENTS))[0]

    @pytest.mark.parametrize("api, mode", FIRST)
    def test_around_an_optimizer_of_the_dialect(self, api, mode):
        inner = written("optimizer_v2", api)
        outer = _hooked.lookahead_of_optimizer_v2(hooks.base_class("optimizer_v2", api))
        skip_at_home(outer)
        values = trained(api, mode, lambda: outer(inner(0.01, epsilon=1e-3)), dense(GRADIENTS))
        close(values, self.expected())

    @eager
    @pytest.mark.parametrize("api", APIS)
    def test_its_copy_has_the_state_of_both(self, api):
        inner = written("optimizer_v2", api)
        outer = _hooked.lookahead_of_optimizer_v2(hooks.base_class("optimizer_v2", api))
        skip_at_home(outer)
        optimizer, variables = outer(inner(0.01, epsilon=1e-3)), eager_variables(START)
        rows = dense(GRADIENTS)
        for row in rows[:3]:
            optimizer.apply_gradients(pairs(row, variables))
        twin, others = outer(inner(0.01, epsilon=1e-3)), eager_variables([v.numpy() for v in variables])
        twin._put_state(optimizer._take_state())
        assert len(optimizer.get_weights()) == 1 + 2 * 3
        for row in rows[3:]:
            optimizer.apply_gradients(pairs(row, variables))
            twin.apply_gradients(pairs(row, others))
        for ours, theirs in zip(variables, others):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        assert number(optimizer.lr) == pytest.approx(0.01)
        optimizer.lr = 0.5
        assert number(optimizer._optimizer.learning_rate) == 0.5

    @pytest.mark.wide
    @eager
    @pytest.mark.parametrize("api", APIS)
    def test_around_what_has_no_hooks(self, api):
        base = hooks.base_class("tf1", api)
        skip_at_home(base)

        class Around(base):
            def __init__(self, opt):
                super().__init__(False, "Around")
                self._opt = opt

            def _create_slots(self, var_list):
                self._opt._create_slots(var_list)

            def _apply_dense(self, grad, var):
                return self._opt._apply_dense(grad, var)

            _resource_apply_dense = _apply_dense

        variables = eager_variables(START)
        for inside in ("sgd", kcompat.optimizers.SGD(0.1)):
            with pytest.raises(kcompat.HookError, match="Around is a wrapper whose attribute _opt"):
                Around(inside).apply_gradients([(tf.ones_like(v), v) for v in variables])
        for variable, value in zip(variables, START):
            np.testing.assert_array_equal(variable.numpy(), value)

    @eager
    @pytest.mark.parametrize("api", APIS)
    @pytest.mark.parametrize("how", ["copy", "lazy", "weights", "store", "checkpoint"])
    def test_an_optimizer_inside_that_counts_its_own_steps(self, how, api, tmp_path):
        inner, cls = written("optimizer_v2", api), hooks.base_class("optimizer_v2", api)
        cls = _hooked.accumulator_of_optimizer_v2(cls, how == "lazy")
        skip_at_home(cls)
        rows = dense(GRADIENTS) + dense(GRADIENTS)[:3]
        optimizer, variables = cls(inner(0.05, epsilon=1e-3)), eager_variables(START)
        for row in rows[:5]:
            optimizer.apply_gradients(pairs(row, variables))
        twin, others = cls(inner(0.05, epsilon=1e-3)), eager_variables([v.numpy() for v in variables])
        if how in ("copy", "lazy"):
            twin = copy.deepcopy(optimizer)
        elif how == "weights":
            twin.build(others)
            twin.set_weights(optimizer.get_weights())
        elif how == "store":
            store = {}
            optimizer.save_own_variables(store)
            twin.load_own_variables(store)
        else:
            twin.build(others)
            checkpoint = tf.train.Checkpoint(optimizer=optimizer, v0=variables[0], v1=variables[1])
            path = checkpoint.save(str(tmp_path / "ckpt"))
            tf.train.Checkpoint(optimizer=twin, v0=others[0], v1=others[1]).restore(path)
        for row in rows[5:]:
            twin.apply_gradients(pairs(row, others))
        means = [[(a + b) / 2 for a, b in zip(*two)] for two in zip(rows[::2], rows[1::2])]
        rule = kcompat.rules.Adam(0.05, epsilon=1e-3)
        close([v.numpy() for v in others], kcompat.testing.reference(rule, START, means)[0])
        assert [int(twin.iterations), int(twin._optimizer.iterations)] == [8, 4]


# Classes on the bases that are here, whatever they are: `adopt` reads the dialect off the code.
def foreign(dialect):
    """A class of a dialect, on what has here the name that it was written on."""
    if dialect == "tf1":
        return _hooked.adam_of_tf1(tf.compat.v1.train.Optimizer)
    if dialect == "keras_3":
        from kcompat.hooks import ops

        return _hooked.adam_of_keras_3(tf.keras.optimizers.Optimizer, ops)
    return getattr(_hooked, "adam_of_" + dialect)(tf.keras.optimizers.Optimizer)


class TestAdopt:
    @pytest.mark.wide
    @pytest.mark.parametrize("api, mode", FIRST)
    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_an_unmodified_class(self, dialect, api, mode):
        cls = foreign(dialect)
        before = dict(vars(cls))
        made = hooks.adopt(cls, api)
        assert made is hooks.adopt(cls, api)
        assert dict(vars(cls)) == before
        gradients = dense(GRADIENTS) if dialect == "keras_3" else GRADIENTS
        values = trained(api, mode, lambda: made(0.01, epsilon=1e-3), gradients)
        close(values, kcompat.testing.reference(RULE, START, GRADIENTS)[0])

    @pytest.mark.parametrize("api", APIS)
    def test_it_is_native(self, api):
        made = hooks.adopt(foreign("optimizer_v2"), api)
        assert issubclass(made, kcompat.environment.host_class(api))

    @pytest.mark.parametrize("api", APIS)
    def test_a_native_class_is_left(self, api):
        native = {"tf1": "tf1", "optimizer_v2": "optimizer_v2"}.get(api, api)
        base = kcompat.environment.host_class(api)
        if api == "keras_3":
            import keras

            cls = _hooked.adam_of_keras_3(base, keras.ops)
        else:
            cls = getattr(_hooked, "adam_of_" + native)(base)
        if api == "optimizer_v2" and not hasattr(base, "_transform_gradients"):
            pytest.skip("OptimizerV2 of this release has not the whole protocol")
        assert hooks.adopt(cls, api) is cls

    @pytest.mark.wide
    @eager
    @pytest.mark.parametrize("api", APIS)
    def test_pickles(self, api):
        made = hooks.adopt(AdamAtTop, api)
        optimizer, variables = made(0.01, epsilon=1e-3), eager_variables(START)
        skip_at_home(made)
        optimizer.apply_gradients(pairs(GRADIENTS[0], variables))
        twin, others = pickle.loads(pickle.dumps(optimizer)), eager_variables([v.numpy() for v in variables])
        assert type(twin) is made
        optimizer.apply_gradients(pairs(GRADIENTS[1], variables))
        twin.apply_gradients(pairs(GRADIENTS[1], others))
        np.testing.assert_array_equal(variables[1].numpy(), others[1].numpy())

    def test_no_optimizer(self):
        with pytest.raises(kcompat.HookError, match="no hook"):
            hooks.adopt(dict, APIS[0])
        with pytest.raises(kcompat.HookError, match="expected a class"):
            hooks.adopt(foreign("tf1")(0.1), APIS[0])
        with pytest.raises(kcompat.HookError, match="dialect='tf3'"):
            hooks.adopt(foreign("tf1"), APIS[0], dialect="tf3")


AdamAtTop = _hooked.adam_of_optimizer_v2(tf.keras.optimizers.Optimizer)
AdamAtTop.__module__, AdamAtTop.__qualname__ = __name__, "AdamAtTop"


@pytest.mark.wide
class TestErrors:
    @eager
    @pytest.mark.parametrize("api", APIS)
    @pytest.mark.parametrize("dialect", ["optimizer_v2", "keras", "tf1"])
    def test_a_missing_hook_is_named(self, dialect, api):
        base = hooks.base_class(dialect, api)
        skip_at_home(base)

        class Nothing(base):
            def get_config(self):
                return {}

        optimizer = Nothing(**({"use_locking": False, "name": "n"} if dialect == "tf1" else {"name": "n"}))
        (variable,) = eager_variables(START[:1])
        hook = {"optimizer_v2": "_resource_apply_dense", "keras": "update_step"}.get(dialect, "_apply_dense")
        with pytest.raises(kcompat.HookError, match=hook):
            optimizer.apply_gradients([(tf.ones_like(variable), variable)])
        np.testing.assert_array_equal(variable.numpy(), START[0])

    @pytest.mark.skipif("tf1" not in APIS, reason="the API tf1 is not tested here")
    def test_a_reference_variable(self):
        optimizer = written("optimizer_v2", "tf1")(0.1)
        with tf.Graph().as_default():
            variable = tf.compat.v1.Variable(START[0], use_resource=False)
            with pytest.raises(kcompat.GradientError, match="use_resource=True"):
                optimizer.apply_gradients([(tf.ones_like(START[0]), variable)])

    @eager
    @pytest.mark.parametrize("api", [api for api in APIS if api != "tf1"])
    def test_a_learning_rate_of_tf1_is_a_constant(self, api):
        optimizer = written("tf1", api)(0.1)
        (variable,) = eager_variables(START[:1])
        optimizer.learning_rate = 0.2

        @tf.function
        def step():
            optimizer.apply_gradients([(tf.ones_like(variable), variable)])

        step()
        with pytest.raises(kcompat.HyperparameterError, match="constant"):
            optimizer.learning_rate = 0.3

    @pytest.mark.parametrize("api", APIS)
    def test_there_is_no_rule_to_wrap(self, api):
        optimizer = written("optimizer_v2", api)(0.1)
        skip_at_home(optimizer)
        with pytest.raises(kcompat.RuleError, match="adopt"):
            kcompat.addons.Lookahead(optimizer)

    def test_gradient_accumulation_is_not_carried_over(self):
        base = hooks.base_class("keras", APIS[0])
        with pytest.raises(kcompat.HookError, match="gradient_accumulation_steps"):
            base(0.1, gradient_accumulation_steps=2)


class TestInstalled:
    def test_every_module_is_as_it_was(self):
        names = ("Optimizer", "OptimizerV2", "Adam", "SGD", "ops", "keras_tensor", "tf_utils")

        def seen():
            found = {}
            for path, module in list(sys.modules.items()):
                if path.split(".")[0] in ("tensorflow", "keras", "tf_keras", "tensorflow_core"):
                    here = getattr(module, "__dict__", {})
                    found.update(((path, name), here[name]) for name in names if name in here)
            return found

        with hooks.installed():  # which imports modules that are there
            pass
        before = seen()
        with pytest.raises(ZeroDivisionError), hooks.installed():
            cls = _hooked.adam_of_optimizer_v2(tf.keras.optimizers.Optimizer)
            assert isinstance(cls(0.1), tf.keras.optimizers.Optimizer)
            assert isinstance(tf.train.Optimizer, type)
            raise ZeroDivisionError
        after = seen()
        assert before.keys() == after.keys()
        assert all(before[key] is after[key] for key in before)
        assert hasattr(tf.train, "Optimizer") == tf.__version__.startswith("1.")

    @eager
    @pytest.mark.parametrize("dialect", ["optimizer_v2", "keras_2_11", "keras_3"])
    def test_the_name_of_keras_is_what_the_class_was_written_for(self, dialect):
        with hooks.installed():
            import keras

            if dialect == "keras_3":
                cls = _hooked.adam_of_keras_3(keras.optimizers.Optimizer, keras.ops)
            else:
                cls = getattr(_hooked, "adam_of_" + dialect)(tf.keras.optimizers.Optimizer)
        optimizer, variables = cls(0.01, epsilon=1e-3), eager_variables(START)
        for row in dense(GRADIENTS):
            optimizer.apply_gradients(pairs(row, variables))
        close([v.numpy() for v in variables], kcompat.testing.reference(RULE, START, GRADIENTS)[0])
        # Where tf.keras is tf_keras, `keras` is Keras 3 all the same, and the class is native there.
        roots = {base.__module__.split(".")[0] for base in type(optimizer).__mro__}
        home = importlib.import_module("keras") if "keras" in roots else tf.keras
        home.Sequential().compile(optimizer, loss="mse")

    @eager
    def test_an_optimizer_of_optimizer_v2_to_build_on(self):
        with hooks.installed():
            place = getattr(tf.keras.optimizers, "legacy", tf.keras.optimizers)

            class Twice(place.SGD):
                def _resource_apply_dense(self, grad, var, apply_state=None):
                    return super(Twice, self)._resource_apply_dense(2 * grad, var, apply_state)

                def _decayed_lr(self, var_dtype):
                    return super(Twice, self)._decayed_lr(var_dtype)

        (variable,) = eager_variables(START[:1])
        Twice(0.1).apply_gradients([(tf.ones_like(variable), variable)])
        np.testing.assert_allclose(variable.numpy(), START[0] - 0.2, rtol=1e-6)

    @eager
    @pytest.mark.parametrize("api", [None, "tf1"])
    @pytest.mark.parametrize("name", importing._OPTIMIZERS)
    def test_what_is_made_inside_the_with(self, api, name):
        path = "tensorflow.python.keras.optimizer_v2."
        path += {"SGD": "gradient_descent", "RMSprop": "rmsprop"}.get(name, name.lower())
        own = getattr(importlib.import_module(path), name)
        with hooks.installed(api):
            # Its own code says super(Adam, self), by the name of the module that it is in.
            cls = getattr(importlib.import_module(path), name)
            parent, _, last = path.rpartition(".")
            assert getattr(getattr(importlib.import_module(parent), last), name) is cls
            (variable,) = eager_variables(START[:1])
            cls(0.1).apply_gradients([(tf.ones_like(variable), variable)])
            assert cls(0.1).get_config()
        assert np.isfinite(variable.numpy()).all()
        assert (variable.numpy() != START[0]).all()
        assert getattr(importlib.import_module(path), name) is own

    def test_legacy_is_there_inside_the_with(self):
        def there():
            found = (tf.keras.optimizers, importlib.import_module("tensorflow.keras.optimizers"))
            return [hasattr(each, "legacy") or "legacy" in getattr(each, "__all__", ()) for each in found]

        before = there()
        with hooks.installed():
            import tensorflow.keras.optimizers.legacy
            from tensorflow.keras.optimizers.legacy import SGD, Adam

            legacy = tf.keras.optimizers.legacy
            assert legacy.Adam is Adam and tensorflow.keras.optimizers.legacy.Adam is Adam
            assert legacy.SGD is SGD
            assert importlib.util.find_spec("tensorflow.keras.optimizers.legacy")
            keras = importlib.import_module("keras")
            if kcompat.environment.installed().get("keras") is None:  # it is tf.keras
                assert keras.optimizers.legacy is legacy
                assert importlib.import_module("keras.optimizers.legacy") is legacy

            class Half(SGD):
                def _resource_apply_dense(self, grad, var, apply_state=None):
                    return super(Half, self)._resource_apply_dense(0.5 * grad, var, apply_state)

            class Own(legacy.Optimizer):
                def __init__(self, name="Own", **kwargs):
                    super(Own, self).__init__(name, **kwargs)

                def _create_slots(self, var_list):
                    pass

                def _resource_apply_dense(self, grad, var, apply_state=None):
                    return var.assign_sub(0.05 * grad)

                def get_config(self):
                    return super(Own, self).get_config()

        assert there() == before
        if not any(before):
            with pytest.raises(ImportError):
                importlib.import_module("tensorflow.keras.optimizers.legacy")
            with pytest.raises(ImportError):
                importlib.import_module("keras.optimizers.legacy.adam")
        if tf.executing_eagerly():
            for optimizer in (Half(0.1), Own()):
                (variable,) = eager_variables(START[:1])
                optimizer.apply_gradients([(tf.ones_like(variable), variable)])
                np.testing.assert_allclose(variable.numpy(), START[0] - 0.05, rtol=1e-6)

    def test_the_name_of_tensorflow_1(self):
        with hooks.installed():
            cls = _hooked.adam_of_tf1(tf.train.Optimizer)
        assert kcompat.environment.lineage(cls) in APIS or cls.api in _apis.APIS

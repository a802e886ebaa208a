"""What the classes of other people do beside their hooks: bases without hooks, names of ours, whole steps."""

import contextlib

import _apis
import numpy as np
import pytest

import kcompat
from kcompat import hooks

tf = pytest.importorskip("tensorflow", reason="hooks are TensorFlow's")

from _hooked import skip_at_home  # noqa: E402

APIS = _apis.with_hooks()
v1 = tf.compat.v1
# Those on which a class of TensorFlow 1 is no native one.
OTHERS = [api for api in APIS if api != "tf1"]

pytestmark = pytest.mark.wide

eager = pytest.mark.skipif(not tf.executing_eagerly(), reason="what happens at once, which a graph does not")


def trained(make, steps=3, names=("v0", "v1"), read=None):
    """Steps of the gradients [0.5, -1] and twice that. Returns the variables' values.

    The first is eager and the others are traced; in TensorFlow 1 all are a session's. Of variables of the
    optimizer that `read` gives, the values come first.
    """
    grads = [tf.constant([0.5, -1.0]) * (i + 1) for i in range(len(names))] if tf.executing_eagerly() else []
    if grads:
        optimizer, variables = make(), [tf.Variable([1.0, 2.0], name=name) for name in names]

        def step():
            optimizer.apply_gradients(zip(grads, variables))

        step()
        traced = tf.function(step)
        for _ in range(steps - 1):
            traced()
        return [each.numpy() for each in [*(read(optimizer) if read else ()), *variables]]
    with tf.Graph().as_default(), v1.Session() as session:
        v1.keras.backend.set_session(session)
        grads = [tf.constant([0.5, -1.0]) * (i + 1) for i in range(len(names))]
        optimizer = make()
        variables = [v1.Variable([1.0, 2.0], name=name, use_resource=True) for name in names]
        done = optimizer.apply_gradients(zip(grads, variables))
        session.run(v1.global_variables_initializer())
        for _ in range(steps):
            session.run(done)
        return session.run([*(read(optimizer) if read else ()), *variables])


class TestAbstract:
    """A class without hooks, on which others with hooks of different generations are built."""

    def classes(self):
        with hooks.installed():
            from keras import backend

            class Scaled(tf.keras.optimizers.Optimizer):
                def __init__(self, rate=0.1, **kwargs):
                    super(Scaled, self).__init__(**kwargs)
                    self.rate = rate

                def scaled(self, value):
                    return self.rate * value

                def get_config(self):
                    return dict(super(Scaled, self).get_config(), rate=self.rate)

            class OfKeras2(Scaled):
                def get_updates(self, loss, params):
                    grads = self.get_gradients(loss, params)
                    self.updates = [backend.update(p, p - self.scaled(g)) for p, g in zip(params, grads)]
                    return self.updates

            class OfOptimizerV2(Scaled):
                def __init__(self, *args, **kwargs):
                    kwargs["name"] = kwargs.get("name") or "OfOptimizerV2"
                    super(OfOptimizerV2, self).__init__(*args, **kwargs)

                def _create_slots(self, var_list):
                    for var in var_list:
                        self.add_slot(var, "m")

                def _resource_apply_dense(self, grad, var, apply_state=None):
                    m_t = self.get_slot(var, "m").assign_add(grad)
                    return var.assign_sub(self.scaled(m_t))

        return Scaled, OfKeras2, OfOptimizerV2

    def test_each_has_the_base_class_for_its_hooks(self):
        scaled, of_keras_2, of_optimizer_v2 = self.classes()
        np.testing.assert_allclose(trained(of_keras_2)[0], [1 - 0.15, 2 + 0.3], rtol=1e-6)
        np.testing.assert_allclose(trained(of_optimizer_v2)[0], [1 - 0.3, 2 + 0.6], rtol=1e-6)
        optimizer = of_optimizer_v2(0.3)
        assert isinstance(optimizer, scaled)
        assert of_optimizer_v2.from_config(optimizer.get_config()).rate == 0.3

    def test_it_can_not_be_used_by_itself(self):
        scaled, _, _ = self.classes()
        with pytest.raises(kcompat.HookError, match="Scaled has no hook"):
            scaled()

    def test_one_that_nothing_is_built_on_is_the_hosts(self):
        with hooks.installed():

            class Named(tf.keras.optimizers.SGD):
                def get_config(self):
                    return super().get_config()

            assert issubclass(Named, tf.keras.optimizers.SGD)
        assert issubclass(Named, tf.keras.optimizers.SGD)
        np.testing.assert_allclose(trained(lambda: Named(0.1), 1)[0], [1 - 0.05, 2 + 0.1], rtol=1e-6)

    def test_hooks_that_come_too_late(self):
        with hooks.installed():

            class Base(tf.keras.optimizers.Optimizer):
                pass

        if hasattr(hooks.base_class("optimizer_v2"), "_kc_dialect"):
            with pytest.raises(kcompat.HookError, match="Import both in one"):

                class Late(Base):
                    def _resource_apply_dense(self, grad, var, apply_state=None):
                        return var.assign_sub(grad)


@pytest.mark.parametrize("api", APIS)
def test_names_of_both(api):
    """A class may have names for itself that kcompat or the host have, too."""
    base = hooks.base_class("optimizer_v2", api)
    skip_at_home(base)

    class Clashing(base):
        def __init__(self, name="Clashing", **kwargs):
            self.rule = "mine"
            super().__init__(name, **kwargs)
            self.weight_decay, self._count = 0.1, 3

        def _create_slots(self, var_list):
            pass

        def _apply(self, grad, var, factor):
            return var.assign_sub(factor * grad)

        def _read(self):
            return self._count

        def _resource_apply_dense(self, grad, var, apply_state=None):
            assert (self.rule, self._read()) == ("mine", 3)
            return self._apply(grad, var, self.weight_decay)

        def get_config(self):
            return super().get_config()

    def read(optimizer):
        assert (optimizer.weight_decay, optimizer._read()) == (0.1, 3)
        return [optimizer.iterations]

    done, value, _ = trained(Clashing, read=read)
    np.testing.assert_allclose(value, [1 - 0.15, 2 + 0.3], rtol=1e-6)
    assert done == 3


@pytest.mark.parametrize(
    "dialect, hook",
    [
        ("optimizer_v2", "_distributed_apply"),
        ("optimizer_v2", "finalize_variable_values"),
        ("optimizer_v2", "get_gradients"),
        ("keras", "_update_step"),
        ("keras", "finalize_variable_values"),
    ],
)
def test_a_hook_that_nothing_calls(dialect, hook):
    base = hooks.base_class(dialect, "tf1")
    with pytest.raises(kcompat.HookError, match=r"Ignored overrides {}\(\)".format(hook)):
        type("Ignored", (base,), {hook: lambda self, *args: None})


def test_get_gradients_beside_a_hook_that_is_called():
    """A wrapper for graphs and for eager mode has both."""
    methods = {name: lambda self, *args: None for name in ("get_gradients", "_compute_gradients")}
    assert type("Both", (hooks.base_class("optimizer_v2", "tf1"),), methods)


class Whole(v1.train.Optimizer):
    """A whole step in apply_gradients(), with variables of get_variable(): as BERT's optimizer is written."""

    def __init__(self, learning_rate, name="Whole"):
        super(Whole, self).__init__(False, name)
        self.learning_rate = learning_rate

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        writes = []
        for grad, param in grads_and_vars:
            m = v1.get_variable(
                name=param.name.split(":")[0] + "/m",
                shape=param.shape.as_list(),
                dtype=tf.float32,
                trainable=False,
                initializer=v1.zeros_initializer(),
            )
            new = 0.5 * m + grad
            writes += [param.assign(param - self.learning_rate * new), m.assign(new)]
        return tf.group(*writes, name=name)


class Doubled(v1.train.GradientDescentOptimizer):
    """Changes what its base class is given, in both methods that may."""

    def compute_gradients(self, *args, **kwargs):
        return [(2 * g, v) for g, v in super(Doubled, self).compute_gradients(*args, **kwargs)]

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        twice = [(2 * g, v) for g, v in grads_and_vars]
        return super(Doubled, self).apply_gradients(twice, global_step, name)


class TestWholeSteps:
    @pytest.mark.parametrize("api", OTHERS)
    @pytest.mark.parametrize("names", [("v0", "v1"), ("same", "same")])
    def test_variables_that_a_step_makes(self, api, names):
        made = hooks.adopt(Whole, api)
        expected = [np.array([1.0, 2.0]) for _ in names]
        for i, value in enumerate(expected):
            m = np.zeros(2)
            for _ in range(3):
                m = 0.5 * m + np.array([0.5, -1.0]) * (i + 1)
                value -= 0.1 * m
        done, *values = trained(lambda: made(0.1), names=names, read=lambda optimizer: optimizer.weights[:1])
        np.testing.assert_allclose(values, expected, rtol=1e-6)
        assert done == 3

    @eager
    @pytest.mark.parametrize("api", OTHERS)
    def test_variables_of_one_name_in_another_order(self, api):
        optimizer = hooks.adopt(Whole, api)(0.1)
        variables = [tf.Variable([1.0, 2.0], name="same") for _ in range(2)]
        pairs = [(tf.ones(2), variable) for variable in variables]
        optimizer.apply_gradients(pairs)
        with pytest.raises(kcompat.GradientError, match="have the same name"):
            optimizer.apply_gradients(pairs[1:])

    @eager
    @pytest.mark.parametrize("api", OTHERS)
    def test_it_calls_the_step_of_its_base_class(self, api):
        optimizer = hooks.adopt(Doubled, api)(0.1)
        counter, variable = tf.Variable(0, dtype=tf.int64), tf.Variable([1.0, 2.0])
        optimizer.apply_gradients([(tf.ones(2), variable)], global_step=counter)
        np.testing.assert_allclose(variable.numpy(), [0.8, 1.8], rtol=1e-6)
        assert (int(counter), int(optimizer.iterations)) == (1, 1)
        optimizer.minimize(lambda: tf.reduce_sum(variable), var_list=[variable])
        np.testing.assert_allclose(variable.numpy(), [0.4, 1.4], rtol=1e-5)

    @pytest.mark.parametrize("api", OTHERS)
    def test_its_configuration_is_what_its_constructor_was_given(self, api):
        made = hooks.adopt(Whole, api)
        assert made.from_config(made(0.25, name="Other").get_config()).learning_rate == 0.25

    @pytest.mark.skipif("keras_3" not in OTHERS, reason="fit of other Keras calls minimize()")
    def test_fit_of_keras_3_computes_gradients_itself(self):
        optimizer = hooks.adopt(Doubled, "keras_3")(0.1)
        with pytest.raises(kcompat.HookError, match=r"compute_gradients\(\)"):
            optimizer.scale_loss(tf.constant(1.0))

    def test_apply_of_keras_3(self):
        class Twice(hooks.base_class("keras", "tf1")):
            def __init__(self):
                super().__init__(learning_rate=0.1, name="Twice")

            def apply(self, grads, trainable_variables=None):
                super().apply([2 * grad for grad in grads], trainable_variables)

            def update_step(self, gradient, variable, learning_rate):
                self.assign_sub(variable, learning_rate * gradient)

        np.testing.assert_allclose(trained(Twice)[0], [1 - 0.3, 2 + 0.6], rtol=1e-6)


@pytest.mark.parametrize("api", APIS)
def test_a_counter_in_place_of_the_hosts(api):
    """What a class has as `iterations` is counted on, as OptimizerV2 does."""
    base = hooks.base_class("optimizer_v2", api)
    skip_at_home(base)

    class Counting(base):
        def __init__(self):
            super().__init__("Counting")
            self.done = v1.Variable(0, dtype=tf.int64, trainable=False, use_resource=True)

        @property
        def iterations(self):
            return self.done

        def _create_slots(self, var_list):
            pass

        def _resource_apply_dense(self, grad, var, apply_state=None):
            return var.assign_sub(grad * tf.cast(self.iterations, grad.dtype))

        def get_config(self):
            return super().get_config()

    done, value, _ = trained(Counting, read=lambda optimizer: [optimizer.done])
    np.testing.assert_allclose(value, [1 - 1.5, 2 + 3.0], rtol=1e-6)
    assert done == 3


def as_packages_are_written():
    """Classes that do what packages do: name -> (what makes an optimizer, the sum of its steps' factors)."""
    with hooks.installed():
        import keras
        from keras import ops
        from tensorflow.keras import backend as K

        class Plain(tf.keras.optimizers.Optimizer):
            def __init__(self, learning_rate=0.1, name="Plain", **kwargs):
                super().__init__(name, **kwargs)
                self._set_hyper("learning_rate", kwargs.get("lr", learning_rate))

            def _create_slots(self, var_list):
                pass

            def _resource_apply_dense(self, grad, var, apply_state=None):
                return var.assign_sub(self._decayed_lr(var.dtype.base_dtype) * grad)

            def get_config(self):
                rate = self._serialize_hyperparameter("learning_rate")
                return dict(super().get_config(), learning_rate=rate)

        class Multiplied(Plain):
            multipliers = {"v0": 0.5, "other": 2.0}

            def _resource_apply_dense(self, grad, var, apply_state=None):
                factors = [value for key, value in self.multipliers.items() if key in var.name]
                return super()._resource_apply_dense(grad * factors[0] if factors else grad, var, apply_state)

        class OnSGD(tf.keras.optimizers.SGD):
            def _resource_apply_dense(self, grad, var, apply_state=None):
                return super()._resource_apply_dense(grad, var, apply_state)

            def apply_gradients(self, grads_and_vars, name=None, **kwargs):
                doubled = [(2 * grad, var) for grad, var in grads_and_vars]
                return super().apply_gradients(doubled, name=name, **kwargs)

        class OfBackend(Plain):
            def _resource_apply_dense(self, grad, var, apply_state=None):
                step = K.cast(self.iterations + 1, K.floatx())
                rate = self._hyper["learning_rate"] * K.sqrt(K.square(step))
                return v1.assign_sub(var, rate * grad, use_locking=self._use_locking)

        class ReadsSchedule(Plain):
            def _resource_apply_dense(self, grad, var, apply_state=None):
                rate = self._get_hyper("learning_rate")
                assert isinstance(rate, tf.keras.optimizers.schedules.LearningRateSchedule)
                return var.assign_sub(rate(tf.cast(self.iterations, tf.float32)) * grad)

        class Whole(Plain):
            def apply_gradients(self, grads_and_vars, name=None, **kwargs):
                pairs = list(grads_and_vars)
                with tf.init_scope():
                    self._create_all_weights([var for _, var in pairs])
                state = self._prepare([var for _, var in pairs])
                done = [self._resource_apply_dense(grad, var, apply_state=state) for grad, var in pairs]
                with tf.control_dependencies([each for each in done if each is not None]):
                    return self.iterations.assign_add(1)

        class Listed(Plain):
            def apply_gradients(self, grads_and_vars, name=None, **kwargs):
                done = super().apply_gradients(grads_and_vars, name, **kwargs)
                assert len(self.variables()) >= 1
                return done

        class OfKeras3(keras.optimizers.Optimizer):
            def __init__(self, learning_rate=0.1, name="OfKeras3", **kwargs):
                super().__init__(learning_rate=learning_rate, name=name, **kwargs)

            def update_step(self, gradient, variable, learning_rate):
                self.assign_sub(variable, ops.multiply(gradient, learning_rate))

        class AroundKeras3(keras.optimizers.Optimizer):
            def __init__(self, inner, name="AroundKeras3", **kwargs):
                super().__init__(learning_rate=0.0, name=name, **kwargs)
                self.inner = inner

            def build(self, variables):
                if not self.built:
                    self.inner.build(variables)
                    super().build(variables)

            def apply(self, grads, trainable_variables=None):
                if not self.built:
                    self.build(trainable_variables)
                self.inner.apply([ops.multiply(grad, 2.0) for grad in grads], trainable_variables)

            def update_step(self, gradient, variable, learning_rate):
                pass

        class Decoupled(tf.train.Optimizer):
            def __init__(self, rate=0.1, name="Decoupled"):
                super().__init__(False, name)
                self._learning_rate, self._decayed = rate, None

            def _prepare(self):
                self._rate = tf.convert_to_tensor(self._call_if_callable(self._learning_rate))

            def apply_gradients(self, grads_and_vars, global_step=None, name=None, decay_var_list=None):
                self._decayed = decay_var_list
                return super().apply_gradients(grads_and_vars, global_step=global_step, name=name)

            def _apply_dense(self, grad, var):
                return tf.group(v1.assign_sub(var, tf.cast(self._rate, var.dtype.base_dtype) * grad))

            _resource_apply_dense = _apply_dense

    schedule = tf.keras.optimizers.schedules.PiecewiseConstantDecay([0, 1], [0.1, 0.2, 0.3])
    return {
        "multipliers": (Multiplied, 0.15),
        "a subclass of SGD": (lambda: OnSGD(0.1), 0.6),
        "backend": (OfBackend, 0.6),
        "schedule": (lambda: ReadsSchedule(schedule), 0.6),
        "a step of its own": (Whole, 0.3),
        "variables()": (Listed, 0.3),
        "keras 3": (OfKeras3, 0.3),
        "around keras 3": (lambda: AroundKeras3(OfKeras3()), 0.6),
        "tensorflow 1": (Decoupled, 0.3),
    }


@pytest.mark.parametrize(
    "case",
    [
        "multipliers",
        "a subclass of SGD",
        "backend",
        "schedule",
        "a step of its own",
        "variables()",
        "keras 3",
        "around keras 3",
        "tensorflow 1",
    ],
)
def test_as_packages_are_written(case):
    make, factor = as_packages_are_written()[case]
    value = trained(make)[0]
    np.testing.assert_allclose(value, [1 - 0.5 * factor, 2 + factor], rtol=1e-6)


@pytest.mark.parametrize("api", APIS)
def test_a_step_that_is_copied_from_the_base_class(api):
    class Copied(hooks.base_class("optimizer_v2", api)):
        def apply_gradients(self, grads_and_vars, name=None, **kwargs):
            return self._distributed_apply(None, list(grads_and_vars), name=name, apply_state={})

        def get_config(self):
            return {}

    skip_at_home(Copied)
    with pytest.raises(kcompat.HookError, match=r"calls _distributed_apply\(\)"):
        Copied("Copied").apply_gradients([])


def names_of_steps(adopted, api=None):
    """What `_finish` is given as name_scope: of a step, one with a name, one with a counter."""
    names = []

    class Plain(v1.train.Optimizer):
        def __init__(self):
            super(Plain, self).__init__(False, "Plain")

        def _resource_apply_dense(self, grad, handle):
            return handle.assign_sub(0.1 * grad)

        def _finish(self, update_ops, name_scope):
            names.append(name_scope)
            with tf.control_dependencies([each for each in update_ops if each is not None]):
                return tf.group(name=name_scope + "m")

    def steps(optimizer, variable, counter):
        pairs = [(tf.constant([0.5, -1.0]), variable)]
        return [
            optimizer.apply_gradients(pairs),
            optimizer.apply_gradients(pairs, name="named"),
            optimizer.apply_gradients(pairs, global_step=counter),
        ]

    made = hooks.adopt(Plain, api) if adopted else Plain
    with contextlib.ExitStack() as stack:
        if not tf.executing_eagerly():
            stack.enter_context(tf.Graph().as_default())
        optimizer, variable = made(), v1.Variable([1.0, 2.0], name="v", use_resource=True)
        counter = v1.Variable(0, dtype="int64", name="counter", use_resource=True)
        done = steps(optimizer, variable, counter)
        if tf.executing_eagerly():
            tf.function(lambda: [steps(optimizer, variable, counter), None][1], autograph=False)()
            values = [variable.numpy(), counter.numpy()]
        else:
            session = stack.enter_context(v1.Session())
            session.run(v1.global_variables_initializer())
            session.run(done)
            values = session.run([variable, counter])
    times = 6 if tf.executing_eagerly() else 3
    np.testing.assert_allclose(values[0], [1 - times * 0.05, 2 + times * 0.1], rtol=1e-6)
    assert values[1] == times / 3
    return names


@pytest.mark.parametrize("api", OTHERS)
def test_the_name_of_a_step_of_tensorflow_1(api):
    names = names_of_steps(True, api)
    assert names[:3] == ["Plain/", "named/", "update"]
    assert names == names_of_steps(False)


class Around(v1.train.Optimizer):
    """As tf.contrib.opt.MovingAverageOptimizer: its constructor does not call that of its base class."""

    def __init__(self, opt):
        self._optimizer = opt

    def compute_gradients(self, *args, **kwargs):
        return self._optimizer.compute_gradients(*args, **kwargs)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        return self._optimizer.apply_gradients(grads_and_vars, global_step=global_step, name=name)


class More(Around):
    def __init__(self, opt, more):
        super(More, self).__init__(opt)
        self.more = more


@pytest.mark.parametrize("more", [(), (3,)])
@pytest.mark.parametrize("api", OTHERS)
def test_a_constructor_that_does_not_call_its_base(api, more):
    cls = More if more else Around
    adopted = hooks.adopt(cls, api, dialect="tf1")
    momentum = hooks.adopt(v1.train.MomentumOptimizer, api)
    values = trained(lambda: adopted(momentum(0.1, 0.9), *more))
    np.testing.assert_allclose(values, trained(lambda: cls(v1.train.MomentumOptimizer(0.1, 0.9), *more)))
    made = adopted(momentum(0.1, 0.9), *more)
    assert made.get_name() == cls.__name__
    assert isinstance(made, cls) and getattr(made, "more", None) == (more[0] if more else None)
    if tf.executing_eagerly():
        variable = tf.Variable([1.0, 2.0], name="v")
        for _ in range(2):
            made.minimize(lambda: tf.reduce_sum(variable * variable), [variable])
        np.testing.assert_allclose(variable.numpy(), [0.46, 0.92], rtol=1e-6)
        assert made.iterations.numpy() == 2

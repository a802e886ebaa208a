"""Optimizers as others write them, against the hooks of each generation: all of them are Adam."""

import pytest
import tensorflow as tf

v1 = tf.compat.v1


def skip_at_home(made):
    """Skips a test of a class, or of an optimizer, that is the host's own."""
    if not hasattr(made, "_kc_dialect"):
        pytest.skip("it is the host's own class")


def adam_of_optimizer_v2(base):
    """As it was written for TensorFlow 2.0 to 2.10."""

    class Adam2(base):
        def __init__(
            self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, name="Adam2", **kwargs
        ):
            super(Adam2, self).__init__(name, **kwargs)
            self._set_hyper("learning_rate", kwargs.get("lr", learning_rate))
            self._set_hyper("decay", self._initial_decay)
            self._set_hyper("beta_1", beta_1)
            self._set_hyper("beta_2", beta_2)
            self.epsilon = epsilon

        def _create_slots(self, var_list):
            for var in var_list:
                self.add_slot(var, "m")
            for var in var_list:
                self.add_slot(var, "v", initializer="zeros")

        def _prepare_local(self, var_device, var_dtype, apply_state):
            super(Adam2, self)._prepare_local(var_device, var_dtype, apply_state)
            step = tf.cast(self.iterations + 1, var_dtype)
            beta_1 = tf.identity(self._get_hyper("beta_1", var_dtype))
            beta_2 = tf.identity(self._get_hyper("beta_2", var_dtype))
            rate = apply_state[(var_device, var_dtype)]["lr_t"]
            rate = rate * tf.sqrt(1 - tf.pow(beta_2, step)) / (1 - tf.pow(beta_1, step))
            apply_state[(var_device, var_dtype)].update(rate=rate, beta_1=beta_1, beta_2=beta_2)

        def _coefficients(self, var, apply_state):
            device, dtype = var.device, var.dtype.base_dtype
            return (apply_state or {}).get((device, dtype)) or self._fallback_apply_state(device, dtype)

        def _resource_apply_dense(self, grad, var, apply_state=None):
            c = self._coefficients(var, apply_state)
            m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
            m_t = m.assign(c["beta_1"] * m + (1 - c["beta_1"]) * grad, use_locking=self._use_locking)
            v_t = v.assign(c["beta_2"] * v + (1 - c["beta_2"]) * grad * grad, use_locking=self._use_locking)
            return var.assign_sub(c["rate"] * m_t / (tf.sqrt(v_t) + self.epsilon))

        def _resource_apply_sparse(self, grad, var, indices, apply_state=None):
            c = self._coefficients(var, apply_state)
            m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
            m_t = m.assign(m * c["beta_1"], use_locking=self._use_locking)
            with tf.control_dependencies([m_t]):
                m_t = self._resource_scatter_add(m, indices, (1 - c["beta_1"]) * grad)
            v_t = v.assign(v * c["beta_2"], use_locking=self._use_locking)
            with tf.control_dependencies([v_t]):
                v_t = self._resource_scatter_add(v, indices, (1 - c["beta_2"]) * grad * grad)
            update = var.assign_sub(c["rate"] * m_t / (tf.sqrt(v_t) + self.epsilon))
            return tf.group(*[update, m_t, v_t])

        def get_config(self):
            config = super(Adam2, self).get_config()
            for name in ("learning_rate", "decay", "beta_1", "beta_2"):
                config[name] = self._serialize_hyperparameter(name)
            config["epsilon"] = self.epsilon
            return config

    return Adam2


def adam_of_tf1(base):
    """As it was written for TensorFlow 1."""

    class Adam1(base):
        def __init__(
            self, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-7, use_locking=False, name="Adam1"
        ):
            super(Adam1, self).__init__(use_locking, name)
            self._lr, self._beta1, self._beta2, self._epsilon = learning_rate, beta1, beta2, epsilon
            self._lr_t = None

        def _create_slots(self, var_list):
            first = min(var_list, key=lambda var: var.name)
            for name, value in (("beta1_power", self._beta1), ("beta2_power", self._beta2)):
                self._create_non_slot_variable(initial_value=value, name=name, colocate_with=first)
            for var in var_list:
                self._zeros_slot(var, "m", self._name)
                self._zeros_slot(var, "v", self._name)

        def _prepare(self):
            self._lr_t = tf.convert_to_tensor(self._call_if_callable(self._lr), name="learning_rate")

        def _powers(self):
            with tf.init_scope():
                graph = None if tf.executing_eagerly() else v1.get_default_graph()
            return [self._get_non_slot_variable(n, graph=graph) for n in ("beta1_power", "beta2_power")]

        def _apply_dense(self, grad, var):
            power1, power2 = self._powers()
            m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
            m_t = v1.assign(m, self._beta1 * m + (1 - self._beta1) * grad, use_locking=self._use_locking)
            v_t = v1.assign(v, self._beta2 * v + (1 - self._beta2) * grad * grad)
            rate = self._lr_t * tf.sqrt(1 - power2) / (1 - power1)
            update = v1.assign_sub(var, rate * m_t / (tf.sqrt(v_t) + self._epsilon))
            return tf.group(*[update, m_t, v_t])

        def _resource_apply_dense(self, grad, var):
            return self._apply_dense(grad, var)

        def _resource_apply_sparse(self, grad, var, indices):
            shape = tf.constant(var.shape.as_list(), indices.dtype)
            return self._apply_dense(tf.scatter_nd(tf.expand_dims(indices, 1), grad, shape), var)

        def _finish(self, update_ops, name_scope):
            with tf.control_dependencies(update_ops):
                power1, power2 = self._powers()
                updates = [power1.assign(power1 * self._beta1), power2.assign(power2 * self._beta2)]
            return tf.group(*update_ops + updates, name=name_scope)

    return Adam1


def adam_of_keras_2_11(base):
    """As it was written for Keras 2.11 to 2.15."""

    class Adam11(base):
        def __init__(
            self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, name="Adam11", **kwargs
        ):
            super().__init__(name=name, **kwargs)
            self._learning_rate = self._build_learning_rate(learning_rate)
            self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

        def build(self, var_list):
            super().build(var_list)
            if hasattr(self, "_built") and self._built:
                return
            self._built = True
            self._momentums, self._velocities = [], []
            for var in var_list:
                self._momentums.append(
                    self.add_variable_from_reference(model_variable=var, variable_name="m")
                )
                self._velocities.append(
                    self.add_variable_from_reference(model_variable=var, variable_name="v")
                )

        def update_step(self, gradient, variable):
            rate = tf.cast(self.learning_rate, variable.dtype)
            step = tf.cast(self.iterations + 1, variable.dtype)
            power_1 = tf.pow(tf.cast(self.beta_1, variable.dtype), step)
            power_2 = tf.pow(tf.cast(self.beta_2, variable.dtype), step)
            index = self._index_dict[self._var_key(variable)]
            m, v = self._momentums[index], self._velocities[index]
            if isinstance(gradient, tf.IndexedSlices):
                gradient = tf.convert_to_tensor(gradient)
            m.assign_add((gradient - m) * (1 - self.beta_1))
            v.assign_add((tf.square(gradient) - v) * (1 - self.beta_2))
            rate = rate * tf.sqrt(1 - power_2) / (1 - power_1)
            variable.assign_sub(m * rate / (tf.sqrt(v) + self.epsilon))

        def get_config(self):
            config = super().get_config()
            config["learning_rate"] = self._serialize_hyperparameter(self._learning_rate)
            config.update(beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)
            return config

    return Adam11


def adam_of_keras_3(base, ops):
    """As it is written for Keras 3."""

    class Adam3(base):
        def __init__(
            self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, name="Adam3", **kwargs
        ):
            super().__init__(learning_rate=learning_rate, name=name, **kwargs)
            self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

        def build(self, variables):
            if self.built:
                return
            super().build(variables)
            self._m, self._v = [], []
            for variable in variables:
                self._m.append(self.add_variable_from_reference(variable, "m"))
                self._v.append(self.add_variable_from_reference(reference_variable=variable, name="v"))

        def update_step(self, gradient, variable, learning_rate):
            dtype = variable.dtype
            rate, gradient = ops.cast(learning_rate, dtype), ops.cast(gradient, dtype)
            step = ops.cast(self.iterations + 1, dtype)
            power_1 = ops.power(ops.cast(self.beta_1, dtype), step)
            power_2 = ops.power(ops.cast(self.beta_2, dtype), step)
            m, v = self._m[self._get_variable_index(variable)], self._v[self._get_variable_index(variable)]
            self.assign_add(m, ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))
            self.assign_add(v, ops.multiply(ops.subtract(ops.square(gradient), v), 1 - self.beta_2))
            rate = ops.divide(ops.multiply(rate, ops.sqrt(1 - power_2)), 1 - power_1)
            change = ops.divide(ops.multiply(m, rate), ops.add(ops.sqrt(v), self.epsilon))
            self.assign_sub(variable, change)

        def get_config(self):
            config = super().get_config()
            config.update(beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)
            return config

    return Adam3


def lookahead_of_optimizer_v2(base):
    """A wrapper, as TensorFlow Addons' are written."""

    class Ahead(base):
        def __init__(self, optimizer, period=2, fraction=0.5, name="Ahead", **kwargs):
            super().__init__(name, **kwargs)
            self._optimizer = optimizer
            self._set_hyper("period", period)
            self._set_hyper("fraction", fraction)
            self._track_trackable(self._optimizer, "inner_optimizer")

        def _create_slots(self, var_list):
            self._optimizer._create_slots(var_list=var_list)
            for var in var_list:
                self.add_slot(var, "slow", initializer=var)

        def _create_hypers(self):
            super()._create_hypers()
            self._optimizer._create_hypers()

        def _prepare(self, var_list):
            return self._optimizer._prepare(var_list=var_list)

        def apply_gradients(self, grads_and_vars, name=None, **kwargs):
            self._optimizer._iterations = self.iterations
            return super().apply_gradients(grads_and_vars, name, **kwargs)

        def _resource_apply_dense(self, grad, var, apply_state=None):
            train = self._optimizer._resource_apply_dense(grad, var, apply_state=apply_state)
            with tf.control_dependencies([train] if train is not None else []):
                slow = self.get_slot(var, "slow")
                step = tf.cast(self.iterations + 1, tf.int64)
                due = tf.equal(step % self._get_hyper("period", tf.int64), 0)
                value = slow + self._get_hyper("fraction", var.dtype.base_dtype) * (var.read_value() - slow)
                with tf.control_dependencies([value]):
                    slow_t = slow.assign(tf.where(tf.fill(tf.shape(value), due), value, slow.read_value()))
                with tf.control_dependencies([slow_t]):
                    fast = tf.where(tf.fill(tf.shape(value), due), value, var.read_value())
                    return var.assign(fast)

        @property
        def learning_rate(self):
            return self._optimizer._get_hyper("learning_rate")

        @learning_rate.setter
        def learning_rate(self, learning_rate):
            self._optimizer._set_hyper("learning_rate", learning_rate)

        lr = learning_rate

        def get_config(self):
            config = super().get_config()
            config["optimizer"] = tf.keras.optimizers.serialize(self._optimizer)
            config["period"] = self._serialize_hyperparameter("period")
            config["fraction"] = self._serialize_hyperparameter("fraction")
            return config

        @classmethod
        def from_config(cls, config, custom_objects=None):
            inner = tf.keras.optimizers.deserialize(config.pop("optimizer"), custom_objects=custom_objects)
            return cls(inner, **config)

    return Ahead


def accumulator_of_optimizer_v2(base, lazy=False):
    """A wrapper whose inner optimizer takes a step of its own, and counts it, once in a few.

    A `lazy` one makes its counter in the first step, and slots of the inner optimizer by that one's hook.
    """

    class Accumulated(base):
        def __init__(self, optimizer, every=2, name="Accumulated", **kwargs):
            super().__init__(name, **kwargs)
            self._optimizer = optimizer
            self._every = every
            self._track_trackable(self._optimizer, "inner_optimizer")

        def _create_slots(self, var_list):
            if lazy:
                self._optimizer._create_slots(var_list)
            else:
                self._optimizer._create_all_weights(var_list)
            for var in var_list:
                self.add_slot(var, "sum")

        def _counted(self):
            if not lazy:
                return self.iterations.read_value()
            return self.add_weight("count", [], tf.int64, "zeros").assign_add(1)

        def apply_gradients(self, grads_and_vars, name=None, **kwargs):
            grads_and_vars = list(grads_and_vars)
            variables = [var for _, var in grads_and_vars]
            added = super().apply_gradients(grads_and_vars, name, **kwargs)

            def due():
                sums = [self.get_slot(var, "sum") for var in variables]
                pairs = [(total / self._every, var) for total, var in zip(sums, variables)]
                done = self._optimizer.apply_gradients(pairs)
                with tf.control_dependencies([] if done is None else [done]):
                    for total in sums:
                        total.assign(tf.zeros_like(total))
                return tf.constant(True)

            with tf.control_dependencies([] if added is None else [added]):
                ready = tf.equal(self._counted() % self._every, 0)
                return tf.cond(ready, due, lambda: tf.constant(False))

        def _resource_apply_dense(self, grad, var, apply_state=None):
            return self.get_slot(var, "sum").assign_add(grad)

        def get_config(self):
            config = super().get_config()
            config["optimizer"] = tf.keras.optimizers.serialize(self._optimizer)
            config["every"] = self._every
            return config

        @classmethod
        def from_config(cls, config, custom_objects=None):
            inner = tf.keras.optimizers.deserialize(config.pop("optimizer"), custom_objects=custom_objects)
            return cls(inner, **config)

    return Accumulated


def adam_of_get_updates(base, K):
    """As it was written for Keras 2.2 and 2.3; `K` is Keras' backend."""

    class Adam0(base):
        def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **kwargs):
            super(Adam0, self).__init__(**kwargs)
            with K.name_scope(self.__class__.__name__):
                self.iterations = K.variable(0, dtype="int64", name="iterations")
                self.learning_rate = K.variable(learning_rate, name="learning_rate")
                self.beta_1 = K.variable(beta_1, name="beta_1")
                self.beta_2 = K.variable(beta_2, name="beta_2")
            self.epsilon = epsilon

        def get_updates(self, loss, params):
            grads = self.get_gradients(loss, params)
            self.updates = [K.update_add(self.iterations, 1)]
            step = K.cast(self.iterations, K.floatx()) + 1
            power_1, power_2 = K.pow(self.beta_1, step), K.pow(self.beta_2, step)
            rate = self.learning_rate * K.sqrt(1.0 - power_2) / (1.0 - power_1)
            ms = [K.zeros(K.int_shape(p), dtype=K.dtype(p), name="m_" + str(i)) for i, p in enumerate(params)]
            vs = [K.zeros(K.int_shape(p), dtype=K.dtype(p), name="v_" + str(i)) for i, p in enumerate(params)]
            self.weights = [self.iterations] + ms + vs
            for p, g, m, v in zip(params, grads, ms, vs):
                m_t = self.beta_1 * m + (1.0 - self.beta_1) * g
                v_t = self.beta_2 * v + (1.0 - self.beta_2) * K.square(g)
                self.updates.append(K.update(m, m_t))
                self.updates.append(K.update(v, v_t))
                new_p = p - rate * m_t / (K.sqrt(v_t) + self.epsilon)
                if getattr(p, "constraint", None) is not None:
                    new_p = p.constraint(new_p)
                self.updates.append(K.update(p, new_p))
            return self.updates

        def get_config(self):
            config = super(Adam0, self).get_config()
            for name in ("learning_rate", "beta_1", "beta_2"):
                config[name] = float(K.get_value(getattr(self, name)))
            config["epsilon"] = self.epsilon
            return config

    return Adam0


def pairs_of_get_updates(base, K):
    """A class of Keras 2.2 and 2.3 whose updates are pairs: home's `K.function` assigns them.

    It reads no variable twice, so that at home, too, nothing depends on the order.
    """

    class Paired(base):
        def __init__(self, rate=0.5, **kwargs):
            super(Paired, self).__init__(**kwargs)
            self.iterations = K.variable(0, dtype="int64", name="iterations")
            self.scale = K.variable(rate, name="scale")
            self.seen = K.variable(0.0, name="seen")

        def get_updates(self, loss, params):
            grads = self.get_gradients(loss, params)
            scale_t = self.scale * 0.5
            self.updates = [K.update_add(self.iterations, 1), (self.scale, scale_t), (self.seen, 3)]
            ms = [K.zeros(K.int_shape(p), dtype=K.dtype(p), name="m_" + str(i)) for i, p in enumerate(params)]
            self.weights = [self.iterations] + ms
            for p, g, m in zip(params, grads, ms):
                m_t = 0.9 * m + g
                self.updates += [(m, m_t), (p, p - scale_t * m_t)]
            return self.updates

        def get_config(self):
            config = super(Paired, self).get_config()
            return dict(config, rate=float(K.get_value(self.scale)))

    return Paired


def steps_of_pairs(start, gradients, rate=0.5):
    """What it gives, in NumPy: parameters, what `m` is, and `scale`."""
    params, moments = list(start), [0.0 for _ in start]
    for row in gradients:
        rate *= 0.5
        moments = [0.9 * m + grad for m, grad in zip(moments, row)]
        params = [param - rate * m for param, m in zip(params, moments)]
    return params, moments, rate

"""One environment's part of the journey: `worker.py write DIR NAME` and then `worker.py read DIR NAME`.

Writing trains every optimizer that there is here, native ones and kcompat's on every API, up to the break,
and saves state and weights. Reading goes on from what every environment wrote, and compares with the end of a
run without a break.
"""

import contextlib
import inspect
import json
import os
import sys
import traceback
import warnings

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _arrays
import numpy as np
import scenario
from _apis import APIS
from _modes import as_gradient, modes_of, to_numpy
from test_names import keras_of

import kcompat
from kcompat import state


def clear_session():
    name = kcompat.environment.host_class("get_updates").__module__.split(".")[0]
    if name == "keras":
        import keras
    else:
        from tensorflow import keras
    keras.backend.clear_session()


class NotHere(Exception):
    """There is no such native optimizer here, or it is another by the same name."""


def native(api, rule):
    """A native optimizer."""
    tf1, keras = scenario.NATIVE.get(rule, (None, None))
    if api == "tf1":
        if tf1 is None:
            raise NotHere("TensorFlow 1 has none")
        import tensorflow as tf

        return getattr(tf.compat.v1.train, tf1[0])(**tf1[1])
    module = keras_of(api)
    if keras is None or not hasattr(module, keras[0]):
        raise NotHere("Keras has none here")
    made = getattr(module, keras[0])
    arguments = dict(keras[1], learning_rate=scenario.RATES[rule])
    if api == "get_updates" and "lr" in inspect.signature(made).parameters:
        arguments["lr"] = arguments.pop("learning_rate")
    try:
        found = made(**arguments)
    except (TypeError, ValueError) as error:
        raise NotHere("it takes no such arguments: {}".format(error)) from error
    if api == "keras_2_11" and rule == "rmsprop" and not hasattr(found, "_use_weight_decay"):
        raise NotHere("the first releases of this API add epsilon outside of the root")
    return found


class Run:
    """Training with one optimizer, in eager mode or a session, from any state on."""

    def __init__(self, api, kind, rule, stack):
        self.api, self.kind, self.rule = api, kind, rule
        self.names = scenario.names(kind)
        self.session, self.operations = None, {}
        if modes_of(api)[0] == "graph":
            import tensorflow as tf

            self.v1 = tf.compat.v1
            stack.enter_context(tf.Graph().as_default())
            self.session = stack.enter_context(self.v1.Session())
        values = scenario.start()
        self.variables = {name: self._variable(name, values[name]) for name in self.names}
        if kind == "native":
            self.optimizer = native(api, rule)
            if api == "keras_2_11":  # the first releases build on the variables that have gradients
                self.optimizer.build(list(self.variables.values()))
        else:
            self.optimizer = kcompat.optimizer(scenario.RULES[rule], api, **scenario.BASE[kind])
        if self.session is not None:
            self._build_graph()

    def _variable(self, name, value):
        if self.api == "keras_3":
            import keras

            with keras.name_scope("net"):
                return keras.Variable(value, dtype=str(value.dtype), name=name)
        if self.session is not None:
            with self.v1.variable_scope("net"):
                return self.v1.get_variable(name, initializer=value, use_resource=True)
        import tensorflow as tf

        return tf.Variable(value, name=name)

    def _build_graph(self):
        self.holders = {
            name: self.v1.placeholder(v.dtype.base_dtype, v.shape) for name, v in self.variables.items()
        }
        self.rows = self.v1.placeholder("int64", [scenario.SHAPES["table"][0]])
        if self.api == "get_updates" and self.kind == "native":
            self._build_updates()
        else:
            for late in (False, True):
                self.operations[late] = self.optimizer.apply_gradients(
                    [(self._placed(name, late), v) for name, v in self.variables.items()]
                )
        self.session.run(self.v1.global_variables_initializer())

    def _placed(self, name, late):
        if name == "frozen" or (name == "late" and not late):
            return None
        holder = self.holders[name]
        like = np.empty(scenario.SHAPES[name])
        return as_gradient((holder, self.rows), like) if name == "table" else holder

    def _build_updates(self):
        """Keras' own optimizers want a gradient for each variable: zeros leave one as it is."""
        import tensorflow as tf

        dense = dict(self.holders)
        dense["table"] = tf.scatter_nd(self.rows[:, None], self.holders["table"], scenario.SHAPES["table"])
        loss = sum(tf.reduce_sum(tf.stop_gradient(dense[n]) * v) for n, v in self.variables.items())
        updates = self.optimizer.get_updates(loss=loss, params=list(self.variables.values()))
        # A step counts up before or after it reads the count, as chance has it: here, after.
        self.count = [updates[0]] if "AssignAdd" in getattr(updates[0], "name", "") else []
        self.operations = {late: updates[len(self.count) :] for late in (False, True)}

    def step(self, row):
        if self.session is None:
            pairs = [(self._gradient(row[name], v, name), v) for name, v in self.variables.items()]
            self.optimizer.apply_gradients(pairs)
            return
        fed = {}
        for name, holder in self.holders.items():
            grad = row[name]
            if name == "table":
                fed[holder], fed[self.rows] = grad
            else:
                fed[holder] = np.zeros(scenario.SHAPES[name]) if grad is None else grad
        self.session.run(self.operations[row["late"] is not None], fed)
        if getattr(self, "count", None):
            self.session.run(self.count)

    def _gradient(self, grad, variable, name):
        library = _arrays.backend(self.api)
        like = np.empty(scenario.SHAPES[name])
        if library == "tensorflow":
            return as_gradient(grad, like)
        if self.kind == "native" and isinstance(grad, tuple):  # Keras has no sparse gradients there
            dense = np.zeros(scenario.SHAPES[name], "float32")
            dense[grad[1]] = grad[0]
            grad = dense
        return _arrays.gradient(grad, like, library)

    def values(self):
        if self.session is not None:
            return {name: self.session.run(v) for name, v in self.variables.items()}
        return {name: to_numpy(v) for name, v in self.variables.items()}

    def assign(self, weights):
        for name, variable in self.variables.items():
            value = np.asarray(next(w for key, w in weights.items() if key.split("/")[-1] == name))
            if self.session is not None:
                variable.load(value, self.session)
            else:
                variable.assign(value)

    def take(self):
        return state.take(self.optimizer, list(self.variables.values()), weights=True)

    def go_on(self, saved, from_one):
        """Goes on from the break to the end; returns in words what is wrong there."""
        self.assign(saved.weights)
        if saved.step is None:  # most of TensorFlow 1's optimizers do not count
            saved = saved.replace(step=scenario.BREAK)
        if saved.step != scenario.BREAK:
            return "it says that {} steps were taken".format(saved.step)
        state.put(self.optimizer, list(self.variables.values()), saved)
        for row in scenario.gradients()[scenario.BREAK :]:
            self.step(row)
        return "; ".join(self.wrong(from_one))

    def wrong(self, from_one):
        values, slots = scenario.end(self.rule, self.kind, from_one)
        found = self.values()
        for name in self.names:
            tolerance = scenario.HALF if name == "half" else {"rtol": scenario.RTOL, "atol": scenario.ATOL}
            if not np.allclose(found[name], values[name], **tolerance):
                apart = np.abs(np.asarray(found[name], "float64") - values[name]).max()
                yield "{} is off by {:.2g}".format(name, apart)
        if "half" in self.names:
            taken = self.take().variables
            held = next(v for k, v in taken.items() if k.split("/")[-1] == "half").slots
            for slot, array in held.items():
                if slot != "average" and not np.allclose(array, slots["half"][slot], rtol=1e-5, atol=1e-6):
                    yield "slot {} of half is off".format(slot)


@contextlib.contextmanager
def running(api, kind, rule):
    if "get_updates" in APIS:  # old Keras keeps a session, which is of another graph
        clear_session()
    with contextlib.ExitStack() as stack:
        yield Run(api, kind, rule, stack)


def kinds_of(rule):
    return [kind for kind in scenario.KINDS if kind != "native" or rule in scenario.NATIVE]


def write(directory, name):
    """Trains up to the break and saves; returns what could not be, and why."""
    missing = []
    for api in APIS:
        for rule in scenario.RULES:
            for kind in kinds_of(rule):
                try:
                    with running(api, kind, rule) as run:
                        for row in scenario.gradients()[: scenario.BREAK]:
                            run.step(row)
                        path = os.path.join(directory, "{}+{}+{}+{}.npz".format(name, api, kind, rule))
                        run.take().save(path)
                except NotHere as reason:
                    missing.append([api, kind, rule, str(reason), False])
                except Exception as error:
                    missing.append([api, kind, rule, in_words(error), True])
    return missing


def read(directory, name):
    """Goes on from every file; returns a list of [from, API, kind, to API, to kind, rule, what is wrong]."""
    files = {}
    for file in sorted(os.listdir(directory)):
        if file.endswith(".npz"):
            source, api, kind, rule = file[: -len(".npz")].split("+")
            for onward in scenario.JOURNEYS[kind]:
                source_of = source, api, kind, os.path.join(directory, file)
                files.setdefault((rule, onward), []).append(source_of)
    done = []
    for (rule, onward), sources in sorted(files.items()):
        for api in APIS:
            try:
                with running(api, onward, rule) as run:
                    for source, origin, kind, path in sources:
                        try:
                            wrong = run.go_on(state.load(path), (origin, kind) == ("tf1", "native"))
                        except Exception as error:
                            wrong = in_words(error)
                        done.append([source, origin, kind, api, onward, rule, wrong])
            except NotHere:
                continue
            except Exception as error:
                done += [[s, a, k, api, onward, rule, in_words(error)] for s, a, k, _ in sources]
    return done


def in_words(error):
    lines = traceback.format_exc().strip().split("\n")
    return "{}: {} ({})".format(type(error).__name__, str(error)[:400], lines[-3].strip()[:120])


def main(command, directory, name):
    warnings.simplefilter("ignore")
    found = {"write": write, "read": read}[command](directory, name)
    with open(os.path.join(directory, "{}+{}.json".format(command, name)), "w") as file:
        json.dump(found, file)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

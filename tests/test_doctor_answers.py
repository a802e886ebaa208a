"""`kcompat doctor` on classes and on errors: the table of problems, what a class is, and the exit status."""

import io
import json
import sys
import types
import warnings
from pathlib import Path

import pytest
from _apis import APIS
from test_doctor import command

from kcompat import cli
from kcompat.cli import diagnosis, problems
from kcompat.cli.problems import PROBLEMS, match
from kcompat.environment import detect, host_class, lineage

BY_NAME = {each.name: each for each in PROBLEMS}
SPOKEN = [each for each in PROBLEMS if each.patterns]
#: The Keras APIs here on TensorFlow, whose classes are made below.
KERAS_APIS = [api for api in APIS if api not in ("tf1", "get_updates")]
EAGER, tf = False, None
if KERAS_APIS:
    try:
        import tensorflow as tf

        EAGER = tf.executing_eagerly()
    except ImportError:
        tf = None


def first(text):
    found = match(text)
    return found[0].name if found else None


# ------------------------------------------------------------ the table


def test_names_are_unique():
    assert len(BY_NAME) == len(PROBLEMS)


@pytest.mark.parametrize("problem", SPOKEN, ids=lambda each: each.name)
def test_its_message_is_recognized(problem):
    assert [each.name for each in match(problem.message)] == [problem.name]
    traceback = 'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n    go()\n'
    assert first(traceback + problem.message) == problem.name


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda each: each.name)
def test_each_says_where_why_and_what_to_do(problem):
    assert all(problem[2:])
    for text in (problem.cause, problem.remedy):
        assert text.endswith((".", ")")) and "\n" not in text and "  " not in text


# As releases print them: the release, the message, the problem.
SEEN = [
    (
        "2.10",
        "WARNING:tensorflow:Error in loading the saved optimizer state. As a result, your model is starting"
        " with a freshly initialized optimizer.",
        "state-not-loaded",
    ),
    (
        "2.15",
        "ValueError: You called `set_weights(weights)` on optimizer Adam with a  weight list of length 5, but"
        " the optimizer was expecting 0 weights. Provided weights: [12, array([[0.1]])]",
        "state-not-loaded",
    ),
    (
        "2.22",
        "UserWarning: Skipping variable loading for optimizer 'adam', because it has 2 variables whereas the"
        " saved optimizer has 10 variables.",
        "state-not-loaded",
    ),
    (
        "2.15",
        "UserWarning: TensorFlow Addons (TFA) has ended development and introduction of new features.",
        "addons-ended",
    ),
    (
        "2.11",
        "TypeError: `inner_optimizer` must be an instance of `tf.keras.optimizers.Optimizer` or"
        " `tf.keras.optimizers.experimental.Optimizer`, but got: <optimizer_v2.adam.Adam object at 0x7f>.",
        "refused-by-loss-scale",
    ),
    ("2.13", "AttributeError: 'Adam' object has no attribute '_create_all_weights'", "wrapper-wants-legacy"),
    ("2.4", "AttributeError: 'ExponentialDecay' object has no attribute 'numpy'", "schedule-as-number"),
    ("2.22", "AttributeError: 'RMSprop' object has no attribute 'get_weights'", "weights-methods"),
    ("2.15", "AttributeError: 'Adam' object has no attribute 'build'", "no-build"),
    (
        "1.15",
        "ValueError: ('Could not interpret optimizer identifier:', <Foreign object at 0x7f6>)",
        "not-interpreted",
    ),
    ("1.15", "AttributeError: 'Mine' object has no attribute '_create_slots'", "old-hooks"),
    (
        "1.15",
        "AttributeError: module 'tensorflow.python.keras.api._v1.keras.optimizers' has no attribute 'legacy'",
        "legacy-not-there-yet",
    ),
    (
        "1.15",
        "ValueError: Tensor conversion requested dtype float32_ref for Tensor with dtype float32:"
        " <tf.Tensor>",
        "ref-variable",
    ),
    (
        "2.4",
        "TypeError: Can't instantiate abstract class E with abstract methods get_config",
        "abstract-class",
    ),
    (
        "2.4",
        "TypeError: float() argument must be a string or a number, not 'ExponentialDecay'",
        "schedule-as-number",
    ),
    (
        "2.4",
        "TypeError: Unexpected keyword argument passed to optimizer: is_legacy_optimizer",
        "config-of-another-keras",
    ),
    (
        "2.4",
        'TypeError: "inner_optimizer" must be an instance of OptimizerV2, but got: <Foreign object>',
        "refused-by-loss-scale",
    ),
    (
        "2.4",
        "ValueError: tf.function-decorated function tried to create variables on non-first call.",
        "variables-in-function",
    ),
    ("2.4", "ValueError: Unknown optimizer: Mine", "unknown-on-load"),
    ("2.4", "ModuleNotFoundError: No module named 'keras'", "no-keras"),
    (
        "2.10",
        "TypeError: OptimizerV2.apply_gradients() got an unexpected keyword argument"
        " 'skip_gradients_aggregation'",
        "apply-gradients-arguments",
    ),
    (
        "2.11",
        "ValueError: decay is deprecated in the new Keras optimizer, pleasecheck the docstring for valid"
        " arguments, or use the legacy optimizer, e.g., tf.keras.optimizers.legacy.Adam.",
        "decay",
    ),
    (
        "2.16 with tf_keras",
        "ValueError: decay is deprecated in the new TF-Keras optimizer, please check",
        "decay",
    ),
    ("2.11", "AttributeError: 'Mine' object has no attribute '_learning_rate'", "new-hooks"),
    ("2.11", "ModuleNotFoundError: No module named 'keras.src'", "keras-private"),
    (
        "2.11",
        "NotImplementedError: numpy() is only available when eager execution is enabled.",
        "no-graph-training",
    ),
    ("2.15", "AttributeError: 'RefVariable' object has no attribute '_unique_id'", "ref-variable"),
    (
        "2.15",
        "ImportError: cannot import name 'optimizer_v2' from 'keras.optimizers' (/keras/__init__.py)",
        "optimizer-v2-module",
    ),
    (
        "2.15",
        "ValueError: Unknown optimizer: 'Mine2'. Please ensure you are using a `custom_object_scope`",
        "unknown-on-load",
    ),
    (
        "TFA 0.23",
        "TypeError: optimizer is not an object of tf.keras.optimizers.legacy.Optimizer.",
        "wrapper-wants-legacy",
    ),
    ("TFA 0.23", "AttributeError: 'AdamW' object has no attribute '_set_hyper'", "old-hooks"),
    ("2.22", "ModuleNotFoundError: No module named 'keras.optimizers.optimizer_v2'", "optimizer-v2-module"),
    ("2.22", "ImportError: cannot import name 'interfaces' from 'keras.legacy'", "keras-legacy-interfaces"),
    (
        "2.22",
        "ImportError: cannot import name 'Optimizer' from 'tensorflow.train' (/_api/v2/train/__init__.py)",
        "train-optimizer",
    ),
    (
        "2.22",
        "ValueError: Unknown variable: <Variable path=sequential_10/dense_10/kernel, shape=(2, 1)>. This"
        " optimizer can only be called for the variables it was originally built with.",
        "unknown-variable",
    ),
    (
        "2.22",
        "TypeError: Could not locate class 'Mine2'. Make sure custom classes and functions are decorated",
        "unknown-on-load",
    ),
    (
        "2.22",
        "TypeError: BaseOptimizer.apply_gradients() got an unexpected keyword argument"
        " 'experimental_aggregate_gradients'",
        "apply-gradients-arguments",
    ),
    ("2.22", "ValueError: Argument(s) not recognized: {'learning_rat': 1}", "not-recognized-argument"),
    (
        "2.22",
        "ValueError: Attempt to convert a value (PerReplica:{\n  0: <tf.Tensor: shape=(6, 1), dtype=int32,"
        " numpy=\narray([[1],\n       [0]], dtype=int32)>\n}) with an unsupported type (<class"
        " 'tensorflow.python.distribute.values.PerReplica'>) to a Tensor.",
        "fit-on-several-workers",
    ),
    (
        "2.22",
        "RuntimeError: In optimizer 'E', you forgot to call `super().__init__()` as the first statement"
        " in the"
        " `__init__()` method. Go add it!",
        "base-constructor",
    ),
]


@pytest.mark.parametrize("release, message, name", SEEN, ids=lambda text: str(text)[:24])
def test_what_releases_print(release, message, name):
    assert first(message) == name


# The twenty that users meet most, by rank: the row that answers it.
TWENTY = (
    *("unknown-variable", "decay", "lr", "legacy-in-keras-3", "not-interpreted", "addons-internals"),
    *("old-checkpoint", "old-hooks", "slow-on-mac", "get-updates", "unknown-on-load", "wrapper-wants-legacy"),
    *("apply-gradients-arguments", "rate-per-layer", "weights-methods", "refused-by-loss-scale"),
    *("variables-in-function", "sparse-to-dense", "wrapper-wants-legacy", "variables-called"),
)


def test_the_twenty_most_frequent_are_there():
    assert len(TWENTY) == 20 and set(TWENTY) <= set(BY_NAME)


def test_the_documentation_has_this_table():
    path = Path(__file__).resolve().parent.parent / "docs" / "doctor.md"
    assert path.read_text(encoding="utf-8").endswith("\n\n" + problems.table())


# ------------------------------------------------------------ tracebacks

CHAIN = """
Traceback (most recent call last):
  File "a.py", line 1, in load
    opt = tf.keras.optimizers.Adam(decay=0.1)
ValueError: decay is deprecated in the new Keras optimizer, please check the docstring

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 9, in <module>
    model.compile(opt)
    ^^^^^^^^^^^^^^^^^^
ValueError: Could not interpret optimizer identifier: <keras.src.optimizers.adam.Adam object at 0x7f>
"""

QUOTED = """Traceback (most recent call last):
  File "/lib/keras/optimizers.py", line 901, in get
    raise ValueError(f"Could not interpret optimizer identifier: {identifier}")
  File "/lib/keras/optimizers.py", line 902, in get
    self.lr = K.variable("No module named 'tensorflow_addons'")
             ~~~~~~~~~~~^^^^^
ZeroDivisionError: division by zero
"""

IN_USER_CODE = """Traceback (most recent call last):
  File "x.py", line 3, in <module>
    f(False)
ValueError: in user code:

    File "x.py", line 87, in f  *
        (o1 if which else o2).apply_gradients([(tf.ones(1),v)])
    File "/lib/keras/optimizers/optimizer.py", line 695, in apply_gradients  **
        self.build(trainable_variables)

    ValueError: tf.function only supports singleton tf.Variables created on the first call. Make sure
        the tf.Variable is only created once or created outside tf.function.
"""

PYTEST = """
>       opt.apply_gradients(zip(grads, model.trainable_variables))
E       KeyError: 'The optimizer cannot
E           recognize variable kernel:0. This usually means you are trying'

train.py:12: KeyError
"""


def test_the_last_exception_of_a_chain_is_the_answer():
    assert [each.name for each in match(CHAIN)] == ["not-interpreted", "decay"]


def test_an_error_that_wraps_another_says_less():
    vague = CHAIN.replace(
        "ValueError: Could not interpret optimizer identifier", BY_NAME["keras-not-importable"].message
    )
    assert [each.name for each in match(vague)] == ["decay", "keras-not-importable"]


def test_source_lines_are_not_messages():
    assert match(QUOTED) == []


def test_messages_over_several_lines():
    assert first(IN_USER_CODE) == "variables-in-function"
    assert first(PYTEST) == "unknown-variable"
    assert first(CHAIN.replace("\n", "\r\n")) == "not-interpreted"


@pytest.mark.parametrize(
    "text",
    [
        "ValueError: shapes (3,2) and (5,) not aligned",
        "TypeError: 'list' object is not callable",  # whose list?
        "AttributeError: 'Sequential' object has no attribute 'get_weights'",
        "ModuleNotFoundError: No module named 'pandas'",
        "TypeError: my_function() got an unexpected keyword argument 'name'",
        "AttributeError: 'House' object has no attribute 'build'",
        "AttributeError: 'AdaptiveMesh' object has no attribute 'minimize'",
        "ValueError: Unknown variable name: x",
        "lr = 0.1 decay = 0.2",
    ],
)
def test_there_is_no_guess(text):
    assert match(text) == []


# ------------------------------------------------------------ the command


def answer_of(capsys, *arguments):
    status = cli.main(["doctor", *arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_a_traceback_in_a_file(capsys, tmp_path):
    (tmp_path / "error.txt").write_text(CHAIN)
    status, out, _ = answer_of(capsys, "--traceback", str(tmp_path / "error.txt"))
    assert status == 1
    text = " ".join(out.split())
    assert text.startswith(BY_NAME["not-interpreted"].cause)
    assert "problem not-interpreted" in text and "before it decay" in text
    assert max(map(len, out.splitlines())) <= 100


def test_a_traceback_from_stdin_as_json(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("ValueError: Unknown optimizer: Mine"))
    status, out, _ = answer_of(capsys, "--traceback", "-", "--json")
    found = json.loads(out)
    assert status == 1 and found["works"] is False
    assert found["facts"]["problem"] == "unknown-on-load"
    assert set(found["environment"]["apis"]) >= set(APIS)


def test_an_unknown_traceback(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(QUOTED))
    status, out, _ = answer_of(capsys, "--traceback", "-")
    assert status == 1
    assert out.startswith("Not known") and "optimizer APIs" in out and "what to do" not in out


@pytest.mark.wide
@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--traceback", "no/such/file"], "no/such/file"),
        (["no_such_package.opt:Mine"], "there is no module 'no_such_package'"),
        (["json"], "expected MODULE:CLASS"),
        (["json:JSONDecodr"], "Did you mean 'JSONDecoder'"),
        (["json:dumps"], "not an optimizer's class"),
        (["--model", "tf_keras"], "give either"),
        (["json:JSONDecoder", "--traceback", "x"], "give either"),
    ],
)
def test_wrong_usage(capsys, arguments, said):
    status, out, err = answer_of(capsys, *arguments)
    assert (status, out) == (2, "") and said in err


def test_an_empty_traceback(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(" \n"))
    assert answer_of(capsys, "--traceback", "-")[0] == 2


def test_with_no_framework_at_all(tmp_path):
    (tmp_path / "mine.py").write_text(
        "print('noise')\nimport tensorflow as tf\nclass A(tf.keras.Model): pass\n"
    )
    done = command("doctor", "mine:A", "--json", path=tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 1 and "pip install tensorflow" in found["advice"][0]
    assert "mine.py, line 2" in found["reasons"][0]
    assert "noise" in done.stderr


# ------------------------------------------------------------ classes


@pytest.fixture()
def module(monkeypatch):
    """A module to name classes of: `module(Mine=cls)`, then "its_module:Mine"."""
    made = types.ModuleType("its_module")
    monkeypatch.setitem(sys.modules, "its_module", made)
    return lambda **names: made.__dict__.update(names)


def host(name, *hooks, module="keras.src.optimizers.base", bases=(), **members):
    def hook(self, *args):
        return None

    members.update(dict.fromkeys(hooks, hook))
    return type(name, tuple(bases), dict(members, __module__=module))


def step_2(self, gradient, variable):
    return None


def step_3(self, gradient, variable, learning_rate):
    return None


BASE = host("BaseOptimizer", "apply_gradients", "build", update_step=step_3)
ADAM = host("Adam", bases=[BASE], update_step=step_3)
V2 = host(
    "OptimizerV2",
    *("_set_hyper", "_get_hyper", "add_slot", "_resource_apply_dense", "get_updates"),
    module="tensorflow_core.python.keras.optimizer_v2.optimizer_v2",
)


def reasons(cls, base, api):
    return diagnosis._hook_reasons(cls, base, api)


def test_what_a_class_is_written_for():
    def made(**members):
        return type("Mine", (object,), members)

    assert diagnosis.written_for(made(update_step=step_2)) == "keras_2_11"
    assert diagnosis.written_for(made(update_step=step_3)) == "keras_3"
    assert diagnosis.written_for(made(update_step=lambda self, *args: None)) is None
    assert diagnosis.written_for(made(_resource_apply_dense=step_2)) == "optimizer_v2"
    assert diagnosis.written_for(made(_resource_apply_dense=step_2, _apply_dense=step_2)) == "tf1"
    assert diagnosis.written_for(made(get_updates=step_2)) == "get_updates"
    assert diagnosis.written_for(type("Mine", (BASE,), {})) is None


def test_hooks_that_are_missing_or_have_another_signature():
    assert lineage(BASE) == "keras_3"
    (text,) = reasons(type("Mine", (BASE,), {}), BASE, "keras_3")
    assert "does not define update_step" in text
    (text,) = reasons(type("Mine", (BASE,), {"update_step": step_2}), BASE, "keras_3")
    assert "update_step(gradient, variable)" in text and "3 arguments" in text
    assert reasons(type("Mine", (BASE,), {"update_step": step_3}), BASE, "keras_3") == []
    assert reasons(type("Mine", (ADAM,), {}), ADAM, "keras_3") == []  # Adam brings its own

    def build(self):
        self._set_hyper("learning_rate", 0.1)

    (one, two) = reasons(type("Mine", (ADAM,), {"build": build}), ADAM, "keras_3")
    assert "build()" in one and "1 argument" in one and "_set_hyper" in two


def test_apply_state_where_the_host_does_not_give_it():
    def dense(self, grad, var, apply_state):
        return None

    (text,) = reasons(type("Mine", (V2,), {"_resource_apply_dense": dense}), V2, "optimizer_v2")
    assert "apply_state" in text
    newer = host("OptimizerV2", bases=[V2], module=V2.__module__, _dense_apply_args=())
    assert reasons(type("Mine", (newer,), {"_resource_apply_dense": dense}), newer, "optimizer_v2") == []


def test_the_package_is_read_off_the_module():
    assert diagnosis._package(V2) == "tensorflow_core.python.keras"
    assert diagnosis._package(ADAM) == "keras"
    assert diagnosis._package(host("O", module="tf_keras.src.optimizers")) == "tf_keras"


def test_the_placeholder_of_keras_3(module):
    placeholder = host("LegacyOptimizerWarning", module="keras.src.optimizers")
    module(Mine=type("Mine", (placeholder,), {"_resource_apply_dense": step_2}))
    found = diagnosis.diagnose("its_module:Mine")
    if KERAS_APIS or "tf1" in APIS:
        assert found.facts["problem"] == "legacy-in-keras-3"
        assert found.facts["written for"] == "optimizer_v2"
    assert found.works is False


def test_what_is_no_optimizer(module):
    module(Mine=type("Mine", (dict,), {}))
    found = diagnosis.diagnose("its_module:Mine")
    assert found.works is False


def test_an_import_that_fails_is_diagnosed(capsys, tmp_path, monkeypatch):
    (tmp_path / "its_failing.py").write_text("raise ImportError(\"No module named 'keras.src.engine'\")\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, _ = answer_of(capsys, "its_failing:Mine")
    assert status == 1
    assert "kcompat.addons" in out.replace("._vendor.", ".") or ".addons" in out
    assert "its_failing.py, line 1" in " ".join(out.split())


def native(api):
    """A class of an API as its documentation says to write one."""
    base = host_class(api)
    members = {"get_config": lambda self: base.get_config(self)}
    if api == "optimizer_v2":

        def init(self, learning_rate=0.1, name="Mine"):
            base.__init__(self, name)
            self._set_hyper("learning_rate", learning_rate)

        def dense(self, grad, var, apply_state=None):
            return var.assign_sub(self._get_hyper("learning_rate", var.dtype.base_dtype) * grad)

        members.update(_resource_apply_dense=dense, _create_slots=step_1)
    elif api == "keras_2_11":

        def init(self, learning_rate=0.1, name="Mine"):
            base.__init__(self, name)
            self._learning_rate = self._build_learning_rate(learning_rate)

        members["update_step"] = lambda self, gradient, variable: variable.assign_sub(gradient)
    else:

        def init(self, learning_rate=0.1):
            base.__init__(self, learning_rate=learning_rate)

        def update(self, gradient, variable, learning_rate):
            self.assign_sub(variable, learning_rate * gradient)

        members["update_step"] = update
    return type("Mine", (base,), dict(members, __init__=init))


def step_1(self, variables):
    return None


def taken(cls):
    """Whether a model here takes an optimizer of the class: what the doctor is asked."""
    if tf is not None:
        keras = tf.keras
    else:
        import keras
    model = keras.Sequential([keras.layers.Dense(1)])
    try:
        model.compile(optimizer=cls(), loss="mse")
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("api", KERAS_APIS)
def test_a_class_of_each_api_here(api, module, capsys):
    cls = native(api)
    module(Mine=cls)
    expected = taken(cls)
    status, out, _ = answer_of(capsys, "its_module:Mine")
    assert status == (0 if expected else 1), out
    assert out.startswith("Yes" if expected else "No")
    text = " ".join(out.split())
    assert "API {} ".format(api) in text
    assert "package {}".format(diagnosis._package(host_class(api))) in text


@pytest.mark.parametrize("api", KERAS_APIS)
def test_our_own_classes(api, module):
    import kcompat
    from kcompat import rules

    cls = kcompat.optimizer_class(rules.Adam, api)
    module(Mine=cls, Rule=rules.Adam)
    assert diagnosis.diagnose("its_module:Mine").works is taken(cls)
    assert diagnosis.diagnose("its_module:Rule").works is True


@pytest.mark.parametrize("api", KERAS_APIS)
@pytest.mark.parametrize("other", ["optimizer_v2", "keras_2_11", "keras_3"])
def test_a_class_written_for_another_api(api, other, module):
    if other == api:
        return
    base = host_class(api)
    hooks = {"optimizer_v2": {"_resource_apply_dense": step_2, "_create_slots": step_1}}
    hooks.update(keras_2_11={"update_step": step_2}, keras_3={"update_step": step_3})
    module(Mine=type("Mine", (base,), dict(hooks[other], get_config=lambda self: {})))
    found = diagnosis.diagnose("its_module:Mine")
    assert found.works is False and found.reasons and len(found.advice) >= 2
    adopting = [each for each in found.advice if "hooks.adopt(Mine)" in each]
    # The hooks of others call TensorFlow.
    assert len(adopting) == (detect().keras_backend in (None, "tensorflow"))
    assert (found.facts["API"], found.facts["written for"]) == (api, other)


@pytest.mark.parametrize("api", KERAS_APIS[-1:])
def test_a_class_that_fails_when_it_is_tried(api, module):
    cls = native(api)

    def init(self):
        raise AttributeError("'Mine' object has no attribute '_set_hyper'")

    module(Mine=type("Mine", (cls,), {"__init__": init}))
    found = diagnosis.diagnose("its_module:Mine")
    assert found.works is False
    if taken(cls):
        assert found.facts["problem"] == "old-hooks" and "Mine()" in found.answer


@pytest.mark.skipif(not KERAS_APIS, reason="no Keras here")
def test_a_model_of_a_keras_that_is_not_here(module):
    module(Mine=native(KERAS_APIS[-1]))
    try:
        import tf_keras  # noqa: F401
    except ImportError:
        found = diagnosis.diagnose("its_module:Mine", "tf_keras")
        assert found.works is False and "tf_keras" in found.reasons[0]


@pytest.mark.skipif(tf is None, reason="no TensorFlow here")
def test_keras_named_otherwise_is_the_same(module):
    """In 2.6 to 2.15 `keras` is tf.keras, though its `Optimizer` is another class."""
    # Not imported to find out: Keras 2.15 beside tf_keras 2.15 breaks the loaders of both.
    if tf.keras.Model.__module__.split(".")[0] != "keras":
        return
    import keras

    assert keras.Model is tf.keras.Model
    for api in KERAS_APIS:
        module(Mine=native(api))
        one, other = (diagnosis.diagnose("its_module:Mine", name) for name in ("tf.keras", "keras"))
        assert one.works is other.works
        assert one.facts["model"].split(": ")[1] == other.facts["model"].split(": ")[1]


# ------------------------------------------------------------ what the release here really says


def _optimizers():
    return tf.keras.optimizers


def _two_variables():
    optimizer = _optimizers().Adam()
    for name in "ab":
        optimizer.apply_gradients([(tf.ones(1), tf.Variable([1.0], name=name))])


def _function():
    variable = tf.Variable([1.0])

    @tf.function
    def step():
        _optimizers().Adam().apply_gradients([(tf.ones(1), variable)])

    step()
    step()


def _reference():
    with tf.Graph().as_default():
        variable = tf.compat.v1.get_variable("v", [1], use_resource=False)
        _optimizers().Adam().apply_gradients([(tf.ones(1), variable)])


def _aggregate():
    variable = tf.Variable([1.0])
    _optimizers().Adam().apply_gradients([(tf.ones(1), variable)], experimental_aggregate_gradients=True)


def _get_weights():
    optimizer = _optimizers().Adam()
    optimizer.get_weights()


def _called():
    optimizer = _optimizers().Adam()
    optimizer.variables()


def _minimize():
    optimizer = _optimizers().Adam()
    optimizer.minimize(None, None)


ACTIONS = {
    "decay": lambda: _optimizers().Adam(decay=0.1),
    "lr": lambda: _optimizers().Adam(lr=0.1),
    "legacy": lambda: _optimizers().legacy.Adam(),
    "not-interpreted": lambda: tf.keras.Sequential().compile(optimizer=object(), loss="mse"),
    "not-recognized-argument": lambda: _optimizers().Adam(learning_rat=1),
    "unknown-variable": _two_variables,
    "variables-in-function": _function,
    "ref-variable": _reference,
    "apply-gradients-arguments": _aggregate,
    "weights-methods": _get_weights,
    "variables-called": _called,
    "minimize-missing": _minimize,
    "no-gradients": lambda: _optimizers().Adam().apply_gradients([(None, tf.Variable([1.0]))]),
    "unknown-on-load": lambda: _optimizers().deserialize({"class_name": "Nobodys", "config": {}}),
    "train-optimizer": lambda: tf.train.Optimizer,
    "optimizer-v2-module": lambda: __import__("keras.optimizer_v2.optimizer_v2"),
}


@pytest.mark.wide
@pytest.mark.skipif(not EAGER or tf is None, reason="messages of TensorFlow in eager mode")
def test_the_messages_of_this_release():
    """Each that is raised here is recognized; many are, or this tests nothing."""
    import traceback

    got, wrong = [], {}
    for name, action in ACTIONS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                action()
        except Exception:
            text = traceback.format_exc()
            answer = first(text)
            expected = {name}
            if name == "legacy":
                expected = {"legacy-in-keras-3", "legacy-not-there-yet"}
            elif name == "optimizer-v2-module":
                expected |= {"no-keras"}
            elif name == "minimize-missing" and answer is None:
                continue  # minimize is there, and refuses None in its own words
            got.append(name)
            if answer not in expected:
                wrong[name] = text
    assert not wrong, "\n".join("{}\n{}".format(*item) for item in wrong.items())
    assert len(got) >= 6, got

"""Saving and loading: training goes on after it exactly as if it had not been interrupted, or saving raises.

Whole models in every format of the host, weights, pickles and copies of an optimizer, configurations, and the
names under which Keras finds the classes again.
"""

import copy
import importlib
import json
import os
import pickle
import subprocess
import sys
import warnings

import _package
import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import api_modes, make_variable, to_numpy
from _rules import ByName, Distance, Factored, SignMomentum
from _steps import steps
from _training import STEPS, TASKS, keras_of, native

import kcompat
from kcompat import rules
from kcompat.adapters.registration import _utils_of, registered_name
from kcompat.environment import host_class

# Keras 3 on JAX and PyTorch: test_keras_3_arrays. Standalone Keras: test_get_updates.
APIS = [api for api in on_tensorflow(ALL) if api != "get_updates"]

TASK = TASKS["embedded"]
HALF = STEPS // 2


def _eager():
    if not APIS:
        return False
    import tensorflow as tf

    return tf.executing_eagerly()


EAGER = _eager()
API_MODES = api_modes(APIS)
WAYS = [next(each for each in API_MODES if each[0] == api) for api in APIS]
EAGER_APIS = [api for api in APIS if EAGER]
# Those that Keras' models take as they are; without eager mode, update_step optimizers can't be trained with.
KERAS = [api for api in APIS if api == "optimizer_v2" or (EAGER and api in ("keras_2_11", "keras_3"))]


class Both(Distance):
    """A scalar of all variables, and slots like the variable and of another shape."""

    def init(self, xp, param):
        return dict(super().init(xp, param), row=xp.zeros(param.shape[:1]))

    def update(self, xp, grad, param, slots, hyper, step):
        new, changed = super().update(xp, grad, param, slots, hyper, step)
        axes = tuple(range(1, param.ndim))
        row = slots["row"] + (xp.sum(grad, axis=axes) if axes else grad)
        return new - 0.01 * xp.sum(row), dict(changed, row=row)


BASE = {"clipnorm": 0.9, "use_ema": True, "ema_overwrite_frequency": 3}


def _make(api, rule=Both):
    return kcompat.optimizer_class(rule, api)(0.1, **BASE)


def _is_keras_3(keras):
    return hasattr(keras, "ops")


def _zips(keras):
    """Whether `.keras` files are zip files; up to 2.12 they are HDF5 files by another name."""
    return _is_keras_3(keras) or _tf_version() >= (2, 13)


def _tf_version():
    import tensorflow as tf

    return tuple(int(part) for part in tf.__version__.split(".")[:2])


def _formats(api):
    """How a model with an optimizer of this API can be saved with its state."""
    keras = keras_of(api)
    if _is_keras_3(keras):
        return ["h5", "keras", "weights.h5"]
    formats = ["weights"]
    if EAGER:  # a model loaded from a SavedModel can't be trained in a graph, whatever its optimizer
        formats.append("directory")
    if not (api == "keras_2_11" and _tf_version() < (2, 11)):
        formats += ["h5"] + ["keras"] * (api == "keras_2_11" or not _zips(keras))
    if api == "keras_2_11" and _zips(keras):
        formats.append("weights.h5")
    return formats


def _compiled(api, optimizer):
    keras = keras_of(api)
    if not EAGER:
        keras.backend.clear_session()
    model = TASK.model(keras)
    # Keras 3 can't load the name from an HDF5 file, and TensorFlow 1.14 not the object.
    model.compile(optimizer=optimizer, loss=keras.losses.MeanSquaredError() if _is_keras_3(keras) else "mse")
    return model


def _train(model, batches):
    import tensorflow as tf

    for x, y in batches:
        if not EAGER:
            model.train_on_batch(x, y)
            continue
        variables = list(model.trainable_variables)
        with tf.GradientTape() as tape:
            loss = TASK.loss(variables, tf.constant(x), tf.constant(y))
        model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))


def _values(model):
    # In 2.9 the variables of an update_step optimizer follow among the model's.
    return model.get_weights()[: len(TASK.names)]


def _save(model, path, form):
    if form.startswith("weights"):
        path += "." + form if form == "weights.h5" else ""
        model.save_weights(path)
    elif form == "directory":
        model.save(path, save_format="tf")
    else:
        path += "." + form
        model.save(path)
    return path


def _same(got, want):
    return len(got) == len(want) and all(np.array_equal(left, right) for left, right in zip(got, want))


# Whole models.


def _resumes(api, form, rule, path):
    """Trains a model, saves it halfway, goes on; and goes on with what was saved, in the same way."""
    batches = TASK.batches()
    model = _compiled(api, _make(api, rule))
    _train(model, batches[:2])
    if EAGER:
        model.optimizer.learning_rate = 0.03  # which float32 does not hold, as a callback sets it
    _train(model, batches[2:HALF])
    path = _save(model, path, form)
    _train(model, batches[HALF:])
    whole = _values(model)

    if form.startswith("weights"):
        resumed = _compiled(api, _make(api, rule))
        resumed.load_weights(path)
    else:
        if not EAGER:
            keras_of(api).backend.clear_session()
        resumed = keras_of(api).models.load_model(path)
    assert type(resumed.optimizer) is kcompat.optimizer_class(rule, api)
    _train(resumed, batches[HALF:])
    assert _same(_values(resumed), whole)
    if EAGER:
        assert int(to_numpy(resumed.optimizer.iterations)) == STEPS


@pytest.mark.parametrize("api,form", [(api, form) for api in KERAS for form in _formats(api)])
def test_a_saved_model_goes_on_exactly(api, form, tmp_path):
    # TensorFlow can't load a SavedModel with an OptimizerV2's slot of another shape; see below.
    rule = Distance if (api, form) == ("optimizer_v2", "directory") else Both
    _resumes(api, form, rule, str(tmp_path / "model"))


@pytest.mark.parametrize("api", [api for api in KERAS if api == "keras_2_11" and _tf_version() < (2, 11)])
def test_hdf5_of_2_9_and_2_10_holds_no_state_of_update_step_optimizers(api, tmp_path):
    model = _compiled(api, _make(api))
    _train(model, TASK.batches()[:1])
    with pytest.raises(kcompat.StateError, match="SavedModel"):
        model.save(str(tmp_path / "model.h5"))
    model.save(str(tmp_path / "without.h5"), include_optimizer=False)


def _older_with_zip_files():
    """Up to 2.12, TensorFlow 1's optimizers are left out of files, and Keras says so in its log."""
    older = [api for api in EAGER_APIS if api in ("tf1", "optimizer_v2") and keras_of(api)]
    return [api for api in older if _zips(keras_of(api))]


@pytest.mark.parametrize("api", _older_with_zip_files())
def test_a_zip_file_holds_no_state_of_older_optimizers(api, tmp_path):
    """Natively the state of an OptimizerV2 is left out without a word."""
    model = _compiled(api, _make(api))
    if api == "optimizer_v2":
        _train(model, TASK.batches()[:1])
    else:
        model.train_on_batch(*TASK.batches()[0])
    with pytest.raises(kcompat.StateError, match=r"\.keras"):
        model.save(str(tmp_path / "model.keras"))
    if api == "optimizer_v2":
        import zipfile

        model = _compiled(api, native(api, "Adam")(0.1))
        _train(model, TASK.batches()[:1])
        model.save(str(tmp_path / "native.keras"))
        with zipfile.ZipFile(str(tmp_path / "native.keras")) as archive:
            archive.extract("model.weights.h5", str(tmp_path))
        import h5py

        with h5py.File(str(tmp_path / "model.weights.h5"), "r") as file:
            assert not len(file.get("optimizer", {}).get("vars", {}))


@pytest.mark.parametrize("api", [api for api in KERAS if api == "optimizer_v2" and EAGER])
def test_a_saved_model_that_could_not_be_loaded_is_not_saved(api, tmp_path):
    model = _compiled(api, _make(api))
    _train(model, TASK.batches()[:1])
    with pytest.raises(kcompat.StateError, match="'row' of '.*embeddings'.*HDF5"):
        model.save(str(tmp_path / "model"), save_format="tf")


@pytest.mark.parametrize("api", [a for a in EAGER_APIS if a == "tf1" and keras_of(a)])
def test_weights_with_a_tensorflow_1_optimizer_go_on_exactly(api, tmp_path):
    """Keras wraps it, and saves it with weights in TensorFlow's format only."""
    x, y = TASK.data()
    half = len(x) // 2

    def fit(model, part):
        model.fit(x[part], y[part], batch_size=3, epochs=1, shuffle=False, verbose=0)

    model = _compiled(api, _make(api))
    fit(model, slice(0, half))
    model.save_weights(str(tmp_path / "weights"))
    fit(model, slice(half, None))
    resumed = _compiled(api, _make(api))
    resumed.load_weights(str(tmp_path / "weights"))
    fit(resumed, slice(half, None))
    assert _same(_values(resumed), _values(model))


@pytest.mark.parametrize("api", [api for api in KERAS if api == "keras_3"])
def test_keras_3_forgets_the_optimizer_in_writing_hdf5(api, tmp_path):
    """Up to 3.15, a `.keras` file written after an HDF5 file is loaded with RMSprop."""
    import keras

    def loaded(optimizer):
        model = _compiled(api, optimizer)
        _train(model, TASK.batches()[:1])
        model.save(str(tmp_path / "first.h5"))
        model.save(str(tmp_path / "then.keras"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return keras.models.load_model(str(tmp_path / "then.keras")).optimizer

    version = tuple(int(part) for part in keras.__version__.split(".")[:2])
    assert type(loaded(native(api, "SGD")(0.1))).__name__ == ("SGD" if version >= (3, 16) else "RMSprop")
    optimizer = loaded(_make(api))
    assert type(optimizer) is kcompat.optimizer_class(Both, api) and int(to_numpy(optimizer.iterations)) == 1


@pytest.mark.parametrize("api", [api for api in KERAS if api == "keras_3"])
def test_a_loaded_hdf5_file_can_be_saved_before_it_is_trained(api, tmp_path):
    """Keras 3 sets the state of an optimizer that has no variables yet: it waits."""
    import keras

    model = _compiled(api, _make(api))
    _train(model, TASK.batches()[:HALF])
    model.save(str(tmp_path / "first.h5"))
    _train(model, TASK.batches()[HALF:])
    keras.models.load_model(str(tmp_path / "first.h5")).save(str(tmp_path / "second.h5"))
    resumed = keras.models.load_model(str(tmp_path / "second.h5"))
    with pytest.raises(kcompat.StateError, match="build"):
        resumed.optimizer.save_own_variables({})
    _train(resumed, TASK.batches()[HALF:])
    assert _same(_values(resumed), _values(model))


# Names.

MODULE = """
import kcompat
from _rules import SignMomentum

Adam = kcompat.optimizer_class(kcompat.rules.Adam, {api!r})
Sign = kcompat.optimizer_class(SignMomentum, {api!r})
"""

LOAD = """
import sys
import tensorflow as tf
for line in sys.argv[1:]:
    module, package, path = line.split("|")
    __import__(module)
    keras = tf.keras if package == "tf.keras" else __import__(package)
    print("LOADED", type(keras.models.load_model(path).optimizer).__module__)
"""


@pytest.mark.parametrize("apis", [KERAS] if KERAS else [])
def test_a_new_process_needs_only_the_module_that_makes_the_class(apis, tmp_path):
    import tensorflow as tf

    arguments, modules = [], []
    for api in apis:
        (tmp_path / ("made_" + api + ".py")).write_text(MODULE.format(api=api))
        keras = keras_of(api)
        for rule in (rules.Adam, SignMomentum):
            no_hdf5 = api == "keras_2_11" and _tf_version() < (2, 11)
            form = "directory" if no_hdf5 else "keras" if api != "optimizer_v2" and _zips(keras) else "h5"
            model = _compiled(api, kcompat.optimizer_class(rule, api)(0.1))
            path = _save(model, str(tmp_path / (api + rule.__name__)), form)
            package = "tf.keras" if keras is tf.keras else keras.__name__
            arguments.append("|".join(("made_" + api, package, path)))
            modules.append(rule.__module__)
    here = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), here, _package.PATH])),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    loaded = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("LOADED")]
    assert loaded == modules, done.stderr[-4000:]


def _round_trip(api, optimizer):
    optimizers = keras_of(api).optimizers
    serialized = optimizers.serialize(optimizer)
    # The configurations of Keras' own have NumPy's numbers in some releases.
    return optimizers.deserialize(json.loads(json.dumps(serialized, default=float)))


def _copied_package(tmp_path, monkeypatch, name):
    """A copy of the package inside another, as it is vendored."""
    import shutil

    here = os.path.dirname(os.path.abspath(kcompat.__file__))
    shutil.copytree(here, str(tmp_path / name / "kcompat"), ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / name / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module(name + ".kcompat")


@pytest.mark.parametrize("api", KERAS)
def test_classes_of_one_name_do_not_meet(api, tmp_path, monkeypatch):
    """The host's, kcompat's, a vendored copy's, and two users' rules of the same name."""
    vendored = _copied_package(tmp_path, monkeypatch, "vendors_{}".format(api))
    mine = type("Adam", (rules.Adam,), {"__module__": "some.library"})
    other = type("Adam", (rules.Adam,), {"__module__": "another.library"})
    classes = [kcompat.optimizer_class(rule, api) for rule in (rules.Adam, mine, other)]
    classes.append(vendored.optimizer_class(vendored.rules.Adam, api))
    if native(api, "Adam"):
        classes.append(native(api, "Adam"))
    for made in classes:
        assert made.__name__ == "Adam"
        assert type(_round_trip(api, made(0.5))) is made


def test_names_carry_the_package():
    assert registered_name(rules.Adam, "keras_3", "Adam") == kcompat.__name__ + ".keras_3>Adam"
    assert registered_name(rules.Adam, "keras_3", "Mine") == kcompat.__name__ + ".keras_3>Adam:Mine"
    users = kcompat.__name__ + ".tf1>_rules.SignMomentum"
    assert registered_name(SignMomentum, "tf1", "SignMomentum") == users


@pytest.mark.parametrize("api", KERAS)
def test_what_is_not_registered_is_not_loaded_as_the_hosts_own(api, monkeypatch):
    made = kcompat.optimizer_class(rules.Adam, api)
    serialized = keras_of(api).optimizers.serialize(made(0.5))
    objects = _utils_of(host_class(api)).get_custom_objects()
    for name in [name for name, value in objects.items() if name.endswith(">Adam") and "kcompat" in name]:
        monkeypatch.delitem(objects, name)
    with pytest.raises((ValueError, TypeError)):
        keras_of(api).optimizers.deserialize(serialized)


@pytest.mark.parametrize("api", KERAS)
def test_custom_objects_may_be_given(api, tmp_path):
    keras = keras_of(api)
    made = kcompat.optimizer_class(SignMomentum, api)
    model = _compiled(api, made(0.25))
    form = "directory" if api == "keras_2_11" and _tf_version() < (2, 11) else "h5"
    path = _save(model, str(tmp_path / "model"), form)
    if not EAGER:
        keras.backend.clear_session()
    loaded = keras.models.load_model(path, custom_objects={"SignMomentum": made})
    assert type(loaded.optimizer) is made and loaded.optimizer.get_config()["learning_rate"] == 0.25


@pytest.mark.parametrize("api", KERAS)
def test_a_class_that_is_made_again_takes_the_name(api):
    """As when the cell of a notebook is run again, which Keras up to 2.10 refuses to register."""
    for _ in range(2):
        rule = type("Again", (rules.SGD,), {"__module__": "notebook"})
        made = kcompat.optimizer_class(rule, api)
        assert type(_round_trip(api, made(0.5))) is made


@pytest.mark.parametrize("api", KERAS)
def test_a_name_of_another_api_leads_here(api):
    """A model saved with OptimizerV2 in 2.10 is loaded with the default class of 2.15."""
    rule = type("Elsewhere_" + api, (rules.SGD,), {"__module__": "notebook"})
    made = kcompat.optimizer_class(rule, api)
    other = registered_name(rule, "get_updates", rule.__name__)
    assert _utils_of(host_class(api)).get_custom_objects()[other] is made


# Weights.


@pytest.mark.parametrize("api,mode", sorted({*WAYS, *(way for way in API_MODES if way[1] == "graph")}))
def test_set_weights_takes_what_get_weights_gave(api, mode):
    def training():
        return steps(api, mode, lambda: _make(api), np.ones((2, 3)), np.ones(4))

    with training() as first:
        with first.session.as_default() if first.session else _nothing():
            first.step(0.5, -2.0)
            first.step(1.5, 0.25)
            values, weights = first.values(), first.optimizer.get_weights()
            # The counter, the average and both of the rule's slots of each variable, and two scalars.
            assert len(weights) == 1 + 2 * 3 + 2 and weights[0] == 2
            first.step(0.125, 1.0)
            whole = first.values()
    with training() as second:
        with second.session.as_default() if second.session else _nothing():
            second.step(1.0, 1.0)
            for variable, value in zip(second.variables, values):
                second.assign(variable, value)
            before = second.optimizer.get_weights()
            for wrong in (weights[:-1], [*weights[:-1], np.ones(7)], [*weights, np.zeros(())] * 2):
                with pytest.raises(kcompat.StateError, match="expected"):
                    second.optimizer.set_weights(wrong)
                assert _same(second.optimizer.get_weights(), before)
            second.optimizer.set_weights(weights)
            assert _same(second.optimizer.get_weights(), weights)
            second.step(0.125, 1.0)
            assert _same(second.values(), whole)


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@pytest.mark.parametrize("api", EAGER_APIS)
def test_weights_have_the_order_of_the_list_and_not_of_a_checkpoint(api, tmp_path):
    """After a deferred restore, OptimizerV2's own are in another order than before."""
    import tensorflow as tf

    if api == "keras_3" and not hasattr(host_class(api), "_trackable_children"):
        return  # Keras 3.0's optimizers are nothing that TensorFlow can save

    def fresh():
        optimizer = kcompat.optimizer_class(SignMomentum, api)(0.1)
        variables = [make_variable(api, np.full(2, i, "float32"), "v{}".format(i)) for i in range(3)]
        named = dict(zip(["c", "a", "b"], variables))
        return optimizer, variables, tf.train.Checkpoint(optimizer=optimizer, **named)

    optimizer, variables, checkpoint = fresh()
    for i in range(3):  # one after the other, in another order than that of the whole list
        optimizer.apply_gradients([(tf.constant([1.0, i]), variables[-i])])
    optimizer.apply_gradients([(tf.constant([1.0, i]), v) for i, v in enumerate(variables)])
    weights = optimizer.get_weights()
    slots = [to_numpy(optimizer.get_slot(v, "m")) for v in variables]
    assert _same(weights[1:], slots)

    if api in ("keras_2_11", "keras_3"):
        return  # there, what a checkpoint holds is told by position
    path = checkpoint.save(str(tmp_path / "checkpoint"))
    optimizer, variables, checkpoint = fresh()
    checkpoint.restore(path)
    with pytest.raises(kcompat.StateError, match="build"):
        optimizer.get_weights()
    optimizer.build(variables)
    assert _same(optimizer.get_weights(), weights)
    optimizer, variables, checkpoint = fresh()
    optimizer.build(variables)  # before, and restoring makes nothing more
    checkpoint.restore(path)
    assert _same(optimizer.get_weights(), weights)


@pytest.mark.parametrize("api", EAGER_APIS)
def test_state_is_told_by_names_where_there_are_names(api):
    """Saved with layers in one order, or one of them frozen, and loaded with them in another."""
    import tensorflow as tf

    def fresh(order):
        optimizer = kcompat.optimizer_class(SignMomentum, api)(0.1)
        variables = {name: make_variable(api, np.zeros(2, "float32"), name) for name in "abc"}
        return optimizer, [variables[name] for name in order]

    optimizer, variables = fresh("abc")
    optimizer.apply_gradients([(tf.constant([1.0, i]), v) for i, v in enumerate(variables)])
    store = {}
    optimizer.save_own_variables(store)
    slots = {name: to_numpy(optimizer.get_slot(v, "m")) for name, v in zip("abc", variables)}

    for built_first in (True, False):
        optimizer, variables = fresh("cab")
        if built_first:
            optimizer.build(variables)
        optimizer.load_own_variables(store)
        optimizer.build(variables[:2])
        again = {}
        optimizer.save_own_variables(again)  # with what still waits
        assert set(again) == set(store)
        optimizer.build(variables)
        for name, variable in zip("cab", variables):
            assert np.array_equal(to_numpy(optimizer.get_slot(variable, "m")), slots[name])
        assert int(to_numpy(optimizer.iterations)) == 1

    optimizer, variables = fresh("abc")
    with pytest.warns(UserWarning, match="of another optimizer"):
        optimizer.load_own_variables({"0": np.ones(())})
    for built_first in (True, False):
        optimizer = kcompat.optimizer_class(rules.Adam, api)(0.25)
        if built_first:
            optimizer.build(variables)
        with pytest.warns(UserWarning, match="fits none of the variables"):
            optimizer.load_own_variables(store)
            optimizer.build(variables)
        assert int(to_numpy(optimizer.iterations)) == 0
        assert float(to_numpy(optimizer.learning_rate)) == 0.25


# Pickles and copies.

COPIES = {
    "pickle": lambda optimizer: pickle.loads(pickle.dumps(optimizer)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("how", sorted(COPIES))
@pytest.mark.parametrize("api", EAGER_APIS)
def test_a_copy_goes_on_exactly_and_on_its_own(api, how):
    import tensorflow as tf

    def variables(values):
        return [make_variable(api, v, "v{}".format(i)) for i, v in enumerate(values)]

    def step(optimizer, variables, size):
        optimizer.apply_gradients([(tf.fill(v.shape, size), v) for v in variables])

    first, own = _make(api), variables([np.ones((2, 3), "float32"), np.ones(4, "float32")])
    step(first, own, 0.5)
    first.learning_rate = 0.03
    copied = COPIES[how](first)
    twice = COPIES[how](copied)  # before it has been used
    theirs = [variables([to_numpy(v) for v in own]) for _ in range(2)]
    step(first, own, 0.25)
    first.learning_rate = 0.5
    for other, its in zip((copied, twice), theirs):
        assert type(other) is type(first)
        assert other.get_config()["learning_rate"] == 0.03
        step(other, its, 0.25)
        assert _same([to_numpy(v) for v in its], [to_numpy(v) for v in own])
        assert int(to_numpy(other.iterations)) == 2

    other = COPIES[how](first)
    with pytest.raises(kcompat.StateError, match=r"v0 \(2, 3\).*these are w \(7,\)"):
        other.build([make_variable(api, np.ones(7, "float32"), "w")])


@pytest.mark.parametrize("api,mode", WAYS)
def test_what_can_not_be_copied_says_so(api, mode):
    made = kcompat.optimizer_class(rules.SGD, api)
    unpicklable = made(lambda: 0.5)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps(unpicklable)
    if mode == "graph":
        with steps(api, mode, lambda: made(0.5, momentum=0.5)) as training:
            training.step()
            pickled = pickle.dumps(training.optimizer)
            with pytest.raises(kcompat.StateError, match="nitialize"):
                pickle.loads(pickled).build(training.variables)
    assert pickle.loads(pickle.dumps(made(0.25))).get_config()["learning_rate"] == 0.25


def test_a_rule_is_pickled():
    for rule in (rules.Adam(0.5), Factored(0.25, power=3), ByName()):
        assert pickle.loads(pickle.dumps(rule)) == rule and copy.deepcopy(rule) == rule


@pytest.mark.parametrize("api", APIS)
def test_a_subclass_is_copied_by_its_configuration(api):
    class Mine(kcompat.optimizer_class(rules.SGD, api)):
        def __init__(self, *args, extra=1, **kwargs):
            super().__init__(*args, **kwargs)
            self._extra = extra

        def get_config(self):
            return dict(super().get_config(), extra=self._extra)

        @classmethod
        def from_config(cls, config, custom_objects=None):
            return cls(config["learning_rate"], extra=config["extra"])

    copied = copy.deepcopy(Mine(0.5, extra=7))
    assert type(copied) is Mine and copied._extra == 7 and copied.get_config()["learning_rate"] == 0.5
    assert copied.__class__ is Mine


# Configurations.


@pytest.mark.parametrize("api,mode", WAYS)
def test_a_configuration_has_the_values_of_now(api, mode):
    """Also of what is around the rule, and of rules inside it."""
    from kcompat.transforms import ExponentialMovingAverage

    for inner in (False, True):
        rule = rules.Adam(0.1)
        rule = ExponentialMovingAverage(rule, ema_momentum=0.75) if inner else rule
        base = {} if inner else {"use_ema": True, "ema_momentum": 0.75}
        optimizer = kcompat.optimizer(rule, api=api, weight_decay=0.5, **base)
        for name in ("learning_rate", "beta_1", "ema_momentum", "weight_decay"):
            setattr(optimizer, name, 0.25)
        config = json.loads(json.dumps(optimizer.get_config()))
        again = type(optimizer).from_config(config)
        assert again.get_config() == config
        for name in ("learning_rate", "beta_1", "ema_momentum", "weight_decay"):
            assert float(_number(again, name)) == 0.25, name


def _number(optimizer, name):
    return optimizer._current_number(optimizer._kc.attributes[name])


def _schedules(api):
    import tensorflow as tf

    optimizers = tf.keras.optimizers if api == "tf1" else keras_of(api).optimizers
    return getattr(optimizers, "schedules", None)


@pytest.mark.parametrize("api", [api for api in APIS if _schedules(api)])  # none in TensorFlow 1.13
def test_a_schedule_of_a_rule_inside_is_in_the_configuration(api):
    from kcompat.transforms import ClipByNorm

    schedule = _schedules(api).ExponentialDecay(0.5, 2, 0.25)
    for rule in (rules.SGD(schedule), ClipByNorm(rules.SGD(schedule), 1.0)):
        optimizer = kcompat.optimizer(rule, api=api)
        config = json.loads(json.dumps(optimizer.get_config()))
        again = type(optimizer).from_config(config)
        source = again._kc.attributes["learning_rate"].source
        assert type(source) is type(schedule) and source.get_config() == schedule.get_config()


@pytest.mark.parametrize("api,mode", WAYS)
def test_exclusions_from_weight_decay_are_in_the_configuration(api, mode):
    """Natively they are lost: a loaded model decays everything."""
    made = kcompat.optimizer_class(rules.SGD, api)

    def moved(change):
        def make():
            optimizer = made(0.5, weight_decay=0.5)
            optimizer.exclude_from_weight_decay(var_names=["v1"])
            return change(optimizer)

        with steps(api, mode, make, np.ones(2), np.ones(2)) as training:
            return [float(each[0]) for each in training.step(0.0, 0.0)]

    assert moved(lambda optimizer: optimizer) == [0.25, 0.0]
    assert moved(lambda o: made.from_config(json.loads(json.dumps(o.get_config())))) == [0.25, 0.0]
    assert moved(copy.deepcopy) == [0.25, 0.0]
    assert moved(lambda o: pickle.loads(pickle.dumps(o))) == [0.25, 0.0]


@pytest.mark.parametrize("api", EAGER_APIS)
def test_excluded_variables_are_told_by_name_in_a_configuration(api):
    import tensorflow as tf

    made = kcompat.optimizer_class(rules.SGD, api)
    variables = [make_variable(api, np.ones(2, "float32"), "v{}".format(i)) for i in range(2)]
    optimizer = made(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=variables[:1])
    again = made.from_config(optimizer.get_config())
    again.apply_gradients([(tf.zeros(2), v) for v in variables])
    assert [to_numpy(v)[0] for v in variables] == [1.0, 0.75]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("source", APIS)
def test_the_configuration_of_another_api_is_taken(api, source):
    import tensorflow as tf

    optimizer = kcompat.optimizer_class(rules.Adam, source)(0.25, beta_1=0.75, weight_decay=0.5, clipnorm=2.0)
    config = kcompat.optimizer_class(rules.Adam, api).from_config(optimizer.get_config()).get_config()
    expected = optimizer.get_config()
    for name in ("learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad", "weight_decay", "clipnorm"):
        assert config[name] == expected[name]
    if _schedules(source) and _schedules(api) and tf.executing_eagerly():
        schedule = _schedules(source).ExponentialDecay(0.5, 2, 0.25)
        optimizer = kcompat.optimizer_class(rules.SGD, source)(schedule)
        again = kcompat.optimizer_class(rules.SGD, api).from_config(optimizer.get_config())
        assert float(again._kc.attributes["learning_rate"].source(4)) == pytest.approx(0.5 * 0.25**2)


@pytest.mark.parametrize("api", [api for api in KERAS if native(api, "SGD")])
def test_the_configuration_of_a_native_optimizer_is_taken(api):
    theirs = native(api, "SGD")(0.25, momentum=0.5, nesterov=True)
    ours = kcompat.optimizer_class(rules.SGD, api).from_config(theirs.get_config()).get_config()
    assert (ours["learning_rate"], ours["momentum"], ours["nesterov"]) == (0.25, 0.5, True)


@pytest.mark.parametrize("api", EAGER_APIS)
def test_what_has_no_configuration_is_stored_as_its_value_with_a_warning(api):
    import tensorflow as tf

    for rate in (lambda: 0.25, tf.Variable(0.25)):
        optimizer = kcompat.optimizer_class(rules.SGD, api)(rate)
        with pytest.warns(UserWarning, match="no configuration; its value now"):
            assert optimizer.get_config()["learning_rate"] == 0.25

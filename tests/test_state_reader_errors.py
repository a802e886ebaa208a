"""Checkpoints that are damaged, foreign or say too little, written byte by byte: what the error says."""

import importlib
import os
import shutil

import _bundles
import _package
import numpy as np
import pytest
from _bundles import graph, message, node

from kcompat import state
from kcompat.errors import StateError

READERS = _package.NAME + ".state.readers."
bundle = importlib.import_module(READERS + "bundle")
keras_file = importlib.import_module(READERS + "keras_file")
meaning = importlib.import_module(READERS + "meaning")
positions = importlib.import_module(READERS + "positions")
saved_model = importlib.import_module(READERS + "saved_model")
found = importlib.import_module(READERS + "found")

ONE, COUNT = np.ones(2, "float32"), np.int64(3)
ADAM = {"w": ONE, "w/Adam": ONE, "w/Adam_1": ONE}
SGD = (
    node({"w": 1, "optimizer": 2}),
    node(name="w", key="w"),
    node({"iter": 3}, slots=[(1, "momentum", 4)]),
    node(name="iter", key="i"),
    node(name="SGD/w/momentum", key="m"),
)
TF1 = (*SGD[:2], node({"iterations": 3}, slots=[(1, "momentum", 4)]), *SGD[3:])  # kcompat's own
NUMBERS = {"w": ONE, "m": ONE, "i": COUNT}
ONLY_READ = found.Asked(False, None, {}, None, None)


def raises(words):
    return pytest.raises(StateError, match=words)


def written(folder, tensors, **options):
    return _bundles.write(str(folder / "ckpt"), tensors, **options)


def test_the_checkpoints_are_what_readers_take(tmp_path):
    read = state.read(written(tmp_path, {**graph(*SGD), **NUMBERS}))
    assert read.rule == "SGD" and read.step == 3 and set(read.variables) == {"w"}
    powers = {"beta1_power": np.float32(0.9**4), "beta2_power": np.float32(0.999**4)}
    assert state.read(written(tmp_path, {**ADAM, **powers})).step == 3


def muon(*slots):
    """The objects of a Keras 3 optimizer with some lists, each of one slot."""
    lists = {slot: 4 + 2 * i for i, slot in enumerate(slots)}
    nodes = [
        node({"w": 1, "optimizer": 2}),
        node(name="w", key="w"),
        node({"_iterations": 3, **lists}),
        node(name="muon/iteration", key="i"),
    ]
    for i, slot in enumerate(slots):
        nodes += [node({"0": 5 + 2 * i}), node(name="muon/w_" + slot, key="m")]
    return graph(*nodes)


GRAPHS = [
    ({**NUMBERS, **graph(b"\x0a\x7f")}, {}, r"its graph of objects is damaged: field 1 goes on past the end"),
    ({**NUMBERS, **graph(node({"w": 7}))}, {}, r"its graph of objects is damaged\."),
    ({**muon("momentums"), **NUMBERS, "i": np.ones(2, "int64")}, {}, r"i has shape \(2,\); expected a sc"),
    ({**graph(*SGD), **NUMBERS, "i": np.ones(2, "int64")}, {}, r"i has shape \(2,\); expected a scalar"),
    ({**graph(*TF1), **NUMBERS, "i": np.ones(1, "int64")}, {}, r"i has shape \(1,\); expected a scalar"),
    ({**graph(*SGD), **NUMBERS}, {"rule": "Nope"}, "the optimizer is Nope, and is to be one of Adadelta, "),
    (
        {**muon("momentums", "adam_momentums"), **NUMBERS},
        {"rule": "Muon"},
        "muon/w_momentums has the slots momentums, adam_momentums, of which two mean the same",
    ),
]


@pytest.mark.parametrize("tensors,asked,words", GRAPHS, ids=[words for _, _, words in GRAPHS])
def test_objects_that_do_not_fit(tmp_path, tensors, asked, words):
    with raises(words):
        state.read(written(tmp_path, tensors), **asked)


def test_a_variable_of_an_optimizer_that_nothing_names(tmp_path):
    objects = graph(
        node({"w": 1, "optimizer": 2}),
        node(name="w", key="w"),
        node({"_iterations": 3, "_variables": 4, "_trainable_variables": 5}),
        node(name="iteration", key="i"),
        node({"0": 3, "1": 6}),
        node({"0": 1}),
        node(name="lamb/w_momentum", key="m"),
    )
    with raises("the optimizer 'lamb' has the variable 'lamb/w_momentum', and does not say what it is"):
        state.read(written(tmp_path, {**objects, **NUMBERS}))


def test_two_optimizers_of_one_name_in_a_saver_s_checkpoint(tmp_path):
    powers = {"beta1_power": np.float32(0.9**4), "second/beta1_power": np.float32(0.9**6)}
    path = written(tmp_path, {**ADAM, **powers})
    with raises("took different numbers of steps: beta1_power: 3, second/beta1_power: 5. Say whose"):
        state.read(path)
    assert state.read(path, optimizer="second/beta1_power").step == 5


def test_an_index_of_the_other_byte_order(tmp_path):
    with raises("was written on a machine of the other byte order"):
        state.read(written(tmp_path, ADAM, big_endian=True))


def test_files_that_can_not_be_read(tmp_path):
    with raises(r"nowhere.index can't be read: "):
        bundle.Bundle(str(tmp_path / "nowhere"))
    read = bundle.Bundle(written(tmp_path, {**ADAM, "text": b"words"}))
    with raises("'text' is of TensorFlow's dtype 7; expected numbers"):
        read.lazy("text")
    os.remove(read.prefix + ".data-00000-of-00001")
    with raises("data-00000-of-00001 can't be read: "):
        read.read("w")


def saved_model_at(folder, metadata):
    """A SavedModel with what Keras says of the model: from TensorFlow 2.5 on, in a file of its own."""
    (folder / "variables").mkdir()
    _bundles.write(str(folder / "variables" / "variables"), {**graph(*SGD), **NUMBERS})
    (folder / "saved_model.pb").write_bytes(b"")
    (folder / "keras_metadata.pb").write_bytes(message((1, message((3, "root"), (5, metadata)))))
    return str(folder)


def test_what_keras_says_of_a_saved_model(tmp_path, monkeypatch):
    path = saved_model_at(tmp_path, "{")
    with raises("what Keras says of the model is damaged: "):
        state.read(path)
    monkeypatch.setattr(saved_model, "_LARGEST", 3)
    with raises(r"keras_metadata.pb has \d+ bytes; expected at most 3"):
        state.read(path)
    monkeypatch.undo()
    (tmp_path / "keras_metadata.pb").unlink()
    assert state.read(path).step == 3  # as TensorFlow 2.4 and earlier leave it
    with raises(r"saved_model.pb can't be read: "):
        saved_model._metadata(str(tmp_path / "variables"))


def test_a_configuration_of_any_length_is_not_read(tmp_path, monkeypatch):
    path = str(tmp_path / "model.keras")
    with keras_file.zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    monkeypatch.setattr(keras_file, "_LARGEST_JSON", 1)
    with raises("its config.json has 2 bytes; expected at most 1"):
        state.read(path)


def of_slots(api, cls, slots, step=3):
    """What a reader has found of one variable, whose file names no optimizer."""
    variable = found.FoundVariable("w", (2,), "float32", dict.fromkeys(slots, ONE))
    return found.Found("file", "HDF5", api, None, cls, {}, step, [variable], {})


def test_slots_of_several_optimizers():
    with raises("does not say which optimizer wrote it. Its slots are m, v, which those of Adam and Adamax"):
        meaning.state_of(of_slots("optimizer_v2", None, ("m", "v")), ONLY_READ)
    with raises("Its slots are x, which no optimizer known here has"):
        meaning.state_of(of_slots("optimizer_v2", None, ("x",)), ONLY_READ)


def test_nadam_s_product_follows_from_the_step():
    read = meaning.state_of(of_slots("get_updates", "Nadam", ("m", "v")), ONLY_READ)
    assert 0 < float(np.asarray(read.shared["mu_product"])) < 1
    with raises("Nadam's product of momenta is not there, nor is the step"):
        meaning.state_of(of_slots("get_updates", "Nadam", ("m", "v"), step=None), ONLY_READ)


def test_every_class_that_is_read_has_a_rule():
    for api in ("tf1", "optimizer_v2", "get_updates", "keras_2_11", "keras_3"):
        for cls in meaning._known_classes(api):
            assert meaning.rule_called(cls, api) is not None, (api, cls)


def test_arrays_by_position():
    with raises("keeps the slots of Muon by position, which is not read"):
        positions.split("file", "keras_3", "Muon", None, [COUNT, ONE])
    with raises(r"Adam keeps 3 arrays for each variable, and there are 2"):
        positions.split("file", "get_updates", "Adam", {}, [COUNT, ONE, ONE])
    with raises(r"the slots of Adam for one variable have the shapes \(2,\), \(3,\)"):
        positions.split("file", "get_updates", "Adam", {"amsgrad": False}, [ONE, np.ones(3, "float32"), ONE])


def test_files_without_h5py(tmp_path, monkeypatch):
    name = "tf2.10-adam.h5"
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "checkpoints")
    shutil.copy(os.path.join(folder, name), str(tmp_path))
    monkeypatch.setitem(importlib.import_module("sys").modules, "h5py", None)
    with raises("h5py, which reads those, is not installed: pip install h5py"):
        state.read(str(tmp_path / name))

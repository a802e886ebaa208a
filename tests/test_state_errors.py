"""Files that hold no state, or not all that is needed to tell whose: the error says what to give."""

import os
import zipfile

import numpy as np
import pytest
from _apis import APIS

from kcompat import state
from kcompat.errors import HyperparameterError, HyperparameterTypeError, StateError

pytestmark = pytest.mark.wide
ONE = np.ones(2, "float32")
ADAM = {
    "w": ONE,
    "w/Adam": ONE,
    "w/Adam_1": ONE,
    "beta1_power": np.float32(0.9**3),
    "beta2_power": np.float32(0.999**3),
}


def saver(folder, arrays):
    """A checkpoint of TensorFlow 1 with variables of these names."""
    import tensorflow as tf

    v1, path = tf.compat.v1, str(folder / "model.ckpt")
    with tf.Graph().as_default(), v1.Session() as session:
        made = [v1.get_variable(name, initializer=array) for name, array in arrays.items()]
        session.run(v1.global_variables_initializer())
        v1.train.Saver(made).save(session, path)
    return path


CHECKPOINTS = [
    ({"w": ONE, "w/Foo": ONE}, {}, "keeps 1 tensors beside each variable, .*Say which it is"),
    ({"w": ONE, "w/Adam": ONE}, {}, "w/Adam stand beside w; AdamOptimizer has the slots m, v"),
    (ADAM, {"optimizer": "Momentum"}, "was to be read for its optimizer 'Momentum'; it has Adam"),
    (ADAM, {"rule": "Nope"}, "state of Nope was asked for; of TensorFlow 1 there is Adadelta"),
    (dict(ADAM, beta1_power=np.float32(0.55)), {}, "no power of beta_1=0.9, .*Give it"),
    (dict(ADAM, **{"w/Adam": np.ones(3, "float32")}), {}, "stand beside w"),
]


@pytest.mark.skipif("tf1" not in APIS, reason="a Saver is TensorFlow's")
@pytest.mark.parametrize("arrays,asked,words", CHECKPOINTS, ids=[words for _, _, words in CHECKPOINTS])
def test_a_saver_checkpoint_that_does_not_say_enough(tmp_path, arrays, asked, words):
    with pytest.raises(StateError, match=words):
        state.read(saver(tmp_path, arrays), **asked)


@pytest.mark.skipif("tf1" not in APIS, reason="a Saver is TensorFlow's")
def test_hyperparameters_that_do_not_fit(tmp_path):
    path = saver(tmp_path, ADAM)
    with pytest.raises(HyperparameterError, match="Adam has learning_rate, beta_1"):
        state.read(path, hyper={"rho": 0.9})
    with pytest.raises(HyperparameterTypeError, match="expected a number"):
        state.read(path, hyper={"beta_1": "0.9"})
    # The powers are those of the next step.
    assert state.read(path, hyper={"beta_1": 0.9}).step == 2


def archive(path, members):
    with zipfile.ZipFile(str(path), "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return str(path)


@pytest.mark.parametrize(
    "members,words",
    [
        ({"config.json": "[]", "metadata.json": "{}"}, "its config.json is no JSON object"),
        ({"config.json": "{", "metadata.json": "{}"}, "its config.json is no JSON: "),
        ({"metadata.json": "{}"}, "is a zip file without config.json; expected a .keras file"),
    ],
)
def test_a_keras_file_without_its_description(tmp_path, members, words):
    with pytest.raises(StateError, match=words):
        state.read(archive(tmp_path / "model.keras", members))


def test_a_saved_model_without_variables(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(StateError, match="is a SavedModel without variables: .*index is missing"):
        state.read(str(tmp_path))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises((StateError, OSError), match="nowhere"):
        state.read(os.path.join(str(tmp_path), "nowhere.keras"))


def test_the_ending_says_the_format(tmp_path):
    with pytest.raises(StateError, match=r"expected a (file|name) that ends with \.safetensors or \.npz"):
        state.State("Adam", {}, 0, []).save(str(tmp_path / "state.h5"))
    (tmp_path / "state.h5").write_bytes(b"x" * 100)
    with pytest.raises(StateError, match="state.h5"):
        state.load(str(tmp_path / "state.h5"))

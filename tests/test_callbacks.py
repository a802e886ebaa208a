"""Keras' callbacks around a kcompat optimizer: what they read is right, and what they change takes effect."""

import glob
import importlib
import importlib.util
import os

import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import to_numpy
from _training import BATCH, TASKS, assert_close, keras_of

import kcompat
from kcompat import rules
from kcompat.testing import reference

# Keras 3 on JAX and PyTorch: test_keras_3_arrays.
APIS = on_tensorflow(ALL)

# Epsilon is large, so that a gradient near 0 does not blow rounding up.
RULE = rules.Adam(0.05, epsilon=1e-3)
RATES = [0.05, 0.02, 0.1]
EPOCHS, BATCHES = 3, 2
TASK = TASKS["linear"]


def _eager():
    if not APIS:  # no framework here
        return False
    import tensorflow as tf

    return tf.executing_eagerly()


EAGER = _eager()
# In a graph it looks for the optimizer's own; and TensorFlow from 2.22 on comes without it.
BOARD = EAGER and importlib.util.find_spec("tensorboard") is not None

# Where Keras trains in a graph it asks for `get_updates`, which update_step optimizers lack in every release.
FIT = [api for api in APIS if keras_of(api) and (EAGER or api in ("tf1", "optimizer_v2"))]
# Keras wraps a tf1 optimizer in one that has no learning rate that a callback could set.
RATE = [api for api in FIT if api != "tf1"]


def data():
    x, y = TASK.data()
    return x[: BATCH * BATCHES], y[: BATCH * BATCHES]


def expected(epochs=EPOCHS, rates=None, **base):
    """Parameters and slots in NumPy after some epochs, with a learning rate for each."""
    x, y = data()
    batches = [(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, len(x), BATCH)] * epochs
    if rates:
        base["set_hyper"] = {i * BATCHES + 1: {"learning_rate": rate} for i, rate in enumerate(rates)}
    params, done = [p.astype("float64") for p in TASK.start()], []
    slots = None
    for batch in batches:
        done.append(TASK.gradients(params, *batch))
        params, slots = reference(RULE, TASK.start(), done, **base)
    return params, slots


def model_of(api, optimizer):
    keras = keras_of(api)
    if not EAGER:
        keras.backend.clear_session()
    model = TASK.model(keras)
    model.compile(optimizer=optimizer, loss="mse")
    return model


def fit(model, callbacks, epochs=EPOCHS):
    x, y = data()
    return model.fit(
        x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks
    ).history


def weights(model):
    return model.get_weights()[:2]


def tensorboard(api, folder, **arguments):
    """Without what costs time; 2.0 profiles a batch unless told not to."""
    return keras_of(api).callbacks.TensorBoard(
        str(folder), write_graph=False, profile_batch=0, **arguments
    )


def logged(folder):
    """All that TensorBoard wrote."""
    found = glob.glob(os.path.join(str(folder), "**", "events*"), recursive=True)
    return b"".join(open(path, "rb").read() for path in found)


@pytest.mark.wide
@pytest.mark.parametrize("api", RATE)
def test_learning_rate_scheduler_and_tensorboard(api, tmp_path):
    """The rate of each epoch counts from its first step on, and is what the logs hold."""
    callbacks = keras_of(api).callbacks
    seen = []

    def rate(epoch, current):
        seen.append(current)
        return RATES[epoch]

    model = model_of(api, kcompat.optimizer(RULE, api=api))
    used = [callbacks.LearningRateScheduler(rate)]
    if BOARD:
        used.append(tensorboard(api, tmp_path, update_freq=1))
    history = fit(model, used)
    assert_close(weights(model), expected(rates=RATES)[0])
    assert seen == pytest.approx([0.05, *RATES[:-1]])
    assert history.get("lr", history.get("learning_rate")) == pytest.approx(RATES)
    assert not BOARD or b"epoch_loss" in logged(tmp_path)  # the rate is there on some releases only


@pytest.mark.parametrize("api", RATE)
def test_reduce_lr_on_plateau(api):
    """The loss is never better by 1e9, so that every epoch after the first cuts the rate."""
    model = model_of(api, kcompat.optimizer(RULE, api=api))
    plateau = keras_of(api).callbacks.ReduceLROnPlateau(
        monitor="loss", factor=0.5, patience=1, min_delta=1e9, min_lr=0.02
    )
    fit(model, [plateau])
    rates = [0.05, 0.05, 0.025]
    assert_close(weights(model), expected(rates=rates)[0])
    assert float(model.optimizer.learning_rate.numpy() if EAGER else 0.02) == pytest.approx(0.02)


@pytest.mark.parametrize("api", RATE)
def test_tensorboard_with_a_schedule_and_accumulation(api, tmp_path):
    """It reads the learning rate and the count of updates, which are no variables then."""
    schedules = keras_of(api).optimizers.schedules
    rule = rules.Adam(schedules.ExponentialDecay(0.05, 1, 0.5), epsilon=1e-3)
    optimizer = kcompat.optimizer(rule, api=api, gradient_accumulation_steps=2)
    model = model_of(api, optimizer)
    board = [tensorboard(api, tmp_path, update_freq=1)] if BOARD else []
    fit(model, board, epochs=1)
    if EAGER:
        x, y = data()
        model.evaluate(x, y, batch_size=BATCH, verbose=0, callbacks=board)
        assert int(to_numpy(optimizer.iterations)) == BATCHES // 2
        if board and hasattr(board[0], "_collect_learning_rate"):  # since 2.3
            assert b"epoch_learning_rate" in logged(tmp_path)
    assert np.abs(weights(model)[0] - TASK.start()[0]).max() > 1e-3


@pytest.mark.parametrize("api", FIT)
def test_early_stopping_and_checkpoints_of_weights(api, tmp_path):
    """Told that the loss should grow, it stops after the second epoch and takes the first's weights."""
    callbacks = keras_of(api).callbacks
    optimizer = kcompat.optimizer(RULE, api=api)
    model = model_of(api, optimizer)
    path = str(tmp_path / "{epoch}.weights.h5")
    stop = callbacks.EarlyStopping(monitor="loss", mode="max", patience=1, restore_best_weights=True)
    fit(model, [callbacks.ModelCheckpoint(path, save_weights_only=True), stop])
    assert_close(weights(model), expected(1)[0])
    if EAGER:
        # In 2.9 the variables of a keras_2_11 optimizer are among the model's weights.
        epochs = 1 if len(model.get_weights()) > 2 else 2
        assert int(to_numpy(optimizer.iterations)) == epochs * BATCHES
    model.load_weights(path.format(epoch=2))
    assert_close(weights(model), expected(2)[0])


def _backup(api):
    callbacks = keras_of(api).callbacks
    experimental = getattr(callbacks, "experimental", None)
    return getattr(callbacks, "BackupAndRestore", getattr(experimental, "BackupAndRestore", None))


def _restores(api):
    """Not Keras 3.0, whose callback begins again with epoch 0."""
    return api != "keras_3" or importlib.import_module("keras").__version__ >= "3.1"


@pytest.mark.wide
@pytest.mark.parametrize("api", [api for api in FIT if EAGER and _backup(api) and _restores(api)])
def test_backup_and_restore(api, tmp_path):
    """Interrupted, and begun again with a new model: exactly as if it had not been."""

    class Interruption(Exception):
        pass

    class Interrupts(keras_of(api).callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise Interruption

    runs = []
    for interrupted in (False, True):
        folder = str(tmp_path / str(interrupted))
        if interrupted:
            with pytest.raises(Interruption):
                fit(model_of(api, kcompat.optimizer(RULE, api=api)), [_backup(api)(folder), Interrupts()])
        optimizer = kcompat.optimizer(RULE, api=api)
        model = model_of(api, optimizer)
        history = fit(model, [_backup(api)(folder)])
        assert len(history["loss"]) == (1 if interrupted else EPOCHS)
        runs.append((weights(model), int(to_numpy(optimizer.iterations))))
    assert_close(runs[0][0], expected()[0])
    assert_close(runs[1][0], runs[0][0], rtol=0, atol=0)
    assert runs[0][1] == runs[1][1] == EPOCHS * BATCHES


@pytest.mark.parametrize(
    "api", [api for api in FIT if hasattr(keras_of(api).callbacks, "SwapEMAWeights")]
)
def test_swap_ema_weights(api, tmp_path):
    """Each epoch is evaluated and saved with the averages, and training goes on without them."""
    callbacks = keras_of(api).callbacks
    base = {"use_ema": True, "ema_momentum": 0.75}
    model = model_of(api, kcompat.optimizer(RULE, api=api, **base))
    path = os.path.join(str(tmp_path), "{epoch}.weights.h5")
    used = [callbacks.SwapEMAWeights(swap_on_epoch=True)]
    used.append(callbacks.ModelCheckpoint(path, save_weights_only=True))
    fit(model, used, epochs=2)
    averages = [[each["average"] for each in expected(epochs, **base)[1]] for epochs in (1, 2)]
    assert_close(weights(model), averages[1])  # fit ends with them
    model.load_weights(path.format(epoch=1))
    assert_close(weights(model), averages[0])

"""Several machines: TensorFlow's MultiWorkerMirroredStrategy, with `fit` that goes on after a fault.

On each machine: TF_CONFIG='{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker",
"index": 0}}' python multi_worker.py FOLDER [EPOCHS]
On one machine, to try it: python local_cluster.py --worker 2 multi_worker.py FOLDER

TensorFlow 2.4 to 2.15. FOLDER is where the machine keeps its backups: when the program is started again, it
goes on where the last epoch ended.
"""

import os
import sys

import numpy as np
import tensorflow as tf

# Before anything else of TensorFlow is used: it connects the machines.
STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()

from kcompat.optimizers import Adam  # noqa: E402

GLOBAL_BATCH = 64


def make_model():
    """A small network."""
    inputs = tf.keras.layers.Input((8,))
    hidden = tf.keras.layers.Dense(16, activation="tanh")(inputs)
    return tf.keras.models.Model(inputs, tf.keras.layers.Dense(1)(hidden))


def data():
    """The same on every machine; each takes its part of every batch."""
    random = np.random.RandomState(0)
    x = random.randn(1024, 8).astype("float32")
    return x, np.tanh(x @ random.randn(8, 1).astype("float32"))


def backup(folder):
    """The callback that saves model, optimizer and epoch, and finds them again."""
    callbacks = tf.keras.callbacks
    cls = getattr(callbacks, "BackupAndRestore", None) or callbacks.experimental.BackupAndRestore
    return cls(os.path.join(folder, "backup"))


def main(folder, epochs=3):
    """Trains, and prints the loss of each epoch."""
    with STRATEGY.scope():
        model = make_model()
        model.compile(optimizer=Adam(3e-3, global_clipnorm=1.0), loss="mse")
    history = model.fit(
        *data(),
        batch_size=GLOBAL_BATCH,
        epochs=int(epochs),
        shuffle=False,
        verbose=0,
        callbacks=[backup(folder)],
    )
    losses = history.history.get("loss", [])
    print(STRATEGY.num_replicas_in_sync, "replicas", " ".join("{:.4f}".format(loss) for loss in losses))


if __name__ == "__main__":
    main(*sys.argv[1:])

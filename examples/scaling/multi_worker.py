"""Several machines: TensorFlow's MultiWorkerMirroredStrategy, with training that goes on after a fault.

On each machine: TF_CONFIG='{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker",
"index": 0}}' python multi_worker.py FOLDER [EPOCHS]
On one machine, to try it: python local_cluster.py --worker 2 multi_worker.py FOLDER

TensorFlow 2.4 and later: with `fit` up to 2.15, and from 2.16 on with a loop of one's own, because Keras 3's
`fit` does not run under this strategy. FOLDER is where the machine keeps its backups: when the program is
started again after a fault, it goes on where the last epoch ended.
"""

import os
import sys

import numpy as np
import tensorflow as tf

# Before anything else of TensorFlow is used: it connects the machines.
STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()

import kcompat  # noqa: E402
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


def with_fit(folder, epochs):
    """Keras 2's `fit`, with its callback for faults."""
    with STRATEGY.scope():
        model = make_model()
        model.compile(optimizer=Adam(3e-3, global_clipnorm=1.0), loss="mse")
    history = model.fit(
        *data(), batch_size=GLOBAL_BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=[backup(folder)]
    )
    return history.history.get("loss", [])


def with_a_loop(folder, epochs):
    """A loop, in which each worker's loss is divided by the size of the global batch."""
    with STRATEGY.scope():
        model, optimizer = make_model(), Adam(3e-3, global_clipnorm=1.0)
        optimizer.build(model.trainable_variables)
        done = tf.Variable(0)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, done=done)
    manager = tf.train.CheckpointManager(checkpoint, os.path.join(folder, "backup"), max_to_keep=2)
    checkpoint.restore(manager.latest_checkpoint)
    batches = tf.data.Dataset.from_tensor_slices(data()).batch(GLOBAL_BATCH, drop_remainder=True)
    batches = STRATEGY.experimental_distribute_dataset(batches)

    def on_replica(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((model(x, training=True) - y) ** 2) / GLOBAL_BATCH
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    @tf.function
    def step(x, y):
        return STRATEGY.reduce(tf.distribute.ReduceOp.SUM, STRATEGY.run(on_replica, args=(x, y)), axis=None)

    losses = []
    for _ in range(int(done.numpy()), epochs):
        losses.append(float(np.mean([step(x, y).numpy() for x, y in batches])))
        done.assign_add(1)
        manager.save()  # on every machine, each in its own folder
    return losses


def main(folder, epochs=3):
    """Trains, and prints the loss of each epoch."""
    train = with_a_loop if kcompat.detect().default == "keras_3" else with_fit
    losses = train(folder, int(epochs))
    said = " ".join("{:.4f}".format(loss) for loss in losses)
    print("{} replicas {}".format(STRATEGY.num_replicas_in_sync, said))


if __name__ == "__main__":
    main(*sys.argv[1:])

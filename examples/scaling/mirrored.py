"""All devices of one machine: TensorFlow's MirroredStrategy, with `fit` and with a loop of one's own.

python mirrored.py [EPOCHS]

TensorFlow 2.2 and later. Without GPUs the CPU is split into two devices, to try it.
"""

import sys

import numpy as np
import tensorflow as tf

import kcompat
from kcompat.optimizers import AdamW

GLOBAL_BATCH = 64


def devices():
    """The GPUs, or else two parts of the CPU."""
    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    if gpus:
        return [gpu.name for gpu in gpus]
    cpu = tf.config.list_physical_devices("CPU")[0]
    config = tf.config.experimental
    config.set_virtual_device_configuration(cpu, [config.VirtualDeviceConfiguration()] * 2)
    return ["/cpu:0", "/cpu:1"]


def data():
    """Points and what is to be learned of them."""
    random = np.random.RandomState(0)
    x = random.randn(1024, 8).astype("float32")
    return x, np.tanh(x @ random.randn(8, 1).astype("float32"))


def make_model():
    """A small network."""
    inputs = tf.keras.layers.Input((8,))
    hidden = tf.keras.layers.Dense(16, activation="tanh")(inputs)
    return tf.keras.models.Model(inputs, tf.keras.layers.Dense(1)(hidden))


def make_optimizer():
    """Global norm, averages and accumulation see the gradients summed over the replicas, once."""
    return AdamW(3e-3, weight_decay=1e-4, global_clipnorm=1.0, use_ema=True, ema_momentum=0.95)


def with_fit(strategy, epochs):
    """Keras divides each batch among the replicas, and averages the loss over the whole of it."""
    with strategy.scope():
        model = make_model()
        model.compile(optimizer=make_optimizer(), loss="mse")
    return model.fit(*data(), batch_size=GLOBAL_BATCH, epochs=epochs, verbose=0).history["loss"]


def with_a_loop(strategy, epochs):
    """Each replica's loss is divided by the size of the global batch: the gradients are summed."""
    with strategy.scope():
        model, optimizer = make_model(), make_optimizer()
    batches = tf.data.Dataset.from_tensor_slices(data()).batch(GLOBAL_BATCH, drop_remainder=True)
    batches = strategy.experimental_distribute_dataset(batches)

    def on_replica(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((model(x, training=True) - y) ** 2) / GLOBAL_BATCH
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    @tf.function
    def step(x, y):
        losses = strategy.run(on_replica, args=(x, y))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    return [float(np.mean([step(x, y).numpy() for x, y in batches])) for _ in range(epochs)]


def main(epochs=3):
    """Trains in both ways and prints the losses."""
    strategy = tf.distribute.MirroredStrategy(devices())
    print("{} replicas, {}".format(strategy.num_replicas_in_sync, kcompat.detect().default))
    for train in (with_fit, with_a_loop):
        losses = train(strategy, epochs)
        print(train.__name__, " ".join("{:.4f}".format(loss) for loss in losses))
        assert losses[-1] < losses[0]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

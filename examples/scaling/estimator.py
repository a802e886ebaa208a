"""TensorFlow 1: an estimator that trains on all devices, saves, and goes on where it was stopped.

python estimator.py FOLDER [STEPS]

TensorFlow 1.13 to 1.15. Without GPUs the CPU is split into two devices, to try it. Started again with more
steps, it goes on from the last checkpoint in FOLDER.
"""

import sys

import numpy as np
import tensorflow as tf

from kcompat.optimizers.tf1 import AdamW

v1 = tf.compat.v1
BATCH_OF_A_REPLICA = 32


def model_function(features, labels, mode):
    """A linear model."""
    weights = v1.get_variable("weights", (8, 1), use_resource=True, initializer=v1.zeros_initializer())
    loss = tf.reduce_mean(tf.square(tf.matmul(features, weights) - labels))
    if mode != tf.estimator.ModeKeys.TRAIN:
        return tf.estimator.EstimatorSpec(mode, loss=loss)
    optimizer = AdamW(0.05, weight_decay=1e-4, global_clipnorm=10.0)
    # The gradients are summed over the replicas, and each one's loss is a mean: as TensorFlow's own
    # optimizers, minimize() divides it by the number of replicas.
    step = optimizer.minimize(loss, global_step=v1.train.get_global_step())
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=step)


def batches():
    """Points and what is to be learned of them, without end."""
    random = np.random.RandomState(0)
    x = random.randn(1024, 8).astype("float32")
    y = x.dot(random.randn(8, 1).astype("float32"))
    return tf.data.Dataset.from_tensor_slices((x, y)).repeat().batch(BATCH_OF_A_REPLICA, drop_remainder=True)


def main(folder, steps=200):
    """Trains, evaluates, and prints the loss."""
    cpus = ["/cpu:0", "/cpu:1"]
    strategy = tf.distribute.MirroredStrategy(None if tf.test.is_gpu_available() else cpus)
    config = tf.estimator.RunConfig(
        model_dir=folder,
        train_distribute=strategy,
        session_config=v1.ConfigProto(device_count={"CPU": 2}),
    )
    estimator = tf.estimator.Estimator(model_function, config=config)
    train = tf.estimator.TrainSpec(batches, max_steps=int(steps))
    evaluate = tf.estimator.EvalSpec(batches, steps=10, start_delay_secs=0, throttle_secs=0)
    found, _ = tf.estimator.train_and_evaluate(estimator, train, evaluate)
    print("after {} steps a loss of {:.5f}".format(found["global_step"], found["loss"]))
    assert found["loss"] < 0.5


if __name__ == "__main__":
    v1.logging.set_verbosity(v1.logging.ERROR)
    main(*sys.argv[1:])

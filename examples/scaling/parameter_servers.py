"""Workers that come and go: TensorFlow's ParameterServerStrategy with a ClusterCoordinator.

TF_CONFIG names the cluster: jobs "chief", which runs the program, "worker" and "ps".
On one machine, to try it: python local_cluster.py --chief 1 --worker 2 --ps 1 parameter_servers.py

TensorFlow 2.4 and later. Variables and slots are on the parameter servers, and workers update them without
waiting for each other: with several workers the numbers depend on who comes first.
"""

import json
import os
import sys

import numpy as np
import tensorflow as tf

import kcompat
from kcompat import rules

BATCH = 64


def serve(config):
    """What workers and parameter servers do: they wait for orders, until they are stopped."""
    task = config["task"]
    cluster = tf.train.ClusterSpec(config["cluster"])
    tf.distribute.Server(cluster, task["type"], task["index"], protocol="grpc").join()


def main(steps=200):
    """Trains a linear model and prints how far it is from the truth."""
    config = json.loads(os.environ["TF_CONFIG"])
    if config["task"]["type"] != "chief":
        serve(config)
    place = tf.distribute if hasattr(tf.distribute, "coordinator") else tf.distribute.experimental
    make = getattr(tf.distribute, "ParameterServerStrategy", None)
    make = make or tf.distribute.experimental.ParameterServerStrategy
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver(rpc_layer="grpc")
    strategy = make(resolver)
    coordinator = place.coordinator.ClusterCoordinator(strategy)
    truth = np.random.RandomState(0).randn(8, 1).astype("float32")
    with strategy.scope():
        weights = tf.Variable(tf.zeros((8, 1)), name="weights")
        # Variables of plain TensorFlow: every API takes them but keras_3, whose own are keras.Variable.
        optimizer = kcompat.optimizer(rules.Adam(0.05), api="tf1")
        # Here, and not in the first step: workers make no variables.
        optimizer.build([weights])

    @tf.function
    def step():
        def on_replica():
            x = tf.random.normal((BATCH, 8))
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((x @ weights - x @ truth) ** 2)
            optimizer.apply_gradients([(tape.gradient(loss, weights), weights)])

        strategy.run(on_replica)

    for _ in range(steps):
        coordinator.schedule(step)
    coordinator.join()
    error = float(np.abs(weights.numpy() - truth).max())
    print("after {} steps {:.4f} from the truth".format(int(optimizer.iterations.numpy()), error), flush=True)
    os._exit(0 if error < 0.5 else 1)  # the connections to workers would keep the process alive


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

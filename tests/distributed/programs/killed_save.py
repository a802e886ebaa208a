"""Saves all the time, until it is killed, and afterwards loads what there is.

python killed_save.py API FOLDER save|load
"""

import json
import os
import sys

import numpy as np
import tensorflow as tf
import tensorflow_strategies as one

import kcompat
from kcompat import rules

SIZE = 500000


def main(api, folder, what):
    variable = tf.Variable(np.zeros(SIZE, "float32"), name="large")
    if api == "keras_3":
        import keras

        variable = keras.Variable(np.zeros(SIZE, "float32"), name="large")
    optimizer = kcompat.optimizer(rules.SGD(1.0, momentum=0.5), api=api)
    optimizer.build([variable])
    checkpoint = tf.train.Checkpoint(optimizer=optimizer, variable=one.native(variable))
    managed = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=2)
    if managed.latest_checkpoint:
        checkpoint.restore(managed.latest_checkpoint).assert_consumed()
    if what == "load":
        assert managed.latest_checkpoint, os.listdir(folder)
        done = one.steps_done(optimizer)
        gradients = [[np.ones(1)] for _ in range(done)]
        params, slots = kcompat.testing.reference(rules.SGD(1.0, momentum=0.5), [np.zeros(1)], gradients)
        np.testing.assert_allclose(one.values([variable])[0], np.full(SIZE, params[0][0]), rtol=1e-5)
        slot = one.native(optimizer.get_slot(variable, "m")).numpy()
        np.testing.assert_allclose(slot, np.full(SIZE, slots[0]["m"][0]), rtol=1e-5)
        print(json.dumps(done))
        return
    while True:
        optimizer.apply_gradients([(tf.ones(SIZE), variable)])
        managed.save()
        print(one.steps_done(optimizer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The demo's training on one optimizer API, in a process of its own.

    python demo_train.py API PUBLIC FOLDER

PUBLIC is the public path of the API's base class. Each task is trained in float32, as usual, and in
float64. Progress goes to standard output as JSON, one object a line; the trained weights to FOLDER.
"""

import contextlib
import functools
import importlib
import itertools
import json
import pathlib
import sys
import time
from typing import Any, Callable, List, Tuple

import demo_tasks
import numpy as np
from keras_here import keras_of
from sign_momentum import SignMomentum

import kcompat

DTYPES = ("float32", "float64")
Result = Tuple[List[np.ndarray], List[float], np.ndarray]  # weights, losses, scores on the test set


def train_with_fit(
    keras: Any, optimizer: Any, task: demo_tasks.Task, dtype: str, after_epoch: Any
) -> Result:
    """Train a task the way users of Keras do."""
    keras.backend.set_floatx(dtype)  # what the data and the loss are in
    layers = keras.layers
    if task.name == "digits":
        inputs = keras.Input(shape=task.train[0].shape[1:], dtype=dtype)
        hidden = layers.Dense(task.weights[0].shape[1], activation="tanh", dtype=dtype)
        features = hidden(inputs)
    else:
        inputs = keras.Input(shape=task.train[0].shape[1:], dtype="int32")
        words = layers.Embedding(*task.weights[0].shape, dtype=dtype)(inputs)
        features = layers.GlobalAveragePooling1D(dtype=dtype)(words)
    classes = layers.Dense(len(task.weights[-1]), dtype=dtype)
    model = keras.Model(inputs, classes(features))
    model.set_weights(list(task.weights))
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    class AfterEpoch(keras.callbacks.Callback):
        """Report each epoch's loss."""

        def on_epoch_end(self, epoch, logs=None):
            after_epoch(float(logs["loss"]))

    history = model.fit(
        *task.train,
        batch_size=demo_tasks.BATCH,
        epochs=task.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[AfterEpoch()]
    )
    scores = model.predict(task.test[0], verbose=0)
    return model.get_weights(), [float(loss) for loss in history.history["loss"]], scores


def train_in_a_session(
    optimizer: Any, task: demo_tasks.Task, dtype: str, after_epoch: Any
) -> Result:
    """Train a task the way users of TF 1 do."""
    tf = importlib.import_module("tensorflow")
    tf1 = tf.compat.v1
    with tf.Graph().as_default(), tf1.Session() as session:
        shape = (None,) + task.train[0].shape[1:]
        inputs = tf1.placeholder(dtype if task.name == "digits" else "int32", shape)
        labels = tf1.placeholder("int32", (None,))
        variables = [
            tf1.get_variable("weight_{}".format(i), initializer=weight, use_resource=True)
            for i, weight in enumerate(task.weights)
        ]
        if task.name == "digits":
            features = tf.tanh(tf.matmul(inputs, variables[0]) + variables[1])
        else:
            features = tf.reduce_mean(tf.nn.embedding_lookup(variables[0], inputs), axis=1)
        logits = tf.matmul(features, variables[-2]) + variables[-1]
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        loss = tf.reduce_mean(cross_entropy)
        step = optimizer.minimize(loss)
        session.run(tf1.global_variables_initializer())
        losses = []
        for _ in range(task.epochs):
            epoch = [
                session.run([loss, step], {inputs: batch[0], labels: batch[1]})[0]
                for batch in demo_tasks.batches(task)
            ]
            losses.append(float(np.mean(epoch)))
            after_epoch(losses[-1])
        return session.run(variables), losses, session.run(logits, {inputs: task.test[0]})


def main(api: str, public: str, folder: str) -> None:
    """Train everything on one API; say on standard output how far it is and what came out."""
    output = sys.stdout

    def say(**message: Any) -> None:
        print(json.dumps(message), file=output, flush=True)

    with contextlib.redirect_stdout(sys.stderr):  # whatever else prints, it is not the protocol
        optimizer_class = kcompat.optimizer_class(SignMomentum, api=api)
        if api == "tf1":
            train: Callable[..., Result] = train_in_a_session
        else:
            train = functools.partial(train_with_fit, keras_of(public))
        for task, dtype in itertools.product(demo_tasks.tasks(), DTYPES):
            started = time.time()
            optimizer = optimizer_class(learning_rate=task.learning_rate)
            weights, losses, scores = train(
                optimizer, demo_tasks.as_dtype(task, dtype), dtype, lambda loss: say(loss=loss)
            )
            name = "{}-{}.npz".format(task.name, dtype)
            np.savez(str(pathlib.Path(folder) / name), *weights)
            say(
                file=name,
                task=task.name,
                dtype=dtype,
                losses=losses,
                accuracy=demo_tasks.accuracy(task, scores),
                seconds=time.time() - started,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])

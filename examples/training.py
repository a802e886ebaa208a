"""A training script that reads the same on every TensorFlow and Keras, whichever is installed.

    python training.py [API]

It compiles a model, trains it with callbacks, goes on from a copy, and ends with the moving averages. Only
the API may be chosen, as KCOMPAT_API does; the default is what the installed framework takes natively.
"""

import sys
from typing import Any, List, Optional

import numpy as np
from keras_here import keras_of

import kcompat

STEPS = 8  # in an epoch


def make_model(keras: Any, optimizer: Any) -> Any:
    """A small network, compiled."""
    layers = keras.layers
    model = keras.models.Sequential(
        [
            layers.Dense(8, activation="tanh", input_shape=(4,), name="hidden"),
            layers.Dense(1, name="output"),
        ]
    )
    model.compile(optimizer=optimizer, loss="mse")
    return model


def train(keras: Any, model: Any, epochs: int, callbacks: Optional[List[Any]] = None) -> List[float]:
    """Train on the same data every time. Returns the loss of each epoch."""
    random = np.random.RandomState(0)
    x = random.randn(32, 4).astype("float32")
    y = np.sin(x.sum(axis=1, keepdims=True)).astype("float32")
    done = model.fit(
        x, y, batch_size=32 // STEPS, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks or []
    )
    return [float(loss) for loss in done.history["loss"]]


def main(api: Optional[str] = None) -> None:
    """Train, and say how it went."""
    found = kcompat.detect()
    api = api or found.default
    if api is None:
        raise SystemExit(found.why)
    keras = keras_of(found.hosts[api].public)
    adamw = kcompat.optimizer_class(kcompat.rules.AdamW, api)

    optimizer = adamw(learning_rate=0.05, weight_decay=0.01, clipnorm=1.0, use_ema=True, ema_momentum=0.9)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = make_model(keras, optimizer)
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.05 / (epoch + 1)),
        keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=5),
    ]
    losses = train(keras, model, 3, callbacks)
    print("{}: loss {}".format(api, " ".join("{:.4f}".format(loss) for loss in losses)))
    assert losses[-1] < losses[0], losses

    # The step counter, the learning rate as the callbacks left it, and the slots of every variable.
    weights = optimizer.get_weights()
    assert int(weights[0]) == 3 * STEPS, weights[0]
    rate = optimizer.get_config()["learning_rate"]
    assert abs(rate - 0.05 / 3) < 1e-8, rate
    print("slots: {}".format(", ".join(optimizer.get_slot_names())))
    for variable in model.trainable_weights:
        assert tuple(optimizer.get_slot(variable, "m").shape) == tuple(variable.shape)

    # A second model goes on from here as the first does, to the last bit.
    copy = adamw.from_config(optimizer.get_config())
    other = make_model(keras, copy)
    copy.build(other.trainable_weights)
    other.set_weights(model.get_weights())
    copy.set_weights(weights)
    train(keras, model, 1)
    train(keras, other, 1)
    for left, right in zip(model.get_weights(), other.get_weights()):
        assert np.array_equal(left, right)
    print("a copy went on exactly")

    optimizer.learning_rate = 0.001
    assert abs(optimizer.get_config()["learning_rate"] - 0.001) < 1e-9
    optimizer.finalize_variable_values(model.trainable_weights)
    print("averages are in place after {} steps".format(int(optimizer.get_weights()[0])))


if __name__ == "__main__":
    main(*sys.argv[1:2])

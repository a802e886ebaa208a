"""Trains, saves after every step or epoch, and goes on where an earlier run of it was killed.

python resumed.py API HOW FOLDER [PACE]: prints the values, slots and step counter after all steps. HOW is
backup (Keras' BackupAndRestore), workers (the same in a process of a cluster), manager (a loop with
tf.train.CheckpointManager), preempted (TensorFlow's PreemptionCheckpointHandler, which saves when SIGTERM
comes) or session (a Saver in a TensorFlow 1 graph); manager and preempted are each alone or in a process of a
cluster. PACE is what a step takes at least, in seconds.
"""

import glob
import json
import os
import sys
import time

import _problem
import numpy as np
import tensorflow as tf
import tensorflow_strategies as one

v1 = tf.compat.v1
EPOCHS = 6
CASE = "everything"


def callback(api, folder):
    keras = one.keras_of(api)
    cls = getattr(keras.callbacks, "BackupAndRestore", None)
    return (cls or keras.callbacks.experimental.BackupAndRestore)(os.path.join(folder, "backup"))


def backup(api, folder, pace, strategy=None):
    keras = one.keras_of(api)

    class Slow(keras.callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            time.sleep(pace)

    with strategy.scope() if strategy else open(os.devnull):
        model, optimizer = one.make_model(keras), _problem.optimizer(CASE, api)
        model.compile(optimizer=optimizer, loss="mse")
    rows, targets = zip(*_problem.batches())
    data = np.concatenate(rows)[:, None], np.concatenate(targets)
    callbacks = [callback(api, folder), Slow()]
    model.fit(*data, batch_size=_problem.BATCH, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=callbacks)
    slots = one.slots_of(model.optimizer, model.trainable_variables)
    return one.values(model.trainable_variables), slots, one.steps_done(model.optimizer)


def manager(api, folder, pace):
    """Alone or in a cluster, where all save, as TensorFlow asks for, and read what the first has saved."""
    step, checkpoint, optimizer, variables, index = training(api)
    where = folder if index == 0 else os.path.join(folder, "worker{}".format(index))
    managed = tf.train.CheckpointManager(checkpoint, where, max_to_keep=2)
    latest = tf.train.latest_checkpoint(folder)
    if latest:
        status = checkpoint.restore(latest)
        # Under a strategy of TensorFlow 2.0 variables of optimizers of this API, the host's too, are found as
        # copies, and count as not restored.
        if api != "tf1" or hasattr(tf.distribute.Strategy, "run"):
            status.assert_consumed()
    steps = _problem.batches() * EPOCHS
    for rows, targets in steps[done(optimizer) :]:
        step(rows, targets)
        managed.save()
        time.sleep(pace)
    return one.values(variables), one.slots_of(optimizer, variables), done(optimizer)


def preempted(api, folder, pace):
    step, checkpoint, optimizer, variables, _ = training(api)
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    handler = tf.distribute.experimental.PreemptionCheckpointHandler(resolver, checkpoint, folder)
    steps = _problem.batches() * EPOCHS
    for rows, targets in steps[done(optimizer) :]:
        handler.run(step, rows, targets)
        open(os.path.join(folder, "alive"), "w").close()
        time.sleep(pace)
    return one.values(variables), one.slots_of(optimizer, variables), done(optimizer)


def training(api):
    """What takes a step with its part of a batch, alone or in a process of the cluster in TF_CONFIG."""
    cluster = json.loads(os.environ.get("TF_CONFIG", "{}"))
    strategy = one.make_strategy("workers") if cluster else tf.distribute.get_strategy()
    with strategy.scope():
        variables, optimizer = one.make_variables(api), _problem.optimizer(CASE, api)
        optimizer.build(variables)
    natives = {"v{}".format(i): one.native(variable) for i, variable in enumerate(variables)}
    index, count = cluster.get("task", {}).get("index", 0), strategy.num_replicas_in_sync

    @tf.function
    def taken(rows, targets):
        one.run_on_replicas(
            strategy, lambda r, t: one.void(one.train(optimizer, variables, r, t)), (rows, targets)
        )

    def step(*batch):
        taken(*[tf.constant(np.split(each, count)[index]) for each in batch])

    return step, tf.train.Checkpoint(optimizer=optimizer, **natives), optimizer, variables, index


def done(optimizer):
    """Steps, not updates."""
    return int(np.asarray(optimizer.get_weights()[0]))


def session(api, folder, pace):
    names = "table", "kernel", "bias"
    pairs = zip(names, _problem.start())
    variables = [v1.get_variable(name, initializer=value, use_resource=True) for name, value in pairs]
    holders = v1.placeholder(tf.int32, (None,)), v1.placeholder(tf.float32, (None, 2))
    optimizer = _problem.optimizer(CASE, api)
    counter = v1.train.get_or_create_global_step()
    loss = _problem.loss(variables, *holders)
    gradients = list(zip(tf.gradients(loss, variables), variables))
    step = optimizer.apply_gradients(gradients, global_step=counter)
    hooks = [v1.train.CheckpointSaverHook(folder, save_steps=1)]
    steps = _problem.batches() * EPOCHS
    with v1.train.SingularMonitoredSession(hooks=hooks, checkpoint_dir=folder) as running:
        for rows, targets in steps[running.run(counter) :]:
            running.run(step, dict(zip(holders, (rows, targets))))
            time.sleep(pace)
        slots = {}
        for i, variable in enumerate(variables):
            for name in optimizer.get_slot_names():
                slots[i, name] = running.run(optimizer.get_slot(variable, name))
        return running.run(variables), slots, int(running.run(counter))


def main(api, how, folder, pace="0"):
    pace = float(pace)
    if how == "workers":
        values, slots, steps = backup(api, folder, pace, one.make_strategy("workers"))
    else:
        ways = {"backup": backup, "manager": manager, "preempted": preempted, "session": session}
        values, slots, steps = ways[how](api, folder, pace)
    slots = {
        "{}/{}".format(*key): np.asarray(slot.numpy() if hasattr(slot, "numpy") else slot)
        for key, slot in slots.items()
    }
    result = {
        "values": [np.asarray(value).tolist() for value in values],
        "slots": {key: slot.tolist() for key, slot in slots.items()},
        "steps": steps,
        "files": len(glob.glob(os.path.join(folder, "*"))),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    if sys.argv[2] == "session":
        v1.disable_eager_execution()
    main(*sys.argv[1:])

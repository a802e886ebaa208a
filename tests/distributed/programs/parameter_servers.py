"""Trains with a ParameterServerStrategy and a ClusterCoordinator, and compares with training on one device.

python parameter_servers.py API HOW [CASE ...]; HOW is "inside" (the servers are in this process) or
"processes" (TF_CONFIG names them, and each of them runs this program, too).
"""

import functools
import json
import os
import sys

import _problem
import numpy as np
import tensorflow as tf
import tensorflow_strategies as one
from _problem import report
from _processes import free_ports

WORKERS, SERVERS = 2, 2


def resolver(how):
    """The cluster, whose servers are started here if they are to be inside this process."""
    if how == "processes":
        return tf.distribute.cluster_resolver.TFConfigClusterResolver(rpc_layer="grpc")
    addresses = ["127.0.0.1:{}".format(port) for port in free_ports(WORKERS + SERVERS)]
    jobs = {"worker": addresses[:WORKERS], "ps": addresses[WORKERS:]}
    cluster = tf.train.ClusterSpec(jobs)
    config = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=4)
    for job, members in jobs.items():
        for i in range(len(members)):
            SERVING.append(tf.distribute.Server(cluster, job, i, config=config, protocol="grpc"))
    return tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, rpc_layer="grpc")


SERVING = []


def make_strategy(how, partitioned=False):
    cls = getattr(tf.distribute, "ParameterServerStrategy", None)
    cls = cls or tf.distribute.experimental.ParameterServerStrategy
    partitioner = None
    if partitioned:
        partitioner = tf.distribute.experimental.partitioners.FixedShardsPartitioner(SERVERS)
    return cls(resolver(how), variable_partitioner=partitioner)


def coordinator_of(strategy):
    cls = getattr(getattr(tf.distribute, "coordinator", None), "ClusterCoordinator", None)
    return (cls or tf.distribute.experimental.coordinator.ClusterCoordinator)(strategy)


def loop(strategy, coordinator, api, case):
    """One step after the other, each on whichever worker takes it."""
    expected, expected_slots, done = one.alone(case, api)
    with strategy.scope():
        variables = one.make_variables(api)
        optimizer = _problem.optimizer(case, api)
        optimizer.build(variables)

    @tf.function
    def step(rows, targets):
        def on_replica(rows, targets):
            one.train(optimizer, variables, rows, targets)

        strategy.run(on_replica, args=(rows, targets))

    for rows, targets in _problem.batches():
        coordinator.schedule(step, args=(tf.constant(rows), tf.constant(targets)))
        coordinator.join()
    assert one.steps_done(optimizer) == done
    _problem.assert_same(one.values(variables), expected, "values")
    for key, slot in one.slots_of(optimizer, variables).items():
        _problem.assert_same([slot.numpy()], [expected_slots[key]], str(key))
        variable = one.native(variables[key[0]])
        assert "/job:ps" in slot.device, slot.device
        assert slot.device == variable.device, (slot.device, variable.device)


def at_once(strategy, coordinator, api):
    """Steps of several workers at the same time: none is lost where the host loses none."""
    with strategy.scope():
        variable = one.make_variables(api)[2]
        optimizer = _problem.optimizer("sum", api)
        optimizer.build([variable])

    @tf.function
    def step():
        def on_replica():
            optimizer.apply_gradients([(tf.ones(2), variable)])

        strategy.run(on_replica)

    for _ in range(40):
        coordinator.schedule(step)
    coordinator.join()
    assert one.steps_done(optimizer) == 40
    np.testing.assert_array_less(one.native(variable).numpy(), 0)


def main(api, how, cases):
    config = json.loads(os.environ.get("TF_CONFIG", "{}"))
    task = config.get("task", {})
    if task.get("type") in ("worker", "ps"):
        server = tf.distribute.Server(
            tf.train.ClusterSpec(config["cluster"]), task["type"], task["index"], protocol="grpc"
        )
        server.join()
    strategy = make_strategy(how)
    coordinator = coordinator_of(strategy)
    made = {case: functools.partial(loop, strategy, coordinator, api, case) for case in cases}
    made["slots as the host's"] = functools.partial(one.placed_as_the_hosts, strategy, api)
    made["at once"] = functools.partial(at_once, strategy, coordinator, api)
    report(made)
    os._exit(0)  # servers inside a process can't be stopped


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

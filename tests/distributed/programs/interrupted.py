"""Interrupts training at random moments: parameters, slots and step counter must fit together.

python interrupted.py API MODE RULE; MODE is one of the tests': eager, function, graph, graph_ref, jit.
"""

import functools
import os
import queue
import random
import signal
import sys
import threading
import time

import numpy as np
from _problem import report
from _steps import listed, steps

import kcompat
from kcompat import rules

VARIABLES = 12
INTERRUPTS = 15
FIRST = 4  # interrupts of a first step, which makes the slots
RULES = {
    # A kernel computes the first; no kernel computes the second.
    "momentum": lambda: rules.SGD(2.0**-10, momentum=0.5),
    "lion": lambda: rules.Lion(2.0**-10, beta_1=0.5, beta_2=0.5),
}


def interrupter():
    """A queue: an interrupt comes so many seconds after a number was put into it."""
    orders = queue.Queue()

    def send():
        while True:
            time.sleep(orders.get())
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()
    return orders


def check(training, name):
    """Values and slots are those of as many steps as are counted. Returns these."""
    values, slots, done = training.state()
    gradients = [[np.ones(3)] for _ in range(done)]
    params, expected = kcompat.testing.reference(RULES[name](), [np.zeros(3)], gradients)
    for i, (value, slot) in enumerate(zip(values, slots)):
        np.testing.assert_allclose(value, params[0], rtol=1e-5, err_msg="variable {}".format(i))
        for key in slot:
            np.testing.assert_allclose(slot[key], expected[0][key], rtol=1e-5, err_msg=key)
    return done


def first_step(api, mode, make, name, orders, delay):
    """An interrupt comes while the slots are made, or while the first step is traced or taken."""
    with steps(api, mode, make, *[np.zeros(3)] * VARIABLES) as training:
        if mode == "function":
            # A tf.function that was stopped while it was traced, after it made variables, does nothing any
            # more: TensorFlow 2.16 to 2.22, whatever is in it. Up to 2.10 the next call raises.
            training.optimizer.build(training.variables)
        try:
            orders.put(delay)
            while True:
                training.step()
        except KeyboardInterrupt:
            pass
        training.step()
        training.step()
        assert check(training, name) >= 2
        with steps(api, mode, make, *[np.zeros(3)] * VARIABLES) as other:
            other.step()
            assert len(listed(training.optimizer)) == len(listed(other.optimizer))


def main(api, mode, name):
    # Also where the tests were started in the background, without Ctrl-C, which is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chance = random.Random(5)
    cases, orders = {}, interrupter()

    def make():
        return kcompat.optimizer(RULES[name](), api=api)

    with steps(api, mode, make, *[np.zeros(3)] * VARIABLES) as training:
        started = time.time()
        training.step()
        first = time.time() - started
        started = time.time()
        training.step()
        length = time.time() - started

        def interrupted():
            try:
                orders.put(0.001 + chance.uniform(0, 3) * length)
                while True:
                    training.step()
            except KeyboardInterrupt:
                pass
            check(training, name)

        for i in range(INTERRUPTS):
            cases["interrupt {}".format(i)] = interrupted
        if training.session is None:  # a session takes its first step when the graph is made
            for i in range(FIRST):
                delay = 0.001 + (i + chance.random()) / FIRST * first
                cases["first step {}".format(i)] = functools.partial(
                    first_step, api, mode, make, name, orders, delay
                )
        report(cases)


if __name__ == "__main__":
    main(*sys.argv[1:4])

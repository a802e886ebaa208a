"""Starts a program once for each task of a cluster on this machine, each with its TF_CONFIG.

python local_cluster.py --worker 2 PROGRAM ARGUMENTS

Ends when the chief, or without one all workers, have ended, and then stops the rest. What a task is given as
an argument, {task} stands for its name, such as worker-0.
"""

import argparse
import json
import os
import socket
import subprocess
import sys


def free_port():
    """A port of the loopback interface."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def main():
    """Starts, waits, and stops what is left. The exit status is the first that is not 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    jobs = ("chief", "worker", "ps")
    for job in jobs:
        parser.add_argument("--" + job, type=int, default=0)
    parser.add_argument("program", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    cluster = {
        job: ["127.0.0.1:{}".format(free_port()) for _ in range(getattr(given, job))]
        for job in jobs
        if getattr(given, job)
    }
    running = {}
    try:
        for job, addresses in cluster.items():
            for index in range(len(addresses)):
                config = {"cluster": cluster, "task": {"type": job, "index": index}}
                task = "{}-{}".format(job, index)
                command = [sys.executable] + [part.replace("{task}", task) for part in given.program]
                environment = dict(os.environ, TF_CONFIG=json.dumps(config))
                running[job, index] = subprocess.Popen(command, env=environment)
        waited_for = "chief" if given.chief else "worker"
        statuses = [process.wait() for (job, _), process in running.items() if job == waited_for]
        return next((status for status in statuses if status), 0)
    finally:
        for process in running.values():
            if process.poll() is None:
                process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())

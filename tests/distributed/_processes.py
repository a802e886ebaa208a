"""Starts the programs of this folder: each case in a process of its own, on loopback, within a time limit.

A program is called as `python programs/NAME.py ARGUMENTS` and prints, as its last line, what it found out as
JSON. Whatever happens, nothing that was started is left running.
"""

import contextlib
import ctypes
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
#: Seconds that one program may take: minutes more than it needs on a machine that has nothing else to do.
LIMIT = 600


def free_ports(count):
    """Ports of the loopback interface that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _die_with_parent():
    """In a new process, on Linux: it is killed when the tests are."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _descendants(pid):
    """What a process has started, on Linux, also in sessions of their own."""
    parents = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError):
            with open(path) as file:
                before, after = file.read().rsplit(")", 1)
            parents[int(before.split()[0])] = int(after.split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


class Process:
    """A running program, in a process group of its own."""

    def __init__(self, program, *arguments, **environment):
        path = program if os.path.isabs(program) else os.path.join(HERE, "programs", program)
        self.command = [sys.executable, path] + [str(each) for each in arguments]
        paths = [HERE, os.path.dirname(HERE), os.environ.get("PYTHONPATH")]
        given = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths)), PYTHONWARNINGS="ignore")
        given.pop("PYTHONUNBUFFERED", None)  # lines of several processes would be mixed
        given.update((name, str(value)) for name, value in environment.items())
        self._out, self._error = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self.command,
            stdout=self._out,
            stderr=self._error,
            stdin=subprocess.DEVNULL,
            env=given,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def wait(self, limit=LIMIT):
        """The exit status, when it has ended. After `limit` seconds it is killed, and this raises."""
        try:
            return self._process.wait(limit)
        except subprocess.TimeoutExpired as error:
            self.kill()
            text = "{} took longer than {} s\n{}".format(self.command, limit, self.said())
            raise AssertionError(text) from error

    def is_running(self):
        return self._process.poll() is None

    def preempt(self):
        """Asks it to end, as a machine that is taken away does."""
        with contextlib.suppress(OSError):
            os.kill(self._process.pid, signal.SIGTERM)

    def kill(self):
        """Ends it and everything that it started, at once, as a machine that fails does."""
        others = _descendants(self._process.pid) if self.is_running() else []
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for each in others:
            with contextlib.suppress(OSError):
                os.kill(each, signal.SIGKILL)
        self._process.wait()

    def said(self):
        """What it has printed so far."""
        parts = []
        for stream in (self._out, self._error):
            stream.seek(0)
            parts.append(stream.read().decode("utf-8", "replace"))
        return "\n".join(part[-6000:] for part in parts)

    def result(self, limit=LIMIT):
        """What it found out, once it has ended well."""
        status = self.wait(limit)
        assert status == 0, "{} ended with status {}\n{}".format(self.command, status, self.said())
        self._out.seek(0)
        lines = self._out.read().decode("utf-8", "replace").strip().splitlines()
        return json.loads(lines[-1])


@contextlib.contextmanager
def started(commands):
    """Several programs at once: (program, arguments, environment) for each; all are killed at the end."""
    processes = []
    try:
        for program, arguments, environment in commands:
            processes.append(Process(program, *arguments, **environment))
        yield processes
    finally:
        for each in processes:
            each.kill()


def run(program, *arguments, limit=LIMIT, **environment):
    """What one program found out."""
    with started([(program, arguments, environment)]) as (process,):
        return process.result(limit)


def check(found):
    """Fails if one of the named cases that a program ran did not go well."""
    assert found, "no case was run"
    wrong = {name: text for name, text in found.items() if text is not None}
    assert not wrong, "\n\n".join("{}:\n{}".format(name, text) for name, text in wrong.items())

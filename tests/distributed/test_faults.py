"""Processes that are killed."""

import contextlib
import os
import random
import time

import numpy as np
import pytest
from _apis import APIS
from _processes import run, started
from test_tensorflow import WORKERS, cluster, eager, fits, graph, has, tf

PACE = 0.15
KILLS = 2


def kill_and_resume(commands, limit=240):
    """Starts programs, kills all of them at a random moment and starts them anew, several times.

    Args:
        commands: what gives the programs, as `started` takes them.
        limit: seconds to wait for the first sign of life.

    Returns:
        What each found out when nothing killed it any more.
    """
    chance = random.Random()
    for _ in range(KILLS):
        with started(commands()) as processes:
            folder = commands.folder
            before, end = entries(folder), time.time() + limit
            # The import takes most of the time, so the moment is counted from the first thing that it writes.
            while entries(folder) == before and processes[0].is_running() and time.time() < end:
                time.sleep(0.05)
            time.sleep(chance.uniform(0, 8 * PACE))
            victim = chance.choice(processes)
            victim.kill()
    with started(commands()) as processes:
        return [process.result() for process in processes]


def entries(folder):
    """Names and times of all that a folder holds."""
    found = set()
    for where, _, names in os.walk(str(folder)):
        for name in names:
            with contextlib.suppress(OSError):  # gone again
                found.add((name, os.path.getmtime(os.path.join(where, name))))
    return found


class Commands:
    """One program, as `kill_and_resume` wants it."""

    def __init__(self, folder, *arguments):
        self.folder, self.arguments = folder, arguments

    def __call__(self):
        return [("resumed.py", self.arguments, {})]


class Workers(Commands):
    """The program in three processes; each time on other ports."""

    def __call__(self):
        return cluster("resumed.py", self.arguments, worker=3)


def same_numbers(found, expected):
    """The numbers are those of an uninterrupted run, to the last bit."""
    assert found["steps"] == expected["steps"]
    for one, other in zip(found["values"], expected["values"]):
        np.testing.assert_array_equal(one, other)
    assert found["slots"].keys() == expected["slots"].keys()
    for key, slot in found["slots"].items():
        np.testing.assert_array_equal(slot, expected["slots"][key], err_msg=key)


def resumes(tmp_path, api, how, make=Commands):
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    for each in (whole, folder):
        each.mkdir()
    with started(make(whole, api, how, whole)()) as processes:
        expected = [process.result() for process in processes]
    assert expected[0]["steps"] > 0 and any(np.any(slot) for slot in expected[0]["slots"].values())
    for found in kill_and_resume(make(folder, api, how, folder, PACE)):
        same_numbers(found, expected[0])


@eager
@pytest.mark.parametrize("api", APIS)
def test_a_loop_with_a_checkpoint_manager(tmp_path, api):
    resumes(tmp_path, api, "manager")


@eager
@pytest.mark.skipif(not has(WORKERS), reason="this release has no " + WORKERS)
@pytest.mark.parametrize("api", APIS)
def test_a_loop_of_workers_of_which_one_is_killed(tmp_path, api):
    resumes(tmp_path, api, "manager", Workers)


def has_backups():
    callbacks = tf.keras.callbacks
    return any(hasattr(c, "BackupAndRestore") for c in (callbacks, getattr(callbacks, "experimental", None)))


@eager
@pytest.mark.skipif(not has_backups(), reason="this release has no BackupAndRestore")
@pytest.mark.parametrize("api", [api for api in APIS if fits(api) and api != "tf1"])
def test_backup_and_restore(tmp_path, api):
    resumes(tmp_path, api, "backup")


@eager
@pytest.mark.skipif(not has_backups(), reason="this release has no BackupAndRestore")
@pytest.mark.skipif(not has(WORKERS), reason="this release has no " + WORKERS)
@pytest.mark.parametrize("api", [api for api in APIS if fits(api) and api not in ("tf1", "keras_3")])
def test_workers_of_which_one_is_killed(tmp_path, api):
    resumes(tmp_path, api, "workers", Workers)


@eager
@pytest.mark.skipif(
    not hasattr(getattr(tf.distribute, "experimental", None), "PreemptionCheckpointHandler"),
    reason="this release has no PreemptionCheckpointHandler",
)
@pytest.mark.parametrize("make", [Commands, Workers])
@pytest.mark.parametrize("api", APIS)
def test_preemption(tmp_path, api, make):
    """SIGTERM comes to one process: all save and end, and go on when they are started again."""
    whole, folder = tmp_path / "whole", tmp_path / "preempted"
    for each in (whole, folder):
        each.mkdir()
    with started(make(whole, api, "preempted", whole)()) as processes:
        expected = [process.result() for process in processes]
    commands = make(folder, api, "preempted", folder, PACE)
    with started(commands()) as processes:
        end = time.time() + 240
        while not (folder / "alive").exists() and processes[0].is_running() and time.time() < end:
            time.sleep(0.05)
        time.sleep(random.uniform(0, 8 * PACE))
        random.choice(processes).preempt()
        statuses = [process.wait() for process in processes]
    assert all(statuses), "it ended by itself, before the signal came"
    assert any(name.endswith(".index") for name, _ in entries(folder)), "nothing was saved"
    with started(commands()) as processes:
        for process in processes:
            same_numbers(process.result(), expected[0])


@graph
@pytest.mark.parametrize("api", [api for api in APIS if api == "tf1"])
def test_a_monitored_session(tmp_path, api):
    resumes(tmp_path, api, "session")


@eager
@pytest.mark.parametrize("api", APIS)
def test_a_killed_save(tmp_path, api):
    """Whenever it is killed, the newest checkpoint that the folder names can be loaded."""
    for _ in range(2):
        with started([("killed_save.py", [api, tmp_path, "save"], {})]) as (process,):
            before, end = entries(tmp_path), time.time() + 120
            while len(entries(tmp_path) - before) < 4 and process.is_running() and time.time() < end:
                time.sleep(0.02)
            time.sleep(random.uniform(0, 0.3))
            assert process.is_running(), process.said()
        assert run("killed_save.py", api, tmp_path, "load") > 0

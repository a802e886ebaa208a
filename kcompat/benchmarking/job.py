"""One cell, measured in a process of its own: `python -m kcompat.benchmarking.job JSON` prints what it found.

What is compared takes turns, in rounds whose order is shuffled, on the same cores: the load of a machine that
is used for other things too meets both. The ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import resource
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from .cells import Job, target

# A round takes at least so long, or a step where that takes longer: clocks and garbage are not to matter.
ROUND_SECONDS = 0.004

Record = Dict[str, Any]


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pin(count: int) -> bool:
    """Keeps this process to so many cores, the last ones; False where the system can't."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-count:]))
    return True


class Clock:
    """CPU time and wall time of calls."""

    def __init__(self) -> None:
        self.cpu: List[float] = []
        self.wall: List[float] = []

    def time(self, function: Callable[[], Any], times: int) -> None:
        """Adds the mean of so many calls, in seconds."""
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(times):
            function()
        self.cpu.append((time.process_time() - cpu) / times)
        self.wall.append((time.perf_counter() - wall) / times)


def quantile(values: Sequence[float], q: float) -> float:
    """A quantile of some numbers, the nearest of them."""
    return sorted(values)[int(round(q * (len(values) - 1)))]


def interleaved(functions: Mapping[str, Callable[[], Any]], rounds: int, seconds: float) -> Dict[str, Clock]:
    """Times functions in rounds: each once a round, in an order that changes.

    Args:
        functions: what is timed; each has been called before.
        rounds: how many rounds, if they fit into the time.
        seconds: after how many seconds to stop, when there have been three.
    """
    slowest = 0.0
    for function in functions.values():
        start = time.perf_counter()
        function()
        slowest = max(slowest, time.perf_counter() - start)
    times = max(1, int(ROUND_SECONDS / max(slowest, 1e-9)))
    clocks = {name: Clock() for name in functions}
    end = time.perf_counter() + seconds
    for i in range(rounds):
        if i >= 3 and time.perf_counter() > end:
            break
        for name in random.sample(sorted(functions), len(functions)):
            clocks[name].time(functions[name], times)
    return clocks


def compared(ours: Clock, theirs: Clock) -> Record:
    """The ratio of two clocks: its median and quartiles, of CPU time, and its median of wall time."""
    ratios = [a / b for a, b in zip(ours.cpu, theirs.cpu) if b > 0]
    walls = [a / b for a, b in zip(ours.wall, theirs.wall) if b > 0]
    return {
        "value": quantile(ratios, 0.5),
        "low": quantile(ratios, 0.25),
        "high": quantile(ratios, 0.75),
        "wall": quantile(walls, 0.5),
        "ours_ms": 1e3 * quantile(ours.cpu, 0.5),
        "theirs_ms": 1e3 * quantile(theirs.cpu, 0.5),
        "rounds": len(ratios),
    }


def record(job: Job, measure: str, unit: str, found: Record) -> Record:
    """One line of the results."""
    most = target(measure, job)
    met = None if most is None else bool(found["value"] <= most)
    return {"measure": measure, "unit": unit, **job._asdict(), **found, "target": most, "met": met}


# Measuring.


def step_records(job: Job, rounds: int, seconds: float) -> List[Record]:
    """Ratios of a step, of the first call, and of a graph, of ours to theirs."""
    from . import workloads

    made: Dict[str, Any] = {}
    first = {}
    _warm_up(job)
    for which in random.sample(["ours", "theirs"], 2):
        made[which] = workloads.make(job, which == "ours")
        forgotten = workloads.forget_compiled(job)
        start = time.process_time()
        made[which].step()
        first[which] = time.process_time() - start
    if forgotten:
        for each in made.values():
            each.step()
    functions = {which: each.step for which, each in made.items()}
    bounded = job.size == "large" and job.optimizer == "Adam" and job.way in ("eager", "function", "session")
    if bounded:
        bound = functions["bound"] = workloads.MemoryBound(job)
    clocks = interleaved(functions, rounds, seconds)
    found = compared(clocks["ours"], clocks["theirs"])
    for name in ("ours_ms", "theirs_ms"):
        found[name] /= made["ours"].steps
    found["path"] = _paths(made["ours"].optimizer)
    records = [record(job, "step", "ratio", found)]
    # The first call in a graph is the session's own work; what the optimizer does is building.
    if job.way != "session":
        records.append(record(job, "first call", "ratio", _of(first["ours"], first["theirs"])))
    ours, theirs = made["ours"], made["theirs"]
    if ours.operations is not None and theirs.operations is not None:
        counts = {
            "value": ours.operations / theirs.operations,
            "ours": ours.operations,
            "theirs": theirs.operations,
        }
        records.append(record(job, "graph operations", "ratio", counts))
        records.append(record(job, "graph building", "ratio", _of(ours.building, theirs.building)))
    if bounded:
        # Of two cores, the time that passes counts, and of one, that which this process had.
        name = "against memory bandwidth, {} core{}".format(*(("one", "") if cores() == 1 else ("two", "s")))
        found = compared(clocks["ours"], clocks["bound"])
        if cores() > 1:
            found["value"] = found["wall"]
        records.append(record(job, name, "ratio", dict(found, by=bound.by)))
    return records


def _of(ours: float, theirs: float) -> Record:
    return {"value": ours / theirs, "ours_ms": 1e3 * ours, "theirs_ms": 1e3 * theirs}


def _paths(optimizer: Any) -> str:
    paths = {line.path for line in optimizer.plan()} if hasattr(optimizer, "plan") else set()
    return ", ".join(sorted(paths))


def _warm_up(job: Job) -> None:
    """What a framework does once a process, before anything is timed."""
    from . import workloads

    tiny = job._replace(size="tiny", sparse="", way="eager" if job.way == "fit" else job.way)
    for ours in (True, False):
        workloads.make(tiny, ours).step()


def memory_records(job: Job, which: str = "") -> List[Record]:
    """How much more than its slots an optimizer's first steps take: of ours to the slots, and of theirs."""
    from . import workloads

    theirs: Record = {}
    if not which:
        order = json.dumps({"job": job._asdict(), "memory": "theirs"})
        command = [sys.executable, "-m", __spec__.name, order]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, universal_newlines=True)
        (theirs,) = json.loads(done.stdout.splitlines()[-1])
    _warm_up(job)
    # What is freed later would be counted for the steps.
    gc.collect()
    before = _memory("VmRSS")
    made = workloads.make(job, which != "theirs")
    gc.collect()
    with contextlib.suppress(OSError):
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak starts anew
    for _ in range(3):
        made.step()
    slots = workloads.slot_bytes(job)
    # Variables and gradients together are as large as Adam's slots.
    found = {"value": (_memory("VmHWM") - before - slots) / slots, "slots": slots}
    if which:
        return [found]
    return [record(job, "peak memory", "ratio", dict(found, theirs=theirs["value"]))]


def _memory(what: str) -> int:
    """The bytes of this process that are in memory (VmRSS), or the most that were (VmHWM)."""
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith(what + ":")]
    return 1024 * int(line.split()[1])


def import_records(job: Job, rounds: int) -> List[Record]:
    """How much longer a Python takes that imports kcompat and finds out what is installed."""
    package = __package__.rpartition(".")[0]
    code = "import sys, {0}.environment as e; e.installed(); assert not {1} & set(sys.modules)"
    code = code.format(package, {"tensorflow", "keras", "jax", "torch"})
    clocks: Dict[str, List[float]] = {"pass": [], code: []}
    # As installed packages are: compiled once, and not each time.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environ)
    for _ in range(rounds):
        for each in random.sample(sorted(clocks), 2):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", each], check=True, env=environ)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            clocks[each].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    bare, ours = (sorted(times)[len(times) // 2] * 1e3 for times in clocks.values())
    return [record(job, "import", "ms", {"value": ours - bare, "ours_ms": ours, "theirs_ms": bare})]


def scaling_records(job: Job, rounds: int, seconds: float) -> List[Record]:
    """The time of a step and of the first call, of ours alone."""
    from . import workloads

    _warm_up(job)
    start = time.process_time()
    made = workloads.make(job, True)
    made.step()
    first = time.process_time() - start
    clock = interleaved({"ours": made.step}, rounds, seconds)["ours"]
    found = {"value": 1e3 * quantile(clock.cpu, 0.5), "first_ms": 1e3 * first, "path": _paths(made.optimizer)}
    return [record(job, "scaling", "ms", found)]


def measure(job: Job, rounds: int, seconds: float, memory: str = "") -> List[Record]:
    """What is found of a job, in this process."""
    if job.way == "memory":
        return memory_records(job, memory)
    if job.way == "import":
        return import_records(job, rounds)
    if job.way == "scaling":
        return scaling_records(job, rounds, seconds)
    return step_records(job, rounds, seconds)


def run(
    job: Job, rounds: int, seconds: float, count: int, timeout: Optional[float] = None
) -> Tuple[List[Record], str]:
    """Measures a job in a process of its own. Returns what was found, and why nothing was, if so."""
    order = {"job": job._asdict(), "rounds": rounds, "seconds": seconds, "cores": count}
    command = [sys.executable, "-m", __name__, json.dumps(order)]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, universal_newlines=True
        )
    except subprocess.TimeoutExpired:
        return [], "it took more than {:.0f} seconds".format(timeout or 0)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return [], lines[-1] if lines else "exit status {}".format(done.returncode)
    found: List[Record] = json.loads(done.stdout.splitlines()[-1])
    return found, ""


def main() -> None:
    """Measures what the command line says."""
    order = json.loads(sys.argv[1])
    pin(order.get("cores", 1))
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(cores()))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found = measure(
        Job(**order["job"]), order.get("rounds", 3), order.get("seconds", 60.0), order.get("memory", "")
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()

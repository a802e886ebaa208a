"""Times optimizer packages of other people, on kcompat.hooks and on the base class they were written for.

`python benchmarks/hooks.py` measures in this environment, with adabelief-tf 0.2.1, keras-rectified-adam
0.20.0 and lion-tf 0.0.1 on the path, and writes docs/bench/hooks/RELEASE.json; with `--page` it makes the
table in docs/hooks.md of what is there. What is compared takes turns in one process, and the times are CPU
times, as for `kcompat bench`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pathlib
import sys
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kcompat import environment, hooks  # noqa: E402
from kcompat.benchmarking import job, report  # noqa: E402

RESULTS = ROOT / "docs" / "bench" / "hooks"
PAGE = ROOT / "docs" / "hooks.md"
MARKS = ("<!-- made by `python benchmarks/hooks.py --page` -->", "<!-- end -->")
# Name -> (module, class, arguments, the API whose base class it was written for, its home release).
PACKAGES: Dict[str, Tuple[str, str, Mapping[str, Any], str, str]] = {
    "adabelief-tf": (
        "adabelief_tf",
        "AdaBeliefOptimizer",
        {"print_change_log": False},
        "optimizer_v2",
        "2.10",
    ),
    "keras-rectified-adam": ("keras_radam", "RAdam", {}, "optimizer_v2", "2.10"),
    "lion-tf": ("lion_tf", "Lion", {}, "keras_2_11", "2.11"),
}
VARIABLES, SHAPE = 50, (10, 10)
# What a class may take of the time of the same class on its own base class.
TARGET = 1.1


def base_of(api: str) -> Optional[type]:
    """The base class that a package was written for: the host's, or what TensorFlow still has inside."""
    if api != "optimizer_v2":
        # Before it is the default one, it has not all arguments.
        return environment.host_class(api) if environment.detect().default == api else None
    found = []
    if api in environment.detect().apis:
        found.append(environment.host_class(api))
    with contextlib.suppress(ImportError):
        inside = importlib.import_module("tensorflow.python.keras.optimizer_v2.optimizer_v2")
        found.append(inside.OptimizerV2)
    # Before TensorFlow 2.4 it has not the whole protocol.
    return next((base for base in found if hasattr(base, "_transform_gradients")), None)


@contextlib.contextmanager
def named(base: type) -> Iterator[None]:
    """`tf.keras.optimizers.Optimizer` is this class inside, as it was on the package's home release."""
    import tensorflow as tf

    # Mostly the same module, under two names.
    modules: List[Any] = [tf.keras.optimizers, importlib.import_module("tensorflow.keras.optimizers")]
    before = [(module, module.Optimizer) for module in modules]
    try:
        for module in modules:
            module.Optimizer = base
        yield
    finally:
        for module, own in before:
            module.Optimizer = own


def classes_of(package: str) -> Dict[str, Any]:
    """What is compared: "own", the class on its base class, and on each API the class as kcompat has it."""
    module, name, _, own, _ = PACKAGES[package]
    base, found = base_of(own), {}
    if base is None:
        with hooks.installed():
            written = getattr(importlib.import_module(module), name)
        return {environment.lineage(written) or "": written}
    with named(base):
        written = found["own"] = getattr(importlib.import_module(module), name)
    for api in environment.detect().apis:
        adopted = None if api == "get_updates" else hooks.adopt(written, api)
        if adopted is not None and adopted is not written:
            found[api] = adopted
    return found


def native(own: str) -> Any:
    """Adam of this release: of the API that a package was written for, where that has one."""
    import tensorflow as tf

    legacy = getattr(tf.keras.optimizers, "legacy", None)
    if own == "optimizer_v2" and environment.detect().default == "keras_2_11":
        return legacy.Adam
    return tf.keras.optimizers.Adam


def step_of(make: Callable[[], Any], way: str) -> Callable[[], Any]:
    """A step on many small variables: eager, in a tf.function, or in a session."""
    import numpy as np
    import tensorflow as tf

    v1, ones = tf.compat.v1, np.ones(SHAPE, "float32")
    if way == "session":
        with tf.Graph().as_default():
            names = ["v{}".format(i) for i in range(VARIABLES)]
            variables = [v1.get_variable(name, initializer=ones, use_resource=True) for name in names]
            session = v1.Session()
            v1.keras.backend.set_session(session)
            step = make().apply_gradients([(tf.constant(ones), variable) for variable in variables])
            session.run(v1.global_variables_initializer())
            run = session.make_callable(step)
        return lambda: run()
    variables = [tf.Variable(ones, name="v{}".format(i)) for i in range(VARIABLES)]
    grads, optimizer = [tf.constant(ones) for _ in variables], make()

    def eager() -> None:
        optimizer.apply_gradients(list(zip(grads, variables)))

    if way == "eager":
        return eager

    @tf.function(autograph=False)
    def traced() -> Any:
        eager()
        return tf.constant(0)

    return traced


def measure(package: str, way: str, rounds: int, seconds: float) -> List[Dict[str, Any]]:
    """The records of a package: the times of all, and of each API's the ratio to the class on its base."""
    _, _, arguments, own, home = PACKAGES[package]
    makers = {api: (lambda cls=cls: cls(**arguments)) for api, cls in classes_of(package).items()}
    makers["Adam"] = native(own)
    steps = {}
    for name, make in makers.items():
        steps[name] = step_of(make, way)
        for _ in range(3):
            steps[name]()
    clocks = job.interleaved(steps, rounds, seconds)
    about = {"package": package, "way": way, "home": home}
    found = []
    for name, clock in clocks.items():
        line = dict(about, api=name, ours_ms=1e3 * job.quantile(clock.cpu, 0.5), rounds=len(clock.cpu))
        if "own" in clocks and name not in ("own", "Adam"):
            line = dict(about, api=name, **job.compared(clock, clocks["own"]))
        found.append(line)
    return found


def run(rounds: int, seconds: float) -> None:
    """Measures here, and writes what was found."""
    job.pin(1)
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    about, records = report.machine(1), []
    ways = ("eager", "function") if tf.executing_eagerly() else ("session",)
    for package in PACKAGES:
        for way in ways:
            records += measure(package, way, rounds, seconds)
            print("measured: {} {}".format(package, way), flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / (report.name_of(about, "tensorflow") + ".json")
    report.write(str(path), about, "python benchmarks/hooks.py", records)
    print("written: {}".format(path))


# The table.


def release_of(found: Mapping[str, Any]) -> str:
    """The minor release that results are of."""
    versions = found["machine"]["versions"]
    full = versions.get("tensorflow-cpu") or versions["tensorflow"]
    return ".".join(full.split(".")[:2])


HEAD = ("package", "TensorFlow", "API", "way", "ms", "on its base", "ratio", "Adam", "at home", "Adam there")


def rows(results: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    """The lines of the table, without its head."""
    known = {}
    for each in results:
        for r in each["records"]:
            known[release_of(each), r["package"], r["way"], r["api"]] = r["ours_ms"]
    order = sorted(results, key=lambda each: [int(part) for part in release_of(each).split(".")])
    found = [(package, each) for package in PACKAGES for each in order]
    for package, each in found:
        for r in each["records"]:
            if r["package"] != package or r["api"] in ("own", "Adam"):
                continue
            release, way, ratio = release_of(each), r["way"], r.get("value")
            here = [known.get((release, package, way, name)) for name in (r["api"], "own", "Adam")]
            home = [known.get((r["home"], package, way, name)) for name in ("own", "Adam")]
            ms, own, adam, there, adam_there = ("-" if n is None else report.number(n) for n in here + home)
            marked = "-" if ratio is None else "{:.2f}{}".format(ratio, "" if ratio <= TARGET else " missed")
            yield package, release, r["api"], way, ms, own, marked, adam, there, adam_there


def page(text: str) -> str:
    """The guide with the table in its place."""
    results = [report.read(str(path)) for path in sorted(RESULTS.glob("*.json"))]
    table = "\n".join(report.markdown([HEAD, *rows(results)]))
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return "{}{}\n{}\n{}{}".format(before, MARKS[0], table, MARKS[1], after)


def main(argv: Sequence[str]) -> int:
    """Measures, or makes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--page", action="store_true", help="make the table in docs/hooks.md")
    parser.add_argument("--rounds", type=int, default=25, help="rounds of each comparison (default 25)")
    args = parser.parse_args(list(argv))
    if args.page:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        run(args.rounds, 6.0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What is measured: which optimizers, in which way, on which variables, against what; and the targets."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

MILLION = 1000 * 1000

#: Name -> the shapes of a step's variables. `rows` is a table of embeddings, of which a step has 4096 rows.
SIZES: Dict[str, Sequence[Tuple[int, ...]]] = {
    "many": [(1000,)] * 200,
    "large": [(10 * MILLION,)] * 4,
    "10M": [(10 * MILLION,)],
    "mix": [(1000,)] * 100 + [(100 * 1000,)] * 20 + [(10 * MILLION,)],
    "rows": [(MILLION, 64)],
    "tiny": [(3, 2), (4,)],
}
ROWS = 4096

#: Ways to take a step, each with what it is, in words.
WAYS: Dict[str, str] = {
    "eager": "apply_gradients called eagerly",
    "function": "apply_gradients in a tf.function",
    "fit": "one batch of model.fit",
    "session": "the training operation of a TensorFlow 1 graph",
    "jit": "stateless_apply under jax.jit, its state donated",
    "memory": "peak memory of three steps, in a process of its own",
    "import": "importing kcompat and finding out which releases are installed",
    "scaling": "steps of growing models",
}

#: Optimizers measured with --quick, and those that are measured besides: name -> (class, arguments).
OPTIMIZERS: Dict[str, Tuple[str, Dict[str, Any]]] = {
    "Adam": ("Adam", {}),
    "AdamW": ("AdamW", {}),
    "Momentum": ("SGD", {"learning_rate": 0.01, "momentum": 0.9}),
    "SGD": ("SGD", {"learning_rate": 0.01}),
    "Nesterov": ("SGD", {"learning_rate": 0.01, "momentum": 0.9, "nesterov": True}),
    "RMSprop": ("RMSprop", {}),
    "Adagrad": ("Adagrad", {}),
    "Adadelta": ("Adadelta", {}),
    "Adamax": ("Adamax", {}),
    "Nadam": ("Nadam", {}),
    "Ftrl": ("Ftrl", {}),
    "Lion": ("Lion", {}),
    "Adafactor": ("Adafactor", {}),
    "Lamb": ("Lamb", {}),
    "Muon": ("Muon", {}),
}
QUICK = ("Adam", "AdamW", "Momentum")
ADDONS = ("AdaBelief", "LAMB", "RectifiedAdam")

#: TensorFlow 1's classes of these names; it has no others. AdamW is not among them.
TF1: Dict[str, Tuple[str, Dict[str, Any]]] = {
    "Adam": ("AdamOptimizer", {}),
    "Momentum": ("MomentumOptimizer", {"learning_rate": 0.01, "momentum": 0.9}),
    "SGD": ("GradientDescentOptimizer", {"learning_rate": 0.01}),
    "Nesterov": (
        "MomentumOptimizer",
        {"learning_rate": 0.01, "momentum": 0.9, "use_nesterov": True},
    ),
    "RMSprop": ("RMSPropOptimizer", {"learning_rate": 0.001}),
    "Adagrad": ("AdagradOptimizer", {"learning_rate": 0.001}),
    "Adadelta": ("AdadeltaOptimizer", {}),
    "Ftrl": ("FtrlOptimizer", {"learning_rate": 0.001}),
}


class Job(NamedTuple):
    """One cell to measure: a process of its own.

    Attributes:
        api: the optimizer API.
        backend: the framework that its arrays are of.
        way, size, optimizer: keys of WAYS, SIZES and OPTIMIZERS; or a size as `scaled` names them.
        against: "native", "addons", "optax" or "torch.optim"; "" where there is nothing to compare with.
        sparse: "rows" for a rule that looks at a gradient's rows only.
    """

    api: str
    backend: str
    way: str
    size: str
    optimizer: str
    against: str = "native"
    sparse: str = ""

    def __str__(self) -> str:
        parts = [self.api, self.way, self.size, self.optimizer, self.sparse and "sparse=" + self.sparse]
        return " ".join([part for part in parts if part] + (["vs " + self.against] if self.against else []))

    def is_of(self, record: Mapping[str, Any]) -> bool:
        """Whether a record of results is one of this job's."""
        return all((record.get(name) or "") == value for name, value in self._asdict().items())


class Target(NamedTuple):
    """How large a measure may be: of the jobs that have one of the values given for each attribute."""

    measure: str
    most: float
    of: Mapping[str, Sequence[str]]

    def fits(self, measure: str, job: Job) -> bool:
        """Whether this is the target of a job's measure."""
        return measure == self.measure and all(
            getattr(job, name) in values for name, values in self.of.items()
        )


_TORCH = {"backend": ("torch",), "way": ("eager",), "against": ("native",)}
_NEW = {"api": ("keras_2_11", "keras_3"), "backend": ("tensorflow",)}

#: The first that fits counts. A ratio is ours to theirs; `import` is in milliseconds.
TARGETS: List[Target] = [
    Target("step", 0.60, {"against": ("addons",)}),
    Target("step", 0.02, {"sparse": ("rows",)}),
    Target("step", 0.60, {"size": ("rows",)}),
    Target("step", 0.05, dict(_NEW, way=("eager",), size=("many",), optimizer=("Adam", "AdamW"))),
    Target("step", 0.10, dict(_NEW, way=("eager",), size=("many",), optimizer=("Momentum",))),
    Target(
        "step", 0.30, {"api": ("optimizer_v2",), "way": ("eager",), "size": ("many",), "optimizer": QUICK}
    ),
    Target("step", 0.50, dict(_NEW, way=("function",), size=("many",), optimizer=("Adam", "AdamW"))),
    Target("step", 0.80, dict(_NEW, way=("function",), size=("many",), optimizer=("Momentum",))),
    Target("step", 0.33, dict(_NEW, way=("eager", "function"), size=("large",), optimizer=("Adam",))),
    Target("step", 0.30, dict(_NEW, way=("eager", "function"), size=("large",), optimizer=("AdamW",))),
    Target("step", 0.75, dict(_NEW, way=("fit",), size=("many",), optimizer=("Adam",))),
    Target("step", 0.60, dict(_NEW, way=("fit",), size=("large",), optimizer=("Adam",))),
    Target(
        "step", 0.30, {"backend": ("torch",), "way": ("eager",), "size": ("many",), "optimizer": ("Adam",)}
    ),
    Target(
        "step", 0.06, {"backend": ("torch",), "way": ("eager",), "size": ("10M",), "optimizer": ("Adam",)}
    ),
    Target("step", 1.05, {"against": ("native",)}),
    Target("first call", 0.30, dict(_NEW, size=("many",), way=("eager", "function"))),
    Target("first call", 1.10, {"size": ("many",), "against": ("native",)}),
    Target("graph operations", 1.05, {}),
    Target("graph building", 1.05, {}),
    Target("against memory bandwidth, one core", 2.0, _NEW),
    Target("against memory bandwidth, two cores", 1.5, _NEW),
    Target("peak memory", 1.10, {}),
    Target("import", 10.0, {}),
]


def target(measure: str, job: Job) -> Optional[float]:
    """How large a measure of a job may be; None if nothing is asked of it."""
    return next((each.most for each in TARGETS if each.fits(measure, job)), None)


def scaled() -> Iterator[str]:
    """Sizes of growing models: so many variables of 100 elements, then one of so many elements."""
    for count in (10, 30, 100, 300, 1000, 3000):
        yield "variables {}".format(count)
    for exponent in range(4, 9):
        yield "elements {}".format(10**exponent)


def shapes_of(size: str) -> Sequence[Tuple[int, ...]]:
    """The shapes of a size's variables."""
    if size in SIZES:
        return SIZES[size]
    kind, number = size.split()
    return [(100,)] * int(number) if kind == "variables" else [(int(number),)]


def ways_of(api: str, backend: str, eager: bool) -> List[str]:
    """The ways in which steps are taken on an API here; `eager` is whether TensorFlow is."""
    if backend != "tensorflow":
        return ["eager", "jit"] if backend == "jax" else ["eager", "fit"]
    if not eager:
        return ["session"]
    return ["eager", "function"] if api == "tf1" else ["eager", "function", "fit"]


def jobs_of(api: str, backend: str, eager: bool, quick: bool, rivals: Sequence[str]) -> List[Job]:
    """What there is to measure on one API.

    Args:
        api: the API.
        backend: the framework of its arrays.
        eager: whether TensorFlow runs eagerly.
        quick: whether only the cells that have a target of their own are wanted.
        rivals: which of "addons", "optax" and "torch.optim" are installed.
    """
    ways = ways_of(api, backend, eager)
    names = [name for name in (QUICK if quick else OPTIMIZERS) if api != "tf1" or name in TF1]
    sizes = ["many", "large"] if quick else ["many", "large", "mix"]
    sizes += ["10M"] if backend == "torch" else []
    jobs = []
    for way in ways:
        for name in names:
            if way == "fit" and name not in QUICK[:1]:
                continue
            jobs += [Job(api, backend, way, s, name) for s in (sizes[:2] if way == "fit" else sizes)]
    first = ways[0]
    if backend == "tensorflow":
        jobs += [Job(api, backend, first, "rows", "Adam", sparse=sparse) for sparse in ("", "rows")]
    if backend != "jax":  # whose state is made before the step
        jobs.append(Job(api, backend, "memory", "large", "Adam"))
    if "addons" in rivals:
        pairs = [(way, size) for way in ways[:2] for size in ("many", "large")]
        jobs += [Job(api, backend, way, size, name, "addons") for way, size in pairs for name in ADDONS]
    for rival, rivals_way in (("optax", "jit"), ("torch.optim", "eager")):
        if rival in rivals and rivals_way in ways:
            jobs += [
                Job(api, backend, rivals_way, s, n, rival) for s in ("many", "10M") for n in ("Adam", "AdamW")
            ]
    return jobs


def scaling_jobs(api: str, backend: str, eager: bool) -> List[Job]:
    """Steps of growing models, of the way that a training loop takes."""
    return [Job(api, backend, "scaling", size, "Adam", "") for size in scaled()]

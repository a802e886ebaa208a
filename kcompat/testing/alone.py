"""A rule alone, in NumPy: single steps from any state, the shapes that it takes, and small cases to try."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..contract import check_slots
from ..errors import KcompatError
from ..namespaces.base import Namespace
from ..namespaces.numpy import BACKEND
from ..rule import UpdateRule, dynamic_hypers, is_source
from .oracle import _step

#: Shapes that variables have, the ordinary ones first: matrices, vectors, scalars, none at all, more axes.
SHAPES: Tuple[Tuple[int, ...], ...] = (
    (3, 2),
    (4,),
    (),
    (6, 3),
    (1,),
    (2, 2),
    (1, 1),
    (2, 1, 3),
    (2, 1, 2, 1),
    (0, 3),
    (1, 2, 1, 2, 1),
)

# What ordinary parameters and gradients are made of: exact in float32, of several sizes, the simplest first.
_PARAMS = (1.0, -1.0, 0.5, -0.25, 2.0, 0.125)
_GRADIENTS = (1.0, -1.0, 0.5, -2.0, 0.25, 3.0, -0.0078125, -40.0)

_OWN = __name__.rpartition(".testing")[0] + "."


class State(NamedTuple):
    """Everything that steps change: parameters, slots by variable, and scalars of all variables."""

    params: List[Any]
    slots: List[Dict[str, Any]]
    shared: Mapping[str, Any]

    def arrays(self, xp: Any) -> Dict[str, Any]:
        """All of it as NumPy arrays, by what they are."""
        found = {"parameter {}".format(i): np.asarray(p) for i, p in enumerate(self.params)}
        for i, slots in enumerate(self.slots):
            found.update(("slot {} of parameter {}".format(n, i), np.asarray(s)) for n, s in slots.items())
        found.update(("shared scalar {}".format(n), np.asarray(xp.unwrap(s))) for n, s in self.shared.items())
        return found


class Watched(Namespace):
    """NumPy's namespace, which writes down what a rule does that no other backend lets it do.

    Attributes:
        left: where the rule took an array out of the vocabulary, or put one in.
        narrow: numbers of a narrower dtype than is computed in that met an array, such as `np.float32(0.1)`.
    """

    def __init__(self, dtype: str) -> None:
        super().__init__(BACKEND, dtype)
        self.left: List[str] = []
        self.narrow: List[Any] = []

    # ruff: noqa: D102 - the methods are those of Namespace

    def wrap(self, raw: Any) -> Any:
        self._look("wrap")
        return super().wrap(raw)

    def unwrap(self, obj: Any) -> Any:
        self._look("unwrap")
        return super().unwrap(obj)

    def _look(self, name: str) -> None:
        frame = sys._getframe(2)
        if not str(frame.f_globals.get("__name__")).startswith(_OWN):
            self.left.append("xp.{} in {}(), line {}".format(name, frame.f_code.co_name, frame.f_lineno))

    def _weigh(self, value: Any) -> None:
        # What float32 rounds (0.1) and not what it holds exactly (0.5).
        if value.dtype.itemsize < self.compute_dtype.itemsize and float(value) != float(str(value)):
            self.narrow.append(value)

    def _number(self, name: str, x: Any, dtype: Any) -> Any:
        if isinstance(x, np.floating):
            self._weigh(x)
        return super()._number(name, x, dtype)

    def _unify(self, name: str, kinds: str, *xs: Any) -> Any:
        for x in xs:
            if isinstance(x, np.floating):
                self._weigh(x)
        return super()._unify(name, kinds, *xs)


class Alone:
    """A rule in NumPy, one step at a time, from any state.

    Args:
        rule: the rule.
        shapes: the variables' shapes.
        dtype: what to compute in.
        watched: whether `xp` is a `Watched` namespace.
    """

    def __init__(
        self,
        rule: UpdateRule,
        shapes: Sequence[Tuple[int, ...]],
        dtype: str = "float64",
        watched: bool = False,
    ) -> None:
        from ..namespaces import namespace

        self.rule, self.dtype = rule, dtype
        self.xp: Any = Watched(dtype) if watched else namespace("numpy", dtype)
        self.rules = [
            rule.for_variable("variable_{}".format(i), tuple(shape)) for i, shape in enumerate(shapes)
        ]

    def start(self, params: Sequence[Any]) -> State:
        """The state before the first step."""
        xp = self.xp
        values = [np.array(param, self.dtype) for param in params]
        with np.errstate(all="ignore"):
            slots = [
                {n: np.array(xp.unwrap(s)) for n, s in check_slots(r, xp, r.init(xp, xp.wrap(v))).items()}
                for r, v in zip(self.rules, values)
            ]
            shared = check_slots(self.rule, xp, self.rule.init_shared(xp), "init_shared")
        return State(values, slots, shared)

    def step(
        self,
        state: State,
        row: Sequence[Any],
        step: int,
        numbers: Optional[Mapping[str, float]] = None,
    ) -> State:
        """The state after a step; the one given stays as it is, unless the rule changes arrays in place.

        Args:
            state: the state before.
            row: one gradient a variable, of the dtype computed in.
            step: the number of the step, from 1.
            numbers: hyperparameters' values, by path, in place of those that the rule was made with.
        """
        given = numbers or {}
        scalars = {
            (id(part), path.rpartition(".")[2]): self.xp.scalar(
                given.get(path, 0.001 if is_source(value) else float(value))
            )
            for path, (part, _, value) in dynamic_hypers(self.rule).items()
        }
        params, slots = list(state.params), [dict(each) for each in state.slots]
        with np.errstate(all="ignore"):
            shared = _step(self.rule, self.xp, self.rules, params, slots, state.shared, scalars, row, step)
        return State(params, slots, shared)

    def run(self, params: Sequence[Any], gradients: Sequence[Sequence[Any]]) -> List[State]:
        """The states before the first step, after it, and so on to the last."""
        states = [self.start(params)]
        for step, row in enumerate(gradients, 1):
            row = [g if g is None or isinstance(g, tuple) else np.asarray(g, self.dtype) for g in row]
            states.append(self.step(states[-1], row, step))
        return states


class Case(NamedTuple):
    """Parameters, and a list over steps of gradients, to try a rule on."""

    params: List[Any]
    gradients: List[List[Any]]

    @property
    def shapes(self) -> List[Tuple[int, ...]]:
        """The variables' shapes."""
        return [np.shape(param) for param in self.params]

    def __str__(self) -> str:
        lines = ["parameter {}: {}".format(i, _short(p)) for i, p in enumerate(self.params)]
        for step, row in enumerate(self.gradients, 1):
            lines.append("gradients of step {}: {}".format(step, ", ".join(map(_short, row))))
        return "\n".join(lines)


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "rows {} {}".format(np.asarray(value[1]).tolist(), np.asarray(value[0]).tolist())
    return "None" if value is None else str(np.asarray(value).tolist())


def accepted_shapes(rule: UpdateRule) -> Tuple[List[Tuple[int, ...]], Dict[Tuple[int, ...], str]]:
    """Those of `SHAPES` that a rule takes, and those that it refuses with its error.

    Raises:
        RuleError: the rule breaks its contract on some shape.
    """
    taken, refused = [], {}
    for shape in SHAPES:
        size = int(np.prod(shape, dtype=int))
        values = np.linspace(0.25, 1.0, size).reshape(shape) if size else np.zeros(shape)
        try:
            Alone(rule, [shape]).run([values], [[values], [-2 * values]])
            taken.append(shape)
        except KcompatError:
            raise
        except Exception as error:  # a rule may refuse a shape, in whatever way
            refused[shape] = "{}: {}".format(type(error).__name__, error)
    return taken, refused


def cases(
    shapes: Sequence[Tuple[int, ...]],
    variables: int = 1,
    steps: int = 3,
    params: Sequence[float] = _PARAMS,
    gradients: Sequence[float] = _GRADIENTS,
    same_shape: bool = False,
) -> Any:
    """A strategy for cases.

    Args:
        shapes: what the variables' shapes are taken from; only small ones are.
        variables: how many.
        steps: at most how many steps.
        params, gradients: what their elements are taken from.
        same_shape: whether all variables have one shape.
    """
    from hypothesis import strategies as st

    small = [shape for shape in shapes if 0 < int(np.prod(shape, dtype=int)) <= 6]
    small.sort(key=lambda shape: int(np.prod(shape, dtype=int)))

    of_params, of_gradients = st.sampled_from(params), st.sampled_from(gradients)

    @st.composite
    def case(draw: Callable[[Any], Any]) -> Case:
        if same_shape:
            chosen = [draw(st.sampled_from(small))] * variables
        else:
            chosen = [draw(st.sampled_from(small)) for _ in range(variables)]

        def array(shape: Tuple[int, ...], elements: Any) -> Any:
            size = int(np.prod(shape, dtype=int))
            values = draw(st.lists(elements, min_size=size, max_size=size))
            return np.array(values, "float64").reshape(shape)

        starts = [array(shape, of_params) for shape in chosen]
        count = draw(st.integers(1, steps))
        rows = [[array(shape, of_gradients) for shape in chosen] for _ in range(count)]
        return Case(starts, rows)

    return case()


class _Found(Exception):
    pass


def smallest(strategy: Any, try_: Callable[[Any], Optional[Any]], examples: int = 20) -> Optional[Any]:
    """What `try_` says of the smallest case found that it says anything of; None if there is none.

    The same cases every time, and nothing is written to disk.

    Raises:
        ImportError: Hypothesis is not installed.
    """
    hypothesis = need_hypothesis()
    last: List[Any] = []

    @hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        verbosity=hypothesis.Verbosity.quiet,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @hypothesis.given(strategy)
    def trial(case: Any) -> None:
        found = try_(case)
        if found is not None:
            last.append(found)
            raise _Found

    with _nothing_kept():
        try:
            trial()
        except Exception:
            # What is raised besides is Hypothesis' word on a rule that does not fail every time.
            if not last:
                raise
    return last[-1] if last else None


@contextlib.contextmanager
def _nothing_kept() -> Iterator[None]:
    """Hypothesis writes what it finds in source files, even with no database: not in a user's directory."""
    from hypothesis import configuration

    kept = getattr(configuration, "__hypothesis_home_directory", None)
    with tempfile.TemporaryDirectory() as directory:
        configuration.set_hypothesis_home_dir(directory)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(kept)


def need_hypothesis() -> Any:
    """The module `hypothesis`.

    Raises:
        ImportError: it is not installed; the message says how to install it.
    """
    try:
        import hypothesis
    except ImportError as error:
        raise ImportError(
            "check_rule() tries a rule on cases that Hypothesis makes, and hypothesis is not installed: "
            "pip install hypothesis (it is in the extra [test])."
        ) from error
    return hypothesis

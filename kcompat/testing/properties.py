"""The properties that `check_rule` looks at: of a rule alone, and what they all are called."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import KcompatError, UnknownArgumentError
from ..rule import UpdateRule, dynamic_hypers, is_source, walk
from .alone import Alone, Case, State, accepted_shapes, cases, smallest
from .report import Failure


class Broken(Exception):
    """A rule does not have a property; the arguments are those of `Failure` after the API."""

    def __init__(self, message: str, case: Any = "", got: Any = None, want: Any = None) -> None:
        super().__init__(message)
        self.message, self.case, self.got, self.want = message, str(case), got, want

    def failure(self, name: str, api: str) -> Failure:
        """As the report has it."""
        return Failure(name, api, self.message, self.case, self.got, self.want)


class Skip(Exception):
    """A property means nothing here; the message says why."""


class Subject:
    """The rule that is checked, and what the properties want to know of it, found out once.

    Attributes:
        given: the class or instance that was given.
        reference: what it is compared with, or None.
        notes: what the report says besides.
    """

    def __init__(self, given: Any, reference: Any = None) -> None:
        self.given, self.reference = given, reference
        self.notes: List[str] = []
        self._rule: Optional[UpdateRule] = None
        self._error: Optional[BaseException] = None
        self._shapes: Optional[List[Tuple[int, ...]]] = None

    @property
    def name(self) -> str:
        """What the report calls the rule."""
        return self.given.__name__ if isinstance(self.given, type) else repr(self.given)

    @property
    def rule(self) -> UpdateRule:
        """The rule.

        Raises:
            KcompatError: it breaks its contract; the same every time.
        """
        if self._rule is None and self._error is None:
            try:
                rule = self.given() if isinstance(self.given, type) else self.given
                self._shapes, refused = accepted_shapes(rule)
                if refused:
                    self.notes.append("it refuses variables of shape {}".format(", ".join(map(str, refused))))
                self._rule = rule
            except Exception as error:
                self._error = error
        if self._error is not None:
            raise self._error
        assert self._rule is not None
        return self._rule

    @property
    def broken(self) -> bool:
        """Whether the rule can't be run at all."""
        try:
            return self.rule is None
        except Exception:
            return True

    @property
    def shapes(self) -> List[Tuple[int, ...]]:
        """The shapes that the rule takes, ordinary ones first."""
        shapes = self._shapes if self.rule is not None else None
        assert shapes is not None
        return shapes

    def few_shapes(self) -> List[Tuple[int, ...]]:
        """Up to three shapes with elements, of different ranks where the rule takes them."""
        chosen: List[Tuple[int, ...]] = []
        for shape in self.shapes:
            if 0 not in shape and len(shape) not in [len(each) for each in chosen]:
                chosen.append(shape)
        return chosen[:3] or self.shapes[:1]

    def settable(self) -> List[Tuple[str, float, float]]:
        """The rule's hyperparameters that are numbers: name, value, and another value that it may be set to.

        Not those with which the rule would keep other slots, which no optimizer can change to.
        """
        shape = self.few_shapes()[0]

        def layout(rule: UpdateRule) -> Dict[str, Any]:
            alone = Alone(rule, [shape])
            return {
                name: value.shape for name, value in alone.start([np.ones(shape)]).arrays(alone.xp).items()
            }

        found = []
        for path, (part, declared, value) in dynamic_hypers(self.rule).items():
            if part is not self.rule or is_source(value):
                continue
            other = other_value(declared, float(value))
            if other is not None and layout(self.rule.replace(**{path: other})) == layout(self.rule):
                found.append((path, float(value), other))
        return found

    def table(self) -> Tuple[int, ...]:
        """The shape of an embedding that the rule takes.

        Raises:
            Skip: it takes none.
        """
        for shape in ((6, 3), (3, 2), (4,)):
            if shape in self.shapes:
                return shape
        raise Skip("the rule takes no shape that a sparse gradient can have")


def differ(
    got: Mapping[str, Any], want: Mapping[str, Any], rtol: float = 0.0, atol: float = 0.0
) -> Optional[Tuple[str, Any, Any]]:
    """The first of some named arrays that differ, with both; NaN equals NaN, infinity infinity.

    Args:
        got, want: by name. What `want` has and `got` lacks differs.
        rtol, atol: as `numpy.allclose` takes them.
    """
    for name, right in want.items():
        if name not in got:
            return name, None, right
        left = got[name]
        if np.shape(left) != np.shape(right):
            return name, left, right
        with np.errstate(all="ignore"):
            if not np.allclose(
                np.asarray(left, "float64"), np.asarray(right, "float64"), rtol, atol, equal_nan=True
            ):
                return name, left, right
    return None


def not_finite(found: Mapping[str, Any]) -> Optional[Tuple[str, Any]]:
    """The first of some named arrays that has NaN or infinities."""
    for name, value in found.items():
        if not np.isfinite(value).all():
            return name, value
    return None


def _search(strategy: Any, look: Callable[[Any], Optional[Broken]], examples: int = 20) -> None:
    found = smallest(strategy, look, examples)
    if found is not None:
        raise found


# Of a rule alone. Each raises Broken, or Skip; a failure that is an exception of the rule's is told as it is.


def contract(subject: Subject) -> None:
    """The rule can be made, and keeps its contract: slots, shapes, dtypes, names that `xp` has."""
    try:
        rule = subject.rule
    except UnknownArgumentError as error:
        raise Broken("{} Give check_rule() an instance.".format(error)) from error
    except KcompatError as error:
        raise Broken(str(error)) from error
    for changes in configurations(subject.given):
        try:
            rule.replace(**changes)
        except Exception as error:
            raise Broken("{}".format(error), case="hyperparameters {}".format(changes)) from error


def configurations(given: Any) -> List[Dict[str, Any]]:
    """The changes to a class's defaults that make the other configurations it is tried in.

    Each flag the other way round, and every number that is 0 by default not 0, which would leave out what it
    is for. Of an instance, none: it is checked as it is.
    """
    found: List[Dict[str, Any]] = [{}]
    if not isinstance(given, type):
        return found
    numbers = {}
    declared: Mapping[str, Any] = given.hypers  # type: ignore[attr-defined]
    for name, hyper in declared.items():
        if hyper.static and isinstance(hyper.default, bool):
            found.append({name: not hyper.default})
        elif not hyper.static and not is_source(hyper.default) and hyper.default == 0:
            try:
                numbers[name] = hyper.check(0.0625, given.__name__)
            except KcompatError:  # out of its bounds
                continue
    if numbers:
        found += [{**changes, **numbers} for changes in found]
    return found


def vocabulary(subject: Subject) -> None:
    """Arrays stay in `xp`: what takes them out of it works in NumPy and nowhere else."""
    rule = subject.rule
    for shape in subject.shapes[:3]:
        alone = Alone(rule, [shape], watched=True)
        alone.run([np.ones(shape)], [[np.ones(shape)], [-np.ones(shape)]])
        if alone.xp.left:
            raise Broken(
                "{} takes an array out of the vocabulary or puts one in, which is for adapters: a rule's "
                "arrays are made and changed with the names of xp.".format(alone.xp.left[0])
            )


def precision(subject: Subject) -> None:
    """Float64 variables are computed with in float64, the whole way."""
    rule = subject.rule
    shape = subject.few_shapes()[0]
    watched = Alone(rule, [shape], watched=True)
    watched.run([np.ones(shape)], [[np.ones(shape)], [-np.ones(shape)]])
    if watched.xp.narrow:
        raise Broken(
            "a number of dtype {} ({!r}) meets float64 arrays and has float32's rounding. Write it as a "
            "Python number.".format(watched.xp.narrow[0].dtype, watched.xp.narrow[0])
        )
    random = np.random.RandomState(2)
    start = random.uniform(0.5, 1.5, shape)
    rows = [random.uniform(0.5, 1.5, shape) * size for size in (1.0, -0.6, 0.3)]
    alone = Alone(rule, [shape])

    def outcome(which: str, by: float) -> Dict[str, Any]:
        p = start * (1 + by) if which == "parameter" else start
        grads = [[row * (1 + by) if which == "gradient" else row] for row in rows]
        return alone.run([p], grads)[-1].arrays(alone.xp)

    # Where a result depends smoothly on what goes in, a change by a billionth shows in proportion. Rounding
    # to float32 on the way swallows it, or makes much more of it.
    for which in ("gradient", "parameter"):
        base, small, big = outcome(which, 0.0), outcome(which, 1e-9), outcome(which, 1e-3)
        bigger = outcome(which, 2e-3)
        for name, value in base.items():
            with np.errstate(all="ignore"):
                slope, twice = (big[name] - value) / 1e-3, (bigger[name] - value) / 2e-3
                tiny = (small[name] - value) / 1e-9
            size = np.abs(slope)
            smooth = (size > 1e-3 * np.abs(value)) & (np.abs(slope - twice) < 0.02 * size)
            wrong = smooth & ~(np.abs(tiny - slope) < 0.1 * size)
            if np.any(wrong):
                raise Broken(
                    "{} does not follow a change of the {} by a billionth, in float64: something on the way "
                    "is rounded to float32. (got and want: how much it changes, times a billion.)".format(
                        name, which
                    ),
                    Case([start], [[row] for row in rows]),
                    np.where(wrong, tiny, slope),
                    slope,
                )


def purity(subject: Subject) -> None:
    """`init`, `prepare` and `update` change nothing that they are given, nor the rule."""

    def look(case: Case) -> Optional[Broken]:
        rule = subject.rule.replace()  # one that has done nothing yet
        before = [(part, copy.deepcopy(part._hyper_values), set(vars(part))) for _, part in walk(rule)]
        alone = Alone(rule, case.shapes)
        starts = [np.array(param) for param in case.params]
        state = alone.start(starts)
        first = State([np.array(p) for p in starts], [], {}).arrays(alone.xp)
        found = differ(state.arrays(alone.xp), first)
        if found:
            return Broken("init() changes {} in place.".format(found[0]), case, *found[1:])
        for step, row in enumerate(case.gradients, 1):
            kept = {name: np.array(value) for name, value in state.arrays(alone.xp).items()}
            grads = [np.array(grad) for grad in row]
            after = alone.step(state, grads, step)
            found = differ(state.arrays(alone.xp), kept) or differ(
                dict(zip(map(str, range(9)), grads)), dict(zip(map(str, range(9)), row))
            )
            if found:
                what = "the gradient of parameter " + found[0] if found[0].isdigit() else found[0]
                return Broken(
                    "update() changes {} in place; it must make new arrays.".format(what), case, *found[1:]
                )
            state = after
        for part, values, names in before:
            if part._hyper_values != values:
                return Broken(
                    "update() changes a hyperparameter of the rule: state belongs in slots.",
                    case,
                    dict(part._hyper_values),
                    dict(values),
                )
            new = set(vars(part)) - names
            if new:
                return Broken(
                    "the rule keeps {} on itself: state belongs in slots.".format(", ".join(sorted(new))),
                    case,
                )
        return None

    _search(cases(subject.shapes), look, 15)


def determinism(subject: Subject) -> None:
    """The same inputs give the same results, bit by bit, in whatever order they come."""
    rule = subject.rule

    def look(case: Case) -> Optional[Broken]:
        alone = Alone(rule, case.shapes)
        states = alone.run(case.params, case.gradients)
        again = alone.start(case.params)
        found = differ(again.arrays(alone.xp), states[0].arrays(alone.xp))
        if found:
            return Broken(
                "init() gives another {} when it is called again.".format(found[0]), case, *found[1:]
            )
        steps = list(range(len(case.gradients)))
        for i in [*reversed(steps), *steps]:
            again = alone.step(states[i], [np.array(g) for g in case.gradients[i]], i + 1)
            found = differ(again.arrays(alone.xp), states[i + 1].arrays(alone.xp))
            if found:
                return Broken(
                    "step {} gives another {} when it is taken again from the same state: there is "
                    "randomness in the rule, or state that is not in its slots.".format(i + 1, found[0]),
                    case,
                    *found[1:],
                )
        return None

    _search(cases(subject.shapes), look, 15)


def isolation(subject: Subject) -> None:
    """Variables do not see each other, nor their order, but for what `prepare` shares among all."""
    rule = subject.rule

    def look(case: Case) -> Optional[Broken]:
        together = Alone(rule, case.shapes)
        want = together.run(case.params, case.gradients)[-1]
        if rule.needs_all:
            turned = Alone(rule, case.shapes[::-1])
            # A rule may tell variables by name; then they keep theirs.
            turned.rules = together.rules[::-1]
            got = turned.run(case.params[::-1], [row[::-1] for row in case.gradients])[-1]
            back = State(got.params[::-1], got.slots[::-1], got.shared)
            found = differ(back.arrays(together.xp), want.arrays(together.xp), 1e-9, 1e-12)
            how = "when the variables come in the other order"
        else:
            found, how = None, "when its variable is trained alone"
            for i in range(len(case.params)):
                alone = Alone(rule, case.shapes[i : i + 1])
                alone.rules = together.rules[i : i + 1]
                got = alone.run(case.params[i : i + 1], [row[i : i + 1] for row in case.gradients])[-1]
                part = State(want.params[i : i + 1], want.slots[i : i + 1], want.shared)
                found = found or differ(got.arrays(alone.xp), part.arrays(alone.xp))
        if found:
            return Broken("{} is another {}.".format(found[0], how), case, *found[1:])
        return None

    for same_shape in (True, False):
        _search(cases(subject.shapes, 2, 2, same_shape=same_shape), look, 10)


def finite(subject: Subject) -> None:
    """Ordinary parameters (zeros among them) and gradients give finite numbers, from the first step on."""
    shape = subject.few_shapes()[0]
    ones = np.ones(shape)
    _finite_run(subject, Case([np.zeros(shape)], [[ones], [-ones]]), "ordinary gradients")
    _finite(subject, {"params": (1.0, 0.0, -0.5, 2.0)}, "ordinary gradients")


def zero_gradients(subject: Subject) -> None:
    """Gradients that are zero, in the first step too, give finite numbers."""
    _finite(subject, {"params": (1.0, 0.0, -0.5), "gradients": (0.0, 0.0, 1.0)}, "gradients that are zero")
    shape = subject.few_shapes()[0]
    _finite_run(subject, Case([np.ones(shape)], [[np.zeros(shape)]] * 3), "gradients that are zero")


def large_gradients(subject: Subject) -> None:
    """Gradients up to 1e12 give finite parameters in float32, as Adam's do, whose squares are 1e24."""
    sizes = (1e12, -1e12, 1.0, -1e6)
    _finite(subject, {"gradients": sizes}, "gradients up to 1e12", slots=False)


def _finite(subject: Subject, elements: Dict[str, Any], words: str, slots: bool = True) -> None:
    def look(case: Case) -> Optional[Broken]:
        try:
            _finite_run(subject, case, words, slots)
        except Broken as broken:
            return broken
        return None

    _search(cases(subject.shapes, **elements), look, 20)


def _finite_run(subject: Subject, case: Case, words: str, slots: bool = True) -> None:
    for dtype in ("float32", "float64"):
        alone = Alone(subject.rule, case.shapes, dtype)
        # A slot that holds infinity from the start (a smallest value so far) may keep it.
        start, *states = alone.run(case.params, case.gradients)
        open_ = {name for name, value in start.arrays(alone.xp).items() if not np.isfinite(value).all()}
        for step, state in enumerate(states, 1):
            looked = {
                name: value
                for name, value in state.arrays(alone.xp).items()
                if (slots or name.startswith("parameter")) and name not in open_
            }
            found = not_finite(looked)
            if found:
                raise Broken(
                    "{} is not finite in {} after step {}, of {}.".format(found[0], dtype, step, words),
                    case,
                    found[1],
                    None,
                )


def rows(subject: Subject) -> None:
    """With `sparse = "rows"`, what happens to a row does not depend on which others are present."""
    rule = subject.rule
    if rule.sparse != "rows":
        raise Skip('the rule is sparse = "dense"')
    shape = subject.table()
    random = np.random.RandomState(5)
    start = random.uniform(-1, 1, shape)
    grads = [random.uniform(-1, 1, shape) for _ in range(2)]
    chosen = np.array([0, 2])
    alone = Alone(rule, [shape])
    state = alone.run([start], [grads[:1]])[-1]
    everything = alone.step(state, [grads[1]], 2)
    some = alone.step(state, [(grads[1][chosen], chosen)], 2)
    whole, part = everything.arrays(alone.xp), some.arrays(alone.xp)
    by_row = {name for name, value in whole.items() if value.shape[:1] == shape[:1]}
    case = Case([start], [[grads[0]], [(grads[1][chosen], chosen)]])
    found = differ(
        {name: part[name][chosen] for name in by_row},
        {name: whole[name][chosen] for name in by_row},
        1e-12,
        1e-12,
    )
    if found:
        raise Broken(
            "{} of rows {} is another when only they are present than when all are: the rule is sparse = "
            '"rows" and looks at rows together (a mean or norm over all of them?). Reduce within rows only, '
            'or make it sparse = "dense".'.format(found[0], chosen.tolist()),
            case,
            *found[1:],
        )
    if subject.rule.needs_all:
        return
    absent = np.setdiff1d(np.arange(shape[0]), chosen)
    before = state.arrays(alone.xp)
    found = differ(
        {name: part[name][absent] for name in by_row}, {name: before[name][absent] for name in by_row}
    )
    if found:
        raise Broken(
            "{} changes in rows {}, which no gradient is for.".format(found[0], absent.tolist()),
            case,
            *found[1:],
        )


def hyperparameters(subject: Subject) -> None:
    """Setting a hyperparameter is the same as having made the rule with that value."""
    rule = subject.rule
    shape = subject.few_shapes()[0]
    random = np.random.RandomState(6)
    grads = [random.uniform(-1, 1, shape) for _ in range(3)]
    alone = Alone(rule, [shape])
    start = random.uniform(-1, 1, shape)
    states = alone.run([start], [[g] for g in grads])
    for path, value, other in subject.settable():
        with_it = Alone(rule.replace(**{path: other}), [shape])
        moved = False
        for i, grad in enumerate(grads):
            was, is_ = (
                alone.step(states[i], [grad], i + 1, numbers).arrays(alone.xp)
                for numbers in (None, {path: other})
            )
            made = with_it.step(states[i], [grad], i + 1).arrays(alone.xp)
            moved = moved or differ(is_, was) is not None
            found = differ(is_, made)
            if found:
                raise Broken(
                    "{} = {!r} set on the optimizer gives another {} than a rule made with it: the rule "
                    "reads what it was made with. Read hyper.{}.".format(path, other, found[0], path),
                    Case([start], [[g] for g in grads[: i + 1]]),
                    *found[1:],
                )
        if not moved and path == "learning_rate":
            raise Broken(
                "learning_rate = {!r} in place of {!r} changes nothing: a schedule would have no "
                "effect.".format(other, value),
                Case([start], [[g] for g in grads]),
            )
        begun = with_it.run([start], [[g] for g in grads])[-1].arrays(alone.xp)  # init may read it, too
        if not moved and differ(begun, states[-1].arrays(alone.xp)) is None:
            subject.notes.append(
                "{} = {!r} in place of {!r} changes nothing in three ordinary steps".format(
                    path, other, value
                )
            )


def other_value(declared: Any, value: float) -> Optional[float]:
    """Another value that a hyperparameter may have, not far off; None if none of those tried may be."""
    for other in (value * 0.5, value * 0.75, 0.25, 0.5, 2.0, 0.03125):
        try:
            if other != value and np.isfinite(other):
                return float(declared.check(other, "rule"))
        except KcompatError:
            continue
    return None


def config(subject: Subject) -> None:
    """The rule comes back from its configuration by way of JSON, from a pickle and from a copy."""
    rule = subject.rule
    changes: Dict[str, Any] = {}
    for name, declared in type(rule).hypers.items():
        value = rule._hyper_values[name]
        if not declared.static and not is_source(value):
            other = other_value(declared, float(value))
            if other is not None:
                changes[name] = other
    sources = [value for _, _, value in dynamic_hypers(rule).values() if is_source(value)]
    for each in (rule, rule.replace(**changes)):
        ways: List[Tuple[str, Callable[[Any], Any]]] = [("copy.deepcopy", copy.deepcopy)]
        if not sources:
            ways.append(("Rule(**config)", _from_config))
        if _importable(type(rule)) and not sources:
            ways.append(("a pickle", lambda r: pickle.loads(pickle.dumps(r))))
        for words, way in ways:
            try:
                back = way(each)
            except Exception as error:
                raise Broken(
                    "{!r} can't be made again from {}: {}: {}".format(
                        each, words, type(error).__name__, error
                    )
                ) from error
            if not (back == each):
                raise Broken("from {} comes another rule.".format(words), "", repr(back), repr(each))
            shape = subject.few_shapes()[0]
            ones = np.ones(shape)
            got, want = (
                Alone(r, [shape]).run([ones], [[ones], [-0.5 * ones]])[-1].arrays(Alone(r, [shape]).xp)
                for r in (back, each)
            )
            found = differ(got, want)
            if found:
                raise Broken(
                    "the rule from {} gives another {}.".format(words, found[0]),
                    Case([ones], [[ones], [-0.5 * ones]]),
                    *found[1:],
                )


def _from_config(rule: UpdateRule) -> UpdateRule:
    return type(rule)(**json.loads(json.dumps(rule.config())))


def _importable(cls: type) -> bool:
    import sys

    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls


def reference(subject: Subject) -> None:
    """The rule gives what the reference gives, in float64."""
    from .comparing import compare

    if subject.reference is None:
        raise Skip("no reference was given")
    compare(subject)


class Property(NamedTuple):
    """Something that a rule is checked for.

    Attributes:
        name: what the report, the tests and the command line call it.
        check: called with the subject, and where `on_api` also with the name of an API.
        on_api: whether it is checked on every API, or of the rule alone.
    """

    name: str
    check: Callable[..., None]
    on_api: bool

    @property
    def doc(self) -> str:
        """One sentence that says what it is."""
        return (self.check.__doc__ or "").strip().splitlines()[0]


def properties() -> Sequence[Property]:
    """Every property, in the order in which they are checked."""
    from . import on_apis

    alone = (
        contract,
        vocabulary,
        purity,
        determinism,
        isolation,
        precision,
        finite,
        zero_gradients,
        large_gradients,
        rows,
        hyperparameters,
        config,
        reference,
    )
    found = [Property(check.__name__, check, False) for check in alone]
    return tuple(found + [Property(check.__name__, check, True) for check in on_apis.CHECKS])

"""What `check_rule` found: a report of outcomes, one for every property on every API."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from ..errors import KcompatError


class ConformanceError(KcompatError, AssertionError):
    """A rule fails its conformance check. The message is the report."""


class Failure(NamedTuple):
    """A property that a rule does not have.

    Attributes:
        property: the property's name, as in `kcompat.testing.PROPERTIES`.
        api: the API on which it fails, or "numpy" where the rule alone does.
        message: what is wrong and what to do.
        case: the smallest case found in which it fails, in words; "" where there is nothing to say.
        got, want: the numbers side by side, NumPy arrays; None where it is not about numbers.
    """

    property: str
    api: str
    message: str
    case: str = ""
    got: Optional[Any] = None
    want: Optional[Any] = None

    def __str__(self) -> str:
        lines = ["{} [{}]: {}".format(self.property, self.api, self.message)]
        if self.case:
            lines += ["case:", *("  " + line for line in self.case.splitlines())]
        if self.got is not None or self.want is not None:
            lines += side_by_side(self.got, self.want)
        return "\n".join(lines[:1] + ["    " + line for line in lines[1:]])


class Outcome(NamedTuple):
    """How one property came out on one API.

    Attributes:
        property, api: as in `Failure`.
        failure: what fails; None if nothing does.
        skipped: why the property means nothing here; "" if it was checked.
        seconds: how long it took.
    """

    property: str
    api: str
    failure: Optional[Failure]
    skipped: str
    seconds: float


class Report:
    """What was checked, and what failed.

    Attributes:
        rule: the rule, or what was given for one.
        outcomes: one `Outcome` for every property and API, in the order in which they were checked.
        notes: what an author may want to know though nothing is wrong with it.
    """

    def __init__(self, rule: Any, outcomes: List[Outcome], notes: List[str]) -> None:
        self.rule, self.outcomes, self.notes = rule, outcomes, notes

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> List[Failure]:
        """What failed."""
        return [outcome.failure for outcome in self.outcomes if outcome.failure is not None]

    @property
    def apis(self) -> Tuple[str, ...]:
        """The APIs that it was checked on; "numpy" is the rule alone."""
        return tuple(dict.fromkeys(outcome.api for outcome in self.outcomes))

    def raise_if_failed(self) -> None:
        """Raises ConformanceError with the whole report as its message if anything failed."""
        if not self.ok:
            raise ConformanceError("\n" + str(self))

    def __str__(self) -> str:
        checked = [outcome for outcome in self.outcomes if not outcome.skipped]
        head = "{}: {} of {} checks failed on {}.".format(
            self.rule, len(self.failures), len(checked), ", ".join(self.apis)
        )
        skipped = [
            "not checked: {} [{}]: {}".format(o.property, o.api, o.skipped)
            for o in self.outcomes
            if o.skipped
        ]
        notes = ["note: " + note for note in self.notes]
        return "\n".join([head, *map(str, self.failures), *skipped, *notes])

    def __repr__(self) -> str:
        return "<Report on {}: {} failures>".format(self.rule, len(self.failures))


def side_by_side(got: Any, want: Any, most: int = 6) -> List[str]:
    """Lines that show where two arrays differ: the elements that differ most, or both whole."""
    try:
        left, right = np.asarray(got, "float64"), np.asarray(want, "float64")
    except (TypeError, ValueError):
        return ["got:  {!r}".format(got), "want: {!r}".format(want)]
    if left.shape != right.shape or not left.ndim:
        return ["got:  {!r}".format(got), "want: {!r}".format(want)]
    with np.errstate(all="ignore"):
        gap = np.abs(left - right) / (np.abs(right) + 1e-300)
    gap = np.where((left == right) | (np.isnan(left) & np.isnan(right)), -1.0, gap)
    gap = np.where(np.isnan(gap), np.inf, gap)
    order = [int(i) for i in np.argsort(-gap, axis=None, kind="mergesort") if gap.reshape(-1)[i] >= 0]
    lines = ["{:>14}  {:>24}  {:>24}".format("element", "got", "want")]
    for i in order[:most]:
        place = tuple(int(each) for each in np.unravel_index(i, left.shape))
        values = (repr(float(each.reshape(-1)[i])) for each in (left, right))
        lines.append("{:>14}  {:>24}  {:>24}".format(str(list(place)), *values))
    if len(order) > most:
        lines.append("and {} more of {} elements".format(len(order) - most, left.size))
    return lines

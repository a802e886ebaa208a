"""`check_rule`: a rule through every property, on every API that is installed."""

from __future__ import annotations

import time
from typing import Any, Callable, List, Optional, Sequence, Tuple

from ..environment import detect
from ..errors import ApiNotAvailableError, RuleError, nearest
from ..rule import UpdateRule, of_another_copy
from .alone import need_hypothesis
from .properties import Broken, Property, Skip, Subject, properties
from .report import Failure, Outcome, Report

#: The API that the properties of a rule alone stand under.
ALONE = "numpy"


def check_rule(
    rule: Any,
    reference: Any = None,
    apis: Optional[Sequence[str]] = None,
    *,
    only: Optional[Sequence[str]] = None,
    progress: Optional[Callable[[Outcome], None]] = None,
) -> Report:
    """Runs a rule through everything that holds of every rule, alone in NumPy and on every API.

    Args:
        rule: a class, which is checked as its defaults make it (against a reference also with its flags the
            other way round), or an instance.
        reference: what it is compared with in float64. Another rule, of which a class is made with the
            hyperparameters of the same names; or a function `reference(grad, param, slots, hyper, step)` that
            does one step in plain NumPy and returns `param`, or `(param, slots)`. `grad` and `param` are
            float64 arrays of one variable, `hyper` has the hyperparameters as Python numbers, `step` is an
            int from 1. `slots` is a dict: what the function returned the step before, at first what `init`
            makes. A function that returns `param` alone is given the rule's own parameter and slots of
            before the step. Slots of the same names are compared too.
        apis: names of APIs; by default all that are found here. Empty, or "numpy": the rule alone, for which
            no framework is imported.
        only: names of properties; by default all.
        progress: called with each outcome as it comes.

    Returns:
        What failed. A rule that can't even be made is reported and nothing raised.

    Raises:
        ImportError: Hypothesis is not installed.
        ApiNotAvailableError: one of `apis` does not work here.
        RuleError: `rule` or `reference` is none, or `only` has a name that no property has.
    """
    need_hypothesis()
    subject = subject_of(rule, reference)
    outcomes = []
    for each, api in plan(apis, reference is not None, only):
        outcome = outcome_of(subject, each, api)
        outcomes.append(outcome)
        if progress is not None:
            progress(outcome)
    return Report(subject.name, outcomes, subject.notes)


def subject_of(rule: Any, reference: Any = None) -> Subject:
    """What is checked, for `outcome_of`.

    Raises:
        RuleError: it is no rule, or the reference is none.
    """
    is_rule = isinstance(rule, UpdateRule) or (isinstance(rule, type) and issubclass(rule, UpdateRule))
    if not is_rule:
        raise RuleError(
            "check_rule({!r}): expected an update rule, a class or an instance.{}".format(
                rule, of_another_copy(rule)
            )
        )
    if reference is not None and not callable(reference) and not isinstance(reference, UpdateRule):
        raise RuleError(
            "check_rule(reference={!r}): expected an update rule, or a function (grad, param, slots, hyper, "
            "step) -> param or (param, slots).".format(reference)
        )
    return Subject(rule, reference)


def plan(
    apis: Optional[Sequence[str]] = None, with_reference: bool = True, only: Optional[Sequence[str]] = None
) -> List[Tuple[Property, str]]:
    """Every property with every API that it is to be checked on, in order.

    Raises:
        As `check_rule`.
    """
    known = properties()
    names = [each.name for each in known]
    for name in only or ():
        if name not in names:
            raise RuleError(
                "check_rule(only=[{!r}]): no such property; there are {}.{}".format(
                    name, ", ".join(names), nearest(name, names)
                )
            )
    chosen = _chosen(apis)
    return [
        (each, api)
        for each in known
        if (only is None or each.name in only) and (with_reference or each.name != "reference")
        for api in (chosen if each.on_api else [ALONE])
    ]


def _chosen(apis: Optional[Sequence[str]]) -> List[str]:
    """The APIs to check on; to find out which there are imports the frameworks."""
    asked = None if apis is None else [api for api in apis if api != ALONE]
    if asked == []:
        return []
    found = detect()
    for api in asked or ():
        if api not in found.apis:
            raise ApiNotAvailableError(
                "check_rule(apis=[{!r}]): {}. There are {} here.{}".format(
                    api,
                    found.absent.get(api, "there is no such API"),
                    ", ".join(found.apis) or "none",
                    nearest(api, found.apis),
                )
            )
    return list(found.apis if asked is None else asked)


def outcome_of(subject: Subject, checked: Property, api: str) -> Outcome:
    """How one property comes out."""
    begun = time.perf_counter()
    failure: Optional[Failure] = None
    skipped = ""
    try:
        if checked.name != "contract" and subject.broken:
            raise Skip("the rule breaks its contract")
        checked.check(subject, api) if checked.on_api else checked.check(subject)
    except Skip as skip:
        skipped = str(skip)
    except Broken as broken:
        failure = broken.failure(checked.name, api)
    except Exception as error:
        lines = str(error).strip().splitlines()
        failure = Failure(
            checked.name, api, "{}: {}".format(type(error).__name__, "\n    ".join(lines[-12:]))
        )
    return Outcome(checked.name, api, failure, skipped, time.perf_counter() - begun)


def rule_tests(
    rule: Any,
    reference: Any = None,
    apis: Optional[Sequence[str]] = None,
    *,
    only: Optional[Sequence[str]] = None,
) -> Any:
    """A pytest test function that is one test for each property and API: `test_x = rule_tests(MyRule)`.

    The tests are called `test_x[property-api]`. It needs no plugin, and finds the APIs, which imports the
    frameworks, when the test module is imported.

    Args:
        rule, reference, apis, only: as for `check_rule`.

    Raises:
        ApiNotAvailableError: one of `apis` does not work here.
        RuleError: `rule` or `reference` is none, or `only` has a name that no property has.
    """
    import pytest

    subject = subject_of(rule, reference)
    planned = plan(apis, reference is not None, only)

    def test(kcompat_case: Any) -> None:
        need_hypothesis()
        outcome = outcome_of(subject, *kcompat_case)
        if outcome.failure is not None:
            pytest.fail(str(outcome.failure), pytrace=False)
        if outcome.skipped:
            pytest.skip(outcome.skipped)

    test.__doc__ = "{}, checked by kcompat.".format(subject.name)
    ids = ["{}-{}".format(each.name, api) for each, api in planned]
    return pytest.mark.parametrize("kcompat_case", planned, ids=ids)(test)

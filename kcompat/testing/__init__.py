"""What authors of optimizers test with: the NumPy oracle, and the conformance kit."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from .check import check_rule, rule_tests
    from .oracle import reference
    from .report import ConformanceError, Failure, Outcome, Report

# Public name -> the module that defines it: the pytest plugin is here too, and must start quickly.
_WHERE = {
    "ConformanceError": ".report",
    "Failure": ".report",
    "Outcome": ".report",
    "Report": ".report",
    "check_rule": ".check",
    "reference": ".oracle",
    "rule_tests": ".check",
}

__all__ = ["ConformanceError", "Failure", "Outcome", "Report", "check_rule", "reference", "rule_tests"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))
    value = getattr(importlib.import_module(_WHERE[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})

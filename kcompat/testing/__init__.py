"""What authors of optimizers test with: the NumPy oracle, and the conformance kit."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

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


# So that a checker knows each name, and refuses what is none.
if TYPE_CHECKING:
    from .check import check_rule as check_rule
    from .check import rule_tests as rule_tests
    from .oracle import reference as reference
    from .report import ConformanceError as ConformanceError
    from .report import Failure as Failure
    from .report import Outcome as Outcome
    from .report import Report as Report

else:

    def __getattr__(name: str) -> Any:
        if name not in _WHERE:
            raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))
        value = getattr(importlib.import_module(_WHERE[name], __name__), name)
        globals()[name] = value
        return value


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})

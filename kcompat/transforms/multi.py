"""A partition of variables by their names, as TensorFlow Addons' MultiOptimizer makes it of layers."""

from __future__ import annotations

import re
from typing import Any, List, Mapping, Sequence, Tuple

from ..rule import UpdateRule
from .partition import Partition


class Still(UpdateRule):
    """Leaves the parameter as it is: the rule of variables that no optimizer was given for.

    No slots.
    """

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        return param, {}


class StillRows(Still):
    """`Still`, beside rules that update only the rows present."""

    sparse = "rows"


class MultiOptimizer(Partition):
    """Different rules for the variables of different layers; a variable of none stays as it is.

    A `Partition` whose patterns are whole names.
    """

    @staticmethod
    def arguments(parts: Sequence[Tuple[Sequence[str], UpdateRule]]) -> Tuple[UpdateRule, List[Any]]:
        """What to construct it with: the rule of all other variables, and the parts.

        Args:
            parts: pairs (names of variables, their rule).
        """
        rows = parts[0][1].sparse == "rows"
        pairs = [
            [r"\A(?:{})\Z".format("|".join(re.escape(name) for name in sorted(names))), rule]
            for names, rule in parts
        ]
        return StillRows() if rows else Still(), pairs

"""What type checkers must refuse: each line that says so at its end, and no other."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

import kcompat
from kcompat import Hyper, UpdateRule, addons, optimizers, rules, schedules, transforms
from kcompat.optimizers import AdamW
from kcompat.rules import Adamm  # refused: no such rule
from kcompat.testing import reference, referense  # refused: no such function
from kcompat.transforms import ClipByNrom  # refused: no such transform


class Rule(UpdateRule):
    learning_rate = Hyper(1e-3, ge="0")  # refused: a bound is a number
    momentum = Hyper(0.9, max=1)  # refused: no such bound

    def init(self, xp: Any) -> Mapping[str, Any]:  # refused: init takes the parameter
        return {}

    def update(  # refused: update returns a pair
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> int:
        return 1


class Changing(transforms.GradientTransform):
    def change(self, xp: Any, grad: Any) -> Any:  # refused: change takes the hyperparameters
        return grad


class Late(schedules.Schedule):
    def value(self, xp: Any) -> Any:  # refused: value takes the step
        return 0.1


print(rules.Adamm, Adamm)  # refused: no such rule
print(kcompat.UpdateRul)  # refused: no such name
print(kcompat.optimisers)  # refused: no such module
kcompat.optimizer_class(rules.Adam())  # refused: a rule, not its class
kcompat.optimizer_class(rules.Adam, 3)  # refused: the API is a name
kcompat.optimizer_class(rules.Adam, backend="jax")  # refused: no such argument
kcompat.optimizer(rules.Adam)  # refused: the class, not a rule
transforms.ClipByNorm(1.0, rules.Adam())  # refused: the rule is the first argument
transforms.Partition(rules.Adam(), rules.SGD())  # refused: the parts are a list
schedules.CosineDecay(0.1)  # refused: the number of steps is missing
schedules.CosineDecay(0.1, 10, warm_up=3)  # refused: no such argument
reference(rules.Adam(), [1.0])  # refused: no gradients
reference(rules.Adam, [1.0], [[1.0]])  # refused: the class, not a rule
pair: Tuple[int, int] = reference(rules.Adam(), [1.0], [[1.0]])  # refused: it is a pair of lists
kcompat.detect().api  # refused: no such field
kcompat.detect(refresh="yes")  # refused: not a bool
AdamW(1e-3, learnin_rate=3)  # refused: no such argument
optimizers.SGD(0.1, 0.9, True, 1.0)  # refused: base arguments are given by name
optimizers.SGD(clipnorm="1")  # refused: not a number
optimizers.Muom(0.1)  # refused: no such optimizer
addons.LAMB(1e-3, momentum=0.9)  # refused: no such argument
addons.SGDW()  # refused: the decay is missing
raise kcompat.detect  # refused: no exception

"""The stubs of optimizer classes, which are made on first access: what type checkers know of them.

`python tests/test_stubs.py --write` writes kcompat/optimizers/__init__.pyi and kcompat/addons.pyi anew.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
COMMAND = "python tests/test_stubs.py --write"

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(HERE))
else:
    import _package  # noqa: F401  stands in for the package where a vendored copy is tested
    import pytest
    from _apis import APIS

from kcompat import addons, optimizers, rules, vendoring  # noqa: E402
from kcompat.rule import BASE_ARGUMENTS  # noqa: E402

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(rules.__file__)))

TOP = '''# Written by: {command}
"""{docstring}"""

{imports}
'''
IMPORTS = {
    "optimizers": """from typing import Any, Dict, List, Optional, Tuple

from ..rule import UpdateRule
from . import get_updates as get_updates
from . import keras_2_11 as keras_2_11
from . import keras_3 as keras_3
from . import legacy as legacy
from . import optimizer_v2 as optimizer_v2
from . import schedules as schedules
from . import tf1 as tf1
from .identifiers import deserialize as deserialize
from .identifiers import get as get
from .identifiers import serialize as serialize
from .loss_scale import LossScaleOptimizer as LossScaleOptimizer
from .multi import MultiOptimizer as MultiOptimizer
from .multi import OptimizerMap as OptimizerMap
""",
    "addons": """from typing import Any, Callable, Optional, Tuple

from .optimizers import _Optimizer
from .schedules import CyclicalLearningRate as CyclicalLearningRate
from .schedules import ExponentialCyclicalLearningRate as ExponentialCyclicalLearningRate
from .schedules import Triangular2CyclicalLearningRate as Triangular2CyclicalLearningRate
from .schedules import TriangularCyclicalLearningRate as TriangularCyclicalLearningRate
""",
}
BASE = '''
NAMES: Tuple[str, ...]
Optimizer: Any

class _Optimizer(Any):
    """What all optimizers have, on every API, besides what is their host's; for type checkers only."""

    api: str
    rule: UpdateRule
    rule_class: type
    learning_rate: Any
    lr: Any
    weight_decay: Any
    clipnorm: Any
    clipvalue: Any
    global_clipnorm: Any
    iterations: Any
    variables: Any
    def apply_gradients(self, grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any: ...
    def minimize(self, *args: Any, **kwargs: Any) -> Any: ...
    def build(self, *args: Any, **kwargs: Any) -> Any: ...
    def exclude_from_weight_decay(self, *args: Any, **kwargs: Any) -> None: ...
    def get_config(self) -> Dict[str, Any]: ...
    @classmethod
    def from_config(cls, config: Any, *args: Any, **kwargs: Any) -> Any: ...
    @classmethod
    def from_rule(cls, rule: UpdateRule, **base_arguments: Any) -> Any: ...
    def get_slot(self, *args: Any, **kwargs: Any) -> Any: ...
    def get_slot_names(self) -> List[str]: ...
    def get_weights(self) -> List[Any]: ...
    def set_weights(self, weights: Any) -> None: ...
    def swap_averages(self, *args: Any, **kwargs: Any) -> Any: ...
'''
ADDONS = '''
NAMES: Tuple[str, ...]

class DecoupledWeightDecayExtension(Any):
    """Weight decay that is not multiplied by the learning rate, in front of an optimizer class."""

    def __init__(
        self, weight_decay: Any, exclude_from_weight_decay: Any = None, *args: Any, **kwargs: Any
    ) -> None: ...

def extend_with_decoupled_weight_decay(base_optimizer: Any) -> Callable[..., Any]: ...

KerasLegacyOptimizer: Any

class AveragedOptimizerWrapper(_Optimizer):
    """The base of optimizers that keep an average of each variable."""

    @property
    def has_shadow_copy(self) -> bool: ...
    def assign_average_vars(self, var_list: Any) -> Any: ...
    def shadow_copy(self, model_weights: Any) -> Any: ...
    def swap_weights(self) -> Any: ...
'''
# Wrapper -> its base, and its own arguments with their defaults. The last is the optimizer's name.
WRAPPERS = {
    "Lookahead": ("_Optimizer", {"optimizer": None, "sync_period": 6, "slow_step_size": 0.5}),
    "MovingAverage": (
        "AveragedOptimizerWrapper",
        {
            "optimizer": None,
            "average_decay": 0.99,
            "num_updates": "None",
            "start_step": 0,
            "dynamic_decay": False,
        },
    ),
    "MultiOptimizer": ("_Optimizer", {"optimizers_and_layers": "None", "optimizer_specs": "None"}),
    "SWA": (
        "AveragedOptimizerWrapper",
        {"optimizer": None, "start_averaging": 0, "average_period": 10},
    ),
}
TYPES = {
    "name": "Optional[str] = ...",
    "clipnorm": "Optional[float] = ...",
    "clipvalue": "Optional[float] = ...",
    "global_clipnorm": "Optional[float] = ...",
    "use_ema": "bool = ...",
    "ema_momentum": "float = ...",
    "ema_overwrite_frequency": "Optional[int] = ...",
    "loss_scale_factor": "Optional[float] = ...",
    "gradient_accumulation_steps": "Optional[int] = ...",
}


def argument(name, parameter):
    """One argument: a number may be a schedule, a variable or a function, so its type says nothing."""
    if parameter.default is parameter.empty:
        return "{}: Any".format(name)
    kind = "bool" if isinstance(parameter.default, bool) else "Any"
    return "{}: {} = {!r}".format(name, kind, parameter.default)


def class_of(name, rule, base):
    """An optimizer class whose constructor is checked."""
    lines = ["class {}({}):".format(name, base), "    def __init__(", "        self,"]
    for each, parameter in rule.__signature__.parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and "        *," not in lines:
            lines.append("        *,")
        lines.append("        {},".format(argument(each, parameter)))
    if "        *," not in lines:
        lines.append("        *,")
    for each in BASE_ARGUMENTS:
        if each not in rule.hypers:
            lines.append("        {}: {},".format(each, TYPES.get(each, "Any = ...")))
    # Taken by every optimizer for the sake of older Keras, with a warning.
    for each in ("lr", "decay"):
        if each not in rule.hypers:
            lines.append("        {}: Any = ...,".format(each))
    return "\n".join([*lines, "    ) -> None: ..."])


def wrapper(name):
    """A wrapper of addons, whose constructor is checked."""
    base, own = WRAPPERS[name]
    lines = ["class {}({}):".format(name, base), "    def __init__(", "        self,"]
    for each, default in own.items():
        kind = "bool" if isinstance(default, bool) else "Any"
        lines.append(
            "        {}: {}{},".format(each, kind, "" if default is None else " = {}".format(default))
        )
    lines += ["        name: Optional[str] = ...,", "        *,"]
    for each in BASE_ARGUMENTS:
        if each != "name":
            lines.append("        {}: {},".format(each, TYPES.get(each, "Any = ...")))
    return "\n".join([*lines, "    ) -> None: ..."])


def stubs():
    """Path in the package -> text of the stub."""
    first = {part.__name__.split(".")[-1]: part.__doc__.splitlines()[0] for part in (optimizers, addons)}
    catalogue = [class_of(name, getattr(rules, name), "_Optimizer") for name in sorted(optimizers.NAMES)]
    of_addons = []
    for name, (module, rule) in sorted(addons._RULES.items()):
        family = importlib.import_module(rules.__name__ + module[len(".rules") :])
        of_addons.append(class_of(name, getattr(family, rule), "_Optimizer"))
    of_addons += [wrapper(name) for name in sorted(WRAPPERS)]
    texts = {}
    for path, part, base, classes in (
        ("optimizers/__init__.pyi", "optimizers", BASE, catalogue),
        ("addons.pyi", "addons", ADDONS, of_addons),
    ):
        top = TOP.format(command=COMMAND, docstring=first[part], imports=IMPORTS[part].rstrip("\n"))
        texts[path] = top + base + "\n" + "\n\n".join(classes) + "\n"
    return texts


def main(arguments):
    """Write the stubs."""
    if arguments != ["--write"]:
        print("usage: " + COMMAND)
        return 2
    for path, text in stubs().items():
        with open(os.path.join(PACKAGE, path), "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))


@pytest.mark.parametrize("path", ["optimizers/__init__.pyi", "addons.pyi"])
def test_stubs_are_up_to_date(path):
    with open(os.path.join(PACKAGE, path), encoding="utf-8") as file:
        assert file.read() == stubs()[path], "kcompat/{} is old: {}".format(path, COMMAND)


def test_stubs_have_every_name():
    texts = stubs()
    for part, path in (("optimizers", "optimizers/__init__.pyi"), ("addons", "addons.pyi")):
        module = importlib.import_module("kcompat." + part)
        found = set(re.findall(r"^(?:class |def |)([A-Za-z]\w+)[:(]", texts[path], re.M))
        found |= set(re.findall(r"^from \.(?!optimizers)\w+ import (\w+)", texts[path], re.M))
        found |= set(re.findall(r"^from \. import (legacy|schedules)", texts[path], re.M))
        assert found == set(module.__all__)


@pytest.mark.skipif(not APIS, reason="no optimizer API here")
def test_constructors_in_the_stubs_are_those_of_the_classes():
    """Argument for argument, apart from the two of older Keras that no signature shows."""
    for part, path in (("optimizers", "optimizers/__init__.pyi"), ("addons", "addons.pyi")):
        module = importlib.import_module("kcompat." + part)
        shown = {
            node.name: node.body[0].args
            for node in ast.parse(stubs()[path]).body
            if isinstance(node, ast.ClassDef) and isinstance(node.body[0], ast.FunctionDef)
        }
        shown.pop("AveragedOptimizerWrapper", None)
        assert len(shown) >= len(module.NAMES) - 8
        for name, arguments in shown.items():
            parameters = inspect.signature(getattr(module, name)).parameters
            given = [each.arg for each in (*arguments.args[1:], *arguments.kwonlyargs)]
            assert [each for each in given if each not in ("lr", "decay")] == list(parameters)
            positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
            assert [each.arg for each in arguments.args[1:]] == positional


@pytest.mark.wide
def test_a_copy_with_fewer_rules_has_no_stubs():
    part, _, _ = vendoring.contents(only=["sgd"])
    assert not [path for path in part if path.endswith(".pyi")]
    assert len([path for path in vendoring.contents()[0] if path.endswith(".pyi")]) == 2

"""`MultiOptimizer` and `OptimizerMap`, as `keras.optimizers` has them: by the names of variables."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, Dict, Iterator, Mapping, Optional

from ..adapters import optimizer
from ..adapters.natives import rule_with_base
from ..errors import HyperparameterError, RuleError
from ..transforms.multi import ByPath
from .identifiers import deserialize, serialize


class OptimizerMap(MutableMapping):
    """Which optimizer a variable is trained with, by its path, such as "encoder/dense/kernel".

    A key is a path, or a regular expression that must fit a whole path.

    Args:
        default_optimizer: the optimizer of all other variables: of kcompat, its name, an update rule, or a
            native one whose rule is in the catalogue.
        optimizer_map: key -> optimizer.

    Raises:
        RuleError: optimizer_map is no dict.
        HyperparameterError: a key is no string or is there already, or more than one fits a path that is
            looked up.
    """

    def __init__(self, default_optimizer: Any, optimizer_map: Optional[Mapping[str, Any]] = None) -> None:
        if optimizer_map is not None and not isinstance(optimizer_map, Mapping):
            raise RuleError("OptimizerMap(optimizer_map={!r}): expected a dict.".format(optimizer_map))
        self._default = default_optimizer
        self._map: Dict[str, Any] = {}
        for key, each in (optimizer_map or {}).items():
            self[key] = each

    @property
    def default_optimizer(self) -> Any:
        """The optimizer of all other variables."""
        return self._default

    def __getitem__(self, key: str) -> Any:
        if key in self._map:
            return self._map[key]
        fitting = [pattern for pattern in self._map if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            raise HyperparameterError(
                "OptimizerMap: {} all fit {!r}; expected one optimizer for each variable.".format(
                    ", ".join(map(repr, fitting)), key
                )
            )
        return self._map[fitting[0]] if fitting else self._default

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise HyperparameterError(
                "OptimizerMap[{!r}]: expected a string, the path of a variable.".format(key)
            )
        if key in self._map:
            raise HyperparameterError("OptimizerMap[{!r}] is there already; delete it first.".format(key))
        self._map[key] = value

    def __delitem__(self, key: str) -> None:
        del self._map[key]

    def __len__(self) -> int:
        return len(self._map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __call__(self, variable: Any) -> Any:
        """The optimizer of a variable."""
        return self[str(getattr(variable, "path", None) or variable.name).split(":")[0]]

    def get_config(self) -> Dict[str, Any]:
        """JSON; `from_config` gives the map back."""
        return {
            "default_optimizer": serialize(self._default),
            "optimizer_map": {key: serialize(each) for key, each in self._map.items()},
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> OptimizerMap:
        """The map that `get_config` described."""
        described = config["optimizer_map"]
        return cls(
            deserialize(config["default_optimizer"], custom_objects),
            {key: deserialize(each, custom_objects) for key, each in described.items()},
        )


def MultiOptimizer(
    optimizer_map: OptimizerMap, loss_scale_factor: Optional[float] = None, name: Optional[str] = None
) -> Any:
    """One optimizer that trains each variable with its own.

        MultiOptimizer(OptimizerMap(SGD(0.1), {"encoder/.*": Adam(1e-3)}))

    It is one optimizer, with one counter. Its `learning_rate` is that of the default optimizer (Keras has
    none there); those of the others are as they were given, a number, schedule or variable. Each clips, and
    takes norms, of its own variables.

    Args:
        optimizer_map: an OptimizerMap. Keras also takes a function from variables to optimizers, whose
            results are not known before the variables are.
        loss_scale_factor: as of every optimizer, on `keras_3` only.
        name: the optimizer's name.

    Raises:
        RuleError: something else was given, an optimizer can't be expressed exactly, or more than one key
            fits a variable (when the optimizer is built).
    """
    if not isinstance(optimizer_map, OptimizerMap):
        raise RuleError(
            "MultiOptimizer({!r}): expected an OptimizerMap; instead of a function, give it regular "
            "expressions for the paths of variables.".format(optimizer_map)
        )
    parts: Any = [[key, rule_with_base(each, "MultiOptimizer")] for key, each in optimizer_map._map.items()]
    rule = ByPath(rule_with_base(optimizer_map.default_optimizer, "MultiOptimizer"), parts)
    arguments: Dict[str, Any] = {"name": name or "multi_optimizer"}
    if loss_scale_factor is not None:
        arguments["loss_scale_factor"] = loss_scale_factor
    return optimizer(rule, **arguments)

"""The base of every transform: a rule that has another rule inside."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Dict, Mapping, Sequence, Tuple, Type, TypeVar, Union

from ..errors import RuleError
from ..rule import HyperValues, UpdateRule

TransformT = TypeVar("TransformT", bound="Transform")


class Transform(UpdateRule):
    """A rule around another rule, `inner`, given first; its own hyperparameters follow.

    Everything goes through to the rule inside unless a subclass overrides it. Slots of both share one
    namespace, so a transform's own slot may not have the name of one inside.

    Args:
        inner: the rule inside, or the description of one that `config()` gave.

    Raises:
        RuleError: `inner` is no rule.
    """

    inner: UpdateRule
    _base_names_allowed = True

    def __init__(self, inner: Union[UpdateRule, Mapping[str, Any]], *args: Any, **kwargs: Any) -> None:
        if isinstance(inner, Mapping) and set(inner) == {"module", "class", "config"}:
            inner = rule_from(inner)
        if not isinstance(inner, UpdateRule):
            raise RuleError(
                "{}({!r}): expected an update rule, such as kcompat.rules.Adam(), as the first "
                "argument.".format(type(self).__name__, inner)
            )
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "sparse", inner.sparse)
        super().__init__(*args, **kwargs)

    @classmethod
    def _shown_signature(cls) -> inspect.Signature:
        inner = inspect.Parameter("inner", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return inspect.Signature([inner, *cls._signature().parameters.values()])

    def children(self) -> Mapping[str, UpdateRule]:
        return {"inner": self.inner}

    @classmethod
    def takes_child(cls, name: str) -> bool:
        return name == "inner"

    def replace(self: TransformT, **changes: Any) -> TransformT:
        inner = changes.pop("inner", self.inner)
        return type(self)(inner, **{**self._hyper_values, **changes})

    def around(self: TransformT, inner: UpdateRule) -> TransformT:
        """This transform around another rule, sharing this one's hyperparameters when they change.

        Args:
            inner: the other rule, an instance.
        """
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, inner=inner, sparse=inner.sparse, _origin=self.origin)
        return copy

    @property
    def needs_all(self) -> bool:
        return self.inner.needs_all

    @property
    def has_averages(self) -> bool:
        return type(self).swap is not Transform.swap or self.inner.has_averages

    @property
    def prepared(self) -> bool:
        """Whether `prepare` has been through this transform when `update` is called.

        What changes the gradient does so once: in `prepare` if any rule inside needs that, else in `update`.
        A copy made for one variable answers as the transform that it was copied from.
        """
        return self.origin.needs_all

    def slots_with(self, slots: Mapping[str, Any], **own: Any) -> Dict[str, Any]:
        """The slots of the rule inside together with this transform's own.

        Raises:
            RuleError: both have a slot of the same name.
        """
        for name in own:
            if name in slots:
                raise RuleError(
                    "{}: the rule inside, {}, has a slot {!r} too.".format(
                        type(self).__name__, type(self.inner).__name__, name
                    )
                )
        return {**slots, **own}

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return self.inner.init(xp, param)

    def init_shared(self, xp: Any) -> Mapping[str, Any]:
        return self.inner.init_shared(xp)

    def prepare(
        self,
        xp: Any,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Mapping[str, Any]],
        shared: Mapping[str, Any],
        hyper: HyperValues,
        step: Any,
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        # A rule inside that does not need to see all gradients does its part in `update`, and must not do it
        # twice.
        if not self.inner.needs_all:
            return grads, shared
        return self.inner.prepare(xp, grads, params, slots, shared, hyper.inner, step)

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        return self.inner.update(xp, grad, param, slots, hyper.inner, step)

    def swap(
        self, xp: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, averaged: bool
    ) -> Tuple[Any, Mapping[str, Any]]:
        return self.inner.swap(xp, param, slots, hyper.inner, averaged)

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        inner = self.inner.for_variable(name, shape)
        return self if inner is self.inner else self.around(inner)

    def config(self) -> Dict[str, Any]:
        return {"inner": dict(describe(type(self.inner)), config=self.inner.config()), **super().config()}


class GradientTransform(Transform):
    """A transform that changes each gradient by itself, before the rule inside sees it."""

    def change(self, xp: Any, grad: Any, hyper: HyperValues) -> Any:
        """The gradient that the rule inside is to see.

        Args:
            xp: the array namespace.
            grad: one variable's gradient.
            hyper: this transform's hyperparameters.
        """
        raise NotImplementedError("{} does not define change()".format(type(self).__name__))

    def prepare(
        self,
        xp: Any,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Mapping[str, Any]],
        shared: Mapping[str, Any],
        hyper: HyperValues,
        step: Any,
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        grads = [self.change(xp, grad, hyper) for grad in grads]
        return super().prepare(xp, grads, params, slots, shared, hyper, step)

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        if not self.prepared:
            grad = self.change(xp, grad, hyper)
        return self.inner.update(xp, grad, param, slots, hyper.inner, step)


def describe(rule: Type[UpdateRule]) -> Dict[str, Any]:
    """The class of a rule as JSON: its module and name."""
    return {"module": rule.__module__, "class": rule.__qualname__}


def rule_class_from(description: Mapping[str, Any]) -> Type[UpdateRule]:
    """The class that `describe` described.

    Raises:
        RuleError: the module and name lead to something that is no rule.
    """
    found: Any = importlib.import_module(description["module"])
    for part in description["class"].split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, UpdateRule)):
        raise RuleError(
            "{}:{} is {!r}; expected an UpdateRule class.".format(
                description["module"], description["class"], found
            )
        )
    return found


def rule_from(description: Mapping[str, Any]) -> UpdateRule:
    """The rule that `describe` and its `config()` described.

    Raises:
        RuleError: the module and name lead to something that is no rule.
    """
    return rule_class_from(description)(**description["config"])

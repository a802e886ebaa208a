"""`decay_var_list`, and `DecoupledWeightDecayExtension` as a base class, as TensorFlow Addons has them."""

from __future__ import annotations

from typing import Any, Iterable, List, Optional, Tuple, Type

from ..errors import HyperparameterError, RuleError
from ..rule import UpdateRule
from ..rules.decoupled import Decoupled, extended
from ..transforms.base import Transform


class DecoupledWeightDecayExtension:
    """Weight decay that is not multiplied by the learning rate, for an optimizer class that has none.

    To be put in front of a kcompat optimizer class, or of one of Keras' own whose rule is in the catalogue,
    in whose place the catalogue's is taken:

        class AdamWithDecay(DecoupledWeightDecayExtension, kcompat.optimizers.Adam):
            pass

        AdamWithDecay(weight_decay=1e-4, learning_rate=1e-3)

    The constructor takes weight_decay and exclude_from_weight_decay (patterns that are searched for in a
    variable's name) in front of the optimizer's own arguments; `minimize` and `apply_gradients` take
    decay_var_list. SGDW and AdamW of `kcompat.addons` are subclasses.

    Raises:
        RuleError: the class behind it is neither, or has weight decay already.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        rule: Optional[Type[UpdateRule]] = getattr(cls, "rule_class", None)
        if rule is None and len(cls.__bases__) == 2:
            # Behind it stands one of Keras' own, as Addons' users have it: kcompat's of the same rule takes
            # its place. (Its module imports this one.)
            from .natives import class_for_native

            found = class_for_native(cls.__bases__[1])
            if found is not None:
                cls.__bases__ = (cls.__bases__[0], found)
                rule = found.rule_class
        if rule is None:
            raise RuleError(
                "{}: behind DecoupledWeightDecayExtension, {} was given; expected an optimizer class of "
                "kcompat, such as kcompat.optimizers.Adam, or one of Keras' own whose rule is in the "
                "catalogue.".format(
                    cls.__name__, ", ".join(base.__name__ for base in cls.__bases__[1:]) or "nothing"
                )
            )
        if not issubclass(rule, Decoupled):
            made: Any = cls
            made.rule_class = extended(rule)
            made.__signature__ = made._constructor_signature(made.rule_class)

    def minimize(
        self, loss: Any, *args: Any, decay_var_list: Optional[Iterable[Any]] = None, **kwargs: Any
    ) -> Any:
        """Computes the gradients of a loss and takes one step; arguments as the optimizer's, and that below.

        Args:
            loss: as the optimizer's, and so are the arguments that follow.
            decay_var_list: as for `apply_gradients`.
        """
        host: Any = super()
        if not decay_var_list:
            return host.minimize(loss, *args, **kwargs)
        # The optimizer's own minimize calls apply_gradients.
        object.__setattr__(self, "_kc_decay_variables", list(decay_var_list))
        try:
            return host.minimize(loss, *args, **kwargs)
        finally:
            object.__setattr__(self, "_kc_decay_variables", None)

    def apply_gradients(
        self, grads_and_vars: Any, *args: Any, decay_var_list: Optional[Iterable[Any]] = None, **kwargs: Any
    ) -> Any:
        """One step; arguments as the optimizer's, and that below.

        Args:
            grads_and_vars: as the optimizer's, and so are the arguments that follow.
            decay_var_list: the variables that decay, whatever exclude_from_weight_decay says; if None or
                empty, all that it does not exclude. Whether a variable decays is settled in its first step.

        Raises:
            HyperparameterError: a variable is in this list and was not in that of its first step, or the
                other way round.
        """
        host: Any = super()
        listed = list(decay_var_list or ()) or self.__dict__.get("_kc_decay_variables")
        if not listed and not self.__dict__.get("_kc_settled"):
            return host.apply_gradients(grads_and_vars, *args, **kwargs)
        pairs = list(grads_and_vars)
        self._settle([pair[1] for pair in pairs], listed)
        return host.apply_gradients(pairs, *args, **kwargs)

    def _settle(self, variables: List[Any], listed: Optional[List[Any]]) -> None:
        """Notes for each variable whether it is to decay: True or False by a list, None by its name."""
        this: Any = self
        keys = None if not listed else {this._variable_key(variable) for variable in listed}
        settled = self.__dict__.get("_kc_settled")
        if settled is None:
            settled = {}
            object.__setattr__(self, "_kc_settled", settled)
        for variable in variables:
            key = this._variable_key(variable)
            decays = None if keys is None else key in keys
            known = this._kc.variables.get(key)
            if known is None:
                settled[key] = decays
                continue
            now = _decays(known.rule)
            if now != (_decays(this._rule_by_name(known)) if decays is None else decays):
                raise HyperparameterError(
                    "{}: the variable {!r} {} in its first step; decay_var_list can't change that. Give the "
                    "same list in each step, or make another optimizer.".format(
                        type(self).__name__, known.name, "decayed" if now else "did not decay"
                    )
                )

    def _rule_by_name(self, known: Any) -> UpdateRule:
        this: Any = self
        host: Any = super()
        return host._rule_for(known.variable, known.name, tuple(this._native(known.variable).shape))

    def _rule_for(self, variable: Any, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        host: Any = super()
        this: Any = self
        rule: UpdateRule = host._rule_for(variable, name, shape)
        settled = self.__dict__.get("_kc_settled") or {}
        decays = settled.get(this._variable_key(variable))
        return rule if decays is None else _with_decay(rule, decays)


def _with_decay(rule: UpdateRule, decays: bool) -> UpdateRule:
    """A tree of rules with decay switched on or off."""
    if isinstance(rule, Decoupled):
        return rule.with_decay(decays)
    if isinstance(rule, Transform):
        return rule.around(_with_decay(rule.inner, decays))
    return rule


def _decays(rule: UpdateRule) -> bool:
    while isinstance(rule, Transform):
        rule = rule.inner
    return isinstance(rule, Decoupled) and rule._decays

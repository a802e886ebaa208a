"""Optimizers around optimizers, with the constructors and methods that TensorFlow Addons gives them."""

from __future__ import annotations

import inspect
import numbers
import warnings
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Type

import numpy as np

from ..errors import HyperparameterError, RuleError, UnknownArgumentError
from ..rule import UpdateRule
from ..transforms.annealed import WarmRestarts
from ..transforms.lookahead import SWA, Lookahead, MovingAverage
from ..transforms.multi import MultiOptimizer
from .natives import rule_of, rule_with_base


class Wrapper:
    """Mixed into the optimizer classes of transforms that wrap one optimizer.

    The constructor takes `optimizer` first, in place of the rule: an update rule, an optimizer of kcompat or
    its name, or one of TensorFlow's or Keras' own whose rule is in the catalogue, of which the configuration
    is read off. Its base arguments (clipping, decay) become this optimizer's; TensorFlow Addons passes those
    over without a word. It may not have been trained with.

    Raises:
        RuleError: an optimizer that can't be expressed exactly, or one that has been built.
        UnknownArgumentError: a base argument that both the optimizer and this were given.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        this: Any = self
        host: Any = super()
        where = type(self).__name__
        if getattr(self, "rule_class", None) is None:
            raise RuleError(
                "{}: expected an optimizer class, such as kcompat.addons.SWA. Write an average of your own "
                "as a kcompat.transforms.Transform.".format(where)
            )
        given = list(args)
        for name in ("optimizer", "inner"):
            if name in kwargs:
                given.insert(0, kwargs.pop(name))
        if not given:
            raise UnknownArgumentError("{}() needs the argument 'optimizer'.".format(where))
        if len(given) == len(this.rule_class.hypers) + 2 and "name" not in kwargs:
            kwargs["name"] = given.pop()
        inner, excluded = given[0], None
        base: Dict[str, Any] = {}
        if not (isinstance(inner, Mapping) and set(inner) == {"module", "class", "config"}):
            inner, base = rule_of(inner, where)
            excluded = base.pop("excluded", None)
        both = [name for name in base if kwargs.get(name) is not None and kwargs[name] is not False]
        if both:
            raise UnknownArgumentError(
                "{}({}=...): the optimizer inside was given it, too. Give it to one of them.".format(
                    where, both[0]
                )
            )
        host.__init__(inner, *given[1:], **{**kwargs, **base})
        if excluded:
            this._kc.excluded = excluded


class AveragedOptimizerWrapper(Wrapper):
    """The base of optimizers that keep an average of each variable, in the slot "average"."""

    def assign_average_vars(self, var_list: Iterable[Any]) -> Any:
        """Puts the average in each variable's place, for good; `swap_averages` can go back.

        Args:
            var_list: the variables. One that has no average is named in a warning, and stays.

        Returns:
            In a TensorFlow 1 graph the operation to run, else None.
        """
        this: Any = self
        values = []
        for variable in var_list:
            try:
                average = this.get_slot(variable, "average")
            except KeyError as error:
                warnings.warn(
                    "{}.assign_average_vars(): {}".format(type(self).__name__, error.args[0]), stacklevel=2
                )
                continue
            values.append((variable, this._copy(this._read(average))))
        return this._together([this._write(variable, value) for variable, value in values])


class MovingAverageWrapper(AveragedOptimizerWrapper):
    """Mixed into the optimizer classes of `MovingAverage`.

    A variable given for num_updates is read once, here; in a TensorFlow 1 graph, where it has no value yet,
    it raises.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        count: Any = kwargs.get("num_updates")
        if hasattr(count, "dtype") and hasattr(count, "numpy") and "int" in str(count.dtype):
            kwargs["num_updates"] = int(count.numpy())
        super().__init__(*args, **kwargs)

    def shadow_copy(self, model_weights: Iterable[Any]) -> Any:
        """Makes the averages before the first step. They start at 0, and not at the variables' values.

        Args:
            model_weights: the variables. The average of one that the optimizer is built on stays as it is.

        Returns:
            In a TensorFlow 1 graph the operation to run after the variables have been initialized, else None.
        """
        this: Any = self
        variables = list(model_weights)
        new = [each for each in variables if this._variable_key(each) not in this._kc.variables]
        if not new:
            return None
        this.build(variables)
        averages = [this.get_slot(variable, "average") for variable in new]
        return this._together([this._write(each, this._read(each) * 0) for each in averages])

    @property
    def has_shadow_copy(self) -> bool:
        """Whether there are averages."""
        this: Any = self
        return bool(this._kc.variables)

    def swap_weights(self) -> Any:
        """Exchanges the variables with their averages; doing so twice changes nothing.

        Returns:
            In a TensorFlow 1 graph the operation to run, else None.

        Raises:
            NotBuiltError: there are no averages yet.
        """
        this: Any = self
        return this.swap_averages()


class MultiWrapper:
    """Mixed into the optimizer classes of `MultiOptimizer`: one optimizer for each of several layers.

        MultiOptimizer([(SGD(1e-4), model.layers[:3]), (Adam(1e-3), model.layers[3:])])

    A variable of none of the layers stays as it is, and a warning names it. One that is in several pairs
    takes a step with each optimizer in turn. Gradients are clipped, and norms taken, as each optimizer says
    for its own variables.

    Args:
        optimizers_and_layers: pairs of an optimizer (as `Wrapper` takes it) and a layer, a model or a list of
            these, whose variables exist.
        optimizer_specs: in its place, dicts of "optimizer" and "weights", the variables' names.

    Raises:
        RuleError: neither or both are given; a layer that is not built; a variable that is in two pairs of
            which one sees all gradients at once; two variables of one name in different pairs; some
            optimizers update only the rows that a sparse gradient has and some every row.
    """

    def __init__(
        self,
        optimizers_and_layers: Optional[Sequence[Any]] = None,
        optimizer_specs: Optional[Sequence[Any]] = None,
        name: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        host: Any = super()
        if name is not None:
            kwargs["name"] = name
        if "inner" in kwargs:  # a configuration
            host.__init__(**kwargs)
            return
        if (optimizers_and_layers is None) == (optimizer_specs is None):
            raise RuleError(
                "{}: expected one of optimizers_and_layers and optimizer_specs.".format(type(self).__name__)
            )
        if optimizers_and_layers is not None:
            parts = self._parts_of_layers(optimizers_and_layers)
        else:
            where = type(self).__name__
            parts = [
                ([each.split(":")[0] for each in spec["weights"]], rule_with_base(spec["optimizer"], where))
                for spec in optimizer_specs or ()
            ]
        if not parts:
            raise RuleError("{}: expected at least one optimizer.".format(type(self).__name__))
        rule, pairs = MultiOptimizer.arguments(parts)
        host.__init__(rule, parts=pairs, **kwargs)

    def _parts_of_layers(self, pairs: Sequence[Any]) -> List[Tuple[List[str], UpdateRule]]:
        this: Any = self
        parts: List[Tuple[List[str], UpdateRule]] = []
        owners: Dict[str, Tuple[int, Any]] = {}
        for number, (optimizer, layers) in enumerate(pairs):
            names = []
            for variable in self.create_optimizer_spec(optimizer, layers)["variables"]:
                name = this._variable_name(variable)
                before = owners.setdefault(name, (number, variable))
                if before[0] != number and before[1] is not variable:
                    raise RuleError(
                        "{}: two variables in different pairs have the name {!r}. Name their layers.".format(
                            type(self).__name__, name
                        )
                    )
                names.append(name)
            parts.append((names, rule_with_base(optimizer, type(self).__name__)))
        return parts

    @classmethod
    def create_optimizer_spec(cls, optimizer: Any, layers_or_model: Any) -> Dict[str, Any]:
        """An optimizer with the variables of its layers, for `optimizer_specs`.

        Args:
            optimizer: the optimizer.
            layers_or_model: a layer, a model, or a list of these.

        Returns:
            "optimizer", "weights" (names) and "variables".

        Raises:
            RuleError: a layer that is not built, or something else.
        """
        layers = layers_or_model if isinstance(layers_or_model, (list, tuple)) else [layers_or_model]
        variables: List[Any] = []
        for layer in layers:
            if not hasattr(layer, "weights"):
                raise RuleError(
                    "{} was given {!r}; expected a layer, a model or a list of these.".format(
                        cls.__name__, layer
                    )
                )
            if not getattr(layer, "built", True):
                raise RuleError(
                    "{}: {!r} is not built, so its variables are not known. Call it, or build(), "
                    "first.".format(cls.__name__, getattr(layer, "name", layer))
                )
            variables += [each for each in layer.weights if not any(each is known for known in variables)]
        names = [getattr(each, "path", None) or each.name for each in variables]
        return {"optimizer": optimizer, "weights": names, "variables": variables}

    def _rule_for(self, variable: Any, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        host: Any = super()
        this: Any = self
        if this.rule.part_of(name, shape) < 0:
            warnings.warn(
                "{}: the variable {!r} is in none of the layers that were given, so it stays as it "
                "is.".format(type(self).__name__, name),
                stacklevel=2,
            )
        rule: UpdateRule = host._rule_for(variable, name, shape)
        return rule


class Restarting:
    """Mixed into the optimizer classes of `WarmRestarts`: t_cur and eta_t are variables of the host.

    They are there before the first step (on tf1, after it), may be read and assigned as the host does it, and
    set: `optimizer.t_cur = -1`. A change takes effect at the next step.
    """

    # What makes the rule and the base arguments of the constructor's, if these are keras-adamw's.
    recipe: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        this: Any = self
        host: Any = super()
        if this.recipe is None or "inner" in kwargs:  # the rule's arguments, which a configuration has
            host.__init__(*args, **kwargs)
            return
        rule, base = this.recipe(*args, **kwargs)
        this._check_base_arguments(type(self).__name__, rule, base)
        this._set_up(rule, base)

    @property
    def t_cur(self) -> Any:
        """Where in its cycle the next step is: the host's variable."""
        this: Any = self
        return this._shared_variable("t_cur")

    @property
    def eta_t(self) -> Any:
        """What the next step multiplies the learning rate and the decay by: the host's variable."""
        this: Any = self
        return this._shared_variable("eta_t")

    def __setattr__(self, name: str, value: Any) -> None:
        this: Any = self
        if name not in ("t_cur", "eta_t"):
            super().__setattr__(name, value)
            return
        number = isinstance(value, (numbers.Real, np.number)) and not isinstance(value, bool)
        if not number or not np.isfinite(float(value)):
            raise HyperparameterError(
                "{}.{} = {!r}: expected a number.".format(type(self).__name__, name, value)
            )
        this._assign_values([(this._shared_variable(name), np.asarray(float(value)))])

    def get_config(self) -> Dict[str, Any]:
        """The configuration, in which t_cur and eta_t are what they are now."""
        this: Any = self
        config: Dict[str, Any] = super().get_config()  # type: ignore[misc]
        if this._kc.shared:
            t_cur, eta_t = this._read_values([this._kc.shared[name] for name in ("t_cur", "eta_t")])
            config.update(t_cur=int(t_cur), eta_t=float(eta_t))
        return config


# Rule -> what is mixed into its optimizer classes.
_MIXINS: Dict[Type[UpdateRule], type] = {
    Lookahead: Wrapper,
    MovingAverage: MovingAverageWrapper,
    SWA: AveragedOptimizerWrapper,
    MultiOptimizer: MultiWrapper,
    WarmRestarts: Restarting,
}


def mixin_of(rule: Type[UpdateRule]) -> Optional[type]:
    """What is mixed into the optimizer classes of a rule, or None."""
    return _MIXINS.get(rule)


def signature_of(rule: Type[UpdateRule], plain: inspect.Signature) -> inspect.Signature:
    """The signature of the optimizer classes of a rule that has a mixin: as in TensorFlow Addons.

    Args:
        rule: the rule.
        plain: the signature that they would have without: hyperparameters, then base arguments.
    """
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
    if rule is WarmRestarts:
        return plain
    if rule is MultiOptimizer:
        first = ["optimizers_and_layers", "optimizer_specs"]
        parameters = [inspect.Parameter(each, kind, default=None) for each in first]
    else:
        parameters = [inspect.Parameter("optimizer", kind)]
        parameters += [each for each in plain.parameters.values() if each.kind is kind]
    parameters.append(inspect.Parameter("name", kind, default=rule.__name__))
    base = [each for each in plain.parameters.values() if each.kind is not kind and each.name != "name"]
    return inspect.Signature(parameters + base)

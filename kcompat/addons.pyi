# Written by: python tests/test_stubs.py --write
"""Drop-in for `tensorflow_addons.optimizers` 0.23, native on the API found here."""

from typing import Any, Callable, Optional, Tuple

from .optimizers import _Optimizer
from .schedules import CyclicalLearningRate as CyclicalLearningRate
from .schedules import ExponentialCyclicalLearningRate as ExponentialCyclicalLearningRate
from .schedules import Triangular2CyclicalLearningRate as Triangular2CyclicalLearningRate
from .schedules import TriangularCyclicalLearningRate as TriangularCyclicalLearningRate

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

class AdaBelief(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-14,
        weight_decay: Any = 0.0,
        amsgrad: bool = False,
        rectify: bool = True,
        sma_threshold: Any = 5.0,
        total_steps: Any = 0,
        warmup_proportion: Any = 0.1,
        min_lr: Any = 0.0,
        *,
        name: Optional[str] = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class AdamW(_Optimizer):
    def __init__(
        self,
        weight_decay: Any,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-07,
        amsgrad: bool = False,
        exclude_from_weight_decay: Any = None,
        *,
        name: Optional[str] = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class COCOB(_Optimizer):
    def __init__(
        self,
        alpha: Any = 100.0,
        use_locking: bool = False,
        *,
        name: Optional[str] = ...,
        weight_decay: Any = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class ConditionalGradient(_Optimizer):
    def __init__(
        self,
        learning_rate: Any,
        lambda_: Any = 0.01,
        epsilon: Any = 1e-07,
        ord: Any = 'fro',
        *,
        name: Optional[str] = ...,
        weight_decay: Any = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class LAMB(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-06,
        weight_decay: Any = 0.0,
        exclude_from_weight_decay: Any = None,
        exclude_from_layer_adaptation: Any = None,
        *,
        name: Optional[str] = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class LazyAdam(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-07,
        amsgrad: bool = False,
        *,
        name: Optional[str] = ...,
        weight_decay: Any = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class NovoGrad(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-07,
        weight_decay: Any = 0.0,
        grad_averaging: bool = False,
        amsgrad: bool = False,
        *,
        name: Optional[str] = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class ProximalAdagrad(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: Any = 0.1,
        l1_regularization_strength: Any = 0.0,
        l2_regularization_strength: Any = 0.0,
        *,
        name: Optional[str] = ...,
        weight_decay: Any = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class RectifiedAdam(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-07,
        weight_decay: Any = 0.0,
        amsgrad: bool = False,
        sma_threshold: Any = 5.0,
        total_steps: Any = 0,
        warmup_proportion: Any = 0.1,
        min_lr: Any = 0.0,
        *,
        name: Optional[str] = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class SGDW(_Optimizer):
    def __init__(
        self,
        weight_decay: Any,
        learning_rate: Any = 0.001,
        momentum: Any = 0.0,
        nesterov: bool = False,
        exclude_from_weight_decay: Any = None,
        *,
        name: Optional[str] = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class Yogi(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.01,
        beta1: Any = 0.9,
        beta2: Any = 0.999,
        epsilon: Any = 0.001,
        l1_regularization_strength: Any = 0.0,
        l2_regularization_strength: Any = 0.0,
        initial_accumulator_value: Any = 1e-06,
        activation: Any = 'sign',
        *,
        name: Optional[str] = ...,
        weight_decay: Any = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
        lr: Any = ...,
        decay: Any = ...,
    ) -> None: ...

class Lookahead(_Optimizer):
    def __init__(
        self,
        optimizer: Any,
        sync_period: Any = 6,
        slow_step_size: Any = 0.5,
        name: Optional[str] = ...,
        *,
        weight_decay: Any = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
    ) -> None: ...

class MovingAverage(AveragedOptimizerWrapper):
    def __init__(
        self,
        optimizer: Any,
        average_decay: Any = 0.99,
        num_updates: Any = None,
        start_step: Any = 0,
        dynamic_decay: bool = False,
        name: Optional[str] = ...,
        *,
        weight_decay: Any = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
    ) -> None: ...

class MultiOptimizer(_Optimizer):
    def __init__(
        self,
        optimizers_and_layers: Any = None,
        optimizer_specs: Any = None,
        name: Optional[str] = ...,
        *,
        weight_decay: Any = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
    ) -> None: ...

class SWA(AveragedOptimizerWrapper):
    def __init__(
        self,
        optimizer: Any,
        start_averaging: Any = 0,
        average_period: Any = 10,
        name: Optional[str] = ...,
        *,
        weight_decay: Any = ...,
        clipnorm: Optional[float] = ...,
        clipvalue: Optional[float] = ...,
        global_clipnorm: Optional[float] = ...,
        use_ema: bool = ...,
        ema_momentum: float = ...,
        ema_overwrite_frequency: Optional[int] = ...,
        loss_scale_factor: Optional[float] = ...,
        gradient_accumulation_steps: Optional[int] = ...,
    ) -> None: ...

# Written by: python tests/test_stubs.py --write
"""Drop-in for `keras.optimizers`: every name that the newest Keras has, and the rest of the catalogue."""

from typing import Any, Dict, List, Optional, Tuple

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

class ADOPT(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.9999,
        epsilon: Any = 1e-06,
        weight_decay: Any = 0.0,
        decouple: bool = False,
        clip_exponent: Any = 0.25,
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

class AdEMAMix(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        beta_3: Any = 0.9999,
        alpha: Any = 2.0,
        epsilon: Any = 1e-08,
        weight_decay: Any = 0.0,
        alpha_warmup: Any = None,
        beta_3_warmup: Any = None,
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

class AdaBound(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        final_lr: Any = 0.1,
        gamma: Any = 0.001,
        epsilon: Any = 1e-08,
        weight_decay: Any = 0.0,
        amsbound: bool = False,
        base_learning_rate: Any = None,
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

class Adadelta(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: Any = 0.95,
        epsilon: Any = 1e-07,
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

class Adafactor(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: Any = -0.8,
        epsilon_1: Any = 1e-30,
        epsilon_2: Any = 0.001,
        clip_threshold: Any = 1.0,
        relative_step: bool = True,
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

class Adagrad(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: Any = 0.1,
        epsilon: Any = 1e-07,
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

class Adam(_Optimizer):
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

class AdamP(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-08,
        weight_decay: Any = 0.0,
        delta: Any = 0.1,
        wd_ratio: Any = 0.1,
        nesterov: bool = False,
        channel_axis: Any = -1,
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
        learning_rate: Any = 0.001,
        weight_decay: Any = 0.004,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-07,
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

class Adamax(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-07,
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

class Adan(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.98,
        beta_2: Any = 0.92,
        beta_3: Any = 0.99,
        epsilon: Any = 1e-08,
        weight_decay: Any = 0.0,
        no_prox: bool = False,
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

class DAdaptAdam(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 1.0,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-08,
        weight_decay: Any = 0.0,
        d0: Any = 1e-06,
        growth_rate: Any = None,
        decouple: bool = False,
        use_bias_correction: bool = False,
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

class Ftrl(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: Any = -0.5,
        initial_accumulator_value: Any = 0.1,
        l1_regularization_strength: Any = 0.0,
        l2_regularization_strength: Any = 0.0,
        l2_shrinkage_regularization_strength: Any = 0.0,
        beta: Any = 0.0,
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

class LARS(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: Any = 0.9,
        weight_decay: Any = 0.0001,
        trust_coefficient: Any = 0.001,
        epsilon: Any = 0.0,
        nesterov: bool = False,
        exclude_vectors: bool = False,
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

class Lamb(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-07,
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

class Lion(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.99,
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

class Muon(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: Any = 0.9,
        adam_beta_2: Any = 0.999,
        adam_weight_decay: Any = 0.004,
        epsilon: Any = 1e-07,
        weight_decay: Any = 0.004,
        exclude_layers: Any = None,
        exclude_embeddings: bool = True,
        muon_a: Any = 3.4445,
        muon_b: Any = -4.775,
        muon_c: Any = 2.0315,
        adam_lr_ratio: Any = 1.0,
        momentum: Any = 0.95,
        ns_steps: Any = 5,
        nesterov: bool = True,
        rms_rate: Any = 0.2,
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

class Nadam(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-07,
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

class NadamW(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: Any = 0.0001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-08,
        momentum_decay: Any = None,
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

class Prodigy(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 1.0,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        beta_3: Any = None,
        epsilon: Any = 1e-08,
        weight_decay: Any = 0.0,
        d0: Any = 1e-06,
        d_coef: Any = 1.0,
        growth_rate: Any = None,
        decouple: bool = True,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
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

class RMSprop(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: Any = 0.9,
        momentum: Any = 0.0,
        epsilon: Any = 1e-07,
        centered: bool = False,
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

class SGD(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: Any = 0.0,
        nesterov: bool = False,
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

class SOAP(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.003,
        beta_1: Any = 0.95,
        beta_2: Any = 0.95,
        shampoo_beta: Any = None,
        epsilon: Any = 1e-08,
        weight_decay: Any = 0.01,
        precondition_frequency: Any = 10,
        max_precondition_dim: Any = 10000,
        precondition_1d: bool = False,
        normalize_gradient: bool = False,
        correct_bias: bool = True,
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

class ScheduleFreeAdamW(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-08,
        warmup_steps: Any = 0,
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

class ScheduleFreeSGD(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 1.0,
        momentum: Any = 0.9,
        weight_decay: Any = 0.0,
        warmup_steps: Any = 0,
        r: Any = 0.0,
        weight_lr_power: Any = 2.0,
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

class Sophia(_Optimizer):
    def __init__(
        self,
        learning_rate: Any = 0.0001,
        beta_1: Any = 0.965,
        beta_2: Any = 0.99,
        rho: Any = 0.04,
        weight_decay: Any = 0.1,
        batch_size: Any = 5120.0,
        epsilon: Any = 1e-15,
        hessian_every: Any = 10,
        sampled_labels: bool = False,
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

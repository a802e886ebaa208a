"""What native optimizers call the slots of a rule, on each API and in their files.

Of a class that is not named here, slots have the rule's own names. A reader of files takes the same tables:
TensorFlow's object checkpoints hold OptimizerV2's and TensorFlow 1's slots under these names, and those of
the later APIs under these attributes.
"""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

# tf.compat.v1.train: class -> rule's slot -> host's slot.
TF1: Mapping[str, Mapping[str, str]] = {
    "MomentumOptimizer": {"m": "momentum"},
    "AdadeltaOptimizer": {"accum_grad": "accum", "accum_var": "accum_update"},
    "FtrlOptimizer": {"accumulator": "accum"},
}

# OptimizerV2, of Keras and of TensorFlow Addons: class -> rule's slot -> host's slot.
OPTIMIZER_V2: Mapping[str, Mapping[str, str]] = {"SGD": {"m": "momentum"}, "SGDW": {"m": "momentum"}}

_MOMENTS = {
    "m": ("_momentums",),
    "v": ("_velocities",),
    "vhat": ("_velocity_hats",),
}

# keras_2_11 and keras_3: class -> rule's slot -> the attributes that may hold a list of it.
KERAS: Mapping[str, Mapping[str, Tuple[str, ...]]] = {
    "Adadelta": {"accum_grad": ("_accumulated_grads",), "accum_var": ("_accumulated_delta_vars",)},
    "Adafactor": {"r": ("_r",), "c": ("_c",), "v": ("_v",)},
    "Adagrad": {"accumulator": ("_accumulators",)},
    "Adam": _MOMENTS,
    "AdamW": _MOMENTS,
    "Adamax": {"m": ("_m",), "v": ("_u",)},
    "Ftrl": {"accumulator": ("_accumulators",), "linear": ("_linears",)},
    "Lamb": _MOMENTS,
    "Lion": {"momentum": ("_momentums", "momentums")},
    "Muon": {"m": ("momentums", "adam_momentums"), "v": ("adam_velocities",)},
    "Nadam": _MOMENTS,
    "RMSprop": {"rms": ("_velocities",), "momentum": ("_momentums",), "mg": ("_average_gradients",)},
    "ScheduleFreeAdamW": {"z": ("_momentums",), "v": ("_velocities",)},
    "SGD": {"m": ("momentums",)},
}

# Of every optimizer there: the slots of its base arguments, under kcompat's names.
KERAS_BASE: Mapping[str, str] = {
    "average": "_model_variables_moving_average",
    "accumulated": "_accumulated_gradients",
}

# The attribute of a scalar of all variables together: API -> class -> name of the rule's -> attribute.
SHARED: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "get_updates": {"Nadam": {"mu_product": "m_schedule"}},
    "optimizer_v2": {"Nadam": {"mu_product": "_m_cache"}},
    "keras_2_11": {"Nadam": {"mu_product": "_u_product"}},
    "keras_3": {"Nadam": {"mu_product": "_u_product"}},
}

# get_updates: class -> the slots, in the order in which `weights` has them, each for all variables. Before
# them stand the counter and other scalars, or nothing.
GET_UPDATES: Mapping[str, Tuple[str, ...]] = {
    "Adadelta": ("accum_grad", "accum_var"),
    "Adagrad": ("accumulator",),
    "Adam": ("m", "v", "vhat"),
    "Adamax": ("m", "v"),
    "Nadam": ("m", "v"),
    "RMSprop": ("rms",),
    "SGD": ("m",),
}


def tf1(cls: str, slots: Tuple[str, ...]) -> Dict[str, str]:
    """Rule's slot -> TensorFlow 1's, of a class there."""
    return {slot: TF1.get(cls, {}).get(slot, slot) for slot in slots}


def optimizer_v2(cls: str, slots: Tuple[str, ...]) -> Dict[str, str]:
    """Rule's slot -> OptimizerV2's, of a class there."""
    return {slot: OPTIMIZER_V2.get(cls, {}).get(slot, slot) for slot in slots}

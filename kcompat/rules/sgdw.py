"""SGD and Adam with weight decay that is not multiplied by the learning rate: see decoupled.py."""

from __future__ import annotations

from ..rule import Hyper
from .adam import Adam
from .decoupled import Decoupled
from .sgd import SGD


class SGDW(Decoupled, SGD):
    """SGD with weight decay that is not multiplied by the learning rate; Keras' SGD else.

    Slots: those of SGD.
    """

    weight_decay = Hyper(doc="fraction of the parameter taken off a step", ge=0)
    learning_rate = Hyper(0.001, "step size", ge=0)
    momentum = Hyper(0.0, "fraction of the velocity kept; 0 keeps no velocity", ge=0, le=1)
    nesterov = Hyper(False, "whether to use Nesterov momentum")
    exclude_from_weight_decay = Hyper(None, "patterns of the names of variables that do not decay")


class DecoupledAdamW(Decoupled, Adam):
    """TensorFlow Addons' AdamW: Adam with weight decay that is not multiplied by the learning rate.

    Slots: those of Adam.
    """

    weight_decay = Hyper(doc="fraction of the parameter taken off a step", ge=0)
    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-7, "added to the root of the second moment", ge=0)
    amsgrad = Hyper(False, "whether to divide by the largest second moment so far")
    exclude_from_weight_decay = Hyper(None, "patterns of the names of variables that do not decay")

"""Trains under PyTorch's DistributedDataParallel, one process of several, and compares with one process.

torchrun's environment variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) say which.

python torch_ddp.py HOW [CASE ...]; HOW is plain (a PyTorch module) or keras (a Keras model in the loop).
"""

import functools
import os
import sys

import _problem
import keras
import numpy as np
import torch
import torch.distributed
from _problem import assert_same, report
from torch.nn.parallel import DistributedDataParallel


class Net(torch.nn.Module):
    """An embedding and a linear layer."""

    def __init__(self):
        super().__init__()
        table, kernel, bias = (torch.tensor(value) for value in _problem.start())
        self.table = torch.nn.Embedding.from_pretrained(table, freeze=False)
        self.kernel, self.bias = torch.nn.Parameter(kernel), torch.nn.Parameter(bias)

    def forward(self, rows):
        return self.table(rows) @ self.kernel + self.bias


def keras_net():
    table, kernel, bias = _problem.start()
    inputs = keras.layers.Input((), dtype="int32")
    vectors = keras.layers.Embedding(*table.shape)(inputs)
    made = keras.models.Model(inputs, keras.layers.Dense(kernel.shape[1])(vectors))
    made.set_weights([table, kernel, bias])
    return made


def train(how, case, rank, count):
    """Values and slots after training with one of `count` parts of each batch."""
    net = Net() if how == "plain" else keras_net()
    variables = list(net.parameters()) if how == "plain" else net.trainable_variables
    if how == "plain":
        variables = [dict(net.named_parameters())[name] for name in ("table.weight", "kernel", "bias")]
    optimizer = _problem.optimizer(case, "keras_3")
    optimizer.build(variables)
    parallel = DistributedDataParallel(net) if count > 1 else net
    values = [getattr(variable, "value", variable) for variable in variables]
    for rows, targets in _problem.batches():
        rows, targets = np.split(rows, count)[rank], np.split(targets, count)[rank]
        net.zero_grad()
        outputs = parallel(torch.tensor(rows))
        # DistributedDataParallel takes the mean over the processes.
        loss = ((outputs - torch.tensor(targets)) ** 2).sum() / len(rows)
        loss.backward()
        grads = [value.grad for value in values]
        optimizer.apply(grads, variables)
    slots = {}
    for i, variable in enumerate(variables):
        for name in optimizer.get_slot_names():
            try:
                slots[i, name] = optimizer.get_slot(variable, name).value.detach().numpy().copy()
            except KeyError:  # a matrix and a vector may have other slots
                pass
    return [value.detach().numpy().copy() for value in values], slots


def compare(how, case, rank, count):
    expected, expected_slots = train(how, case, 0, 1)
    got, slots = train(how, case, rank, count)
    assert_same(got, expected, "values")
    assert slots.keys() == expected_slots.keys()
    for key, slot in slots.items():
        assert_same([slot], [expected_slots[key]], str(key))


def main(how, cases):
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.distributed.init_process_group("gloo", rank=rank, world_size=count)
    report({case: functools.partial(compare, how, case, rank, count) for case in cases})
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""PyTorch's DistributedDataParallel, in a plain loop, with an optimizer of Keras 3 on PyTorch.

KERAS_BACKEND=torch torchrun --nproc-per-node=2 torch_ddp.py

The gradients that `backward` leaves are averaged over the processes already: the optimizer takes them as they
are, and each process takes the same step.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from kcompat.optimizers import AdamW

BATCH = 64


def train():
    """Trains, and looks whether the processes have the same parameters."""
    rank, count = torch.distributed.get_rank(), torch.distributed.get_world_size()
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    parallel = DistributedDataParallel(net)
    parameters = list(net.parameters())
    optimizer = AdamW(1e-2, weight_decay=1e-4, global_clipnorm=1.0)
    random = np.random.RandomState(0)
    x = random.randn(1024, 8).astype("float32")
    y = np.tanh(x @ random.randn(8, 1).astype("float32"))
    losses = []
    for i in list(range(0, len(x), BATCH)) * 3:
        part = slice(i + rank * BATCH // count, i + (rank + 1) * BATCH // count)
        net.zero_grad()
        loss = torch.nn.functional.mse_loss(parallel(torch.tensor(x[part])), torch.tensor(y[part]))
        loss.backward()
        optimizer.apply([parameter.grad for parameter in parameters], parameters)
        losses.append(float(loss.detach()))
    for parameter in parameters:
        first = parameter.detach().clone()
        torch.distributed.broadcast(first, 0)
        assert torch.equal(first, parameter)
    print("process {} of {}: {:.4f} -> {:.4f}".format(rank, count, losses[0], losses[-1]))
    assert losses[-1] < losses[0]


def main():
    """Trains in a group of processes, which is closed when nothing uses it any more."""
    torch.distributed.init_process_group("gloo")
    train()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()

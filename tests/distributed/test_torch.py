"""PyTorch's DistributedDataParallel, with gloo, on loopback."""

import pytest
from _processes import check, free_ports, started

pytest.importorskip("torch")
FEW = ("momentum", "adam", "global_clipnorm", "accumulation", "ema", "lookahead", "shared")


@pytest.mark.parametrize("how", ["plain", "keras"])
@pytest.mark.parametrize("count", [2, 3])
def test_distributed_data_parallel(how, count):
    (port,) = free_ports(1)
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": count, "GLOO_SOCKET_IFNAME": "lo"}
    commands = [("torch_ddp.py", [how, *FEW], dict(where, RANK=rank)) for rank in range(count)]
    with started(commands) as processes:
        for process in processes:
            check(process.result())

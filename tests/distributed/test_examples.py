"""The scripts in examples/scaling run, each where it says that it does."""

import os

import pytest
from _apis import APIS
from _processes import HERE, free_ports, started

EXAMPLES = os.path.join(HERE, "..", "..", "examples", "scaling")
BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
tf = pytest.importorskip("tensorflow") if BACKEND == "tensorflow" else None
RELEASE = tuple(int(part) for part in tf.__version__.split(".")[:2]) if tf else (0, 0)


def example(name):
    return os.path.abspath(os.path.join(EXAMPLES, name))


def ends_well(*commands):
    with started(commands) as processes:
        for process in processes:
            assert process.wait() == 0, process.said()
        return processes[0].said()


@pytest.mark.skipif(RELEASE < (2, 2), reason="strategy.run came with TensorFlow 2.2")
def test_mirrored():
    assert "2 replicas" in ends_well((example("mirrored.py"), [], {}))


def in_a_cluster(name, arguments, **jobs):
    """Under examples/scaling/local_cluster.py."""
    tasks = [part for job, count in jobs.items() for part in ("--" + job, count)]
    return ends_well((example("local_cluster.py"), [*tasks, example(name), *arguments], {}))


@pytest.mark.skipif(RELEASE < (2, 4), reason="from TensorFlow 2.4 on")
def test_multi_worker(tmp_path):
    said = in_a_cluster("multi_worker.py", [tmp_path / "{task}"], worker=2)
    assert said.count("2 replicas") == 2, said
    # Started again, for two epochs more; `fit` takes its backups away when it has ended well.
    said = in_a_cluster("multi_worker.py", [tmp_path / "{task}", 5], worker=2)
    losses = [line.split()[2:] for line in said.splitlines() if line.startswith("2 replicas")]
    assert [len(each) for each in losses] == [2 if RELEASE >= (2, 16) else 5] * 2, said


@pytest.mark.skipif(RELEASE < (2, 4), reason="ClusterCoordinator came with TensorFlow 2.4")
def test_parameter_servers():
    assert "after 200 steps" in in_a_cluster("parameter_servers.py", [], chief=1, worker=2, ps=1)


@pytest.mark.skipif(RELEASE[0] != 1, reason="estimators of TensorFlow 1")
@pytest.mark.skipif("tf1" not in APIS, reason="the API is not tested here")
def test_estimator(tmp_path):
    ends_well((example("estimator.py"), [tmp_path, 100], {}))
    assert "after 200 steps" in ends_well((example("estimator.py"), [tmp_path, 200], {}))


@pytest.mark.skipif(BACKEND != "jax", reason="Keras 3 on JAX")
def test_jax_devices():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    assert "of which a device has" in ends_well((example("jax_devices.py"), [], flags))


@pytest.mark.skipif(BACKEND != "torch", reason="Keras 3 on PyTorch")
def test_torch_ddp():
    from torch.distributed import run  # torchrun

    (port,) = free_ports(1)
    options = ["--nproc-per-node=2", "--master-port={}".format(port)]
    said = ends_well((run.__file__, [*options, example("torch_ddp.py")], {"GLOO_SOCKET_IFNAME": "lo"}))
    assert "process 0 of 2" in said and "process 1 of 2" in said, said

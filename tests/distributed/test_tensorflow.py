"""`tf.distribute`: what is trained under a strategy is what one device trains with the global batch."""

import json

import pytest
from _apis import APIS
from _processes import check, free_ports, run, started

tf = pytest.importorskip("tensorflow")
TF2 = not tf.__version__.startswith("1.")
# TF_USE_LEGACY_KERAS or an old release: whose models tf.keras has.
KERAS_3 = TF2 and hasattr(tf.keras, "__version__") and tf.keras.__version__.startswith("3.")
FEW = ("adam", "global_clipnorm", "accumulation", "lookahead", "shared", "lazy")

eager = pytest.mark.skipif(not TF2, reason="TensorFlow 1 trains in graphs, which have tests of their own")
graph = pytest.mark.skipif(TF2, reason="TensorFlow 2's strategies run in functions")


def has(*names):
    """Whether `tf.distribute`, or its part that is experimental, has one of these."""
    places = tf.distribute, getattr(tf.distribute, "experimental", None)
    return any(hasattr(place, name) for place in places for name in names)


def fits(api):
    """Whether Keras' models here take optimizers of this API."""
    return (api == "keras_3") == bool(KERAS_3)


@eager
@pytest.mark.parametrize("api", APIS)
def test_mirrored(api):
    check(run("tensorflow_strategies.py", "mirrored2", api, "function"))


@eager
@pytest.mark.parametrize("api", APIS)
def test_mirrored_on_four_devices(api):
    check(run("tensorflow_strategies.py", "mirrored4", api, "function", *FEW[:2]))


@eager
@pytest.mark.parametrize("api", APIS)
def test_mirrored_without_a_function(api):
    check(run("tensorflow_strategies.py", "mirrored2", api, "eager", "momentum", "shared", "lazy"))


@eager
@pytest.mark.parametrize("api", [api for api in APIS if fits(api)])
def test_mirrored_fit(api):
    check(run("tensorflow_strategies.py", "mirrored2", api, "fit", *FEW, "ema"))


@eager
@pytest.mark.parametrize("api", APIS)
def test_one_device(api):
    check(run("tensorflow_strategies.py", "one", api, "function", *FEW))


@eager
@pytest.mark.skipif(not has("CentralStorageStrategy"), reason="this release has no CentralStorageStrategy")
@pytest.mark.parametrize("api", APIS)
def test_central_storage(api):
    check(run("tensorflow_strategies.py", "central", api, "function", *FEW))


@eager
@pytest.mark.parametrize("api", APIS)
def test_where_a_strategy_does_not_let_it(api):
    check(run("refusals.py", api))


@eager
@pytest.mark.parametrize("api", APIS)
def test_classes_that_are_written_against_hooks(api):
    check(run("hooked.py", api))


# Several processes.


def cluster(program, arguments, **jobs):
    """What starts a program in each process of a cluster on loopback: `jobs` says how many of which kind."""
    ports = iter(free_ports(sum(jobs.values())))
    addresses = {
        job: ["127.0.0.1:{}".format(next(ports)) for _ in range(count)] for job, count in jobs.items()
    }
    commands = []
    for job, members in addresses.items():
        for i in range(len(members)):
            task = {"cluster": addresses, "task": {"type": job, "index": i}}
            commands.append((program, arguments, {"TF_CONFIG": json.dumps(task)}))
    return commands


WORKERS = "MultiWorkerMirroredStrategy"


@eager
@pytest.mark.skipif(not has(WORKERS), reason="this release has no " + WORKERS)
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("api", APIS)
def test_several_workers(api, count):
    how = "tensorflow_strategies.py", ["workers", api, "function", *FEW[: 6 if count == 2 else 2]]
    with started(cluster(*how, worker=count)) as processes:
        for process in processes:
            check(process.result())


@eager
@pytest.mark.skipif(not has(WORKERS), reason="this release has no " + WORKERS)
# Keras 3's fit fails there by itself: it makes tensors of values of several replicas (seen in 3.16).
@pytest.mark.parametrize("api", [api for api in APIS if fits(api) and api != "keras_3"])
def test_several_workers_fit(api):
    how = "tensorflow_strategies.py", ["workers", api, "fit", "adam", "lazy"]
    with started(cluster(*how, worker=2)) as processes:
        for process in processes:
            check(process.result())


SERVERS = "ParameterServerStrategy"
coordinated = pytest.mark.skipif(
    not hasattr(getattr(tf.distribute, "experimental", None), "coordinator"),
    reason="this release has no ClusterCoordinator",
)


@eager
@coordinated
@pytest.mark.parametrize("api", APIS)
def test_parameter_servers_in_this_process(api):
    check(run("parameter_servers.py", api, "inside", *FEW))


@eager
@coordinated
@pytest.mark.parametrize("api", APIS)
def test_parameter_servers(api):
    commands = cluster("parameter_servers.py", [api, "processes", *FEW[:1]], worker=2, ps=2, chief=1)
    with started(commands) as processes:
        check(processes[-1].result())


# TensorFlow 1.


@graph
@pytest.mark.parametrize("api", [api for api in APIS if api == "tf1"])
def test_mirrored_in_a_session(api):
    check(run("tensorflow_graph.py", api, "session"))


@graph
@pytest.mark.parametrize("api", [api for api in APIS if api == "optimizer_v2"])
def test_mirrored_fit_in_a_graph(api):
    check(run("tensorflow_graph.py", api, "fit", "adam", "lazy", "shared"))


estimated = pytest.mark.skipif(not hasattr(tf, "estimator"), reason="this release has no tf.estimator")


@graph
@estimated
@pytest.mark.parametrize("how", ["mirrored", "resumed"])
@pytest.mark.parametrize("api", [api for api in APIS if api == "tf1"])
def test_train_and_evaluate(tmp_path, api, how):
    check(run("estimator.py", how, tmp_path, *FEW))


@graph
@estimated
@pytest.mark.parametrize("api", [api for api in APIS if api == "tf1"])
def test_train_and_evaluate_in_a_cluster(tmp_path, api):
    """A chief that trains and a parameter server that has the variables; the server never ends by itself."""
    commands = cluster("estimator.py", ["cluster", tmp_path, "adam"], ps=1, chief=1)
    with started(commands) as processes:
        check(processes[1].result())

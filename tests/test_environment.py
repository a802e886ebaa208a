"""What `kcompat.environment` finds: on the frameworks installed here, and on made-up ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import _package
import pytest

import kcompat
from kcompat import environment, errors

SWITCHES = ("KCOMPAT_API", "KERAS_BACKEND", "TF_USE_LEGACY_KERAS")


def run_python(*arguments, path=(), **variables):
    """Run this interpreter with only the given switches set and `path` before the package's."""
    env = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    env.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3", **variables)
    env["PYTHONPATH"] = os.pathsep.join([*map(str, path), _package.PATH])
    return subprocess.run(
        [sys.executable, *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )


def run_json(code, *options, **keywords):
    """Run code whose one output is JSON; nothing else may be printed."""
    done = run_python(*options, "-c", textwrap.dedent(code), **keywords)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ------------------------------------------------------------ what is installed here, read naively


def distributions_here():
    """Normalized name -> version, of every dist-info on the path."""
    found = {}
    for directory in sys.path:
        if os.path.isdir(directory or "."):
            for entry in os.listdir(directory or "."):
                match = re.match(r"([^-]+)-(.+)\.dist-info$", entry)
                if match:
                    found.setdefault(match.group(1).lower().replace("_", "-"), match.group(2))
    return found


def series(*names):
    """Return (major, minor) of the first of these distributions that is here, else None."""
    here = distributions_here()
    for name in names:
        if name in here:
            return tuple(int(part) for part in re.findall(r"\d+", here[name])[:2])
    return None


TF = series(
    "tensorflow-cpu", "tensorflow", "tensorflow-gpu", "tensorflow-intel", "tensorflow-macos"
)
KERAS = series("keras", "keras-nightly")
TF_KERAS = series("tf-keras", "tf-keras-nightly")
BACKENDS = [name for name in ("jax", "torch") if name in distributions_here()]

OLD, V2, NEW, K3 = "get_updates", "optimizer_v2", "keras_2_11", "keras_3"
TF_KERAS_OPTIMIZERS = "tf.keras.optimizers."

# What tf.keras.optimizers.Optimizer is from this TensorFlow on, with the Keras 2 that goes with it.
NATIVE = {
    (1, 13): (OLD, "tensorflow.python.keras.optimizers.Optimizer"),
    (1, 14): (V2, "tensorflow.python.keras.optimizer_v2.optimizer_v2.OptimizerV2"),
    (2, 6): (V2, "keras.optimizer_v2.optimizer_v2.OptimizerV2"),
    (2, 9): (V2, "keras.optimizers.optimizer_v2.optimizer_v2.OptimizerV2"),
    (2, 11): (NEW, "keras.optimizers.optimizer_experimental.optimizer.Optimizer"),
    (2, 12): (NEW, "keras.optimizers.optimizer.Optimizer"),
    (2, 13): (NEW, "keras.src.optimizers.optimizer.Optimizer"),
}
# The other lineage beside it: where, and what it is.
BESIDE = {
    (2, 9): (
        NEW,
        TF_KERAS_OPTIMIZERS + "experimental.Optimizer",
        "keras.optimizers.optimizer_experimental.optimizer.Optimizer",
    ),
    (2, 11): (
        V2,
        TF_KERAS_OPTIMIZERS + "legacy.Optimizer",
        "keras.optimizers.optimizer_v2.optimizer_v2.OptimizerV2",
    ),
    (2, 12): (
        V2,
        TF_KERAS_OPTIMIZERS + "legacy.Optimizer",
        "keras.optimizers.legacy.optimizer_v2.OptimizerV2",
    ),
    (2, 13): (
        V2,
        TF_KERAS_OPTIMIZERS + "legacy.Optimizer",
        "keras.src.optimizers.legacy.optimizer_v2.OptimizerV2",
    ),
}
K3_CLASS = "keras.src.optimizers.optimizer.Optimizer"
TF_KERAS_CLASSES = {
    NEW: "tf_keras.src.optimizers.optimizer.Optimizer",
    V2: "tf_keras.src.optimizers.legacy.optimizer_v2.OptimizerV2",
}
TF1_HOST = ("tf.compat.v1.train.Optimizer", "tensorflow.python.training.optimizer.Optimizer")
KERAS_3_HERE = KERAS is not None and KERAS >= (3,)


def since(table):
    """Return the row of the newest release in `table` that is not after the TensorFlow here."""
    rows = [row for row in table if row <= TF]
    return table[max(rows)] if rows else None


def expected(legacy=False, backend_missing=False):
    """Return (default, {api: (public path, class path)}, package of tf.keras) that must be here."""
    hosts, default, package = {}, None, None
    if TF is None:
        if KERAS_3_HERE and BACKENDS and not backend_missing:
            hosts[K3] = ("keras.optimizers.Optimizer", K3_CLASS)
        return (K3 if hosts else None), hosts, None
    hosts["tf1"] = TF1_HOST
    if TF_KERAS is not None:
        hosts[NEW] = ("tf_keras.optimizers.Optimizer", TF_KERAS_CLASSES[NEW])
        hosts[V2] = ("tf_keras.optimizers.legacy.Optimizer", TF_KERAS_CLASSES[V2])
    if KERAS_3_HERE and not backend_missing:
        hosts[K3] = ("keras.optimizers.Optimizer", K3_CLASS)
    if TF < (2, 6) and KERAS in ((2, 2), (2, 3)):
        hosts[OLD] = ("keras.optimizers.Optimizer", "keras.optimizers.Optimizer")
    if legacy and TF >= (2, 15):
        if TF_KERAS is not None:
            hosts[NEW] = (TF_KERAS_OPTIMIZERS + "Optimizer", TF_KERAS_CLASSES[NEW])
            hosts[V2] = (TF_KERAS_OPTIMIZERS + "legacy.Optimizer", TF_KERAS_CLASSES[V2])
            default, package = NEW, "tf_keras"
    elif TF >= (2, 15) and KERAS_3_HERE:
        if not backend_missing:
            hosts[K3] = (TF_KERAS_OPTIMIZERS + "Optimizer", K3_CLASS)
            default, package = K3, "keras"
    else:
        default, path = since(NATIVE)
        hosts[default] = (TF_KERAS_OPTIMIZERS + "Optimizer", path)
        if since(BESIDE) is not None:
            api, public, other = since(BESIDE)
            hosts[api] = (public, other)
        package = "tensorflow.python.keras" if TF < (2, 6) else "keras"
    if TF < (2,):
        default = "tf1"
    return default, hosts, package


# ------------------------------------------------------------ the real thing, at most three times

LOOK = """
import json, os, sys
from kcompat import environment, errors
before = [os.environ.get(name) for name in environment.VARIABLES]  # TensorFlow itself sets others
found = environment.detect()
assert [os.environ.get(name) for name in environment.VARIABLES] == before
result = found.as_dict()
result["text"] = str(found)
result["again"] = environment.detect() is found
def same(other):  # but for what setuptools, once imported, appends to sys.path
    return other._replace(distributions={}).as_dict() == found._replace(distributions={}).as_dict()
result["refreshed"] = same(environment.detect(refresh=True))
result["lineages"] = {}
result["errors"] = {}
for api in environment.APIS:
    try:
        cls = environment.host_class(api)
    except errors.ApiNotAvailableError as error:
        result["errors"][api] = str(error)
    else:
        assert environment.resolve_api(api) == api
        paths = [cls.__module__ + "." + cls.__qualname__, type("Sub", (cls,), {})]
        result["lineages"][api] = [environment.lineage(cls), environment.lineage(paths[1])]
        assert paths[0] == found.hosts[api].class_path
        assert environment.host_classes(api)[0] == (found.hosts[api].public, cls)
"""

PLAIN = (
    LOOK
    + """
try:
    result["resolved"] = environment.resolve_api()
except errors.ApiNotAvailableError as error:
    result["resolved"] = str(error)
result["under"] = {}
for api in environment.APIS + ("keras3",):
    os.environ["KCOMPAT_API"] = api
    try:
        resolved = environment.resolve_api()
    except errors.ApiNotAvailableError as error:
        resolved = type(error).__name__
    now = environment.detect()
    result["under"][api] = [now.default, now.why, resolved]
del os.environ["KCOMPAT_API"]
assert same(environment.detect())

tf = sys.modules.get("tensorflow")
result["seen"] = {}
for path in (
    "train.Optimizer", "train.AdamOptimizer", "compat.v1.train.AdamOptimizer",
    "keras.optimizers.Optimizer", "keras.optimizers.SGD", "keras.optimizers.legacy.Optimizer",
    "keras.optimizers.legacy.Adam", "keras.optimizers.experimental.Adam",
    "compat.v1.keras.optimizers.Optimizer", "keras.Model",
):
    at = tf
    try:
        for name in path.split("."):
            at = getattr(at, name)
    except Exception:
        continue
    result["seen"][path] = environment.lineage(at)
print(json.dumps(result))
"""
)


def check(found, default, hosts, package):
    assert {api: (h["public"], h["class_path"]) for api, h in found["hosts"].items()} == hosts
    assert found["apis"] == [api for api in environment.APIS if api in hosts]
    assert found["default"] == default
    assert found["tf_keras_module"] == package
    assert set(found["absent"]) == set(environment.APIS) - set(hosts) == set(found["errors"])
    assert found["lineages"] == {api: [api, api] for api in hosts}
    assert found["again"] and found["refreshed"]
    assert found["why"]
    for name in environment.APIS:
        assert name in found["text"]
    for problem in found["problems"]:
        assert problem[-30:].split()[-1] in found["text"]


@pytest.fixture(scope="module")
def plain():
    backend = {"KERAS_BACKEND": BACKENDS[0]} if TF is None and BACKENDS else {}
    return run_json(PLAIN, **backend)


@pytest.mark.wide
def test_here(plain):
    check(plain, *expected())
    if plain["default"] is not None:
        assert plain["resolved"] == plain["default"]
        assert not plain["problems"]
    elif TF is None and KERAS is None:
        assert "pip install tensorflow" in plain["resolved"]
        assert all("pip install tensorflow" in text for text in plain["errors"].values())


def test_here_versions(plain):
    for module, version in (("tensorflow", TF), ("keras", KERAS), ("tf_keras", TF_KERAS)):
        if version is None:
            assert plain[module] is None
        else:
            assert environment.parse_version(plain[module]).release[:2] == version
    assert plain["python"] == "{}.{}.{}".format(*sys.version_info[:3])
    if TF is None:
        assert plain["tensorflow_distribution"] is None
        assert plain["keras_backend"] == (BACKENDS[0] if BACKENDS and KERAS else None)
    else:
        assert plain["tensorflow_distribution"] in distributions_here()
        assert plain["keras_backend"] == "tensorflow"


def test_here_kcompat_api(plain):
    for api in environment.APIS:
        default, why, resolved = plain["under"][api]
        assert "KCOMPAT_API=" + api in why
        assert default == (api if api in plain["apis"] else None)
        assert resolved == (api if api in plain["apis"] else "ApiNotAvailableError")
    default, why, resolved = plain["under"]["keras3"]
    assert default is None and resolved == "UnknownApiError"
    assert "KCOMPAT_API 'keras3'" in why and "Did you mean 'keras_3'?" in why


@pytest.mark.skipif(TF is None, reason="no TensorFlow here")
def test_here_lineage(plain):
    seen = plain["seen"]
    assert seen["compat.v1.train.AdamOptimizer"] == "tf1"
    assert ("train.AdamOptimizer" in seen) == (TF < (2,))
    native = K3 if TF >= (2, 15) and KERAS_3_HERE else since(NATIVE)[0]
    assert seen["keras.optimizers.Optimizer"] == seen["keras.optimizers.SGD"] == native
    assert seen["keras.Model"] is None
    assert ("keras.optimizers.legacy.Optimizer" in seen) == (TF >= (2, 9))
    if TF >= (2, 9):  # Keras 3's is the placeholder
        assert seen["keras.optimizers.legacy.Optimizer"] == (None if native == K3 else V2)
        assert seen["keras.optimizers.legacy.Adam"] == (None if native == K3 else V2)
    if native != K3:
        assert seen["compat.v1.keras.optimizers.Optimizer"] == (OLD if TF < (1, 14) else V2)
        assert ("keras.optimizers.experimental.Adam" in seen) == (TF >= (2, 9))
        assert seen.get("keras.optimizers.experimental.Adam", NEW) == NEW


@pytest.mark.wide
@pytest.mark.skipif(TF is None or TF < (2, 11), reason="TF_USE_LEGACY_KERAS means nothing here")
def test_here_legacy_keras():
    found = run_json(LOOK + "\nprint(json.dumps(result))", TF_USE_LEGACY_KERAS="1")
    check(found, *expected(legacy=True))
    if TF >= (2, 15) and TF_KERAS is None:
        assert found["default"] is None
        for text in (found["why"], found["problems"][0], found["errors"]["keras_2_11"]):
            assert "ImportError" in text and "TF_USE_LEGACY_KERAS=1" in text
            assert "pip install tf_keras" in text
    else:
        assert not found["problems"]


@pytest.mark.wide
@pytest.mark.skipif(not KERAS_3_HERE, reason="KERAS_BACKEND is for Keras 3")
def test_here_backend_missing():
    missing = [name for name in ("jax", "torch") if name not in BACKENDS][0]
    found = run_json(LOOK + "\nprint(json.dumps(result))", KERAS_BACKEND=missing)
    check(found, *expected(backend_missing=True))
    assert found["default"] is None
    assert found["keras_backend"] == missing
    assert (
        "KERAS_BACKEND={} does not work here: pip install {}".format(missing, missing)
        in found["why"]
    )
    assert "No module named '{}'".format(missing) in " ".join(found["problems"])


def test_import_is_light():
    """Neither the package nor the scan imports a framework, or anything that costs milliseconds."""
    code = """
    import sys
    before = set(sys.modules)
    import kcompat
    found = kcompat.environment.installed()
    new = sorted(set(sys.modules) - before)
    import json
    print(json.dumps(new))
    """
    new = run_json(code)
    frameworks = "tensorflow keras tf_keras jax torch numpy packaging"
    slow = "typing re inspect argparse difflib textwrap threading importlib.metadata"
    assert not set(new) & set((frameworks + " " + slow).split())
    assert kcompat.__name__ + ".environment" in new


# ------------------------------------------------------------ made-up distributions

TENSORFLOWS = """
tensorflow tensorflow-cpu tensorflow-gpu tensorflow-macos tensorflow-intel tensorflow-rocm
tensorflow-aarch64 tensorflow-cpu-aws tensorflow-directml tensorflow-rocm-enhanced tf-nightly
tf-nightly-cpu tf-nightly-gpu tf-nightly-2.0-preview tf-nightly-gpu-2.0-preview tf-nightly-macos
tf-nightly-cpu-aws intel-tensorflow intel-tensorflow-avx512 nvidia-tensorflow
"""
NO_TENSORFLOWS = """
tensorflow-estimator tensorflow-addons tensorflow-metal tensorflow-directml-plugin tensorboard
tensorflow-io-gcs-filesystem tensorflow-probability tensorflow-text tf-estimator-nightly tf-slim
tensorflowjs keras-adamw Keras-Applications Keras_Preprocessing keras-tuner jaxlib torchvision
tensorflow-cpu-estimator mytensorflow ~ensorflow
"""


def metadata(directory, name, version, files=0, kind=".dist-info"):
    made = Path(str(directory)) / (name + "-" + version + kind)
    made.mkdir(parents=True)
    (made / "RECORD").write_text("a/file.py,,\n" * files)
    return made


@pytest.fixture()
def only(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


@pytest.mark.parametrize("name", TENSORFLOWS.split())
def test_installed_tensorflow(only, name):
    made = metadata(only, name.replace("-", "_"), "2.12.0+nv23.3")
    found = environment.installed()
    assert found == {"tensorflow": (name, "2.12.0+nv23.3", str(made))}


@pytest.mark.parametrize("name", NO_TENSORFLOWS.split())
def test_installed_is_not(only, name):
    metadata(only, name.replace("-", "_"), "2.1")
    assert environment.installed() == {}


@pytest.mark.parametrize(
    "name, module",
    [
        ("Keras", "keras"),
        ("keras_nightly", "keras"),
        ("tf_keras", "tf_keras"),
        ("tf_keras_nightly", "tf_keras"),
        ("jax", "jax"),
        ("torch", "torch"),
        ("numpy", "numpy"),
        ("packaging", "packaging"),
    ],
)
def test_installed_others(only, name, module):
    metadata(only, name, "3.16.0.dev2026102704")
    found = environment.installed()
    assert list(found) == [module]
    assert found[module].version == "3.16.0.dev2026102704"


def test_installed_metapackage(only):
    metadata(only, "tensorflow", "2.12.0", files=3)
    metadata(only, "tensorflow_intel", "2.12.0", files=3000)
    assert environment.installed()["tensorflow"].name == "tensorflow-intel"


def test_installed_first_on_path(tmp_path, monkeypatch):
    metadata(tmp_path / "a", "keras", "3.1.0", files=5)
    metadata(tmp_path / "b", "keras", "2.9.0", files=5)
    monkeypatch.setattr(sys, "path", [str(tmp_path / each) for each in ("no", "a", "b", "a")])
    assert environment.installed()["keras"].version == "3.1.0"


def test_installed_eggs(only, monkeypatch):
    metadata(only, "tensorflow", "2.1.0-py3.7", kind=".egg-info")
    (only / "keras.egg-info").mkdir()
    (only / "keras.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nVersion: 2.3.1\n\n")
    (only / "torch-1.0.egg-info").write_text("Metadata-Version: 1.0\nVersion: 1.0\n")
    egg = only / "numpy-1.16.4-py3.7-linux-x86_64.egg"
    egg.mkdir()
    monkeypatch.setattr(sys, "path", [str(only), str(egg)])
    found = {module: each.version for module, each in environment.installed().items()}
    assert found == {"tensorflow": "2.1.0", "keras": "2.3.1", "torch": "1.0", "numpy": "1.16.4"}


# ------------------------------------------------------------ versions

VERSIONS = [
    ("2.22.0-rc0", (2, 22), True),
    ("2.22.0rc0", (2, 22), True),
    ("2.12.0+nv23.3", (2, 12), False),
    ("2.2.4-tf", (2, 2), False),
    ("3.16.0.dev2026102704", (3, 16), True),
    ("b'v1.13.2-5-g04256c89d8'", (1, 13), False),
    (b"v1.13.2-5-g04256c89d8", (1, 13), False),
    ("v2.0.0-alpha0-5-gabcdef", (2, 0), True),
]


@pytest.mark.parametrize("packaging", [True, False])
@pytest.mark.parametrize("text, release, early", VERSIONS)
def test_parse_version(text, release, early, packaging, monkeypatch):
    if not packaging:
        monkeypatch.setitem(sys.modules, "packaging.version", None)
        monkeypatch.setitem(sys.modules, environment.__package__ + "._packaging.version", None)
    version = environment.parse_version(text)
    assert (version.major, version.minor) == release
    assert version.is_prerelease == early


@pytest.mark.parametrize("packaging", [True, False])
def test_parse_version_order(packaging, monkeypatch):
    if not packaging:
        monkeypatch.setitem(sys.modules, "packaging.version", None)
        monkeypatch.setitem(sys.modules, environment.__package__ + "._packaging.version", None)
    parse = environment.parse_version
    assert parse("2.9.3") < parse("2.10.1") < parse("2.22.0-rc0") < parse("2.22.0")
    assert parse("2.0") == parse("2.0.0")
    assert parse("2.22.0-rc0") == parse("2.22.0rc0")
    assert parse("unknown") < parse("0.1")


# ------------------------------------------------------------ lineage, from hooks alone


def make(name, *hooks, bases=(), **methods):
    members = {hook: lambda self, *args: None for hook in hooks}
    members.update(methods)
    return type(name, tuple(bases), members)


def test_lineage_of_what_is_none():
    class LegacyOptimizerWarning:
        def __init__(self, *args, **kwargs):
            raise ImportError("not here")

    assert environment.lineage(LegacyOptimizerWarning) is None
    assert environment.lineage(object()) is None
    assert environment.lineage(None) is None
    assert environment.lineage(dict) is None


def test_lineage_by_hooks():
    assert environment.lineage(make("A", "_apply_dense", "_zeros_slot")) == "tf1"
    assert environment.lineage(make("A", "get_updates")) == "get_updates"
    v2 = make("A", "get_updates", "_set_hyper", "_resource_apply_dense")
    assert environment.lineage(v2) == "optimizer_v2"


def test_lineage_with_update_step():
    for base, api in (("_BaseOptimizer", "keras_2_11"), ("BaseOptimizer", "keras_3")):
        cls = make("Optimizer", "update_step", bases=[make(base)])
        assert environment.lineage(cls) == api
        assert environment.lineage(make("Mine", bases=[cls])) == api
    # Bases of another name: told by the arguments, those of the host's own class.
    two = make("A", update_step=lambda self, gradient, variable: None)
    three = make("A", update_step=lambda self, gradient, variable, learning_rate: None)
    assert environment.lineage(two) == "keras_2_11"
    assert environment.lineage(three) == "keras_3"
    mine = make("Mine", bases=[three], update_step=lambda self, *args: None)
    assert environment.lineage(mine) == "keras_3"
    assert environment.lineage(make("A", update_step=lambda self: None)) is None


def test_missing_hooks():
    cls = make("A", "update_step", "apply_gradients", "add_variable_from_reference")
    assert environment.missing_hooks(cls, "keras_3") == ("build",)


# ------------------------------------------------------------ made-up frameworks (no site-packages)

REPORT = """
import json, os
from kcompat import environment, errors
before = dict(os.environ)
found = environment.detect()
assert dict(os.environ) == before
result = found.as_dict()
try:
    result["resolved"] = environment.resolve_api()
except ImportError as error:
    result["resolved"] = str(error)
for api in environment.APIS:
    try:
        environment.host_class(api)
    except errors.ApiNotAvailableError as error:
        result.setdefault("errors", {})[api] = str(error)
result["refreshed"] = environment.detect(refresh=True).as_dict() == found.as_dict()
print(json.dumps(result))
"""

HOOKS = """
def hooks(*names):
    return {name: (lambda self, *args: None) for name in names}
TF1 = type("Optimizer", (), hooks(
    "_apply_dense", "_apply_sparse", "_create_slots", "_finish", "_prepare",
    "_resource_apply_dense", "_resource_apply_sparse", "_zeros_slot",
    "apply_gradients", "compute_gradients"))
OLD = type("Optimizer", (), hooks(
    "get_config", "get_gradients", "get_updates", "get_weights", "set_weights"))
Base = type("BaseOptimizer", (), {})
K3 = type("Optimizer", (Base,), hooks(
    "add_variable_from_reference", "apply_gradients", "build", "update_step"))
class NS:
    def __init__(self, **names):
        self.__dict__.update(names)
"""

TENSORFLOW = (
    HOOKS
    + """
__version__ = "VERSION"
train = NS()
compat = NS(v1=NS(train=NS(Optimizer=TF1), keras=NS(optimizers=NS())))
keras = NS(optimizers=NS(Optimizer=K3))
"""
)


def fake(directory, **files):
    """Write packages: tensorflow=…, keras=…, and below them keras_ops=…, keras_optimizers=…."""
    for name, text in files.items():
        package, _, module = name.partition("_")
        where = directory / package / ("{}.py".format(module or "__init__"))
        if module == "ops":
            where = directory / package / module / "__init__.py"
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)


def look(*path, **variables):
    # -S: no site-packages, so that no real framework is in sight.
    return run_json(REPORT, "-S", path=path, **variables)


def test_nothing_installed():
    found = look()
    assert found["apis"] == [] and found["default"] is None and found["problems"] == []
    assert "pip install tensorflow" in found["resolved"]
    for text in found["errors"].values():
        assert "no TensorFlow and no Keras 3 found" in text and "pip install tensorflow" in text


@pytest.mark.parametrize("version", ["2.22.0-rc0", "2.12.0+nv23.3", "9.9.9"])
def test_made_up_tensorflow(tmp_path, version):
    fake(tmp_path, tensorflow=TENSORFLOW.replace("VERSION", version))
    metadata(tmp_path, "tensorflow", version.replace("-", ""))
    found = look(tmp_path)
    assert found["tensorflow"] == version
    assert found["tensorflow_distribution"] == "tensorflow"
    assert found["apis"] == ["tf1", "keras_3"]
    assert found["default"] == found["resolved"] == "keras_3"
    assert found["keras_backend"] == "tensorflow"


def test_distribution_that_was_imported(tmp_path):
    """Where two distributions wrote into one directory, the version imported says which it is."""
    fake(tmp_path, tensorflow=TENSORFLOW.replace("VERSION", "1.15.0"))
    metadata(tmp_path, "tensorflow", "1.15.5", files=900)
    metadata(tmp_path, "tensorflow_cpu", "1.15.0", files=800)
    assert look(tmp_path)["tensorflow_distribution"] == "tensorflow-cpu"


@pytest.mark.parametrize(
    "error", ["ImportError('libcudart.so')", "RecursionError('deep')", "TypeError('Descriptors')"]
)
def test_tensorflow_that_fails(tmp_path, error):
    fake(tmp_path, tensorflow="raise " + error)
    metadata(tmp_path, "tensorflow_cpu", "2.16.2")
    found = look(tmp_path)
    assert found["apis"] == [] and found["default"] is None
    assert found["tensorflow"] == "2.16.2"
    name, text = error[:-2].split("('")
    for said in (found["why"], found["problems"][0], found["resolved"], found["errors"]["tf1"]):
        assert "{}: {}".format(name, text) in said
    assert len(found["problems"]) == 1


def test_tensorflow_that_is_another_file(tmp_path):
    (tmp_path / "tensorflow.py").write_text("x = 1")
    found = look(tmp_path)
    assert found["apis"] == []
    assert str(tmp_path / "tensorflow.py") in found["why"] and "rename" in found["why"]


def test_tensorflow_left_behind(tmp_path):
    (tmp_path / "tensorflow" / "python").mkdir(parents=True)
    found = look(tmp_path)
    assert found["tensorflow"] is None
    assert "no TensorFlow and no Keras 3 found" in found["why"]


def test_tensorflow_fails_but_keras_3_works(tmp_path):
    fake(
        tmp_path,
        tensorflow="raise ImportError('broken')",
        keras=HOOKS
        + "__version__ = '3.9'\noptimizers = NS(Optimizer=K3)\n"
        + "backend = NS(backend=lambda: 'jax')",
        keras_ops="",
    )
    found = look(tmp_path, KERAS_BACKEND="jax")
    assert found["apis"] == ["keras_3"] and found["default"] == "keras_3"
    assert found["keras_backend"] == "jax"
    assert "ImportError: broken" in found["problems"][0] and "ImportError: broken" in found["why"]


def test_hook_that_is_missing(tmp_path):
    text = TENSORFLOW.replace("VERSION", "9.0.0").replace('"build", ', "")
    fake(tmp_path, tensorflow=text)
    found = look(tmp_path)
    assert found["apis"] == ["tf1"] and found["default"] is None
    for said in (found["why"], found["resolved"], found["errors"]["keras_3"]):
        assert "tensorflow.Optimizer (keras_3), which lacks its hook build" in said
    assert "asked for with api= or KCOMPAT_API: tf1" in found["resolved"]


def test_hooks_of_no_known_api(tmp_path):
    text = TENSORFLOW.replace("VERSION", "9.0.0").replace('"update_step"', '"step_all"')
    fake(tmp_path, tensorflow=text)
    found = look(tmp_path)
    assert found["default"] is None
    assert "whose hook update_step it lacks" in found["why"]


def test_tf_keras_is_decided_by_the_first_access(tmp_path):
    """TF 2.22 raises once when tf_keras is missing, and then hands out Keras 3."""
    lazy = TENSORFLOW.replace("VERSION", "2.22.0") + textwrap.dedent(
        """
        class Lazy:
            asked = 0
            def __getattr__(self, name):
                Lazy.asked += 1
                if Lazy.asked == 1:
                    raise ImportError("Keras cannot be imported.")
                return NS(Optimizer=K3)
        keras = Lazy()
        compat.v1.keras = keras
        """
    )
    fake(tmp_path, tensorflow=lazy)
    found = look(tmp_path, TF_USE_LEGACY_KERAS="1")
    assert found["apis"] == ["tf1"] and found["default"] is None
    assert found["refreshed"]
    assert "ImportError: Keras cannot be imported;" in found["why"]
    assert "pip install tf_keras" in found["resolved"]


def test_legacy_asked_too_late(tmp_path):
    fake(tmp_path, tensorflow=TENSORFLOW.replace("VERSION", "2.22.0"))
    found = look(tmp_path, TF_USE_LEGACY_KERAS="1")
    assert found["default"] == "keras_3"
    assert "TF_USE_LEGACY_KERAS=1 is set but tf.keras is Keras 3" in found["problems"][0]


def test_keras_backend_unknown(tmp_path):
    fake(
        tmp_path,
        keras="raise ValueError('Unsupported backend : bogus')",
        keras_ops="",
        jax="",
    )
    found = look(tmp_path, KERAS_BACKEND="bogus")
    assert found["default"] is None and found["apis"] == []
    assert "ValueError: Unsupported backend : bogus" in found["why"]
    assert "set KERAS_BACKEND to one that is here: jax" in found["why"]
    assert "pip install bogus" not in found["why"]


KERAS_2 = (
    "from tensorflow import NS, OLD\nclass Optimizer(OLD):\n    pass\nclass SGD({}):\n    pass\n"
)


@pytest.mark.parametrize(
    "optimizers, offered",
    [
        (KERAS_2.format("Optimizer"), True),  # 2.2 and 2.3
        (KERAS_2.format("object"), False),  # a class that its own SGD does not derive from
        ("raise SystemExit('imported')", False),  # 2.4 on: told by the file, not imported
    ],
)
def test_standalone_keras_2(tmp_path, optimizers, offered):
    fake(
        tmp_path,
        tensorflow=TENSORFLOW.replace("VERSION", "1.15.0") + "train.Optimizer = TF1\n",
        keras="from . import optimizers\n__version__ = '2.3.1'\n",
        keras_optimizers=optimizers,
    )
    found = look(tmp_path)
    assert found["default"] == "tf1"
    assert ("get_updates" in found["apis"]) == offered


# ------------------------------------------------------------ names that are none


@pytest.mark.parametrize("call", [environment.resolve_api, environment.host_class])
@pytest.mark.parametrize(
    "given, meant", [("keras3", "keras_3"), ("optimizerv2", "optimizer_v2"), ("xyzzy", None)]
)
def test_unknown_api(call, given, meant):
    with pytest.raises(errors.UnknownApiError) as caught:
        call(given)
    text = str(caught.value)
    assert repr(given) in text and ", ".join(environment.APIS) in text
    assert ("Did you mean" in text) == (meant is not None)
    assert meant is None or repr(meant) in text
    assert isinstance(caught.value, (errors.KcompatError, ValueError, ImportError))


def test_nearest():
    assert errors.nearest("momentun", ["momentum", "nesterov"]) == " Did you mean 'momentum'?"
    assert errors.nearest("LR", ["lr", "decay"]) == " Did you mean 'lr'?"
    assert errors.nearest("zzz", ["momentum"]) == ""
    assert errors.nearest("x", []) == ""


@pytest.mark.parametrize(
    "name, kind",
    [
        ("RuleError", TypeError),
        ("HyperparameterError", ValueError),
        ("UnknownArgumentError", TypeError),
        ("GradientError", ValueError),
        ("StateError", ValueError),
        ("NotBuiltError", RuntimeError),
        ("ApiNotAvailableError", ImportError),
    ],
)
def test_errors_are_what_a_user_would_catch(name, kind):
    cls = getattr(kcompat, name)
    assert cls is getattr(errors, name)
    assert issubclass(cls, kcompat.KcompatError) and issubclass(cls, kind)
    assert str(cls("text")) == "text"

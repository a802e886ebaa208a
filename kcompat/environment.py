"""What is installed here, which optimizer APIs it offers, which one is the default, and why."""

from __future__ import annotations

import os
import sys
from _thread import RLock
from collections import namedtuple

from .errors import ApiNotAvailableError, UnknownApiError, nearest

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

__all__ = [
    "APIS",
    "Distribution",
    "Environment",
    "Host",
    "detect",
    "host_class",
    "host_classes",
    "installed",
    "lineage",
    "missing_hooks",
    "parse_version",
    "remedy",
    "resolve_api",
]

#: The names of the optimizer APIs, oldest first; every listing keeps this order.
APIS = ("tf1", "get_updates", "optimizer_v2", "keras_2_11", "keras_3")

#: The environment variables that decide, and that a cached answer is therefore kept under.
VARIABLES = ("KCOMPAT_API", "KERAS_BACKEND", "TF_USE_LEGACY_KERAS")

# What an adapter overrides or calls on the host's base class. Each of these is there in every
# release that has the lineage; a class that lacks one is not offered, and the error says which.
_HOOKS = {
    "tf1": (
        "_apply_dense",
        "_apply_sparse",
        "_create_slots",
        "_finish",
        "_prepare",
        "_resource_apply_dense",
        "_resource_apply_sparse",
        "_zeros_slot",
        "apply_gradients",
        "compute_gradients",
    ),
    "get_updates": ("get_config", "get_gradients", "get_updates", "get_weights", "set_weights"),
    "optimizer_v2": (
        "_create_hypers",
        "_get_hyper",
        "_prepare",
        "_resource_apply_dense",
        "_resource_apply_sparse",
        "_set_hyper",
        "add_slot",
        "add_weight",
        "apply_gradients",
        "get_updates",
    ),
    "keras_2_11": ("add_variable_from_reference", "apply_gradients", "build", "update_step"),
    "keras_3": ("add_variable_from_reference", "apply_gradients", "build", "update_step"),
}

# Where each API's base class is looked for, in this order; the first that fits is the host.
_PLACES = {
    "tf1": ("tf.compat.v1.train.Optimizer",),
    "get_updates": ("tf.keras.optimizers.Optimizer", "keras.optimizers.Optimizer"),
    "optimizer_v2": (
        "tf.keras.optimizers.Optimizer",
        # In 2.9 and 2.10 an empty subclass of OptimizerV2, which the line above finds first.
        "tf.keras.optimizers.legacy.Optimizer",
        "tf.compat.v1.keras.optimizers.Optimizer",
        "tf_keras.optimizers.legacy.Optimizer",
    ),
    "keras_2_11": (
        "tf.keras.optimizers.Optimizer",
        "tf.keras.optimizers.experimental.Optimizer",
        "tf_keras.optimizers.Optimizer",
    ),
    "keras_3": ("tf.keras.optimizers.Optimizer", "keras.optimizers.Optimizer"),
}

_REMEDIES = {
    "tf1": "every TensorFlow from 1.13 on has it: pip install tensorflow",
    "get_updates": "TensorFlow 1.13 has it, and so has standalone Keras 2.2.5 to 2.3.1 on"
    " TensorFlow 1.x (CPython 3.7): pip install 'keras==2.3.1' 'tensorflow<2'",
    "optimizer_v2": "TensorFlow 1.14 to 2.15 have it; beside a later one, pip install tf_keras"
    " (of the same minor version as TensorFlow)",
    "keras_2_11": "TensorFlow 2.9 to 2.15 have it; beside a later one, pip install tf_keras"
    " (of the same minor version as TensorFlow)",
    "keras_3": "TensorFlow 2.16 and later have it: pip install -U tensorflow; without TensorFlow,"
    " pip install keras and a backend (jax or torch)",
}


# ------------------------------------------------------------ what is installed


class Distribution(namedtuple("Distribution", ("name", "version", "path"))):
    """One installed distribution: its name as pip spells it, its version, its metadata's path."""

    __slots__ = ()
    name: str
    version: str
    path: str


# Distribution names, normalized, to the module each installs. TensorFlow's own are told by
# `_module_of`, for vendors keep inventing them.
_MODULES = {
    "jax": "jax",
    "keras": "keras",
    "keras-nightly": "keras",
    "numpy": "numpy",
    "packaging": "packaging",
    "tf-keras": "tf_keras",
    "tf-keras-nightly": "tf_keras",
    "torch": "torch",
}

# What may follow "tensorflow" or "tf-nightly" in the name of a TensorFlow. Everything else
# (tensorflow-estimator, -addons, -metal, -directml-plugin …) is something beside it.
_FLAVOURS = frozenset(
    (
        *("2", "0", "preview", "enhanced"),  # tf-nightly-2.0-preview, tensorflow-rocm-enhanced
        *("cpu", "gpu", "tpu", "rocm", "cuda", "directml", "mkl", "eigen", "avx2", "avx512"),
        *("aarch64", "aws", "intel", "macos", "macosx", "windows"),
    )
)


def _module_of(name: str) -> Optional[str]:
    """Return the module that a distribution of this normalized name installs, if one of ours."""
    if name in _MODULES:
        return _MODULES[name]
    for vendor in ("intel-", "nvidia-"):
        if name.startswith(vendor):
            name = name[len(vendor) :]
    for stem in ("tensorflow", "tf-nightly"):
        if name == stem:
            return "tensorflow"
        if name.startswith(stem + "-"):
            words = name[len(stem) + 1 :].split("-")
            return "tensorflow" if all(word in _FLAVOURS for word in words) else None
    return None


def _normalize(name: str) -> str:
    """Return the name as package indexes compare it: lower case, runs of ``-_.`` as one dash."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


def _from_entry(directory: str, entry: str) -> Optional[Tuple[str, Distribution]]:
    """Read module and Distribution off the name of a metadata directory or file, if it is one."""
    stem, extension = os.path.splitext(entry)
    if extension not in (".dist-info", ".egg-info", ".egg"):
        return None
    # name-version.dist-info; name-version[-pyX.Y[-platform]].egg-info and .egg; name.egg-info
    name, _, rest = stem.partition("-")
    module = _module_of(_normalize(name))
    if module is None:
        return None
    path = os.path.join(directory, entry)
    version = rest if extension == ".dist-info" else rest.split("-py", 1)[0]
    return module, Distribution(name.replace("_", "-").lower(), version or _version_in(path), path)


def _version_in(path: str) -> str:
    """Return the version that a metadata directory or file states inside, or ``""``."""
    for name in ("PKG-INFO", "METADATA", ""):
        try:
            with open(os.path.join(path, name) if name else path, encoding="utf-8") as lines:
                for line in lines:
                    if line.startswith("Version:"):
                        return line[len("Version:") :].strip()
                    if not line.strip():
                        break
        except (OSError, ValueError):
            continue
    return ""


def _scan() -> Dict[str, List[Distribution]]:
    """Return every distribution of interest on `sys.path`, by module, in the order of the path."""
    found: Dict[str, List[Distribution]] = {}
    seen = set()
    for directory in sys.path:
        directory = directory or os.curdir
        real = os.path.realpath(directory)  # lib and lib64 of a venv are one
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.listdir(directory))
        except OSError:  # a zip file, or a directory that is not there: no names to read
            entries = []
        pairs = [_from_entry(directory, entry) for entry in entries]
        # easy_install puts the .egg directory itself on the path
        pairs.append(_from_entry(*os.path.split(directory.rstrip(os.sep))))
        for pair in pairs:
            if pair is not None and pair[1] not in found.get(pair[0], ()):
                found.setdefault(pair[0], []).append(pair[1])
    return found


def _record_size(distribution: Distribution) -> int:
    """Return the size of the list of files a distribution installed; 0 when it has none."""
    for name in ("RECORD", "SOURCES.txt", "installed-files.txt"):
        try:
            return os.path.getsize(os.path.join(distribution.path, name))
        except OSError:
            continue
    return 0


def installed() -> Mapping[str, Distribution]:
    """Return the distributions of interest, by the module each installs, importing none of them.

    The keys are those of ``tensorflow, keras, tf_keras, jax, torch, numpy, packaging`` that are
    there. Found by the names of the ``*.dist-info`` and ``*.egg-info`` on `sys.path`, for
    `importlib.metadata` alone would cost 40 to 90 ms. Where several install one module (a
    metapackage beside the package it pulls in) the one with the most files is given.
    """
    result = {}
    for module, distributions in sorted(_scan().items()):
        best = distributions[0]
        if len(distributions) > 1:
            # The metapackages (tensorflow over tensorflow-intel or -macos) list a handful of files.
            best = max(distributions, key=_record_size)
        result[module] = best
    return result


class _PlainVersion(namedtuple("_PlainVersion", ("release", "final"))):
    """A release number that compares; stands in for packaging's Version where that is missing."""

    __slots__ = ()
    release: Tuple[int, ...]
    final: bool

    @property
    def major(self) -> int:
        """The first number."""
        return self.release[0]

    @property
    def minor(self) -> int:
        """The second number, 0 when there is none."""
        return self.release[1] if len(self.release) > 1 else 0

    @property
    def is_prerelease(self) -> bool:
        """Whether this came before the release of that number."""
        return not self.final


def _packaging_version() -> Any:
    """Return the module `packaging.version`, or None: a vendored copy's own first, then the one installed."""
    from importlib import import_module

    for name in ("._packaging.version", "packaging.version"):
        try:
            return import_module(name, __package__)
        except (ImportError, SyntaxError, TypeError, AttributeError):  # a copy may hold one for newer Pythons
            continue
    return None


def parse_version(text: object) -> Any:
    """Return `text` as something that compares: packaging's Version, also when it is not quite one.

    Takes what TensorFlow and Keras say of themselves: ``"2.22.0-rc0"``, ``"2.12.0+nv23.3"``,
    ``"2.2.4-tf"``, and the ``"b'v1.13.2-5-g…'"`` of TF 1.13's GIT_VERSION. Without any number in
    it, ``0``. Where `packaging` is missing the result still compares, and has ``release``,
    ``major``, ``minor`` and ``is_prerelease``.
    """
    import re

    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = str(text).strip()
    before = "a|b|c|rc|alpha|beta|pre|preview|dev"
    match = re.search(r"(\d+(?:\.\d+)*)(?:[-_.]?(%s)[-_.]?(\d*))?" % before, text)
    packaging = _packaging_version()
    if packaging is None:
        if match is None:
            return _PlainVersion((0,), True)
        numbers = [int(part) for part in match.group(1).split(".")]
        while len(numbers) > 1 and numbers[-1] == 0:  # so that 2.0 == 2.0.0, as with packaging
            numbers.pop()
        return _PlainVersion(tuple(numbers), match.group(2) is None)
    try:
        return packaging.Version(text)
    except packaging.InvalidVersion:
        if match is None:
            return packaging.Version("0")
        if match.group(2) is None:
            return packaging.Version(match.group(1))
        return packaging.Version(match.group(1) + match.group(2) + (match.group(3) or "0"))


# ------------------------------------------------------------ which API a class is of


def lineage(cls: object) -> Optional[str]:
    """Return the API whose base class `cls` is or derives from, read off its hooks and bases.

    None for what is no optimizer class of any of them, such as the placeholder that Keras 3 keeps
    under ``keras.optimizers.legacy``.
    """
    if not isinstance(cls, type):
        return None
    if hasattr(cls, "_kc_dialect"):  # of `hooks`: those that it is written against may be another API's
        return str(cls.api)  # type: ignore[attr-defined]
    if _has(cls, "update_step"):
        names = {base.__name__ for base in cls.__mro__}
        if "_BaseOptimizer" in names:
            return "keras_2_11"
        if "BaseOptimizer" in names:
            return "keras_3"
        return _lineage_by_signature(cls)
    # OptimizerV2 has `get_updates` too, so that one says something only when nothing else did.
    if _has(cls, "_set_hyper") and _has(cls, "_resource_apply_dense"):
        return "optimizer_v2"
    if _has(cls, "_apply_dense") and _has(cls, "_zeros_slot"):
        return "tf1"
    if _has(cls, "get_updates"):
        return "get_updates"
    return None


def _lineage_by_signature(cls: type) -> Optional[str]:
    """Tell the APIs with an `update_step` apart by its arguments, should the bases be renamed."""
    import inspect

    for base in reversed(cls.__mro__):
        if "update_step" in vars(base):
            try:
                count = len(inspect.signature(vars(base)["update_step"]).parameters)
            except (TypeError, ValueError):
                return None
            return {3: "keras_2_11", 4: "keras_3"}.get(count)
    return None


def _has(cls: type, name: str) -> bool:
    return callable(getattr(cls, name, None))


def missing_hooks(cls: type, api: str) -> Tuple[str, ...]:
    """Return the names of the hooks that an adapter for `api` needs and `cls` does not have."""
    return tuple(name for name in _HOOKS[api] if not _has(cls, name))


def remedy(api: str) -> str:
    """Return what brings an API, in words; `api` is one of `APIS`, and another name is a KeyError."""
    return _REMEDIES[api]


def _class_path(cls: type) -> str:
    return "{}.{}".format(cls.__module__, cls.__qualname__)


def _describe(cls: object) -> str:
    """Say in words what was found where a base class was looked for."""
    if not isinstance(cls, type):
        return "a {}, no class".format(type(cls).__name__)
    api = lineage(cls)
    if api is not None:
        lacks = missing_hooks(cls, api)
        text = "{} ({})".format(_class_path(cls), api)
        return text + (", which lacks its hook {}".format(", ".join(lacks)) if lacks else "")
    closest = min(APIS, key=lambda name: len(missing_hooks(cls, name)) / len(_HOOKS[name]))
    lacks = missing_hooks(cls, closest)
    if len(lacks) == len(_HOOKS[closest]):
        return "{}, a placeholder with no hook of any API".format(_class_path(cls))
    return "{}, of no API known here; the nearest is {}, whose hook {} it lacks".format(
        _class_path(cls), closest, ", ".join(lacks) or "signatures"
    )


# ------------------------------------------------------------ looking at the host


class Host(namedtuple("Host", ("class_path", "public"))):
    """Where an API's base class is: ``module.QualName`` of it, and the public way to reach it."""

    __slots__ = ()
    class_path: str
    public: str


def _explain(error: BaseException) -> str:
    """Return an exception as one line, with what it came from: Keras' own say too little."""
    text = _one_line(error)
    root = error
    for _ in range(50):  # a RecursionError's chain may be long
        under = root.__cause__ or root.__context__
        if under is None or under is error:
            break
        root = under
    if root is not error and _one_line(root) != text:
        text += " (after {})".format(_one_line(root))
    return text


def _one_line(error: BaseException) -> str:
    text = "{}: {}".format(type(error).__name__, " ".join(str(error).split())).rstrip(".: ")
    return text if len(text) <= 400 else text[:397] + "..."


def _find(name: str) -> Optional[List[str]]:
    """Return the directories of a top-level package without importing it; None if there is none."""
    module = sys.modules.get(name)
    if module is not None:
        return [str(each) for each in getattr(module, "__path__", ())]
    import importlib.util

    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module in sys.modules without a spec
        return None
    if spec is None or spec.loader is None or spec.origin in (None, "namespace"):
        return None  # a directory left behind by an uninstalled package is no package
    return [str(each) for each in spec.submodule_search_locations or ()]


def _keras_kind(directories: List[str]) -> Optional[str]:
    """Tell by its files which API the `keras` package is there for, without importing it.

    Keras 2.2 and 2.3 define Optimizer in keras/optimizers.py itself; Keras 3 has ops. What lies
    between (2.4 to 2.15) is tf.keras' own code or a copy of it, and offers nothing beside tf.keras.
    """
    for directory in directories:
        if any(os.path.isdir(os.path.join(directory, *sub)) for sub in (("ops",), ("src", "ops"))):
            return "keras_3"
        try:
            with open(os.path.join(directory, "optimizers.py"), encoding="utf-8") as source:
                if "\nclass Optimizer(" in source.read():
                    return "get_updates"
        except (OSError, ValueError):
            pass
    return None


# The first failure of tf.keras, by the variables it failed under, for the life of the process:
# where tf_keras is asked for and missing, TF 2.22 raises once and afterwards hands out Keras 3 as
# if nothing had been asked; TF 2.15 raises RecursionError afterwards.
_TF_KERAS_FAILURES: Dict[Tuple[Optional[str], ...], str] = {}


class _Probe:
    """Looks at the frameworks, each at most once, and keeps what it saw."""

    def __init__(self) -> None:
        self.key = tuple(os.environ.get(name) for name in VARIABLES[1:])
        self.problems: List[str] = []
        self._modules: Dict[str, Any] = {}
        self._failures: Dict[str, str] = {}
        self._hosts: Dict[str, Optional[Tuple[str, type]]] = {}
        self._seen: Dict[str, List[str]] = {}
        self._distributions: Optional[Mapping[str, Distribution]] = None

    @property
    def distributions(self) -> Mapping[str, Distribution]:
        """What is installed."""
        if self._distributions is None:
            self._distributions = installed()
        return self._distributions

    def module(self, name: str) -> Optional[Any]:
        """Import a framework; None if that is not there or fails, `failure(name)` then says why."""
        if name not in self._modules:
            self._modules[name] = self._import(name)
        return self._modules[name]

    def failure(self, name: str) -> str:
        """Say why `module(name)` or, for "tf.keras", `tf_keras_native()` gave nothing."""
        return self._failures.get(name, "")

    def _import(self, name: str) -> Optional[Any]:
        import importlib

        label = {"tensorflow": "TensorFlow", "keras": "Keras"}.get(name, name)
        if _find(name) is None:
            self._failures[name] = "{} is not installed".format(label)
            return None
        try:
            module = importlib.import_module(name)
        except Exception as error:  # whatever a broken one raises: TypeError from protobuf, …
            text = "{} is installed but `import {}` fails: {}"
            self._fail(name, text, label, name, _explain(error))
            return None
        if name == "tensorflow" and not hasattr(module, "__version__"):
            self._fail(
                name,
                "`import tensorflow` gives {}, which is not TensorFlow (it has no __version__):"
                " rename or remove that, and pip install tensorflow",
                getattr(module, "__file__", None) or module,
            )
            return None
        return module

    def _fail(self, name: str, text: str, *args: object) -> None:
        self._failures[name] = text.format(*args)
        self.problems.append(self._failures[name])

    def tf_keras_native(self) -> Optional[type]:
        """Return tf.keras.optimizers.Optimizer, decided by the first access; None if that fails."""
        if "tf.keras" in self._modules:
            found: Optional[type] = self._modules["tf.keras"]
            return found
        found = None
        tf = self.module("tensorflow")
        if tf is None:
            self._failures["tf.keras"] = self.failure("tensorflow")
        elif self.key in _TF_KERAS_FAILURES:
            self._fail("tf.keras", "{}", _TF_KERAS_FAILURES[self.key])
        else:
            try:
                found = tf.keras.optimizers.Optimizer
            except Exception as error:  # ImportError and, the second time, RecursionError
                text = "tf.keras does not work: {}{}".format(_explain(error), self._keras_advice())
                _TF_KERAS_FAILURES[self.key] = text
                self._fail("tf.keras", "{}", text)
            else:
                self._check_legacy(found)
        self._modules["tf.keras"] = found
        return found

    def _check_legacy(self, native: type) -> None:
        """Note that TF_USE_LEGACY_KERAS asks for one Keras while tf.keras already is the other."""
        if _legacy_asked() and lineage(native) == "keras_3":
            self.problems.append(
                "TF_USE_LEGACY_KERAS={} is set but tf.keras is Keras 3: {}".format(
                    os.environ["TF_USE_LEGACY_KERAS"],
                    "tf_keras is not installed (pip install tf_keras)"
                    if _find("tf_keras") is None
                    else "it was set after tf.keras was first used; set it before Python starts",
                )
            )

    def _keras_advice(self) -> str:
        """Say what to do about a Keras that does not import, from the variables that decide."""
        if _legacy_asked() and _find("tf_keras") is None:
            return (
                "; TF_USE_LEGACY_KERAS={} asks for tf_keras, which is not installed: pip install"
                " tf_keras (of the same minor version as TensorFlow), or unset the variable"
            ).format(os.environ["TF_USE_LEGACY_KERAS"])
        directories = _find("keras")
        if directories is None:
            return "; Keras is not installed: pip install keras"
        if _keras_kind(directories) != "keras_3":
            return ""
        here = [
            name
            for name, module in (("tensorflow", "tensorflow"), ("jax", "jax"), ("torch", "torch"))
            if module in self.distributions or _find(module) is not None
        ]
        backend = os.environ.get("KERAS_BACKEND")
        if backend in here:
            return ""
        choice = "set KERAS_BACKEND to one that is here: {}".format(" or ".join(here))
        if backend:
            # Keras 3's numpy backend needs scipy
            package = "scipy" if backend == "numpy" else backend
            return "; KERAS_BACKEND={} does not work here: {}{}".format(
                backend,
                "pip install {}, or ".format(package)
                if backend in ("tensorflow", "jax", "torch", "numpy")
                else "",
                choice if here else "unset it and pip install tensorflow",
            )
        if "tensorflow" in here:
            return ""
        return "; Keras 3's backend is tensorflow unless told otherwise: {}".format(
            choice if here else "pip install tensorflow, or jax or torch and set KERAS_BACKEND"
        )

    def look(self, place: str) -> Tuple[Optional[object], str]:
        """Return what a path such as "tf.keras.optimizers.Optimizer" leads to, or None and why."""
        root, _, rest = place.partition(".")
        # Everything below tf.keras and tf.compat.v1.keras stands or falls with the first access.
        if ".keras." in place and self.tf_keras_native() is None:
            return None, self.failure("tf.keras")
        root = "tensorflow" if root == "tf" else root
        module = self.module(root)
        if module is None:
            return None, self.failure(root)
        found = module
        try:
            for name in rest.split("."):
                found = getattr(found, name)
        except AttributeError:
            return None, "{} does not exist".format(place)
        except Exception as error:
            text = "{} fails: {}".format(place, _explain(error))
            if text not in self.problems:
                self.problems.append(text)
            return None, text
        return found, ""

    def host(self, api: str) -> Optional[Tuple[str, type]]:
        """Return the preferred (public path, base class) of an API, looking no further."""
        if api not in self._hosts:
            self._hosts[api] = next(self._fitting(api), None)
        return self._hosts[api]

    def _fitting(self, api: str) -> Iterator[Tuple[str, type]]:
        """Yield each (public path, base class) that fits; what did not, `absent` tells."""
        seen = self._seen[api] = []
        for place in _PLACES[api]:
            if place.startswith("keras.") and not self._keras_matters(api):
                continue
            cls, why = self.look(place)
            if cls is None:
                if why not in seen:
                    seen.append(why)
            elif (
                isinstance(cls, type)
                and lineage(cls) == api
                and not missing_hooks(cls, api)
                and (api != "get_updates" or self._is_base_there(place, cls))
            ):
                yield place, cls
            else:
                seen.append("{} is {}".format(place, _describe(cls)))

    def hosts(self, api: str) -> Tuple[Tuple[str, type], ...]:
        """Return every (public path, base class) of an API, the preferred one first."""
        found: List[Tuple[str, type]] = []
        for place, cls in self._fitting(api):
            if all(cls is not each for _, each in found):
                found.append((place, cls))
        return tuple(found)

    def _keras_matters(self, api: str) -> bool:
        """Whether importing `keras` can show something of `api`, told by its files."""
        return _keras_kind(_find("keras") or []) == api

    def _is_base_there(self, place: str, cls: type) -> bool:
        """Whether the SGD beside a `get_updates` class derives from it.

        Keras 2.5 to 2.12 leave the old class in `keras.optimizers`, where nothing takes it now.
        """
        sgd, _ = self.look(place.rpartition(".")[0] + ".SGD")
        return isinstance(sgd, type) and issubclass(sgd, cls)

    def absent(self, api: str) -> str:
        """Say why an API has no host here, and what would bring one."""
        self.host(api)
        reason = "; ".join(self._seen[api]) or "nothing that offers it is installed"
        if api == "keras_3" and self.failure("keras") and _find("keras") is not None:
            return reason + self._keras_advice()  # it is here: installing it again is no advice
        return "{}. To get it: {}".format(reason, _REMEDIES[api])

    def native(self) -> Tuple[Optional[str], str]:
        """Return the API that the framework takes natively, and why; or None and what failed."""
        tf = self.module("tensorflow")
        if tf is not None:
            version = str(tf.__version__)
            # Only TF 1.x has tf.train.Optimizer; touching it makes 1.15 log that it is deprecated.
            if "Optimizer" in dir(getattr(tf, "train", None)) and self.host("tf1"):
                why = "TensorFlow {}'s own optimizers are tf.train.Optimizer"
                return "tf1", why.format(version)
            native = self.tf_keras_native()
            if native is None:
                return None, self.failure("tf.keras")
            for api in APIS[1:]:
                if lineage(native) == api and self.host(api):
                    return api, "tf.keras.optimizers.Optimizer of TensorFlow {} is {}".format(
                        version, _class_path(native)
                    )
            return None, "tf.keras.optimizers.Optimizer of TensorFlow {} is {}".format(
                version, _describe(native)
            )
        without = self.failure("tensorflow")
        for api in ("keras_3", "get_updates"):
            found = self.host(api)
            if found is not None:
                return api, "{}, and keras.optimizers.Optimizer is {}".format(without, _class_path(found[1]))
        if without in self.problems or self.failure("keras") in self.problems:
            both = (without, self.failure("keras"))
            return None, "; ".join(each for each in both if each) + self._keras_advice()
        return None, "no TensorFlow and no Keras 3 found for {}: pip install tensorflow".format(
            sys.executable or "this Python"
        )


def _legacy_asked() -> bool:
    """Whether TF_USE_LEGACY_KERAS is set to what TensorFlow reads as yes."""
    return os.environ.get("TF_USE_LEGACY_KERAS") in ("true", "True", "1")


# Not threading's, which the interpreter has not loaded yet at this point.
_LOCK = RLock()
_PROBES: Dict[Tuple[Optional[str], ...], _Probe] = {}
_ENVIRONMENTS: Dict[Tuple[Optional[str], ...], Environment] = {}


def _probe() -> _Probe:
    """Return the probe for the environment variables as they are now."""
    key = tuple(os.environ.get(name) for name in VARIABLES[1:])
    if key not in _PROBES:
        _PROBES[key] = _Probe()
    return _PROBES[key]


# ------------------------------------------------------------ the record


class Environment(
    namedtuple(
        "Environment",
        (
            "python",
            "tensorflow",
            "tensorflow_distribution",
            "keras",
            "tf_keras",
            "keras_backend",
            "tf_keras_module",
            "apis",
            "hosts",
            "absent",
            "default",
            "why",
            "problems",
            "variables",
            "distributions",
        ),
    )
):
    """What was found here; immutable. `str()` of it is what ``kcompat doctor`` prints."""

    __slots__ = ()
    #: The version of Python.
    python: str
    #: The version TensorFlow states of itself, or that of its distribution when it does not import.
    tensorflow: Optional[str]
    #: The name of the distribution TensorFlow came in, such as "tensorflow-cpu".
    tensorflow_distribution: Optional[str]
    #: The version of the package `keras`.
    keras: Optional[str]
    #: The version of the package `tf_keras`.
    tf_keras: Optional[str]
    #: The backend Keras runs on: "tensorflow", "jax", "torch" …; what was asked if it fails.
    keras_backend: Optional[str]
    #: The package `tf.keras` really is: "tensorflow.python.keras", "keras" or "tf_keras".
    tf_keras_module: Optional[str]
    #: The names of the APIs that work here, oldest first.
    apis: Tuple[str, ...]
    #: API name to Host, for each of `apis`.
    hosts: Mapping[str, Host]
    #: API name to the reason in words, for each API that is not in `apis`.
    absent: Mapping[str, str]
    #: The API that is used when none is asked for.
    default: Optional[str]
    #: Why that is the default, or why there is none.
    why: str
    #: What is installed but failed, each with the exception's text.
    problems: Tuple[str, ...]
    #: Those of KCOMPAT_API, KERAS_BACKEND and TF_USE_LEGACY_KERAS that are set, and their values.
    variables: Mapping[str, str]
    #: Module name to every distribution found that installs it.
    distributions: Mapping[str, Tuple[Distribution, ...]]

    def as_dict(self) -> Dict[str, Any]:
        """Return the record as plain data that `json` can write."""
        result = dict(zip(self._fields, self))
        result["apis"] = list(self.apis)
        result["hosts"] = {api: dict(zip(host._fields, host)) for api, host in self.hosts.items()}
        result["absent"] = dict(self.absent)
        result["problems"] = list(self.problems)
        result["variables"] = dict(self.variables)
        result["distributions"] = {
            module: [dict(zip(each._fields, each)) for each in found]
            for module, found in self.distributions.items()
        }
        return result

    def __str__(self) -> str:
        from textwrap import fill

        def version(module: str, number: Optional[str]) -> str:
            if number is None:
                return "not installed"
            distributions = self.distributions.get(module, ())
            found = ", ".join("{} {}".format(each.name, each.version) for each in distributions)
            return "{} ({})".format(number, found) if found else number

        rows = [
            ("Python", self.python),
            ("TensorFlow", version("tensorflow", self.tensorflow)),
            ("tf.keras", self.tf_keras_module or "-"),
            ("keras", version("keras", self.keras)),
            ("tf_keras", version("tf_keras", self.tf_keras)),
            ("Keras backend", self.keras_backend or "-"),
        ]
        rows += sorted(self.variables.items())
        rows.append(("default API", self.default or "none"))
        width = max(len(name) for name, _ in rows)
        lines = ["{:<{}}  {}".format(name, width, value) for name, value in rows]
        lines.append(_wrapped(fill, " " * (width + 2), self.why))
        lines += ["", "optimizer APIs"]
        width = max(len(api) for api in APIS)
        for api in APIS:
            if api in self.hosts:
                host = self.hosts[api]
                lines.append("  {:<{}}  yes  {}".format(api, width, host.public))
                if host.class_path != host.public:
                    lines.append(" " * (width + 9) + "= " + host.class_path)
            else:
                text = fill(
                    self.absent[api],
                    100,
                    initial_indent="  {:<{}}  no   ".format(api, width),
                    subsequent_indent=" " * (width + 9),
                    break_long_words=False,
                    break_on_hyphens=False,
                )
                lines.append(text)
        if self.problems:
            lines += ["", "problems"]
            lines += [_wrapped(fill, "    ", "- " + text)[2:] for text in self.problems]
        return "\n".join(lines)


def _wrapped(fill: Any, indent: str, text: str) -> str:
    wrapped = fill(
        text,
        100,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return str(wrapped)


def detect(refresh: bool = False) -> Environment:
    """Return the record of what is here: imports the frameworks that are installed, prints nothing.

    Cached under the values of KCOMPAT_API, KERAS_BACKEND and TF_USE_LEGACY_KERAS; `refresh` looks
    again. TensorFlow and Keras themselves read the last two once, at import.
    """
    with _LOCK:
        if refresh:
            _PROBES.clear()
            _ENVIRONMENTS.clear()
        key = tuple(os.environ.get(name) for name in VARIABLES)
        if key not in _ENVIRONMENTS:
            _ENVIRONMENTS[key] = _environment(_probe())
        return _ENVIRONMENTS[key]


def _environment(probe: _Probe) -> Environment:
    from types import MappingProxyType

    distributions = _scan()
    tf = probe.module("tensorflow")
    hosts, absent = {}, {}
    for api in APIS:
        found = probe.host(api)
        if found is not None:
            hosts[api] = Host(_class_path(found[1]), found[0])
        else:
            absent[api] = probe.absent(api)
    tf_version = _version(probe, "tensorflow", distributions)
    default, why = _default(probe)
    return Environment(
        python="{}.{}.{}".format(*sys.version_info[:3]),
        tensorflow=tf_version,
        tensorflow_distribution=_distribution_name(tf_version, distributions.get("tensorflow", ())),
        keras=_version(probe, "keras", distributions),
        tf_keras=_version(probe, "tf_keras", distributions),
        keras_backend=_backend(probe),
        tf_keras_module=_tf_keras_module(probe.tf_keras_native()) if tf is not None else None,
        apis=tuple(hosts),
        hosts=MappingProxyType(hosts),
        absent=MappingProxyType(absent),
        default=default,
        why=why,
        problems=tuple(probe.problems),
        variables=MappingProxyType({k: os.environ[k] for k in VARIABLES if k in os.environ}),
        distributions=MappingProxyType({k: tuple(each) for k, each in distributions.items()}),
    )


def _version(probe: _Probe, name: str, found: Mapping[str, List[Distribution]]) -> Optional[str]:
    """Return what the module states if it is imported, else what its distribution does."""
    stated = getattr(sys.modules.get(name), "__version__", None)
    if stated is not None:
        return str(stated)
    distribution = probe.distributions.get(name)
    if distribution is not None and name in found:
        return distribution.version
    return "unknown" if _find(name) is not None else None


def _distribution_name(version: Optional[str], found: Any) -> Optional[str]:
    """Return the name of the distribution that really is the TensorFlow imported."""
    same = [each for each in found if version and parse_version(each.version) == parse_version(version)]
    candidates = same or list(found)
    return max(candidates, key=_record_size).name if candidates else None


def _backend(probe: _Probe) -> Optional[str]:
    """Return the backend Keras runs on here, or the one asked for when it does not run."""
    keras = sys.modules.get("keras")
    if keras is not None and not probe.failure("keras"):
        try:
            return str(keras.backend.backend())
        except Exception:  # not every Keras of 2.4 to 2.15 has it; those run on TensorFlow only
            pass
    if probe.module("tensorflow") is not None and probe.tf_keras_native() is not None:
        return "tensorflow"
    return os.environ.get("KERAS_BACKEND") or None


def _tf_keras_module(native: Optional[type]) -> Optional[str]:
    if native is None:
        return None
    module = native.__module__
    inside = "tensorflow.python.keras"
    return inside if module.startswith(inside) else module.split(".", 1)[0]


# ------------------------------------------------------------ what is asked for


def _known(api: Optional[str], source: str) -> str:
    """Return the name of an API as it is spelled here, or raise if there is no such API."""
    name = api.strip().lower() if isinstance(api, str) else api
    if name not in APIS:
        raise UnknownApiError(
            "{} {!r} is no optimizer API; expected one of {}.{}".format(
                source, api, ", ".join(APIS), nearest(str(api), APIS)
            )
        )
    return str(name)


def _default(probe: _Probe) -> Tuple[Optional[str], str]:
    """Return the API to use when none is given as an argument, and why; or None and what failed."""
    asked = os.environ.get("KCOMPAT_API")
    if not asked:
        return probe.native()
    try:
        api = _known(asked, "KCOMPAT_API")
    except UnknownApiError as error:
        return None, str(error)
    if probe.host(api):
        return api, "KCOMPAT_API={} asks for it".format(asked)
    why = "KCOMPAT_API={} asks for an API that is not here: {}"
    return None, why.format(asked, probe.absent(api))


def resolve_api(api: Optional[str] = None) -> str:
    """Return the name of the API to use: `api` if given, else KCOMPAT_API, else the default here.

    Raises UnknownApiError for a name that is none, ApiNotAvailableError for one that does not work
    here.
    """
    with _LOCK:
        probe = _probe()
        asked = os.environ.get("KCOMPAT_API")
        if api is not None or asked:
            name = _known(asked if api is None else api, "KCOMPAT_API" if api is None else "api")
            if probe.host(name) is None:
                source = " (which KCOMPAT_API asks for)" if api is None else ""
                raise _not_available(name, probe, source)
            return name
        default, why = probe.native()
        if default is None:
            raise ApiNotAvailableError(
                "There is no default optimizer API here: {}.{}".format(why.rstrip("."), _others(probe))
            )
        return default


def _others(probe: _Probe) -> str:
    here = [each for each in APIS if probe.host(each)]
    if not here:
        return ""
    return " These work here when asked for with api= or KCOMPAT_API: {}.".format(", ".join(here))


def _not_available(api: str, probe: _Probe, source: str = "") -> ApiNotAvailableError:
    reason = probe.absent(api)
    if probe.module("tensorflow") is None and not probe.problems and _find("keras") is None:
        reason = probe.native()[1]  # nothing at all is installed: that, and one command
    return ApiNotAvailableError(
        "The optimizer API {!r}{} is not available here: {}.{}".format(
            api, source, reason.rstrip("."), _others(probe)
        )
    )


def host_class(api: str, host: Optional[str] = None) -> type:
    """Return the base class of the native optimizers of `api`.

    Looks only where that API can be, and without `host` no further than the first that fits:
    asking for one API does not import what only another needs.

    Args:
        api: the name of an optimizer API.
        host: the package it is to be of ("tf.keras", "keras", "tf_keras"), where several have the
            API; None for the first.

    Raises:
        UnknownApiError: that is no API's name.
        ApiNotAvailableError: no such API, or none of that host, is here.
    """
    with _LOCK:
        probe = _probe()
        name = _known(api, "api")
        found = probe.host(name)
        if found is None:
            raise _not_available(name, probe)
        if host is None:
            return found[1]
        places = probe.hosts(name)
        for place, cls in places:
            if place.startswith("{}.".format(host)):
                return cls
        raise ApiNotAvailableError(
            "The optimizer API {!r} has no host {!r} here; it is in {}.".format(
                name, host, " and in ".join(place for place, _ in places)
            )
        )


def host_classes(api: str) -> Tuple[Tuple[str, type], ...]:
    """Return each (public path, base class) that offers `api` here, that of `host_class` first.

    More than one where packages overlap: tf.keras of TF 1.13 beside standalone Keras, tf.keras of
    TF 2.15 beside tf_keras. Empty when there is none.
    """
    with _LOCK:
        return _probe().hosts(_known(api, "api"))

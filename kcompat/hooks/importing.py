"""`installed`: names of optimizer classes that are gone or mean another now, for the time of an import.

Inside the `with`, the names under which TensorFlow and Keras have had their optimizers lead to what a class
written for them needs here. Which generation a class is written for is read off its body when it is made.
After the `with` every module is as it was.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import sys
import types
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from ..environment import detect, host_class, host_classes, lineage, resolve_api
from ..errors import HookError
from .adopting import adopt_over, bundled, check_backend_of, dialect_in, is_native
from .bases import base_over
from .deciding import Choice, Deciding, placeholder, settle

_OPTIMIZERS = ("SGD", "RMSprop", "Adam", "Adadelta", "Adagrad", "Adamax", "Nadam", "Ftrl")

# Where OptimizerV2 has been: with its optimizers in the modules beside it.
_OPTIMIZER_V2 = (
    "tensorflow.python.keras.optimizer_v2",
    "keras.optimizer_v2",
    "keras.optimizers.optimizer_v2",
    "keras.optimizers.legacy",
    "keras.src.optimizers.legacy",
)

_MODULES = {"SGD": "gradient_descent", "RMSprop": "rmsprop"}


@contextlib.contextmanager
def installed(api: Optional[str] = None, host: Optional[str] = None) -> Iterator[None]:
    """Lets packages be imported whose optimizers build on classes that are gone, or are others now.

        with kcompat.hooks.installed():
            from lion_tf import Lion

    Args:
        api, host: the API that their classes become native optimizers of; by default each class's own where
            the name it builds on is an optimizer of one, and else the default API.

    Raises:
        ApiNotAvailableError: the API is not offered by what is installed.
    """
    patches = _Patches()
    try:
        names = _Names(patches, api, host)
        names.patch()
        yield
        settle(names.choices)
    finally:
        patches.undo()


class _Patches:
    """Changes of modules, and how to undo them."""

    def __init__(self) -> None:
        self._undo: List[Callable[[], None]] = []
        # Modules that are not there: what has imported one may ask it for names later.
        self._made: List[Any] = []

    def set(self, module: Any, name: str, value: Any) -> None:
        # TensorFlow 1.14's modules are wrappers: what is set on one goes to the module inside it.
        module = vars(module).get("_dw_wrapped_module", module)
        if module in self._made:
            setattr(module, name, value)
            return
        missing = object()
        before = vars(module).get(name, missing)
        setattr(module, name, value)
        if before is missing:
            self._undo.append(lambda: _unset(module, name))
        else:
            self._undo.append(lambda: setattr(module, name, before))

    def module(self, path: str, content: Mapping[str, Any]) -> Any:
        """Sets names of a module, which is made if there is none. Returns it."""
        module = self._module(path)
        for name, value in content.items():
            self.set(module, name, value)
        return module

    def stand_in(self, path: str, content: Mapping[str, Any]) -> None:
        """Puts a copy of a module, with other names in it, in its place: its own code does not see them.

        The host's classes find themselves by their module's name for them, in `super(Adam, self)`.
        """
        module = self._module(path)
        if module in self._made:
            self.module(path, content)
            return
        if all(vars(module).get(name) is value for name, value in content.items()):
            return
        copy: Any = types.ModuleType(path)
        vars(copy).update(vars(module))
        vars(copy).update(content)
        self.put(path, copy)
        parent, _, name = path.rpartition(".")
        self.set(self._module(parent), name, copy)

    def put(self, path: str, module: Any) -> None:
        """Makes a module what is imported by a path."""
        before = sys.modules.get(path)
        sys.modules[path] = module

        def undo() -> None:
            if before is None:
                sys.modules.pop(path, None)
            else:
                sys.modules[path] = before

        self._undo.append(undo)

    def _module(self, path: str) -> Any:
        try:
            return importlib.import_module(path)
        except ImportError:
            pass
        parent, _, name = path.rpartition(".")
        above = self._module(parent) if parent else None
        module: Any = types.ModuleType(path)
        module.__path__ = []
        # What asks whether a module is there, by find_spec(), wants one.
        module.__spec__ = importlib.machinery.ModuleSpec(path, None, is_package=True)
        self._made.append(module)
        self.put(path, module)
        if above is not None:
            self.set(above, name, module)
        return module

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()


def _unset(module: Any, name: str) -> None:
    """Takes a name out of a module."""
    names = vars(module)
    if "_tfmw_attr_map" not in names:
        if name in names:
            delattr(module, name)
        return
    # A wrapper of TensorFlow 1.15's has names of its own, which its delattr() leaves there.
    for each in (vars(names["_tfmw_wrapped_module"]), names, names["_tfmw_attr_map"]):
        each.pop(name, None)
    if name in module.__all__ and name not in (names["_tfmw_public_apis"] or ()):
        module.__all__.remove(name)


class _Names:
    """What the names mean here."""

    def __init__(self, patches: _Patches, api: Optional[str], host: Optional[str]) -> None:
        self._patches = patches
        self.choices: List[Choice] = []
        self._asked = None if api is None else (resolve_api(api), host_class(api, host))
        default = resolve_api(api)
        self._default = default, host_class(default, host)

    # What a class becomes.

    def _target(self, real: Any, dialect: Optional[str] = None) -> Tuple[str, type]:
        """The API and the host's class for what builds on a name, in a dialect."""
        if self._asked is not None:
            return self._asked
        own = lineage(real)
        if dialect == "optimizer_v2" and own == "keras_2_11":
            # Keras 2.11 to 2.15, and tf_keras, take OptimizerV2 as they have always done.
            for _, cls in host_classes("optimizer_v2"):
                if cls.__module__.split(".")[0] == real.__module__.split(".")[0]:
                    return "optimizer_v2", cls
        if own not in (None, "get_updates") and own in detect().apis:
            return str(own), real
        return self._default

    def _classes(self, real: Any) -> Tuple[type, ...]:
        """What a class that builds on a name may become an optimizer of."""
        return (real, self._target(real)[1], self._target(real, "optimizer_v2")[1])

    def _base(self, dialect: str, real: Any) -> Any:
        return base_over(dialect, *self._target(real, dialect))

    def _placeholder(self, real: Any, choose: Any, default: Any) -> Any:
        self.choices.append(Choice(real, choose, default, self._classes(real), []))
        return placeholder(self.choices[-1])

    def _optimizer(self, real: Any) -> Any:
        """What stands for a base class `Optimizer`."""

        def choose(names: Set[str], bodies: Sequence[Mapping[str, Any]]) -> Any:
            dialect = dialect_in(names)
            if dialect is None:
                return None
            if dialect == "get_updates" and lineage(real) != "get_updates":
                check_backend_of(str(bodies[0].get("__qualname__")), bodies)
            api, over = self._target(real, dialect)
            step = [body["update_step"] for body in bodies if "update_step" in body]
            probe = type("_Probe", (real,), {"update_step": step[0]} if step else {})
            if over is real and is_native(probe, dialect, api, real):
                return real
            return base_over(dialect, api, over)

        def default() -> Any:
            return real if lineage(real) is not None else self._base("optimizer_v2", real)

        return self._placeholder(real, choose, default)

    def _named(self, name: str, real: Any) -> Any:
        """What stands for an optimizer that is not OptimizerV2's any more."""

        def choose(names: Set[str], bodies: Sequence[Mapping[str, Any]]) -> Any:
            dialect = dialect_in(names)
            if dialect != "optimizer_v2":
                return None if dialect is None else real
            found = self._v2(name, real)
            if found is None:
                raise HookError(
                    "A class builds on the OptimizerV2 optimizer {}, which this TensorFlow has not any more. "
                    "Derive it from OptimizerV2 itself, or write its update as a "
                    "kcompat.UpdateRule.".format(name)
                )
            return found

        return self._placeholder(real, choose, lambda: real)

    def _v2(self, name: str, real: Any) -> Any:
        """OptimizerV2's optimizer of this name, as one of this host; None if this TensorFlow has none."""
        api, over = self._target(real, "optimizer_v2")
        own = getattr(self._legacy_module(), name, None)
        if not (isinstance(own, type) and issubclass(own, over)):
            own = bundled(name)
        if own is None:
            return None
        return adopt_over(own, api, over, "optimizer_v2")

    @staticmethod
    def _legacy_module() -> Any:
        """The module with the optimizers of OptimizerV2, where that is not all that there is."""
        import tensorflow as tf

        return getattr(tf.keras.optimizers, "legacy", None)

    # The names.

    def patch(self) -> None:
        modules = self._tf_keras_modules()
        keras = self._keras_package()
        for module in modules:
            self._patch_optimizers(module)
        self._patch_legacy()
        self._patch_keras_3(keras)
        self._patch_backend(keras)
        self._patch_optimizer_v2()
        self._patch_train()
        self._patch_internals()

    def _tf_keras_modules(self) -> List[Any]:
        import tensorflow as tf

        found = [tf.keras.optimizers]
        for path in ("tensorflow.keras.optimizers", "keras.optimizers", "tf_keras.optimizers"):
            if path.split(".")[0] == "tf_keras" and "tf_keras" not in sys.modules:
                continue
            try:
                module = importlib.import_module(path)
            except ImportError:
                continue
            with contextlib.suppress(ImportError):  # which may make it another module than it was
                importlib.import_module(path + ".legacy")
            if all(module is not each for each in found):
                found.append(module)
        return found

    def _patch_optimizers(self, module: Any) -> None:
        real = getattr(module, "Optimizer", None)
        if not isinstance(real, type) or isinstance(real, Deciding):
            return
        new = {"Optimizer": self._optimizer(real)}
        if lineage(real) != "optimizer_v2":
            for name in _OPTIMIZERS:
                own = getattr(module, name, None)
                if isinstance(own, type):
                    new[name] = self._named(name, own)
        legacy = self._legacy(module, real)
        for name, value in new.items():
            self._patches.set(module, name, value)
        for name, value in legacy.items():
            self._patches.set(module.legacy, name, value)

    def _patch_legacy(self) -> None:
        """`tf.keras.optimizers.legacy`, up to TensorFlow 2.8: the names that came with 2.9."""
        import tensorflow as tf

        if hasattr(tf.keras.optimizers, "legacy"):
            return
        real = tf.keras.optimizers.Optimizer
        real = real._kc_choice.real if isinstance(real, Deciding) else real
        path = "tensorflow.keras.optimizers"
        legacy = self._patches.module(path + ".legacy", self._v2_names(real))
        # TensorFlow 1.15 has two modules by this name.
        for module in (tf.keras.optimizers, sys.modules[path]):
            if getattr(module, "legacy", None) is not legacy:
                self._patches.set(module, "legacy", legacy)

    def _legacy(self, module: Any, real: Any) -> Dict[str, Any]:
        legacy = getattr(module, "legacy", None)
        old = getattr(legacy, "Optimizer", None)
        if old is None or (self._asked is None and lineage(old) is not None):
            return {}  # not there, or what it has always been
        return self._v2_names(real)

    def _v2_names(self, real: Any) -> Dict[str, Any]:
        """OptimizerV2's names, as `legacy` has them."""
        new = {"Optimizer": self._base("optimizer_v2", real)}
        new.update((name, self._v2(name, real)) for name in _OPTIMIZERS)
        return {name: value for name, value in new.items() if value is not None}

    def _patch_optimizer_v2(self) -> None:
        import tensorflow as tf

        real = tf.keras.optimizers.Optimizer
        real = real._kc_choice.real if isinstance(real, Deciding) else real
        if self._asked is None and lineage(real) == "optimizer_v2":
            # Not what stands for it: where OptimizerV2 is still the host's own, these are the host's own.
            base, named = real, {name: getattr(tf.keras.optimizers, name, None) for name in _OPTIMIZERS}
        else:
            base, named = self._base("optimizer_v2", real), {n: self._v2(n, real) for n in _OPTIMIZERS}
        for package in _OPTIMIZER_V2:
            if package.split(".")[0] == "keras" and not self._is_replaced(package):
                continue
            self._patches.stand_in(package + ".optimizer_v2", {"OptimizerV2": base})
            for name, cls in named.items():
                if cls is not None:
                    path = "{}.{}".format(package, _MODULES.get(name, name.lower()))
                    self._patches.stand_in(path, {name: cls})

    @staticmethod
    def _is_replaced(package: str) -> bool:
        """Whether a package of Keras' is gone: one that is there has OptimizerV2 itself."""
        try:
            importlib.import_module(package + ".optimizer_v2")
        except ImportError:
            return True
        return False

    def _patch_train(self) -> None:
        import tensorflow as tf

        if not hasattr(tf.train, "Optimizer"):
            base = base_over("tf1", *self._default) if self._default[0] != "tf1" else None
            base = tf.compat.v1.train.Optimizer if base is None else base
            self._patches.set(tf.train, "Optimizer", base)

    def _patch_internals(self) -> None:
        """Modules of Keras 2 that optimizers import and Keras 3 has elsewhere, or Keras 2 had not yet."""
        import tensorflow as tf

        content = {
            "engine.keras_tensor": {"KerasTensor": getattr(tf.keras, "KerasTensor", tf.Tensor)},
            "utils.tf_utils": {"is_symbolic_tensor": _is_symbolic},
        }
        for path, names in content.items():
            for package in ("keras", "keras.src", "tensorflow.python.keras"):
                try:
                    importlib.import_module("{}.{}".format(package, path))
                except ImportError:
                    self._patches.module("{}.{}".format(package, path), names)

        if not hasattr(tf.keras.utils, "register_keras_serializable"):  # up to TensorFlow 2.0
            self._patches.set(tf.keras.utils, "register_keras_serializable", _unregistered)

    def _patch_backend(self, keras: Any) -> None:
        """Keras' backend, by which classes of `get_updates()` make and write their variables."""
        import tensorflow as tf

        if self._default[0] == "get_updates":
            return
        from . import backend

        ours = backend.module()
        backend.remember(tf.keras.backend)
        own = sys.modules.get("tensorflow.python.keras"), sys.modules.get("tf_keras")
        for package in (keras, sys.modules.get("keras"), tf.keras, *own):
            if package is not None and hasattr(package, "backend"):
                self._patches.set(package, "backend", ours)
        for path in ("keras", "tensorflow.keras", "tensorflow.python.keras", "tf_keras"):
            if path in sys.modules:
                self._patches.put(path + ".backend", ours)
        # What packages of Keras 2.2 and 2.3 import along.
        names = {"legacy_get_updates_support": backend.symbolic}
        for path, content in (("legacy.interfaces", names), ("engine", {}), ("wrappers", {})):
            try:
                importlib.import_module("keras." + path)
            except ImportError:
                self._patches.module("keras." + path, content)

    @staticmethod
    def _keras_package() -> Any:
        try:
            return importlib.import_module("keras")
        except ImportError:
            return None

    def _patch_keras_3(self, keras: Any) -> None:
        """The package `keras` with `keras.ops`, where it is of before Keras 3, or not there."""
        if keras is not None and hasattr(keras, "ops"):
            return
        import tensorflow as tf

        from . import ops

        if keras is None:
            keras = self._patches.module("keras", {"__getattr__": lambda name: getattr(tf.keras, name)})
            for name, module in list(vars(tf.keras).items()):
                if isinstance(module, types.ModuleType) and name != "optimizers":
                    self._patches.put("keras." + name, module)
            # Not vars(): TensorFlow 1.14's wrapper has no copy of what was set on the module inside it.
            own = tf.keras.optimizers
            names = {name: getattr(own, name) for name in dir(own) if name[0] != "_"}
            self._patches.module("keras.optimizers", names)
            self._patches.put("keras.optimizers.legacy", names["legacy"])
            register = getattr(tf.keras.utils, "register_keras_serializable", _unregistered)
            self._patches.module("keras.saving", {"register_keras_serializable": register})
        self._patches.put("keras.ops", ops)
        self._patches.set(keras, "ops", ops)


def _unregistered(package: str = "Custom", name: Optional[str] = None) -> Any:
    """Stands for a decorator that Keras has not yet: there a class is loaded by `custom_objects`."""
    return lambda cls: cls


def _is_symbolic(value: Any) -> bool:
    import tensorflow as tf

    return isinstance(value, tf.Tensor) and not hasattr(value, "numpy")

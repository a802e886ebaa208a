"""Stands for `kcompat` where the tests run against a vendored copy: each name is one of the copy's modules.

On the path only where KCOMPAT_TEST_PACKAGE names the copy, as in `mylib._vendor.kcompat` (see _package.py).
The modules are the copy's own, under a second name: there is one copy, and what it registers has its name.
"""

import importlib
import importlib.util
import os
import sys

COPY = os.environ["KCOMPAT_TEST_PACKAGE"]


class Loader:
    """Gives the copy's module for a module of `kcompat`."""

    def __init__(self, name):
        self.name = name
        self.spec = None

    def create_module(self, spec):
        module = importlib.import_module(self.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.spec  # which the import system has just replaced

    def get_code(self, fullname):
        """For `python -m kcompat`."""
        return importlib.util.find_spec(self.name).loader.get_code(self.name)


class Finder:
    """Finds the modules of `kcompat`."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        if not fullname.startswith("kcompat."):
            return None
        name = COPY + fullname[len("kcompat") :]
        found = importlib.util.find_spec(name)
        if found is None:
            return None
        is_package = found.submodule_search_locations is not None
        return importlib.util.spec_from_loader(fullname, Loader(name), is_package=is_package)


sys.meta_path.insert(0, Finder)
sys.modules["kcompat"] = importlib.import_module(COPY)

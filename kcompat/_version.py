"""The version of this package; `setup.cfg` and `kcompat.__version__` both read it here."""

__version__ = "0.1.0"

"""What authors of optimizers test with: the NumPy oracle."""

from __future__ import annotations

from .oracle import reference

__all__ = ["reference"]

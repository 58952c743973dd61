"""The version of kmpsolve; the same as in pyproject.toml, which a test compares."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"

"""Versions of what a number was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from matgen import __version__


def versions(*packages: str) -> dict[str, str]:
    """Versions of matgen, Python and the named packages that are installed."""
    installed = {"matgen": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed

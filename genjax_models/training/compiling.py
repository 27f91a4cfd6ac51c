"""Compilation of programs that run once or seldom, whose compilation takes longer than they do."""

from collections.abc import Callable

import jax

# LLVM's level 1 compiles up to 3 times as fast as level 3, to the same bits.
_OPTIONS = {"cpu": {"xla_backend_optimization_level": 1}}


def quickly_compiled(function: Callable, **options) -> jax.stages.Wrapped:
    """Returns `jax.jit(function, **options)`, compiled quickly rather than to a fast program."""
    return jax.jit(function, compiler_options=_OPTIONS.get(jax.default_backend()), **options)

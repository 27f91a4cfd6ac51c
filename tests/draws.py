"""Which keys a traced function draws from: a small interpreter of jaxprs that evaluates keys and integers only.

Two draws from one key are the same numbers, and a draw from a key that was also split depends on the parts.
"""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_UNKNOWN = object()  # floats, and what depends on them
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where primitives that call a function keep it


SPLIT = b"split "  # before a key that was split


def draws(traced: Any, *arguments: Any) -> Counter:
    """Returns key -> number of draws from it, and SPLIT + key -> number of times that it was split.

    Args:
      traced: a `ClosedJaxpr`.
      arguments: a value for each argument. Floats are not read, so they may be shapes.

    Raises:
      AssertionError: a draw from a key that depends on floats.
    """
    leaves = jax.tree.leaves(arguments)
    assert len(leaves) == len(traced.jaxpr.invars)
    return _run(traced, [_known(leaf) for leaf in leaves])[1]


def repeats(drawn: Counter) -> dict[int, int]:
    """Returns number of draws -> number of keys, of all keys with two draws or more.

    Raises:
      AssertionError: a draw from a key that was also split.
    """
    assert not [key for key in drawn if SPLIT + key in drawn], "a draw from a key that was split"
    return dict(Counter(count for key, count in drawn.items() if count > 1 and not key.startswith(SPLIT)))


def _known(value: Any) -> Any:
    """Returns the value of a key, integer or truth value, else unknown."""
    dtype = getattr(value, "dtype", None)
    concrete = isinstance(value, jax.Array | np.ndarray | np.generic | int)
    readable = dtype is None or _is_key(value) or dtype.kind in "iub"
    return value if concrete and readable else _UNKNOWN


def _is_key(value: Any) -> bool:
    return jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)


def _data(keys: Any) -> list[bytes]:
    return [bytes(row) for row in np.asarray(jax.random.key_data(keys)).reshape(-1, 2)]


def _run(closed: Any, values: list) -> tuple[list, Counter]:
    """Returns the outputs, and the draws."""
    jaxpr, constants = (closed.jaxpr, closed.consts) if hasattr(closed, "consts") else (closed, ())
    known = dict(zip(jaxpr.constvars, map(_known, constants), strict=True))
    known |= dict(zip(jaxpr.invars, values, strict=True))
    read = lambda v: _known(v.val) if hasattr(v, "val") else known[v]
    drawn = Counter()
    for equation in jaxpr.eqns:
        outputs, new = _apply(equation, [read(v) for v in equation.invars])
        known |= dict(zip(equation.outvars, outputs, strict=True))
        drawn += new
    return [read(v) for v in jaxpr.outvars], drawn


def _apply(equation: Any, values: list) -> tuple[list, Counter]:
    name, parameters = equation.primitive.name, equation.params
    unknown = [_UNKNOWN] * len(equation.outvars)
    if name == "scan":
        return _scan(values, **parameters)
    if name == "while":
        return _while(values, **parameters)
    if name == "cond":
        index, *operands = values
        if index is not _UNKNOWN:
            return _run(parameters["branches"][int(index)], operands)
        drawn = Counter()
        for branch in parameters["branches"]:
            drawn |= _run(branch, operands)[1]
        return unknown, drawn
    for inner in _INNER:
        if inner in parameters:
            return _run(parameters[inner], values)
    takes_key = any(_is_key(v.aval) for v in equation.invars if hasattr(v.aval, "dtype"))
    gives_key = any(_is_key(v.aval) for v in equation.outvars if hasattr(v.aval, "dtype"))
    if takes_key and not gives_key and name != "random_unwrap":
        keys = [value for value, v in zip(values, equation.invars, strict=True) if _is_key(v.aval)]
        assert _UNKNOWN not in keys, f"{name} draws from a key that is unknown"
        return unknown, Counter(data for key in keys for data in _data(key))
    if any(value is _UNKNOWN for value in values):
        return unknown, Counter()
    if not all(_is_key(v.aval) or v.aval.dtype.kind in "iub" for v in equation.outvars):
        return unknown, Counter()
    outputs = equation.primitive.bind(*values, **parameters)
    split = Counter(SPLIT + data for data in _data(values[0])) if name == "random_split" else Counter()
    return list(outputs) if equation.primitive.multiple_results else [outputs], split


def _scan(values: list, *, jaxpr, length, reverse, **parameters) -> tuple[list, Counter]:
    """Runs the first three iterations and the last one, or all if a key or an integer goes from one to the next."""
    if "ft_in" in parameters:  # jax 0.12
        num_consts, num_carry, _ = (len(list(part)) for part in parameters["ft_in"].unpack())
    else:
        num_consts, num_carry = parameters["num_consts"], parameters["num_carry"]
    constants, carry = values[:num_consts], values[num_consts : num_consts + num_carry]
    inputs, drawn, rows = values[num_consts + num_carry :], Counter(), []
    order = list(reversed(range(length)) if reverse else range(length))
    if all(value is _UNKNOWN for value in carry):
        order = [*order[:3], *order[3:][-1:]]
    for i in order:
        row = [value if value is _UNKNOWN else value[i] for value in inputs]
        outputs, new = _run(jaxpr, [*constants, *carry, *row])
        carry, drawn = outputs[:num_carry], drawn + new
        rows.append(outputs[num_carry:])
    stacked = [_UNKNOWN] * (len(jaxpr.jaxpr.outvars) - num_carry)
    if len(rows) == length and not reverse:
        columns = zip(*rows, strict=True)
        stacked = [_UNKNOWN if any(v is _UNKNOWN for v in column) else jnp.stack(column) for column in columns]
    return [*carry, *stacked], drawn


def _while(values: list, *, cond_jaxpr, body_jaxpr, cond_nconsts, body_nconsts, **_) -> tuple[list, Counter]:
    """Runs the body as often as the condition says; once if it is unknown."""
    of_condition, of_body = values[:cond_nconsts], values[cond_nconsts : cond_nconsts + body_nconsts]
    carry, drawn = values[cond_nconsts + body_nconsts :], Counter()
    while True:
        (goes_on,), _ = _run(cond_jaxpr, [*of_condition, *carry])
        if goes_on is not _UNKNOWN and not bool(goes_on):
            return carry, drawn
        carry, new = _run(body_jaxpr, [*of_body, *carry])
        drawn += new
        if goes_on is _UNKNOWN:
            return [_UNKNOWN] * len(carry), drawn

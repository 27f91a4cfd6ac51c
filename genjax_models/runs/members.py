"""The members of a run: the runs that --seeds and --sweep name, and their directories. Imports no jax."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from genjax_models.errors import InputError
from genjax_models.runs.configuration import seed_in_range
from genjax_models.runs.fields import float_fields, replaced

Members = Mapping[str, Mapping[str, float]]  # directory of a member -> its values, by dotted name
ALONE: Members = {"": {}}
_MOST = 1_000


def named_members(config: Any, seeds: str | None, sweep: Sequence[str]) -> Members:
    """Returns the members that `--seeds` and `--sweep` name: each value of each swept field with each seed.

    Args:
      config: shared config, in which the fields that members set must have their defaults.
      seeds: "0:8" or "0,3,5", or both; None for the seed of the config.
      sweep: texts "field=value,value,...", with the field's dotted name or its flag.

    Raises:
      InputError: seeds are malformed, repeated or out of range; a field holds no number or refuses a value; there are
        more than 1,000 members.
    """
    if seeds is None and not sweep:
        return ALONE
    fields = _swept(config, sweep)
    if seeds is not None:
        fields["seed"] = _seeds(seeds)
    _check_defaults(config, fields)
    members = [dict(zip(fields, values, strict=True)) for values in itertools.product(*fields.values())]
    if len(members) > _MOST:
        raise InputError(f"--seeds and --sweep name {len(members):,} members; one command takes at most {_MOST:,}")
    for member in members:
        replaced(config, member)
    return {_name(member): member for member in members}


def values_of(member: Mapping[str, float]) -> dict[str, float]:
    """Returns the numbers from which a member's trainer is built: all but the seed."""
    return {name: value for name, value in member.items() if name != "seed"}


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"([0-9]{1,10})(?::([0-9]{1,10}))?", part.strip())
        if not ends:
            raise InputError(f"--seeds {text!r}: accepted are ranges such as 0:8 (0 to 7), numbers, or 0:8,20,30")
        first, end = int(ends[1]), int(ends[2] or int(ends[1]) + 1)
        if first >= end:
            raise InputError(f"--seeds {text!r}: {part.strip()} holds no seed; a range does not include its end")
        if end - first > _MOST:
            raise InputError(f"--seeds {text!r}: {end - first:,} seeds; one command takes at most {_MOST:,} members")
        seeds += range(first, end)
    for seed in seeds:
        seed_in_range(seed)
    if repeated := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise InputError(f"--seeds {text!r}: {repeated[0]} is given more than once")
    return seeds


def _swept(config: Any, sweep: Sequence[str]) -> dict[str, list[Any]]:
    """Returns dotted name -> values."""
    swept, names = {}, {}
    for text in sweep:
        name, equals, values = text.partition("=")
        if not equals:
            raise InputError(
                f"--sweep {text!r}: accepted is field=value,value,... such as optimizer.learning_rate=0.01,0.1"
            )
        field = _float_field(config, name, text)
        if field in names:
            other = names[field]
            both = f"{other} and {name} are one field" if other != name else f"{name} is given twice"
            raise InputError(f"--sweep {' '.join(sweep)}: {both}; give all its values at once")
        names[field], swept[field] = name, _numbers(values, text)
    return swept


def _float_field(config: Any, name: str, text: str) -> str:
    """Returns the dotted name of the field with this dotted name or flag."""
    fields = float_fields(config)
    plain = name.replace("-", "_")
    match = [field.name for field in fields if plain in (field.name, field.flag.replace("-", "_"))]
    if not match:
        accepted = ", ".join(field.name for field in fields)
        raise InputError(f"--sweep {text!r}: {name} holds no floating-point number; the fields that do are {accepted}")
    return match[0]


def _numbers(values: str, text: str) -> list[float]:
    try:
        numbers = [float(number) for number in values.split(",")]
    except ValueError:
        raise InputError(f"--sweep {text!r}: values must be numbers such as 0.5,1,4, got {values!r}") from None
    if repeated := sorted({number for number in numbers if numbers.count(number) > 1}):
        raise InputError(f"--sweep {text!r}: {repeated[0]:g} is given more than once")
    return numbers


def _check_defaults(config: Any, fields: Mapping[str, Any]) -> None:
    for name in fields:
        value, default = config, type(config)()
        for part in name.split("."):
            value, default = getattr(value, part), getattr(default, part)
        if value != default:
            option = "--seeds" if name == "seed" else "--sweep"
            raise InputError(f"{option} sets {name}, and {name} {value} is given too: leave one out")


def _name(member: Mapping[str, float]) -> str:
    """Returns the directory's name of a member, which has only letters, digits, '.', '_' and '-'."""
    parts = (f"{name}_{repr(value).removesuffix('.0').replace('+', '')}" for name, value in member.items())
    return "-".join(parts)

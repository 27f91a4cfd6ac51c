"""Many runs asked for at once: which they are and what each is called. Imports no jax, so that --help is quick."""

import dataclasses
import itertools
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from genjax_models.errors import InputError
from genjax_models.runs.configuration import replaced, seed_in_range

Members = Mapping[str, Mapping[str, float]]  # the folder of each, within that of all -> what its config has of its own
ALONE: Members = {"": {}}
_MOST = 1_000


def asked(config: Any, seeds: str | None, sweep: Sequence[str]) -> Members:
    """The members that `--seeds` and `--sweep` name: each value of each swept field with each seed.

    Args:
      config: that all share; what a member has of its own must be as by default in it.
      seeds: "0:8" or "0,3,5", or both; None for that of the config.
      sweep: "field=value,value,..." each.

    Raises:
      InputError: seeds that are malformed, repeat, or are out of range; a field that is not of numbers, or a value
        that it does not take; more than 1,000 members.
    """
    if seeds is None and not sweep:
        return ALONE
    fields = dict(_field(config, text) for text in sweep)
    if len(fields) < len(sweep):
        raise InputError(f"--sweep {' '.join(sweep)}: names a field twice; give all its values at once")
    if seeds is not None:
        fields["seed"] = _seeds(seeds)
    _as_by_default(config, fields)
    members = [dict(zip(fields, values, strict=True)) for values in itertools.product(*fields.values())]
    if len(members) > _MOST:
        raise InputError(f"--seeds and --sweep: {len(members):,} members, at most {_MOST:,} are one program")
    for member in members:
        replaced(config, member)
    return {_name(member): member for member in members}


def values_of(member: Mapping[str, float]) -> dict[str, float]:
    """The numbers of a member that its trainer is built with: all but the seed."""
    return {name: value for name, value in member.items() if name != "seed"}


def float_fields(config: Any, prefix: str = "") -> Iterator[str]:
    """The dotted names of the fields of a config that hold a floating-point number, or may."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, hint = getattr(config, field.name), hints[field.name]
        if dataclasses.is_dataclass(value):
            yield from float_fields(value, f"{prefix}{field.name}.")
        elif float in (hint, *typing.get_args(hint)) and typing.get_origin(hint) is not tuple:
            yield prefix + field.name


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"(\d+)(?::(\d+))?", part.strip())
        if not ends:
            raise InputError(f"--seeds {text!r}: accepted are ranges such as 0:8 (0 to 7), numbers, or 0:8,20,30")
        first, end = int(ends[1]), int(ends[2] or int(ends[1]) + 1)
        if first >= end:
            raise InputError(f"--seeds {text!r}: {part.strip()} holds no seed; the end of a range is not in it")
        if end - first > _MOST:
            raise InputError(f"--seeds {text!r}: {end - first:,} seeds, at most {_MOST:,} members are one program")
        seeds += range(first, end)
    for seed in seeds:
        seed_in_range(seed)
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise InputError(f"--seeds {text!r}: {twice[0]} is there more than once")
    return seeds


def _field(config: Any, text: str) -> tuple[str, list[float]]:
    name, equals, listed = text.partition("=")
    if not equals:
        raise InputError(
            f"--sweep {text!r}: accepted is field=value,value,... such as optimizer.learning_rate=0.01,0.1"
        )
    names = list(float_fields(config))
    if name not in names:
        raise InputError(
            f"--sweep {text!r}: {name} is no field of floating-point numbers; those are {', '.join(names)}"
        )
    try:
        numbers = [float(number) for number in listed.split(",")]
    except ValueError:
        raise InputError(f"--sweep {text!r}: {listed!r} is no list of numbers such as 0.5,1,4") from None
    if twice := sorted({number for number in numbers if numbers.count(number) > 1}):
        raise InputError(f"--sweep {text!r}: {twice[0]:g} is there more than once")
    return name, numbers


def _as_by_default(config: Any, fields: Mapping[str, Any]) -> None:
    for name in fields:
        given, default = config, type(config)()
        for part in name.split("."):
            given, default = getattr(given, part), getattr(default, part)
        if given != default:
            flag = "--seeds" if name == "seed" else "--sweep"
            raise InputError(f"{flag}: says what {name} is, and {name} {given} was given beside it; leave one out")


def _name(member: Mapping[str, float]) -> str:
    """Made of letters, digits, '.', '_' and '-', as names of runs are."""
    parts = (f"{name}_{repr(value).removesuffix('.0').replace('+', '')}" for name, value in member.items())
    return "-".join(parts)

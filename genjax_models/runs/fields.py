"""The fields of a config by their dotted names, such as optimizer.learning_rate. Imports no jax."""

import copy
import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import tyro

from genjax_models.errors import InputError

_HIDDEN = typing.get_args(tyro.conf.Suppress[int])[1]


class Field(NamedTuple):
    """A field that the command line may set: its dotted name, its flag without dashes, its type and its value."""

    name: str
    flag: str
    type: Any
    value: Any


def fields_of(config: Any, prefix: str = "") -> Iterator[Field]:
    """Yields the fields of a config and of its groups, in their order, without fields that --help hides."""
    hints = typing.get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        hint, value = hints[field.name], getattr(config, field.name)
        extras = getattr(hint, "__metadata__", ())
        if _HIDDEN in extras:
            continue
        if dataclasses.is_dataclass(value):
            yield from fields_of(value, f"{prefix}{field.name}.")
        else:
            renamed = [extra.name for extra in extras if getattr(extra, "name", None)]
            flag = (renamed or [field.name])[0].replace("_", "-")
            yield Field(prefix + field.name, flag, typing.get_args(hint)[0] if extras else hint, value)


def float_fields(config: Any) -> list[Field]:
    """Returns the fields whose type is or includes float."""
    return [
        field
        for field in fields_of(config)
        if float in (field.type, *typing.get_args(field.type)) and typing.get_origin(field.type) is not tuple
    ]


def with_plain_flags(config: Any, arguments: list[str]) -> list[str]:
    """Returns the arguments with every dotted flag (--optimizer.learning-rate) as its plain flag (--learning-rate).

    Raises:
      InputError: a field is set under two names at once; names both.
    """
    flags = {field.name.replace("_", "-"): field.flag for field in fields_of(config)}
    used: dict[str, str] = {}  # field -> the name that sets it
    plain = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not name.startswith("--"):
            plain.append(argument)
            continue
        dotted, no = name[2:].replace("_", "-"), ""
        head, _, last = dotted.rpartition(".")
        if last.startswith("no-") and f"{head}.{last[3:]}" in flags:
            dotted, no = f"{head}.{last[3:]}", "no-"
        flag = flags.get(dotted) if "." in dotted else dotted
        if flag is None:
            plain.append(argument)
            continue
        field = flag.removeprefix("no-") if "." not in dotted else flag
        if used.setdefault(field, name) != name and "." in used[field] + name:
            raise InputError(f"{used[field]} and {name} are one field: give it once")
        plain.append(f"--{no}{flag}{equals}{value}" if "." in dotted else argument)
    return plain


def replaced(config: Any, values: Mapping[str, Any]) -> Any:
    """Returns the config with other values in the fields of these dotted names; the config checks all at once.

    Raises:
      InputError: the config refuses a value.
    """
    fields: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        first, _, rest = name.partition(".")
        if rest:
            groups.setdefault(first, {})[rest] = value
        else:
            fields[first] = value
    inner = {name: replaced(getattr(config, name), rest) for name, rest in groups.items()}
    return dataclasses.replace(config, **fields, **inner)


def unchecked(config: Any, values: Mapping[str, Any]) -> Any:
    """Returns the same as `replaced`, without checks, for tracers of numbers that are already checked."""
    config = copy.copy(config)
    for name, value in values.items():
        first, _, rest = name.partition(".")
        inner = unchecked(getattr(config, first), {rest: value}) if rest else value
        object.__setattr__(config, first, inner)  # the config is frozen, but this copy is not shared yet
    return config

"""Groups of settings, nested in one another; the same settings by dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

ADDED_LATER = object()
"""Marker in the annotation of a setting that was added after runs were stored: at its default it is in no key."""


class Group(BaseModel):
    """A group of settings, which cannot be changed. The docstring of a field is the description of the setting."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of nested or dotted mappings as ``(dotted name, value)``."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with dotted names as nested dictionaries."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, last = name.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[last] = value
    return nested


@cache
def setting_names(kind: type[Group]) -> tuple[str, ...]:
    """The dotted names of all settings of a nested configuration."""
    return tuple(name for name, _ in fields(kind))


@cache
def getter_of_settings(kind: type[Group]) -> attrgetter[tuple[Any, ...]]:
    """A function from a nested configuration to the values of all settings, in the order of :func:`setting_names`."""
    return attrgetter(*setting_names(kind))


@cache
def defaults_added_later(kind: type[Group]) -> dict[str, Any]:
    """The defaults of the settings marked :data:`ADDED_LATER`, by dotted name."""
    return {name: field.default for name, field in fields(kind) if ADDED_LATER in field.metadata}


def fields(kind: type[Group], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The field of each setting of a nested configuration, with its dotted name."""
    for name, field in kind.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            yield from fields(group, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field

"""Validators of settings. :class:`walking_noise.RunConfig` declares each setting by a default and a validator."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

Validator = Callable[[Any], Any]
"""Returns the value in its normal form. Raises ValueError with a text that says which values are allowed."""

LARGEST = 1e37
"""The largest number that a setting allows. Noise draws are several times larger, and float32 must hold them."""

SMALLEST = 1.2e-38
"""The smallest positive number that float32 holds in full precision."""


def setting(default: Any, validate: Validator) -> Any:
    """A field of a configuration, with its default and its validator."""
    return dataclasses.field(default=default, metadata={"validate": validate})


def leaves(config: Any) -> Iterable[tuple[str, Any]]:
    """Every setting of a nested configuration, as pairs ``(dotted name, value)``."""
    kind: Any = type(config)
    return zip(_names(kind), _values_of(kind)(config), strict=True)


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of nested or dotted mappings as ``(dotted name, value)``."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@cache
def _names(kind: Any) -> tuple[str, ...]:
    names: list[str] = []
    for field in dataclasses.fields(kind):
        group: Any = type(field.default)
        nested = dataclasses.is_dataclass(group)
        names += [f"{field.name}.{name}" for name in _names(group)] if nested else [field.name]
    return tuple(names)


@cache
def _values_of(kind: Any) -> attrgetter[Any]:
    return attrgetter(*_names(kind))


def integer(low: int, high: int = 2**63 - 1) -> Validator:
    """Allow a whole number in [low, high]."""
    bounds = f">= {low}" if high == 2**63 - 1 else f"{low}..{high}"

    def validate(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not low <= int(value) <= high:
            raise ValueError(f"allowed: a whole number {bounds}")
        return int(value)

    return validate


def real(low: float, high: float = math.inf, *, open_low: bool = False) -> Validator:
    """Allow a finite number in [low, high], or in (low, high] with ``open_low``, if 32-bit floats can hold it."""
    bounds = f"{'>' if open_low else '>='} {low:g}" + (f" and <= {high:g}" if high < math.inf else "")

    def validate(value: Any) -> float:
        if isinstance(value, str) and _reads_as_number(value):
            raise ValueError(f"it is text, not a number; in YAML write {float(value):.1e}")
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(f"allowed: a number {bounds}")
        number = _as_float(value)
        above = number > low if open_low else number >= low
        if not (math.isfinite(number) and above and number <= high):
            raise ValueError(f"allowed: a finite number {bounds}")
        if number > LARGEST:
            raise ValueError(f"allowed: a number {bounds}, at most {LARGEST:g}")
        if 0 < number < SMALLEST:
            raise ValueError(f"it is below {SMALLEST}, the smallest number that 32-bit floats hold in full precision")
        return number + 0.0  # -0.0 is 0.0

    return validate


def flag(value: Any) -> bool:
    """Allow True and False."""
    if isinstance(value, str) and value.capitalize() in ("True", "False"):
        raise ValueError(f"it is text; allowed: true, false; on the command line write {value.capitalize()}")
    if not isinstance(value, bool):
        raise ValueError("allowed: true, false")
    return value


def one_of(choices: Callable[[], Iterable[str]]) -> Validator:
    """Allow the names that ``choices()`` returns when a value is validated."""

    def validate(value: Any) -> str:
        names = list(choices())
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"allowed: {', '.join(names)}")
        return value

    return validate


def optional(validate: Validator) -> Validator:
    """Allow None, and the values that ``validate`` allows."""

    def validate_optional(value: Any) -> Any:
        return None if value is None else validate(value)

    return validate_optional


def one_or_per_point(validate: Validator) -> Validator:
    """Allow the values that ``validate`` allows, and lists of them with one entry per noise point."""

    def validate_each(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(validate(entry) for entry in value)
        return validate(value)

    return validate_each


def point_or_scope(value: Any) -> int | str:
    """The number of a noise point, or ``global`` or ``mapped``."""
    if value in ("global", "mapped"):
        return str(value)
    try:
        return int(integer(0)(value))
    except ValueError:
        raise ValueError("allowed: global, mapped, or the number of a noise point") from None


def _as_float(value: numbers.Real) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _reads_as_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False

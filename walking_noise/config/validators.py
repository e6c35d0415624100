"""The vocabulary in which :class:`walking_noise.RunConfig` declares its settings: a default and what is allowed."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any

Check = Callable[[Any], Any]
"""Returns the value in its normal form, or raises ValueError with what is allowed."""

LARGEST = 1e37
"""The largest number allowed: of a level, float32 must also hold draws of many times its size."""

SMALLEST = 1.2e-38
"""The smallest positive number that float32 holds with all its digits."""


def setting(default: Any, check: Check) -> Any:
    """A field of a configuration whose values ``check`` normalises or refuses."""
    return dataclasses.field(default=default, metadata={"check": check})


def leaves(config: Any) -> Iterable[tuple[str, Any]]:
    """Every setting of a nested configuration as ``(dotted name, value)``."""
    kind: Any = type(config)
    return zip(_names(kind), _values_of(kind)(config), strict=True)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    found: list[str] = []
    for field in dataclasses.fields(kind):
        group: Any = type(field.default)
        nested = dataclasses.is_dataclass(group)
        found += [f"{field.name}.{name}" for name in _names(group)] if nested else [field.name]
    return tuple(found)


@cache
def _values_of(kind: Any) -> attrgetter[Any]:
    return attrgetter(*_names(kind))


def integer(low: int, high: int = 2**63 - 1) -> Check:
    """A whole number in [low, high]."""
    bounds = f">= {low}" if high == 2**63 - 1 else f"{low}..{high}"

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not low <= int(value) <= high:
            raise ValueError(f"allowed is a whole number {bounds}")
        return int(value)

    return check


def real(low: float, high: float = math.inf, *, open_low: bool = False) -> Check:
    """A finite number in [low, high]; (low, high] with ``open_low``. 32-bit floats must be able to hold it."""
    bounds = f"{'>' if open_low else '>='} {low:g}" + (f" and <= {high:g}" if high < math.inf else "")

    def check(value: Any) -> float:
        if isinstance(value, str) and _reads_as_number(value):
            raise ValueError(f"this is text, not a number; in YAML write {float(value):.1e}")
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(f"allowed is a number {bounds}")
        number = _as_float(value)
        above = number > low if open_low else number >= low
        if not (math.isfinite(number) and above and number <= min(high, LARGEST)):
            raise ValueError(f"allowed is a finite number {bounds}")
        if 0 < number < SMALLEST:
            raise ValueError(f"allowed is 0 or a number >= {SMALLEST}, which 32-bit floats can hold")
        return number + 0.0  # -0.0 is 0.0

    return check


def flag(value: Any) -> bool:
    """True or false."""
    if isinstance(value, str) and value.capitalize() in ("True", "False"):
        raise ValueError(f"allowed are true and false, this is text; on the command line write {value.capitalize()}")
    if not isinstance(value, bool):
        raise ValueError("allowed are true and false")
    return value


def one_of(choices: Callable[[], Iterable[str]]) -> Check:
    """One of the names that ``choices()`` gives at the time of the check."""

    def check(value: Any) -> str:
        names = list(choices())
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"allowed: {', '.join(names)}")
        return value

    return check


def optional(check: Check) -> Check:
    """What ``check`` allows, or null."""

    def check_optional(value: Any) -> Any:
        return None if value is None else check(value)

    return check_optional


def one_or_per_point(check: Check) -> Check:
    """What ``check`` allows, or a list of such values with one entry per noise point."""

    def check_each(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(check(entry) for entry in value)
        return check(value)

    return check_each


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

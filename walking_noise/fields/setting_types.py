"""Types of settings: what pydantic's strict types lack.

A validator refuses a value by ValueError. If the value is nearly right, the text of the error is advice. Otherwise it
has no text, and the message gives the allowed values (:func:`walking_noise.config.setting_schemas.allowed`).
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WrapValidator

from walking_noise.registry import OWN, is_own

LARGEST = 1e37
"""The largest number that a setting allows. Noise draws are several times larger, and float32 must hold them."""

SMALLEST = 1.2e-38
"""The smallest positive number that float32 holds in full precision."""

LARGEST_INTEGER = 2**63 - 1
"""The largest whole number that a document can hold."""

LARGEST_SEED = 2**32 - 1
"""The largest seed of NumPy's random generators, which Sacred seeds for every run."""


def _without_numpy(value: Any) -> Any:
    return int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else value


def _in_single_precision(value: Any, validate: Callable[[Any], float]) -> float:
    if isinstance(value, str) and _reads_as_number(value):
        raise ValueError(f"it is text, not a number; in YAML write {float(value):.1e}")
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError
    number = validate(_as_float(value))
    if number > LARGEST:
        raise ValueError(f"allowed: at most {LARGEST:g}, so that 32-bit floats can hold the noise")
    if 0 < number < SMALLEST:
        raise ValueError(f"it is below {SMALLEST}, the smallest number that 32-bit floats hold in full precision")
    return number + 0.0  # -0.0 is 0.0


def _not_text(value: Any) -> Any:
    if isinstance(value, str) and value.capitalize() in ("True", "False"):
        raise ValueError(f"it is text; allowed: true, false; on the command line write {value.capitalize()}")
    return value


WHOLE = BeforeValidator(_without_numpy)
"""Whole number; NumPy's are accepted. Bounds come before it in an annotation."""
REAL = WrapValidator(_in_single_precision)
"""Finite number that 32-bit floats can hold; all real numbers but booleans are accepted, text is not."""
LIST = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Tuple; a list is accepted."""

Flag = Annotated[bool, BeforeValidator(_not_text)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED), WHOLE]
Level = Annotated[float, Field(ge=0), REAL]
Ratio = Annotated[float, Field(ge=0, le=1), REAL]
Positive = Annotated[float, Field(gt=0), REAL]


def in_words(allowed: str) -> Any:
    """Annotation of a type: the allowed values in words, where its schema says too little."""
    return Field(json_schema_extra={"$comment": allowed})


class OneOf:
    """Annotation of a name: one of those that ``names()`` returns when a value is validated.

    With ``or_own`` a name ``package.module:object`` is allowed, too. Its object is not looked up here.
    """

    def __init__(self, names: Callable[[], Iterable[str]], or_own: bool = False) -> None:
        self._names, self._or_own = names, or_own

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(Annotated[source, BeforeValidator(self._validate)])

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shipped = {**handler(schema), "enum": list(self._names())}
        return {"anyOf": [shipped, {"type": "string", "pattern": OWN.pattern}]} if self._or_own else shipped

    def _validate(self, value: Any) -> Any:
        names = self._names()
        if self._or_own and isinstance(value, str) and is_own(value):
            return value
        if not isinstance(value, str) or value not in names:
            own = ", or an object of your own, my_package.module:name" if self._or_own else ""
            raise ValueError(f"allowed: {', '.join(names)}{own}")
        return value


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

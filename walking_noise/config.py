"""A run: one definition for YAML grids, documents and data frame columns."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from walking_noise import canonical
from walking_noise.checks import check
from walking_noise.errors import ConfigError, refused
from walking_noise.schema import NoiseConfig, RunSettings
from walking_noise.settings import leaves


@dataclasses.dataclass(frozen=True)
class RunConfig(RunSettings):
    """The settings of one run: one training with its noise.

    Build it with :meth:`from_dict`; a value out of range, an unknown name, a point that the model does not have and a
    setting without effect are refused with a :class:`ConfigError` of one line.
    """

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> RunConfig:
        """A run from nested or dotted settings, or both; what is not given has its default."""
        given = {}
        for name, value in _flatten(settings):
            if name in given:
                raise refused(name, value, "it is given twice")
            given[name] = value
        known = [name for name, _ in leaves(cls())]
        for name in given:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known settings: {', '.join(known)}"
                raise ConfigError(f"{name}: there is no such setting; {hint}")
        config: RunConfig = _build(cls, given, "")
        check(config)
        return config

    def without_noise(self) -> RunConfig:
        """The same run without noise."""
        return dataclasses.replace(self, noise=NoiseConfig(kind="none"))

    def canonical(self) -> dict[str, Any]:
        """What the run does, in one form: equal for runs that do the same, however their settings say it."""
        return canonical.run(self)

    @property
    def run_key(self) -> str:
        """Equal for runs that do the same."""
        return canonical.digest(canonical.run(self))

    @property
    def training_key(self) -> str:
        """Equal for runs whose training gives the same weights."""
        return canonical.digest(canonical.training(self))

    @property
    def network_key(self) -> str:
        """Equal for runs that share one trained network.

        Runs trained with noise are evaluated while they train, with their own noise at inference, and share with none
        that differs in it.
        """
        return canonical.digest(canonical.network(self))

    @property
    def pack_key(self) -> str:
        """Equal for runs that may train in one pack."""
        return canonical.digest(canonical.pack(self))


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _build(cls: Any, given: Mapping[str, Any], prefix: str) -> Any:
    values = {}
    for field, group, check_value in _fields(cls):
        name = prefix + field
        if group is not None:
            values[field] = _build(group, given, f"{name}.")
        elif name in given:
            try:
                values[field] = check_value(given[name])
            except ValueError as error:
                raise refused(name, given[name], str(error)) from None
    return cls(**values)


@cache
def _fields(cls: Any) -> list[tuple[str, Any, Any]]:
    """Of each field its name, its type if it is a group of settings, and its check if it is not."""
    return [
        (
            field.name,
            type(field.default) if dataclasses.is_dataclass(field.default) else None,
            field.metadata.get("check"),
        )
        for field in dataclasses.fields(cls)
    ]

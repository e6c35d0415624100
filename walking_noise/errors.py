"""What can go wrong, each said in one line that names what is wrong and what to do."""

from __future__ import annotations


class WalkingNoiseError(Exception):
    """Base of every error whose text is meant for the user."""


class ConfigError(WalkingNoiseError, ValueError):
    """A setting of a run is unknown, out of range, or without effect."""


class DataMissing(WalkingNoiseError, FileNotFoundError):
    """A data set is not where it was looked for, or is damaged."""

    def __str__(self) -> str:
        return str(self.args[0])


class Stopped(WalkingNoiseError):
    """Training was asked to stop before its end; runs not yet yielded have no result."""


class RunsFailed(WalkingNoiseError):
    """Some of the runs given to :func:`walking_noise.train` failed; the others are in ``outcomes``."""

    def __init__(self, message: str, outcomes: list[object]) -> None:
        super().__init__(message)
        self.outcomes = outcomes


def refused(name: str, value: object, allowed: str) -> ConfigError:
    """The error of a setting ``name`` whose ``value`` cannot be used, saying what is allowed."""
    return ConfigError(f"{name}: {value!r} is refused; {allowed}")

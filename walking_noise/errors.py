"""Errors of the library. The text of each is one line: what is wrong, then what to do."""

from __future__ import annotations

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""Parts of the error messages of CUDA and its allocator, of the CPU allocator, and of cuBLAS and cuDNN."""


class WalkingNoiseError(Exception):
    """Base class of every error with a text for the user."""


class ConfigError(WalkingNoiseError, ValueError):
    """A setting of a run is unknown, out of range, or without effect."""


class DataMissing(WalkingNoiseError, FileNotFoundError):
    """The files of a data set are missing or damaged."""

    def __str__(self) -> str:
        return str(self.args[0])


class Stopped(WalkingNoiseError):
    """Training was stopped on request before its end. Runs that were not yet yielded have no result."""


class RunsFailed(WalkingNoiseError):
    """Some runs of :func:`walking_noise.train` failed. ``outcomes`` holds the result or the failure of every run."""

    def __init__(self, message: str, outcomes: list[object]) -> None:
        super().__init__(message)
        self.outcomes = outcomes


def reason(error: BaseException) -> str:
    """Type and text of an error, in one line."""
    return ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))


def refused(name: str, value: object, allowed: str) -> ConfigError:
    """The error for a ``value`` that the setting ``name`` cannot have; ``allowed`` describes the valid values."""
    return ConfigError(f"{name}: {value!r} is refused; {allowed}")


def ran_out_of_memory(error: Exception) -> bool:
    """Whether ``error`` means that the memory of the device or of the machine was exhausted."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)

"""Errors of the library. The text of each says in one line what is wrong and what to do."""

from __future__ import annotations

import torch

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""Messages of CUDA and its allocator, of the CPU allocator, and of cuBLAS and cuDNN."""


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


def ran_out_of_memory(error: Exception) -> bool:
    """Whether the memory of the device or of the machine was exhausted."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)

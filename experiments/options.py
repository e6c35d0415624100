"""A worker's options, from its environment: where and how it works, never what a run is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from experiments.errors import UserError
from walking_noise import ConfigError
from walking_noise.capacity import device_called

PREFIX = "WALKING_NOISE_"


@dataclass(frozen=True)
class WorkerOptions:
    """The options of a worker; None stands for the default.

    Attributes
    ----------
    pack_size
        Trainings taken on at once (``WALKING_NOISE_PACK_SIZE``); default: what keeps the device busy for a while.
    device
        ``cpu``, ``cuda``, ``cuda:1`` (``WALKING_NOISE_DEVICE``); default: a GPU if there is one.
    networks
        Folder in which workers share networks trained without noise and keep those of runs with
        ``training.keep_network`` (``WALKING_NOISE_NETWORKS``); default: they do not share, and such runs fail.
    """

    pack_size: int | None = None
    device: torch.device | None = None
    networks: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> WorkerOptions:
        """Read ``WALKING_NOISE_*``; an empty value stands for the default.

        Raises
        ------
        UserError
            A value cannot be used.
        """
        names = ("PACK_SIZE", "DEVICE", "NETWORKS")
        size, device, networks = (environment.get(PREFIX + name) or None for name in names)
        if size is not None and not (size.isdecimal() and int(size) > 0):
            raise UserError(f"{PREFIX}PACK_SIZE: {size!r} is refused; allowed is a whole number >= 1")
        return cls(int(size) if size else None, _device(device) if device else None, networks)


def _device(name: str) -> torch.device:
    try:
        return device_called(name)
    except ConfigError:
        raise UserError(f"{PREFIX}DEVICE: {name!r} is refused; there is no such device here") from None

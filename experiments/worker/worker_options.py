"""A worker's options, from its environment: where and how it works, never what a run is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.errors import UserError
from experiments.worker.leases import LEASE_SECONDS
from walking_noise import ConfigError
from walking_noise.runtime.sizing.capacity import device_by_name

PREFIX = "WALKING_NOISE_"
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


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
    state
        Folder of checkpoints and of results that could not be delivered (``WALKING_NOISE_STATE``); default: ``state``
        beside the logs of the runs.
    state_quota
        Bytes that the checkpoints may take there (``WALKING_NOISE_STATE_QUOTA``, as ``500M`` or ``20G``); default: as
        many as fit on the disk.
    checkpoint_seconds
        The work that may be lost (``WALKING_NOISE_CHECKPOINT_SECONDS``).
    lease_seconds
        The silence after which a worker counts as dead (``WALKING_NOISE_LEASE_SECONDS``).
    patience_seconds
        How long the database may be away before a worker gives up (``WALKING_NOISE_PATIENCE_SECONDS``).
    """

    pack_size: int | None = None
    device: torch.device | None = None
    networks: str | None = None
    state: Path | None = None
    state_quota: int | None = None
    checkpoint_seconds: float = 600.0
    lease_seconds: float = LEASE_SECONDS
    patience_seconds: float = 3600.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> WorkerOptions:
        """Read ``WALKING_NOISE_*``; an empty value stands for the default.

        Raises
        ------
        UserError
            A value cannot be used.
        """
        readers = {
            "pack_size": _whole_number,
            "device": _device,
            "networks": _text,
            "state": _folder,
            "state_quota": _bytes,
            "checkpoint_seconds": _seconds,
            "lease_seconds": _seconds,
            "patience_seconds": _seconds,
        }
        given = {}
        for name, read in readers.items():
            variable = PREFIX + name.upper()
            value = environment.get(variable)
            if value:
                given[name] = read(variable, value)
        return cls(**given)  # type: ignore[arg-type]


def _text(variable: str, value: str) -> str:
    return value


def _folder(variable: str, value: str) -> Path:
    return Path(value).expanduser().absolute()


def _whole_number(variable: str, value: str) -> int:
    if not (value.isdecimal() and int(value) > 0):
        raise UserError(f"{variable}: {value!r} is refused; allowed is a whole number >= 1")
    return int(value)


def _seconds(variable: str, value: str) -> float:
    if not (re.fullmatch(r"\d+(\.\d+)?", value) and float(value) > 0):
        raise UserError(f"{variable}: {value!r} is refused; allowed is a number of seconds > 0")
    return float(value)


def _bytes(variable: str, value: str) -> int:
    found = re.fullmatch(r"(\d+)([KMGT]?)", value)
    if not found:
        raise UserError(f"{variable}: {value!r} is refused; allowed is a number of bytes, as 500M or 20G")
    return int(found[1]) * UNITS[found[2]]


def _device(variable: str, value: str) -> torch.device:
    try:
        return device_by_name(value)
    except ConfigError:
        raise UserError(f"{variable}: {value!r} is refused; there is no such device here") from None

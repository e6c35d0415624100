"""Options of a worker, read from environment variables. They never change a run's settings."""

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
    """The options of a worker; None selects the default.

    Attributes
    ----------
    pack_size
        A worker leases runs that together need at most this many trainings (``WALKING_NOISE_PACK_SIZE``); default:
        enough to keep the device busy for a while.
    device
        ``cpu``, ``cuda`` or ``cuda:1`` (``WALKING_NOISE_DEVICE``); default: a GPU if there is one.
    networks
        Folder of trained networks (``WALKING_NOISE_NETWORKS``): workers share networks that were trained without noise,
        and store the networks of runs with ``training.keep_network``. Without it no network is shared, and these runs
        fail.
    state
        Folder of checkpoints and of results that could not be delivered (``WALKING_NOISE_STATE``); default: ``state``
        next to the logs of the runs.
    state_quota
        Largest total size of the checkpoints in bytes (``WALKING_NOISE_STATE_QUOTA``, for example ``500M`` or ``20G``);
        default: limited by the disk only.
    checkpoint_seconds
        Longest working time that may be lost (``WALKING_NOISE_CHECKPOINT_SECONDS``); one epoch if an epoch takes
        longer.
    lease_seconds
        Time without a heartbeat after which a lease expires (``WALKING_NOISE_LEASE_SECONDS``); the worker is lost after
        a further fifth of this time.
    patience_seconds
        Longest outage of the database before a worker gives up (``WALKING_NOISE_PATIENCE_SECONDS``).
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
        """Read ``WALKING_NOISE_*``; an empty value selects the default.

        Raises
        ------
        UserError
            A value is invalid.
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
        values = {}
        for name, read in readers.items():
            variable = PREFIX + name.upper()
            value = environment.get(variable)
            if value:
                values[name] = read(variable, value)
        return cls(**values)  # type: ignore[arg-type]


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
    match = re.fullmatch(r"(\d+)([KMGT]?)", value)
    if not match:
        raise UserError(f"{variable}: {value!r} is refused; allowed is a number of bytes, for example 500M or 20G")
    return int(match[1]) * UNITS[match[2]]


def _device(variable: str, value: str) -> torch.device:
    try:
        return device_by_name(value)
    except ConfigError:
        raise UserError(f"{variable}: {value!r} is refused; this machine has no such device") from None

"""A call of train: what all its packs share, and what is heard of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from walking_noise.checkpoints import Checkpoints
from walking_noise.config import RunConfig
from walking_noise.memory_limits import MemoryLimits
from walking_noise.results import Outcome


class Epochs(NamedTuple):
    """The epochs of a training, or of many.

    Attributes
    ----------
    done
        Of these:
    resumed
        Taken up from a checkpoint, or from a folder of networks.
    kept
        Standing in a checkpoint, in a folder of networks, or in results.
    """

    done: int = 0
    resumed: int = 0
    kept: int = 0


@dataclass(frozen=True)
class EpochsDone:
    """How far trainings are now, by network key, whatever was said of them before."""

    of: Mapping[str, Epochs]


@dataclass(frozen=True)
class RunEnded:
    """The run of that index ended, with a result or a failure."""

    index: int
    outcome: Outcome


Event = EpochsDone | RunEnded


@dataclass(frozen=True)
class Logged:
    """A line for the log of the process that called, from one that trains for it."""

    logger: str
    level: int
    text: str


@dataclass(frozen=True)
class Job:
    """The runs of one call of :func:`walking_noise.train`, and what is needed to run any pack of them.

    Attributes
    ----------
    configs
        The runs, by their index.
    networks
        The folder of networks, if any: processes share those trained without noise, and runs may keep theirs in it.
    checkpoints
        The folder of checkpoints, if any, and how often they are written to it.
    memory_limits
        What was found to fit in memory so far.
    """

    configs: Mapping[int, RunConfig]
    device: torch.device
    data_root: Path | str | None
    networks: Path | str | None
    checkpoints: Checkpoints | None = None
    memory_limits: MemoryLimits = field(default_factory=MemoryLimits, compare=False)

"""A call of train: what all its packs share, and what is heard of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from walking_noise.config import RunConfig
from walking_noise.memory_limits import MemoryLimits
from walking_noise.results import Outcome


@dataclass(frozen=True)
class EpochsDone:
    """A number of epochs, counted over the networks of a pack, was done."""

    count: int


@dataclass(frozen=True)
class RunEnded:
    """The run of that index ended, with a result or a failure."""

    index: int
    outcome: Outcome


Event = EpochsDone | RunEnded


@dataclass(frozen=True)
class Job:
    """The runs of one call of :func:`walking_noise.train`, and what is needed to run any pack of them.

    Attributes
    ----------
    configs
        The runs, by their index.
    networks
        The folder of networks, if any: processes share those trained without noise, and runs may keep theirs in it.
    memory_limits
        What was found to fit in memory so far.
    """

    configs: Mapping[int, RunConfig]
    device: torch.device
    data_root: Path | str | None
    networks: Path | str | None
    memory_limits: MemoryLimits = field(default_factory=MemoryLimits, compare=False)

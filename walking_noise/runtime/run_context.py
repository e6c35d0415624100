"""Run context: options that all packs of a call of train() share, and the events that packs send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from walking_noise.checkpoints.checkpoint_store import CheckpointStore
from walking_noise.config.run_config import RunConfig
from walking_noise.runtime.results import Outcome
from walking_noise.runtime.sizing.memory_limits import MemoryLimits
from walking_noise.training.epoch_counts import EpochsDone


@dataclass(frozen=True)
class RunContext:
    """The runs of one call of :func:`walking_noise.train`, and the options that all of their packs use.

    Attributes
    ----------
    configs
        The runs, by index.
    networks
        Folder of the cache of networks; None: no cache.
    checkpoints
        Store of checkpoints; None: no checkpoints.
    memory_limits
        Limits of pack sizes, learned when packs ran out of memory.
    """

    configs: Mapping[int, RunConfig]
    device: torch.device
    data_root: Path | str | None
    networks: Path | str | None
    checkpoints: CheckpointStore | None = None
    memory_limits: MemoryLimits = field(default_factory=MemoryLimits, compare=False)


@dataclass(frozen=True)
class RunEnded:
    """Event: the run with that index ended, with a result or a failure."""

    index: int
    outcome: Outcome


Event = EpochsDone | RunEnded

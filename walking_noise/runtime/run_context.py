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
    """The runs of one call of :func:`walking_noise.train`, and the options that all of their packs use."""

    configs: Mapping[int, RunConfig]  # the runs, by index
    device: torch.device
    data_root: Path | str | None
    networks: Path | str | None  # folder of the cache of networks; None: no cache
    checkpoints: CheckpointStore | None = None  # None: no checkpoints
    memory_limits: MemoryLimits = field(default_factory=MemoryLimits, compare=False)  # learned when memory ran out


@dataclass(frozen=True)
class RunEnded:
    """Event: the run with that index ended, with a result or a failure."""

    index: int
    outcome: Outcome


Event = EpochsDone | RunEnded

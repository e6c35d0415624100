"""Run context: what all packs of one call of train() share, and the events of their processes."""

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
    """The runs of one call of :func:`walking_noise.train`, and what any pack of them needs.

    Attributes
    ----------
    configs
        The runs, by index.
    networks
        Folder of the cache of networks, if any.
    checkpoints
        Store of checkpoints, if any.
    memory_limits
        The pack sizes that once exceeded the memory.
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


@dataclass(frozen=True)
class LogLine:
    """A log line of a worker process, which the parent process logs."""

    logger: str
    level: int
    text: str

"""Robustness of neural networks against noisy hardware: noise at chosen layers, increased until the network fails.

>>> from walking_noise import RunConfig, train
>>> results = train([RunConfig.from_dict({"noise.std": std, "training.epochs": 2}) for std in (0.1, 10.0)])
>>> [result.accuracy for result in results]  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from walking_noise.errors import ConfigError, DataMissing, RunsFailed, Stopped, WalkingNoiseError
from walking_noise.lazy_exports import lazy_exports
from walking_noise.version import __version__

if TYPE_CHECKING:
    from walking_noise.checkpoints.checkpoint_store import CheckpointStore
    from walking_noise.config.run_config import RunConfig
    from walking_noise.runtime.progress import Progress
    from walking_noise.runtime.results import Failure, Result
    from walking_noise.runtime.sizing.capacity import default_pack_size
    from walking_noise.runtime.train_runs import train, train_each

__all__ = [
    "CheckpointStore",
    "ConfigError",
    "DataMissing",
    "Failure",
    "Progress",
    "Result",
    "RunConfig",
    "RunsFailed",
    "Stopped",
    "WalkingNoiseError",
    "__version__",
    "default_pack_size",
    "train",
    "train_each",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "CheckpointStore": "walking_noise.checkpoints.checkpoint_store",
        "Failure": "walking_noise.runtime.results",
        "Progress": "walking_noise.runtime.progress",
        "Result": "walking_noise.runtime.results",
        "RunConfig": "walking_noise.config.run_config",
        "default_pack_size": "walking_noise.runtime.sizing.capacity",
        "train": "walking_noise.runtime.train_runs",
        "train_each": "walking_noise.runtime.train_runs",
    },
)

"""Robustness of neural networks against noisy hardware: noise at chosen layers, increased until the network fails.

>>> from walking_noise import RunConfig, train
>>> results = train([RunConfig.from_dict({"noise.std": std, "training.epochs": 2}) for std in (0.1, 10.0)])
>>> [result.accuracy for result in results]  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from walking_noise.errors import ConfigError, DataMissing, RunsFailed, Stopped, WalkingNoiseError
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

_MODULES = {
    "CheckpointStore": "checkpoints.checkpoint_store",
    "Failure": "runtime.results",
    "Progress": "runtime.progress",
    "Result": "runtime.results",
    "RunConfig": "config.run_config",
    "default_pack_size": "runtime.sizing.capacity",
    "train": "runtime.train_runs",
    "train_each": "runtime.train_runs",
}
"""Modules of the names that are imported when they are first used (PEP 562), since most of them import torch."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})

"""How neural networks stand noisy hardware: noise at chosen layers, raised until the network fails.

>>> from walking_noise import RunConfig, train
>>> results = train([RunConfig.from_dict({"noise.std": std, "training.epochs": 2}) for std in (0.1, 10.0)])
>>> [result.accuracy for result in results]  # doctest: +SKIP
"""

from __future__ import annotations

from walking_noise.capacity import default_pack_size
from walking_noise.checkpoints import Checkpoints
from walking_noise.config import RunConfig
from walking_noise.errors import ConfigError, DataMissing, RunsFailed, Stopped, WalkingNoiseError
from walking_noise.results import Failure, Result
from walking_noise.runner import Progress, train, train_each
from walking_noise.version import __version__

__all__ = [
    "Checkpoints",
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

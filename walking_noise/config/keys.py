"""One form for runs that do the same, and the keys derived from it.

Noise is given by its levels per noise point, so that a level of 0 in any series is the run without noise, and settings
that change nothing (an order without two terms, a seed without noise) are left out.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from walking_noise.noise.kind import gaussian

if TYPE_CHECKING:
    from walking_noise.config.run_config import RunConfig

PACK_SETTINGS = (
    "data.name",
    "data.transform",
    "data.validation",
    "data.keywords",
    "model.name",
    "model.batch_norm",
    "training.epochs",
    "training.batch_size",
)
"""What must be equal in a pack: everything that changes the shape of a tensor or the number of steps."""


def pack(config: RunConfig) -> dict[str, Any]:
    """The settings that must be equal in a pack."""
    flat = config.to_flat()
    return {name: flat[name] for name in PACK_SETTINGS}


def training(config: RunConfig) -> dict[str, Any]:
    """What determines the trained weights: every setting, apart from noise at inference and what is kept."""
    flat = config.to_flat()
    content = {
        name: value
        for name, value in flat.items()
        if not name.startswith(("noise.", "evaluation.")) and name != "training.keep_network"
    }
    if config.noisy_training:
        content["training noise"] = _noise(config)
        if any(level.mul > 0 for level in config.levels):
            content["noise.gradient"] = config.noise.gradient
    return content


def network(config: RunConfig) -> dict[str, Any]:
    """What determines the trained network and what is seen of it on the way.

    Runs trained with noise are evaluated while they train, with their own noise at inference.
    """
    content = training(config)
    return content | {"noise.seed": config.noise_seed} if config.noisy_training else content


def run(config: RunConfig) -> dict[str, Any]:
    """What determines the result."""
    content = training(config) | {
        name: value for name, value in config.to_flat().items() if name.startswith("evaluation.")
    }
    if config.noisy:
        content["inference noise"] = _noise(config)
        content["noise.seed"] = config.noise_seed
    return content


def digest(content: dict[str, Any]) -> str:
    """A short key, equal for equal contents."""
    return hashlib.blake2b(_json.encode(content).encode(), digest_size=10).hexdigest()


_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def _noise(config: RunConfig) -> dict[str, Any]:
    kind = config.noise_kind
    noise: dict[str, Any] = {"levels": [list(level) for level in config.levels]}
    if kind.draw is not gaussian:
        noise["distribution of"] = kind.name
    if any(level.mul > 0 and level.add > 0 for level in config.levels):
        noise["order"] = config.noise.order
    return noise

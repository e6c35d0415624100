"""What the tests of running packs share: runs in short, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from walking_noise import Failure, Result, RunConfig, train_each

HERE: dict[str, Any] = {"device": "cpu", "processes": 1}


def run(**settings: Any) -> RunConfig:
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    return RunConfig.from_dict({"training.epochs": 2, **dotted})


def outcomes(configs: Sequence[RunConfig], **how: Any) -> list[Result | Failure]:
    """What every run ended with, each once, in the order of the runs."""
    found = list(train_each(configs, **{**HERE, **how}))
    assert sorted(index for index, _ in found) == list(range(len(configs)))
    return [outcome for _, outcome in sorted(found, key=lambda one: one[0])]


def numbers(result: Result | Failure) -> dict[str, Any]:
    """A result without what depends on its company."""
    assert isinstance(result, Result)
    return {name: value for name, value in vars(result).items() if name not in ("seconds", "pack_size")}


GRID = [
    run(noise__point=point, noise__std=std, noise__in_training=False, model__batch_norm=True)
    for point in range(11)
    for std in (0.0, 0.5, 1e4)
]

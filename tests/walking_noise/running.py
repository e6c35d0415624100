"""Helpers of the tests that train packs: short notation for runs, and their outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from walking_noise import Failure, Result, RunConfig, train, train_each

HERE: dict[str, Any] = {"device": "cpu", "processes": 1}


def run(**settings: Any) -> RunConfig:
    """A run of two epochs; ``__`` in a keyword stands for the dot in the name of a setting."""
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    return RunConfig.from_dict({"training.epochs": 2, **dotted})


def outcomes(configs: Sequence[RunConfig], **how: Any) -> list[Result | Failure]:
    """The outcome of every run, in the order of the runs; each run must have exactly one."""
    indexed = list(train_each(configs, **{**HERE, **how}))
    assert sorted(index for index, _ in indexed) == list(range(len(configs)))
    return [outcome for _, outcome in sorted(indexed, key=lambda pair: pair[0])]


def numbers(result: Result | Failure) -> dict[str, Any]:
    """The fields of a result that do not depend on the pack."""
    assert isinstance(result, Result)
    return {name: value for name, value in vars(result).items() if name not in ("seconds", "pack_size")}


class SingleRuns:
    """Results of runs in packs of one, each trained once for all tests of a module, which share their data."""

    def __init__(self) -> None:
        self._known: dict[RunConfig, dict[str, Any]] = {}

    def __call__(self, configs: Sequence[RunConfig]) -> list[dict[str, Any]]:
        """The fields of the results that do not depend on the pack."""
        for config in configs:
            if config not in self._known:
                self._known[config] = numbers(train([config], **HERE)[0])
        return [self._known[config] for config in configs]


GRID = [
    run(noise__point=point, noise__std=std, noise__in_training=False, model__batch_norm=True)
    for point in range(11)
    for std in (0.0, 0.5, 1e4)
]

"""Fake studies of walking and global noise with prescribed midpoints instead of fitted ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.midpoints.flags import Flag
from analysis.midpoints.midpoint import MidpointFit
from analysis.midpoints.repetition_levels import RepetitionLevels
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.run_frame import to_frame
from analysis.runs.series import Series, group_series

LOWEST, HIGHEST = 0.01, 1e8
SCATTER = 0.01
"""Decades between the midpoints of consecutive repetitions."""

Midpoint = float | Flag


class Walked:
    """A fake study. Every series has one level and prescribed midpoints."""

    def __init__(self, fake: Any, repetitions: int = 3) -> None:
        self.fake, self.repetitions = fake, repetitions
        self.midpoints: dict[str, Midpoint] = {}

    def walk(self, midpoints: Sequence[Midpoint], **settings: Any) -> Walked:
        """Add a series at each point. ``settings`` have two underscores for the dot; additive noise by default."""
        for point, midpoint in enumerate(midpoints):
            self.series(midpoint, noise__point=point, **settings)
        return self

    def series(
        self, midpoint: Midpoint = 1.0, *, accuracy: float = 0.5, level: float = 1.0,
        fields: dict[str, Any] | None = None, **settings: Any,
    ) -> Walked:  # fmt: skip
        """Add a series at one point or at all; its accuracies differ by 0.002 from repetition to repetition."""
        shared = {"model.name": "mlp", **{name.replace("__", "."): value for name, value in settings.items()}}
        for seed in range(self.repetitions):
            run = {**shared, "noise.std": level, "seed": seed}
            document = self.fake.complete(run, accuracy + 0.002 * (seed - 1), **(fields or {}))
            self.midpoints[_key(document["config"])] = midpoint
        return self

    def study(self) -> Study:
        """The study with these midpoints."""
        runs = to_frame(self.fake.source().documents)
        series = group_series(runs)
        curves = [each for each in series if each.has_curve]
        return Study(runs, [FittedSeries(each, self._fit(each), None) for each in curves], [])

    def _fit(self, series: Series) -> MidpointFit:
        config = self.fake.documents[int(series.runs["id"].iloc[0]) - 1]["config"]
        midpoint = self.midpoints[_key(config)]
        outcomes: dict[str, float | Flag] = {
            name: midpoint if isinstance(midpoint, Flag) else midpoint * 10 ** (SCATTER * int(name))
            for name in series.runs["repetition"]
        }
        repetitions = RepetitionLevels(outcomes, LOWEST, HIGHEST)
        return MidpointFit({}, repetitions, series.chance_accuracy, None, None, (), ())


def _key(config: dict[str, Any]) -> str:
    return repr(
        {
            name: value
            for name, value in config.items()
            if name in ("data", "model", "noise", "training", "distillation")
        }
    )

"""Families of series that share a figure, with titles, labels and file names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from analysis import published_results
from analysis.labels import differing_settings, label, slug
from analysis.midpoints.flags import Flag
from analysis.midpoints.study import FittedSeries
from analysis.runs.series import Settings
from walking_noise import RunConfig

TRAININGS = ("noise.in_training", "noise.training_std", "training.weight_clamp")
"""Settings that may differ within a figure of one network with several kinds of training."""
NETWORKS = ("model.batch_norm", "noise.on_batch_norm", *TRAININGS)
"""Settings that may differ within a figure of curves under global noise, without and with BatchNorm."""
PANEL_PER_POINT = ("noise.point", *TRAININGS)
"""Settings that may differ within a figure of one network with a panel per noise point."""
AXIS_OF_POINTS = ("model.batch_norm", "noise.point", *TRAININGS)
"""Settings that may differ within a figure with noise points along x and panels without and with BatchNorm."""
PRESERVED = ("model.batch_norm", "noise.point", *published_results.DATA_SET_SETTINGS)
"""Settings that may differ within a figure of several data sets with noise points along x."""
MIXED_MAPS = ("model.batch_norm", "noise.point")
MIXED_POINTS = ("model.batch_norm", "noise.point", "noise.ratio")
MIXED_RATIOS = ("noise.point",)
"""Settings that may differ within figures of mixed noise, in addition to its levels and their order."""

_ALWAYS_NAMED = ("data.name", "model.name", "noise.kind", "noise.ratio")


class HasSettings(Protocol):
    """A series, or an object that combines several series."""

    @property
    def settings(self) -> Settings: ...


Member = TypeVar("Member", bound=HasSettings)


@dataclass(frozen=True, eq=False)
class Family(Generic[Member]):
    """Series, or other members with settings, that share a figure.

    Attributes
    ----------
    title
        Text of the settings that distinguish this family from the others.
    slug
        The title as part of a file name, without settings at their defaults. A new setting therefore does not rename
        the figures of runs that leave it at its default.
    members
        The series.
    """

    title: str
    slug: str
    members: list[Member]

    @property
    def settings(self) -> list[Settings]:
        """Settings of each member."""
        return [each.settings for each in self.members]

    def labels(self, leave_out: Sequence[str] = ()) -> list[str]:
        """Text of the settings that distinguish each member, without those that the figure shows in another way."""
        names = [name for name in differing_settings(self.settings) if name not in leave_out]
        return [label(each.settings, names or ["noise.in_training"]) for each in self.members]


def run_count_sentence(fitted_series: Sequence[FittedSeries]) -> str:
    """Sentence on the numbers of used and planned runs of some series, and of series with one repetition."""
    total: Counter[str] = Counter()
    for each in fitted_series:
        total.update(each.series.counts)
    overflow = f"; left out for float32 overflow: {total['overflow']}" if total["overflow"] else ""
    single = sum(Flag.ONE_REPETITION in each.fit.flags for each in fitted_series)
    lacking = f" Without a spread, since there is one repetition: {single} of {len(fitted_series)} series."
    return f"Runs used: {total['used']} of {total['planned']}{overflow}.{lacking if single else ''}"


def grouped(members: Iterable[Member], within: Iterable[str]) -> list[list[Member]]:
    """Group members that differ only in the settings ``within``, in the order of their first members."""
    groups: dict[str, list[Member]] = {}
    for each in members:
        groups.setdefault(settings_key(each, within), []).append(each)
    return list(groups.values())


def settings_key(member: HasSettings, leave_out: Iterable[str]) -> str:
    """Key that is equal for members whose settings agree in all names except ``leave_out``."""
    excluded = set(leave_out)
    return repr([(name, value) for name, value in sorted(member.settings.items()) if name not in excluded])


def families(series: Iterable[Member], within: Sequence[str]) -> list[Family[Member]]:
    """Group series that differ only in the settings ``within``, in the order of their first members."""
    groups = grouped(series, within)
    firsts = [members[0].settings for members in groups]
    always = [name for name in _ALWAYS_NAMED if name not in within]
    differing = [name for name in differing_settings(firsts) if name not in (*within, *always)] if firsts else []
    default = RunConfig().to_flat()
    found = []
    for members, settings in zip(groups, firsts, strict=True):
        changed = [name for name in differing if settings[name] != default[name]]
        title, short = (label(settings, [*always, *names]) for names in (differing, changed))
        found.append(Family(title, slug(short), members))
    return found

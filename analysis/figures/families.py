"""Which series share a figure, and how figure, series and file are named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.study import FittedSeries
from analysis.words import distinguishing, label, slug
from walking_noise import RunConfig

COMPARED = ("model.batch_norm", "noise.on_batch_norm", "noise.in_training", "training.weight_clamp")
"""The settings that the papers compare within a figure."""

_ALWAYS_NAMED = ("data.name", "model.name", "noise.kind")


@dataclass(frozen=True, eq=False)
class Family:
    """The series of one figure.

    Attributes
    ----------
    title
        What tells this family apart from the others, in words.
    slug
        The same as part of a file's name, without the settings that are at their defaults. So a setting that is new
        does not rename the figures of runs that leave it alone.
    members
        The series.
    """

    title: str
    slug: str
    members: list[FittedSeries]

    def labels(self, leave_out: Sequence[str] = ()) -> list[str]:
        """What tells each member apart from the others, in words. The figure shows ``leave_out`` in another way."""
        names = [name for name in distinguishing([each.settings for each in self.members]) if name not in leave_out]
        return [label(each.settings, names or ["noise.in_training"]) for each in self.members]


def families(fitted: Iterable[FittedSeries], within: Sequence[str]) -> list[Family]:
    """Group series that differ only in the settings ``within``, in the order of their first members."""
    groups: dict[str, list[FittedSeries]] = {}
    for each in fitted:
        shared = {name: value for name, value in each.settings.items() if name not in within}
        groups.setdefault(repr(shared), []).append(each)
    firsts = [members[0].settings for members in groups.values()]
    differing = [name for name in distinguishing(firsts) if name not in (*within, *_ALWAYS_NAMED)] if firsts else []
    return [_family(members, differing) for members in groups.values()]


def _family(members: list[FittedSeries], differing: Sequence[str]) -> Family:
    settings, default = members[0].settings, RunConfig().to_flat()
    changed = [name for name in differing if settings[name] != default[name]]
    title, short = (label(settings, [*_ALWAYS_NAMED, *names]) for names in (differing, changed))
    return Family(title, slug(short), members)

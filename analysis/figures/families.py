"""Which series share a figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.study import FittedSeries
from analysis.words import distinguishing, label, slug

COMPARED = ("model.batch_norm", "noise.on_batch_norm", "noise.in_training", "training.weight_clamp")
"""The settings that the papers compare within a figure."""

_ALWAYS_NAMED = ("data.name", "model.name", "noise.kind")


@dataclass(frozen=True, eq=False)
class Family:
    """Series in one figure: what is said of all of them, and the series."""

    title: str
    members: list[FittedSeries]

    @property
    def slug(self) -> str:
        """The title as part of a file's name."""
        return slug(self.title)

    def labels(self, leave_out: Sequence[str] = ()) -> list[str]:
        """What tells each member apart, in words; ``leave_out`` is told elsewhere in the figure."""
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
    return [
        Family(label(members[0].settings, [*_ALWAYS_NAMED, *differing]), members) for members in groups.values()
    ]  # fmt: skip

"""Which runs go which part of their way through the networks together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from walking_noise.config import RunConfig
from walking_noise.packing import evenly


@dataclass(frozen=True)
class Branch:
    """Runs that go from a noise point to the end of their networks together.

    Attributes
    ----------
    point
        Up to there their activations are those of their members without noise.
    runs
        By their index.
    """

    point: int
    runs: tuple[int, ...]


def branches(
    members: Sequence[int],
    configs: Sequence[RunConfig],
    together: int | None = None,
    start: Callable[[int], int] = lambda point: point,
) -> list[Branch]:
    """Where runs leave the way that they share with others on their member, in the order of the points.

    A run leaves where its noise begins, or where no other run is left on its member.

    Parameters
    ----------
    members
        The member each run stands on.
    together
        The most runs that go on as one; None: all that leave at one point.
    start
        The latest noise point at or before a given one from which a network can be resumed.
    """
    on_member: dict[int, list[int]] = {}
    for run, member in enumerate(members):
        on_member.setdefault(member, []).append(run)
    leaving: dict[int, list[list[int]]] = {}
    for runs in on_member.values():
        begins = {run: start(_leaves(configs[run])) for run in runs}
        last_shared = sorted(begins.values())[-2] if len(runs) > 1 else 0
        at_point: dict[int, list[int]] = {}
        for run in runs:
            at_point.setdefault(min(begins[run], last_shared), []).append(run)
        for point, of_member in at_point.items():
            leaving.setdefault(point, []).append(of_member)
    return [
        Branch(point, tuple(runs))
        for point in sorted(leaving)
        for runs in _grouped(leaving[point], together or len(members))
    ]


def _leaves(config: RunConfig) -> int:
    """Where its noise begins; the last point if nothing is injected."""
    point = config.first_noisy_point
    return len(config.points) - 1 if point is None else point


def _grouped(of_members: Iterable[list[int]], together: int) -> Iterator[list[int]]:
    """Groups of one member where its runs fill half of one, so that its weights are at hand once; else mixed ones."""
    few: list[int] = []
    for runs in of_members:
        if 2 * len(runs) < together:
            few += runs
        else:
            yield from evenly(runs, together)
    yield from evenly(few, together)

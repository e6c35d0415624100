"""Where runs leave the way that they share, and with whom they go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from walking_noise import RunConfig
from walking_noise.evaluation.shared_prefix import Branch, branches

LAST = len(RunConfig().points) - 1


def at(*points: int | str) -> list[RunConfig]:
    """Runs with noise at inference from these points on; "none" has none."""
    return [
        RunConfig.from_dict(
            {"noise.kind": "none"}
            if point == "none"
            else {"noise.std": 0.5, "noise.point": point, "noise.in_training": False}
        )
        for point in points
    ]


def left(members: Sequence[int], configs: Sequence[RunConfig], **how: Any) -> list[tuple[int, tuple[int, ...]]]:
    """Points and runs of the branches: every run leaves once."""
    found = branches(members, configs, **how)
    assert sorted(run for branch in found for run in branch.runs) == list(range(len(configs)))
    return [(branch.point, branch.runs) for branch in found]


def test_runs_on_one_member_leave_where_their_noise_begins() -> None:
    assert left([0] * 5, at(4, 2, 4, 0, 2)) == [(0, (3,)), (2, (1, 4)), (4, (0, 2))]


def test_noise_at_several_points_begins_at_the_first() -> None:
    mapped = RunConfig.from_dict({"noise.std": [0, 0, 0.5, 0, 0.1, 0, 0, 0], "noise.point": "mapped"})
    assert left([0, 0, 0], [mapped, *at("global", 2)]) == [(0, (1,)), (2, (0, 2))]


def test_the_last_run_on_a_member_has_nothing_to_share() -> None:
    assert left([0, 0], at(1, 6)) == [(1, (0, 1))]
    assert left([0], at(6)) == [(0, (0,))]
    assert left([0, 1, 2], at(6, 3, "none")) == [(0, (0, 1, 2))]
    assert left([5, 2, 5], at(6, 3, 4)) == [(0, (1,)), (4, (0, 2))]


def test_runs_without_noise_go_all_the_way_together() -> None:
    assert left([0, 0, 0], at("none", 3, "none")) == [(3, (1,)), (LAST, (0, 2))]


def test_a_network_is_resumed_where_it_can_be() -> None:
    assert left([0] * 3, at(5, 4, 2), latest_split=lambda point: 3 if point >= 3 else 0) == [(0, (2,)), (3, (0, 1))]


@pytest.mark.parametrize(
    ("group_size", "sizes"), [(1, [1] * 7), (2, [1, 2, 2, 2]), (3, [2, 2, 3]), (6, [3, 4]), (7, [7])]
)
def test_groups_are_as_few_as_can_be_and_of_about_one_size(group_size: int, sizes: list[int]) -> None:
    found = left([0] * 7, at(*[4] * 7), group_size=group_size)
    assert [len(runs) for _, runs in found] == sizes


def test_groups_are_of_one_member_where_its_runs_fill_half_of_one() -> None:
    many, few = [0] * 5 + [1] * 5, [2, 2, 3, 3]
    found = left(many + few, at(*[4] * 14), group_size=8)
    assert found == [(4, (0, 1, 2, 3, 4)), (4, (5, 6, 7, 8, 9)), (4, (10, 11, 12, 13))]


def test_no_runs_have_no_branches() -> None:
    assert branches([], []) == []
    assert branches([0], at(2)) == [Branch(0, (0,))]

"""Branches: the noise points at which runs leave their shared prefix, and their groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from walking_noise import RunConfig
from walking_noise.evaluation.shared_prefix import Branch, branches

LAST = len(RunConfig().points) - 1


def at(*points: int | str) -> list[RunConfig]:
    """Runs with noise at inference at these points; "none" is a run without noise."""
    return [
        RunConfig.from_dict(
            {"noise.kind": "none"}
            if point == "none"
            else {"noise.std": 0.5, "noise.point": point, "noise.in_training": False}
        )
        for point in points
    ]


def points_and_runs(
    members: Sequence[int], configs: Sequence[RunConfig], **options: Any
) -> list[tuple[int, tuple[int, ...]]]:
    """Points and runs of the branches. Every run is in one branch."""
    all_branches = branches(members, configs, **options)
    assert sorted(run for branch in all_branches for run in branch.runs) == list(range(len(configs)))
    return [(branch.point, branch.runs) for branch in all_branches]


def test_runs_of_one_member_leave_where_their_noise_begins() -> None:
    assert points_and_runs([0] * 5, at(4, 2, 4, 0, 2)) == [(0, (3,)), (2, (1, 4)), (4, (0, 2))]


def test_noise_at_several_points_begins_at_the_first() -> None:
    mapped = RunConfig.from_dict({"noise.std": [0, 0, 0.5, 0, 0.1, 0, 0, 0], "noise.point": "mapped"})
    assert points_and_runs([0, 0, 0], [mapped, *at("global", 2)]) == [(0, (1,)), (2, (0, 2))]


def test_the_last_run_of_a_member_leaves_with_the_run_before() -> None:
    assert points_and_runs([0, 0], at(1, 6)) == [(1, (0, 1))]
    assert points_and_runs([0], at(6)) == [(0, (0,))]
    assert points_and_runs([0, 1, 2], at(6, 3, "none")) == [(0, (0, 1, 2))]
    assert points_and_runs([5, 2, 5], at(6, 3, 4)) == [(0, (1,)), (4, (0, 2))]


def test_runs_without_noise_share_the_whole_network() -> None:
    assert points_and_runs([0, 0, 0], at("none", 3, "none")) == [(3, (1,)), (LAST, (0, 2))]


def test_runs_leave_where_the_network_can_be_split() -> None:
    assert points_and_runs([0] * 3, at(5, 4, 2), latest_split=lambda point: 3 if point >= 3 else 0) == [
        (0, (2,)),
        (3, (0, 1)),
    ]


@pytest.mark.parametrize(
    ("group_size", "sizes"), [(1, [1] * 7), (2, [1, 2, 2, 2]), (3, [2, 2, 3]), (6, [3, 4]), (7, [7])]
)
def test_groups_are_few_and_of_about_equal_size(group_size: int, sizes: list[int]) -> None:
    groups = points_and_runs([0] * 7, at(*[4] * 7), group_size=group_size)
    assert [len(runs) for _, runs in groups] == sizes


def test_a_member_whose_runs_fill_half_a_group_has_groups_of_its_own() -> None:
    many, few = [0] * 5 + [1] * 5, [2, 2, 3, 3]
    groups = points_and_runs(many + few, at(*[4] * 14), group_size=8)
    assert groups == [(4, (0, 1, 2, 3, 4)), (4, (5, 6, 7, 8, 9)), (4, (10, 11, 12, 13))]


def test_no_runs_have_no_branches() -> None:
    assert branches([], []) == []
    assert branches([0], at(2)) == [Branch(0, (0,))]

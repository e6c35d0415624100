from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.exhibits import EXHIBITS, Exhibit, make_all
from analysis.study import Study

CONFIGS = Path(__file__).parents[2] / "seml_configs"


def test_exhibits_follow_the_papers():
    numbers = [exhibit.number for exhibit in EXHIBITS]
    assert len(set(numbers)) == len(numbers)
    tables = [number for number in numbers if number.startswith("Table")]
    figures = [int(first) for first in re.findall(r"Figures? (\d+)", " ".join(numbers))]
    assert numbers[: len(tables)] == tables == ["Table I", "Table II"]
    assert figures == sorted(figures)
    assert set(figures) >= {1, 2, 3, 5, 6, 7, 8, 9, 10}
    assert numbers[-3:] == ["All series", "Runs", "Provenance"]


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.number)
def test_what_is_lacking_is_planned_in_grids_that_exist(exhibit: Exhibit):
    assert exhibit.lacking.startswith(f"Not drawn: needs {exhibit.needs}")
    assert [grid for grid in exhibit.grids if not (CONFIGS / grid).is_file()] == []
    assert all(f"seml_configs/{grid}" in exhibit.lacking for grid in exhibit.grids)


def test_only_the_accounts_are_made_of_a_study_without_results(fake_study, tmp_path: Path):
    study = fake_study()
    study.add({"noise.std": 1.0}, "STAGED")
    made = {exhibit.number for exhibit, parts in make_all(study.analyse(), tmp_path) if parts}
    assert made <= {"Table I", "All series", "Runs", "Ledger"}


def test_exhibits_without_their_runs_are_not_made(paper_study: Study, tmp_path: Path):
    made = {exhibit.number: parts for exhibit, parts in make_all(paper_study, tmp_path)}
    assert len(made["Table I"]) == 1
    assert len(made["Figure 1"]) == 2
    assert not made["Figure 2"]
    assert not made["Figures 10 and 11"]

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.midpoints.study import Study
from analysis.paper.claims import CLAIMS
from analysis.paper.planned_grids import COARSE, planned_grids_sentence
from analysis.report.report_items import REPORT_ITEMS, ReportItem, make_all
from experiments.plan.grid_files import expand
from walking_noise import RunConfig

CONFIGS = Path(__file__).parents[3] / "seml_configs"


def test_exhibits_follow_the_papers():
    numbers = [exhibit.number for exhibit in REPORT_ITEMS]
    assert len(set(numbers)) == len(numbers)
    tables = [number for number in numbers if number.startswith("Table")]
    figures = [int(first) for first in re.findall(r"Figures? (\d+)", " ".join(numbers))]
    assert numbers[: len(tables)] == tables == ["Table I", "Table II"]
    assert figures == sorted(figures)
    assert set(figures) >= {1, 2, 3, 5, 6, 7, 8, 9, 10}
    assert numbers[-3:] == ["All series", "Runs", "Provenance"]


@pytest.mark.parametrize("exhibit", REPORT_ITEMS, ids=lambda exhibit: exhibit.number)
def test_what_is_lacking_is_planned_in_grids_that_exist(exhibit: ReportItem):
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


def test_grids_are_named_in_full_and_in_small():
    assert planned_grids_sentence(["a.yaml", "b.yaml"]) == "Planned in seml_configs/a.yaml, seml_configs/b.yaml."
    assert (
        planned_grids_sentence(["a.yaml", COARSE])
        == "Planned in seml_configs/a.yaml or, in small, in seml_configs/coarse.yaml."
    )
    assert planned_grids_sentence([]) == ""


@pytest.mark.slow
def test_the_coarse_grid_supplies_what_is_said_of_it(fake_study, tmp_path: Path):
    study = fake_study("coarse")
    for settings in expand(CONFIGS / COARSE):
        config = RunConfig.from_dict(settings)
        level = max(max(each) for each in config.levels)
        depth = 0 if isinstance(config.noise.point, str) else 1 + config.noise.point % 3
        middle = (1 + depth) * (1 + config.noise.in_training)
        accuracy = 0.1 + 0.85 / (1 + (level / middle) ** 3) + 1e-3 * config.seed
        kept = {"validation_curve": [0.5, accuracy]} if config.evaluation.curve else {}
        study.complete(settings, accuracy, **kept)
    analysed = study.analyse()
    looked_into = {"Figure 4", "values_cluster", "quantised_keep", "peak_below_the_noise", "weights_cluster"}
    made = {exhibit.number for exhibit, parts in make_all(analysed, tmp_path) if parts}
    assert made | looked_into >= {exhibit.number for exhibit in REPORT_ITEMS if COARSE in exhibit.grids}
    assert made.isdisjoint(exhibit.number for exhibit in REPORT_ITEMS if exhibit.grids and COARSE not in exhibit.grids)
    tried = {claim.cases.__name__ for claim in CLAIMS if list(claim.cases(analysed))}
    assert tried | looked_into >= {claim.cases.__name__ for claim in CLAIMS if COARSE in claim.grids}
    assert tried.isdisjoint(claim.cases.__name__ for claim in CLAIMS if COARSE not in claim.grids)

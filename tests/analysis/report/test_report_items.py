from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.midpoints.study import Study
from analysis.paper.claims import CLAIMS
from analysis.paper.planned_grids import COARSE, planned_grids_sentence
from analysis.report.item import ReportItem
from analysis.report.report_items import REPORT_ITEMS, make_all
from experiments.plan.grid_files import expand
from walking_noise import RunConfig

CONFIGS = Path(__file__).parents[3] / "seml_configs"


def test_report_items_have_the_order_of_the_papers():
    numbers = [item.number for item in REPORT_ITEMS]
    assert len(set(numbers)) == len(numbers)
    tables = [number for number in numbers if number.startswith("Table")]
    figures = [int(first) for first in re.findall(r"Figures? (\d+)", " ".join(numbers))]
    assert numbers[: len(tables)] == tables == ["Table I", "Table II"]
    assert figures == sorted(figures)
    assert set(figures) >= {1, 2, 3, 5, 6, 7, 8, 9, 10}
    assert numbers[-3:] == ["All series", "Runs", "Provenance"]


@pytest.mark.parametrize("item", REPORT_ITEMS, ids=lambda item: item.number)
def test_missing_runs_are_planned_in_existing_grids(item: ReportItem):
    assert item.missing_runs.startswith(f"Not available: needs {item.needs}")
    assert [grid for grid in item.grids if not (CONFIGS / grid).is_file()] == []
    assert all(f"seml_configs/{grid}" in item.missing_runs for grid in item.grids)


def test_study_without_results_has_only_tables_of_runs_and_claims(fake_study, tmp_path: Path):
    study = fake_study()
    study.add({"noise.std": 1.0}, "STAGED")
    made = {item.number for item, parts in make_all(study.analyse(), tmp_path) if parts}
    assert made <= {"Table I", "All series", "Runs", "Ledger"}


@pytest.mark.usefixtures("without_pictures")
def test_items_without_their_runs_have_no_figures(paper_study: Study, tmp_path: Path):
    made = {item.number: parts or () for item, parts in make_all(paper_study, tmp_path)}
    assert len(made["Table I"]) == 1
    assert len(made["Figure 1"]) == 2
    assert not made["Figure 2"]
    assert not made["Figures 10 and 11"]


def test_sentence_names_the_grids_and_the_coarse_grid_last():
    assert planned_grids_sentence(["a.yaml", "b.yaml"]) == "Planned in seml_configs/a.yaml, seml_configs/b.yaml."
    assert (
        planned_grids_sentence(["a.yaml", COARSE])
        == "Planned in seml_configs/a.yaml or, at a small scale, in seml_configs/coarse.yaml."
    )
    assert planned_grids_sentence([]) == ""


@pytest.mark.slow
@pytest.mark.usefixtures("without_pictures")
def test_coarse_grid_supplies_the_items_and_claims_that_name_it(fake_study, tmp_path: Path):
    study = fake_study("coarse")
    for settings in expand(CONFIGS / COARSE):
        config = RunConfig.from_dict(settings)
        level = max(max(each) for each in config.levels)
        depth = 0 if isinstance(config.noise.point, str) else 1 + config.noise.point % 3
        middle = (1 + depth) * (1 + config.noise.in_training)
        accuracy = 0.1 + 0.85 / (1 + (level / middle) ** 3) + 1e-3 * config.seed
        fields = {"validation_curve": [0.5, accuracy]} if config.evaluation.curve else {}
        study.complete(settings, accuracy, **fields)
    analysed = study.analyse()
    need_findings = {"Figure 4", "values_cluster", "quantised_keep", "peak_below_the_noise", "weights_cluster"}
    made = {item.number for item, parts in make_all(analysed, tmp_path) if parts}
    assert made | need_findings >= {item.number for item in REPORT_ITEMS if COARSE in item.grids}
    assert made.isdisjoint(item.number for item in REPORT_ITEMS if item.grids and COARSE not in item.grids)
    tried = {claim.cases.__name__ for claim in CLAIMS if list(claim.cases(analysed))}
    assert tried | need_findings >= {claim.cases.__name__ for claim in CLAIMS if COARSE in claim.grids}
    assert tried.isdisjoint(claim.cases.__name__ for claim in CLAIMS if COARSE not in claim.grids)

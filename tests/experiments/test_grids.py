"""The grids: as many runs as their heads say, all different, all accepted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiments.shell import ROOT
from walking_noise import RunConfig

GRIDS = sorted((ROOT / "seml_configs").rglob("*.yaml"))


def name(grid: Path) -> str:
    return str(grid.relative_to(ROOT / "seml_configs").with_suffix(""))


@cache
def read(grid: Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """SEML's section, Slurm's and the settings of each run, as SEML reads them."""
    from seml.experiment.config import generate_configs, read_config

    seml, slurm, experiment = read_config(grid)
    return seml, slurm, generate_configs(experiment)


@cache
def runs(grid_name: str) -> tuple[RunConfig, ...]:
    return tuple(map(RunConfig.from_dict, read(ROOT / "seml_configs" / f"{grid_name}.yaml")[2]))


@pytest.mark.parametrize("grid", GRIDS, ids=name)
def test_as_many_runs_as_the_head_says_and_all_different(grid: Path):
    head = grid.read_text().partition("\nseml:")[0].replace("#", " ")
    (said,) = re.findall(r"([\d,]+) runs, of which", " ".join(head.split()))
    planned = runs(name(grid))
    assert len(planned) == int(said.replace(",", ""))
    assert len({str(run.to_flat()) for run in planned}) == len(planned)


@pytest.mark.parametrize("grid", GRIDS, ids=name)
def test_read_by_seml(grid: Path):
    seml, slurm, _ = read(grid)
    assert Path(seml["working_dir"]) == ROOT
    assert seml["executable"] == "experiments/train.py"
    assert seml["use_uploaded_sources"]
    for options in slurm:
        assert options["sbatch_options"]["gres"] == "gpu:1"
        assert options.get("experiments_per_job", 1) == 1


def levels(selected: Iterable[RunConfig]) -> list[float]:
    found = {run.noise.std for run in selected}
    return sorted(level for level in found if isinstance(level, float))


ADDITIVE = np.logspace(-2, 2, 17)
MULTIPLICATIVE = np.linspace(0, 2, 21)


@pytest.mark.parametrize(("grid", "model", "epochs"), [("mnist_mlp", "mlp", 100), ("mnist_lenet5", "lenet5", 50)])
def test_table_1_has_the_released_grids(grid: str, model: str, epochs: int):
    planned = runs(f"table1/{grid}")
    assert {(run.data.name, run.model.name, run.training.epochs) for run in planned} == {("mnist", model, epochs)}
    for in_training in (True, False):
        for batch_norm in (True, False):
            series = [r for r in planned if (r.noise.in_training, r.model.batch_norm) == (in_training, batch_norm)]
            assert {run.noise.point for run in series} == {"global"}
            assert {run.noise.on_batch_norm for run in series} == {not batch_norm}
            assert Counter(run.seed for run in series) == dict.fromkeys(range(5), 38)
            assert levels(run for run in series if run.noise.kind == "additive") == pytest.approx(ADDITIVE)
            assert levels(r for r in series if r.noise.kind == "multiplicative") == pytest.approx(MULTIPLICATIVE)


def test_walking_has_the_released_grids_at_every_point():
    planned = runs("walking/mnist_mlp")
    additive = np.logspace(-2, 8, 41)
    multiplicative = np.unique([*np.linspace(0, 6, 61), *np.logspace(0, 16, 65)])
    points = {(run.model.batch_norm, run.noise.point) for run in planned}
    assert points == {(False, point) for point in range(8)} | {(True, point) for point in range(11)}
    series = Counter(
        (run.noise.kind, run.training.weight_clamp, run.model.batch_norm, run.noise.point, run.noise.in_training)
        for run in planned
        if run.seed == 0
    )
    assert {key[:2]: count for key, count in series.items()} == {
        ("additive", None): 41,
        ("additive", 1.0): 41,
        ("multiplicative", None): 125,
    }
    assert len(series) == 3 * 19 * 2
    assert Counter(run.seed for run in planned) == dict.fromkeys(range(3), len(planned) // 3)
    at_a_point = [run for run in planned if run.noise.point == 4 and run.model.batch_norm]
    assert levels(run for run in at_a_point if run.noise.kind == "additive") == pytest.approx(additive)
    assert levels(run for run in at_a_point if run.noise.kind == "multiplicative") == pytest.approx(multiplicative)


def test_the_demo_has_what_its_table_and_its_figure_need():
    planned = runs("demo")
    assert len(planned) >= 300
    assert {run.seed for run in planned} >= {0, 1, 2}
    everywhere = {
        (run.noise.kind, run.model.batch_norm)
        for run in planned
        if run.noise.point == "global" and run.noise.in_training
    }
    assert everywhere == {(kind, norm) for kind in ("additive", "multiplicative") for norm in (False, True)}
    walking = {
        (run.noise.point, run.noise.in_training)
        for run in planned
        if run.model.batch_norm and run.noise.kind == "additive" and run.noise.point != "global"
    }
    assert walking == {(point, in_training) for point in range(11) for in_training in (False, True)}
    assert {(run.data.name, run.model.name) for run in planned} == {("mnist5k", "mlp")}

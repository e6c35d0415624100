"""Figure 4, from findings in real networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from analysis.figures import binarization
from analysis.figures.layout.style import Plot, style
from analysis.midpoints.study import Study
from analysis.runs.binarization_findings import COLUMNS, NetworkPair, density, findings_table
from tests.analysis.conftest import FakeStudy
from tests.walking_noise.conftest import part
from walking_noise import RunConfig, data
from walking_noise.probes import probe
from walking_noise.reproducibility import deterministic
from walking_noise.training.trainer import train_pack

SETTINGS = {
    "model.batch_norm": True, "training.epochs": 3, "noise.kind": "multiplicative", "noise.std": 1e10, "noise.point": 7,
}  # fmt: skip


def findings_of(settings: dict[str, Any], samples: int = 1000) -> dict[str, Any]:
    """What ``walking-noise binarize`` stores, of quickly trained networks."""
    config = RunConfig.from_dict(settings)
    digits, cpu = part(data.load("mnist5k"), samples, 250), torch.device("cpu")
    configs = (config, config.without_noise())
    with deterministic():
        networks = train_pack(configs, digits, cpu)
    noisy, noise_free = (
        dataclasses.asdict(probe(one, network, digits, cpu, 100))
        for one, network in zip(configs, networks, strict=True)
    )
    return {"samples": 100, "validation_samples": 250, "noisy": noisy, "noise_free": noise_free}


@pytest.fixture(scope="module")
def findings() -> dict[str, Any]:
    return findings_of(SETTINGS)


@pytest.fixture(scope="module")
def study(findings: dict[str, Any]) -> Study:
    """A run without findings, two equal runs with findings, and a failed run with findings."""
    study = FakeStudy()
    study.complete(SETTINGS, 0.9)
    study.complete({**SETTINGS, "seed": 1}, 0.9)["binarization"] = findings
    study.complete({**SETTINGS, "seed": 1}, 0.9)["binarization"] = findings
    study.add({**SETTINGS, "seed": 2}, "FAILED", binarization=findings)
    return study.analyse()


def drawn(study: Study, folder: Path) -> list[Plot]:
    with style():
        return binarization.draw(study, folder)


@pytest.fixture(scope="module")
def figure(study: Study, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plot, Path]:
    """The only plot of the study, and the folder of its files."""
    folder = tmp_path_factory.mktemp("figure")
    (plot,) = drawn(study, folder)
    return plot, folder


def test_equal_runs_with_findings_are_drawn_once(figure: tuple[Plot, Path], findings: dict[str, Any]):
    plot, folder = figure
    assert plot.name == "binarization-demo-2"
    assert {path.suffix for path in folder.iterdir()} == {".pdf", ".png", ".csv"}
    assert plot.title.startswith("MNIST (5,000 digits), MLP, with BatchNorm, multiplicative noise")
    for words in ("Run 2 of demo, seed 1", "first 100 of 250 validation samples", "with noise on or off"):
        assert words in plot.caption
    numbers = pd.read_csv(folder / f"{plot.name}.csv")
    assert tuple(numbers.columns) == COLUMNS
    at_the_point = numbers[(numbers["network"] == "noisy") & (numbers["place"] == "fc3")].set_index(
        ["values", "quantity"]
    )
    expected = findings["noisy"]["points"][7]["arriving"]
    assert at_the_point.loc[("arriving", "accuracy quantised, noise on"), "number"] == expected["noise_on"]
    assert at_the_point.loc[("arriving", "threshold"), "number"] == pytest.approx(
        expected["clusters"]["threshold"], 1e-5
    )
    assert "leaving" in at_the_point.index
    assert "weights" in at_the_point.index


@pytest.mark.slow
def test_the_same_findings_give_the_same_files(study: Study, figure: tuple[Plot, Path], tmp_path: Path):
    drawn(study, tmp_path)
    once, again = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (figure[1], tmp_path))
    assert once == again


def test_nothing_is_drawn_without_findings(fake_study, tmp_path: Path):
    study = fake_study()
    study.complete(SETTINGS, 0.9)
    assert drawn(study.analyse(), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"noise.kind": "additive", "noise.std": 1e10, "noise.point": 10, "model.batch_norm": True},
        pytest.param(
            {"noise.kind": "mixed", "noise.amplitude": 1.0, "noise.ratio": 0.5, "model.name": "lenet5"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_any_noise_and_model_can_be_drawn(fake_study, settings: dict[str, Any], tmp_path: Path):
    """Networks that answer one class, with nearly equal values, are drawn, too."""
    settings = {**settings, "training.epochs": 1}
    study = fake_study()
    study.complete(settings, 0.1)["binarization"] = findings_of(settings, 300)
    (plot,) = drawn(study.analyse(), tmp_path)
    assert (tmp_path / f"{plot.name}.pdf").read_bytes().startswith(b"%PDF")


def test_a_density_covers_the_values(findings: dict[str, Any]):
    values = findings["noise_free"]["layers"][0]["weights"]
    edges, heights = density(values, values["distribution"]["linear"])
    assert heights.sum() * (edges[1] - edges[0]) == pytest.approx(0.998, abs=1e-3)


def test_every_place_is_in_the_table(findings: dict[str, Any]):
    numbers = findings_table(NetworkPair(findings["noise_free"], findings["noisy"]))
    accuracies = numbers[numbers["quantity"].str.startswith("accuracy")]
    assert len(accuracies) == (11 + 4) + (2 * 11 + 1 + 2 * 4)
    assert accuracies["number"].between(0, 1).all()
